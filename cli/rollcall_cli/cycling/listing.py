"""The last cycles of a stack: which group, which version, what came of it, and when. Pure but for reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table
from rich.text import Text

from rollcall.cycle.state import CycleResult
from rollcall_cli.times import moment, shortly
from rollcall_cli.workflows.executions import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .executions import CycleExecution

type Json = dict[str, Any]

LISTED = 20  # cycles; each takes a call
ENDED = {Status.ABORTED: "stopped by hand", Status.TIMED_OUT: "ran out of time"}
GOOD = frozenset({CycleResult.SUCCEEDED, CycleResult.NOTHING_TO_REPLACE, CycleResult.DRY_RUN, "running"})


class Listed(NamedTuple):
    """A cycle of the list. version: that was named, or else came to be. Times in epoch seconds; seconds: it took."""

    group: str
    cycle: str
    version: str
    result: str
    began: float
    seconds: float


def listed(execution: CycleExecution) -> Listed:
    """A cycle as the list shows it."""
    state, request = execution.state, execution.request
    named = str(request.get("launch_template_version") or "")
    return Listed(
        str(request.get("group", "")),
        execution.name,
        (state.target_version if state else "") or named,
        _result(execution),
        execution.began,
        execution.seconds,
    )


def _result(execution: CycleExecution) -> str:
    """One that failed says it as its error (statemachines/cycle.asl.json)."""
    if execution.running:
        return "running"
    if execution.state is not None and execution.state.result:
        return str(execution.state.result)
    known = [str(each) for each in CycleResult if each == execution.error]
    return known[0] if known else ENDED.get(execution.status, CycleResult.FAILED)


def table(cycles: Sequence[Listed]) -> Table:
    """The list for an operator."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("began", "group", "version", "result", "took", "cycle"):
        made.add_column(heading, no_wrap=True)
    for each in cycles:
        result = Text(each.result, style="" if each.result in GOOD else "bold red")
        made.add_row(
            moment(each.began), Text(each.group), each.version, result, shortly(each.seconds), Text(each.cycle)
        )
    return made


def answer_of(cycles: Sequence[Listed]) -> Json:
    """The list for a program."""
    return {"cycles": [each._asdict() for each in cycles]}
