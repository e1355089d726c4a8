"""The timeline in a terminal: a line for each instance where there are few, else what share of a group is in a stage.

However many instances and groups there are, the lines are few: those that stand out have one of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from rich.text import Text

from rollcall_cli.times import shortly, tick_label, ticks

from .instances import LAUNCH_MISSED, TERMINATION_MISSED, Outcome, Stage
from .timeline import headline, outcomes, standing_out, title, waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .instances import InstanceTimeline
    from .timeline import Mark, Timeline

NARROWEST, WIDEST = 60, 160  # columns that lines have
WIDE = 110  # columns from which on an instance's times are beside its strip
FEW = 20  # instances up to which each has a line
MOST_GROUPS = 4  # that are shown apart
MOST_ALONE, MOST_OF_A_KIND = 9, 3  # instances that are shown by themselves, and of those that stand out for one reason
NAME, TIME = 19, 8  # columns of an instance's or a stage's name, and of a time
OUTCOME = 14  # columns
TICK_WIDTH = 7  # columns that a tick takes at least

GLYPHS = {
    Stage.REGISTERING: "▒",
    Stage.WAITING: "·",
    Stage.JOB: "█",
    Stage.BAD_JOB: "▚",
    Stage.GATE: "▪",
    Stage.CHECKS: "▓",
    Stage.SERVICE: "━",
    Stage.RESTING: "╌",
    Stage.LEAVING: "░",
}
LETTERS = {
    Stage.REGISTERING: "r",
    Stage.WAITING: ".",
    Stage.JOB: "J",
    Stage.BAD_JOB: "X",
    Stage.GATE: "g",
    Stage.CHECKS: "c",
    Stage.SERVICE: "=",
    Stage.RESTING: "a",
    Stage.LEAVING: "-",
}
COLOURS = {
    Stage.REGISTERING: "#56a8dc",
    Stage.WAITING: "#808890",
    Stage.JOB: "#2f7fc4",
    Stage.BAD_JOB: "#d6422b",
    Stage.GATE: "#a8987a",
    Stage.CHECKS: "#d99a00",
    Stage.SERVICE: "#2f9e6e",
    Stage.RESTING: "#9a6fc0",
    Stage.LEAVING: "#808890",
}
LEVELS = " ▁▂▃▄▅▆▇█"
TENTHS = " .123456789#"  # a digit: so many tenths; a point: less than one; #: all
TIMES = {  # the name that the wait for each stage's end has
    Stage.REGISTERING: "registering",
    Stage.WAITING: "waiting for a job",
    Stage.JOB: "job",
    Stage.GATE: "gate",
    Stage.CHECKS: "checks",
    Stage.SERVICE: "launch to in service",
    Stage.LEAVING: "leaving to removed",
}


@dataclass(frozen=True)
class Sheet:
    """How the lines are laid out: their width, that of a strip in it, and whether they may be more than ASCII."""

    shown: Timeline
    width: int
    strip: int
    blocks: bool

    def column(self, time: float) -> float:
        """Where in a strip a moment (epoch seconds) is."""
        return (time - self.shown.began) / max(self.shown.seconds, 1.0) * self.strip


def strips(shown: Timeline, width: int, *, blocks: bool) -> list[Text]:
    """The timeline as lines of at most this many columns, or NARROWEST; in ASCII without blocks."""
    width = min(max(width, NARROWEST), WIDEST)
    lines = [Text(title(shown), "bold"), Text(headline(shown))]
    if len(shown.instances) > FEW:
        lines += _many(shown, width, blocks=blocks)
    elif shown.instances:
        lines += _few(shown, width, blocks=blocks)
    for line in lines:
        line.rstrip()
        line.truncate(width, overflow="ellipsis" if blocks else "crop")
    return lines if blocks else [_ascii(line) for line in lines]


def _few(shown: Timeline, width: int, *, blocks: bool) -> Iterator[Text]:
    """A line for each instance."""
    sheet = _sheet_for_instances(shown, width, blocks=blocks)
    yield from _legend(sheet, shown.stages)
    yield from _alone(sheet, shown.groups)


def _sheet_for_instances(shown: Timeline, width: int, *, blocks: bool) -> Sheet:
    return Sheet(shown, width, width - NAME - OUTCOME - 2 - (4 * TIME if width >= WIDE else TIME), blocks)


def _alone(sheet: Sheet, found: dict[str, tuple[InstanceTimeline, ...]]) -> Iterator[Text]:
    """These instances, below what they have in common."""
    yield from _marks(sheet)
    heads = ("Tower", "job", "gate", "serves") if sheet.width >= WIDE else ("serves",)
    yield _axis(sheet, "Instance").append("".join(f"{head:>{TIME}}" for head in heads), "bold")
    for name, own in found.items():
        yield Text().append(name, "bold cyan").append(f"  {_asked(sheet.shown, name)}", "dim")
        for each in own:
            yield _line(sheet, each)
            if each.launch_missed:
                yield Text(f"{'':{NAME}} {LAUNCH_MISSED}", "dim")
            if each.termination_missed:
                yield Text(f"{'':{NAME}} {TERMINATION_MISSED}", "dim")


def _asked(shown: Timeline, group: str) -> str:
    """What a group asks for; nothing for what is no group's name."""
    return str(shown.asks[group]) if group in shown.asks else ""


