"""Removals that only a message justifies: as many as the removal limit lets pass; reconcile does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.reports import Report
from rollcall.domain.stages import Stage, parted
from rollcall.hosts.removal_limit import LIMIT_MIN, over_limit

from .hook_answers import hook_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.tower.client import Tower

LEFT_TO_RECONCILE = "left to reconcile: neither EC2 nor Auto Scaling knows it, and too many such would go at once"


def within_removal_limit[T](
    tower: Tower,
    fleet: Fleet,
    items: Sequence[T],
    action_of: Callable[[T], LifecycleAction],
    unknown: Collection[str],
    share: float,
) -> Stage[T]:
    """Those that EC2, Auto Scaling or a waiting hook confirms, and as many others as the removal limit lets pass.

    unknown: the ids of the instances that neither EC2 nor Auto Scaling knows. share: the fraction of an inventory's
    managed hosts that may go. The rest leaves here, left to reconcile; so does, with the error, one
    whose heartbeat fails. Where Tower does not answer how many hosts there are, all leave with its error.
    """
    doubtful = {each.instance_id for each in map(action_of, items)} & set(unknown)
    if len(doubtful) <= LIMIT_MIN:
        return Stage(items)
    hooked = [each for each in items if action_of(each).instance_id in doubtful and action_of(each).held_by_hook]
    answers = hook_answers(hooked, action_of, fleet.heartbeat)
    proven = {action_of(each.item).instance_id for each in answers.going_on if each.is_open}

    def limited(own: Sequence[T]) -> Stage[T]:
        account = action_of(own[0]).account
        stopped = over_limit(tower, doubtful - proven, share, account, fleet.region)
        return Stage(
            [each for each in own if action_of(each).instance_id not in stopped],
            [Report(action_of(each), LEFT_TO_RECONCILE) for each in own if action_of(each).instance_id in stopped],
        )

    return parted(items, action_of, answers.left).together(action_of, limited)
