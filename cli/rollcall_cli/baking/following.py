"""Shows what changes in a bake, and in the cycle that rolls its image out as the command for cycles shows it.

A picture on a terminal, else a line for each change. Progress goes to stderr.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group

from rollcall_cli.cycling.following import Lines as CycleLines
from rollcall_cli.cycling.picture import picture as cycle_picture
from rollcall_cli.screen import progress_line
from rollcall_cli.workflows.live_picture import LivePicture

from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rollcall_cli.workflows.following import Display

    from .executions import BakeExecution


class Lines:
    """A line for each change, where there is no terminal."""

    def __init__(self) -> None:
        self._before: BakeExecution | None = None
        self._cycle = CycleLines()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, execution: BakeExecution) -> None:
        for words in changes(self._before, execution):
            progress_line(words)
        if execution.cycle is not None:
            self._cycle.show(execution.cycle)
        self._before = execution

    def say(self, words: str) -> None:
        progress_line(words)


class Picture(LivePicture["BakeExecution"]):
    """A picture that changes in its place, on a terminal."""

    noun = "bake"

    def draw(self, execution: BakeExecution, since: float) -> RenderableType:
        parts = [picture(execution, since)]
        if execution.cycle is not None and execution.cycle.running:
            parts.append(cycle_picture(execution.cycle, since))
        return Group(*parts)


def display() -> Display[BakeExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return Picture(Console(stderr=True, highlight=False, markup=False))
    return Lines()