def _line(sheet: Sheet, each: InstanceTimeline) -> Text:
    line = Text(f"{each.instance_id:{NAME}.{NAME}} ").append_text(_strip(sheet, each))
    job = each.seconds(Stage.JOB, Stage.BAD_JOB)
    times = (each.seconds(Stage.REGISTERING), job, each.seconds(Stage.GATE, Stage.CHECKS), each.to_service)
    for seconds in times if sheet.width >= WIDE else times[-1:]:
        line.append(f"{'' if seconds is None else shortly(seconds):>{TIME}}")
    outcome = f"x {each.outcome.value}" if each.failed else each.outcome.value
    return line.append(f" {outcome}", _style(each))


def _style(each: InstanceTimeline) -> str:
    if each.failed:
        return "bold red"
    return "green" if each.outcome == Outcome.SERVES else "dim"


def _strip(sheet: Sheet, each: InstanceTimeline) -> Text:
    """Its stages over time.

    What is shorter than a column has one, too, where that is not all another one has; but a wait too short is none.
    """
    cells: list[int | None] = [None] * sheet.strip
    for column in range(sheet.strip):
        shares = [_overlap(sheet, stretch.began, stretch.ended, column) for stretch in each.stretches]
        if any(shares):
            cells[column] = shares.index(max(shares))
    for number, stretch in enumerate(each.stretches):
        if number not in cells and stretch.stage != Stage.WAITING:
            column = min(int(sheet.column((stretch.began + stretch.ended) / 2)), sheet.strip - 1)
            if cells.count(cells[column]) > 1 or cells[column] is None:
                cells[column] = number
    line = Text()
    for cell in cells:
        if cell is None:
            line.append(" ")
        else:
            stage = each.stretches[cell].stage
            line.append((GLYPHS if sheet.blocks else LETTERS)[stage], COLOURS[stage])
    return line


def _overlap(sheet: Sheet, began: float, ended: float, column: int) -> float:
    """What share of a column lies between these moments."""
    return max(min(sheet.column(ended), column + 1) - max(sheet.column(began), column), 0.0)


def _many(shown: Timeline, width: int, *, blocks: bool) -> Iterator[Text]:
    """A few lines for each group, and those that stand out."""
    sheet = Sheet(shown, width, width - NAME - 1 - 3 * TIME, blocks)
    key = "the higher, the more of a group's instances" if blocks else "a digit: tenths of a group's instances; #: all"
    yield Text(f"Who is in which stage, over time ({key})", "dim")
    yield Text("Times: how long a stage took; of in service: since the launch", "dim")
    yield from _marks(sheet)
    heads = ("half in", "95 % in", "longest")
    yield _axis(sheet, "").append("".join(f"{head:>{TIME}}" for head in heads), "bold")
    for name, own in _groups_apart(shown):
        words = Text().append(name, "bold cyan").append(f"  {outcomes(own)}")
        yield words.append(f"  {_asked(shown, name)}", "dim")
        yield from _shares(sheet, own)
    found = _picked(shown)
    if found:
        yield Text("Look at these first", "bold")
        yield from _legend(sheet, shown.stages)
        yield from _alone(_sheet_for_instances(shown, width, blocks=blocks), found)


def _groups_apart(shown: Timeline) -> Iterator[tuple[str, Sequence[InstanceTimeline]]]:
    """The largest groups, and all others as if they were one."""
    groups = shown.groups
    apart = sorted(groups, key=lambda name: -len(groups[name]))[:MOST_GROUPS]
    yield from ((name, own) for name, own in groups.items() if name in apart)
    others = [own for name, own in groups.items() if name not in apart]
    if others:
        yield f"{len(others)} other groups", tuple(chain.from_iterable(others))


