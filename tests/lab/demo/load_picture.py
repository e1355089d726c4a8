"""The picture of a group that is cycled under load: requests, healthy targets, and instances by version, over time.

SVG with the colours of the timeline, for the demo's page or for a file of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from rollcall_cli.timeline.style import DRAWING_STYLE
from rollcall_cli.times import tick_label, ticks

from .load_record import count_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .load_record import Count, LoadRecord

WIDTH, LEFT, RIGHT = 900.0, 170.0, 884.0  # of the drawing, and of time in it
MOST_TICKS = 12
HEAD_TOP, HEAD_LINE = 24.0, 20.0  # base lines above the drawing, in a file of its own
MOMENT_TOP, MOMENT_LINE, AXIS_GAP = 12.0, 13.0, 19.0  # base lines of the moments; from the last to the axis's labels
LANE_GAP = 26.0  # between two lanes
REQUESTS, TARGETS, INSTANCES = 46.0, 64.0, 110.0  # how high the lanes are
BOTTOM = 26.0
CHARACTER = 0.6  # the width of one, as a share of the font's size: as wide as they get
COLOURS = ("--l", "--s", "--c", "--r")  # of versions in service, the oldest first
FAILED = "--b"  # also what was lost
COMING = {"--l": "--w"}  # of one on its way there, unless it is the version's own, paler
PALE = 0.45  # opacity


def title(record: LoadRecord) -> str:
    """What it is of, and when; in UTC."""
    return f"Rollcall · group {record.group}, cycled under load · {datetime.fromtimestamp(record.began, UTC):%Y-%m-%d}"


def file_of_its_own(record: LoadRecord) -> str:
    """The drawing as an SVG file with its title, on a paper of its own."""
    picture = LoadPicture(record)
    lines = [(title(record), 17, "name"), (record.headline, 13, "soft"), *((each, 12, "") for each in record.endings)]
    top = HEAD_TOP + HEAD_LINE * len(lines)
    height = top + picture.height
    words = quoteattr(f"{title(record)}: {record.headline}")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label={words}>',
            f"<style>{DRAWING_STYLE}</style>",
            '<rect class="paper" width="100%" height="100%"/>',
            *(_text(12, HEAD_TOP + HEAD_LINE * n, words, size, kind) for n, (words, size, kind) in enumerate(lines)),
            f'<g transform="translate(0 {top:.0f})">',
            *picture.elements(),
            "</g></svg>\n",
        )
    )


def section(record: LoadRecord) -> str:
    """The drawing as a part of the demo's page, with what one sees in it."""
    picture = LoadPicture(record)
    words = quoteattr(record.headline)
    return "\n".join(
        (
            f"<h1>{escape(title(record))}</h1>",
            f'<p class="headline">{escape(record.headline)}</p>',
            *(f"<p>{escape(each)}</p>" for each in record.endings),
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {picture.height:.0f}" '
            f'style="display: block; width: 100%; max-width: {WIDTH:.0f}px; height: auto" '
            f'role="img" aria-label={words}>',
            *picture.elements(),
            "</svg>",
        )
    )


