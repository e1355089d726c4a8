"""What speaks against the roll-out of a bake, before there is an image: the pre-flight of the cycle that will do it.

A cycle has one pre-flight, which is the cycle function's; it is asked for it. Objections that it comes to half an hour
later are those that arose meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.executions import execution_arn
from rollcall.domain.objections import Objection
from rollcall.workflow.invocation import preflight_event

from .state import OF_ROLL_OUT
from .versioning import cycle_name, roll_out_options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from rollcall.aws.functions import Functions

    from .request import BakeRequest
    from .state import BakeState

WITHOUT = "bake with --no-roll-out (tag: roll-out=false), and roll it out another way"


class RollOutPreflight(NamedTuple):
    """What the pre-flight of the cycle comes to, in its words: without its own, nothing."""

    objections: tuple[Objection, ...] = ()
    warnings: tuple[str, ...] = ()

    def beside(self, own: Collection[tuple[str, str]]) -> Iterator[Objection]:
        """The objections, each marked as one to the roll-out. own: what and reason of the bake's, which are said."""
        for each in self.objections:
            if (each.what, each.reason) in own:
                continue
            yield Objection(
                f"{OF_ROLL_OUT}{each.what}",
                f"its roll-out would be refused: {each.reason}",
                f"{each.remedy}; or {WITHOUT}",
            )


def roll_out_preflight(
    functions: Functions, function: str, machine: str, state: BakeState, request: BakeRequest
) -> RollOutPreflight:
    """Ask the cycle function. function: its name; machine: the ARN of Cycle. state: of the bake, before its first step.

    Raises what Lambda and the function fail at.
    """
    execution = execution_arn(machine, cycle_name(state))
    run_options = roll_out_options(request.group, pin=request.pin)
    cycle = functions.ask(function, preflight_event(execution, state.execution_started, run_options))["cycle"]
    objections = tuple(
        Objection(each["what"], each["reason"], each["remedy"]) for each in cycle.get("objections") or ()
    )
    return RollOutPreflight(objections, tuple(cycle.get("warnings") or ()))
