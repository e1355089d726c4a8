"""The last cycles or bakes of a stack: which group, which version, what came of it, and when. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich.table import Table
from rich.text import Text

from rollcall_cli.times import moment, shortly

from .executions import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .executions import Execution

type Json = dict[str, Any]

LISTED = 20  # of one kind; each takes a call, or two
RUNNING, CANCELLED, FAILED = "running", "cancelled", "failed"
ENDED = {Status.ABORTED: "stopped by hand", Status.TIMED_OUT: "ran out of time"}


class Listed(NamedTuple):
    """One of the list. name: of its execution. image: None of a kind that makes none. began: epoch seconds.

    image, version: empty where it came to none. seconds: it took. is_good: whether an operator may pass it over.
    """

    group: str
    name: str
    image: str | None
    version: str
    result: str
    began: float
    seconds: float
    is_good: bool

    @classmethod
    def of(cls, execution: Execution[Any], image: str | None, version: str, result: str, *, is_good: bool) -> Self:
        """One as its execution shows it."""
        group = str(execution.request.get("group", ""))
        return cls(group, execution.name, image, version, result, execution.began, execution.seconds, is_good)


def result_of(execution: Execution[Any], results: Collection[Any]) -> str:
    """What one ended as, in a word; or that it runs.

    results: all of its kind. One that failed says it as its error (statemachines/).
    """
    if execution.running:
        return RUNNING
    if execution.is_cancelled:
        return CANCELLED
    if execution.status in ENDED:
        return ENDED[execution.status]
    if execution.state is not None and execution.state.result:
        return str(execution.state.result)
    return next((str(each) for each in results if each == execution.error), FAILED)


def table(rows: Sequence[Listed], noun: str) -> Table:
    """The list for an operator."""
    has_images = any(each.image is not None for each in rows)
    headings = ("began", "group", *(["image"] if has_images else []), "version", "result", "took", noun)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, no_wrap=True)
    for each in rows:
        image = [each.image or ""] if has_images else []
        result = Text(each.result, style="" if each.is_good else "bold red")
        cells: tuple[str | Text, ...] = (moment(each.began), Text(each.group), *image, each.version, result)
        made.add_row(*cells, shortly(each.seconds), Text(each.name))
    return made


def answer_of(rows: Sequence[Listed], noun: str) -> Json:
    """The list for a program."""
    return {f"{noun}s": [_as_json(each, noun) for each in rows]}


def _as_json(each: Listed, noun: str) -> Json:
    image = {} if each.image is None else {"image": each.image}
    return {
        "group": each.group,
        noun: each.name,
        **image,
        "version": each.version,
        "result": each.result,
        "began": each.began,
        "seconds": each.seconds,
    }
