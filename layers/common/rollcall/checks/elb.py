"""`elb`: all target groups of the group's load balancers call the instance healthy.

An instance that a hook still keeps out of service is registered with them here, and no other: Auto Scaling takes out
again what serves already, when it goes to Standby, is detached or terminates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .load_balancers import ELB_CHECK, admit, doubts_about
from .protocol import Fail, Inconclusive, Kind, Pass

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .load_balancers import Doubt
    from .protocol import Answer, Context, Subject


@dataclass(frozen=True)
class Elb:
    """Lets instances at the group's traffic, and reads their health from its target groups."""

    def __str__(self) -> str:
        return ELB_CHECK

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Answer]:
        fleet, group = context

        def entering(instance_ids: Collection[str]) -> list[str]:
            return [each for each, known in fleet.memberships(instance_ids).items() if known.entering]

        held_by_hook = {each.instance_id for each in subjects if each.held_by_hook}
        serving = {each.instance_id for each in subjects} - held_by_hook
        doubts: dict[str, list[Doubt]] = {}
        if serving:
            doubts |= doubts_about(fleet.targets, group, serving)
        if held_by_hook:
            doubts |= admit(fleet.targets, group, held_by_hook, entering)
        return {each.instance_id: _answer(doubts.get(each.instance_id, ())) for each in subjects}


def _answer(doubts: Sequence[Doubt]) -> Answer:
    """Fail if one of them speaks against the instance; with the others, which may explain it."""
    reason = "; ".join(each.words for each in sorted(doubts, key=lambda each: not each.against))
    if any(each.against for each in doubts):
        return Fail(reason)
    return Inconclusive(reason) if doubts else Pass()


KIND = Kind(
    ELB_CHECK,
    ELB_CHECK,
    ELB_CHECK,
    Elb,
    lets_traffic_in=True,
    only_reads=True,
    permissions=(
        "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:RegisterTargets",
        "elasticloadbalancing:DeregisterTargets",
    ),
)
