"""Instances let through the gate -> whether their load balancers find that they serve, told as it changes.

A message is looked at again and again until its time is over. Told are the first time that all target groups of an
instance's group call it healthy, and every change after that; and at the end the instances that never came so far. An
instance that leaves its group is watched no longer: what becomes of it Auto Scaling tells.
"""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.checks.load_balancers import doubts_about
from rollcall.domain import timing

from .gate_round import Round

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall.aws.fleet import Fleets, Membership
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.messages import Watched, WatchMessage

OUT_OF_SERVICE = ("EnteringStandby", "Standby", "Detach")


@dataclass(frozen=True)
class Sight:
    """What is to be told of a watched instance: seconds since its launch, and whether it is the first to be told."""

    action: LifecycleAction
    serving: bool
    seconds: float
    reason: str
    first: bool


@dataclass(frozen=True)
class Sighting(Round["WatchMessage"]):
    """What one round of a message brought; sights: what is to be published, nothing where there is an error."""

    sights: tuple[Sight, ...] = ()


def judge_sight(watched: Watched, doubts: Sequence[str], *, gone: bool, over: bool, now: float) -> Sight | None:
    """What is to be told of an instance, None for nothing. Pure; now in epoch seconds.

    doubts: why it does not serve. gone: it left its group; over: this is the last look at its message.
    """
    seconds, first = now - watched.launched_at, watched.serving is None
    if gone and not first:
        return None
    if not doubts and not watched.serving:
        return Sight(watched.action, True, seconds, "every target group calls it healthy", first)
    if doubts and (watched.serving or (first and (gone or over))):
        return Sight(watched.action, False, seconds, "; ".join(doubts), first)
    return None


class Watch:
    """Works on messages of watched instances. clock() in epoch seconds."""

    def __init__(self, fleets: Fleets, clock: Callable[[], float]) -> None:
        self._fleets = fleets
        self._clock = clock

    def evaluate(self, message: WatchMessage) -> Sighting:
        """One round of a message; those that are to be watched on are in what goes on, still to be sent."""
        try:
            now = self._clock()
            over = now >= message.until
            doubts, left = self._doubts(message)
            sights: list[Sight] = []
            staying: list[Watched] = []
            for each in message.watched:
                instance_id = each.action.instance_id
                sight = judge_sight(each, doubts[instance_id], gone=instance_id in left, over=over, now=now)
                if sight:
                    sights.append(sight)
                if instance_id not in left:
                    staying.append(replace(each, serving=sight.serving if sight else each.serving))
            going_on: list[tuple[WatchMessage, float]] = []
            if staying and not over:
                delay = timing.watch_delay(now - message.since, message.until - now)
                going_on.append((replace(message, watched=tuple(staying)), delay))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this message's alone
            return Sighting(error=error)
        return Sighting(next=going_on, sights=tuple(sights))

    def _doubts(self, message: WatchMessage) -> tuple[dict[str, list[str]], set[str]]:
        """By instance id, why each does not serve; and those that left their group, or are out of service."""
        action = message.watched[0].action
        fleet = self._fleets.of(action)
        ids = {each.action.instance_id for each in message.watched}
        memberships = fleet.memberships(ids)
        doubts = {each: [why] for each in ids if (why := _why_left(memberships.get(each)))}
        left = set(doubts)
        group = fleet.groups({action.group}).get(action.group)
        if group is None or not group.target_groups:
            return doubts | {each: ["its group is attached to no target group"] for each in ids - left}, left
        found = doubts_about(fleet.targets, group, ids - left) if ids - left else {}
        return doubts | {each: [doubt.words for doubt in own] for each, own in found.items()}, left


def _why_left(membership: Membership | None) -> str | None:
    if membership is None:
        return "it left its group"
    if membership.leaving or membership.state.startswith(OUT_OF_SERVICE):
        return f"it is {membership.state}"
    return None
