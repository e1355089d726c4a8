"""The clients that decisions work with, in memory. test_fakes.py holds them to the real ones' methods."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from copy import replace
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from lab.clock import StillClock
from rollcall.aws.auto_scaling import Activity
from rollcall.aws.fleet import Fleet, Fleets, require_served
from rollcall.aws.queues import Queues
from rollcall.aws.target_groups import NOT_REGISTERED, TargetHealth, Targets
from rollcall.chef.client import Chef
from rollcall.domain.actions import LifecycleAction, Result
from rollcall.domain.chef_nodes import Node
from rollcall.domain.errors import (
    AwsDenied,
    AwsRejected,
    BadSettings,
    DeleteRefused,
    DeleteRejected,
    HostLimitReached,
    InstancesRefused,
    Kept,
    RollcallError,
    Throttled,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.groups import Group, Hook
from rollcall.domain.instances import Instance
from rollcall.domain.inventories import MARKER, BulkLimits, Dump, DumpedHost, Host, HostLimit, Inventory
from rollcall.domain.jobs import (
    HostSummary,
    Job,
    JobEvent,
    JobKind,
    JobStatus,
    JobTemplate,
    LaunchTerms,
    Outcome,
    PastJob,
    Project,
    TowerUser,
)
from rollcall.domain.membership import Membership, OptedIn, holds
from rollcall.domain.message_format import Record, read_gate_message
from rollcall.domain.messages import GateMessage, RetireMessage, WatchMessage
from rollcall.evidence.host_outcomes import proves_nothing
from rollcall.evidence.job_reader import Evidence
from rollcall.telemetry.doctor_announcer import FindingsAnnouncer
from rollcall.telemetry.event_bus import EventBus
from rollcall.telemetry.reconcile_announcer import RunAnnouncer
from rollcall.tower.bulk_hosts import BULK_CREATE_MAX, BULK_DELETE_MAX, MadeHosts, NewHost
from rollcall.tower.client import Tower
from rollcall.tower.references import NOT_FOUND_REMEDY, Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.bake.starting import BakesOutcome
    from rollcall.cycle.starting import CyclesOutcome
    from rollcall.domain.findings import Finding
    from rollcall.domain.reports import Report
    from rollcall.domain.settings import Settings
    from rollcall.http.transport import Exchange
    from rollcall.lifecycle.target_watch import TargetHealthChange
    from rollcall.reconcile.result import RunOutcome
    from rollcall.telemetry.event_details import PublishedEvent
    from rollcall.tower.client import Tower

ACCOUNT, REGION = "123456789012", "us-east-1"
JOB_TIMEOUT = 1200  # seconds; of every template

Clock = StillClock


@dataclass
class RunJob:
    """A job and what it shows of its hosts once processed: the outcomes, or what these are read from."""

    job: Job
    inventory: Inventory
    outcomes: dict[str, Outcome]
    processed: bool = False
    summaries: dict[str, HostSummary] = field(default_factory=dict)
    events: list[JobEvent] = field(default_factory=list)


class FakeTower(Tower):
    """A Tower in memory.

    ambiguous: by reference, the ids of the inventories that it can mean. unavailable: it cannot be asked at all.
    failing: methods that raise an error. undumped: ids of inventories that it does not show as a whole. denied: ids of
    inventories whose hosts it keeps. disabled: ids of hosts. unfit: why it makes no host of that name, and keeps one.
    room: for how many more hosts, None for any number. usual: what jobs usually take; past: those that succeeded, as
    doctor sees them. after_create: what happens as soon as hosts were made. before_call: what happens before any
    method, given its name, is answered.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ambiguous: dict[str, set[int]] = {}
        self.unavailable = False
        self.failing: dict[str, RollcallError] = {}
        self.undumped: dict[int, RollcallError] = {}
        self.denied: set[int] = set()
        self.disabled: set[int] = set()
        self.unfit: dict[str, RollcallError] = {}
        self.room: int | None = None
        self.usual: tuple[float, ...] = ()
        self.past: tuple[PastJob, ...] = ()
        self.before_create: list[Callable[[], object]] = []
        self.before_delete: list[Callable[[], object]] = []
        self.after_create: Callable[[], None] = lambda: None
        self.before_call: Callable[[str], object] = lambda method: None
        self.calls: Counter[str] = Counter()
        self.by_reference: dict[str, Inventory] = {}
        self.templates: dict[str, JobTemplate] = {}
        self.projects: dict[int, Project] = {}
        self.hosts: dict[int, Host] = {}
        self.groups: dict[tuple[int, str], int] = {}
        self.members: set[tuple[int, int]] = set()
        self.memberships_made: list[tuple[int, int]] = []
        self.runs: dict[int, RunJob] = {}
        self.updated: list[int] = []
        self.asked: list[Exchange] = []
        self._ids = count(1)

    # What a test sets up and asks

    def add_inventory(self, reference: str, name: str | None = None) -> Inventory:
        """An inventory that is found by this reference."""
        return self.by_reference.setdefault(reference, Inventory(next(self._ids), name or reference))

    def add_template(self, name: str, **changes: Any) -> JobTemplate:
        """A template that can be limited to hosts, unless changes say otherwise."""
        template = JobTemplate(
            id=next(self._ids), name=name, inventory_id=None, asks_limit=True, asks_inventory=True, slices=1
        )
        self.templates[name] = replace(template, **changes)
        return self.templates[name]

    def add_host(self, inventory: Inventory, name: str, **changes: Any) -> Host:
        """A host named so, ours if its variables carry the marker."""
        host = Host(
            id=next(self._ids),
            name=name,
            inventory_id=inventory.id,
            inventory_name=inventory.name,
            instance_id=name,
            variables={},
            created_at=self.clock.now,
            group_ids=frozenset(),
        )
        self.hosts[host.id] = replace(host, **changes)
        return self.hosts[host.id]

    def add_job(self, template: JobTemplate, inventory: Inventory, *names: str) -> Job:
        """A job that runs on these hosts since now."""
        job = Job(
            id=next(self._ids),
            template_id=template.id,
            status=JobStatus.RUNNING,
            hosts=frozenset(names),
            created_at=self.clock.now,
            started_at=self.clock.now,
            finished_at=None,
            explanation="",
            inventory_id=inventory.id,
            playbook="site.yml",
            scm_revision="c0ffee",
            launched_by="fleet",
        )
        self.runs[job.id] = RunJob(job, inventory, {})
        return job

    def end_job(
        self, job_id: int, outcomes: Mapping[str, Outcome], status: JobStatus | None = None, *, processed: bool = True
    ) -> Job:
        """End a job now; it failed unless everybody is ok, or status says otherwise."""
        run = self.runs[job_id]
        fine = set(outcomes.values()) == {Outcome.OK}
        run.job = replace(
            run.job,
            status=status or (JobStatus.SUCCESSFUL if fine else JobStatus.FAILED),
            finished_at=self.clock.now,
        )
        run.outcomes, run.processed = dict(outcomes), processed
        return run.job

    def groups_of(self, host_id: int) -> set[str]:
        """The names of the groups that a host is in."""
        return {name for (_, name), group_id in self.groups.items() if (group_id, host_id) in self.members}

    def names_in(self, inventory: Inventory) -> set[str]:
        """The names of an inventory's hosts."""
        return {host.name for host in self.hosts.values() if host.inventory_id == inventory.id}

    def _asked(self, method: str) -> None:
        self.calls[method] += 1
        self.before_call(method)
        if self.unavailable:
            raise TowerUnavailable("Tower is away")
        if method in self.failing:
            raise self.failing[method]

    # What decisions use

    def finish_within(self, seconds: float) -> None: ...

    @property
    def root(self) -> str:
        return "https://tower.example.com/api/v2/"

    def exchanges(self) -> list[Exchange]:
        exchanged, self.asked = self.asked, []
        return exchanged

    def now(self) -> float:
        return self.clock.now

    def inventory(self, reference: str) -> Inventory:
        self._asked("inventory")
        if reference in self.ambiguous:
            raise BadSettings(f"inventory {reference!r} is ambiguous", candidates=self.ambiguous[reference])
        if reference not in self.by_reference:
            raise BadSettings(f"Tower has no inventory {reference!r} that the token can read: {NOT_FOUND_REMEDY}")
        return self.by_reference[reference]

    def project(self, project_id: int) -> Project:
        self._asked("project")
        return self.projects[project_id]

    def job_template(self, reference: str) -> JobTemplate:
        self._asked("job_template")
        if reference not in self.templates:
            raise BadSettings(f"Tower has no job template {reference!r} that the token can read: {NOT_FOUND_REMEDY}")
        return self.templates[reference]

    def list_inventories(self) -> list[Listed]:
        self._asked("list_inventories")
        return [Listed(each.id, each.name, each.organization) for each in self.by_reference.values()]

    def list_job_templates(self) -> list[Listed]:
        self._asked("list_job_templates")
        return [Listed(each.id, each.name, "Default") for each in self.templates.values()]

    def version(self) -> str:
        self._asked("version")
        return "24.6.1"

    def user(self) -> TowerUser:
        self._asked("user")
        return TowerUser("fleet", writes=True)

    def has_bulk_calls(self) -> bool:
        self._asked("has_bulk_calls")
        return True

    def bulk_limits(self) -> BulkLimits | None:
        self._asked("bulk_limits")
        return BulkLimits(BULK_CREATE_MAX, BULK_DELETE_MAX)

    def may_change(self, inventory: Inventory) -> bool:
        self._asked("may_change")
        return inventory.id not in self.denied

    def organization_limit(self, inventory: Inventory) -> HostLimit | None:
        self._asked("organization_limit")
        return None

    def licence_limit(self) -> HostLimit | None:
        self._asked("licence_limit")
        return None

    def launch_terms(self, template: JobTemplate) -> LaunchTerms:
        self._asked("launch_terms")
        return LaunchTerms(startable=True, simultaneous=True, timeout=JOB_TIMEOUT)

    def past_jobs(self, template: JobTemplate) -> tuple[PastJob, ...]:
        self._asked("past_jobs")
        return self.past

    def default_job_timeout(self) -> int | None:
        self._asked("default_job_timeout")
        return None

    def marked_inventories(self) -> list[Inventory]:
        self._asked("marked_inventories")
        marked = {host.inventory_id for host in self.hosts.values() if MARKER in str(host.variables)}
        return [inventory for inventory in self._inventories_by_id() if inventory.id in marked]

    def _inventories_by_id(self) -> list[Inventory]:
        return sorted(set(self.by_reference.values()), key=lambda each: each.id)

    def dump(self, inventory: Inventory) -> Dump:
        self._asked("dump")
        if inventory.id in self.undumped:
            raise self.undumped[inventory.id]
        return Dump(
            inventory,
            tuple(
                DumpedHost(
                    id=host.id,
                    name=host.name,
                    inventory_id=inventory.id,
                    inventory_name=inventory.name,
                    enabled=host.id not in self.disabled,
                    variables=host.variables,
                    groups=frozenset(self.groups_of(host.id)),
                )
                for host in self.hosts.values()
                if host.inventory_id == inventory.id
            ),
        )

    def created_at(self, host_ids: Collection[int]) -> dict[int, float]:
        self._asked("created_at")
        return {each: self.hosts[each].created_at for each in host_ids if each in self.hosts}

    def hosts_named(self, inventory: Inventory, names: Collection[str]) -> list[Host]:
        self._asked("hosts_named")
        return [
            replace(host, enabled=host.id not in self.disabled)
            for host in self.hosts.values()
            if host.inventory_id == inventory.id and host.name in names
        ]

    def names_of_group(self, inventory: Inventory, group: str, names: Collection[str]) -> set[str]:
        self._asked("names_of_group")
        return {
            host.name
            for host in self.hosts.values()
            if host.inventory_id == inventory.id
            if host.name in names and (host.marker or {}).get("group") == group
        }

    def hosts_of(self, instance_ids: Collection[str]) -> list[Host]:
        self._asked("hosts_of")
        return [
            replace(host, enabled=host.id not in self.disabled)
            for host in self.hosts.values()
            if {host.name, host.instance_id} & set(instance_ids)
        ]

    def hosts_at(self, inventory: Inventory, addresses: Collection[str]) -> list[Host]:
        self._asked("hosts_at")
        return [
            replace(host, enabled=host.id not in self.disabled)
            for host in self.hosts.values()
            if host.inventory_id == inventory.id and str(host.variables.get("ansible_host")) in addresses
        ]

    def create_hosts(self, inventory: Inventory, hosts: Sequence[NewHost]) -> MadeHosts:
        self._asked("create_hosts")
        if self.before_create:
            self.before_create.pop(0)()
        existing = {host.name: host for host in self.hosts.values() if host.inventory_id == inventory.id}
        ids: dict[str, int] = {}
        errors: dict[str, RollcallError] = {}
        full = HostLimitReached(f"no host is added to inventory {inventory.name!r}: its organization is full")
        for host in hosts:
            name = host.instance_id
            if name in self.unfit:
                errors[name] = self.unfit[name]
            elif name not in existing and self.room is not None and len(ids) >= self.room:
                errors[name] = full
            elif name not in existing:
                fields = {"variables": dict(host.variables), "description": host.description}
                ids[name] = self.add_host(inventory, name, **fields).id
        if self.room is not None:
            self.room -= len(ids)
        self.disabled |= {ids[host.instance_id] for host in hosts if host.instance_id in ids and not host.enabled}
        self.after_create()
        there = {host.instance_id: existing[host.instance_id] for host in hosts if host.instance_id in existing}
        return MadeHosts(ids, there, errors)

    def remove_host(self, name: str) -> None:
        """Every host of that name is gone."""
        self.hosts = {host.id: host for host in self.hosts.values() if host.name != name}

    def update_host(
        self,
        host_id: int,
        instance_id: str,
        variables: Mapping[str, object],
        *,
        enabled: bool | None = None,
        description: str | None = None,
    ) -> None:
        self._asked("update_host")
        self._require_host(host_id)
        host = replace(self.hosts[host_id], instance_id=instance_id, variables=dict(variables))
        self.hosts[host_id] = host if description is None else replace(host, description=description)
        if enabled is not None:
            (self.disabled.discard if enabled else self.disabled.add)(host_id)
        self.updated.append(host_id)

    def _require_host(self, host_id: int) -> None:
        if host_id not in self.hosts:
            raise TowerRejected(f"Tower has no host {host_id}")

    def delete_hosts(self, hosts: Sequence[Host | DumpedHost]) -> Mapping[int, Kept]:
        self._asked("delete_hosts")
        if self.before_delete:
            self.before_delete.pop(0)()
        kept: dict[int, Kept] = {}
        for host in hosts:
            where = frozenset({host.inventory_name})
            if host.id in self.hosts and host.inventory_id in self.denied:
                kept[host.id] = DeleteRefused(f"the token may not remove hosts of {host.inventory_name}", where)
            elif host.id in self.hosts and host.name in self.unfit:
                kept[host.id] = DeleteRejected(f"host {host.name} is not deleted", where)
            else:
                self.hosts.pop(host.id, None)
        return kept

    def group_ids(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        self._asked("group_ids")
        if taken := sorted(self.names_in(inventory) & set(names)):
            raise BadSettings(f"inventory {inventory.name!r} has a host {taken[0]!r}")
        return {name: self.groups.setdefault((inventory.id, name), next(self._ids)) for name in names}

    def groups_named(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        self._asked("groups_named")
        return {name: self.groups[inventory.id, name] for name in names if (inventory.id, name) in self.groups}

    def add_to_group(self, group_id: int, host_id: int) -> None:
        self._asked("add_to_group")
        self._require_host(host_id)
        self.members.add((group_id, host_id))
        self.memberships_made.append((group_id, host_id))

    def take_out_of_group(self, group_id: int, host_id: int) -> None:
        self._asked("take_out_of_group")
        self._require_host(host_id)
        self.members.discard((group_id, host_id))

    def group_members(self, group_id: int, names: Collection[str]) -> set[str]:
        self._asked("group_members")
        return {self.hosts[host].name for group, host in self.members if group == group_id} & set(names)

    def launch(self, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
        self._asked("launch")
        assert instance_ids, "a job without a limit runs on every host"
        return self.add_job(template, inventory, *instance_ids).id

    def cancel(self, job_id: int) -> None:
        self._asked("cancel")
        run = self.runs[job_id]
        if not run.job.status.final:
            run.job = replace(run.job, status=JobStatus.CANCELED, finished_at=self.clock.now)

    def jobs(self, ids: Collection[int]) -> dict[int, Job]:
        self._asked("jobs")
        return {each: self.runs[each].job for each in ids if each in self.runs}

    def jobs_holding(self, kind: JobKind, instance_ids: Collection[str], since: float) -> list[Job]:
        self._asked("jobs_holding")
        jobs = [self.runs[each].job for each in sorted(self.runs, reverse=True)]
        return [job for job in jobs if job.kind == kind and job.hosts & set(instance_ids) and job.created_at >= since]

    def has_reached(self, kind: JobKind, since: float, newest: int) -> bool:
        self._asked("has_reached")
        return any(
            self._was_reached(run, name)
            for run in self.runs.values()
            if run.job.kind == kind and run.job.created_at >= since and run.job.id <= newest and run.processed
            for name in run.outcomes
        )

    @staticmethod
    def _was_reached(run: RunJob, name: str) -> bool:
        """As a summary says it, which distinguishes what the playbook ignores from what it does not, and no more."""
        if summary := run.summaries.get(name):
            return summary.unreachable == summary.ignored == 0
        return run.outcomes[name] not in (Outcome.UNREACHABLE, Outcome.UNPROVEN)

    def jobs_unreached(self, kind: JobKind, since: float, count: int) -> list[Job]:
        self._asked("jobs_unreached")
        alike = [each for each in self._alike(kind) if each.created_at >= since and each.status.final]
        dark, ignoring = (
            [each for each in alike if any(own[number] for own in self._not_well(self.runs[each.id]))][:count]
            for number in range(2)
        )
        return [*dark, *(each for each in ignoring if each not in dark)]

    @staticmethod
    def _not_well(run: RunJob) -> list[tuple[bool, bool]]:
        """Of each host of a job, whether its summary says that it was unreachable, and that something was ignored."""
        return [
            (bool(summary.unreachable), bool(summary.ignored)) if summary else (outcome == Outcome.UNREACHABLE, False)
            for name, outcome in run.outcomes.items()
            for summary in [run.summaries.get(name)]
        ]

    def names_without_host(self, job: Job) -> frozenset[str]:
        self._asked("names_without_host")
        run = self.runs[job.id]
        return frozenset(run.outcomes) - self.names_in(run.inventory)

    def jobs_of_group_before(self, job: Job, group: str, count: int) -> list[Job]:
        self._asked("jobs_of_group_before")
        hosts = [host for host in self.hosts.values() if host.inventory_id == job.inventory_id]
        own = {host.name for host in hosts if (host.marker or {}).get("group") == group}
        there = {host.name for host in hosts}
        ended = [each for each in self._alike(job.kind) if each.id < job.id]
        return [
            each
            for each in ended
            if (each.hosts & own and each.status in (JobStatus.SUCCESSFUL, JobStatus.FAILED))
            or (each.hosts - there and each.status == JobStatus.FAILED)
        ][:count]

    def _alike(self, kind: JobKind) -> list[Job]:
        return [run.job for _, run in sorted(self.runs.items(), reverse=True) if run.job.kind == kind]

    def good_jobs(self, job: Job, count: int) -> list[Job]:
        self._asked("good_jobs")
        same = (job.playbook, job.scm_revision)
        good = [each for each in self._alike(job.kind) if each.status == JobStatus.SUCCESSFUL]
        return [each for each in good if (each.playbook, each.scm_revision) == same][:count]

    def last_good_job(self, job: Job) -> Job | None:
        self._asked("last_good_job")
        good = [each for each in self._alike(job.kind) if each.status == JobStatus.SUCCESSFUL]
        return next((each for each in good if each.playbook == job.playbook), None)

    def active_after(self, job: Job, count: int) -> list[Job]:
        self._asked("active_after")
        return [each for each in self._alike(job.kind) if each.id > job.id and not each.status.final][:count]

    def usual_durations(self, kind: JobKind) -> tuple[float, ...]:
        self._asked("usual_durations")
        return self.usual

    def has_all_events(self, job_id: int) -> bool:
        self._asked("has_all_events")
        return self.runs[job_id].processed

    def summaries(self, job_id: int, names: Collection[str]) -> dict[str, HostSummary]:
        self._asked("summaries")
        return {name: own for name, own in self.runs[job_id].summaries.items() if name in names}

    def count_well(self, job_id: int, names: Collection[str], *, ignoring: bool) -> int:
        self._asked("count_well")
        return sum(
            own.failures == own.unreachable == 0 and (ignoring or own.ignored == 0)
            for name, own in self.runs[job_id].summaries.items()
            if name in names
        )

    def ran_on_some(self, job_id: int) -> bool:
        self._asked("ran_on_some")
        return bool(self.runs[job_id].summaries)

    def events(
        self, job_id: int, kinds: Collection[str], at_most: int, hosts: Collection[str] = ()
    ) -> list[JobEvent] | None:
        self._asked("events")
        found = self._events(job_id, kinds, hosts)
        return found if len(found) <= at_most else None

    def last_events(
        self, job_id: int, count: int, kinds: Collection[str] = (), hosts: Collection[str] = ()
    ) -> list[JobEvent]:
        self._asked("last_events")
        return sorted(self._events(job_id, kinds, hosts), key=lambda each: -each.counter)[:count]

    def _events(self, job_id: int, kinds: Collection[str], hosts: Collection[str]) -> list[JobEvent]:
        return [
            each
            for each in self.runs[job_id].events
            if (not kinds or each.kind in kinds) and (not hosts or each.host in hosts)
        ]


class FakeEvidence(Evidence):
    """What the jobs of a Tower in memory were set up to show.

    comparing: jobs that are better known soon. silent_since: when the newest event of a job came, its start if it is
    left out. longest: seconds of the longest task of a good run. hanging: hosts that do not answer, by job.
    """

    def __init__(self, tower: FakeTower) -> None:
        self.tower = tower
        self.comparing: set[int] = set()
        self.silent_since: dict[int, float] = {}
        self.longest: float | None = None
        self.hanging: dict[int, frozenset[str]] = {}

    def silence(self, job: Job, now: float) -> float:
        self.tower._asked("silence")
        return now - self.silent_since.get(job.id, job.started_at or now)

    def longest_task(self, job: Job) -> float | None:
        self.tower._asked("longest_task")
        return self.longest

    def hosts_without_result(self, job: Job) -> frozenset[str]:
        self.tower._asked("unanswered")
        return self.hanging.get(job.id, frozenset())

    def outcomes(self, job: Job, names: Collection[str], group: str) -> Mapping[str, Outcome] | None:
        self.tower._asked("outcomes")
        run = self.tower.runs[job.id]
        if proves_nothing(job):
            return dict.fromkeys(names, Outcome.UNPROVEN)
        return {name: run.outcomes.get(name, Outcome.UNPROVEN) for name in names} if run.processed else None

    def is_good_run_expected(self, job: Job, name: str, now: float) -> bool:
        return job.id in self.comparing


class FakeTargets(Targets):
    """Target groups in memory: who becomes a target is initial until said() says otherwise.

    kinds: of target groups that take no instances. refusing: why AWS does not take an instance, by id. failing: methods
    that raise an error. before_call: what happens before any method, given its name, is answered.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.refusing: dict[str, str] = {}
        self.failing: dict[str, RollcallError] = {}
        self.before_call: Callable[[str], object] = lambda method: None
        self.calls: Counter[str] = Counter()
        self.known: dict[tuple[str, str], TargetHealth] = {}

    def said(self, state: str, reason: str = "", *, of: str, by: str) -> None:
        """What the target group says of an instance from now on."""
        self.known[by, of] = TargetHealth(state, reason)

    def registered(self, target_group: str) -> set[str]:
        """The targets of a target group that are not on their way out."""
        return {
            each for (known_by, each), health in self.known.items() if known_by == target_group if health.registered
        }

    def _asked(self, method: str) -> None:
        self.calls[method] += 1
        self.before_call(method)
        if method in self.failing:
            raise self.failing[method]

    def types(self, target_groups: Collection[str]) -> dict[str, str]:
        self._asked("types")
        return {each: self.kinds.get(each, "instance") for each in target_groups}

    def health(self, target_group: str, instance_ids: Collection[str]) -> dict[str, TargetHealth]:
        self._asked("health")
        stranger = TargetHealth("unused", NOT_REGISTERED)
        return {each: self.known.get((target_group, each), stranger) for each in instance_ids}

    def register(self, target_group: str, instance_ids: Collection[str]) -> dict[str, str]:
        self._asked("register")
        for each in set(instance_ids) - self.refusing.keys():
            self.said("initial", "Elb.RegistrationInProgress", of=each, by=target_group)
        return {each: self.refusing[each] for each in instance_ids if each in self.refusing}

    def deregister(self, target_group: str, instance_ids: Collection[str]) -> None:
        self._asked("deregister")
        for each in instance_ids:
            if (target_group, each) in self.known:
                self.said("draining", "Target.DeregistrationInProgress", of=each, by=target_group)


class FakeFleet(Fleet):
    """The groups and instances of one Region in memory.

    known_arrivals, known_departures: by instance id, when its group began to launch it, and to terminate it. stale:
    instances whose actions are not open any more. throttled, denied: instances whose hooks cannot be answered. refused:
    ids that AWS calls wrong. failing: methods that raise an error. known_hooks: by group. waits_for: by instance id the
    one hook whose action is open, where not all are. before_call: what happens before any method, given its name, is
    answered; before_instances: likewise, given the ids that EC2 is asked about. known_user_data: by instance id what
    EC2 gives, others have none; asked_user_data: the instances it was asked about.
    """

    def __init__(self, region: str) -> None:
        self.region = region
        self.known_arrivals: dict[str, float] = {}
        self.known_departures: dict[str, float] = {}
        self.known_groups: dict[str, Group] = {}
        self.known_hooks: dict[str, list[Hook]] = {}
        self.waits_for: dict[str, str] = {}
        self.before_call: Callable[[str], object] = lambda method: None
        self.before_instances: Callable[[Collection[str]], object] = lambda instance_ids: None
        self.known_memberships: dict[str, Membership] = {}
        self.known_instances: dict[str, Instance] = {}
        self.passing: set[str] = set()
        self.known_user_data: dict[str, str | RollcallError] = {}
        self.asked_user_data: list[str] = []
        self.stale: set[str] = set()
        self.throttled: set[str] = set()
        self.denied: set[str] = set()
        self.refused: set[str] = set()
        self.failing: dict[str, RollcallError] = {}
        self.completed: dict[LifecycleAction, Result] = {}
        self.heartbeats: Counter[str] = Counter()
        self.before_complete: Callable[[LifecycleAction], None] = lambda action: None
        self.known_targets = FakeTargets()

    @property
    def targets(self) -> FakeTargets:
        return self.known_targets

    def _asked(self, method: str) -> None:
        self.before_call(method)
        if method in self.failing:
            raise self.failing[method]

    def opted_in(self, tag: str, *, members: bool = True) -> dict[str, OptedIn]:
        self._asked("opted_in")
        listed = self.known_memberships.items() if members else ()
        return {
            name: OptedIn(group, {each: known for each, known in listed if known.group == name})
            for name, group in self.known_groups.items()
            if tag in group.tags
        }

    def arrivals(self, group: str, instance_ids: Collection[str]) -> dict[str, float]:
        self._asked("arrivals")
        return {each: self.known_arrivals[each] for each in instance_ids if each in self.known_arrivals}

    def departures(self, group: str, instance_ids: Collection[str]) -> dict[str, float]:
        self._asked("departures")
        return {each: self.known_departures[each] for each in instance_ids if each in self.known_departures}

    def activity_since(self, group: str, since: float) -> Activity:
        self._asked("activity_since")
        return Activity(
            {each: at for each, at in self.known_arrivals.items() if at >= since},
            {each: at for each, at in self.known_departures.items() if at >= since},
        )

    def hooks(self, group: str) -> list[Hook]:
        self._asked("hooks")
        return self.known_hooks.get(group, [])

    def groups(self, names: Collection[str]) -> dict[str, Group]:
        self._asked("groups")
        return {name: self.known_groups[name] for name in names if name in self.known_groups}

    def memberships(self, instance_ids: Collection[str]) -> dict[str, Membership]:
        self._asked("memberships")
        wrong = {each for each in instance_ids if each in self.refused or len(each) not in range(1, 20)}
        if wrong:
            raise InstancesRefused({each: AwsRejected(f"AWS refused {each}: no id of AWS's") for each in wrong})
        return {each: self.known_memberships[each] for each in instance_ids if each in self.known_memberships}

    def departed(self, instance_ids: Collection[str], memberships: Mapping[str, Membership]) -> set[str]:
        self._asked("departed")
        living = {each for each, known in self.known_instances.items() if known.living}
        return {
            each for each in instance_ids if (memberships[each].leaving if each in memberships else each not in living)
        }

    def instances(self, instance_ids: Collection[str]) -> dict[str, Instance]:
        self._asked("instances")
        self.before_instances(instance_ids)
        return {each: self.known_instances[each] for each in instance_ids if each in self.known_instances}

    def passing_status_checks(self, instance_ids: Collection[str]) -> set[str]:
        self._asked("passing_status_checks")
        return self.passing & set(instance_ids)

    def user_data(self, instance_ids: Collection[str], seconds: float) -> dict[str, str | RollcallError]:
        self._asked("user_data")
        self.asked_user_data += instance_ids
        return {each: self.known_user_data.get(each, "") for each in instance_ids}

    def complete(self, action: LifecycleAction, result: Result) -> bool:
        self._asked("complete")
        self.before_complete(action)
        if not self._is_open(action):
            return False
        self.completed[action] = result
        self.stale.add(action.instance_id)
        return True

    def heartbeat(self, action: LifecycleAction) -> bool:
        self._asked("heartbeat")
        if self.in_emergency(action.group) or not self._is_open(action):
            return False
        self.heartbeats[action.instance_id] += 1
        return True

    def in_emergency(self, name: str) -> bool:
        return name in self.known_groups and self.known_groups[name].in_emergency  # remembered, so not asked for

    def held(self, actions: Collection[LifecycleAction]) -> set[LifecycleAction]:
        known = self.memberships({action.instance_id for action in actions}) if actions else {}
        return {action for action in actions if holds(known.get(action.instance_id), action.transition)}

    def _is_open(self, action: LifecycleAction) -> bool:
        assert action.hook, "only an action with a hook can be answered"
        if action.instance_id in self.throttled:
            raise Throttled(f"AWS put off {action.instance_id}")
        if action.instance_id in self.denied:
            raise AwsDenied(f"AWS refused {action.instance_id}")
        return action.instance_id not in self.stale and action.hook == self.waits_for.get(
            action.instance_id, action.hook
        )


class FakeFleets(Fleets):
    """The fleet of one account and Region."""

    own: FakeFleet

    def __init__(self, account: str = ACCOUNT, region: str = REGION) -> None:
        self.account = account
        self.own = FakeFleet(region)

    def of(self, action: LifecycleAction) -> FakeFleet:
        require_served(action, self.account, self.own.region)
        return self.own


class FakeChef(Chef):
    """An organization of a Chef server in memory.

    failing: methods that raise an error. kept: names of nodes and clients that it does not let go. deleted: what was,
    in order. before_call: what happens before any method, given its name, is answered.
    """

    def __init__(self) -> None:
        self.held: dict[str, Node] = {}
        self.clients: set[str] = set()
        self.failing: dict[str, RollcallError] = {}
        self.kept: dict[str, RollcallError] = {}
        self.deleted: list[tuple[str, str]] = []
        self.calls: Counter[str] = Counter()
        self.before_call: Callable[[str], object] = lambda method: None

    def bootstrap(self, *names: str, **said: Any) -> None:
        """A node and a client of each name; the nodes say this of themselves."""
        self.held |= {name: Node(name, **said) for name in names}
        self.clients.update(names)

    def _asked(self, method: str) -> None:
        self.calls[method] += 1
        self.before_call(method)
        if method in self.failing:
            raise self.failing[method]

    def finish_within(self, seconds: float) -> None:
        self._asked("finish_within")

    def delete_client(self, name: str) -> bool:
        self._asked("delete_client")
        if name in self.kept:
            raise self.kept[name]
        if name not in self.clients:
            return False
        self.clients.remove(name)
        self.deleted.append(("client", name))
        return True

    def delete_node(self, name: str) -> bool:
        self._asked("delete_node")
        if name in self.kept:
            raise self.kept[name]
        if self.held.pop(name, None) is None:
            return False
        self.deleted.append(("node", name))
        return True

    def node_names(self) -> set[str]:
        self._asked("node_names")
        return set(self.held)

    def nodes(self, names: Collection[str]) -> dict[str, Node]:
        if names:
            self._asked("nodes")
        return {name: self.held[name] for name in names if name in self.held}


class FakeQueues(Queues):
    """Queues that only remember. failing: methods that raise an error. before_call: see FakeFleet."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, float]] = []
        self.delays: dict[str, float] = {}
        self.aside: list[tuple[str, Record, Exception]] = []
        self.failing: dict[str, RollcallError] = {}
        self.before_call: Callable[[str], object] = lambda method: None

    def gate_messages(self) -> list[tuple[GateMessage, float]]:
        """What was sent to the gate, each with its delay in seconds."""
        return [(each, delay) for each, delay in self._gate_messages() if isinstance(each, GateMessage)]

    def watch_messages(self) -> list[tuple[WatchMessage, float]]:
        """Likewise of those who are watched."""
        return [(each, delay) for each, delay in self._gate_messages() if isinstance(each, WatchMessage)]

    def _gate_messages(self) -> list[tuple[GateMessage | WatchMessage | RetireMessage, float]]:
        return [(read_gate_message(Record("sent", body, REGION, 1, 0, None)), delay) for _, body, delay in self.sent]

    def retire_messages(self) -> list[tuple[RetireMessage, float]]:
        """Likewise of instances on their way out."""
        return [(each, delay) for each, delay in self._gate_messages() if isinstance(each, RetireMessage)]

    def _asked(self, method: str) -> None:
        self.before_call(method)
        if method in self.failing:
            raise self.failing[method]

    def send(self, url: str, messages: Sequence[tuple[str, float]]) -> None:
        self._asked("send")
        self.sent += [(url, body, delay) for body, delay in messages]

    def send_each(self, url: str, messages: Sequence[tuple[str, float]]) -> list[RollcallError | None]:
        try:
            self.send(url, messages)
        except RollcallError as error:
            return [error] * len(messages)
        return [None] * len(messages)

    def put_off(self, url: str, receipt_handle: str, seconds: float) -> None:
        self._asked("put_off")
        self.delays[receipt_handle] = seconds

    def move_to_dead_letters(self, url: str, record: Record, error: Exception) -> None:
        self._asked("move_to_dead_letters")
        self.aside.append((url, record, error))


class FakeBus(EventBus):
    """An event bus that only remembers. failing: methods that take nothing for this reason."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Mapping[str, Any]]] = []
        self.failing: dict[str, RollcallError] = {}

    def put(
        self, events: Sequence[PublishedEvent], seconds_left: Callable[[], float]
    ) -> list[tuple[PublishedEvent, RollcallError]]:
        if error := self.failing.get("put"):
            return [(each, error) for each in events]
        self.published += [(each.kind, each.detail) for each in events]
        return []


class FakeAnnouncer(RunAnnouncer, FindingsAnnouncer):
    """Remembers its calls, by the name of the method: message_failed, message_finished and so on."""

    def __init__(self, function: str = "unit") -> None:
        self.function = function
        self.announced: list[tuple[str, Exception | None]] = []
        self.delays: list[float] = []

    def announce_results(
        self, actions: Sequence[LifecycleAction], reports: Sequence[Report]
    ) -> list[RollcallError | None]:
        by_action = {report.action: report.error for report in reports}
        return [by_action[action] for action in actions]

    def announce(self, reports: Iterable[Report]) -> None:
        self.announced += [("report", report.error) for report in reports]

    def message_failed(self, record: Record, actions: Sequence[LifecycleAction], error: Exception) -> None:
        self.announced.append(("message_failed", error))

    def message_retried(
        self, record: Record, actions: Sequence[LifecycleAction], error: Exception, delay: float
    ) -> None:
        self.announced.append(("message_retried", error))
        self.delays.append(delay)

    @contextmanager
    def publishing(self, settings: Settings, tower: Tower, context: LambdaContext) -> Iterator[None]:
        yield

    def announce_cycles(self, outcome: CyclesOutcome, every: float | None) -> None:
        self.announced.append(("announce_cycles", None))

    def cycles_failed(self, error: Exception, every: float | None) -> None:
        self.announced.append(("cycles_failed", error))

    def announce_bakes(self, outcome: BakesOutcome, every: float | None) -> None:
        self.announced.append(("announce_bakes", None))

    def bakes_failed(self, error: Exception, every: float | None) -> None:
        self.announced.append(("bakes_failed", error))

    def announce_fixes(self, outcome: RunOutcome) -> None:
        self.announced.append(("announce_fixes", None))

    def announce_run(self, outcome: RunOutcome, every: float | None) -> None:
        self.announced.append(("announce_run", None))

    def run_failed(self, error: Exception, every: float | None) -> None:
        self.announced.append(("run_failed", error))

    def announce_target_health(self, changes: Iterable[TargetHealthChange]) -> None:
        self.announced += [("announce_target_health", None) for _ in changes]

    def log_findings(self, findings: Iterable[Finding]) -> None:
        self.announced += [("log_findings", None) for _ in findings]

    def count_findings(self, findings: Collection[Finding]) -> None:
        self.announced.append(("count_findings", None))

    def publish_changes(
        self,
        settings: Settings,
        tower_root: str,
        found: Iterable[Finding],
        fixed: Iterable[Finding],
        seconds_left: Callable[[], float],
    ) -> None:
        self.announced += [("publish_changes", None) for _ in (*found, *fixed)]

    def message_finished(self, record: Record, actions: Sequence[LifecycleAction]) -> None:
        self.announced.append(("message_finished", None))

    def message_dead_lettered(self, record: Record, actions: Sequence[LifecycleAction], error: Exception) -> None:
        self.announced.append(("message_dead_lettered", error))

    def message_not_settled(self, record: Record, error: Exception) -> None:
        self.announced.append(("message_not_settled", error))

    def call_failed(self, action: LifecycleAction, error: Exception) -> None:
        self.announced.append(("call_failed", error))
