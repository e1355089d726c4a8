"""The steps of a plan taken, as far as the time goes: safe to take twice, and beside register and cleanup."""

from __future__ import annotations

import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import replace
from dataclasses import dataclass
from itertools import batched
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import uuid4

from rollcall.aws.queues import is_queue
from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import DeleteRefused, HostLimitReached, RollcallError, TowerRejected
from rollcall.domain.message_format import write_action
from rollcall.hosts.job_templates import require_limitable
from rollcall.hosts.jobs import launch_once
from rollcall.hosts.ownership import address_of
from rollcall.hosts.removal import inventories_of_our_groups, remove_from_every_inventory
from rollcall.hosts.user_data_reader import read_parameters
from rollcall.hosts.variables import OWED_SINCE, with_state
from rollcall.tower.bulk_hosts import BULK_CREATE_MAX, BULK_DELETE_MAX, NewHost

from .result import Fix
from .steps import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.errors import Kept
    from rollcall.domain.groups import Hook
    from rollcall.domain.instances import UserDataParameters
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import JobTemplate
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .result import RunOutcome
    from .snapshot import Place
    from .steps import Addition, Change, Removal, Requeue

CALLS_AT_ONCE = 4


@dataclass(frozen=True)
class _Owing:
    """A host on which its group's job is to be launched. variables: without the note of that."""

    place: Place
    instance_id: str
    host_id: int
    variables: Mapping[str, object]


