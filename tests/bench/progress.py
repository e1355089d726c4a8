"""What the bench is doing, and how far it is: one line that moves on a terminal, elsewhere plain lines."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLAIN_WIDTH = 120  # columns where there is no terminal
PLAIN_PAUSE = 10.0  # seconds between two plain lines about how far a step is


class View:
    """Says what happens now. On a terminal a step is one line that moves, elsewhere a line now and then."""

    def __init__(self) -> None:
        plain = not sys.stdout.isatty() or os.environ.get("TERM") in (None, "dumb", "unknown")
        self.console = Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH if plain else None)
        self._plain = plain
        self._began = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Print a line; style is rich's."""
        self.console.print(Text(text, style), soft_wrap=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show what is being done for the length of the block. Yields what to report progress with."""
        began = time.monotonic()
        with self._lines(text) if self._plain else self._line(text) as tell:
            yield tell
        self.say(f"{began - self._began:5.0f} s  {text}: {time.monotonic() - began:.1f} s")

    @contextmanager
    def _line(self, text: str) -> Iterator[Callable[[str], None]]:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(text, total=None)
            yield lambda how_far: progress.update(task, description=f"{text}: {how_far}")

    @contextmanager
    def _lines(self, text: str) -> Iterator[Callable[[str], None]]:
        printed_at = time.monotonic()
        self.say(f"         {text} ...")

        def tell(how_far: str) -> None:
            nonlocal printed_at
            if time.monotonic() - printed_at >= PLAIN_PAUSE:
                printed_at = time.monotonic()
                self.say(f"         {text}: {how_far}")

        yield tell
