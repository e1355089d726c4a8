"""What `smoke=provision` runs on the instance of a new image: the group's provisioning job, and then its retire job.

Its host is in the inventory of bakes, in groups of the names that the group's hosts are in, marked as a smoke test's,
and with the variable rollcall_smoke: so a playbook knows not to let it join what the group serves. It is retired as the
group would: the retire job, its node in Chef, its host.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import read_group_settings
from rollcall.domain.bake_tags import Role
from rollcall.domain.chef_nodes import NamedAfter, node_name
from rollcall.domain.errors import BadSettings, Permanent
from rollcall.domain.groups import AddressKind
from rollcall.domain.instances import UserDataParameters
from rollcall.domain.settings import JOB_TAG
from rollcall.hosts.job_templates import find_retire_template, require_limitable
from rollcall.tower.connection import job_page
from rollcall.workflow.waiting import SOON

from .hosts import BakeHosts, kept_words
from .job_round import Next
from .provisioning import BakeJobs

if TYPE_CHECKING:
    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .state import BakeState

VARIABLE = "rollcall_smoke"  # of the host, for playbooks


class SmokeRound(NamedTuple):
    """What came of a round. wait: seconds until the next one, 0 at the end. failed: why the image did, empty if not."""

    state: BakeState
    wait: float = 0.0
    failed: str = ""


class _Group(NamedTuple):
    """What is run where. retires: None where the group has no retire job."""

    settings: GroupSettings
    inventory: Inventory
    provisions: JobTemplate
    retires: JobTemplate | None


class SmokeJobs:
    """Runs the group's jobs on instances of smoke tests. chef: None where there is none."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, evidence: Evidence, chef: Chef | None) -> None:
        self._tower = tower
        self._fleet = fleet
        self._hosts = BakeHosts(settings, tower, fleet)
        self._jobs = BakeJobs(tower, evidence)
        self._chef = chef

    def step(self, state: BakeState, instance: Instance, user_data: str, now: float) -> SmokeRound:
        """Register the instance, run its job, retire it: as far as that goes in one round. now: epoch seconds.

        user_data: the instance's, in base64. That it cannot be retired is a warning. Raises what AWS, Tower and Chef
        fail at for now.
        """
        try:
            group = self._group(state)
            if state.smoke_host_id is None:
                state = self._registered(state, group, instance, user_data)
            provisioned = self._follow(state, group.provisions, group.inventory)
        except Permanent as error:
            return SmokeRound(state, failed=f"the group's job is not run on {instance.instance_id}: {error}")
        if provisioned.failed:
            return provisioned
        if provisioned.wait:
            return self._in_time(provisioned, now)
        return self._retired(provisioned.state, group, instance, now)

    def _group(self, state: BakeState) -> _Group:
        """Raises BadSettings where the group's jobs cannot be run in the inventory of bakes."""
        group = self._fleet.groups({state.group}).get(state.group)
        settings = read_group_settings(group) if group else None
        if settings is None or settings.job_template is None:
            raise BadSettings(f"group {state.group!r} has no tag {JOB_TAG}: smoke=provision needs one")
        inventory = self._tower.inventory(f"id:{state.inventory_id}")
        template = self._tower.job_template(settings.job_template)
        require_limitable(template, inventory, settings)
        reference = settings.retire_job_template
        retires = find_retire_template(self._tower, settings, reference, inventory, template) if reference else None
        return _Group(settings, inventory, template, retires)

    def _registered(self, state: BakeState, group: _Group, instance: Instance, user_data: str) -> BakeState:
        """With the instance's host, in the inventory groups and with the variables that the group's instances get."""
        settings, inventory = group.settings, group.inventory
        parameters = _parameters(user_data) if settings.user_data and user_data else UserDataParameters()
        more = {**parameters.variables, VARIABLE: True}
        host = self._hosts.register(state, Role.SMOKE, instance, inventory, settings.address, **more)
        names = dict.fromkeys((*settings.inventory_groups, *parameters.groups))
        for group_id in self._tower.group_ids(inventory, names).values():
            self._tower.add_to_group(group_id, host)
        warnings = (*state.warnings, parameters.warning) if parameters.warning else state.warnings
        return replace(state, smoke_host_id=host, warnings=warnings)

    def _follow(self, state: BakeState, template: JobTemplate, inventory: Inventory) -> SmokeRound:
        done = self._jobs.follow(template, inventory, state.smoke_instance, state.group, state.execution_started)
        url = job_page(self._tower.root, done.job) if done.job is not None else ""
        state = replace(state, smoke_job=done.job, smoke_job_url=url)
        match done.decision.next:
            case Next.DONE:
                return SmokeRound(state)
            case Next.FAILED:
                return SmokeRound(state, failed=f"job {done.job} {done.decision.reason}: {url}")
        return SmokeRound(state, max(SOON, done.decision.wait))

    def _in_time(self, running: SmokeRound, now: float) -> SmokeRound:
        state = running.state
        if not state.until or now < state.until:
            return running
        words = f"job {state.smoke_job} has not ended, and the bake's time is over: {state.smoke_job_url}"
        return SmokeRound(state, failed=words)

    def _retired(self, state: BakeState, group: _Group, instance: Instance, now: float) -> SmokeRound:
        warnings = []
        if group.retires:
            try:
                retired = self._follow(state, group.retires, group.inventory)
            except Permanent as error:
                retired = SmokeRound(state, failed=str(error))
            if retired.wait and not self._in_time(retired, now).failed:
                return retired
            state = retired.state
            if retired.failed or retired.wait:
                why = retired.failed or f"job {state.smoke_job} has not ended"
                warnings.append(f"{instance.instance_id} of the smoke test was not retired: {why}")
        warnings += self._without_node(group.settings, instance)
        try:
            warnings += kept_words(self._hosts.remove([instance.instance_id]))
        except Permanent as error:
            warnings.append(f"the host of {instance.instance_id} stays in Tower: {error}")
        return SmokeRound(replace(state, smoke_host_id=None, warnings=(*state.warnings, *warnings)))

    def _without_node(self, settings: GroupSettings, instance: Instance) -> list[str]:
        """Remove the instance's node from Chef, where its group has nodes; why not, if that is refused."""
        if self._chef is None or settings.nodes is None:
            return []
        from rollcall.chef.removal import NamedNode, remove_node  # imported where used: it slows a cold start

        private_dns = instance.addresses[AddressKind.PRIVATE_DNS]
        name = node_name(settings.nodes, instance.instance_id, private_dns)
        if name is None:
            return []
        certain = instance.living or settings.nodes.named_after == NamedAfter.INSTANCE_ID
        try:
            remove_node(self._chef, NamedNode(name, instance.instance_id, certain))
        except Permanent as error:
            return [f"node {name} stays in Chef: {error}"]
        return []


def _parameters(user_data: str) -> UserDataParameters:
    """The variables and groups in user data; a warning where it cannot be followed. Pure."""
    from rollcall.hosts.user_data import UnusableUserData, read_user_data  # imported where used: it slows a cold start

    try:
        return read_user_data(user_data)
    except UnusableUserData as error:
        return UserDataParameters(warning=f"the user data is not followed in the smoke test: {error}")
