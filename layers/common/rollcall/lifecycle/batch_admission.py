"""Which actions of a batch a function works on: those of its own transition, each once, by the fleet they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import BadEvent
from rollcall.domain.reports import Report
from rollcall.domain.stages import Stage, each_apart, grouped, itself

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.domain.actions import LifecycleAction, Transition


class FleetBatch(NamedTuple):
    """The actions of a batch that belong to one account and Region, and the fleet there."""

    fleet: Fleet
    actions: Sequence[LifecycleAction]


def by_fleet(actions: Iterable[LifecycleAction], wanted: Transition, fleets: Fleets) -> Stage[FleetBatch]:
    """The distinct actions of the wanted transition, by fleet.

    One of the other transition came to the wrong queue: a BadEvent where a hook waits for it. A group's notifications
    of both transitions come where a topic is subscribed without a filter; the other queue gets them too, and here they
    are passed over. An action of an account or a Region that is not served leaves with a BadEvent.
    """

    def admitted(action: LifecycleAction) -> tuple[Fleet, LifecycleAction] | Report:
        if action.transition == wanted:
            return fleets.of(action), action
        if not action.held_by_hook:
            return Report(action, f"passed over: this queue is for {wanted}")
        raise BadEvent(
            f"{action.transition} came to the queue for {wanted}: correct the notification target of hook "
            f"{action.hook!r} of group {action.group!r}"
        )

    stage = each_apart(dict.fromkeys(actions), itself, admitted)
    batches = grouped(stage.going_on, lambda each: each[0])
    return Stage([FleetBatch(fleet, [action for _, action in own]) for fleet, own in batches.items()], stage.left)
