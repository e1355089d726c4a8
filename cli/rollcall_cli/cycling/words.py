"""A cycle in words while it runs: what changed since it was read last, and what each thing about it is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall.cycle.state import Phase, Since
from rollcall.domain.shell_commands import command, operand
from rollcall.domain.verdicts import Decision
from rollcall_cli.times import clock, shortly
from rollcall_cli.workflows.endings import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollcall.cycle.state import CycleState, CycleVerdict, ListedInstance, TargetDip

    from .executions import CycleExecution

ESTIMATE_MIN = 30.0  # seconds; less is over before it is read
COUNTED_FROM = {Since.LAUNCH: "launched {} ago", Since.TERMINATION: "its termination began {} ago"}


def changes(
    before: CycleExecution | None, now: CycleExecution, stages: Mapping[str, str], given: Sequence[str] = ()
) -> Iterator[str]:
    """What is new since it was read before, a line each, with the time of day by AWS's clock.

    stages: the last that was shown of each instance, for a state lists only some of them. given: options for the
    commands in it.
    """
    old, new = before.state if before else None, now.state
    if now.failing and (before is None or before.failing != now.failing):
        yield f"{clock(now.read)}: a step of the cycle failed, and is tried again: {now.failing}"
    if new is None:
        if before is None:
            yield f"{clock(now.read)}: {Phase.PREFLIGHT}"
        return
    for words in _changes(old, new, stages, given):
        yield f"{clock(now.answered)}: {words}"
    for warning in new.warnings if now.running else ():
        if not old or warning not in old.warnings:
            yield f"{clock(now.answered)}: warning: {warning}"


def _changes(old: CycleState | None, new: CycleState, stages: Mapping[str, str], given: Sequence[str]) -> Iterator[str]:
    if new.desired and not (old and old.desired):
        yield plan_words(new)
    if _position(new) != (_position(old) if old else None):
        yield _phase_words(new)
    for each in new.instances:
        if stages.get(each.id) != each.stage:
            yield instance_words(each)
    known = {(each.instance_id, *each.key) for each in old.verdicts} if old else set()
    for verdict in new.verdicts:
        if (verdict.instance_id, *verdict.key) not in known:
            yield verdict_words(verdict, new, given)
    for dip in new.dips:
        if not old or dip not in old.dips:
            yield dip_words(dip)
    if new.launch_failure and not (old and old.launch_failure == new.launch_failure):
        yield launch_words(new)
    if new.unread and not (old and old.unread == new.unread):
        yield f"not read, and read again: {new.unread}"


def _phase_words(state: CycleState) -> str:
    if state.phase == Phase.ENDED and state.result:
        return f"the cycle ended: {state.result}"
    return f"{state.phase}{f': {counts(state)}' if _counted(state) else ''}"


def _position(state: CycleState) -> tuple[Any, ...]:
    return state.phase, state.new, state.in_progress, state.left


def _counted(state: CycleState) -> bool:
    """Whether there is anything to count: not before there is a refresh, nor when all is over."""
    return bool(state.refresh_id) and state.phase != Phase.ENDED


def counts(state: CycleState) -> str:
    """How far it is: "4 new, 2 in progress, 4 left, 40 %"."""
    return f"{state.new:,} new, {state.in_progress:,} in progress, {state.left:,} left, {state.percent} %"


def plan_words(state: CycleState) -> str:
    """What is to be done, in a line."""
    parts = [f"{number(state.desired, 'instance')}, {state.batch:,} at a time", version_words(state)]
    if estimate := estimate_of(state):
        parts.append(f"it takes about {shortly(estimate)}, by the group's own history")
    return "; ".join(filter(None, parts))


def estimate_of(state: CycleState) -> float:
    """How long it takes by the group's own history, in seconds; 0 where that says little: nothing, or moments."""
    estimate = float(state.plan.get("estimate_seconds") or 0.0)
    return estimate if estimate >= ESTIMATE_MIN else 0.0


def version_words(state: CycleState) -> str:
    """Which version comes in the place of which."""
    if not state.target_version:
        return f"version {state.from_version}, as the group has it" if state.from_version else ""
    if state.from_version in ("", state.target_version):
        return f"version {state.target_version}"
    return f"version {state.from_version} -> {state.target_version}"


def instance_words(each: ListedInstance, age: float = 0.0) -> str:
    """An instance in a line. age: seconds that have passed since it was so."""
    parts = [each.stage]
    if each.left is not None:
        parts.append(f"{shortly(max(0.0, each.left - age))} left")
    if each.since in COUNTED_FROM:
        parts.append(COUNTED_FROM[each.since].format(shortly(each.seconds + age)))
    if each.version:
        parts.append(f"version {each.version}")
    return f"{each.id}: {', '.join(parts)}"


def verdict_words(verdict: CycleVerdict, state: CycleState, given: Sequence[str]) -> str:
    """A verdict in a line: what failed on which machine, the job that shows it, and what to do about one that is held.

    state: of its cycle. given: options for the commands in it.
    """
    place = f"check {verdict.what}" if verdict.template is None else f"task {verdict.what!r}"
    parts = [f"{verdict.instance_id}: {verdict.decision.upper()}: {place}"]
    if verdict.reason:
        parts.append(verdict.reason)
    if verdict.job is not None:
        parts.append(f"job {verdict.job}{f' {verdict.job_url}' if verdict.job_url else ''}")
    if verdict.decision == Decision.HOLD:
        parts.append(f"{command('rollcall', 'status', *given, *operand(state.group))} shows it")
        if state.result is None:
            parts.append(f"{command('rollcall', 'cycle', '--cancel', *given, *operand(state.group))} ends the cycle")
    return "; ".join(parts)


def launch_words(state: CycleState) -> str:
    """Why AWS launches nothing, in a line."""
    return f"AWS could not launch an instance: {state.launch_failure}"


def dip_words(dip: TargetDip) -> str:
    """A moment with too few healthy targets in a line."""
    name = dip.target_group.rpartition(":targetgroup/")[2].partition("/")[0] or dip.target_group
    return f"target group {name} had {dip.healthy:,} healthy targets of {dip.expected:,} at {clock(dip.at)}"
