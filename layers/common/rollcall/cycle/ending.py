"""How a cycle ends, whatever its last step was: the group is put back, and how the cycle ended is published.

An execution that was stopped, or ran out of time, takes no step any more: an event about it says so.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.aws.instance_refreshes import ENDING
from rollcall.domain.errors import RefreshStillActive
from rollcall.workflow.answer import StepAnswer
from rollcall.workflow.failures import failure_words
from rollcall.workflow.names import is_scheduled
from rollcall.workflow.settling import STOPPED, last_state
from rollcall.workflow.waiting import next_wait

from .news import CycleAnswer, CycleEvent, CycleNews
from .progress import PHASES
from .progress import STOPPED as STOPPED_REFRESH
from .putting_back import PuttingBack
from .starting_refresh import RefreshStarter
from .state import CycleResult, CycleState, EndedBy, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.execution_history import ExecutionHistory
    from rollcall.aws.instance_refreshes import Refresh

    from .cycle_aws import CycleAws

ENDINGS = {
    CycleResult.SUCCEEDED: CycleEvent.SUCCEEDED,
    CycleResult.FAILED: CycleEvent.FAILED,
    CycleResult.ROLLED_BACK: CycleEvent.ROLLED_BACK,
    CycleResult.CANCELLED: CycleEvent.CANCELLED,
}
AGAIN_AFTER = 60.0  # seconds at least, after which Lambda tries an event again (developer guide, asynchronous errors)


class CycleEnding:
    """Ends cycles. clock: epoch seconds."""

    def __init__(self, aws: CycleAws, clock: Callable[[], float]) -> None:
        self._aws = aws
        self._putting_back = PuttingBack(aws)
        self._clock = clock

    def put_back(self, state: CycleState, error: Mapping[str, Any]) -> CycleAnswer:
        """The step `put_back`. error: what ended another task for good; empty if none did. Raises what AWS fails at."""
        if error and not state.result:
            state = replace(state, result=CycleResult.FAILED, reason=failure_words("cycle", error))
        state = self._with_refresh(state)
        putting_back = replace(state, phase=Phase.PUTTING_BACK, result=state.result or CycleResult.FAILED)
        done = self._putting_back.put_back(putting_back)
        now = self._clock()
        if done is None:  # a rollback may take as long as the cycle did, and an execution has only so many events
            return StepAnswer(putting_back, "wait", next_wait(now - (state.began or now)))
        ended = replace(putting_back, phase=Phase.ENDED, phase_since=now, ended=now, put_back=done.words)
        well = ended.result is not None and ended.result.went_well
        if done.versions is not None and ended.refresh_id and not well:
            left = done.versions
            ended = replace(ended, runs=left.runs, launches=left.launches, launches_number=left.number)
        return StepAnswer(ended, "succeeded" if well else "failed", news=ending_news(ended))

    def _with_refresh(self, state: CycleState) -> CycleState:
        """With the id of a refresh that the step Start began, and could not say so."""
        if state.refresh_id or state.phase != Phase.STARTING or state.result == CycleResult.REFUSED:
            return state
        found = RefreshStarter(self._aws).find(state)
        return replace(state, refresh_id=found.id) if found else state

    # An execution that ended some other way

    def settle(self, history: ExecutionHistory, detail: Mapping[str, Any]) -> CycleAnswer:
        """Put back what a cycle changed whose execution was stopped, ran out of time, or failed before it could.

        detail: of the event about the execution's status. While its refresh is being cancelled the group cannot be
        changed yet: then the answer is to wait, and the event has to come again (require_settled). How the cycle ended
        is published once: as soon as its refresh is seen to end, for that may take longer than an event is repeated.
        Raises what AWS fails at.
        """
        state = last_state(CycleState, "cycle", history, detail)
        if state.phase == Phase.ENDED or not state.group:
            return StepAnswer(state, "succeeded")
        status = detail["status"]
        stopped = replace(
            self._with_refresh(state),
            result=CycleResult.FAILED if status == "FAILED" else CycleResult.CANCELLED,
            reason=STOPPED.get(status, f"its execution is {status}"),
            ended_by=EndedBy.OPERATOR if status == "ABORTED" else EndedBy.NOTHING,
        )
        refresh = self._aws.find(stopped.group, stopped.refresh_id) if stopped.refresh_id else None
        answer = self.put_back(stopped, {})
        if refresh is None:
            return answer
        stopped_at = detail.get("stopDate", 0) / 1000  # the release before had reconcile send none
        if self._is_published(refresh, stopped_at):
            return answer._replace(news=())
        if answer.next == "wait":
            phase = PHASES[refresh.status] if refresh.status in ENDING else Phase.CANCELLING
            return answer._replace(news=ending_news(replace(answer.state, phase=phase)))
        return answer

    def _is_published(self, refresh: Refresh, stopped: float) -> bool:
        """Whether an earlier event has had the end published: it found the refresh active, and may have cancelled it.

        refresh: as it was found now. stopped: when the execution was, in epoch seconds.
        """
        was_active = refresh.ended is None or refresh.ended > stopped
        return was_active and refresh.status in STOPPED_REFRESH and self._clock() - stopped >= AGAIN_AFTER


def require_settled(answer: CycleAnswer) -> None:
    """Raise RefreshStillActive where an execution that ended some other way has left something to put back yet."""
    if answer.next == "wait":
        raise RefreshStillActive(
            f"the instance refresh {answer.state.refresh_id} of group {answer.state.group!r} is being cancelled: what "
            "its cycle changed is put back when it has ended"
        )


def ending_news(state: CycleState) -> tuple[CycleNews, ...]:
    """What is published of a cycle that has ended."""
    kind = ENDINGS.get(state.result) if state.result else None
    if state.result == CycleResult.REFUSED and is_scheduled(state.name, state.group):
        kind = CycleEvent.FAILED  # the command reports those that it starts
    return (CycleNews(kind, state),) if kind else ()