def _shares(sheet: Sheet, own: Sequence[InstanceTimeline]) -> Iterator[Text]:
    """For each stage which share of these instances was in it over time, and how long it took them."""
    took = {wait.name: wait for wait in waits(own)}
    levels = LEVELS if sheet.blocks else TENTHS
    for stage in sheet.shown.stages:
        shares = _shares_in(sheet, own, stage)
        if not any(shares):
            continue
        strip = "".join(levels[_level(share, len(levels) - 1)] for share in shares)
        line = Text(f"{stage.label:{NAME}} ").append(strip, COLOURS[stage])
        if wait := took.get(TIMES.get(stage, "")):
            line.append("".join(f"{shortly(each):>{TIME}}" for each in (wait.median, wait.most, wait.longest)))
        yield line


def _shares_in(sheet: Sheet, own: Sequence[InstanceTimeline], stage: Stage) -> list[float]:
    """For each column which share of these was in a stage."""
    shares = [0.0] * sheet.strip
    for stretch in (stretch for each in own for stretch in each.stretches if stretch.stage == stage):
        first, last = int(sheet.column(stretch.began)), int(sheet.column(stretch.ended))
        for column in range(first, min(last + 1, sheet.strip)):
            shares[column] += _overlap(sheet, stretch.began, stretch.ended, column) / len(own)
    return shares


def _level(share: float, most: int) -> int:
    """Which of so many levels a share is, from none to all."""
    if share <= 0:
        return 0
    return most if share > 0.995 else 1 + min(int(share * (most - 1)), most - 2)


def _picked(shown: Timeline) -> dict[str, tuple[InstanceTimeline, ...]]:
    """The instances shown by themselves, by why."""
    found: dict[str, tuple[InstanceTimeline, ...]] = {}
    left = MOST_ALONE
    for why, own in standing_out(shown.instances).items():
        picked = tuple(own[: min(MOST_OF_A_KIND, left)])
        left -= len(picked)
        if picked:
            found[f"{why}: {len(picked)} of {len(own)}"] = picked
    return found


def _legend(sheet: Sheet, stages: Iterable[Stage]) -> Iterator[Text]:
    line = Text()
    for stage in stages:
        glyph = (GLYPHS if sheet.blocks else LETTERS)[stage]
        if len(line) + len(stage.label) + 5 > sheet.width:
            yield line
            line = Text()
        line.append(f"{glyph * 2} ", COLOURS[stage]).append(f"{stage.label}  ")
    yield line


def _axis(sheet: Sheet, name: str) -> Text:
    length = sheet.shown.seconds
    moments = ticks(length, max(sheet.strip // TICK_WIDTH, 3))
    found = [(sheet.column(sheet.shown.began + tick), tick_label(tick, length)) for tick in moments]
    return Text(f"{name:{NAME}} ", "bold").append(_placed(found, sheet.strip), "not bold dim")


def _marks(sheet: Sheet) -> Iterator[Text]:
    """What was begun, and where in the strips."""
    marks = sheet.shown.marks
    if marks:
        yield from _named(marks, sheet.width)
        found = [(sheet.column(mark.time), str(mark.number)) for mark in marks]
        yield Text(" " * (NAME + 1)).append(_placed(found, sheet.strip))


def _named(marks: Iterable[Mark], width: int) -> Iterator[Text]:
    """What the numbers of marks mean, in lines that are broken between two of them."""
    line = ""
    for mark in marks:
        words = f"{mark.number}: {mark.name}"
        if line and len(f"{line}, {words},") > width:
            yield Text(f"{line},", "dim")
            line = words
        else:
            line = f"{line}, {words}" if line else words
    yield Text(line, "dim")


def _placed(found: Iterable[tuple[float, str]], width: int) -> str:
    """Words at their columns, those for which there is room."""
    line = ""
    for column, words in found:
        at = max(int(column), 0)
        if at + len(words) <= width and at >= len(line):
            line = f"{line:{at}}{words}"
    return f"{line:{width}}"


def _ascii(line: Text) -> Text:
    """The line with nothing but ASCII, as what separates things in it, too."""
    return Text(line.plain.replace("\u00b7", "-").encode("ascii", "replace").decode())
