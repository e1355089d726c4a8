"""Whether a refresh that AWS calls successful was one: every instance, and all that is left of the old ones. Pure.

AWS knows that instances are in service. That each has the wanted version, was provisioned by a job of its present
stint, serves in every target group, and that nothing of the old ones is left in Tower or Chef, is verified here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.target_groups import name_of
from rollcall.domain.lifecycle_states import Phase as LifecyclePhase

from .progress import is_left_alone, is_new
from .target_health import HEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .observed import GroupNow, Member
    from .state import CycleState


class Remains(NamedTuple):
    """What is left of an old instance. inventories: those with a host of it. node: its name in Chef, empty without.

    retiring: its terminate hook still holds it, and its group has a retire job: its host stays for that until then.
    """

    instance_id: str
    inventories: tuple[str, ...] = ()
    node: str = ""
    retiring: bool = False


class Verified(NamedTuple):
    """missing: what does not hold, in sentences. named: what operators should know, and counts against nothing."""

    missing: tuple[str, ...]
    named: tuple[str, ...] = ()


def verify(state: CycleState, group: GroupNow, unproven: Mapping[str, str], remains: tuple[Remains, ...]) -> Verified:
    """What of a cycle is not as it should be. unproven: why, by instance id, no job proves an instance.

    Instances that were launched after AWS ended the refresh are not the cycle's; those that leave now are no matter.
    """
    members = [each for each in group.members if _counts(state, each)]
    missing = [problem for each in members for problem in _of_member(state, each, group, unproven)]
    missing += [words for each in remains if not each.retiring for words in _of_remains(each)]
    missing += [_dip(each.target_group, each.healthy, each.expected) for each in state.dips]
    alone = [each.instance_id for each in group.members if is_left_alone(state, each)]
    named = [f"{each} was left as it is" for each in alone]
    named += [
        f"{each.instance_id} is in its retire job, and its host goes after it" for each in remains if each.retiring
    ]
    return Verified(tuple(missing), tuple(named))


def _counts(state: CycleState, member: Member) -> bool:
    if is_left_alone(state, member):
        return False
    if member.lifecycle_phase in (LifecyclePhase.LEAVING, LifecyclePhase.RETAINED, LifecyclePhase.DETACHED):
        return False
    return member.launched is None or not state.verify_since or member.launched <= state.verify_since


def _of_member(state: CycleState, member: Member, group: GroupNow, unproven: Mapping[str, str]) -> Iterator[str]:
    own = member.instance_id
    if not is_new(state, member):
        version = f" (version {member.version})" if member.version else ""
        yield f"{own} is an old instance{version}"
        return
    if member.lifecycle_phase == LifecyclePhase.POOLED:
        return
    if not member.in_service:
        yield f"{own} is not in service: {member.state}"
        return
    if why := unproven.get(own):
        yield f"{own} is not provisioned: {why}"
    for arn, targets in group.health.items():
        health = targets.get(own, "not registered")
        if health != HEALTHY:
            yield f"{own} is {health} in target group {name_of(arn)}"


def _of_remains(remains: Remains) -> Iterator[str]:
    for inventory in remains.inventories:
        yield f"the host of the old instance {remains.instance_id} is still in inventory {inventory!r}"
    if remains.node:
        yield f"the node {remains.node} of the old instance {remains.instance_id} is still in Chef"


def _dip(arn: str, healthy: int, expected: int) -> str:
    return f"target group {name_of(arn)} had {healthy} healthy targets at one moment, and should have had {expected}"
