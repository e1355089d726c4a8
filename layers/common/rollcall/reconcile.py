"""Tower and EC2 made to agree, whatever was missed: read, plan (rollcall.drift), apply.

Tower is read before AWS, so that a host made meanwhile is not taken for one whose instance is gone. Nothing is done for
a group of which something could not be read, and nothing at all where AWS does not answer completely.
"""

from __future__ import annotations

import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import batched
from typing import TYPE_CHECKING

from .drift import Kind, Place, Plan, Snapshot, plan, suspects, too_many
from .errors import RollcallError, TowerUnavailable
from .events import write_action
from .identity import marker_of
from .model import LifecycleAction, Transition
from .provisioning import JOBS_FROM, find_in_tower, job_of, require_limitable
from .queues import is_queue
from .removal import strike_off
from .settings import OPT_IN_TAG, read_group_settings
from .tower import BULK_CREATE_MAX, BULK_DELETE_MAX, HostsExist, HostsVanished, NewHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .drift import Addition, Change, Removal, Requeue, Wishes
    from .fleet import Fleet, OptedIn
    from .model import Dump, DumpedHost, Hook, Inventory, JobTemplate
    from .queues import Queues
    from .settings import Settings
    from .tower import Tower

CALLS_AT_ONCE = 4
LOOKS = 3  # at hosts to be removed while others remove the same ones
TIME_RESERVE = 20.0  # seconds before the function's end in which nothing more is begun


@dataclass
class Summary:
    """What a run saw in one inventory, and did: numbers of hosts. conflicts: of one address."""

    hosts: int = 0
    managed: int = 0
    removed: int = 0
    fixed: int = 0
    added: int = 0
    foreign: int = 0
    conflicts: int = 0
    requeued: int = 0


@dataclass(frozen=True)
class Fix:
    """A step that was taken: removed, fixed, added or requeued."""

    deed: str
    inventory: str
    instance_id: str
    reason: str


@dataclass
class RunOutcome:
    """What came of a run.

    by_inventory: by name. fixes: every step taken. troubles: what failed of groups, inventories and steps. stopped: by
    inventory, the removals that the breaker did not let through. left: steps that wait for the next run, for want of
    time or because the host's new place is not there yet.
    """

    plan: Plan = field(default_factory=Plan)
    by_inventory: dict[str, Summary] = field(default_factory=dict)
    fixes: list[Fix] = field(default_factory=list)
    troubles: dict[str, RollcallError] = field(default_factory=dict)
    stopped: dict[str, list[Removal]] = field(default_factory=dict)
    left: int = 0


