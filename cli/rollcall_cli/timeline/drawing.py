"""The timeline as a drawing: SVG, for a page, or for a file of its own.

Each instance is a row, and time runs from left to right. A few instances have tall rows in which everything is
written; the more there are the thinner are the rows, and what is not written is in a row's title, which shows where
the mouse rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from rollcall_cli.times import shortly, tick_label, ticks

from .instances import Outcome, Stage
from .style import CLASSES, DRAWING_STYLE, HATCH
from .timeline import headline, outcomes, title, to_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .instances import InstanceTimeline, Stretch
    from .timeline import Mark, Timeline

MARK_TOP, MARK_LINE = 12.0, 13.0  # base lines of the marks
AXIS_GAP, ROWS_GAP = 19.0, 12.0  # from the last of them to the axis's labels, and from these to the rows
BAND_HEAD, BAND_LINE, BAND_GAP, BOTTOM = 24.0, 14.0, 10.0, 24.0  # a group's head, another line of it; gaps below
TALL_MOST, LABELLED_MOST = 16, 80  # instances
TALL_BAR, SENTENCE_LINE, TALL_GAP = 18.0, 13.0, 15.0  # of a tall row
THIN_HEIGHT = 1400.0  # that thin rows are to have together
THINNEST, THICKEST = 3.0, 8.0  # of a thin row
CHARACTER = 0.6  # the width of one, as a share of the font's size: as wide as they get
TICK_WIDTH = 62.0  # of the axis, at least
NAME = 48  # characters of a group's name
SHORTEST = 0.6  # of a bar; what takes no time is to be seen all the same
SEPARATOR = " · "
MISSED = "no event in time: found by reconcile"
HEAD_TOP, LEGEND_TOP, LEGEND_LINE, KEY = 24.0, 66.0, 20.0, 24.0  # of a file of its own: base lines; a colour's width


@dataclass(frozen=True)
class Layout:
    """The width of a drawing in pixels, and where time begins and ends in it."""

    name: str
    width: float
    left: float

    @property
    def right(self) -> float:
        return self.width - 16

    @property
    def most_ticks(self) -> int:
        return max(int((self.right - self.left) / TICK_WIDTH), 3)


WIDE = Layout("wide", 1200.0, 210.0)
NARROW = Layout("narrow", 700.0, 150.0)
ALONE = Layout("alone", 900.0, 170.0)  # in a file of its own, such as the front page shows


@dataclass(frozen=True)
class Rows:
    """How high rows are with the distance to the next one, and their bars; how much is written about an instance.

    pitch: of a row with everything written, without the lines of its sentence.
    """

    pitch: float
    bar: float
    named: bool
    written: bool


def rows_for(count: int) -> Rows:
    """What so many instances leave room for."""
    if count <= TALL_MOST:
        return Rows(TALL_BAR + TALL_GAP, TALL_BAR, named=True, written=True)
    if count <= LABELLED_MOST:
        return Rows(17.0, 12.0, named=True, written=False)
    pitch = min(max(float(THIN_HEIGHT // count), THINNEST), THICKEST)
    return Rows(pitch, pitch if pitch < 5 else pitch - 1, named=False, written=False)


def file_of_its_own(shown: Timeline) -> str:
    """The drawing as an SVG file with its title and its legend, on a paper of its own."""
    drawing = Drawing(shown, ALONE)
    legend = list(_legend(shown, ALONE))
    top = LEGEND_TOP + LEGEND_LINE * max((line for line, *_ in legend), default=0) + 8
    size = f'width="{ALONE.width:.0f}" height="{top + drawing.height:.0f}"'
    box = f'viewBox="0 0 {ALONE.width:.0f} {top + drawing.height:.0f}"'
    words = quoteattr(f"{title(shown)}: {headline(shown)}")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img" aria-label={words}>',
            f"<style>{DRAWING_STYLE}</style>{HATCH}",
            '<rect class="paper" width="100%" height="100%"/>',
            _text(12, HEAD_TOP, title(shown), 17, "name"),
            _text(12, HEAD_TOP + 20, headline(shown), 13, "soft"),
            *(_key(line, x, stage, words) for line, x, stage, words in legend),
            f'<g class="{drawing.kind}" transform="translate(0 {top:.0f})">',
            *drawing.elements(),
            "</g></svg>\n",
        )
    )


def _legend(shown: Timeline, layout: Layout) -> Iterator[tuple[int, float, Stage | None, str]]:
    """For each stage that there is: its line, where it begins in it, and its name; at last the mark of a removal."""
    x, line = 12.0, 0
    removed = any(each.removed_at for each in shown.instances)
    for stage, words in (*((each, each.label) for each in shown.stages), *([(None, "removed")] if removed else [])):
        width = KEY + 6 + _width(words, 12) + 10
        if x + width > layout.right:
            x, line = 12.0, line + 1
        yield line, x, stage, words
        x += width


def _key(line: int, x: float, stage: Stage | None, words: str) -> str:
    y = LEGEND_TOP + line * LEGEND_LINE
    kind = "removed" if stage is None else "hatched" if stage == Stage.BAD_JOB else CLASSES[stage]
    box = (
        f'<line class="removed" x1="{x + KEY / 2:.1f}" y1="{y - 11:.1f}" x2="{x + KEY / 2:.1f}" y2="{y + 2:.1f}"/>'
        if stage is None
        else f'<rect class="{kind}" x="{x:.1f}" y="{y - 10:.1f}" width="{KEY:.0f}" height="11"/>'
    )
    return f'<g class="key">{box}{_text(x + KEY + 6, y, words, 12)}</g>'


class Drawing:
    """The rows, below an axis. elements(): what is within the svg element."""

    def __init__(self, shown: Timeline, layout: Layout, *, with_titles: bool = True) -> None:
        self._shown = shown
        self._layout = layout
        self._rows = rows_for(len(shown.instances))
        self._with_titles = with_titles
        self._scale = (layout.right - layout.left) / max(shown.seconds, 1.0)
        self._placed = list(_placed(shown.marks, self._x, layout))
        lines = max((line for line, *_ in self._placed), default=0)
        self._axis_top = MARK_TOP + lines * MARK_LINE + AXIS_GAP
        self._top = self._axis_top + ROWS_GAP
        self._bottom = self._top + sum(self._band(name, own) for name, own in shown.groups.items())

    @property
    def height(self) -> float:
        return self._bottom + BOTTOM

    @property
    def kind(self) -> str:
        """Its class."""
        return "rows" if self._rows.named else "rows thin"

    def svg(self) -> str:
        """As a part of a page."""
        words = quoteattr(headline(self._shown))
        box = f'viewBox="0 0 {self._layout.width:.0f} {self.height:.0f}"'
        kind = f"{self._layout.name} {self.kind}"
        opening = f'<svg class="{kind}" xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label={words}>'
        return "\n".join((opening, *self.elements(), "</svg>"))

    def elements(self) -> Iterator[str]:
        yield from self._axis()
        yield from self._marks()
        y = self._top
        for name, own in self._shown.groups.items():
            yield from self._head(name, own, y)
            below = y + self._head_height(name, own)
            top = below
            for each in own:
                yield from self._row(each, top)
                top += self._row_height(each)
            if not self._rows.named:
                yield from self._flags(own, below)
            y += self._band(name, own)

    # Places

    def _x(self, time: float) -> float:
        return self._layout.left + (max(time, self._shown.began) - self._shown.began) * self._scale

    def _band(self, name: str, own: Sequence[InstanceTimeline]) -> float:
        """How high a group is, with the gap below it."""
        return self._head_height(name, own) + sum(map(self._row_height, own)) + BAND_GAP

    def _head_height(self, name: str, own: Sequence[InstanceTimeline]) -> float:
        return BAND_HEAD + BAND_LINE * (len(self._head_lines(name, own)) - 1)

    def _row_height(self, each: InstanceTimeline) -> float:
        return self._rows.pitch + (SENTENCE_LINE * len(self._sentence(each)) if self._rows.written else 0.0)

    # Above the rows

    def _axis(self) -> Iterator[str]:
        length = self._shown.seconds
        first, last = self._axis_top + 6, self._bottom
        for tick in ticks(length, self._layout.most_ticks):
            x = self._x(self._shown.began + tick)
            words = tick_label(tick, length)
            anchor = "end" if x + _width(words, 11) / 2 > self._layout.width else "middle"
            yield f'<line class="rule" x1="{x:.1f}" y1="{first:.0f}" x2="{x:.1f}" y2="{last:.0f}"/>'
            for y in (self._axis_top, self._bottom + 14):
                yield _text(x, y, words, 11, "soft", anchor)

    def _marks(self) -> Iterator[str]:
        above, below = self._axis_top - 13, self._axis_top + 6  # the axis's labels
        for line, x, left, words in self._placed:
            yield f'<path class="mark" d="M{x:.1f} 4V{above:.0f}M{x:.1f} {below:.0f}V{self._bottom:.0f}"/>'
            yield _text(left, MARK_TOP + line * MARK_LINE, words, 11, "name")

    # A group

    def _head_lines(self, name: str, own: Sequence[InstanceTimeline]) -> list[str]:
        """What came of its instances, and what it asks for, beside its name and below."""
        asks = self._shown.asks.get(name)
        parts = [outcomes(own), *([str(asks)] if asks else []), to_service(own)]
        beside = self._layout.right - 4 - _width(_cut(name, NAME), 13) - 12
        return _lines(filter(None, parts), beside, 11)

    def _head(self, name: str, own: Sequence[InstanceTimeline], y: float) -> Iterator[str]:
        shown = _cut(name, NAME)
        x = 4 + _width(shown, 13) + 12
        yield f'<line class="rule" x1="0" y1="{y + 2:.1f}" x2="{self._layout.width:.0f}" y2="{y + 2:.1f}"/>'
        yield _text(4, y + 17, shown, 13, "name")
        for number, line in enumerate(self._head_lines(name, own)):
            yield _text(x, y + 17 + number * BAND_LINE, line, 11, "soft")

    # An instance

    def _row(self, each: InstanceTimeline, y: float) -> Iterator[str]:
        rows = self._rows
        own_id = f" id={quoteattr(each.instance_id)}" if self._with_titles else ""
        yield f'<g class="instance"{own_id}>'
        if self._with_titles:
            yield f"<title>{escape(f'{each.instance_id} of {each.group} at {each.address}: {each}')}</title>"
        top = y + (4 if rows.written else (rows.pitch - rows.bar) / 2)
        for stretch in each.stretches:
            yield self._bar(each, stretch, top)
        if rows.named:
            yield from self._removed(each, top)
            yield from self._written(each, top) if rows.written else self._named(each, top)
        yield "</g>"

    def _named(self, each: InstanceTimeline, top: float) -> Iterator[str]:
        left = self._layout.left
        words = each.outcome.value if each.to_service is None else shortly(each.to_service)
        room = int((left - 12 - _width(words, 10)) / (10 * CHARACTER))
        yield _text(4, top + 10, _cut(each.instance_id, room), 10, "id")
        yield _text(left - 4, top + 10, words, 10, "bad" if each.failed else "soft", "end")

    def _written(self, each: InstanceTimeline, top: float) -> Iterator[str]:
        """Beside and below the bar: which instance it is, and all its times in a sentence."""
        left, right = self._layout.left, self._layout.right
        yield _text(4, top + 10, each.instance_id, 11, "id name")
        kind = "bad" if each.failed else "soft"
        words = _cut(
            SEPARATOR.join(filter(None, (each.address, each.outcome.value))), int((left - 8) / (11 * CHARACTER))
        )
        yield _text(4, top + 24, words, 11, kind)
        lines = self._sentence(each)
        x, y = self._x(each.launched), top + self._rows.bar + 13
        longest = max(_width(line, 11) for line in lines)
        is_late = x > (left + right) / 2
        at, anchor = (
            (x, "") if x + longest <= right else (right, "end") if is_late else (max(right - longest, left), "")
        )
        for number, line in enumerate(lines):
            yield _text(at, y + number * SENTENCE_LINE, line, 11, "soft", anchor)
        end = self._x(each.stretches[-1].ended if each.stretches else each.launched) + 8
        crossed = f"✕ {each.outcome.value}"
        if each.failed and end + _width(crossed, 12) <= self._layout.width:
            yield _text(end, top + self._rows.bar / 2 + 4, crossed, 12, "bad")

    def _sentence(self, each: InstanceTimeline) -> list[str]:
        return _lines(each.facts, self._layout.right - self._layout.left, 11)

    def _bar(self, each: InstanceTimeline, stretch: Stretch, top: float) -> str:
        """A stage of an instance. Time in service is lower than the rest, for nothing happens in it."""
        x, height = self._x(stretch.began), self._rows.bar
        width = max(self._x(stretch.ended) - x, SHORTEST)
        if stretch.stage == Stage.SERVICE and height >= 12:
            top, height = top + height / 4, height / 2
        kind = "hatched" if stretch.stage == Stage.BAD_JOB and height >= 12 else CLASSES[stretch.stage]
        bar = f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        return bar + self._within(each, stretch, x, width, top)

    def _within(self, each: InstanceTimeline, stretch: Stretch, x: float, width: float, top: float) -> str:
        """What is written into a bar, as much as it has room for."""
        if not self._rows.written or stretch.stage in (Stage.SERVICE, Stage.RESTING):
            return ""
        for words in _words_within(each, stretch):
            if words and _width(words, 10.5) + 6 <= width:
                kind = f"on {CLASSES[stretch.stage]}"
                return _text(x + width / 2, top + self._rows.bar / 2 + 3.7, words, 10.5, kind, "middle")
        return ""

    def _removed(self, each: InstanceTimeline, top: float) -> Iterator[str]:
        if each.removed_at is not None:
            x = self._x(each.removed_at)
            y1, y2 = top - 2, top + self._rows.bar + 2
            yield f'<line class="removed" x1="{x:.1f}" y1="{y1:.1f}" x2="{x:.1f}" y2="{y2:.1f}"/>'

    def _flags(self, own: Sequence[InstanceTimeline], y: float) -> Iterator[str]:
        """Beside thin rows: which of them stand out, and why; written where there is room for it."""
        free, left, pitch = y, self._layout.left, self._rows.pitch
        for why, run in groupby(enumerate(own), key=lambda each: _why(each[1])):
            found = list(run)
            if not why:
                continue
            top, height = y + found[0][0] * pitch, len(found) * pitch
            kind = "bad" if found[0][1].failed else "soft"
            yield f'<rect class="{kind}" x="{left - 10:.0f}" y="{top:.1f}" width="6" height="{height:.1f}"/>'
            middle = max(top + height / 2, free + 5)
            if middle - top - height / 2 < 2 * pitch:
                words = f"{len(found)} {why}" if len(found) > 1 else found[0][1].instance_id
                yield _text(left - 14, middle + 3.5, words, 10, kind, "end")
                free = middle + 6


def _placed(
    marks: Iterable[Mark], x_of: Callable[[float], float], layout: Layout
) -> Iterator[tuple[int, float, float, str]]:
    """For each mark that is in the drawing: the first line with room for its words, where it is, and they begin."""
    free: list[float] = []  # from where on each line has room
    for mark in marks:
        x = x_of(mark.time)
        if x > layout.right:
            continue
        words = f"{mark.number} {mark.name}"
        width = _width(words, 11)
        left = x + 4 if x + 4 + width <= layout.width else x - 4 - width
        line = next((line for line, room in enumerate(free) if room <= left), len(free))
        free[line:] = [left + width + 4, *free[line + 1 :]]
        yield line, x, left, words


def _words_within(each: InstanceTimeline, stretch: Stretch) -> tuple[str, ...]:
    """What may be written into a bar, the longest first."""
    seconds = shortly(stretch.seconds)
    if stretch.run:
        number = f"job {stretch.run.job}"
        return f"{number} {stretch.run.result} {seconds}", number
    if stretch.stage == Stage.LEAVING:
        return (*([MISSED] if each.termination_missed else []), f"leaving {seconds}", seconds)
    if stretch.stage == Stage.REGISTERING and each.launch_missed:
        return MISSED, seconds
    return (seconds,)


def _why(each: InstanceTimeline) -> str:
    """Why a row stands out; nothing if it does not."""
    if each.failed or each.outcome == Outcome.WAITS:
        return each.outcome.value
    if each.missed:
        return "found by reconcile"
    return "needed another job" if each.tried_again else ""


def _lines(parts: Iterable[str], room: float, size: float) -> list[str]:
    """These parts, separated, in as few lines as they need; a part that alone is too long is cut."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{SEPARATOR}{part}" if lines else part
        if lines and _width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(_cut(part, int(room / (size * CHARACTER))))
    return lines or [""]


def _text(x: float, y: float, words: str, size: float, kind: str = "", anchor: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor else ""
    own = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{own}{where}>{escape(words)}</text>'


def _width(words: str, size: float) -> float:
    """How wide a text is at most."""
    return len(words) * size * CHARACTER


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else f"{words[: max(length - 1, 0)]}…"
