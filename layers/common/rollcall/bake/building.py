"""The steps that have to do with the builder: launched, registered, provisioned, terminated."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.aws.launch_templates import LaunchRefusal
from rollcall.checks.registry import read_group_settings
from rollcall.domain.bake_tags import Role
from rollcall.domain.errors import BadSettings, Permanent
from rollcall.domain.groups import AddressKind
from rollcall.tower.connection import job_page
from rollcall.workflow.answer import StepAnswer, over
from rollcall.workflow.waiting import SOON, next_wait

from .hosts import BakeHosts, kept_words
from .job_round import Next
from .launching import INSTANCE_VISIBLE_AFTER, Launching, Wanted, refusal_words
from .provisioning import BakeJobs
from .state import BakeResult, Phase

if TYPE_CHECKING:
    from rollcall.aws.fleet import Fleet
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .bake_aws import BakeAws
    from .news import BakeAnswer
    from .state import BakeState

RUNNING_AFTER = 900.0  # seconds from its launch in which an instance runs


class Building:
    """Takes the builder's steps. now: epoch seconds. Each raises what AWS and Tower fail at for now."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, aws: BakeAws, evidence: Evidence) -> None:
        self._tower = tower
        self._fleet = fleet
        self._aws = aws
        self._launching = Launching(aws, fleet)
        self._hosts = BakeHosts(settings, tower, fleet)
        self._jobs = BakeJobs(tower, evidence)

    # Launch

    def launch(self, state: BakeState, now: float) -> BakeAnswer:
        """Launch the builder, or find the one that an earlier try has launched; then wait until it runs."""
        if state.phase != Phase.LAUNCHING:
            state = replace(state, phase=Phase.LAUNCHING, phase_since=now)
        builder = self._launching.find(state, Role.BUILDER, state.builder)
        if not state.builder:
            answer = builder.instance_id if builder else self._launched(state)
            if isinstance(answer, StepAnswer):
                return answer
            state = replace(state, builder=answer, builder_since=now)
        if builder is None:
            if now - state.builder_since > INSTANCE_VISIBLE_AFTER:
                return _failed(state, f"EC2 launched builder {state.builder} and does not show it")
            return StepAnswer(state, "launch", SOON)
        if builder.state == "running":
            return StepAnswer(state, "register")
        if builder.state != "pending":
            return _failed(state, f"builder {state.builder} did not come to run, it is {builder.in_words}")
        if now - state.builder_since > RUNNING_AFTER:
            return _failed(state, f"builder {state.builder} does not run within {RUNNING_AFTER / 60:.0f} minutes")
        return StepAnswer(state, "launch", SOON)

    def _launched(self, state: BakeState) -> str | BakeAnswer:
        image = self._aws.image(state.base_image.id)
        if image is None:
            return _failed(state, f"base image {state.base_image.id} is not there any more")
        user_data = ""
        if state.request.get("user_data"):
            version = self._aws.version({"LaunchTemplateId": state.template_id}, state.from_version)
            user_data = str(version.data.get("UserData", "")) if version else ""
        profile = str(state.request.get("instance_profile") or "")
        answer = self._launching.launch(state, Wanted(Role.BUILDER, image, state.instance_type, profile, user_data))
        if isinstance(answer, LaunchRefusal):
            return _failed(state, f"EC2 launches no builder: {refusal_words(answer)}")
        return answer

    # Register

    def register(self, state: BakeState, now: float) -> BakeAnswer:
        """Make the builder's host, or find it; it is marked as a builder's, and so left alone by reconcile.

        It is in groups of the names that the group's hosts are in, which the hosts of a playbook may be.
        """
        state = replace(state, phase=Phase.REGISTERING, phase_since=now)
        builder = self._launching.find(state, Role.BUILDER, state.builder)
        if builder is None or not builder.living:
            return _failed(state, _gone_words(state, builder))
        settings = self._group_settings(state.group)
        kind = settings.address if settings else AddressKind.PRIVATE
        names = settings.inventory_groups if settings else (state.group,)
        try:
            inventory = self._inventory(state)
            host = self._hosts.register(state, Role.BUILDER, builder, inventory, kind)
            for group_id in self._tower.group_ids(inventory, names).values():
                self._tower.add_to_group(group_id, host)
        except Permanent as error:
            return _failed(state, f"builder {state.builder} gets no host in Tower: {error}")
        address = builder.addresses[kind]
        return StepAnswer(replace(state, host_id=host, address=address), "provision")

    def _group_settings(self, group: str) -> GroupSettings | None:
        """What the group's tags ask for; None for one that did not opt in, or whose tags cannot be read."""
        details = self._aws.details(group)
        try:
            return read_group_settings(details.group) if details else None
        except BadSettings:
            return None

    # Provision

    def provision(self, state: BakeState, now: float) -> BakeAnswer:
        """Launch the bake job, or follow it; the image is made once it went well."""
        if state.phase != Phase.PROVISIONING:
            state = replace(state, phase=Phase.PROVISIONING, phase_since=now)
        builder = self._launching.find(state, Role.BUILDER, state.builder)
        if builder is None or not builder.living:
            return _failed(state, _gone_words(state, builder))
        try:
            done = self._jobs.follow(
                self._template(state), self._inventory(state), state.builder, state.group, state.execution_started
            )
        except Permanent as error:
            return _failed(state, f"the bake job is not run on builder {state.builder}: {error}")
        url = job_page(self._tower.root, done.job) if done.job is not None else ""
        state = replace(state, job=done.job, job_url=url, job_tries=done.tries)
        match done.decision.next:
            case Next.DONE:
                return StepAnswer(replace(state, project_revision=done.revision), "image")
            case Next.FAILED:
                return _failed(state, f"job {done.job} {done.decision.reason}: {url}")
        if state.until and now >= state.until:
            return _failed(state, f"job {done.job} has not ended, and the bake's time is over: {url}")
        return StepAnswer(state, "provision", max(SOON, done.decision.wait))

    # Terminate

    def terminate(self, state: BakeState, now: float) -> BakeAnswer:
        """Terminate the builder, and remove its host once it is gone."""
        if state.phase != Phase.TERMINATING:
            state = replace(state, phase=Phase.TERMINATING, phase_since=now)
        builders = self._launching.find_all(state, Role.BUILDER, state.builder)
        if not all(each.gone for each in builders):
            self._aws.terminate([each.instance_id for each in builders if each.living])
            return StepAnswer(state, "terminate", next_wait(now - state.phase_since))
        kept = kept_words(self._hosts.remove({state.builder, *(each.instance_id for each in builders)}))
        return StepAnswer(replace(state, host_id=None, warnings=(*state.warnings, *kept)), "smoke")

    def cancel_jobs(self, state: BakeState) -> list[int]:
        """Cancel whatever job of the bake still runs on its builder; the ids. Raises what Tower refuses."""
        if not state.builder or state.job_template is None or state.inventory_id is None:
            return []
        return self._jobs.cancel(self._template(state), self._inventory(state), state.builder, state.execution_started)

    def _template(self, state: BakeState) -> JobTemplate:
        return self._tower.job_template(f"id:{state.job_template}")

    def _inventory(self, state: BakeState) -> Inventory:
        return self._tower.inventory(f"id:{state.inventory_id}")


def _gone_words(state: BakeState, builder: Instance | None) -> str:
    words = f"it is {builder.in_words}" if builder else "EC2 does not show it any more"
    return f"builder {state.builder} was ended by something else: {words}"


def _failed(state: BakeState, reason: str) -> BakeAnswer:
    return over(state, BakeResult.FAILED, reason)
