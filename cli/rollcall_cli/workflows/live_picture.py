"""A picture of a cycle or a bake that changes in its place on a terminal; lines that are said stay above it."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .execution import Execution
from .lines import warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

REFRESHES = 2  # a second: its seconds pass also while nothing is read


class LivePicture[E: Execution[Any]](ABC):
    """Shows executions of one kind. noun: the kind. monotonic: seconds. warned: the warnings shown."""

    noun: str

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._shown: E | None = None
        self._read_at = monotonic()
        self.warned: set[str] = set()
        self._live = Live(console=console, get_renderable=self._rendered, refresh_per_second=REFRESHES, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, execution: E) -> None:
        """Show how it is now, and each of its warnings once."""
        self._shown, self._read_at = execution, self._monotonic()
        for warning in sorted(warnings_of(execution) - self.warned):
            self.say(f"warning: {warning}")  # which stays, for the picture goes at the end
            self.warned.add(warning)
        self._live.refresh()

    def say(self, words: str) -> None:
        """Show a line that stays."""
        self._live.console.print(Text(words), soft_wrap=True)

    @abstractmethod
    def draw(self, execution: E, since: float) -> RenderableType:
        """The picture of an execution that was read so many seconds ago."""

    def _rendered(self) -> RenderableType:
        if self._shown is None:
            return Text(f"reading the {self.noun}")
        return self.draw(self._shown, self._monotonic() - self._read_at)


def on_terminal[P: LivePicture[Any]](picture: Callable[[Console], P]) -> P | None:
    """The picture, only where nothing else reads what is printed: both streams are a terminal."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return picture(Console(stderr=True, highlight=False, markup=False))
    return None
