"""The picture of a group that is cycled under load, in a terminal: a strip for requests, targets and each version."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from rich.text import Text

from rollcall_cli.times import tick_label, ticks

from .load_picture import title
from .load_record import fewest_between, most_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .load_record import Count, LoadRecord

NARROWEST, WIDEST = 60, 160  # columns that lines have
NAME = 20  # columns of a strip's name
END = 15  # columns beside a strip
TICK_WIDTH = 7  # columns that a tick takes at least
LEVELS = " ▁▂▃▄▅▆▇█"
NONE, MANY = ".", "#"  # in place of a digit: no instance, and more than nine
GREEN, BLUE, GREY, RED = "#2f9e6e", "#56a8dc", "#808890", "#d6422b"


def load_strips(record: LoadRecord, width: int, *, blocks: bool) -> list[Text]:
    """The record as lines of at most this many columns, or NARROWEST; in ASCII, with digits, without blocks."""
    width = min(max(width, NARROWEST), WIDEST)
    strips = _Strips(record, width - NAME - 1 - END, blocks=blocks)
    endings = (line for each in record.endings for line in wrap(each, width, subsequent_indent="  "))
    lines = [Text(title(record), "bold"), Text(record.headline), *map(Text, endings), *strips.lines()]
    for line in lines:
        line.rstrip()
        line.truncate(width, overflow="ellipsis" if blocks else "crop")
    return lines if blocks else [Text(line.plain.replace("\u00b7", "-")) for line in lines]


class _Strips:
    """Lays the strips out. columns: of a strip."""

    def __init__(self, record: LoadRecord, columns: int, *, blocks: bool) -> None:
        self._record = record
        self._columns = columns
        self._blocks = blocks

    def lines(self) -> list[Text]:
        record = self._record
        lost = sum(record.lost)
        answered = self._asked(record.answered)
        lines = [
            *self._moments(),
            self._axis(),
            self._line("answered a second", answered, max(answered), GREEN, f"{sum(record.answered):,}"),
            self._lost(f"{lost:,}" if lost else "none"),
            self._counted("healthy targets", record.healthy, fewest_between, BLUE, f"{record.fewest_healthy} at least"),
        ]
        for version in record.versions:
            serving, coming = record.serving.get(version, ()), record.coming.get(version, ())
            if any(each.number for each in serving):
                colour = GREY if version == record.versions[0] else GREEN
                lines.append(self._counted(f"version {version} serves", serving, fewest_between, colour))
            elif any(each.number for each in coming):
                lines.append(self._counted(f"version {version} failed", coming, most_between, RED, "never served"))
        return lines

    def _times(self) -> list[tuple[float, float]]:
        """The first and the last moment of each column."""
        share = self._record.seconds / self._columns
        return [(column * share, (column + 1) * share) for column in range(self._columns)]

    def _asked(self, counts: Sequence[int]) -> list[int]:
        """How many requests there were in the second in which each column begins."""
        return [counts[min(int(began), len(counts) - 1)] if counts else 0 for began, _ in self._times()]

    def _lost(self, words: str) -> Text:
        """Whether a request was lost in a column; no second is left out, however narrow the strip."""
        lost = [sum(self._record.lost[int(began) : max(int(ended), int(began) + 1)]) for began, ended in self._times()]
        strip = "".join("!" if each else ("─" if self._blocks else "-") for each in lost)
        return self._beside("lost", strip, RED if any(lost) else GREY, words)

    def _counted(
        self,
        name: str,
        counts: Sequence[Count],
        of: Callable[[Sequence[Count], float, float], int],
        colour: str,
        words: str = "",
    ) -> Text:
        most = max([each.number for each in counts] + [self._record.size])
        return self._line(name, [of(counts, *each) for each in self._times()], most, colour, words)

    def _line(self, name: str, values: Sequence[int], most: int, colour: str, words: str = "") -> Text:
        return self._beside(name, "".join(self._cell(each, most) for each in values), colour, words)

    def _cell(self, value: int, most: int) -> str:
        if self._blocks:
            return LEVELS[0 if value <= 0 else max(round(value / max(most, 1) * (len(LEVELS) - 1)), 1)]
        if most > 9:
            return NONE if value <= 0 else MANY if value >= most else str(int(10 * value / most))
        return NONE if value <= 0 else str(value)

    def _beside(self, name: str, strip: str, colour: str, words: str) -> Text:
        return Text(f"{name:{NAME}.{NAME}} ").append(strip, colour).append(f" {words}")

    def _axis(self) -> Text:
        length = self._record.seconds
        found = [(at, tick_label(at, length)) for at in ticks(length, max(self._columns // TICK_WIDTH, 3))]
        return Text(f"{'':{NAME}} ").append(self._placed(found), "dim")

    def _moments(self) -> list[Text]:
        """What happened, by numbers, and where in the strips."""
        numbered = list(enumerate(self._record.moments, 1))
        words = ", ".join(f"{number} {moment.words}" for number, moment in numbered)
        where = self._placed((moment.at, str(number)) for number, moment in numbered)
        return [Text(words, "dim"), Text(f"{'':{NAME}} {where}")] if numbered else []

    def _placed(self, found: Iterable[tuple[float, str]]) -> str:
        """Words at their columns, those for which there is room."""
        line = ""
        for at, words in found:
            column = int(at / max(self._record.seconds, 1.0) * self._columns)
            if column + len(words) <= self._columns and column >= len(line):
                line = f"{line:{column}}{words}"
        return f"{line:{self._columns}}"
