"""The timeline as a picture: one HTML file that needs nothing else, and is well-formed XML.

Each instance is a row, and time runs from left to right. A few instances have tall rows in which everything is
written; the more there are the thinner are the rows, and what is not written is shown where the mouse rests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from lab.demo.timeline import Outcome, Stage, headline, moment, shortly, standing_out, ticks, to_service, waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.demo.timeline import InstanceTimeline, Stretch, Timeline, Wait

WIDTH, LEFT, RIGHT = 1200.0, 210.0, 1184.0  # of the drawing; where time begins and ends
ACTS_TOPS, AXIS_TOP, TOP = (12.0, 25.0), 44.0, 56.0  # base lines of what is above the rows; where the rows begin
BAND_HEAD, BAND_GAP, BOTTOM = 24.0, 10.0, 24.0  # above a group's rows, below them, below all
TALL_MOST, LABELLED_MOST = 16, 80  # instances
THIN_HEIGHT = 1400.0  # that thin rows are to have together
THINNEST, THICKEST = 3.0, 8.0  # of a thin row
CHARACTER = 0.6  # the width of one, as a share of the font's size: as wide as they get
MOST_TICKS = 16
MOST_NAMES = 3  # instances that are named above the rows, of those that stand out for one reason
NAME = 48  # characters of a group's name
SHORTEST = 0.6  # of a bar; what takes no time is drawn all the same

CLASSES = {
    Stage.REGISTERING: "r",
    Stage.WAITING: "w",
    Stage.JOB: "j",
    Stage.BAD_JOB: "b",
    Stage.CHECKS: "c",
    Stage.SERVICE: "s",
    Stage.RESTING: "a",
    Stage.LEAVING: "l",
}

# The stages differ in lightness as well as in hue, and what went wrong is hatched where there is room for it.
STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b2128; --soft: #5a6572; --rule: #dfe3e8; --bad: #b3261e;
  --r: #74b9ee; --w: #dde1e6; --j: #12588f; --b: #c8321a; --b2: #f3b9ad; --c: #e8a200; --s: #7fd0aa; --a: #c9a9dd;
  --l: #7d8792; --dark: #1b2128; --on-w: #333b44; --on-j: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e7ebef; --soft: #9aa5b1; --rule: #2c333b; --bad: #ff8a75;
    --r: #9bd6fb; --w: #4a535d; --j: #3d8fd6; --b: #f0563a; --b2: #7a2213; --c: #ffc53d; --s: #2f7d5c; --a: #a884c2;
    --l: #98a2ad; --on-w: #e7ebef; --on-j: #04121f;
  }
}
body {
  margin: 0 auto; padding: 16px 24px 32px; max-width: 1400px; background: var(--paper); color: var(--ink);
  font: 14px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 21px; margin: 0 0 2px; }
h2 { font-size: 14px; margin: 0 0 4px; }
p { margin: 0 0 12px; color: var(--soft); }
ul { list-style: none; margin: 0; padding: 0; }
li { margin: 1px 0; }
table { border-collapse: collapse; }
td, th { padding: 1px 14px 1px 0; text-align: right; font-weight: 400; }
th { color: var(--soft); }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left; }
code, .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
svg { display: block; width: 100%; height: auto; font-family: inherit; }
text { fill: var(--ink); stroke: var(--paper); stroke-width: 3px; paint-order: stroke; }
.top { display: flex; flex-wrap: wrap; gap: 8px 36px; margin-bottom: 12px; font-size: 12.5px; }
.legend { flex: 1 1 560px; }
.key { display: inline-block; width: 26px; height: 11px; margin-right: 8px; border-radius: 2px; text-align: center; }
.key i { display: inline-block; width: 2px; height: 13px; background: var(--ink); }
.name { font-weight: 600; }
.soft { color: var(--soft); fill: var(--soft); }
.bad { color: var(--bad); fill: var(--bad); font-weight: 600; }
.rule { stroke: var(--rule); }
.act { stroke: var(--soft); stroke-dasharray: 2 3; opacity: 0.7; }
.removed { stroke: var(--ink); stroke-width: 2; }
.r { --own: var(--r); --on: var(--dark); }
.w { --own: var(--w); --on: var(--on-w); }
.j { --own: var(--j); --on: var(--on-j); }
.b { --own: var(--b); --on: #ffffff; }
.c { --own: var(--c); --on: var(--dark); }
.s { --own: var(--s); }
.a { --own: var(--a); --on: var(--dark); }
.l { --own: var(--l); }
.key { background: var(--own); }
.key.hatched { background: repeating-linear-gradient(135deg, var(--b) 0 4px, var(--b2) 4px 6px); }
.instance rect { fill: var(--own); }
.instance .hatched { fill: url(#bad); }
.instance:hover rect { opacity: 0.75; }
.instance .on { fill: var(--on); stroke: none; }
.instance .on.b { stroke: var(--b); stroke-width: 6px; font-weight: 600; }
.thin rect { shape-rendering: crispEdges; }
.thin .s { opacity: 0.75; }
"""
HATCH = (
    '<defs><pattern id="bad" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="8" height="8" style="fill: var(--b)"/><rect width="2" height="8" style="fill: var(--b2)"/>'
    "</pattern></defs>"
)


