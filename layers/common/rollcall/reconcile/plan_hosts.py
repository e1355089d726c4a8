"""What becomes of each managed host: removed, changed, reported, or left to its lifecycle action. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.settings import MOMENT_FORMAT
from rollcall.domain.shell_commands import command, options
from rollcall.hosts.ownership import why_gone
from rollcall.hosts.resting import is_disabled_for_rest, resting_variables
from rollcall.hosts.variables import is_resting, kept_until

from .plan_changes import change_for, differences, left_out_tags
from .steps import Change, DriftFinding, DriftKind, Removal, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost, Inventory
    from rollcall.domain.membership import Membership
    from rollcall.hosts.ownership import Marker

    from .plan_input import PlanInput
    from .snapshot import Place
    from .steps import Plan, Step


class Situation(Enum):
    """Where the instance of a managed host stands, and with it what becomes of the host."""

    NO_CONCERN = auto()  # the run is not about it, it has a lifecycle action, or its host proves itself right
    RESTING = auto()  # it keeps its id and is out of service: the host is disabled
    GONE = auto()  # the host is removed
    MISPLACED = auto()  # it serves, and its host belongs into another inventory: moved
    SERVING = auto()  # the host is kept true
    UNCLAIMED = auto()  # it lives in no group of ours: reported


class Classified(NamedTuple):
    """A situation; the reason of a removal; the place and the instance of one that serves."""

    situation: Situation
    reason: str = ""
    home: tuple[Place, Instance] | None = None


def plan_hosts(given: PlanInput) -> Plan:
    """The removals, the changes and the findings that are about managed hosts."""
    steps: list[Step | DriftFinding] = []
    at_home: dict[tuple[int, str], DumpedHost] = {}  # of each instance the first host where it belongs
    for inventory, host, marker in given.managed:
        situation, reason, home = classify_host(given, inventory, host, marker)
        match situation:
            case Situation.RESTING:
                steps += _disabled(given, inventory, host, marker)
            case Situation.GONE:
                steps.append(Removal(inventory, host, marker.instance_id, reason))
            case Situation.MISPLACED:
                steps.append(Removal(inventory, host, marker.instance_id, reason, moved=True))
            case Situation.UNCLAIMED:
                steps.append(_unclaimed(given, inventory, host, marker))
            case Situation.SERVING if home:
                first = at_home.setdefault((inventory.id, marker.instance_id), host)
                if first is host:
                    steps += _kept_true(given, inventory, host, marker, *home)
                else:
                    steps.append(_second_host(inventory, host, marker, first))
    return plan_of(steps)


def classify_host(given: PlanInput, inventory: Inventory, host: DumpedHost, marker: Marker) -> Classified:
    """What a managed host's instance is up to, by what Auto Scaling and EC2 say of it."""
    membership, instance = given.membership(marker.instance_id), given.instance(marker.instance_id)
    if not given.concerns_host(marker):
        return Classified(Situation.NO_CONCERN)
    if membership is None and (until := kept_until(host.variables)) is not None:
        return _of_bake(instance, given.age(host), until, given.snapshot.now)
    if membership and membership.resting:
        return Classified(Situation.RESTING)
    if membership and membership.retained:
        return Classified(Situation.GONE, f"its instance is {membership.state}, and is not of its group any more")
    if membership and (membership.entering or membership.leaving):
        return Classified(Situation.NO_CONCERN)
    if gone := why_gone(instance, membership, given.age(host)):
        return Classified(Situation.GONE, gone)
    if membership and (place := given.place_of(membership)):
        return _in_group(inventory, place, membership, instance)
    return Classified(Situation.UNCLAIMED if instance or membership else Situation.NO_CONCERN)


def _of_bake(instance: Instance | None, age: float | None, until: float, now: float) -> Classified:
    """Of an instance that a bake launched, which is of no group: its host stays until its time is over, or it is gone.

    The instance itself the bake function removes, which alone may do so.
    """
    if gone := why_gone(instance, None, age):
        return Classified(Situation.GONE, gone)
    if now <= until:
        return Classified(Situation.NO_CONCERN)
    over = datetime.fromtimestamp(until, UTC).strftime(MOMENT_FORMAT)
    return Classified(Situation.GONE, f"a bake launched its instance, whose time was over at {over}")


def _in_group(inventory: Inventory, place: Place, membership: Membership, instance: Instance | None) -> Classified:
    """Of an instance that lives in a group of ours; where EC2 was not read, its host is right by its own variables."""
    if not membership.serving or not instance:
        return Classified(Situation.NO_CONCERN)
    if place.inventory.id != inventory.id:
        reason = f"hosts of group {place.settings.group!r} belong into inventory {place.inventory.name!r}"
        return Classified(Situation.MISPLACED, reason)
    return Classified(Situation.SERVING, home=(place, instance))


def _disabled(given: PlanInput, inventory: Inventory, host: DumpedHost, marker: Marker) -> Iterator[Change]:
    """The host of an instance that keeps its id and is out of service: disabled, and marked as resting."""
    membership = given.snapshot.memberships[marker.instance_id]
    if membership.held or is_disabled_for_rest(host):
        return  # its lifecycle action disables it, or did
    variables = resting_variables(host, given.snapshot.now)
    reason = f"its instance is {membership.state}: no job is to reach it"
    yield Change(inventory, host, marker.instance_id, reason, variables, enabled=False)


def _kept_true(
    given: PlanInput, inventory: Inventory, host: DumpedHost, marker: Marker, place: Place, instance: Instance
) -> Iterator[Change | DriftFinding]:
    """The host of an instance that serves, where it belongs: what differs is changed."""
    wanted = given.wanted_variables(place, instance)
    if wanted is None:
        reason = f"its instance has no {place.settings.address} address"
        yield DriftFinding(DriftKind.NO_ADDRESS, inventory, host.name, reason, marker.instance_id)
        return
    if given.is_renamed(host) and is_resting(host.variables):
        return  # it is enabled once it has its name again
    found = differences(given, host, marker, place.settings, wanted)
    if found.variables:
        yield from left_out_tags(place, instance)
    if found.words:
        yield change_for(given, host, marker.instance_id, place, wanted, found)


def _second_host(inventory: Inventory, host: DumpedHost, marker: Marker, first: DumpedHost) -> DriftFinding:
    reason = f"host {first.name} is for the same instance: remove one of them"
    return DriftFinding(DriftKind.SECOND_HOST, inventory, host.name, reason, marker.instance_id)


def _unclaimed(given: PlanInput, inventory: Inventory, host: DumpedHost, marker: Marker) -> Removal | DriftFinding:
    """The host of an instance that lives in no group of ours: removed only if the run is to forget its group."""
    if marker.group in given.options.forget:
        return Removal(inventory, host, marker.instance_id, f"group {marker.group!r} is to be forgotten")
    if membership := given.membership(marker.instance_id):
        kind, reason = (
            DriftKind.NOT_OPTED_IN,
            (
                f"its instance lives in group {membership.group!r}, which has no tag rollcall:inventory: put the tag "
                f"back, or remove the hosts of {marker.group!r}: {_forgetting(marker.group)}"
            ),
        )
    else:
        kind, reason = (
            DriftKind.DETACHED,
            ("its instance lives and belongs to no Auto Scaling group: attach it, or remove the host"),
        )
    return DriftFinding(kind, inventory, host.name, reason, marker.instance_id)


def _forgetting(group: str) -> str:
    """What makes a run remove a group's hosts: the command, and the event for programs."""
    return (
        f"{command('rollcall', 'reconcile', *options('--forget', [group]))} (event {json.dumps({'forget': [group]})})"
    )
