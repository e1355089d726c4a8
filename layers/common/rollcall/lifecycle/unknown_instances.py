"""Removals that nothing but a message speaks for: as many as the removal limit lets pass; reconcile does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.reports import Report
from rollcall.hosts.removal_limit import LIMIT_MIN, over_limit

from .hook_answers import each_apart

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.tower.client import Tower

LEFT_TO_RECONCILE = "left to reconcile: neither EC2 nor Auto Scaling knows it, and too many such would go at once"


def without_too_many_unknown(
    tower: Tower,
    fleet: Fleet,
    actions: Sequence[LifecycleAction],
    unknown: Collection[str],
    share: float,
    reports: list[Report],
) -> list[LifecycleAction]:
    """Those that EC2, Auto Scaling or a hook that waits speaks for, and as many others as the removal limit lets pass.

    unknown: the ids of the instances that neither EC2 nor Auto Scaling knows. share: the fraction of an inventory's
    managed hosts that may go. The rest is reported; so is one of whose hook AWS does not say whether it waits.
    """
    doubtful = [each for each in actions if each.instance_id in unknown]
    if len({each.instance_id for each in doubtful}) <= LIMIT_MIN:
        return list(actions)
    hooked = [each for each in doubtful if each.held_by_hook]
    is_open = each_apart(hooked, lambda each: each, fleet.heartbeat, reports)
    proven = {each.instance_id for each in hooked if is_open.get(each)}
    stopped = over_limit(
        tower, {each.instance_id for each in doubtful} - proven, share, doubtful[0].account, fleet.region
    )
    failed = {report.action for report in reports}
    left = [each for each in doubtful if each.instance_id in stopped or each in failed]
    reports += [Report(each, LEFT_TO_RECONCILE) for each in left if each not in failed]
    return [each for each in actions if each not in left]
