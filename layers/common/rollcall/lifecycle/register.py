"""Launched instances -> hosts in Tower and one provisioning job per template and inventory.

A batch goes through the stages of register() from top to bottom. An error takes the actions it concerns out of the
batch and lets the others pass on. Before any job is launched each host says in its marker when the present stint of its
instance began: jobs of before do not count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from copy import replace
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.load_balancers import require_askable
from rollcall.checks.registry import objections_to_checks, read_group_settings
from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.errors import (
    BadSettings,
    HostRenamed,
    InstanceNotVisible,
    JobStillLanding,
    TowerDenied,
    TowerUnavailable,
)
from rollcall.domain.instances import Parameters
from rollcall.domain.message_format import written
from rollcall.domain.messages import GateMessage, Waiting
from rollcall.domain.objections import require_none
from rollcall.domain.reports import (
    NO_LONGER_WAITING,
    Event,
    Note,
    Report,
    failing,
    going,
    gone,
    notes_on_kept,
    without_refused,
)
from rollcall.domain.settings import RETIRE_TAG
from rollcall.domain.tag_support import objections_to
from rollcall.domain.timing import HOOK_LIFE_MAX, POLL_MAX, longest_wait, poll_delay
from rollcall.evidence.stuck_jobs import StuckJobs
from rollcall.hosts.eviction import evict
from rollcall.hosts.job_templates import find_inventory_and_template, require_limitable
from rollcall.hosts.jobs import CLOCK_STEP, deciding_job, launch
from rollcall.hosts.ownership import address_key
from rollcall.hosts.removal import remove_from_every_inventory
from rollcall.hosts.resting import is_enabled_on_return
from rollcall.hosts.stint import begins_anew, joined_by, may_be_former, new_stint, rested_since, stint_of
from rollcall.hosts.unmatched_hosts import renamed_hosts
from rollcall.hosts.user_data_reader import read_parameters
from rollcall.hosts.variables import OWED_SINCE, RESTING, host_variables, left_out, with_our_variables, with_state
from rollcall.tower.bulk_hosts import NewHost

from .hook_answers import require_visible
from .unknown_instances import without_too_many_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet, Fleets, Membership
    from rollcall.aws.queues import Queues
    from rollcall.domain.errors import Kept
    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Host, Inventory, RemovalResult
    from rollcall.domain.jobs import Job, JobKind, JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.hosts.eviction import Eviction
    from rollcall.hosts.stint import Stint
    from rollcall.tower.client import Tower

LANDING_TIME = 120.0  # seconds that a host without a job is left to whoever made it; above the function's own timeout
JOB_LIFE = HOOK_LIFE_MAX  # seconds that a job may run, for no hook waits for longer
ASSOCIATES_AT_ONCE = 4  # Tower takes about 20 group memberships a second, with 4 clients as with 16


class NewInstance(NamedTuple):
    """An instance of a group that opted in, where it belongs in Tower, and what it asks for itself.

    It is pending; or in service already, where no hook waits.
    """

    action: LifecycleAction
    settings: GroupSettings
    instance: Instance
    inventory: Inventory
    template: JobTemplate | None
    asked: Parameters = Parameters()

    @property
    def groups(self) -> tuple[str, ...]:
        """The inventory groups that its host is put into."""
        return tuple(dict.fromkeys((*self.settings.inventory_groups, *self.asked.groups)))

    @property
    def address(self) -> str:
        """The address of the kind that its group asks for."""
        return self.instance.addresses[self.settings.address]


class Registered(NamedTuple):
    """A newcomer whose host exists; existing is the host as it was found, None if it was made just now.

    stint: the present one, as the host's marker has it now. begun: this message begins it. notes: on jobs of before it.
    """

    new_instance: NewInstance
    host_id: int
    existing: Host | None
    stint: Stint
    begun: bool
    notes: tuple[Note, ...] = ()

    @property
    def jobs_since(self) -> float:
        """From when on jobs count, by Tower's clock.

        Two messages about one action that are worked on at one moment both begin the stint of a resting host. The job
        of the one counts for the other.
        """
        rested = rested_since(self.existing.variables) if self.existing else None
        return self.stint.since if rested is None else max(rested, self.stint.since - LANDING_TIME)


class Register:
    """Registers batches of launch actions.

    clock() is this machine's, in epoch seconds; evidence() is what jobs show, made only where one of before hangs.
    share: the fraction of an inventory's managed hosts that may go on the word of messages alone.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleets: Fleets,
        queues: Queues,
        clock: Callable[[], float],
        evidence: Callable[[], Evidence],
        *,
        share: float,
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock
        self._share = share
        self._evidence = evidence
        self._stuck_jobs: StuckJobs | None = None
        self._not_cancelled: dict[int, str] = {}

    def register(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action: handed to the gate, done with, or failed; and who was evicted for their sake."""
        reports: list[Report] = []
        for fleet, own in self._by_fleet(actions, reports):
            with failing(own, reports):
                without_refused(own, reports, partial(self._register, fleet, reports=reports))
        return reports

    def _register(self, fleet: Fleet, actions: Sequence[LifecycleAction], reports: list[Report]) -> None:
        new_instances = self._admit(fleet, actions, reports)
        registered = self._make_hosts(fleet, new_instances, reports)
        registered = self._put_into_groups(registered, reports)
        self._hand_on(fleet, registered, reports)

    def _by_fleet(
        self, actions: Collection[LifecycleAction], reports: list[Report]
    ) -> Iterator[tuple[Fleet, list[LifecycleAction]]]:
        fleets: defaultdict[Fleet, list[LifecycleAction]] = defaultdict(list)
        for action in going(actions, Transition.LAUNCHING, reports):
            with failing([action], reports):
                fleets[self._fleets.of(action)].append(action)
        yield from fleets.items()

    # Who is a newcomer

    def _admit(self, fleet: Fleet, actions: Sequence[LifecycleAction], reports: list[Report]) -> list[NewInstance]:
        ids = {action.instance_id for action in actions}
        memberships = fleet.memberships(ids)
        groups = fleet.groups({action.group for action in actions})
        instances = fleet.instances(ids)
        away: list[LifecycleAction] = []
        wanted: defaultdict[GroupSettings, list[LifecycleAction]] = defaultdict(list)
        for action in actions:
            membership, instance = memberships.get(action.instance_id), instances.get(action.instance_id)
            with failing([action], reports):
                if _is_gone(action, membership, instance, groups):
                    away.append(action)
                elif settings := self._opted_in(action, groups, reports):
                    assert membership  # noqa: S101 - _is_gone has raised or said yes without one
                    if action.held_by_hook and membership.pooled and membership.held:
                        reports.append(_let_into_pool(fleet, action, self._clock()))
                    elif membership.entering or (membership.serving and not action.held_by_hook):
                        wanted[settings].append(action)
                    else:
                        reports.append(_not_pending(fleet, action, membership))
        with failing(away, reports):
            unknown = ids - memberships.keys() - instances.keys()
            away = without_too_many_unknown(self._tower, fleet, away, unknown, self._share, reports)
            removal = remove_from_every_inventory(self._tower, fleet, {action.instance_id for action in away})
            reports += [_removed(action, "already gone", removal) for action in away]
        new_instances = [
            new_instance
            for settings, own in wanted.items()
            for new_instance in self._new_instances(settings, groups[settings.group], own, instances, reports)
        ]
        return self._with_parameters(fleet, new_instances)

    def _opted_in(
        self, action: LifecycleAction, groups: Mapping[str, Group], reports: list[Report]
    ) -> GroupSettings | None:
        if action.group not in groups:
            raise InstanceNotVisible(f"group {action.group!r} is gone, and {action.instance_id} is still listed in it")
        settings = read_group_settings(groups[action.group])
        if settings is None:
            if (action.hook or "").startswith(self._settings.hook_prefix):
                raise BadSettings(
                    f"group {action.group!r} has the hook {action.hook!r} but not the tag rollcall:inventory, so its "
                    "instances wait for nobody: add the tag, or delete the hook"
                )
            reports.append(Report(action, "passed over: the group did not opt in"))
        return settings

    def _new_instances(
        self,
        settings: GroupSettings,
        group: Group,
        actions: list[LifecycleAction],
        instances: Mapping[str, Instance],
        reports: list[Report],
    ) -> list[NewInstance]:
        """Instances of one group; what is wrong with the group fails all of them."""
        new_instances: list[NewInstance] = []
        with failing(actions, reports):
            require_none(objections_to(settings, self._settings))
            require_none(objections_to_checks(settings, self._settings))
            require_askable(settings, group, load_balancers=self._settings.load_balancers)
            inventory, template = find_inventory_and_template(self._tower, settings)
            if template:
                require_limitable(template, inventory, settings)
            for action in actions:
                with failing([action], reports):
                    instance = _addressed(action, settings, instances.get(action.instance_id))
                    new_instances.append(NewInstance(action, settings, instance, inventory, template))
        return new_instances

    def _with_parameters(self, fleet: Fleet, new_instances: list[NewInstance]) -> list[NewInstance]:
        """Those of groups that let their instances ask for more, with what they ask for; and all the others."""
        asking = {
            each.instance.instance_id: (each.settings.group, each.inventory)
            for each in new_instances
            if each.settings.user_data
        }
        asked = read_parameters(fleet, self._tower, asking, allowed=self._settings.user_data)
        return [replace(each, asked=asked.get(each.instance.instance_id, each.asked)) for each in new_instances]

    # Hosts

    def _make_hosts(self, fleet: Fleet, new_instances: list[NewInstance], reports: list[Report]) -> list[Registered]:
        by_inventory: defaultdict[Inventory, list[NewInstance]] = defaultdict(list)
        for new_instance in new_instances:
            by_inventory[new_instance.inventory].append(new_instance)
        registered: list[Registered] = []
        for inventory, own in by_inventory.items():
            with failing([new_instance.action for new_instance in own], reports):
                in_time = self._in_time(inventory, own, reports)
                reachable = self._without_renamed(fleet, inventory, in_time, reports)
                free = self._make_way(fleet, inventory, reachable, reports)
                registered += self._make_hosts_in(fleet, inventory, free, reports)
        return registered

    def _in_time(
        self, inventory: Inventory, new_instances: list[NewInstance], reports: list[Report]
    ) -> list[NewInstance]:
        """Without those that are in service for too long to be provisioned unasked; reconcile adds their hosts.

        What was begun in time, at a try before, is brought to its end.
        """
        late = {each.instance.instance_id: each for each in new_instances if self._is_late(each)}
        found = self._tower.hosts_named(inventory, late) if late else []
        begun = {host.name for host in found if host.description == _made_for(late[host.name].action)}
        left = [each for name, each in late.items() if name not in begun]
        reports += [Report(each.action, "left to reconcile: it serves for too long") for each in left]
        return [each for each in new_instances if each not in left]

    def _is_late(self, new_instance: NewInstance) -> bool:
        served = self._clock() - new_instance.action.at
        return (
            not new_instance.action.held_by_hook
            and new_instance.template is not None
            and served >= new_instance.settings.timeout
        )

    def _without_renamed(
        self, fleet: Fleet, inventory: Inventory, new_instances: list[NewInstance], reports: list[Report]
    ) -> list[NewInstance]:
        """Without those whose host has another name: a second one would have the same address."""
        ids = {each.instance.instance_id for each in new_instances}
        renamed = renamed_hosts(self._tower, inventory, ids, self._settings.account, fleet.region) if ids else {}
        left = [each for each in new_instances if each.instance.instance_id in renamed]
        reports += [Report(each.action, error=HostRenamed(renamed[each.instance.instance_id])) for each in left]
        return [each for each in new_instances if each not in left]

    def _make_way(
        self, fleet: Fleet, inventory: Inventory, new_instances: list[NewInstance], reports: list[Report]
    ) -> list[NewInstance]:
        """Strikes off who is gone and has a newcomer's address; the newcomers whose address is free of such hosts."""
        keys = {
            each.instance.instance_id: address_key(each.instance.facts["vpc"], each.address) for each in new_instances
        }
        refused: dict[str, TowerDenied] = {}
        for eviction in evict(self._tower, fleet, self._settings.account, inventory, keys):
            if eviction.refusal:
                refused |= dict.fromkeys(eviction.new_instances, _host_kept(eviction, eviction.refusal))
            else:
                reports.append(_evicted(eviction, self._settings.account, fleet.region))
        for new_instance in new_instances:
            if error := refused.get(new_instance.instance.instance_id):
                reports.append(Report(new_instance.action, error=error))
        return [new_instance for new_instance in new_instances if new_instance.instance.instance_id not in refused]

    def _make_hosts_in(
        self, fleet: Fleet, inventory: Inventory, new_instances: list[NewInstance], reports: list[Report]
    ) -> list[Registered]:
        # The oldest first: of more than Tower has room for, those are made that wait for longest.
        by_id: defaultdict[str, list[NewInstance]] = defaultdict(list)
        for new_instance in sorted(new_instances, key=lambda each: (each.action.at, each.action.received_at)):
            by_id[new_instance.instance.instance_id].append(new_instance)
        # Another node of Tower stamps the jobs. None of before is so young: to leave and to come back takes longer.
        now = self._tower.now() - CLOCK_STEP
        stints = {name: new_stint(now, [each.action for each in own]) for name, own in by_id.items()}
        wanted = {name: _new_host(own[0], inventory, stints[name]) for name, own in by_id.items()}
        made = self._tower.create_hosts(inventory, list(wanted.values()))
        registered: list[Registered] = []
        for name, own in by_id.items():
            with failing([each.action for each in own], reports):
                if error := made.errors.get(name):
                    raise error
                if host := made.existing.get(name):
                    present = [each for each in own if self._is_present(fleet, host, each.action, reports)]
                    registered += self._bring_up_to_date(host, present, wanted[name], now) if present else []
                else:
                    registered += [Registered(each, made.ids[name], None, stints[name], begun=True) for each in own]
        return registered

    def _is_present(self, fleet: Fleet, host: Host, action: LifecycleAction, reports: list[Report]) -> bool:
        """Whether an action is not of a former stint; if it is, or nobody can say, that is reported."""
        before = len(reports)
        with failing([action], reports):
            doubtful = begins_anew(host, action) and may_be_former(host, action)
            if doubtful and not fleet.heartbeat(action):
                require_visible(fleet, [action], self._clock())
                reports.append(Report(action, NO_LONGER_WAITING))
        return len(reports) == before

    def _bring_up_to_date(
        self, host: Host, new_instances: Sequence[NewInstance], wanted: NewHost, now: float
    ) -> list[Registered]:
        """The newcomers of one instance whose host was there already, with its variables and its stint put right.

        now: by Tower's clock; when a stint begins that is not the host's, unless the host rests since later.
        """
        if host.owner is None and not self._settings.adopt_by_instance_id:
            raise BadSettings(
                f"inventory {host.inventory_name!r} has a host {host.name} that is not ours (no variable 'rollcall'): "
                "remove it, or deploy with AdoptByInstanceId=true to take such hosts over"
            )
        actions = [each.action for each in new_instances]
        begun = any(begins_anew(host, action) for action in actions)
        since = max(now, rested_since(host.variables) or now)
        stint = new_stint(since, actions) if begun else joined_by(stint_of(host), actions)
        ended = dict.fromkeys((RESTING, OWED_SINCE)) if begun else {}
        variables = with_state(with_our_variables(host.variables, wanted.variables), stint=stint.written(), **ended)
        if begun or host.instance_id != host.name or dict(host.variables) != variables:
            self._tower.update_host(
                host.id,
                host.name,
                variables,
                enabled=True if begun and is_enabled_on_return(host.variables) else None,
                description=wanted.description if begun else None,
            )
        return [Registered(each, host.id, host, stint, begun) for each in new_instances]

    # Groups

    def _put_into_groups(self, registered: list[Registered], reports: list[Report]) -> list[Registered]:
        by_groups: defaultdict[tuple[Inventory, tuple[str, ...]], list[Registered]] = defaultdict(list)
        for each in registered:
            by_groups[each.new_instance.inventory, each.new_instance.groups].append(each)
        calls: list[tuple[Registered, int]] = []
        for (inventory, names), members in by_groups.items():
            with failing([each.new_instance.action for each in members], reports):
                for group_id in self._tower.group_ids(inventory, names).values():
                    calls += [(each, group_id) for each in self._outside(group_id, members)]
        with ThreadPoolExecutor(ASSOCIATES_AT_ONCE) as pool:
            list(pool.map(partial(self._associate, reports), calls))
        failed = {report.action for report in reports if report.error}
        return [each for each in registered if each.new_instance.action not in failed]

    def _outside(self, group_id: int, members: list[Registered]) -> list[Registered]:
        """Those that are not in the group yet. Of hosts in many groups Tower lists only some; these are looked up."""
        unsure = [each.existing.name for each in members if each.existing and each.existing.group_ids is None]
        inside = self._tower.group_members(group_id, unsure) if unsure else set()
        return [
            each
            for each in members
            if each.existing is None
            or (each.existing.name not in inside and group_id not in (each.existing.group_ids or ()))
        ]

    def _associate(self, reports: list[Report], call: tuple[Registered, int]) -> None:
        registered, group_id = call
        with failing([registered.new_instance.action], reports):
            self._tower.add_to_group(group_id, registered.host_id)

    # Jobs

    def _hand_on(self, fleet: Fleet, registered: list[Registered], reports: list[Report]) -> None:
        by_job: defaultdict[tuple[JobTemplate | None, Inventory], list[Registered]] = defaultdict(list)
        for each in registered:
            by_job[each.new_instance.template, each.new_instance.inventory].append(each)
        for (template, inventory), members in by_job.items():
            with failing([each.new_instance.action for each in members], reports):
                if template is None:
                    doubled = [each for each in members if _is_cared_for(each)]
                    reports += [Report(each.new_instance.action, "has its host already") for each in doubled]
                    if new := [each for each in members if each not in doubled]:
                        self._send(fleet, None, None, new, reports)
                else:
                    self._provision(fleet, template, inventory, members, reports)

    def _provision(
        self,
        fleet: Fleet,
        template: JobTemplate,
        inventory: Inventory,
        members: list[Registered],
        reports: list[Report],
    ) -> None:
        jobs = self._jobs_of([each for each in members if each.existing], template)
        at_work: defaultdict[int, list[Registered]] = defaultdict(list)
        unlaunched: list[Registered] = []
        for each in members:
            with failing([each.new_instance.action], reports):
                job = self._present_job(each, jobs)
                if job is None:
                    unlaunched.append(each._replace(notes=self._past_former_jobs(each, jobs)))
                elif _is_cared_for(each):
                    reports.append(Report(each.new_instance.action, f"is in job {job.id} already"))
                else:
                    at_work[job.id].append(each)
        for job_id, own in at_work.items():
            self._send(fleet, job_id, template, own, reports)
        for batch in batched(unlaunched, self._settings.max_hosts_per_job):
            with failing([each.new_instance.action for each in batch], reports):
                self._launch(fleet, template, inventory, batch, reports)

    def _jobs_of(self, found: Sequence[Registered], template: JobTemplate) -> Sequence[Job]:
        """The jobs of those whose hosts were found; also those of before their stints, for one may still run."""
        if not found:
            return ()
        kind = template.on(found[0].new_instance.inventory)
        return self._tower.jobs_holding(kind, _ids(found), min(each.stint.since for each in found) - JOB_LIFE)

    def _present_job(self, registered: Registered, jobs: Sequence[Job]) -> Job | None:
        """The job of an instance in its present stint, None if one is to be launched.

        Raises JobStillLanding while another message may be about to launch one.
        """
        instance_id = registered.new_instance.instance.instance_id
        if job := deciding_job(instance_id, jobs, registered.jobs_since):
            return job
        if (age := self._age_of_anothers(registered)) < LANDING_TIME:
            words = f"host {instance_id} is new and has no job yet: another message's"
            raise JobStillLanding(words, retry_in=LANDING_TIME - age)
        return None

    def _past_former_jobs(self, registered: Registered, jobs: Sequence[Job]) -> tuple[Note, ...]:
        """What is to be known of jobs of before the present stint that hang on the host of an instance.

        Raises JobStillLanding while one runs on it that does not hang, or that is to be cancelled later.
        """
        instance_id, timeout = registered.new_instance.instance.instance_id, registered.new_instance.settings.timeout
        notes: list[Note] = []
        for job in jobs:
            if instance_id not in job.hosts or job.status.final:
                continue
            which = f"job {job.id}, launched before the present stint of {instance_id},"
            stuck = self._stuck().find(job, timeout)
            if stuck is None or not (stuck.overdue or stuck.foreign):
                raise JobStillLanding(f"{which} still runs on it", retry_in=POLL_MAX)
            trouble = f"job {job.id} is not cancelled, for {stuck.foreign}" if stuck.foreign else self._end(job)
            if trouble:
                notes.append(Note(f"{which} hangs, and another is launched beside it: {trouble}", alert=True))
            else:
                notes.append(Note(f"{which} hung, and was cancelled"))
        return tuple(notes)

    def _stuck(self) -> StuckJobs:
        if self._stuck_jobs is None:
            self._stuck_jobs = StuckJobs(self._tower, self._evidence())
        return self._stuck_jobs

    def _end(self, job: Job) -> str:
        """Cancels a job, once a batch; why that could not be, nothing if it was."""
        if job.id not in self._not_cancelled:
            self._not_cancelled[job.id] = self._stuck().end(job)
        return self._not_cancelled[job.id]

    def _age_of_anothers(self, registered: Registered) -> float:
        """Seconds since another message began this stint; infinite if this one did, now or at a try before.

        A message comes again only when no function works on it any more; a second one about the same action may be at
        work.
        """
        host = registered.existing
        anothers = host and not registered.begun and _is_anothers(host, registered)
        return self._tower.now() - registered.stint.since if anothers else math.inf

    def _launch(
        self,
        fleet: Fleet,
        template: JobTemplate,
        inventory: Inventory,
        members: Sequence[Registered],
        reports: list[Report],
    ) -> None:
        not_held = [
            each.new_instance.action.instance_id for each in members if not each.new_instance.action.held_by_hook
        ]
        found = [each.jobs_since for each in members if each.existing]
        launched = launch(
            self._tower,
            fleet,
            template,
            inventory,
            _ids(members),
            not_held,
            older_since=min(found) if found else None,
        )
        by_job: defaultdict[int, list[Registered]] = defaultdict(list)
        for each in members:
            instance_id = each.new_instance.instance.instance_id
            if instance_id in launched.jobs:
                by_job[launched.jobs[instance_id]].append(each)
            elif instance_id in launched.departed:
                reports.append(_removed(each.new_instance.action, "left meanwhile", launched.removal))
            else:
                reports.append(Report(each.new_instance.action, "no longer pending"))
        for job_id, own in by_job.items():
            self._send(fleet, job_id, template, own, reports)

    def _send(
        self,
        fleet: Fleet,
        job_id: int | None,
        template: JobTemplate | None,
        members: list[Registered],
        reports: list[Report],
    ) -> None:
        actions = [each.new_instance.action for each in members]
        message = GateMessage(
            waiting=tuple(
                Waiting(
                    action=each.new_instance.action,
                    launched_at=each.new_instance.instance.launched_at,
                    address=each.new_instance.address,
                    stint_since=each.jobs_since,
                )
                for each in members
            ),
            job_id=job_id,
            since=self._tower.now(),
            heartbeat_at=min(_waiting_since(each.new_instance.action) for each in members),
        )
        longest = longest_wait(fleet.groups({action.group for action in actions}), actions)
        delay = min(self._first_look(template.on(members[0].new_instance.inventory)), longest) if template else 0
        self._queues.send(self._settings.gate_queue_url, [(text, delay) for _, text in written(message)])
        outcome = f"registered, job {job_id}" if job_id else "registered"
        reports.extend(
            Report(
                each.new_instance.action,
                outcome,
                event=Event.REGISTERED,
                job=job_id,
                notes=(*self._notes(each.new_instance), *each.notes),
                left_out=left_out(each.new_instance.instance),
            )
            for each in members
        )

    def _notes(self, new_instance: NewInstance) -> tuple[Note, ...]:
        tag = f"group {new_instance.settings.group!r}: tag {RETIRE_TAG}"
        deaf = new_instance.settings.retire_job_template and not self._settings.retire_jobs
        note = f"{tag} is not followed: deploy with RetireJobs=true, or take the tag away" if deaf else ""
        return tuple(Note(words) for words in (note, new_instance.asked.warning) if words)

    def _first_look(self, kind: JobKind) -> float:
        """Seconds until a job just launched is worth a look."""
        try:
            return poll_delay(0, self._tower.usual_durations(kind), 0)
        except TowerUnavailable:  # no reason to keep a job that runs from the gate
            return poll_delay(0, (), 0)


def _new_host(new_instance: NewInstance, inventory: Inventory, stint: Stint) -> NewHost:
    action = new_instance.action
    ours = host_variables(new_instance.settings, new_instance.instance, action.account, action.region, inventory.id)
    variables = with_state({**new_instance.asked.variables, **ours}, stint=stint.written())
    return NewHost(new_instance.instance.instance_id, variables, _made_for(action))


def _made_for(action: LifecycleAction) -> str:
    """What the description of a host says of the message that began its instance's present stint."""
    return f"Made by Rollcall for message {action.message_id}"


def _is_anothers(host: Host, registered: Registered) -> bool:
    """Whether a stint was begun for another message, or by reconcile, or the host made by a person."""
    return host.description != _made_for(registered.new_instance.action)


def _is_cared_for(registered: Registered) -> bool:
    """Whether no hook holds the instance, and another message began its stint: that one sees it through."""
    host = registered.existing
    anothers = host is not None and not registered.begun and _is_anothers(host, registered)
    return anothers and not registered.new_instance.action.held_by_hook


def _evicted(eviction: Eviction, account: str, region: str) -> Report:
    """Of an instance that is not of the batch: as of the terminate action that cleanup never got for it."""
    action = LifecycleAction(Transition.TERMINATING, account, region, eviction.group, eviction.instance_id)
    outcome = f"evicted: {eviction.reason}, and {', '.join(sorted(eviction.new_instances))} has its address"
    notes = tuple(notes_on_kept(eviction.removal, eviction.instance_id))
    return Report(action, outcome, event=Event.RETIRED, notes=notes, evicted=True)


def _waiting_since(action: LifecycleAction) -> float:
    """When its hook began to wait, in epoch seconds; long ago if that is not known, so that a heartbeat is due."""
    return action.at if math.isfinite(action.at) else 0.0


def _let_into_pool(fleet: Fleet, action: LifecycleAction, now: float) -> Report:
    """A launch that ends in the warm pool needs no host and no job. Raises ActionNotVisible."""
    if fleet.complete(action, Result.CONTINUE):
        return Report(action, "let into the warm pool")
    require_visible(fleet, [action], now)
    return Report(action, NO_LONGER_WAITING)


def _not_pending(fleet: Fleet, action: LifecycleAction, membership: Membership) -> Report:
    """Of an instance that is not on its way into service. Raises InstanceNotVisible if its hook waits all the same."""
    if action.held_by_hook and fleet.heartbeat(action):
        raise InstanceNotVisible(
            f"{action.instance_id}: its hook {action.hook!r} waits, and yet it is {membership.state}"
        )
    return Report(action, f"no longer pending: {membership.state}")


def _removed(action: LifecycleAction, why: str, removal: RemovalResult) -> Report:
    instance_id = action.instance_id
    return gone(action, f"struck off: {why}", removal, told=instance_id in removal.removed)


def _host_kept(eviction: Eviction, refusal: Kept) -> TowerDenied:
    """Why a newcomer cannot have its address: the old host would be reached there too."""
    keepers = ", ".join(repr(name) for name in sorted(refusal.inventories))
    return TowerDenied(
        f"its address is still that of a host of {eviction.instance_id} ({eviction.reason}), which inventory {keepers} "
        f"does not let go: {refusal}"
    )


def _addressed(action: LifecycleAction, settings: GroupSettings, instance: Instance | None) -> Instance:
    """The instance, once it has the address that its group wants. Raises InstanceNotVisible or BadSettings."""
    if instance is None:
        raise InstanceNotVisible(f"{action.instance_id} is pending, and EC2 does not describe it yet")
    if not instance.addresses[settings.address]:
        if instance.state == "pending":
            raise InstanceNotVisible(f"{instance.instance_id} has no {settings.address} address yet")
        raise BadSettings(
            f"group {settings.group!r}: tag rollcall:address asks for the {settings.address} address, and "
            f"{instance.instance_id} has none: change the tag, or the subnet's settings"
        )
    return instance


def _is_gone(
    action: LifecycleAction,
    membership: Membership | None,
    instance: Instance | None,
    groups: Mapping[str, Group],
) -> bool:
    """Whether the instance is terminated or on its way there. Raises InstanceNotVisible while nobody knows."""
    if instance and not instance.living:
        return True
    if membership is None:
        if instance is None and action.group not in groups:
            return True
        raise InstanceNotVisible(f"{action.instance_id} is not listed in group {action.group!r} yet")
    return membership.leaving or membership.retained


def _ids(members: Sequence[Registered]) -> list[str]:
    return [each.new_instance.instance.instance_id for each in members]