class LoadPicture:
    """Three lanes below an axis. elements(): what is within the svg element."""

    def __init__(self, record: LoadRecord) -> None:
        self._record = record
        self._scale = (RIGHT - LEFT) / max(record.seconds, 1.0)
        self._placed = list(_placed([(self._x(each.at), each.words) for each in record.moments]))
        lines = max((line for line, *_ in self._placed), default=0)
        self._axis = MOMENT_TOP + MOMENT_LINE * lines + AXIS_GAP
        self._requests = self._axis + LANE_GAP
        self._targets = self._requests + REQUESTS + LANE_GAP
        self._instances = self._targets + TARGETS + LANE_GAP
        self._bottom = self._instances + INSTANCES

    @property
    def height(self) -> float:
        return self._bottom + BOTTOM

    def elements(self) -> Iterator[str]:
        yield from self._ticks()
        yield from self._request_lane()
        yield from self._target_lane()
        yield from self._instance_lane()
        yield from self._moments()

    def _x(self, at: float) -> float:
        return LEFT + min(max(at, 0.0), self._record.seconds) * self._scale

    def _ticks(self) -> Iterator[str]:
        for tick in ticks(self._record.seconds, MOST_TICKS):
            x, words = self._x(tick), tick_label(tick, self._record.seconds)
            yield f'<line class="rule" x1="{x:.1f}" y1="{self._axis + 6:.0f}" x2="{x:.1f}" y2="{self._bottom:.0f}"/>'
            yield _text(x, self._axis, words, 11, "soft", "middle")
            yield _text(x, self._bottom + 16, words, 11, "soft", "middle")

    def _moments(self) -> Iterator[str]:
        for line, x, left, words in self._placed:
            top = MOMENT_TOP + line * MOMENT_LINE
            yield f'<path class="mark" d="M{x:.1f} {top - 8:.0f}V{self._bottom:.0f}"/>'
            yield _text(left, top, words, 11, "name")

    def _request_lane(self) -> Iterator[str]:
        """A bar for each second: what was answered, and above it what was lost."""
        record, bottom = self._record, self._requests + REQUESTS
        yield from _beside(self._requests, "requests a second", f"{sum(record.answered):,} answered")
        lost = sum(record.lost)
        yield _text(4, self._requests + 38, f"{lost:,} lost", 11, "bad" if lost else "soft")
        most = max([*map(sum, zip(record.answered, record.lost, strict=True)), 1])
        for second, (answered, failed) in enumerate(zip(record.answered, record.lost, strict=True)):
            x, width = self._x(second), max(self._x(second + 1) - self._x(second) - 1, 0.6)
            top = bottom
            for count, colour in ((answered, "--s"), (failed, FAILED)):
                if count:
                    height = max(count / most * REQUESTS, 2.0)
                    top -= height
                    yield _rect(x, top, width, height, colour)

    def _target_lane(self) -> Iterator[str]:
        """How many targets are healthy, and how many are wanted."""
        record, bottom = self._record, self._targets + TARGETS
        most = max([each.number for each in record.healthy] + [record.size, 1])
        words = f"{record.fewest_healthy} to {most}, wanted {record.size}"
        yield from _beside(self._targets, "healthy targets", words)
        yield self._area([record.healthy], bottom, TARGETS / most, "--r", 1.0)
        y = bottom - record.size * TARGETS / most
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}" style="stroke: var(--ink)"/>'

    def _instance_lane(self) -> Iterator[str]:
        """Instances in service by version, the oldest below, and on top of them those on their way there."""
        record, bottom = self._record, self._instances + INSTANCES
        layers = [
            *((version, record.serving.get(version, ()), False) for version in record.versions),
            *((version, record.coming.get(version, ()), True) for version in record.versions),
        ]
        stacked = [counts for _, counts, _ in layers]
        moments = sorted({each.at for counts in stacked for each in counts})
        most = max([sum(count_at(counts, at) for counts in stacked) for at in moments] + [1])
        yield _text(4, self._instances + 10, "instances", 12, "name")
        y = self._instances + 26
        for number, (version, counts, coming) in enumerate(layers):
            if not any(each.number for each in counts):
                continue
            colour = self._colour(version, coming=coming)
            yield self._area(stacked[: number + 1], bottom, INSTANCES / most, colour, PALE if coming else 1.0)
            yield _rect(4, y - 9, 18, 10, colour, PALE if coming else 1.0)
            on_its_way = ", on its way" if self._served(version) else ", never served"
            yield _text(27, y, f"version {version}{on_its_way if coming else ''}", 11, "soft")
            y += 15

    def _served(self, version: str) -> bool:
        return any(each.number for each in self._record.serving.get(version, ()))

    def _colour(self, version: str, *, coming: bool) -> str:
        """A version that never served is one that failed."""
        if not self._served(version):
            return FAILED
        colour = COLOURS[min(list(filter(self._served, self._record.versions)).index(version), len(COLOURS) - 1)]
        return COMING.get(colour, colour) if coming else colour

    def _area(self, stack: Sequence[Sequence[Count]], bottom: float, height: float, colour: str, opacity: float) -> str:
        """The last of these counts over time, on top of those before it. height: of one."""
        moments = sorted({each.at for counts in stack for each in counts} | {self._record.seconds})
        upper, lower = "", ""
        for began, ended in pairwise(moments):
            below = sum(count_at(counts, began) for counts in stack[:-1])
            top = bottom - (below + count_at(stack[-1], began)) * height
            upper += f"{'V' if upper else f'M{self._x(began):.1f} '}{top:.1f}H{self._x(ended):.1f}"
            lower = f"V{bottom - below * height:.1f}H{self._x(began):.1f}{lower}"
        return f'<path d="{upper}{lower}Z" style="fill: var({colour}); opacity: {opacity:g}"/>'


def _placed(moments: Sequence[tuple[float, str]]) -> Iterator[tuple[int, float, float, str]]:
    """For each moment: the first line with room for its words, where it is, and where they begin."""
    free: list[float] = []  # from where on each line has room
    for x, words in moments:
        width = len(words) * 11 * CHARACTER
        left = x + 4 if x + 4 + width <= WIDTH else max(x - 4 - width, 0.0)
        line = next((line for line, room in enumerate(free) if room <= left), len(free))
        free[line:] = [left + width + 6, *free[line + 1 :]]
        yield line, x, left, words


def _beside(y: float, name: str, words: str) -> Iterator[str]:
    yield _text(4, y + 10, name, 12, "name")
    yield _text(4, y + 24, words, 11, "soft")


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {size} style="fill: var({colour}); opacity: {opacity:g}"/>'


def _text(x: float, y: float, words: str, size: float, kind: str = "", anchor: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor else ""
    own = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{own}{where}>{escape(words)}</text>'
