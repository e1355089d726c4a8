"""Shows what changes in a bake, and in the cycle that rolls its image out as the command for cycles shows it.

A picture on a terminal, else a line for each change. Progress goes to stderr.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rollcall_cli.cycling.following import REFRESHES
from rollcall_cli.cycling.following import Lines as CycleLines
from rollcall_cli.cycling.picture import picture as cycle_picture
from rollcall_cli.screen import progress_line

from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from collections.abc import Callable

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


class Picture:
    """A picture that changes in its place, on a terminal."""

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._shown: BakeExecution | None = None
        self._read_at = monotonic()
        self._warned: set[str] = set()
        self._live = Live(console=console, get_renderable=self._rendered, refresh_per_second=REFRESHES, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, execution: BakeExecution) -> None:
        self._shown, self._read_at = execution, self._monotonic()
        for warning in execution.state.warnings if execution.state else ():
            if warning not in self._warned:
                self.say(f"warning: {warning}")  # which stays, for the picture goes at the end
                self._warned.add(warning)
        self._live.refresh()

    def say(self, words: str) -> None:
        self._live.console.print(Text(words), soft_wrap=True)

    def _rendered(self) -> RenderableType:
        if self._shown is None:
            return Text("reading the bake")
        since = self._monotonic() - self._read_at
        parts = [picture(self._shown, since)]
        if self._shown.cycle is not None and self._shown.cycle.running:
            parts.append(cycle_picture(self._shown.cycle, since))
        return Group(*parts)


def display() -> Display[BakeExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return Picture(Console(stderr=True, highlight=False, markup=False))
    return Lines()
