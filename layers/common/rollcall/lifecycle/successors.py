"""The successors of a message: new messages, sent after its round, for its instances that still wait or failed.

Instances that wait for the same thing share one successor, and so do instances that failed with the same error.
"""

from __future__ import annotations

import math
from collections import defaultdict
from copy import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rollcall.domain import timing
from rollcall.domain.message_format import MEMBERS
from rollcall.domain.messages import GateMessage, RetireMessage, Waiting

from .gate_round import Round

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.reports import Report


class Failures[T](NamedTuple):
    """Those members of a message of which something failed.

    error: why the whole message failed, if all of its members failed with this error; None otherwise. apart: the
    members that go on apart from the others, those with the same error together; none of a message that failed.
    """

    error: Exception | None
    apart: Sequence[Sequence[T]]


def failures_among[T: (Waiting, LifecycleAction)](members: Collection[T], reports: Iterable[Report]) -> Failures[T]:
    """Which members of a message failed, by the errors that were reported of their actions. Pure."""
    errors = {report.action: report.error for report in reports if report.error}
    by_error: defaultdict[str, list[T]] = defaultdict(list)
    for each in members:
        if error := errors.get(_action_of(each)):
            by_error[repr(error)].append(each)
    for failed in by_error.values():
        if len(failed) == len(members):
            return Failures(errors[_action_of(failed[0])], [])
    return Failures(None, list(by_error.values()))


class Successors[M: GateMessage | RetireMessage, T: (Waiting, LifecycleAction)]:
    """Collects the successors of one message in its round.

    heartbeat_at: when its hooks last got a heartbeat, in epoch seconds. longest: seconds after which there has to be
    another round at the latest.
    """

    def __init__(self, message: M, heartbeat_at: float, longest: float) -> None:
        self._message: M = message
        self._field = MEMBERS[type(message)]
        self._heartbeat_at = heartbeat_at
        self._longest = longest
        # By what a successor says beside its members, and its delay.
        self._members: defaultdict[tuple[M, float], list[T]] = defaultdict(list)

    def put_off(self, member: T, job_id: int | None, delay: float, **changes: Any) -> None:
        """A member waits on, for this job, or for something else.

        delay: seconds until its next round, which are rounded up to whole ones, and down to what may pass without
        another heartbeat. changes: what else its message says that this one does not, as its fields.
        """
        polls = self._message.polls + 1 if job_id == self._message.job_id else 0
        shared = self._with((), job_id=job_id, polls=polls, **changes)
        self._members[shared, max(1.0, min(math.ceil(delay), self._longest))].append(member)

    @property
    def actions(self) -> set[LifecycleAction]:
        """The actions of those that were put off so far."""
        return {_action_of(each) for members in self._members.values() for each in members}

    def closed(self, reports: Iterable[Report]) -> Round[M]:
        """What the round brought: the reports, these successors, and those of its members that failed.

        What was put off before something failed goes on once, not twice: messages would double at every failure. Its
        error is not reported, for it comes again if it lasts.
        """
        put_off = self.actions
        reports = [report for report in reports if not (report.error and report.action in put_off)]
        members = cast("Sequence[T]", getattr(self._message, self._field))
        error, apart = failures_among(members, reports)
        if error:
            return Round(error=error)
        waiting: list[tuple[M, float]] = [
            (self._with(members, shared), delay) for (shared, delay), members in self._members.items()
        ]
        retry_in = min(timing.FIRST_RETRY, self._longest)
        failed: list[tuple[M, float]] = [
            (self._with([_failed_before(each) for each in members]), retry_in) for members in apart
        ]
        return Round(reports, [*waiting, *failed])

    def _with(self, members: Iterable[T], like: M | None = None, **changes: Any) -> M:
        changes |= {self._field: tuple(members), "heartbeat_at": self._heartbeat_at}
        return cast("M", replace(self._message if like is None else like, **changes))


def _action_of(member: Waiting | LifecycleAction) -> LifecycleAction:
    return member.action if isinstance(member, Waiting) else member


def _failed_before[T: (Waiting, LifecycleAction)](member: T) -> T:
    """The same, known to have failed before."""
    if isinstance(member, Waiting):
        return replace(member, action=replace(member.action, failed_before=True))
    return replace(member, failed_before=True)
