"""Stages that a batch goes through: what goes on to the next one, and what leaves the batch here, with a report each.

An error is never swallowed: it becomes the report of the items that it is about, and what a stage returns shows both.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .errors import InstancesRefused, RollcallError
from .reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .actions import LifecycleAction


class OfAction(Protocol):
    """What is about one lifecycle action."""

    @property
    def action(self) -> LifecycleAction:
        """The lifecycle action."""


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

    def apart[U](self, action_of: Callable[[T], LifecycleAction], work: Callable[[T], U | Report]) -> Stage[U]:
        """The next stage, on each item by itself: see each_apart."""
        return self.then(lambda items: each_apart(items, action_of, work))

    def together[U](
        self, action_of: Callable[[T], LifecycleAction], work: Callable[[Sequence[T]], Stage[U]]
    ) -> Stage[U]:
        """The next stage, on all items with calls that they share: see all_together."""
        return self.then(lambda items: all_together(items, action_of, work))


def itself(action: LifecycleAction) -> LifecycleAction:
    """The action of an item that is one."""
    return action


def action_of(item: OfAction) -> LifecycleAction:
    """The action that an item is about."""
    return item.action


def grouped[K, T](items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Items by a key: keys and items in the order in which they came."""
    groups: defaultdict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def joined[T](stages: Iterable[Stage[T]]) -> Stage[T]:
    """Stages that worked on parts of one batch, as one."""
    made = list(stages)
    return Stage([item for stage in made for item in stage.going_on], [left for stage in made for left in stage.left])


def parted[T](items: Iterable[T], action_of: Callable[[T], LifecycleAction], left: Sequence[Report]) -> Stage[T]:
    """The items that none of these reports is about go on; the others have left with the reports."""
    reported = {report.action for report in left}
    return Stage([item for item in items if action_of(item) not in reported], left)


def each_apart[T, U](
    items: Iterable[T],
    action_of: Callable[[T], LifecycleAction],
    work: Callable[[T], U | Report],
    *,
    at_once: int = 1,
) -> Stage[U]:
    """Work on each item by itself: what it makes goes on, a report or an error of ours takes that item out.

    at_once: how many are worked on at one moment, in threads of their own; results are in the order of the items.
    """

    def attempt(item: T) -> U | Report:
        try:
            return work(item)
        except RollcallError as error:
            return _failed(action_of(item), error)

    batch = list(items)
    threads = min(at_once, len(batch))
    if threads <= 1:
        return _divided(map(attempt, batch))
    with ThreadPoolExecutor(threads) as pool:
        return _divided(pool.map(attempt, batch))


def all_together[T, U](
    items: Sequence[T], action_of: Callable[[T], LifecycleAction], work: Callable[[Sequence[T]], Stage[U]]
) -> Stage[U]:
    """Work on all items with calls that they share: an error of ours takes all of them out.

    Where AWS refuses some of their instances these fail with what it said of them, and the work is done once more on
    the others. It has to be safe to repeat. What it gathered is lost where it raises.
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


def _divided[U](results: Iterable[U | Report]) -> Stage[U]:
    going_on: list[U] = []
    left: list[Report] = []
    for each in results:
        if isinstance(each, Report):
            left.append(each)
        else:
            going_on.append(each)
    return Stage(going_on, left)


def _failed(action: LifecycleAction, error: RollcallError) -> Report:
    own = error.by_id.get(action.instance_id, error) if isinstance(error, InstancesRefused) else error
    return Report(action, error=own)
