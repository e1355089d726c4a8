"""The last bakes of a stack: which group, which image and version, what came of it, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table
from rich.text import Text

from rollcall.bake.state import BakeResult
from rollcall_cli.cycling.listing import ENDED
from rollcall_cli.times import moment, shortly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.bake.state import BakeState
    from rollcall_cli.workflows.executions import Execution

type Json = dict[str, Any]

LISTED = 20  # bakes; each takes a call
GOOD = frozenset({*(str(each) for each in BakeResult if each.went_well), "running"})


class Listed(NamedTuple):
    """A bake of the list. image, version: empty where it came to none. Times in epoch seconds; seconds: it took."""

    group: str
    bake: str
    image: str
    version: str
    result: str
    began: float
    seconds: float


def listed(execution: Execution[BakeState]) -> Listed:
    """A bake as the list shows it."""
    state = execution.state
    return Listed(
        str(execution.request.get("group", "")),
        execution.name,
        state.image_id if state else "",
        state.version if state else "",
        _result(execution),
        execution.began,
        execution.seconds,
    )


def _result(execution: Execution[BakeState]) -> str:
    """One that failed says it as its error (statemachines/bake.asl.json)."""
    if execution.running:
        return "running"
    if execution.is_cancelled:
        return str(BakeResult.CANCELLED)
    if execution.status in ENDED:
        return ENDED[execution.status]
    if execution.state is not None and execution.state.result:
        return str(execution.state.result)
    known = [str(each) for each in BakeResult if each == execution.error]
    return known[0] if known else str(BakeResult.FAILED)


def table(bakes: Sequence[Listed]) -> Table:
    """The list for an operator."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("began", "group", "image", "version", "result", "took", "bake"):
        made.add_column(heading, no_wrap=True)
    for each in bakes:
        result = Text(each.result, style="" if each.result in GOOD else "bold red")
        took = shortly(each.seconds)
        made.add_row(moment(each.began), Text(each.group), each.image, each.version, result, took, Text(each.bake))
    return made


def answer_of(bakes: Sequence[Listed]) -> Json:
    """The list for a program."""
    return {"bakes": [each._asdict() for each in bakes]}
