"""What a step of a bake answers. Pure."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.workflow.state_texts import cut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .news import BakeNews
    from .state import BakeResult, BakeState

PUT_BACK = "put_back"


class StepAnswer(NamedTuple):
    """What came of a step. next: the word by which the state machine goes on, after so many seconds.

    next is the name of a step, which is the same one where there is something to wait for, "roll_out", or "succeeded"
    or "failed" at the end. news: what is to be published. cycle_name, cycle_input: of the execution of Cycle that rolls
    the image out; empty before.
    """

    state: BakeState
    next: str
    wait: float = 0.0
    news: tuple[BakeNews, ...] = ()
    cycle_name: str = ""
    cycle_input: Mapping[str, Any] = EMPTY_MAPPING


def over(state: BakeState, result: BakeResult, reason: str, news: tuple[BakeNews, ...] = ()) -> StepAnswer:
    """The answer of a step after which nothing is left but to put back what the bake has made for itself."""
    return StepAnswer(replace(state, result=result, reason=cut(reason)), PUT_BACK, news=news)
