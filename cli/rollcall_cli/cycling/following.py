"""Shows what changes in a cycle: as a picture on a terminal, else a line for each change. Progress goes to stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rollcall_cli.screen import progress_line

from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from rollcall_cli.workflows.following import Display

    from .executions import CycleExecution

REFRESHES = 2  # a second, of the picture: its seconds pass also while nothing is read


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


class Picture:
    """A picture that changes in its place, on a terminal."""

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._shown: CycleExecution | None = None
        self._read_at = monotonic()
        self._warned: set[str] = set()
        self._live = Live(console=console, get_renderable=self._rendered, refresh_per_second=REFRESHES, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, execution: CycleExecution) -> None:
        self._shown, self._read_at = execution, self._monotonic()
        for warning in execution.state.warnings if execution.state else ():
            if warning not in self._warned:
                self.say(f"warning: {warning}")  # which stays, for the picture goes at the end
                self._warned.add(warning)
        self._live.refresh()

    def say(self, words: str) -> None:
        self._live.console.print(Text(words), soft_wrap=True)

    def _rendered(self) -> RenderableType:
        return picture(self._shown, self._monotonic() - self._read_at) if self._shown else Text("reading the cycle")


def display() -> Display[CycleExecution]:
    """Where this run shows its progress: a picture only where nothing else reads what is printed."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return Picture(Console(stderr=True, highlight=False, markup=False))
    return Lines()
