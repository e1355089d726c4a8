"""What a step of a workflow answers, and what its state machine is handed of that. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .state_texts import cut

if TYPE_CHECKING:
    from enum import StrEnum

    from .state import Json, WorkflowState

PUT_BACK = "put_back"


class StepAnswer[S: WorkflowState, N](NamedTuple):
    """What came of a step. next: the word by which the state machine goes on, after so many seconds.

    news: what is to be published.
    """

    state: S
    next: str
    wait: float = 0.0
    news: tuple[N, ...] = ()


def over[S: WorkflowState, N](state: S, result: StrEnum, reason: str, news: tuple[N, ...] = ()) -> StepAnswer[S, N]:
    """The answer of a step after which nothing is left but to put back what the workflow changed or made for itself."""
    return StepAnswer(replace(state, result=result, reason=cut(reason)), PUT_BACK, news=news)


def machine_state(noun: str, answer: StepAnswer[Any, Any]) -> Json:
    """The state machine's whole state. noun: "bake" or "cycle", by which the workflow's own stands in it.

    error: of a task that the machine catches. wait: in whole seconds, as it takes it.
    """
    return {
        noun: answer.state.to_json(),
        "next": answer.next,
        "wait": math.ceil(answer.wait),
        "error": {},
        "cause": answer.state.reason,
    }
