"""The last cycles or bakes of a stack: which group, which version, what came of it, and when. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich.text import Text

from rollcall_cli.columns import print_columns
from rollcall_cli.times import moment, shortly

from .execution import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .execution import Execution

type Json = dict[str, Any]

LISTED = 20  # of one kind
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


def print_list(rows: Sequence[Listed], noun: str) -> None:
    """The list for an operator."""
    has_images = any(each.image is not None for each in rows)
    headings = ("began", "group", *(["image"] if has_images else []), "version", "result", "took", noun)
    cells = [
        [
            Text(moment(each.began)),
            Text(each.group),
            *([Text(each.image or "")] if has_images else []),
            Text(each.version),
            Text(each.result, style="" if each.is_good else "bold red"),
            Text(shortly(each.seconds)),
            Text(each.name),
        ]
        for each in rows
    ]
    print_columns(headings, cells, (noun, *(["image"] if has_images else []), "took"))


def answer_of(rows: Sequence[Listed], noun: str) -> Json:
    """The list for a program. Times in epoch seconds, to the millisecond."""
    return {f"{noun}s": [_as_json(each, noun) for each in rows]}


def _as_json(each: Listed, noun: str) -> Json:
    image = {} if each.image is None else {"image": each.image or None}
    return {
        "group": each.group,
        noun: each.name,
        **image,
        "version": each.version or None,
        "result": each.result,
        "began": round(each.began, 3),
        "seconds": round(each.seconds, 3),
    }
