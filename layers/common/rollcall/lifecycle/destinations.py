"""Where an instance of a terminate action goes: Auto Scaling shows it, and EC2 for those that no group lists.

The message only says which instance to read. Notifications by SNS and SQS do not say where it goes, and the state
Warmed:Pending:Wait belongs to both ways.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.lifecycle_states import Phase, phase_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.aws.fleet import Fleet, Membership
    from rollcall.domain.instances import Instance


class Destination(StrEnum):
    """Where an instance goes, and so what becomes of its hosts."""

    FOR_GOOD = "gone, or on its way out for good: its hosts are removed"
    RESTING = "out of service, and it may come back: its hosts are disabled"
    RETAINED = "out of its group for good, and kept running: its hosts are removed"
    STAYING = "in service, on its way there, or not known to leave: its hosts are left as they are"


OF_PHASE: Mapping[Phase, Destination] = {
    Phase.ENTERING: Destination.STAYING,
    Phase.SERVING: Destination.STAYING,
    Phase.POOLED: Destination.RESTING,
    Phase.REIMAGED: Destination.RESTING,
    Phase.LEAVING: Destination.FOR_GOOD,
    Phase.RETAINED: Destination.RETAINED,
    Phase.DETACHED: Destination.STAYING,
    Phase.UNKNOWN: Destination.STAYING,
}


class Departure(NamedTuple):
    """What AWS shows of an instance that may be leaving.

    description: of its state, in words. unknown: neither Auto Scaling nor EC2 knows it. to_warm_pool: it is in a warm
    pool, or on its way there. listed: Auto Scaling lists it in a group.
    """

    destination: Destination
    description: str
    unknown: bool = False
    to_warm_pool: bool = False
    listed: bool = True


def departure_of(membership: Membership | None, instance: Instance | None) -> Departure:
    """Where an instance goes. Pure.

    instance: what EC2 shows of one that Auto Scaling does not list; of any other it does not matter.
    """
    if membership:
        phase = phase_of(membership.state)
        description = f"it is {membership.state} in group {membership.group!r}"
        return Departure(OF_PHASE[phase], description, to_warm_pool=phase == Phase.POOLED)
    if instance:
        destination = Destination.STAYING if instance.living else Destination.FOR_GOOD
        return Departure(destination, f"EC2 says that it is {instance.state}, and no group has it", listed=False)
    return Departure(Destination.FOR_GOOD, "neither EC2 nor Auto Scaling knows it", unknown=True, listed=False)


def departures(
    fleet: Fleet, instance_ids: Collection[str], memberships: Mapping[str, Membership] | None = None
) -> dict[str, Departure]:
    """Where each instance goes: one call to Auto Scaling for all of them, one to EC2 for those that it does not list.

    memberships: what Auto Scaling has just answered about them, where that is known.
    """
    memberships = fleet.memberships(instance_ids) if memberships is None else memberships
    unlisted = set(instance_ids) - memberships.keys()
    instances = fleet.instances(unlisted) if unlisted else {}
    return {each: departure_of(memberships.get(each), instances.get(each)) for each in instance_ids}
