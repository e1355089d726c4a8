"""How the demo shows things: a live table on a terminal, elsewhere a plain line for each change."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lab.demo.load_strips import load_strips
from rollcall_cli.timeline.strips import strips
from rollcall_cli.times import clock

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lab.demo.load_record import LoadRecord
    from lab.demo.sights import Sight
    from rollcall_cli.timeline.timeline import Timeline

PLAIN_WIDTH = 100  # columns of the timeline in plain lines, at most
WHOLE_LINE = 100_000  # columns, where there is no terminal
NARROWEST = 80  # columns that the table needs
WIDE = 120  # columns from which on nothing is abbreviated
TEXT_COLUMNS = (("Instance", 19), ("State", 19), ("Tower host", 16), ("Job", 13), ("Outcome", 10))
COLUMNS = (*TEXT_COLUMNS, ("Registered", 10), ("Job over", 8), ("In service", 10))
NARROW_WIDTHS = (19, 16, 12, 10, 10)
NARROW_COLUMNS = (
    *((name, width) for (name, _), width in zip(TEXT_COLUMNS, NARROW_WIDTHS, strict=True)),
    *(("R", 2), ("J", 2), ("S", 2)),
)
JOB_LEGEND = "Job: the latest one's number, and this host's own result in it"
TIMES_LEGEND = "Registered, Job over, In service: seconds after launch, once it happened"
NARROW_TIMES_LEGEND = "R, J, S: seconds from launch to registered, job over, in service"
FIRST_TIME = len(TEXT_COLUMNS)
SHORT = {"Terminating:Proceed": "Terminating", "unreachable": "unreach."}
COLOURS = {
    "InService": "green",
    "ok": "green",
    "ready": "green",
    "failed": "red",
    "abandoned": "red",
    "timed out": "red",
    "unreachable": "yellow",
}


class View(Protocol):
    """What the demo asks of either."""

    def say(self, text: str, style: str = "") -> None:
        """Tell something; style is rich's."""

    def verdict(self, holds: bool, text: str) -> None:
        """Tell whether something holds."""

    def step(self, text: str) -> AbstractContextManager[None]:
        """Tell what is being done for the length of the block, and how long it took."""

    def live(self) -> AbstractContextManager[None]:
        """For the length of the block, show() shows."""

    def show(self, sights: Sequence[Sight]) -> None:
        """Show the instances as they are now."""

    def draw(self, shown: Timeline) -> None:
        """Show when each instance was in which stage."""

    def draw_load(self, record: LoadRecord) -> None:
        """Show what became of requests, targets and instances of a group under load."""