class Reconcile:
    """Makes one Region's groups and their inventories agree.

    share: the fraction of an inventory's managed hosts that may be removed in one run. seconds_left: of this
    invocation.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        queues: Queues,
        *,
        share: float,
        seconds_left: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._share = share
        self._seconds_left = seconds_left

    def run(self, wishes: Wishes, *, dry_run: bool = False, force: bool = False) -> RunOutcome:
        """One run. dry_run: only plan. force: the breaker stops nothing. Raises what kept it from reading anything."""
        outcome = RunOutcome()
        reading = _Reading(self._settings, self._tower, self._fleet, outcome.troubles)
        seen = reading.read(wishes)
        outcome.plan = plan(seen, wishes)
        managed = _count(seen, outcome)
        stopped = {} if force else too_many(outcome.plan.removals, managed, self._share)
        outcome.stopped = {own[0].inventory.name: own for own in stopped.values()}
        if not dry_run:
            applying = _Applying(self._settings, self._tower, self._fleet, self._queues, outcome)
            applying.apply(reading.templates, stopped, lambda: self._seconds_left() > TIME_RESERVE)
        return outcome


def _count(seen: Snapshot, outcome: RunOutcome) -> dict[int, int]:
    """Counts what was seen into the outcome; the managed hosts of each inventory by its id."""
    managed: dict[int, int] = {}
    for dump in seen.dumps.values():
        ours = sum(1 for host in dump.hosts if marker_of(host, seen.account, seen.region))
        managed[dump.inventory.id] = ours
        outcome.by_inventory[dump.inventory.name] = Summary(len(dump.hosts), ours, foreign=len(dump.hosts) - ours)
    for finding in outcome.plan.findings:
        if finding.kind in (Kind.ADDRESS_CONFLICT, Kind.FOREIGN_ADDRESS):
            outcome.by_inventory[finding.inventory].conflicts += 1
    return managed


class _Reading:
    """Everything that a plan needs to know. troubles: takes what cannot be read of a group or an inventory."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, troubles: dict[str, RollcallError]) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._troubles = troubles
        self.templates: dict[str, JobTemplate | None] = {}

    def read(self, wishes: Wishes) -> Snapshot:
        places = self._places(self._fleet.opted_in(OPT_IN_TAG))
        dumps = self._dumps([place.inventory for place in places.values()])
        opted_in = self._fleet.opted_in(OPT_IN_TAG)
        # What an inventory is called is remembered for a minute, and so may differ between its groups.
        places = {
            name: replace(place, inventory=dumps[place.inventory.id].inventory)
            for name, place in places.items()
            if place.inventory.id in dumps and name in opted_in
        }
        seen = Snapshot(
            account=self._settings.account,
            region=self._fleet.region,
            now=self._tower.now(),
            places=places,
            troubled=frozenset(opted_in.keys() - places.keys()),
            memberships={each: known for group in opted_in.values() for each, known in group.members.items()},
            instances={},
            dumps=dumps,
        )
        asked = suspects(seen)
        memberships = {**seen.memberships, **self._fleet.memberships(asked)}
        instances = self._fleet.instances(memberships.keys() | asked)
        seen = replace(seen, memberships=memberships, instances=instances)
        unknown = {
            host.id
            for dump in dumps.values()
            for host in dump.hosts
            if (marker := marker_of(host, seen.account, seen.region))
            and marker.instance_id not in memberships.keys() | instances.keys()
        }
        return replace(
            seen,
            now=self._tower.now(),
            created_at=self._tower.created_at(unknown) if unknown else {},
            by_instance_id=self._by_instance_id(seen) if wishes.adopt else {},
            jobs_ended=self._jobs_ended(seen),
        )

    def _places(self, opted_in: Mapping[str, OptedIn]) -> dict[str, Place]:
        places: dict[str, Place] = {}
        for name, each in opted_in.items():
            with self._telling(f"group {name}"):
                settings = read_group_settings(each.group)
                if settings:
                    inventory, self.templates[name] = find_in_tower(self._tower, settings)
                    places[name] = Place(settings, inventory)
        return places

    def _dumps(self, named: Iterable[Inventory]) -> dict[int, Dump]:
        dumps: dict[int, Dump] = {}
        by_id = {inventory.id: inventory for inventory in [*named, *self._tower.marked_inventories()]}
        for inventory in by_id.values():
            with self._telling(f"inventory {inventory.name}"):
                dumps[inventory.id] = self._tower.dump(inventory)
        return dumps

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except RollcallError as error:
            self._troubles[what] = error

    def _by_instance_id(self, seen: Snapshot) -> dict[tuple[int, str], int]:
        """The hosts without our marker whose field instance_id names an instance that has no host yet."""
        hosted = {
            (dump.inventory.id, marker.instance_id)
            for dump in seen.dumps.values()
            for host in dump.hosts
            if (marker := marker_of(host, seen.account, seen.region))
        }
        wanted = {
            instance_id
            for instance_id, membership in seen.memberships.items()
            if (place := seen.places.get(membership.group)) and (place.inventory.id, instance_id) not in hosted
        }
        return {
            (host.inventory_id, host.instance_id): host.id for host in self._tower.hosts_of(wanted) if not host.owner
        }

    def _jobs_ended(self, seen: Snapshot) -> dict[str, float]:
        waiting: defaultdict[int, set[str]] = defaultdict(set)
        for instance_id, membership in seen.memberships.items():
            template = self.templates.get(membership.group)
            if template and membership.state == "Pending:Wait" and instance_id in seen.instances:
                waiting[template.id].add(instance_id)
        ended: dict[str, float] = {}
        for template_id, ids in waiting.items():
            since = min(seen.instances[each].launched_at for each in ids) - JOBS_FROM
            try:
                jobs = self._tower.jobs_holding(template_id, ids, since)
            except RollcallError as error:
                self._troubles[f"jobs of job template {template_id}"] = error
                ended |= dict.fromkeys(ids, math.inf)  # nobody says that they are forgotten
                continue
            for instance_id in ids:
                if job := job_of(instance_id, jobs):
                    ended[instance_id] = (job.finished_at or self._tower.now()) if job.status.final else math.inf
        return ended


