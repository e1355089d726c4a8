"""Stages that a batch goes through: who goes on to the next one, and who leaves the batch here, with a report each.

An error is never swallowed: it becomes the report of the items that it is about, and what a stage returns shows both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import InstancesRefused, RollcallError
from .reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .actions import LifecycleAction


class Stage[T](NamedTuple):
    """What a stage made of a batch: the items that go on, and the reports of those that leave it here."""

    going_on: Sequence[T]
    left: Sequence[Report] = ()

    def then[U](self, following: Callable[[Sequence[T]], Stage[U]]) -> Stage[U]:
        """The next stage, on the items that go on; its reports behind those of the stages before it.

        With no item left the next stage is not entered.
        """
        if not self.going_on:
            return Stage((), self.left)
        made = following(self.going_on)
        return Stage(made.going_on, [*self.left, *made.left])


def joined[T](stages: Iterable[Stage[T]]) -> Stage[T]:
    """Stages that worked on parts of one batch, as one."""
    made = list(stages)
    return Stage([item for stage in made for item in stage.going_on], [left for stage in made for left in stage.left])


def each_apart[T, U](
    items: Iterable[T], action_of: Callable[[T], LifecycleAction], work: Callable[[T], U | Report]
) -> Stage[U]:
    """Work on each item by itself: what it makes goes on, a report or an error of ours takes that item out."""
    going_on: list[U] = []
    left: list[Report] = []
    for item in items:
        try:
            made = work(item)
        except RollcallError as error:
            left.append(_failed(action_of(item), error))
            continue
        if isinstance(made, Report):
            left.append(made)
        else:
            going_on.append(made)
    return Stage(going_on, left)


def all_together[T, U](
    items: Sequence[T], action_of: Callable[[T], LifecycleAction], work: Callable[[Sequence[T]], Stage[U]]
) -> Stage[U]:
    """Work on all items with calls that they share: an error of ours takes all of them out.

    Where AWS refuses some of their instances these fail with what it said of them, and the work is done once more on
    the others. It has to be safe to repeat.
    """
    left: list[Report] = []
    while items:
        try:
            made = work(items)
        except InstancesRefused as error:
            refused = [item for item in items if action_of(item).instance_id in error.by_id]
            if not refused:
                return Stage((), [*left, *(_failed(action_of(item), error) for item in items)])
            left += [_failed(action_of(item), error) for item in refused]
            items = [item for item in items if action_of(item).instance_id not in error.by_id]
        except RollcallError as error:
            return Stage((), [*left, *(_failed(action_of(item), error) for item in items)])
        else:
            return Stage(made.going_on, [*left, *made.left])
    return Stage((), left)


def _failed(action: LifecycleAction, error: RollcallError) -> Report:
    own = error.by_id.get(action.instance_id, error) if isinstance(error, InstancesRefused) else error
    return Report(action, error=own)
