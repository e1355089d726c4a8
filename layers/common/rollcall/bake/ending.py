"""How a bake ends, whatever its last step was: what it made for itself is removed, and how it ended is published.

An execution that was stopped, or ran out of time, takes no step any more: an event about it says so.
"""

from __future__ import annotations

import json
from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.domain.errors import CycleGoesOn, Permanent
from rollcall.workflow.answer import PUT_BACK, StepAnswer
from rollcall.workflow.failures import failure_words
from rollcall.workflow.invocation import BY_RECONCILE
from rollcall.workflow.names import is_scheduled
from rollcall.workflow.settling import SETTLE_AFTER, STOPPED, last_state
from rollcall.workflow.state_texts import cut
from rollcall.workflow.waiting import next_wait

from .news import BakeAnswer, BakeEvent, BakeNews
from .recording import FOLLOWED_AGAIN
from .state import BakeResult, BakeState, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.execution_history import ExecutionHistory

    from .putting_back import PuttingBack
    from .recording import Recording

RESULTS = {"ABORTED": BakeResult.CANCELLED, "TIMED_OUT": BakeResult.FAILED, "FAILED": BakeResult.FAILED}
REASONS = {**STOPPED, "FAILED": "its last step failed at every try, for a reason that its execution has"}


class Ending:
    """Ends bakes. clock: epoch seconds.

    Of what it does EC2 comes first, instances and then the template's default version, for Tower may be away.
    """

    def __init__(
        self,
        history: ExecutionHistory,
        recording: Recording,
        putting_back: PuttingBack,
        clock: Callable[[], float],
    ) -> None:
        self._history = history
        self._recording = recording
        self._putting_back = putting_back
        self._clock = clock

    def put_back(self, state: BakeState, error: Mapping[str, Any]) -> BakeAnswer:
        """The step `put_back`. error: what ended another task for good; empty if none did.

        A roll-out that could not be recorded ends as its cycle did, once that is over. Raises what AWS and Tower fail
        at.
        """
        terminated = self._putting_back.terminate(state)
        if state.result is None and (error or state.reason):
            words = failure_words("bake", error) if error else state.reason
            if state.phase != Phase.ROLLING_OUT:
                state = replace(state, result=BakeResult.FAILED, reason=words)
            elif self._recording.goes_on(state):
                return StepAnswer(replace(state, reason=words), PUT_BACK, FOLLOWED_AGAIN)
            else:
                state = self._recording.conclude(state, self._clock(), words)
        state = self._default_back(replace(state, result=state.result or BakeResult.FAILED))
        words_or_none = self._putting_back.put_back(state, terminated)
        if words_or_none is not None:
            return self._end(state, words_or_none)
        now = self._clock()
        if state.phase != Phase.PUTTING_BACK:
            state = replace(state, phase=Phase.PUTTING_BACK, phase_since=now)
        return StepAnswer(state, PUT_BACK, next_wait(now - state.phase_since))

    def _default_back(self, state: BakeState) -> BakeState:
        well = state.result is not None and state.result.went_well
        return state if well else self._recording.default_back(state)

    def _end(self, state: BakeState, put_back: str) -> BakeAnswer:
        """How it ended is published here, and nowhere else. put_back: what was removed, in words."""
        now = self._clock()
        well = state.result is not None and state.result.went_well
        ended = replace(state, phase=Phase.ENDED, phase_since=now, ended=now, put_back=cut(put_back))
        return StepAnswer(ended, "succeeded" if well else "failed", news=ending_news(ended))

    # An execution that ended some other way

    def settle(self, detail: Mapping[str, Any]) -> BakeAnswer:
        """Remove what a bake left whose execution was stopped, ran out of time, or failed before it could.

        detail: of the event about the execution's status. It is done at once, and how the bake ended is published once:
        an event from reconcile is for where the rule's was lost or is late, and the later of the two does nothing where
        nothing is left. Raises what AWS fails at, before anything is published; the event comes again then.
        """
        state = last_state(BakeState, "bake", self._history, detail)
        if state.phase == Phase.ENDED or not state.group:
            return StepAnswer(state, "succeeded")
        if self._may_be_settled(detail) and not self._is_left(state):
            return StepAnswer(replace(state, reason=f"{REASONS[detail['status']]}, and nothing is left"), "succeeded")
        terminated = self._putting_back.terminate(state)
        status = detail["status"]
        goes_on = self._roll_out_goes_on(state, status)
        if goes_on:
            state = replace(state, result=RESULTS[status], reason=f"{REASONS[status]}; {goes_on}")
        else:
            state = self._default_back(self._with_result(state, status))
        return self._end(state, self._putting_back.put_back_at_once(state, terminated))

    def _roll_out_goes_on(self, state: BakeState, status: str) -> str:
        """That the roll-out of an execution that has ended goes on, or may, in words; empty where it does not.

        Then neither the image nor the template's default version says anything against it yet. Raises CycleGoesOn of
        one that is stopped with the execution, which Step Functions does a moment later.
        """
        if state.phase != Phase.ROLLING_OUT:
            return ""
        try:
            if not self._recording.goes_on(state):
                return ""
        except Permanent as error:
            return f"whether its roll-out goes on as cycle {state.cycle} could not be read: {error}"
        words = f"its roll-out goes on as cycle {state.cycle}"
        if status in STOPPED:
            raise CycleGoesOn(words)
        return words

    def _may_be_settled(self, detail: Mapping[str, Any]) -> bool:
        """Whether an earlier event may have settled it: reconcile sends its own so long after the execution's end.

        Lambda keeps an event for six hours, and so may bring the rule's as late (template.yaml).
        """
        return bool(detail.get(BY_RECONCILE)) or self._clock() - detail["stopDate"] / 1000 >= SETTLE_AFTER

    def _is_left(self, state: BakeState) -> bool:
        """Whether something shows that no event has settled it yet."""
        return self._putting_back.is_left(state) or self._recording.is_left(state)

    def _with_result(self, state: BakeState, status: str) -> BakeState:
        is_rolling = state.phase == Phase.ROLLING_OUT
        if is_rolling:  # its cycle is stopped with it
            error = {"Error": status, "Cause": json.dumps({"Status": status})}
            state = self._recording.step(state, self._clock(), None, error).state
        has_gone_well = state.result is not None and state.result.went_well  # it was stopped after that
        if state.result is not None and (has_gone_well or not is_rolling):
            return state
        return replace(state, result=RESULTS[status], reason=REASONS[status])


def ending_news(state: BakeState) -> tuple[BakeNews, ...]:
    """What is published of a bake that has ended otherwise than it was asked for."""
    if state.result is None or state.result.went_well:
        return ()
    if state.result == BakeResult.REFUSED and not is_scheduled(state.name, state.group):
        return ()  # the command reports those that it starts
    return (BakeNews(BakeEvent.FAILED, state, state.image_id, state.reason),)