class _Applying:
    """Takes the steps of a plan, as far as the time goes."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, queues: Queues, outcome: RunOutcome) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._outcome = outcome
        self._templates: Mapping[str, JobTemplate | None] = {}
        self._in_time: Callable[[], bool] = lambda: True
        self._group_ids: dict[tuple[int, str], int] = {}

    def apply(
        self,
        templates: Mapping[str, JobTemplate | None],
        stopped: Mapping[int, object],
        in_time: Callable[[], bool],
    ) -> None:
        """All steps but the removals from inventories that are stopped. templates: by group."""
        self._templates, self._in_time = templates, in_time
        planned = self._outcome.plan
        removals = [each for each in planned.removals if each.inventory.id not in stopped]
        # First the hosts of instances that are gone, for their addresses may be others' by now.
        self._remove([each for each in removals if not each.moved])
        self._change(planned.changes)
        self._add(planned.additions)
        done = {(fix.deed, fix.instance_id) for fix in self._outcome.fixes}
        homeless = {each.instance_id for each in planned.additions if ("added", each.instance_id) not in done} | {
            each.instance_id for each in planned.changes if ("fixed", each.instance_id) not in done
        }
        moved = [each for each in removals if each.moved]
        ready = [each for each in moved if each.instance_id not in homeless]
        self._outcome.left += len(moved) - len(ready)
        self._remove(ready)
        self._requeue(planned.requeues)

    def _taking[S](self, steps: Sequence[S], size: int) -> Iterator[tuple[S, ...]]:
        """The steps in batches, as long as there is time."""
        for batch in batched(steps, size):
            if self._in_time():
                yield batch
            else:
                self._outcome.left += len(batch)

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except RollcallError as error:
            self._outcome.troubles[what] = error

    def _remove(self, removals: Sequence[Removal]) -> None:
        by_inventory: defaultdict[Inventory, list[Removal]] = defaultdict(list)
        for each in removals:
            by_inventory[each.inventory].append(each)
        for inventory, own in by_inventory.items():
            for batch in self._taking(own, BULK_DELETE_MAX):
                with self._telling(f"removing hosts from inventory {inventory.name}"):
                    self._delete([each.host for each in batch])
                    self._outcome.by_inventory[inventory.name].removed += len(batch)
                    self._tell("removed", batch)

    def _delete(self, hosts: list[DumpedHost]) -> None:
        for _ in range(LOOKS):
            try:
                self._tower.delete_hosts(hosts)
            except HostsVanished:  # cleanup is at work too
                there = self._tower.created_at([host.id for host in hosts])
                hosts = [host for host in hosts if host.id in there]
                if not hosts:
                    return
            else:
                return
        raise TowerUnavailable(f"hosts keep vanishing from inventory {hosts[0].inventory_name!r}: others remove them")

    def _change(self, changes: Sequence[Change]) -> None:
        for batch in self._taking(changes, CALLS_AT_ONCE):
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                righted = [
                    change for change, right in zip(batch, pool.map(self._put_right, batch), strict=True) if right
                ]
            for change in righted:
                self._outcome.by_inventory[change.inventory.name].fixed += 1
            self._tell("fixed", righted)

    def _put_right(self, change: Change) -> bool:
        """Whether the host is right now."""
        with self._telling(f"host {change.host.name} of inventory {change.inventory.name}"):
            # First out of the former groups, which the next run would not know any more once the marker is replaced.
            for name in change.leave:
                self._tower.take_out_of_group(self._group_id(change.inventory, name), change.host.id)
            if change.variables is not None:
                self._tower.update_host(change.host.id, change.instance_id, change.variables)
            for name in change.join:
                self._tower.add_to_group(self._group_id(change.inventory, name), change.host.id)
            return True
        return False

    def _group_id(self, inventory: Inventory, name: str) -> int:
        """A group's id, looked up once a run."""
        if (inventory.id, name) not in self._group_ids:
            self._group_ids[inventory.id, name] = self._tower.group_ids(inventory, [name])[name]
        return self._group_ids[inventory.id, name]

    def _add(self, additions: Sequence[Addition]) -> None:
        by_place: defaultdict[Place, list[Addition]] = defaultdict(list)
        for each in additions:
            by_place[each.place].append(each)
        for place, own in by_place.items():
            for batch in self._taking(own, BULK_CREATE_MAX):
                with self._telling(f"adding hosts of group {place.settings.group}"):
                    made = self._make(place, batch)
                    staying = [each for each in batch if each.instance_id in made]
                    self._outcome.by_inventory[place.inventory.name].added += len(staying)
                    self._tell("added", staying)
                    grouped = self._put_into_groups(place, made)
                    wanted = [each.instance_id for each in staying if each.provision]
                    self._provision(place, [each for each in wanted if each in grouped])

    def _make(self, place: Place, additions: Sequence[Addition]) -> dict[str, int]:
        """Makes hosts; their ids by instance id, for the instances that stay."""
        wanted = [NewHost(each.instance_id, each.variables) for each in additions]
        try:
            made = self._tower.create_hosts(place.inventory, wanted)
        except HostsExist as some:  # somebody else is at work; the next run sees what is still missing
            made = dict(some.created)
        # As at registration: cleanup looks after the state changed, we look again after the host exists.
        left = self._fleet.departed(list(made), self._fleet.memberships(made))
        if left:
            strike_off(self._tower, left)
        return {instance_id: host_id for instance_id, host_id in made.items() if instance_id not in left}

    def _put_into_groups(self, place: Place, made: Mapping[str, int]) -> set[str]:
        """The instances whose hosts are in all their groups now; without these a playbook would do the wrong thing."""
        ids = [self._group_id(place.inventory, name) for name in place.settings.inventory_groups] if made else []
        calls = [(place.inventory, *host, group_id) for host in made.items() for group_id in ids]
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            joined = list(pool.map(lambda call: self._join(*call), calls))
        return made.keys() - {name for (_, name, *_), inside in zip(calls, joined, strict=True) if not inside}

    def _join(self, inventory: Inventory, name: str, host_id: int, group_id: int) -> bool:
        with self._telling(f"host {name} of inventory {inventory.name}"):
            self._tower.add_to_group(group_id, host_id)
            return True
        return False

    def _provision(self, place: Place, instance_ids: Sequence[str]) -> None:
        template = self._templates[place.settings.group]
        if template and instance_ids:
            require_limitable(template, place.inventory, place.settings)
            for batch in batched(instance_ids, self._settings.max_hosts_per_job):
                self._tower.launch(template, place.inventory, batch)

    def _requeue(self, requeues: Sequence[Requeue]) -> None:
        hooks: dict[str, list[Hook]] = {}
        for batch in self._taking(requeues, 1):
            [requeue] = batch
            group = requeue.place.settings.group
            with self._telling(f"waiting instance {requeue.instance_id} of group {group}"):
                if group not in hooks:
                    hooks[group] = [hook for hook in self._fleet.hooks(group) if self._is_ours(hook)]
                own = [hook for hook in hooks[group] if hook.transition == requeue.transition]
                sent = [self._queue(requeue, hook) for hook in own]  # each of them may be open
                if any(sent):
                    self._outcome.by_inventory[requeue.inventory.name].requeued += 1
                    self._tell("requeued", batch)

    def _is_ours(self, hook: Hook) -> bool:
        queues = (self._settings.launch_queue_url, self._settings.terminate_queue_url)
        return hook.name.startswith(self._settings.hook_prefix) or any(is_queue(hook.target, url) for url in queues)

    def _queue(self, requeue: Requeue, hook: Hook) -> bool:
        """Whether our hook is what the instance waits for, and its action was queued again."""
        launching = requeue.transition == Transition.LAUNCHING
        url = self._settings.launch_queue_url if launching else self._settings.terminate_queue_url
        action = LifecycleAction(
            requeue.transition,
            self._settings.account,
            self._fleet.region,
            requeue.place.settings.group,
            requeue.instance_id,
            hook.name,
        )
        if not self._fleet.heartbeat(action):
            return False
        self._queues.send(url, [(write_action(action), 0)])
        return True

    def _tell(self, deed: str, steps: Iterable[Removal | Change | Addition | Requeue]) -> None:
        self._outcome.fixes += [Fix(deed, each.inventory.name, each.instance_id, each.reason) for each in steps]
