"""How results and progress are printed: results to stdout, progress to stderr, and only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.status import Status
    from rich.text import Text

PIPE_WIDTH = 100_000  # characters, where there is no terminal: an entry is a line


class Results(Console):
    """A console that leaves a closed pipe to the one place that says how a command ends: running.py."""

    def on_broken_pipe(self) -> None:
        raise


def console() -> Console:
    """What results are printed with: the terminal's width there, and no breaks within a line elsewhere."""
    return Results(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def in_lines[T: (str, Text)](parts: Iterable[T], gap: int, width: int) -> Iterator[list[T]]:
    """Parts in as few lines as hold them; one that is wider than a line has its own. gap, width: in characters."""
    line: list[T] = []
    used = 0
    for part in parts:
        own = cell_len(str(part))
        if line and used + gap + own > width:
            yield line
            line, used = [], 0
        used += own + (gap if line else 0)
        line.append(part)
    if line:
        yield line


def progress(words: str) -> Status:
    """A line that says what is under way, for as long as the block lasts; update(words) changes it."""
    return Console(stderr=True, highlight=False, markup=False).status(words)


def progress_line(words: str) -> None:
    """A line about what was done or is under way, that stays: results alone go to stdout.

    What a command does goes on where stderr is closed.
    """
    try:
        print(words, file=sys.stderr, flush=True)
    except BrokenPipeError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Lead what is still written to a closed pipe nowhere; Python's own last flush would fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(value: Any) -> None:
    """An answer as it came."""
    print(json.dumps(value, indent=2))
