"""What became of the actions of a batch."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import BadEvent, RollcallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model import LifecycleAction, Transition


@dataclass(frozen=True)
class Report:
    """One action: outcome says what was done for good, or the error why it was not.

    left_out: the tags of the instance that did not become host variables, for Tower would evaluate them. An instance
    that was evicted for the sake of a batch is reported as of a terminate action without a hook. alert: what a person
    should be told although the action came to its end, empty for nothing.
    """

    action: LifecycleAction
    outcome: str = "failed"
    error: RollcallError | None = field(default=None, compare=False)
    left_out: tuple[str, ...] = ()
    alert: str = ""


def going(actions: Iterable[LifecycleAction], wanted: Transition, reports: list[Report]) -> list[LifecycleAction]:
    """The distinct actions that go the wanted way. One of the other way came to the wrong queue: BadEvent."""
    distinct = list(dict.fromkeys(actions))
    for action in distinct:
        with failing([action], reports):
            if action.transition != wanted:
                raise BadEvent(
                    f"{action.transition} came to the queue for {wanted}: correct the notification target of hook "
                    f"{action.hook!r} of group {action.group!r}"
                )
    return [action for action in distinct if action.transition == wanted]


@contextmanager
def failing(actions: Iterable[LifecycleAction], reports: list[Report]) -> Iterator[None]:
    """An error in here fails these actions, as far as nothing was reported of them yet, and nobody else."""
    try:
        yield
    except RollcallError as error:
        done = {report.action for report in reports}
        reports.extend(Report(action, error=error) for action in actions if action not in done)
