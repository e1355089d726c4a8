"""A bake that runs, as a terminal shows it: its phases in a row, the builder, the job, the image, the version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from rollcall.bake.state import BakeResult, Phase
from rollcall_cli.times import shortly

from .words import PHASES, base_name, base_parts, builder_words, job_words, version_words

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
    (Phase.SMOKE, "smoke"),
    (Phase.VERSION, "version"),
    (Phase.ROLLING_OUT, "roll-out"),
    (Phase.RETIRING, "clean-up"),
)
DONE, NOW, AHEAD, BAD = "green", "bold yellow", "bright_black", "bold red"  # styles
INDENT = "  "


def picture(execution: BakeExecution, since: float) -> RenderableType:
    """What is shown now. since: seconds that passed since it was read."""
    return Group(*_rows(execution, since))


def _rows(execution: BakeExecution, since: float) -> Iterator[Text]:
    state = execution.state
    yield Text("; ".join(filter(None, (str(execution.request.get("group", "")), execution.name))), style="bold")
    phase = state.phase if state else Phase.PREFLIGHT
    yield stages(phase, state)
    passed = execution.seconds + since
    in_phase = execution.read + since - state.phase_since if state and state.phase_since else passed
    yield Text(f"{phase}, for {shortly(max(0.0, in_phase))}; {shortly(passed)} so far")
    if state is not None:
        yield from (Text(f"{INDENT}{words}") for words in _known(state))
    if execution.failing:
        yield Text(f"a step of the bake failed, and is tried again: {execution.failing}", style="yellow")


def stages(phase: Phase, state: BakeState | None = None) -> Text:
    """The stages in a row: what is done, what is under way, what is ahead; of a bake that is over where it failed."""
    is_over = phase in (Phase.PUTTING_BACK, Phase.ENDED)
    last = _last_phase(state) if is_over and state else phase
    reached = max(number for number, (each, _) in enumerate(STAGES) if PHASES.index(each) <= PHASES.index(last))
    at = NOW if not is_over else DONE if state and state.result and state.result.went_well else BAD
    parts: list[tuple[str, str]] = []
    for number, (_, word) in enumerate(STAGES):
        style = DONE if number < reached else at if number == reached else AHEAD
        parts += [(" > ", AHEAD), (word, style)] if parts else [(word, style)]
    return Text.assemble(*parts)


def _last_phase(state: BakeState) -> Phase:
    """The phase that a bake had come to before its end, by what it has made."""
    if state.result == BakeResult.SUCCEEDED:
        return Phase.RETIRING
    made = (
        (Phase.ROLLING_OUT, state.cycle),
        (Phase.VERSION, state.version),
        (Phase.SMOKE, state.smoke or state.smoke_instance),
        (Phase.IMAGING, state.image_id),
        (Phase.PROVISIONING, state.job is not None),
        (Phase.LAUNCHING, state.builder),
    )
    return next((phase for phase, is_made in made if is_made), Phase.PREFLIGHT)


def _known(state: BakeState) -> Iterator[str]:
    if state.base_image.id:
        image, *others = base_parts(state)
        yield image
        if named := base_name(state):
            yield f"{INDENT}{named}"
        yield from others
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
