"""Whether a cycle cost a target group healthy targets. Pure.

Each sample is compared with as many targets as the group wants now, or as were healthy when the cycle began if those
were fewer. Not the cycle's fault are old instances that are not being replaced and are unhealthy by themselves, and
those that an operator or a health check terminates, until others are in service in their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .state import LISTED_MAX, TargetDip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .observed import GroupNow, Member

HEALTHY = "healthy"


def healthy_targets(health: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """How many targets are healthy, by target group's ARN. health: the state of each, by ARN and instance id."""
    return {arn: sum(each == HEALTHY for each in targets.values()) for arn, targets in health.items()}


def dips(group: GroupNow, at_start: Mapping[str, int], is_new: Callable[[Member], bool], now: float) -> list[TargetDip]:
    """The target groups in which targets are missing that this cycle launched or takes out. now: epoch seconds."""
    found = []
    serving = sum(each.in_service for each in group.members)
    taken = len(group.taken - group.launched.keys())
    for arn, healthy in healthy_targets(group.health).items():
        expected = min(group.desired, at_start.get(arn, 0))
        targets = group.health[arn]
        by_themselves = sum(
            1
            for each in group.members
            if each.in_service and not is_new(each) and targets.get(each.instance_id, HEALTHY) != HEALTHY
        )
        excused = by_themselves + min(taken, max(0, expected - serving))
        if healthy + excused < expected:
            found.append(TargetDip(now, arn, healthy, expected - excused))
    return found


def with_dips(known: tuple[TargetDip, ...], found: list[TargetDip]) -> tuple[TargetDip, ...]:
    """Those that are known and those that were found, of each target group the deepest, and the first ones."""
    worst: dict[str, TargetDip] = {}
    for each in [*known, *found]:
        kept = worst.get(each.target_group)
        if kept is None or each.expected - each.healthy > kept.expected - kept.healthy:
            worst[each.target_group] = each
    return tuple(worst.values())[:LISTED_MAX]
