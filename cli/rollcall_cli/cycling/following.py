"""Follows a cycle to its end, and shows what changes: as a picture on a terminal, else a line for each change.

Progress goes to stderr, like that of every command. An error that passes by itself is shown, and the cycle read again.
"""

from __future__ import annotations

import sys
import time
from itertools import chain, repeat
from typing import TYPE_CHECKING, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rollcall.domain.errors import Transient
from rollcall_cli.screen import progress_line

from .executions import Status
from .picture import picture
from .words import changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from .executions import CycleExecution

READ_EVERY = 5.0  # seconds; but for the first
READS_AT_FIRST = 10  # times, each after
READ_AT_FIRST = 1.0  # second: a dry run or a refusal is over by then
REFRESHES = 2  # a second, of the picture: its seconds pass also while nothing is read
LATE_READS = 3  # of the history of one that ended, until it shows how: what AWS shows is eventually consistent


class Display(Protocol):
    """Where progress is shown."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Show no more."""

    def show(self, execution: CycleExecution) -> None:
        """Show how the cycle is now."""

    def say(self, words: str) -> None:
        """Show a line that stays."""


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


def display() -> Display:
    """Where this run shows its progress: a picture only where nothing else reads what is printed."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return Picture(Console(stderr=True, highlight=False, markup=False))
    return Lines()


def follow(
    read: Callable[[], CycleExecution], shown: Display, sleep: Callable[[float], None] = time.sleep
) -> CycleExecution:
    """The cycle, once it is over. Raises what read() raises, but for what passes by itself."""
    failed, late = "", 0
    pauses = chain(repeat(READ_AT_FIRST, READS_AT_FIRST), repeat(READ_EVERY))
    with shown:
        while True:
            try:
                execution = read()
            except Transient as error:
                if failed != str(error):
                    shown.say(f"{error}\nIt is read again, every {READ_EVERY:.0f} s at the latest; the cycle goes on.")
                failed = str(error)
            else:
                failed = ""
                shown.show(execution)
                late += _lacks_result(execution)
                if not execution.running and (not _lacks_result(execution) or late >= LATE_READS):
                    return execution
            sleep(next(pauses))


def _lacks_result(execution: CycleExecution) -> bool:
    """Whether a cycle ended by itself, and what was read of it does not show how."""
    ended = execution.status in (Status.SUCCEEDED, Status.FAILED)
    return ended and (execution.state is None or execution.state.result is None)
