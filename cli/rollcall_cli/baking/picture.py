"""A bake that runs, as a terminal shows it: its phases in a row, the builder, the job, the image, the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from rollcall.bake.state import Phase
from rollcall_cli.times import shortly

from .words import base_words, builder_words, job_words, version_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from rollcall.bake.state import BakeState

    from .executions import BakeExecution

STAGES = (  # what a bake comes through, in a word each; of those in between the one before is shown
    (Phase.PREFLIGHT, "pre-flight"),
    (Phase.LAUNCHING, "builder"),
    (Phase.PROVISIONING, "playbook"),
    (Phase.IMAGING, "image"),
    (Phase.SMOKE, "smoke test"),
    (Phase.VERSION, "version"),
    (Phase.ROLLING_OUT, "roll-out"),
    (Phase.RETIRING, "old images"),
)
DONE, NOW, AHEAD = "green", "bold yellow", "bright_black"  # styles
INDENT = "  "


def picture(execution: BakeExecution, since: float) -> RenderableType:
    """What is shown now. since: seconds that passed since it was read."""
    return Group(*_rows(execution, since))


def _rows(execution: BakeExecution, since: float) -> Iterator[Text]:
    state = execution.state
    yield Text("; ".join(filter(None, (str(execution.request.get("group", "")), execution.name))), style="bold")
    phase = state.phase if state else Phase.PREFLIGHT
    yield stages(phase)
    passed = execution.seconds + since
    in_phase = execution.read + since - state.phase_since if state and state.phase_since else passed
    yield Text(f"{phase}, for {shortly(max(0.0, in_phase))}; {shortly(passed)} so far")
    if state is not None:
        yield from (Text(f"{INDENT}{words}") for words in _known(state))
    if execution.failing:
        yield Text(f"a step of the bake failed, and is tried again: {execution.failing}", style="yellow")


def stages(phase: Phase) -> Text:
    """The stages in a row: what is done, what is under way, what is ahead."""
    order = list(Phase)
    reached = max((number for number, (each, _) in enumerate(STAGES) if order.index(each) <= order.index(phase)))
    over = phase in (Phase.PUTTING_BACK, Phase.ENDED)
    parts: list[tuple[str, str]] = []
    for number, (_, word) in enumerate(STAGES):
        style = AHEAD if over or number > reached else NOW if number == reached else DONE
        parts += [(" > ", AHEAD), (word, style)] if parts else [(word, style)]
    return Text.assemble(*parts)


def _known(state: BakeState) -> Iterator[str]:
    if state.base_image.id:
        yield base_words(state)
    if state.builder and not state.image_id:
        yield builder_words(state)
    if state.job is not None and not state.image_id:
        yield job_words(state)
    if state.image_id:
        yield f"image {state.image_id}" + (f", smoke test {state.smoke}" if state.smoke else "")
    if state.smoke_instance and not state.smoke:
        yield f"smoke test on {state.smoke_instance}"
    if state.version:
        yield version_words(state)
