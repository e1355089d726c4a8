"""The hosts of new instances: made, or brought up to date, and marked with the stint that begins.

Before any job is launched, the marker of each host has the moment when the present stint of its instance began: jobs
from before do not count.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import BadSettings, HostRenamed, TowerDenied
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, notes_on_kept
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, grouped, joined
from rollcall.domain.timing import OTHER_LAUNCH_TIME
from rollcall.hosts.eviction import evict
from rollcall.hosts.jobs import CLOCK_STEP
from rollcall.hosts.ownership import address_key
from rollcall.hosts.resting import is_enabled_on_return
from rollcall.hosts.stint import begins_new_stint, joined_by, may_be_of_former_stint, new_stint, rested_since, stint_of
from rollcall.hosts.unmatched_hosts import renamed_hosts
from rollcall.hosts.variables import OWED_SINCE, RESTING, host_variables, with_our_variables, with_state
from rollcall.tower.bulk_hosts import NewHost

from .hook_answers import require_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.errors import Kept
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.domain.settings import Settings
    from rollcall.hosts.eviction import Eviction
    from rollcall.hosts.stint import Stint
    from rollcall.tower.bulk_hosts import MadeHosts
    from rollcall.tower.client import Tower

    from .new_instances import NewInstance


class Registered(NamedTuple):
    """A new instance whose host exists.

    existing: the host as it was found, None if it was made just now. stint: the present one, as the host's marker has
    it now. begins_stint: this message begins it. notes: on jobs from before it.
    """

    new_instance: NewInstance
    host_id: int
    existing: Host | None
    stint: Stint
    begins_stint: bool
    notes: tuple[Note, ...] = ()

    @property
    def action(self) -> LifecycleAction:
        """The launch action."""
        return self.new_instance.action

    @property
    def jobs_since(self) -> float:
        """From when on jobs count, by Tower's clock in epoch seconds.

        Two messages about one action that are worked on at one moment both begin the stint of a resting host. The job
        of the one counts for the other.
        """
        rested = rested_since(self.existing.variables) if self.existing else None
        return self.stint.since if rested is None else max(rested, self.stint.since - OTHER_LAUNCH_TIME)

    @property
    def begun_by_another(self) -> bool:
        """Whether the stint was begun for another message or by reconcile, or an operator made the host.

        It was not if this message began it, now or at an earlier try.
        """
        return (
            self.existing is not None and not self.begins_stint and self.existing.description != _made_for(self.action)
        )

    @property
    def is_cared_for(self) -> bool:
        """Whether no hook holds the instance, and another message began its stint: that one sees it through."""
        return self.begun_by_another and not self.new_instance.held_by_hook


class HostRegistration:
    """Makes the hosts of one fleet's new instances. clock() is this machine's, in epoch seconds."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._clock = clock

    def register(self, new_instances: Sequence[NewInstance]) -> Stage[Registered]:
        """Those whose hosts exist from now on, by inventory; what is wrong with one inventory fails no other.

        Among the reports are those of instances that are gone and whose hosts were removed from a new one's address.
        """
        by_inventory = grouped(new_instances, lambda each: each.inventory)
        return joined(self._in_inventory(inventory, own) for inventory, own in by_inventory.items())

    def _in_inventory(self, inventory: Inventory, new_instances: Sequence[NewInstance]) -> Stage[Registered]:
        return (
            all_together(new_instances, action_of, partial(self._without_late, inventory))
            .together(action_of, partial(self._without_renamed, inventory))
            .together(action_of, partial(self._without_occupied, inventory))
            .together(action_of, partial(self._with_hosts, inventory))
        )

    def _without_late(self, inventory: Inventory, new_instances: Sequence[NewInstance]) -> Stage[NewInstance]:
        """Those that are in service for too long to be provisioned unasked leave: reconcile adds their hosts.

        What was begun in time, at a try before, is brought to its end.
        """
        late = [each for each in new_instances if self._is_late(each)]
        if not late:
            return Stage(new_instances)
        found = self._tower.hosts_named(inventory, {each.instance.instance_id for each in late})
        made_for = {host.name: host.description for host in found}
        left = {each.action for each in late if made_for.get(each.instance.instance_id) != _made_for(each.action)}
        return Stage(
            [each for each in new_instances if each.action not in left],
            [Report(each, "left to reconcile: it serves for too long") for each in left],
        )

    def _is_late(self, new_instance: NewInstance) -> bool:
        served = self._clock() - new_instance.action.at
        return (
            not new_instance.held_by_hook
            and new_instance.template is not None
            and served >= new_instance.settings.timeout
        )

    def _without_renamed(self, inventory: Inventory, new_instances: Sequence[NewInstance]) -> Stage[NewInstance]:
        """Those whose host has another name leave: a second one would have the same address."""
        ids = {each.instance.instance_id for each in new_instances}
        renamed = renamed_hosts(self._tower, inventory, ids, self._settings.account, self._fleet.region)
        return _without(new_instances, {each: HostRenamed(words) for each, words in renamed.items()})

    def _without_occupied(self, inventory: Inventory, new_instances: Sequence[NewInstance]) -> Stage[NewInstance]:
        """Stale hosts at the addresses of new instances are removed; a new one leaves if Tower keeps such a host."""
        keys = {
            each.instance.instance_id: address_key(each.instance.facts["vpc"], each.address) for each in new_instances
        }
        evictions = evict(self._tower, self._fleet, self._settings.account, inventory, keys)
        removed = [_evicted(each, self._settings.account, self._fleet.region) for each in evictions if not each.refusal]
        refused: dict[str, TowerDenied] = {}
        for each in evictions:
            if each.refusal:
                refused |= dict.fromkeys(each.new_instances, _host_kept(each, each.refusal))
        stage = _without(new_instances, refused)
        return Stage(stage.going_on, [*removed, *stage.left])

    def _with_hosts(self, inventory: Inventory, new_instances: Sequence[NewInstance]) -> Stage[Registered]:
        # The oldest first: of more than Tower has room for, those are made that wait for longest.
        by_age = sorted(new_instances, key=lambda each: (each.action.at, each.action.received_at))
        by_id = grouped(by_age, lambda each: each.instance.instance_id)
        # Jobs get their times from another node of Tower, whose clock may be behind. No job of a former stint is so
        # young: to leave and to come back takes an instance longer.
        now = self._tower.now() - CLOCK_STEP
        stints = {name: new_stint(now, [each.action for each in own]) for name, own in by_id.items()}
        wanted = {name: _new_host(own[0], inventory, stints[name]) for name, own in by_id.items()}
        made = self._tower.create_hosts(inventory, list(wanted.values()))
        return joined(
            all_together(own, action_of, partial(self._registered, made, wanted[name], stints[name]))
            for name, own in by_id.items()
        )

    def _registered(
        self, made: MadeHosts, wanted: NewHost, stint: Stint, new_instances: Sequence[NewInstance]
    ) -> Stage[Registered]:
        """The actions of one instance, whose host was to be made with a stint that begins now."""
        if error := made.errors.get(wanted.instance_id):
            raise error
        if host := made.existing.get(wanted.instance_id):
            present = each_apart(new_instances, action_of, partial(self._present, host))
            return present.together(action_of, partial(self._brought_up_to_date, host, wanted, stint.since))
        host_id = made.ids[wanted.instance_id]
        return Stage([Registered(each, host_id, None, stint, begins_stint=True) for each in new_instances])

    def _present(self, host: Host, new_instance: NewInstance) -> NewInstance | Report:
        """An action that is not of a former stint. Raises ActionNotVisible while AWS does not show whether it is."""
        action = new_instance.action
        doubtful = begins_new_stint(host, action) and may_be_of_former_stint(host, action)
        if not doubtful or self._fleet.heartbeat(action):
            return new_instance
        require_visible(self._fleet, [action], self._clock())
        return Report(action, NO_LONGER_WAITING)

    def _brought_up_to_date(
        self, host: Host, wanted: NewHost, now: float, new_instances: Sequence[NewInstance]
    ) -> Stage[Registered]:
        """The actions of one instance whose host was there already, with its variables and its stint put right.

        now: by Tower's clock; when a stint begins that is not the host's, unless the host rests since later.
        """
        if host.marker is None and not self._settings.adopt_by_instance_id:
            raise BadSettings(
                f"inventory {host.inventory_name!r} has a host {host.name} that is not ours (no variable 'rollcall'): "
                "remove it, or deploy with AdoptByInstanceId=true to take such hosts over"
            )
        actions = [each.action for each in new_instances]
        begins_stint = any(begins_new_stint(host, action) for action in actions)
        since = max(now, rested_since(host.variables) or now)
        stint = new_stint(since, actions) if begins_stint else joined_by(stint_of(host), actions)
        ended = dict.fromkeys((RESTING, OWED_SINCE)) if begins_stint else {}
        variables = with_state(with_our_variables(host.variables, wanted.variables), stint=stint.written(), **ended)
        if begins_stint or host.instance_id != host.name or dict(host.variables) != variables:
            self._tower.update_host(
                host.id,
                host.name,
                variables,
                enabled=True if begins_stint and is_enabled_on_return(host.variables) else None,
                description=wanted.description if begins_stint else None,
            )
        return Stage([Registered(each, host.id, host, stint, begins_stint) for each in new_instances])


