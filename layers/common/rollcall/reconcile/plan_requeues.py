"""Instances that wait for a lifecycle action whose event seems lost: queued again for register or cleanup. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rollcall.domain.actions import Transition
from rollcall.domain.timing import JOB_FORGOTTEN, RETRY_MAX, is_retry_due

from .plan_additions import variables_or_obstacle
from .steps import DriftFinding, Requeue, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.instances import Instance
    from rollcall.domain.membership import Membership

    from .plan_additions import StayingHosts
    from .plan_input import PlanInput
    from .snapshot import Place
    from .steps import Plan


def plan_requeues(given: PlanInput, staying: StayingHosts) -> Plan:
    """The requeues, and the findings about instances that wait and could not be registered."""
    return plan_of(
        item
        for instance_id, membership in given.members
        if (place := given.place_of(membership)) and membership.held
        if given.concerns(instance_id, membership.group)
        for item in _of_waiting(given, staying, place, instance_id, membership)
    )


def _of_waiting(
    given: PlanInput, staying: StayingHosts, place: Place, instance_id: str, membership: Membership
) -> Iterator[Requeue | DriftFinding]:
    """An action of an instance that leaves, or goes to a warm pool or back, is worked on a second time at no cost."""
    waits = f"it waits in {membership.state}"
    if membership.pooled:
        yield Requeue(place, instance_id, None, waits)
    elif not membership.entering:
        yield Requeue(place, instance_id, Transition.TERMINATING, waits)
    else:
        lost = _why_lost(given, staying, place, instance_id)
        if isinstance(lost, DriftFinding):
            yield lost
        elif lost:
            yield Requeue(place, instance_id, Transition.LAUNCHING, f"{waits}: {lost}")


def _why_lost(given: PlanInput, staying: StayingHosts, place: Place, instance_id: str) -> str | DriftFinding:
    """Why an instance that waits to enter service is to be registered now; empty if it is not; or why it cannot be."""
    instance = given.instance(instance_id)
    if instance is None or (instance.living and given.renamed_at_home(place, instance_id)):
        return ""
    if (place.inventory.id, instance_id) in given.in_use:
        return _why_job_is_lost(given, place, instance_id)
    return _why_launch_is_lost(given, staying, place, instance)


def _is_named(given: PlanInput) -> bool:
    """Whether the run names its instances by their ids: then the operator knows that nothing works on them."""
    return given.options.instances is not None


def _why_job_is_lost(given: PlanInput, place: Place, instance_id: str) -> str:
    """Of an instance with a host in use."""
    if _is_named(given):
        return "it is asked for"
    age = given.snapshot.now - given.snapshot.jobs_ended.get(instance_id, given.stint_begins.get(instance_id, 0.0))
    due = is_retry_due(age, place.settings.timeout + JOB_FORGOTTEN, given.options.every)
    return f"for {age:.0f} s nothing has worked on its job" if due else ""


def _why_launch_is_lost(
    given: PlanInput, staying: StayingHosts, place: Place, instance: Instance
) -> str | DriftFinding:
    """Of an instance without a host in use."""
    came_at = given.snapshot.came_at(instance.instance_id)
    age = math.inf if came_at is None else given.snapshot.now - came_at
    if (_is_named(given) or age > RETRY_MAX) and instance.living:
        wanted = variables_or_obstacle(given, staying, place, instance)
        if isinstance(wanted, DriftFinding):
            return wanted
    if _is_named(given) or came_at is None:
        return "it has no host in use"
    return (
        f"it came {age:.0f} s ago, and has no host in use" if is_retry_due(age, RETRY_MAX, given.options.every) else ""
    )
