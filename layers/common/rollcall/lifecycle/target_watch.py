"""Instances let through the gate -> whether their load balancers find that they serve, published as it changes.

A message is evaluated again and again until its time is over. Published are the first time that all target groups of an
instance's group call it healthy, and every change after that; and at the end the instances that never came so far. An
instance that leaves its group is watched no longer: what becomes of it Auto Scaling publishes.
"""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.checks.load_balancers import doubts_about
from rollcall.domain import timing

from .gate_round import Round

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollcall.aws.fleet import Fleets
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.membership import Membership
    from rollcall.domain.messages import Watched, WatchMessage

OUT_OF_SERVICE = ("EnteringStandby", "Standby", "Detach")


@dataclass(frozen=True)
class TargetHealthChange:
    """What is published of a watched instance: whether its target groups call it healthy, and why not.

    seconds: since its launch. first: nothing was published of it before.
    """

    action: LifecycleAction
    serving: bool
    seconds: float
    reason: str
    first: bool


@dataclass(frozen=True)
class WatchRound(Round["WatchMessage"]):
    """What one round of a message brought; changes: what is to be published, nothing where there is an error."""

    changes: tuple[TargetHealthChange, ...] = ()


def health_change(
    watched: Watched, doubts: Sequence[str], *, gone: bool, over: bool, now: float
) -> TargetHealthChange | None:
    """What is to be published of an instance, None for nothing. Pure; now in epoch seconds.

    doubts: why it does not serve. gone: it left its group; over: this is the last round of its message.
    """
    seconds, first = now - watched.launched_at, watched.serving is None
    if gone and not first:
        return None
    if not doubts and not watched.serving:
        return TargetHealthChange(watched.action, True, seconds, "every target group calls it healthy", first)
    if doubts and (watched.serving or (first and (gone or over))):
        return TargetHealthChange(watched.action, False, seconds, "; ".join(doubts), first)
    return None


class Watch:
    """Works on messages of watched instances. clock() in epoch seconds."""

    def __init__(self, fleets: Fleets, clock: Callable[[], float]) -> None:
        self._fleets = fleets
        self._clock = clock

    def evaluate(self, message: WatchMessage) -> WatchRound:
        """One round of a message; those that are to be watched on are in what goes on, still to be sent."""
        try:
            now = self._clock()
            doubts, left = self._doubts(message)
            return _round(message, doubts, left, now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this message's alone
            return WatchRound(error=error)

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


def _round(message: WatchMessage, doubts: Mapping[str, Sequence[str]], left: set[str], now: float) -> WatchRound:
    """What changed, and what is watched on. doubts: by instance id why it does not serve. left: what left its group."""
    over = now >= message.until
    changes = {
        each: health_change(
            each, doubts[each.action.instance_id], gone=each.action.instance_id in left, over=over, now=now
        )
        for each in message.watched
    }
    staying = tuple(
        replace(each, serving=change.serving if change else each.serving)
        for each, change in changes.items()
        if each.action.instance_id not in left
    )
    delay = timing.watch_delay(now - message.since, message.until - now)
    going_on = [(replace(message, watched=staying), delay)] if staying and not over else []
    return WatchRound(next=going_on, changes=tuple(each for each in changes.values() if each))


def _why_left(membership: Membership | None) -> str | None:
    if membership is None:
        return "it left its group"
    if membership.leaving or membership.state.startswith(OUT_OF_SERVICE):
        return f"it is {membership.state}"
    return None
