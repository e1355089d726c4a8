"""Whether a terminate action takes an instance away for good: Auto Scaling says so, and EC2 of whom it does not list.

The message only says whom to ask about. Notifications by SNS and SQS do not say where an instance goes, and the state
Warmed:Pending:Wait means both ways.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.instances import Instance
    from rollcall.domain.membership import Membership


class Fate(StrEnum):
    """What becomes of an instance, and so of its hosts: removed, disabled, removed, left as they are."""

    GOING = "going for good"
    RESTING = "resting"
    RETAINED = "retained"
    STAYING = "staying"


class Known(NamedTuple):
    """What AWS says of an instance.

    unknown: neither Auto Scaling nor EC2 knows it. pooled: it goes to a warm pool. listed: Auto Scaling lists it.
    """

    fate: Fate
    words: str
    unknown: bool = False
    pooled: bool = False
    listed: bool = True


def fate_of(membership: Membership | None, instance: Instance | None) -> Known:
    """An instance's fate. Pure. instance: what EC2 says of one that Auto Scaling does not list, None of any other."""
    if membership is None:
        if instance is None:
            return Known(Fate.GOING, "neither EC2 nor Auto Scaling knows it", unknown=True, listed=False)
        fate = Fate.STAYING if instance.living else Fate.GOING
        return Known(fate, f"EC2 says that it is {instance.state}, and no group has it", listed=False)
    words = f"it is {membership.state} in group {membership.group!r}"
    if membership.retained:
        return Known(Fate.RETAINED, words)
    if membership.resting:
        return Known(Fate.RESTING, words, pooled=membership.pooled)
    return Known(Fate.GOING if membership.leaving else Fate.STAYING, words)


def fates(
    fleet: Fleet, instance_ids: Collection[str], memberships: Mapping[str, Membership] | None = None
) -> dict[str, Known]:
    """What AWS says of each instance: one call for all of them, and one to EC2 about those that are not listed.

    memberships: what Auto Scaling said of them just now, where it was asked already.
    """
    memberships = fleet.memberships(instance_ids) if memberships is None else memberships
    unlisted = set(instance_ids) - memberships.keys()
    instances = fleet.instances(unlisted) if unlisted else {}
    return {each: fate_of(memberships.get(each), instances.get(each)) for each in instance_ids}