def make_view() -> View:
    """The table where there is a terminal that can show it, else plain lines."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "dumb", "unknown")
    if plain:
        return Lines()
    console = Console(highlight=False, markup=False, emoji=False)
    return Lines() if console.width < NARROWEST else LiveTable(console)


def terminal_width() -> int:
    """Columns of the terminal; without one as many as a line may need."""
    return shutil.get_terminal_size((WHOLE_LINE, 0)).columns if sys.stdout.isatty() else WHOLE_LINE


def wrapped(text: str, width: int) -> str:
    """The same in lines of at most so many columns, where it is longer: those that follow are indented as the first."""
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip())]
        broken = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += broken if len(line) > width else [line]
    return "\n".join(lines)


class Lines:
    """A line for each change, with the time of day as in the lines of commands; no control codes."""

    def __init__(self) -> None:
        self._shown: dict[str, list[str]] = {}

    def say(self, text: str, style: str = "") -> None:
        print(wrapped(text, terminal_width()), flush=True)

    def verdict(self, holds: bool, text: str) -> None:
        self.say(f"  {'ok    ' if holds else 'BROKEN'} {text}")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        self.say(f"{text} ...")
        yield
        self.say(f"  done in {time.monotonic() - began:.1f} s")

    @contextmanager
    def live(self) -> Iterator[None]:
        yield

    def show(self, sights: Sequence[Sight]) -> None:
        for sight in sights:
            facts = _facts(sight)
            known = self._shown.get(sight.instance_id, [])
            if news := ", ".join(fact for fact in facts if fact not in known):
                self.say(f"{clock(time.time())}  {sight.group:4} {sight.instance_id}  {news}")
            self._shown[sight.instance_id] = facts

    def draw(self, shown: Timeline) -> None:
        self._draw(strips(shown, min(terminal_width(), PLAIN_WIDTH), blocks=False))

    def draw_load(self, record: LoadRecord) -> None:
        self._draw(load_strips(record, min(terminal_width(), PLAIN_WIDTH), blocks=False))

    def _draw(self, lines: Sequence[Text]) -> None:
        for line in lines:
            self.say(line.plain)


def _facts(sight: Sight) -> list[str]:
    """What is true of an instance now; one that is new is a change."""
    facts = [f"{sight.state} after {sight.served:.0f} s" if sight.serves and sight.served else sight.state]
    if sight.inventory_groups:
        facts.append(f"host {sight.address} in {' '.join(sight.inventory_groups)}")
    elif sight.registered is not None:
        facts.append(f"host {sight.address} is out of Tower")
    if sight.job:
        facts.append(f"job {sight.job.id}: {sight.result}")
    if sight.outcome:
        facts.append(sight.outcome)
    return facts


class LiveTable:
    """All instances in a table that is redrawn when something changed, below what was said."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._rows: list[tuple[str, ...]] = []

    def say(self, text: str, style: str = "") -> None:
        self._console.print(Text(wrapped(text, self._console.width), style))

    def verdict(self, holds: bool, text: str) -> None:
        mark = Text("  ✓ ", "green") if holds else Text("  ✗ ", "bold red")
        self._console.print(mark + Text(text, "" if holds else "red"))

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            progress.add_task(text, total=None)
            yield
        self._console.print(Text("✓ ", "green") + Text(f"{text}: {time.monotonic() - began:.1f} s"))

    @contextmanager
    def live(self) -> Iterator[None]:
        with Live(console=self._console, auto_refresh=False, vertical_overflow="crop") as self._live:
            yield
        self._live = None

    def show(self, sights: Sequence[Sight]) -> None:
        rows = [_row(sight) for sight in sights]
        if self._live and rows != self._rows:
            self._rows = rows
            self._live.update(_table(sights, rows, wide=self._console.width >= WIDE), refresh=True)

    def draw(self, shown: Timeline) -> None:
        self._draw(strips(shown, self._console.width, blocks=self._blocks))

    def draw_load(self, record: LoadRecord) -> None:
        self._draw(load_strips(record, self._console.width, blocks=self._blocks))

    @property
    def _blocks(self) -> bool:
        return not self._console.options.ascii_only

    def _draw(self, lines: Sequence[Text]) -> None:
        for line in lines:
            self._console.print(line, no_wrap=True, crop=True)


def _row(sight: Sight) -> tuple[str, ...]:
    """An instance's cells; a time is empty until what it is the time of has happened."""
    return (
        sight.instance_id,
        sight.state,
        f"{sight.address} {' '.join(sight.inventory_groups) or '-'}",
        f"{sight.job.id} {sight.result}" if sight.job else "",
        sight.outcome,
        *("" if each is None else f"{each:.0f}" for each in (sight.registered, sight.judged, sight.served)),
    )


def _table(sights: Sequence[Sight], rows: Sequence[tuple[str, ...]], *, wide: bool) -> Padding:
    """Columns of fixed widths, so that nothing jumps; one block for each Auto Scaling group."""
    table = Table(box=None, padding=(0, 2 if wide else 1, 0, 0), pad_edge=False, header_style="bold")
    table.caption = f"{JOB_LEGEND}\n{TIMES_LEGEND if wide else NARROW_TIMES_LEGEND}"
    table.caption_justify = "left"
    for number, (name, width) in enumerate(COLUMNS if wide else NARROW_COLUMNS):
        table.add_column(name, width=width, no_wrap=True, justify="left" if number < FIRST_TIME else "right")
    pairs = sorted(zip(sights, rows, strict=True), key=lambda pair: _order(sights, pair[0]))
    for group, members in groupby(pairs, key=lambda pair: pair[0].group):
        block = list(members)
        table.add_row(Text(f"{group}: {sum(sight.serves for sight, _ in block)} in service", "bold cyan"))
        for sight, row in block:
            table.add_row(*(_cell(cell, wide=wide) for cell in row), style="dim" if sight.gone else "")
    return Padding(table, (1, 0, 0, 0))


def _order(sights: Sequence[Sight], sight: Sight) -> int:
    """Groups in the order in which they first launched something."""
    return next(index for index, each in enumerate(sights) if each.group == sight.group)


def _cell(text: str, *, wide: bool) -> Text:
    last_word = text.rpartition(" ")[2]  # of "1 failed"
    shown = text if wide else " ".join(SHORT.get(word, word) for word in text.split(" "))
    return Text(shown, COLOURS.get(text) or COLOURS.get(last_word, ""))
