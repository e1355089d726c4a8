"""The step `record`: how the roll-out ended goes into the image's tags, and decides how the bake ends.

A nested execution that fails raises States.TaskFailed, whose cause is what DescribeExecution would answer, as JSON
(Step Functions developer guide, "Start workflow executions from a task state").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from copy import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.aws.execution_history import RUNNING
from rollcall.aws.executions import execution_arn
from rollcall.domain import bake_tags
from rollcall.domain.bake_tags import RollOutOutcome
from rollcall.domain.errors import Permanent
from rollcall.domain.event_fields import BY_OPERATOR
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.answer import PUT_BACK, StepAnswer
from rollcall.workflow.settling import STOPPED
from rollcall.workflow.state_texts import cut

from .state import BakeResult, Phase
from .versioning import ROLL_OUT, find_version

if TYPE_CHECKING:
    from rollcall.aws.execution_history import ExecutionHistory

    from .bake_aws import BakeAws
    from .news import BakeAnswer
    from .state import BakeState

WELL = ("succeeded", "nothing to replace")  # results of a cycle after which the group runs the image
FAILED, NOT_STARTED = "failed", "not started"
ROLLED_BACK, CANCELLED, REFUSED = "rolled back", "cancelled", "refused"
OUTCOMES = {
    **dict.fromkeys(WELL, RollOutOutcome.SUCCEEDED),
    ROLLED_BACK: RollOutOutcome.ROLLED_BACK,
    CANCELLED: RollOutOutcome.CANCELLED,
    REFUSED: RollOutOutcome.NOT_STARTED,
    NOT_STARTED: RollOutOutcome.NOT_STARTED,
}
FOLLOWED_AGAIN = 300.0  # seconds until a cycle is followed anew; a round has some ten of the 25,000 events of a history
ENDED = "ended"  # the phase of a cycle that is over


class RollOut(NamedTuple):
    """How a cycle ended. result: one of CycleResult's, "failed" where the cycle did not come so far as to have one.

    It is "not started" where Step Functions did not start it, or did not follow it to its end.

    reason: in a sentence. execution: its ARN, empty where none was started. job_url: of the job that failed on a new
    instance, if one did. ended_by: one of EndedBy of cycle/state.py, empty where that is not known.
    """

    result: str
    reason: str = ""
    execution: str = ""
    job_url: str = ""
    ended_by: str = ""

    @property
    def went_well(self) -> bool:
        """Whether the group runs the image now."""
        return self.result in WELL

    @property
    def is_rolled_back_by_hand(self) -> bool:
        """Whether an operator rolled it back."""
        return self.result == ROLLED_BACK and self.ended_by == BY_OPERATOR

    @property
    def outcome(self) -> RollOutOutcome:
        """As the image's tag has it."""
        if self.is_rolled_back_by_hand:
            return RollOutOutcome.ROLLED_BACK_BY_HAND
        return OUTCOMES.get(self.result, RollOutOutcome.FAILED)


def read_roll_out(answer: Mapping[str, Any] | None, error: Mapping[str, Any] | None) -> RollOut:
    """How the nested cycle ended: by the task's answer, or by the error that it was caught with. Pure.

    answer: of startExecution.sync:2, None where the state machine drops it: without an error the cycle went well then.
    error: its Error and Cause.
    """
    if error:
        described = _json(error.get("Cause", ""))
        execution = str(described.get("ExecutionArn", ""))
        status = str(described.get("Status", ""))
        if not described:
            words = f"it could not be started or followed: {error.get('Error', '')}: {error.get('Cause', '')}"
            return RollOut(NOT_STARTED, words)
        if status in STOPPED:
            return RollOut(CANCELLED, STOPPED[status], execution)
        return RollOut(str(described.get("Error") or "failed"), str(described.get("Cause", "")), execution)
    if answer is None:
        return RollOut(WELL[0])
    output = _json(answer.get("Output", {}))
    return _of_cycle(output.get("cycle") or {}, str(answer.get("ExecutionArn", "")))


