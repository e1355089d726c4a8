"""What a step answers, and what the state machine is handed of it."""

from __future__ import annotations

from enum import StrEnum

from rollcall.workflow.answer import StepAnswer, machine_state, over
from rollcall.workflow.state import WorkflowState
from rollcall.workflow.state_texts import TEXT_MAX


class Result(StrEnum):
    FAILED = "failed"


def test_what_ends_a_workflow_is_put_back_with_a_reason_that_a_state_can_hold() -> None:
    answer: StepAnswer[WorkflowState, str] = over(WorkflowState("web"), Result.FAILED, "x" * (TEXT_MAX + 1), ("news",))
    assert (answer.next, answer.state.result, answer.news) == ("put_back", Result.FAILED, ("news",))
    assert len(answer.state.reason) == TEXT_MAX


def test_the_machine_waits_whole_seconds_and_no_shorter_and_forgets_the_error_it_has_caught() -> None:
    answer: StepAnswer[WorkflowState, str] = StepAnswer(WorkflowState("web", reason="so"), "wait", 0.2)
    state = machine_state("cycle", answer)
    assert state == {"cycle": answer.state.to_json(), "next": "wait", "wait": 1, "error": {}, "cause": "so"}
