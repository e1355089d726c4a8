"""Bakes that run: how a status shows them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.bake.state import Phase
from rollcall.domain.shell_commands import command, operand
from rollcall_cli.times import duration, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.bake.state import BakeState
    from rollcall_cli.workflows.execution import Execution


class RunningBake(NamedTuple):
    """A bake that runs. name: of its execution. builder, image: their ids, empty before. since: epoch seconds."""

    group: str
    name: str
    phase: str
    builder: str
    image: str
    since: float


def running_bake(execution: Execution[BakeState]) -> RunningBake:
    """A bake as its execution shows it."""
    state = execution.state
    return RunningBake(
        str(execution.request.get("group", "")),
        execution.name,
        str(state.phase if state else Phase.PREFLIGHT),
        state.builder if state else "",
        state.image_id if state else "",
        execution.began,
    )


def bake_words(bake: RunningBake, now: float, given: Sequence[str]) -> str:
    """A bake that runs, in a line. now: epoch seconds. given: options for the command in it."""
    watches = command("rollcall", "bake", "--watch", *given, *operand(bake.group))
    made = f", image {bake.image}" if bake.image else f", builder {bake.builder}" if bake.builder else ""
    since = f"running for {duration(now - bake.since)}, since {moment(bake.since)}"
    return f"{bake.group}: {bake.phase}{made}; {since}; {bake.name}; {watches} shows it"