def _of_cycle(cycle: Mapping[str, Any], execution: str) -> RollOut:
    """By the state of the cycle."""
    urls = (str(each.get("job_url") or "") for each in cycle.get("verdicts") or ())
    return RollOut(
        str(cycle.get("result") or "failed"),
        str(cycle.get("reason", "")),
        execution,
        next(filter(None, urls), ""),
        str(cycle.get("ended_by", "")),
    )


def _json(raw: object) -> Mapping[str, Any]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except ValueError:
            return {}
    return raw if isinstance(raw, Mapping) else {}


class Recording:
    """Records roll-outs. history: of executions of Cycle. machine: the ARN of Cycle, empty in a stack without."""

    def __init__(self, aws: BakeAws, history: ExecutionHistory, machine: str) -> None:
        self._aws = aws
        self._history = history
        self._machine = machine

    def step(
        self, state: BakeState, now: float, answer: Mapping[str, Any] | None, error: Mapping[str, Any] | None
    ) -> BakeAnswer:
        """Tag the image with how its roll-out went; one that was not rolled out has "none".

        answer, error: as read_roll_out takes them. A cycle that goes on, and is only not followed any more, is followed
        again. After a roll-out that failed the template's default version moves back, if the bake has moved it. Raises
        what AWS fails at.
        """
        read = read_roll_out(answer, error)
        if read.result == NOT_STARTED and self.goes_on(state):
            return StepAnswer(state, ROLL_OUT, FOLLOWED_AGAIN)
        state = replace(state, phase=Phase.RECORDING, phase_since=now)
        if not state.cycle:
            self._tag(state, RollOutOutcome.NONE)
            baked = f"image {state.image_id} is in version {state.version}, and was not rolled out"
            return StepAnswer(replace(state, result=BakeResult.BAKED, reason=baked), "retain")
        rolled_out = self._completed(state, read)
        state = concluded(state, rolled_out)
        if not rolled_out.went_well:
            state = self.default_back(state)
        self._tag(state, rolled_out.outcome)
        return StepAnswer(state, "retain" if rolled_out.went_well else PUT_BACK)

    def conclude(self, state: BakeState, now: float, failure: str) -> BakeState:
        """The state of a bake whose step `record` failed for good: it ends as its cycle did. failure: why, in words.

        Its cycle is over. Raises what AWS fails at for now; what it refuses is left out, and the failure is a warning.
        """
        rolled_out = self._completed(state, RollOut(NOT_STARTED, failure))
        words = f"how the roll-out went could not be recorded: {failure}"
        state = replace(state, phase=Phase.RECORDING, phase_since=now, warnings=(*state.warnings, cut(words)))
        with suppress(Permanent):
            self._tag(state, rolled_out.outcome)
        return concluded(state, rolled_out)

    def late_roll_out(self, state: BakeState) -> RollOut | None:
        """How the cycle of a bake ended that did not see its end. Changes nothing.

        None while it goes on, and in a stack that cycles groups no more, which may not read it.

        Step Functions still knows the bake's execution, so it knows the cycle's, which ended later, if there was one.
        Raises what AWS fails at.
        """
        if not self._machine:
            return None
        found = self._history.status(self._execution(state))
        if found is None:
            return RollOut(NOT_STARTED, "the bake ended before its cycle was started")
        if found.status == RUNNING:
            return None
        if found.status in STOPPED:
            return self._completed(state, RollOut(CANCELLED, STOPPED[found.status], self._execution(state)))
        return self._completed(state, RollOut(NOT_STARTED, "its execution does not say how"))

    def is_left(self, state: BakeState) -> bool:
        """Whether a stopped execution has left something: a roll-out that is not recorded, or a moved default version.

        None is left to an event while its cycle goes on. Raises what AWS fails at.
        """
        if state.phase == Phase.ROLLING_OUT and self.goes_on(state):
            return False
        image = self._aws.image(state.image_id) if state.image_id else None
        recorded = image.tags.get(bake_tags.ROLL_OUT) if image else None
        if state.phase == Phase.ROLLING_OUT and image and not recorded:
            return True
        return recorded != RollOutOutcome.SUCCEEDED and self._has_moved_default(state)

    def _tag(self, state: BakeState, outcome: RollOutOutcome) -> None:
        self._aws.tag_resources((state.image_id, *state.snapshots), {bake_tags.ROLL_OUT: outcome.value})

    def _completed(self, state: BakeState, read: RollOut) -> RollOut:
        """With what the cycle's last state says of one that did not go well; its history is read for nothing else.

        So one that was followed no further, or that an earlier try had started and that has ended since, ends as it
        did.
        """
        if read.went_well:
            return read
        execution = read.execution or self._execution(state)
        try:
            last = (self._history.last_output(execution) or {}).get("cycle") or {}
        except Permanent:  # there is none, or an operator has to read it: it is named then
            return read
        known = _of_cycle(last, execution)
        if not read.execution and last.get("phase") == ENDED:
            return known
        result = FAILED if read.result == NOT_STARTED else read.result  # it has a history
        reason = read.reason or known.reason
        return read._replace(result=result, job_url=known.job_url, reason=reason, ended_by=known.ended_by)

    def _execution(self, state: BakeState) -> str:
        return execution_arn(self._machine, state.cycle)

    def goes_on(self, state: BakeState) -> bool:
        """Whether the cycle of a bake was started and has not ended. Raises what AWS fails at, a denial too."""
        return bool(state.cycle) and self._history.goes_on(self._execution(state))

    def default_back(self, state: BakeState) -> BakeState:
        """With the template's default version where it was before, if it is the bake's.

        A step that made the version and moved the default may have ended before it could say so: the version is found
        by the bake's id then, and the default before it taken for the version that the bake began with. Raises what AWS
        fails at.
        """
        if not self._has_moved_default(state):
            return state
        before = state.default_before or state.from_version
        self._aws.set_default_version(state.template_id, before)
        words = f"the default version of {state.template_id} is {before} again, as before the roll-out"
        return replace(state, warnings=(*state.warnings, words))

    def _has_moved_default(self, state: BakeState) -> bool:
        """Whether the template's default version is the bake's, and the bake may have moved it there.

        Once the step that makes the version could name the cycle, it has said whether it moved the default, too.
        """
        may_have = not state.cycle and state.image_id and state.request.get("pin")
        if not state.default_before and not may_have:
            return False
        default = self._aws.version({"LaunchTemplateId": state.template_id}, DEFAULT_VERSION)
        return default is not None and find_version([default], state.bake_id) is not None


def concluded(state: BakeState, rolled_out: RollOut) -> BakeState:
    """The bake ends as its roll-out did."""
    state = replace(state, cycle_result=rolled_out.result)
    if rolled_out.went_well:
        well = f"image {state.image_id} was rolled out as version {state.version}"
        return replace(state, result=BakeResult.SUCCEEDED, reason=well)
    return replace(state, result=_result(rolled_out), reason=_reason(state, rolled_out))


def _result(rolled_out: RollOut) -> BakeResult:
    if rolled_out.is_rolled_back_by_hand:
        return BakeResult.ROLLED_BACK_BY_HAND
    if rolled_out.result == ROLLED_BACK:
        return BakeResult.ROLLED_BACK
    return BakeResult.CANCELLED if rolled_out.result == CANCELLED else BakeResult.FAILED


def _reason(state: BakeState, rolled_out: RollOut) -> str:
    job = f"; job: {rolled_out.job_url}" if rolled_out.job_url else ""
    named = f" ({rolled_out.execution})" if rolled_out.execution else ""
    words = f"the roll-out of image {state.image_id} as version {state.version} ended as {rolled_out.result}{named}"
    return cut(f"{words}: {rolled_out.reason}{job}")
