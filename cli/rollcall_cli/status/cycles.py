"""Cycles that run, and groups that a cycle has pinned: how a status shows them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.cycle.pinning import read_pin
from rollcall.cycle.state import Phase
from rollcall.domain.settings import PINNED_TAG
from rollcall.domain.shell_commands import command, operand, remove_tag_command
from rollcall_cli.times import duration, moment

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rollcall_cli.cycling.executions import CycleExecution


class RunningCycle(NamedTuple):
    """A cycle that runs. name: of its execution. percent: of its group that is new. since: epoch seconds."""

    group: str
    name: str
    phase: str
    percent: int
    since: float


class SeenPin(NamedTuple):
    """A group that is pinned to a number of its launch template. value: of its tag.

    runs: whether the cycle runs that has pinned it; None where that could not be read. is_settled: whether reconcile
    puts it back by itself, once it does not.
    """

    group: str
    value: str
    runs: bool | None
    is_settled: bool

    @property
    def needs_operator(self) -> bool:
        """Whether nothing puts the group back by itself."""
        return self.runs is False and not self.is_settled


def running_cycle(execution: CycleExecution) -> RunningCycle:
    """A cycle as its execution shows it."""
    state = execution.state
    return RunningCycle(
        str(execution.request.get("group", "")),
        execution.name,
        str(state.phase if state else Phase.PREFLIGHT),
        state.percent if state else 0,
        execution.began,
    )


def seen_pin(group: str, value: str, running: Collection[RunningCycle] | None, *, has_cycles: bool) -> SeenPin:
    """A group's pin. running: the cycles that run, None where these could not be read."""
    pin = read_pin(value)
    runs = (
        None
        if running is None and has_cycles
        else pin is not None and pin.cycle in {each.name for each in running or ()}
    )
    return SeenPin(group, value, runs, pin is not None and has_cycles)


# In words


def cycle_words(cycle: RunningCycle, now: float, given: Sequence[str]) -> str:
    """A cycle that runs, in a line. now: epoch seconds. given: options for the command in it."""
    watches = command("rollcall", "cycle", "--watch", *given, *operand(cycle.group))
    since = f"running for {duration(now - cycle.since)}, since {moment(cycle.since)}"
    return f"{cycle.group}: {cycle.phase}, {cycle.percent} %, {since}; {cycle.name}; {watches} shows it"


def pin_words(seen: SeenPin) -> str:
    """A pin, what becomes of it, and the remedy, in a line."""
    pin = read_pin(seen.value)
    if pin is None:
        return (
            f"{seen.group}: its tag {PINNED_TAG} is {seen.value!r}, which no cycle wrote; set the version of the group "
            f"that it is to have, and remove the tag: {remove_tag_command(seen.group, PINNED_TAG)}"
        )
    pinned = f"{seen.group}: pinned from {pin.alias} to a number by cycle {pin.cycle}"
    if seen.runs:
        return f"{pinned}, which puts it back at its end"
    if seen.runs is None:
        return f"{pinned}; whether that runs could not be read"
    by_hand = f"set the group to {pin.alias} or to the number that it is to have, and remove the tag: "
    if seen.is_settled:
        return (
            f"{pinned}, which does not run any more; the next run of reconcile puts it back. If the tag stays: "
            f"{by_hand}{remove_tag_command(seen.group, PINNED_TAG)}"
        )
    return f"{pinned}, and the stack has no cycles any more: {by_hand}{remove_tag_command(seen.group, PINNED_TAG)}"
