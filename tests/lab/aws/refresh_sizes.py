"""How many instances an instance refresh may take away and launch now: arithmetic, and the choice of the old ones.

All sizes are in units of capacity: an instance is one, or its weight. Nothing here knows the engine.

Source: Amazon EC2 Auto Scaling API reference (RefreshPreferences: what of a maximum of 100 that is given differs from
none that is given) and user guide ("How an instance refresh works", "Add checkpoints to an instance refresh"). AWS does
not say how percentages are rounded (an older reference did of the minimum: up), nor which old instance goes first: here
the oldest in service.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

ALL = 100
"""Percent."""


class Bounds(NamedTuple):
    """The capacity that is to be ready at least, and the one that may be there at most."""

    low: int
    high: int


class Member(NamedTuple):
    """An instance that counts. outdated: to be replaced. kept: outdated, and not to be touched now.

    ready: in service, and warmed up if it is new. young: still on its way into service. held: the rules forbid to
    take it away before it is in service.
    """

    instance_id: str
    weight: int
    outdated: bool
    kept: bool
    ready: bool
    young: bool
    held: bool = False


class Step(NamedTuple):
    """What is to be done now. terminated: instances to take away. wanted: the capacity that the group is to have."""

    terminated: tuple[str, ...]
    wanted: int


def share(capacity: int, percent: int, rounding: str) -> int:
    """Return so many percent of a capacity. rounding: "up" or "down"."""
    exact = capacity * percent
    return -(-exact // ALL) if rounding == "up" else exact // ALL


def needed(capacity: int, percent: int) -> int:
    """Return how much has to be new before a checkpoint of so many percent is reached."""
    return math.ceil(capacity * percent / ALL)


def next_step(
    members: Sequence[Member], desired: int, bounds: Bounds, allowed: int, *, launches_first: bool, may_force: bool
) -> Step:
    """Return what may be done now. members: the oldest first. allowed: how much may be new, by the next checkpoint.

    launches_first: the maximum is given, so where neither bound leaves room one more is launched; without it one is
    taken away. may_force: whether that may happen now.
    """
    fresh = sum(each.weight for each in members if not each.outdated)
    kept = sum(each.weight for each in members if each.kept)
    replaceable = [each for each in members if each.outdated and not each.kept and not each.held]
    terminated = _terminated(members, replaceable, desired - allowed, bounds.low)
    live = sum(each.weight for each in members) - sum(each.weight for each in terminated)
    room = min(allowed, desired - kept) - fresh
    # Neither bound leaves room: then the maximum gives way, by one.
    high = desired + 1 if launches_first and bounds.low >= desired >= bounds.high else bounds.high
    wanted = max(desired, min(high, live + max(room, 0)))
    heaviest = max((each.weight for each in members), default=1)
    if heaviest > 1 and live <= desired + 2 * heaviest:
        wanted = max(wanted, live)  # one instance may be more than the room that there is
    rests = all(each.ready or each.outdated for each in members) and live >= desired
    if may_force and rests and not terminated and wanted <= live <= desired + heaviest and room > 0 and replaceable:
        if launches_first:
            wanted = live + 1
        else:
            terminated = [_in_order(replaceable)[0]]
    return Step(tuple(each.instance_id for each in terminated), wanted)


def _terminated(members: Sequence[Member], replaceable: list[Member], least_old: int, low: int) -> list[Member]:
    live = sum(each.weight for each in members)
    ready = sum(each.weight for each in members if each.ready)
    old = sum(each.weight for each in members if each.outdated)
    terminated = []
    for each in _in_order(replaceable):
        lost = each.weight if each.ready else 0
        if live - each.weight < low or ready - lost < min(low, ready) or old - each.weight < least_old:
            continue
        live, ready, old = live - each.weight, ready - lost, old - each.weight
        terminated.append(each)
    return terminated


def _in_order(replaceable: list[Member]) -> list[Member]:
    """Those in service before those on their way, each the oldest first."""
    return sorted(replaceable, key=lambda each: each.young)
