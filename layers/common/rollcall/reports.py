"""What became of the actions of a batch."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .errors import BadEvent, RollcallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .model import LifecycleAction, Transition


class Event(StrEnum):
    """What becomes of an instance, as the event bus is told of it."""

    REGISTERED = "Instance Registered"
    READY = "Instance Ready"
    ABANDONED = "Instance Abandoned"
    RETIRED = "Instance Retired"


@dataclass(frozen=True)
class Note:
    """What a person should know. alert: somebody should look; otherwise it is a warning beside what went well."""

    words: str
    alert: bool = False


@dataclass(frozen=True)
class Report:
    """One action: outcome says what was done for good, or the error why it was not; empty while it goes on waiting.

    event: what the event bus is told of its instance, None for nothing. job: the id of the Tower job that this is
    about. provisioned_at: when the job ended that went well on its instance, in epoch seconds. troubled: whether
    somebody was alerted about it before, None where nobody knows. left_out: the tags of the instance that did not
    become host variables, for Tower would evaluate them. evicted: for the sake of a batch; such an instance is reported
    as of a terminate action without a hook.
    """

    action: LifecycleAction
    outcome: str = "failed"
    error: RollcallError | None = field(default=None, compare=False)
    event: Event | None = None
    job: int | None = None
    notes: tuple[Note, ...] = ()
    provisioned_at: float | None = None
    troubled: bool | None = None
    left_out: tuple[str, ...] = ()
    evicted: bool = False


def gone(action: LifecycleAction, outcome: str, refusal: RollcallError | None, *, told: bool, **own: Any) -> Report:
    """The report of an instance that was struck off, or whose host an inventory keeps (refusal).

    told: whether the event bus is to hear of it: there was a host, or a hook waited. Events of every group of the
    account come in.
    """
    if refusal:
        return Report(action, error=refusal)
    return Report(action, outcome, event=Event.RETIRED if told else None, **own)


def going(actions: Iterable[LifecycleAction], wanted: Transition, reports: list[Report]) -> list[LifecycleAction]:
    """The distinct actions that go the wanted way.

    One of the other way came to the wrong queue: a BadEvent where a hook waits. A group's notifications of both ways
    come where a topic is subscribed without a filter; the other queue gets them too.
    """
    distinct = list(dict.fromkeys(actions))
    for action in distinct:
        with failing([action], reports):
            if action.transition != wanted and not action.awaited:
                reports.append(Report(action, f"passed over: this queue is for {wanted}"))
            elif action.transition != wanted:
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
