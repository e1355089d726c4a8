"""Reads from AWS and Tower what is known about the instances of a message on their way out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import read_group_settings
from rollcall.domain import timing
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import Permanent
from rollcall.domain.jobs import Outcome
from rollcall.hosts.job_templates import find_inventory_and_template, find_retire_template
from rollcall.hosts.jobs import deciding_retire_job
from rollcall.hosts.ownership import marker_of
from rollcall.hosts.stint import stint_of
from rollcall.hosts.unmatched_hosts import unmatched_hosts
from rollcall.hosts.variables import is_resting

from .lost_jobs import loss_of
from .retire_decision import RetireObservation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.domain.jobs import Job, JobKind, JobTemplate
    from rollcall.domain.messages import RetireMessage
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .lost_jobs import Loss


class LaunchSource(NamedTuple):
    """What a retire job is launched from; older jobs of it count from since on (epoch seconds by Tower's clock)."""

    template: JobTemplate
    inventory: Inventory
    since: float

    @property
    def kind(self) -> JobKind:
        """The kind of its jobs."""
        return self.template.on(self.inventory)


class JobSearch(NamedTuple):
    """The retire jobs of instances, and why others have none, all by instance id.

    not_needed, not_possible: see RetireObservation. source: what a job for them is launched from, None where none is to
    be. timeout: seconds that their group gives a job.
    """

    jobs: Mapping[str, Job] = EMPTY_MAPPING
    not_needed: Mapping[str, str] = EMPTY_MAPPING
    not_possible: Mapping[str, str] = EMPTY_MAPPING
    source: LaunchSource | None = None
    timeout: float = 0.0

    def explained(self, not_needed: Mapping[str, str], not_possible: Mapping[str, str] = EMPTY_MAPPING) -> JobSearch:
        """The same, with further reasons why instances have no job."""
        return self._replace(
            not_needed={**self.not_needed, **not_needed}, not_possible={**self.not_possible, **not_possible}
        )


class RetireObserver:
    """Reads what is known about the instances of one message.

    account: the installation's. group: None if it does not exist any more. closed: actions of which AWS says that their
    hook does not wait. now: epoch seconds by this machine's clock.
    """

    def __init__(
        self,
        message: RetireMessage,
        group: Group | None,
        account: str,
        tower: Tower,
        evidence: Evidence,
        fleet: Fleet,
        closed: Collection[LifecycleAction],
        now: float,
    ) -> None:
        self._message = message
        self._group = group
        self._account = account
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._closed = closed
        self._now = now

    def observe(
        self, actions: Sequence[LifecycleAction], message_job: Job | None
    ) -> tuple[dict[LifecycleAction, RetireObservation], LaunchSource | None]:
        """What is known about each action's instance, and what a job for them is launched from.

        message_job: the one with the message's job id, None if Tower has none.
        """
        search = self._search(actions, message_job)
        outcomes = self._outcomes(actions, search.jobs)
        return {each: self._observation(each, message_job, search, outcomes) for each in actions}, search.source

    def _observation(
        self,
        action: LifecycleAction,
        message_job: Job | None,
        search: JobSearch,
        outcomes: Mapping[str, Outcome],
    ) -> RetireObservation:
        message, instance_id = self._message, action.instance_id
        job = search.jobs.get(instance_id)
        hook_life = timing.hook_life(self._group, action) if self._group else 0.0
        seconds_left = message.since + hook_life / timing.RETIRE_SHARE - self._now
        job_age = self._tower.now() - job.created_at if job else 0.0
        loss = None if job else self._loss(instance_id, message_job, search.source)
        return RetireObservation(
            seconds_left=min(seconds_left, search.timeout - job_age) if job else seconds_left,
            not_needed=search.not_needed.get(instance_id, ""),
            not_possible=search.not_possible.get(instance_id, ""),
            job=job,
            job_age=job_age,
            outcome=outcomes.get(instance_id),
            requeued=action.token is None and message.job_id is None and not message.lost_jobs,
            loss=loss,
            launch_in=loss.pause if loss else message.relaunch_at - self._now,
        )

    def _loss(self, instance_id: str, message_job: Job | None, source: LaunchSource | None) -> Loss | None:
        """What became of the message's job, which does not count for an instance; None if it has none."""
        if self._message.job_id is None or source is None:
            return None
        return loss_of(self._message, message_job, instance_id, source.kind)

    # Their jobs

    def _search(self, actions: Sequence[LifecycleAction], message_job: Job | None) -> JobSearch:
        """The message's own job, or those that Tower has for its instances.

        Where the group's settings, or what they name in Tower, cannot be used, no job is possible for any of them.
        """
        ids = {action.instance_id for action in actions}
        search = JobSearch(self._jobs_of_message(ids, message_job), self._not_reachable(actions))
        if self._group and self._group.in_emergency:
            return search._replace(not_needed=dict.fromkeys(ids, "its group is in an emergency"))
        try:
            settings = read_group_settings(self._group) if self._group else None
            if not settings or not settings.retire_job_template:
                no_request = dict.fromkeys(ids, "its group does not ask for one any more")
                return search._replace(not_needed={**no_request, **search.not_needed})
            search = search._replace(timeout=settings.timeout)
            template, inventory, provisioning = self._templates(settings, settings.retire_job_template)
            if message_job and message_job.template_id != template.id:
                search = search._replace(jobs=EMPTY_MAPPING)
            able = ids - search.not_needed.keys()
            if search.jobs or not able:
                return search
            hosts = self._hosts(inventory, able)
            search = search.explained(*self._why_unmatched(inventory, able - hosts.keys()))
            return self._with_jobs(search, template, inventory, provisioning, hosts) if hosts else search
        except Permanent as error:
            return search._replace(not_possible=dict.fromkeys(ids, str(error)))

    def _templates(self, settings: GroupSettings, reference: str) -> tuple[JobTemplate, Inventory, JobTemplate | None]:
        """The retire template, the inventory, and the provisioning template if there is one. Raises BadSettings."""
        inventory, provisioning = find_inventory_and_template(self._tower, settings)
        return find_retire_template(self._tower, settings, reference, inventory, provisioning), inventory, provisioning

    def _jobs_of_message(self, ids: set[str], message_job: Job | None) -> dict[str, Job]:
        """The message's job for each, if it was launched on all of its instances for this retirement.

        Tower's job ids can be other jobs' ids by now: they come again after it was restored.
        """
        wanted = {action.instance_id for action in self._message.retiring}
        if message_job is None or not message_job.is_limited_to_ids or not message_job.hosts >= wanted:
            return {}
        is_for_this = message_job.created_at >= self._message.since - timing.CLOCKS_APART
        return dict.fromkeys(ids, message_job) if is_for_this else {}

    def _not_reachable(self, actions: Sequence[LifecycleAction]) -> dict[str, str]:
        """By instance id, why no job can reach it any more, or why its hook does not wait for one."""
        instances = self._fleet.instances({action.instance_id for action in actions})
        reasons = {each.instance_id: self._why_not_reachable(each, instances.get(each.instance_id)) for each in actions}
        return {instance_id: reason for instance_id, reason in reasons.items() if reason}

    def _why_not_reachable(self, action: LifecycleAction, instance: Instance | None) -> str:
        if action in self._closed:
            return "its hook is over"
        if instance is None:
            return "EC2 does not know it"
        return "" if instance.state == "running" else f"EC2 says that it is {instance.state}"

    def _hosts(self, inventory: Inventory, ids: set[str]) -> dict[str, Host]:
        """The hosts that a limit to these instances can match, by their names, disabled ones included."""
        found = self._tower.hosts_named(inventory, ids)
        return {host.name: host for host in found if self._is_host_of(host.name, host)}

    def _is_host_of(self, instance_id: str, host: Host) -> bool:
        """Whether a host, whatever its name, is the one of ours that was made for an instance."""
        marker = marker_of(host, self._account, self._fleet.region)
        return marker is not None and marker.instance_id == instance_id

    def _with_jobs(
        self,
        search: JobSearch,
        template: JobTemplate,
        inventory: Inventory,
        provisioning: JobTemplate | None,
        hosts: Mapping[str, Host],
    ) -> JobSearch:
        """The same, with the retire jobs that ran on these hosts, and why none can be launched on others of them."""
        since = {name: max(stint_of(host).since, self._tower.now() - self._life()) for name, host in hosts.items()}
        source = LaunchSource(template, inventory, min(since.values()))
        ran = self._tower.jobs_holding(source.kind, hosts, source.since)
        jobs = {name: job for name in hosts if (job := deciding_retire_job(name, ran, since[name]))}
        without_job = [host for name, host in hosts.items() if name not in jobs]
        disabled = {host.name for host in without_job if not host.enabled}
        search = search._replace(jobs=jobs, source=source).explained(*self._why_unmatched(inventory, disabled))
        if provisioning and without_job:
            search = search.explained(self._being_provisioned(provisioning.on(inventory), without_job))
        return search

    def _life(self) -> float:
        """Seconds that the longest of the hooks can wait."""
        assert self._group  # noqa: S101 - it has a retire job template
        return max(timing.hook_life(self._group, action) for action in self._message.retiring)

    def _why_unmatched(self, inventory: Inventory, ids: set[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Why no job can be limited to these: what is as it should be (not_needed), and what is not (not_possible)."""
        unmatched = unmatched_hosts(self._tower, inventory, ids) if ids else {}
        not_needed: dict[str, str] = {}
        not_possible: dict[str, str] = {}
        for instance_id in ids:
            found = unmatched.get(instance_id)
            if found is None or found.host is None or not self._is_host_of(instance_id, found.host):
                not_needed[instance_id] = f"inventory {inventory.name!r} has no host of ours for it"
            elif is_resting(found.host.variables):
                not_needed[instance_id] = "its host rests, and is disabled for that"
            else:
                not_possible[instance_id] = found.reason
        return not_needed, not_possible

    def _being_provisioned(self, kind: JobKind, hosts: Sequence[Host]) -> dict[str, str]:
        """Those of the hosts on which a provisioning job still runs: their instances have not served yet."""
        since = {host.name: stint_of(host).since for host in hosts}
        jobs = self._tower.jobs_holding(kind, since.keys(), min(since.values()))
        return {
            name: f"its provisioning job {job.id} is not over, so it never served"
            for job in jobs
            if not job.status.final
            for name in job.hosts & since.keys()
            if job.created_at >= since[name]
        }

    def _outcomes(self, actions: Sequence[LifecycleAction], jobs: Mapping[str, Job]) -> dict[str, Outcome]:
        """What ended jobs showed about instances; without those whose job runs, or whose result Tower still processes.

        Tower is not waited for longer than timing.RETIRE_EVENTS_TOO_LONG: then the job proved nothing.
        """
        ended: defaultdict[Job, set[str]] = defaultdict(set)
        for name, job in jobs.items():
            if job.status.final:
                ended[job].add(name)
        outcomes: dict[str, Outcome] = {}
        for job, names in ended.items():
            shown = self._evidence.outcomes(job, names, actions[0].group)
            if shown is not None:
                outcomes |= shown
            elif job.seconds_since_end(self._tower.now()) > timing.RETIRE_EVENTS_TOO_LONG:
                outcomes |= dict.fromkeys(names, Outcome.UNPROVEN)
        return outcomes
