"""A cycle that runs, as a terminal shows it: a bar for the group, a line for each instance, verdicts, the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from rollcall.cycle.state import Phase
from rollcall_cli.times import shortly

from .words import counts, dip_words, estimate_of, instance_words, launch_words, verdict_words, version_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from rollcall.cycle.state import CycleState

    from .executions import CycleExecution

BAR_WIDTH = 40  # characters
NEW, IN_PROGRESS, LEFT = "green", "yellow", "bright_black"  # styles of the bar's parts
INDENT = "  "


def picture(execution: CycleExecution, since: float, given: Sequence[str] = ()) -> RenderableType:
    """What is shown now. since: seconds that passed since it was read. given: options for the commands in it."""
    return Group(*_rows(execution, since, given))


def _rows(execution: CycleExecution, since: float, given: Sequence[str]) -> Iterator[Text]:
    state = execution.state
    group = str(execution.request.get("group", ""))
    heading = "; ".join(filter(None, (group, version_words(state) if state else "", execution.name)))
    yield Text(heading, style="bold")
    passed = execution.seconds + since
    if state is None:
        yield Text(f"{Phase.PREFLIGHT}, {shortly(passed)} so far")
    else:
        yield from _state_rows(state, passed, execution.read - execution.answered + since, given)
    if execution.failing:
        yield Text(f"a step of the cycle failed, and is tried again: {execution.failing}", style="yellow")


def _state_rows(state: CycleState, passed: float, age: float, given: Sequence[str]) -> Iterator[Text]:
    """passed: seconds since the cycle began. age: seconds since the state was answered."""
    if state.new + state.in_progress + state.left:
        yield bar(state.new, state.in_progress, state.left)
        yield Text(f"{state.phase}: {counts(state)}")
    else:
        yield Text(str(state.phase))
    yield Text(_times(state, passed))
    for each in state.instances:
        yield Text(INDENT + instance_words(each, max(0.0, age)))
    for verdict in state.verdicts:
        yield Text(INDENT + verdict_words(verdict, state, given), style="red")
    for dip in state.dips:
        yield Text(INDENT + dip_words(dip), style="yellow")
    if state.launch_failure:
        yield Text(f"{INDENT}{launch_words(state)}", style="red")
    if state.unread:
        yield Text(f"{INDENT}not read, and read again: {state.unread}", style="yellow")


def bar(new: int, in_progress: int, left: int) -> Text:
    """The group as a bar: what is new, in progress and left, each at least a character wide."""
    parts = [(new, NEW), (in_progress, IN_PROGRESS), (left, LEFT)]
    total = max(1, new + in_progress + left)
    widths = [max(1, BAR_WIDTH * number // total) if number else 0 for number, _ in parts]
    widest = widths.index(max(widths))
    widths[widest] += BAR_WIDTH - sum(widths)
    return Text.assemble(*(("\N{FULL BLOCK}" * width, style) for width, (_, style) in zip(widths, parts, strict=True)))


def _times(state: CycleState, passed: float) -> str:
    estimate, so_far = estimate_of(state), f"{shortly(passed)} so far"
    if not estimate:
        return so_far
    if passed >= estimate:
        return f"{so_far}; about {shortly(estimate)} were estimated"
    return f"{so_far} of about {shortly(estimate)}; about {shortly(estimate - passed)} more"