class Applying:
    """Takes the steps of a plan, as far as the time goes."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, queues: Queues, outcome: RunOutcome) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._outcome = outcome
        self._templates: Mapping[str, JobTemplate | None] = {}
        self._in_time: Callable[[], bool] = lambda: True
        self._full: set[Inventory] = set()
        self._group_ids: dict[tuple[int, str], int] = {}
        self._groups_looked_up: Future[None] = Future()
        self._hooks: dict[str, list[Hook]] = {}
        self._findings: list[Finding] = []
        self._made_by = f"Made by Rollcall in run {uuid4().hex[:12]}"

    def apply(self, templates: Mapping[str, JobTemplate | None], in_time: Callable[[], bool]) -> None:
        """All steps. templates: by group."""
        self._templates, self._in_time = templates, in_time
        planned = self._outcome.plan
        # First the hosts of instances that are gone, for their addresses may be others' by now.
        gone = [each for each in planned.removals if not each.moved]
        with ThreadPoolExecutor(1) as pool:
            self._groups_looked_up = pool.submit(self._look_groups_up, planned.changes, planned.additions)
            self._remove(gone)
            free = self._at_free_addresses(planned.additions, gone)
            self._change(planned.changes)
            self._add(free)
        done = {(fix.deed, fix.instance_id) for fix in self._outcome.fixes}
        homeless = {each.instance_id for each in planned.additions if ("added", each.instance_id) not in done} | {
            each.instance_id for each in planned.changes if ("fixed", each.instance_id) not in done
        }
        moved = [each for each in planned.removals if each.moved]
        ready = [each for each in moved if each.instance_id not in homeless]
        self._outcome.left += len(moved) - len(ready)
        self._remove(ready)
        self._requeue(planned.requeues)
        self._outcome.plan = replace(planned, findings=(*planned.findings, *self._findings))

    def _at_free_addresses(self, additions: Sequence[Addition], removals: Iterable[Removal]) -> list[Addition]:
        """Those at no address of a host that should have been removed and was not; the others wait for the next run."""
        removed = {(fix.inventory, fix.instance_id) for fix in self._outcome.fixes}
        held = {
            (each.inventory, address_of(each.host))
            for each in removals
            if (each.inventory, each.instance_id) not in removed
        }
        free = [each for each in additions if (each.inventory, each.variables["ansible_host"]) not in held]
        self._outcome.left += len(additions) - len(free)
        return free

    def _by_inventory[S: (Removal, Change, Addition, Requeue)](
        self, steps: Iterable[S]
    ) -> Iterator[tuple[Inventory, list[S]]]:
        """The steps of one inventory after the other's. Until the next is asked for, the time is that inventory's."""
        by_inventory: defaultdict[Inventory, list[S]] = defaultdict(list)
        for each in steps:
            by_inventory[each.inventory].append(each)
        for inventory, own in by_inventory.items():
            with self._timing(inventory):
                yield inventory, own

    def _taking[S](self, steps: Sequence[S], size: int) -> Iterator[tuple[S, ...]]:
        """The steps in batches, as long as there is time."""
        for batch in batched(steps, size):
            if self._in_time():
                yield batch
            else:
                self._outcome.left += len(batch)

    @contextmanager
    def _timing(self, inventory: Inventory) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._outcome.by_inventory[inventory].seconds += time.monotonic() - began

    @contextmanager
    def _telling(self, what: str, one_of: Inventory | None = None) -> Iterator[None]:
        """one_of: where it is about one of many hosts."""
        try:
            yield
        except RollcallError as error:
            self._outcome.troubles[what] = error
            if one_of:
                self._outcome.troubled_in[what] = one_of

    @contextmanager
    def _telling_of_host(self, inventory: Inventory, host_id: int, name: str) -> Iterator[None]:
        """A host that is gone by now is no trouble: cleanup is at work too."""
        with self._telling(f"host {name} of inventory {inventory.name}", inventory):
            try:
                yield
            except TowerRejected:
                if self._tower.created_at([host_id]):
                    raise

    def _remove(self, removals: Iterable[Removal]) -> None:
        for inventory, own in self._by_inventory(removals):
            for batch in self._taking(own, BULK_DELETE_MAX):
                with self._telling(what := f"removing hosts from inventory {inventory.name}"):
                    kept = self._tower.delete_hosts([each.host for each in batch])
                    gone = [each for each in batch if each.host.id not in kept]
                    self._outcome.by_inventory[inventory].removed += len(gone)
                    self._tell("removed", gone)
                    if self._is_only_read(inventory, kept.values()):
                        self._findings.append(_left_in(inventory, own))
                        break
                    names = {each.host.id: each.host.name for each in batch}
                    self._note_each(inventory, what, {names[host_id]: error for host_id, error in kept.items()})

    def _is_only_read(self, inventory: Inventory, errors: Collection[Kept]) -> bool:
        """Whether the token may only read an inventory that no group of ours names; not if that cannot be found out."""
        if not any(isinstance(error, DeleteRefused) for error in errors):
            return False
        named = inventories_of_our_groups(self._tower, self._fleet)
        return named is not None and inventory.id not in named

    def _note_each(self, inventory: Inventory, what: str, errors: Mapping[str, RollcallError]) -> None:
        """A fault of one host is noted for that host, by its name; a fault that several share is noted once."""
        for name, error in errors.items():
            own = isinstance(error, TowerRejected)
            with self._telling(
                f"host {name} of inventory {inventory.name}" if own else what, inventory if own else None
            ):
                raise error

    def _look_groups_up(self, changes: Sequence[Change], additions: Sequence[Addition]) -> None:
        """The ids of all groups that are there already, in one query an inventory; the others are made when needed."""
        names: defaultdict[Inventory, set[str]] = defaultdict(set)
        for change in changes:
            names[change.inventory].update(change.join, change.leave)
        for addition in additions:
            names[addition.inventory].update(addition.place.settings.inventory_groups)
        for inventory, wanted in names.items():
            with self._telling(f"inventory groups of inventory {inventory.name}"):
                found = self._tower.groups_named(inventory, wanted)
                self._group_ids |= {(inventory.id, name): group_id for name, group_id in found.items()}

    def _change(self, changes: Iterable[Change]) -> None:
        for inventory, planned in self._by_inventory(changes):
            own = self._as_asked(self._without_those_back(planned))
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                right = list(pool.map(self._put_right, own))
            righted = [change for change, done in zip(own, right, strict=True) if done]
            owing = [
                _Owing(change.new_in, change.instance_id, change.host.id, change.variables)
                for change in righted
                if change.provision and change.new_in and change.variables
            ]
            jobs: dict[str, int] = {}
            unprovisioned = {each.instance_id for each in owing} - self._provision(owing, jobs)
            righted = [change for change in righted if change.instance_id not in unprovisioned]
            self._outcome.by_inventory[inventory].fixed += len(righted)
            self._outcome.left += right.count(None)
            self._tell("fixed", righted, jobs)

    def _without_those_back(self, changes: Sequence[Change]) -> list[Change]:
        """Without those that would disable the host of an instance that came back since it was read."""
        away = {change.instance_id for change in changes if change.enabled is False}
        resting: set[str] = set()
        if away:
            with self._telling("instances that rest"):
                resting = {each for each, known in self._fleet.memberships(away).items() if known.resting}
        staying = [change for change in changes if change.enabled is not False or change.instance_id in resting]
        self._outcome.left += len(changes) - len(staying)
        return staying

    def _put_right(self, change: Change) -> bool | None:
        """Whether the host is right now; None if there was no time to begin."""
        if not self._in_time():
            return None
        with self._telling_of_host(change.inventory, change.host.id, change.host.name):
            # First out of the former groups, which the next run would not know any more once the marker is replaced.
            for name in change.leave:
                self._tower.take_out_of_group(self._group_id(change.inventory, name), change.host.id)
            if change.variables is not None:
                variables = self._owing(change.variables) if change.provision else change.variables
                self._tower.update_host(change.host.id, change.instance_id, variables, enabled=change.enabled)
            for name in change.join:
                self._tower.add_to_group(self._group_id(change.inventory, name), change.host.id)
            return True
        return False

    def _as_asked(self, changes: Sequence[Change]) -> list[Change]:
        """New hosts also get what their instances' user data asks for, as far as they lack it."""
        asked = self._parameters({each.instance_id: each.new_in for each in changes if each.new_in})
        return [_with_asked(each, asked[each.instance_id]) if each.instance_id in asked else each for each in changes]

    def _parameters(self, places: Mapping[str, Place]) -> dict[str, UserDataParameters]:
        """What instances of groups that let them ask for by their user data; what is wrong with it is a finding."""
        asking = {
            each: (place.settings.group, place.inventory) for each, place in places.items() if place.settings.user_data
        }
        asked = read_parameters(self._fleet, self._tower, asking, allowed=self._settings.user_data)
        self._findings += [
            Finding(Kind.USER_DATA, places[each].inventory, each, parameters.warning)
            for each, parameters in asked.items()
            if parameters.warning
        ]
        return asked

    def _group_id(self, inventory: Inventory, name: str) -> int:
        """A group's id; the group is made if need be."""
        self._groups_looked_up.result()
        if (inventory.id, name) not in self._group_ids:
            self._group_ids[inventory.id, name] = self._tower.group_ids(inventory, [name])[name]
        return self._group_ids[inventory.id, name]

    def _add(self, additions: Iterable[Addition]) -> None:
        for inventory, own in self._by_inventory(additions):
            for batch in self._taking(own, BULK_CREATE_MAX):
                with self._telling(f"adding hosts to inventory {inventory.name}"):
                    if inventory in self._full:  # to ask again would take some calls, and no host would fit
                        self._outcome.left += len(batch)
                    else:
                        self._add_batch(inventory, batch)

    def _add_batch(self, inventory: Inventory, additions: Sequence[Addition]) -> None:
        additions = self._with_parameters(additions)
        made = self._make(inventory, additions)
        staying = [each for each in additions if each.instance_id in made]
        self._outcome.by_inventory[inventory].added += len(staying)
        jobs: dict[str, int] = {}
        try:
            grouped = self._put_into_groups(staying, made)
            owing = [
                _Owing(each.place, each.instance_id, made[each.instance_id], each.variables)
                for each in grouped
                if each.provision
            ]
            self._provision(owing, jobs)
        finally:  # they are added, whatever became of their jobs
            self._tell("added", staying, jobs)

    def _with_parameters(self, additions: Sequence[Addition]) -> list[Addition]:
        """What a person set on a host that moves is kept against what its instance's user data asks for."""
        asked = self._parameters({each.instance_id: each.place for each in additions})
        return [
            replace(each, variables={**own.variables, **each.variables}, asked_groups=own.groups)
            if (own := asked.get(each.instance_id))
            else each
            for each in additions
        ]

    def _make(self, inventory: Inventory, additions: Sequence[Addition]) -> dict[str, int]:
        """Makes hosts; their ids by instance id, for the instances that stay.

        What is there by now was made by register or another run, and is theirs to see through.
        """
        made = self._tower.create_hosts(inventory, [self._new_host(each) for each in additions])
        self._note_each(inventory, f"adding hosts to inventory {inventory.name}", made.errors)
        if any(isinstance(error, HostLimitReached) for error in made.errors.values()):
            self._full.add(inventory)
        # As at registration: cleanup looks after the state changed, we look again after the host exists.
        left = self._fleet.departed(list(made.ids), self._fleet.memberships(made.ids))
        removal = remove_from_every_inventory(self._tower, self._fleet, left)
        self._outcome.troubles |= {f"host of {each}, which left": refusal for each, refusal in removal.refusals.items()}
        return {instance_id: host_id for instance_id, host_id in made.ids.items() if instance_id not in left}

    def _new_host(self, addition: Addition) -> NewHost:
        """The host says itself that its job is still to be launched, for whatever becomes of this run."""
        variables = self._owing(addition.variables) if addition.provision else addition.variables
        return NewHost(addition.instance_id, variables, self._made_by, addition.enabled)

    def _owing(self, variables: Mapping[str, object]) -> dict[str, object]:
        """A host's variables with the note that its group's job is to be launched."""
        return with_state(variables, **{OWED_SINCE: int(self._tower.now())})

    def _put_into_groups(self, additions: Sequence[Addition], made: Mapping[str, int]) -> list[Addition]:
        """Those whose hosts are in all their groups now; without these a playbook would do the wrong thing."""
        ready: set[Place] = set()
        for place in {each.place for each in additions}:
            with self._telling(f"inventory groups of group {place.settings.group}"):
                for name in place.settings.inventory_groups:
                    self._group_id(place.inventory, name)
                ready.add(place)
        able = [each for each in additions if each.place in ready]
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            joined = list(pool.map(lambda each: self._join_all(each, made[each.instance_id]), able))
        return [each for each, inside in zip(able, joined, strict=True) if inside]

    def _join_all(self, addition: Addition, host_id: int) -> bool:
        with self._telling_of_host(addition.inventory, host_id, addition.instance_id):
            for name in addition.groups:
                self._tower.add_to_group(self._group_id(addition.inventory, name), host_id)
            return True
        return False

    def _provision(self, owing: Iterable[_Owing], jobs: dict[str, int]) -> set[str]:
        """Launches jobs; the instances whose hosts owe none any more. The others are left to the next run.

        jobs: takes the ids of the jobs that were launched, by instance id.
        """
        by_place: defaultdict[Place, list[_Owing]] = defaultdict(list)
        for each in owing:
            by_place[each.place].append(each)
        provisioned: set[str] = set()
        for place, own in by_place.items():
            template = self._templates[place.settings.group]
            assert template, "what has no job is not to be provisioned"  # noqa: S101 - the plan says so
            with self._telling(f"provisioning instances of group {place.settings.group}"):
                require_limitable(template, place.inventory, place.settings)
                for batch in batched(sorted(own, key=lambda each: each.instance_id), self._settings.max_hosts_per_job):
                    names = [each.instance_id for each in batch]
                    jobs |= dict.fromkeys(names, launch_once(self._tower, template, place.inventory, names))
                    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                        noted = list(pool.map(self._note_job, batch))
                    provisioned |= {each.instance_id for each, done in zip(batch, noted, strict=True) if done}
        return provisioned

    def _note_job(self, owing: _Owing) -> bool:
        with self._telling_of_host(owing.place.inventory, owing.host_id, owing.instance_id):
            self._tower.update_host(owing.host_id, owing.instance_id, owing.variables)
            return True
        return False

    def _requeue(self, requeues: Iterable[Requeue]) -> None:
        for inventory, own in self._by_inventory(requeues):
            for batch in self._taking(own, 1):
                [requeue] = batch
                group = requeue.place.settings.group
                with self._telling(f"waiting instance {requeue.instance_id} of group {group}", inventory):
                    wanted = list(Transition) if requeue.transition is None else [requeue.transition]
                    hooks = [hook for hook in self._own_hooks(group) if hook.transition in wanted]
                    sent = [self._queue(requeue, hook) for hook in hooks]  # each of them may be open
                    if any(sent):
                        self._outcome.by_inventory[inventory].requeued += 1
                        self._tell("requeued", batch)

    def _own_hooks(self, group: str) -> list[Hook]:
        """A group's hooks that are ours, looked up once a run."""
        if group not in self._hooks:
            self._hooks[group] = [hook for hook in self._fleet.hooks(group) if self._is_ours(hook)]
        return self._hooks[group]

    def _is_ours(self, hook: Hook) -> bool:
        queues = (self._settings.launch_queue_url, self._settings.terminate_queue_url)
        return hook.name.startswith(self._settings.hook_prefix) or any(is_queue(hook.target, url) for url in queues)

    def _queue(self, requeue: Requeue, hook: Hook) -> bool:
        """Whether our hook is what the instance waits for, and its action was queued again."""
        launching = hook.transition == Transition.LAUNCHING
        url = self._settings.launch_queue_url if launching else self._settings.terminate_queue_url
        action = LifecycleAction(
            hook.transition,
            self._settings.account,
            self._fleet.region,
            requeue.place.settings.group,
            requeue.instance_id,
            hook.name,
            at=time.time(),  # nobody told when it began to wait
        )
        if not self._fleet.heartbeat(action):
            return False
        self._queues.send(url, [(write_action(action), 0)])
        return True

    def _tell(
        self,
        deed: str,
        steps: Iterable[Removal | Change | Addition | Requeue],
        jobs: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._outcome.fixes += [
            Fix(deed, each.inventory, each.instance_id, each.reason, each.group, jobs.get(each.instance_id))
            for each in steps
        ]


def _left_in(inventory: Inventory, removals: Sequence[Removal]) -> Finding:
    """One for the inventory: what keeps one of its hosts keeps them all."""
    reason = (
        f"{len(removals)} of its hosts, {removals[0].host.name} among them, are to go and stay, for the token may only "
        "read it: let the token's user administer it, or remove them"
    )
    return Finding(Kind.READ_ONLY, inventory, inventory.name, reason)


def _with_asked(change: Change, asked: UserDataParameters) -> Change:
    join = tuple(name for name in asked.groups if name not in change.host.groups and name not in change.join)
    variables = {**asked.variables, **(change.variables or {})}
    return replace(change, variables=variables, join=(*change.join, *join))
