"""Shows what changes in a cycle: as a picture on a terminal, else a line for each change. Progress goes to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console

from rollcall_cli.screen import progress_line
from rollcall_cli.workflows.live_picture import LivePicture

from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rollcall_cli.workflows.following import Display

    from .executions import CycleExecution


class Lines:
    """A line for each change, where there is no terminal."""

    def __init__(self) -> None:
        self._before: CycleExecution | None = None
        self._stages: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, execution: CycleExecution) -> None:
        for words in changes(self._before, execution, self._stages):
            progress_line(words)
        self._before = execution
        self._stages |= {each.id: each.stage for each in execution.state.instances} if execution.state else {}

    def say(self, words: str) -> None:
        progress_line(words)


class Picture(LivePicture["CycleExecution"]):
    """A picture that changes in its place, on a terminal."""

    noun = "cycle"

    def draw(self, execution: CycleExecution, since: float) -> RenderableType:
        return picture(execution, since)


def display() -> Display[CycleExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return Picture(Console(stderr=True, highlight=False, markup=False))
    return Lines()