@dataclass(frozen=True)
class Rows:
    """How high a row is with its distance to the next one, and its bar; and how much is written about an instance."""

    pitch: float
    bar: float
    named: bool
    written: bool


def rows_for(count: int) -> Rows:
    """What so many instances leave room for."""
    if count <= TALL_MOST:
        return Rows(46.0, 18.0, named=True, written=True)
    if count <= LABELLED_MOST:
        return Rows(17.0, 12.0, named=True, written=False)
    pitch = min(max(float(THIN_HEIGHT // count), THINNEST), THICKEST)
    return Rows(pitch, pitch if pitch < 5 else pitch - 1, named=False, written=False)


def picture(shown: Timeline) -> str:
    """The whole page."""
    rows = rows_for(len(shown.instances))
    parts = [
        f"<h1>{escape(headline(shown))}</h1>",
        f"<p>{escape(_explained(shown))}</p>",
        '<div class="top">',
        *_legend(shown),
        *_times(waits(shown.instances)),
        *([] if rows.written else _named(shown)),
        "</div>",
        *(_Drawing(shown, rows).elements() if shown.instances else ()),
    ]
    title = escape(f"Rollcall: {headline(shown)}")
    head = f'<meta charset="utf-8"/><title>{title}</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _explained(shown: Timeline) -> str:
    if not shown.instances:
        return "So there is nothing to draw."
    took = to_service(shown.instances)
    how = "Each row is an instance, from its launch on; time runs from left to right, from the first launch."
    hover = (
        ""
        if rows_for(len(shown.instances)).written
        else " Rest the mouse on a row: it shows its instance and its times."
    )
    return (f"{took[0].upper()}{took[1:]}. " if took else "None came into service. ") + how + hover


def _legend(shown: Timeline) -> Iterator[str]:
    named = rows_for(len(shown.instances)).named
    yield '<div class="legend"><h2>What a row shows, in this order</h2><ul>'
    for stage in shown.stages:
        words = f'<b>{stage.label}</b> <span class="soft">{escape(stage.words)}</span>'
        kind = "hatched" if stage == Stage.BAD_JOB and named else CLASSES[stage]
        yield f'<li><span class="key {kind}"></span>{words}</li>'
    if named and any(instance.removed_at for instance in shown.instances):
        words = '<b>removed</b> <span class="soft">no host of it is in Tower any more</span>'
        yield f'<li><span class="key"><i></i></span>{words}</li>'
    yield "</ul></div>"


def _times(found: Sequence[Wait]) -> Iterator[str]:
    """How long each stage took, as a table."""
    if not found:
        return
    yield "<div><h2>How long it took</h2><table><tr>"
    yield "".join(f"<th>{name}</th>" for name in ("", "instances", "half within", "95 % within", "longest", ""))
    yield "</tr>"
    for each in found:
        times = "".join(f"<td>{shortly(seconds)}</td>" for seconds in (each.median, each.most, each.longest))
        slowest = f'<td class="soft"><code>{escape(each.slowest)}</code></td>'
        yield f'<tr><td>{each.name}</td><td class="soft">{each.count}</td>{times}{slowest}</tr>'
    yield "</table></div>"


def _named(shown: Timeline) -> Iterator[str]:
    """The instances to look at first, in words."""
    found = standing_out(shown.instances)
    if not found:
        return
    yield "<div><h2>Look at these first</h2><table>"
    for why, instances in found.items():
        names = ", ".join(escape(instance.instance_id) for instance in instances[:MOST_NAMES])
        more = f" and {len(instances) - MOST_NAMES} more" if len(instances) > MOST_NAMES else ""
        kind = "bad" if instances[0].troubled else "soft"
        yield f'<tr><td class="{kind}">{why}</td><td><code>{names}</code>{more}</td></tr>'
    yield "</table></div>"


class _Drawing:
    """The rows, below an axis."""

    def __init__(self, shown: Timeline, rows: Rows) -> None:
        self._shown = shown
        self._rows = rows
        self._scale = (RIGHT - LEFT) / max(shown.seconds, 1.0)
        bands = len(shown.groups) * (BAND_HEAD + BAND_GAP)
        self._bottom = TOP + bands + rows.pitch * len(shown.instances)

    def elements(self) -> Iterator[str]:
        words = quoteattr(headline(self._shown))
        size = f'viewBox="0 0 {WIDTH:.0f} {self._bottom + BOTTOM:.0f}"'
        kind = "rows" if self._rows.named else "rows thin"
        yield f'<svg class="{kind}" xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={words}>{HATCH}'
        yield from self._axis()
        yield from self._acts()
        y = TOP
        for name, instances in self._shown.groups.items():
            yield from self._head(name, instances, y)
            y += BAND_HEAD
            for number, instance in enumerate(instances):
                yield from self._row(instance, y + number * self._rows.pitch)
            if not self._rows.named:
                yield from self._flags(instances, y)
            y += len(instances) * self._rows.pitch + BAND_GAP
        yield "</svg>"

    def _x(self, time: float) -> float:
        return LEFT + (time - self._shown.began) * self._scale

    def _axis(self) -> Iterator[str]:
        length = self._shown.seconds
        for tick in ticks(length, MOST_TICKS):
            x = self._x(self._shown.began + tick)
            words = moment(tick, length)
            anchor = "end" if x + _width(words, 11) / 2 > WIDTH else "middle"
            yield f'<line class="rule" x1="{x:.1f}" y1="{AXIS_TOP + 6:.0f}" x2="{x:.1f}" y2="{self._bottom:.0f}"/>'
            for y in (AXIS_TOP, self._bottom + 14):
                yield _text(x, y, words, 11, "soft", anchor)

    def _acts(self) -> Iterator[str]:
        free = dict.fromkeys(ACTS_TOPS, 0.0)  # from where on each line has room
        for act in self._shown.acts:
            x = max(self._x(act.time), LEFT)
            if x > RIGHT:
                continue
            above, below = AXIS_TOP - 13, AXIS_TOP + 6  # the axis's labels
            yield f'<path class="act" d="M{x:.1f} 4V{above:.0f}M{x:.1f} {below:.0f}V{self._bottom:.0f}"/>'
            words = f"{act.number} {act.name}"
            width = _width(words, 11)
            left = x + 4 if x + 4 + width <= WIDTH else x - 4 - width
            top = next((top for top in ACTS_TOPS if free[top] <= left), None)
            if top is not None:
                yield _text(left, top, words, 11, "name")
                free[top] = left + width + 4

    def _head(self, name: str, instances: Sequence[InstanceTimeline], y: float) -> Iterator[str]:
        """What a group is, and what became of its instances."""
        counts = {each: sum(instance.outcome == each for instance in instances) for each in Outcome}
        said = ", ".join(f"{count} {each.value}" for each, count in counts.items() if count)
        words = " · ".join(filter(None, (said, self._shown.asks.get(name, ""), to_service(instances))))
        title = _cut(name, NAME)
        x = 4 + _width(title, 13) + 12
        yield f'<line class="rule" x1="0" y1="{y + 2:.1f}" x2="{WIDTH:.0f}" y2="{y + 2:.1f}"/>'
        yield _text(4, y + 17, title, 13, "name")
        yield _text(x, y + 17, _cut(words, int((WIDTH - x) / (11 * CHARACTER))), 11, "soft")

    def _row(self, instance: InstanceTimeline, y: float) -> Iterator[str]:
        rows = self._rows
        title = escape(f"{instance.instance_id} of {instance.group} at {instance.address}: {instance}")
        yield f'<g class="instance" id={quoteattr(instance.instance_id)}><title>{title}</title>'
        top = y + (4 if rows.written else (rows.pitch - rows.bar) / 2)
        for stretch in instance.stretches:
            yield self._bar(stretch, top)
        if rows.written:
            yield from self._removed(instance, top)
            yield from self._write_times(instance, top)
        elif rows.named:
            yield from self._removed(instance, top)
            yield _text(4, top + 10, instance.instance_id, 10, "id")
            words = instance.outcome.value if instance.to_service is None else shortly(instance.to_service)
            yield _text(LEFT - 8, top + 10, words, 10, "bad" if instance.troubled else "soft", "end")
        yield "</g>"

    def _flags(self, instances: Sequence[InstanceTimeline], y: float) -> Iterator[str]:
        """Beside thin rows: which of them stand out, and why; written where there is room for it."""
        free = y
        for why, run in groupby(enumerate(instances), key=lambda each: _why(each[1])):
            own = list(run)
            if not why:
                continue
            top, height = y + own[0][0] * self._rows.pitch, len(own) * self._rows.pitch
            kind = "bad" if own[0][1].troubled else "soft"
            yield f'<rect class="{kind}" x="{LEFT - 10:.0f}" y="{top:.1f}" width="6" height="{height:.1f}"/>'
            middle = max(top + height / 2, free + 5)
            if middle - top - height / 2 < 2 * self._rows.pitch:
                words = f"{len(own)} {why}" if len(own) > 1 else own[0][1].instance_id
                yield _text(LEFT - 14, middle + 3.5, words, 10, kind, "end")
                free = middle + 6

    def _bar(self, stretch: Stretch, top: float) -> str:
        """A stage of an instance. Time in service is lower than the rest, for nothing happens in it."""
        x, height = self._x(stretch.began), self._rows.bar
        width = max(self._x(stretch.ended) - x, SHORTEST)
        if stretch.stage == Stage.SERVICE and height >= 12:
            top, height = top + height / 4, height / 2
        kind = "hatched" if stretch.stage == Stage.BAD_JOB and height >= 12 else CLASSES[stretch.stage]
        bar = f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        return bar + self._written(stretch, x, width, top)

    def _written(self, stretch: Stretch, x: float, width: float, top: float) -> str:
        """What is written into a bar, as much as it has room for."""
        if not self._rows.written or stretch.stage in (Stage.SERVICE, Stage.LEAVING):
            return ""
        number = f"job {stretch.run.job}" if stretch.run else ""
        seconds = shortly(stretch.seconds)
        for words in (f"{number} {stretch.run.result} {seconds}" if stretch.run else seconds, number):
            if words and _width(words, 10.5) + 6 <= width:
                kind = f"on {CLASSES[stretch.stage]}"
                return _text(x + width / 2, top + self._rows.bar / 2 + 3.7, words, 10.5, kind, "middle")
        return ""

    def _removed(self, instance: InstanceTimeline, top: float) -> Iterator[str]:
        if instance.removed_at is not None:
            x = self._x(instance.removed_at)
            y1, y2 = top - 2, top + self._rows.bar + 2
            yield f'<line class="removed" x1="{x:.1f}" y1="{y1:.1f}" x2="{x:.1f}" y2="{y2:.1f}"/>'

    def _write_times(self, instance: InstanceTimeline, top: float) -> Iterator[str]:
        """Beside and below the bar: which instance it is, and all its times in a sentence."""
        yield _text(4, top + 10, instance.instance_id, 11.5, "id name")
        kind = "bad" if instance.troubled else "soft"
        words = _cut(f"{instance.address} · {instance.outcome.value}", int((LEFT - 12) / (11 * CHARACTER)))
        yield _text(4, top + 25, words, 11, kind)
        sentence = _cut(str(instance), int((RIGHT - LEFT) / (11 * CHARACTER)))
        x, y = self._x(instance.launched), top + self._rows.bar + 13
        fits = x + _width(sentence, 11) <= RIGHT
        yield _text(x, y, sentence, 11, "soft") if fits else _text(RIGHT, y, sentence, 11, "soft", "end")
        end = self._x(instance.stretches[-1].ended) + 8
        crossed = f"✕ {instance.outcome.value}"
        if instance.troubled and end + _width(crossed, 12) <= WIDTH:
            yield _text(end, top + self._rows.bar / 2 + 4, crossed, 12, "bad")


def _why(instance: InstanceTimeline) -> str:
    """Why a row stands out; nothing if it does not."""
    if instance.troubled or instance.outcome == Outcome.WAITS:
        return instance.outcome.value
    return "needed another job" if instance.tried_again else ""


def _text(x: float, y: float, words: str, size: float, kind: str = "", anchor: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor else ""
    own = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{own}{where}>{escape(words)}</text>'


def _width(words: str, size: float) -> float:
    """How wide a text is at most."""
    return len(words) * size * CHARACTER


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else f"{words[: max(length - 1, 0)]}…"