def _without[E: HostRenamed | TowerDenied](
    new_instances: Sequence[NewInstance], errors: dict[str, E]
) -> Stage[NewInstance]:
    """The new instances without those that fail. errors: by instance id."""
    return Stage(
        [each for each in new_instances if each.instance.instance_id not in errors],
        [
            Report(each.action, error=errors[each.instance.instance_id])
            for each in new_instances
            if each.instance.instance_id in errors
        ],
    )


def _new_host(new_instance: NewInstance, inventory: Inventory, stint: Stint) -> NewHost:
    action = new_instance.action
    ours = host_variables(new_instance.settings, new_instance.instance, action.account, action.region, inventory.id)
    variables = with_state({**new_instance.parameters.variables, **ours}, stint=stint.written())
    return NewHost(new_instance.instance.instance_id, variables, _made_for(action))


def _made_for(action: LifecycleAction) -> str:
    """The description of a host, by the message that began its instance's present stint."""
    return f"Made by Rollcall for message {action.message_id}"


def _evicted(eviction: Eviction, account: str, region: str) -> Report:
    """Of an instance that is not of the batch: as of the terminate action that cleanup never got for it."""
    action = LifecycleAction(Transition.TERMINATING, account, region, eviction.group, eviction.instance_id)
    outcome = f"evicted: {eviction.reason}, and {', '.join(sorted(eviction.new_instances))} has its address"
    notes = tuple(notes_on_kept(eviction.removal, eviction.instance_id))
    return Report(action, outcome, event=Event.RETIRED, notes=notes, evicted=True)


def _host_kept(eviction: Eviction, refusal: Kept) -> TowerDenied:
    """Why a new instance cannot have its address: the old host would be reached there too."""
    keepers = ", ".join(repr(name) for name in sorted(refusal.inventories))
    return TowerDenied(
        f"its address is still that of a host of {eviction.instance_id} ({eviction.reason}), which inventory {keepers} "
        f"does not let go: {refusal}"
    )
