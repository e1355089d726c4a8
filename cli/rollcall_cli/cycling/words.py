"""A cycle in words: what changed since it was read last, how it ended, and the exit code of that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.cycle.state import LISTED_MAX, CycleResult, Phase, Since
from rollcall.workflow.state_texts import listed_lines
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.times import clock, shortly
from rollcall_cli.workflows.executions import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollcall.cycle.state import CycleState, CycleVerdict, ListedInstance, TargetDip

    from .executions import CycleExecution

type Json = dict[str, Any]

ENDED_OUTSIDE = {
    Status.ABORTED: "its execution was stopped by hand",
    Status.TIMED_OUT: "its execution ran out of time",
}
SETTLED = (
    "Rollcall cancels its instance refresh, if one is active, and puts back what it changed, within minutes. What was "
    "replaced stays replaced."
)


COUNTED_FROM = {Since.LAUNCH: "launched {} ago", Since.TERMINATION: "its termination began {} ago"}


class Ending(NamedTuple):
    """How a cycle ended: a sentence, what else there is to know line by line, and whether all is well."""

    heading: str
    lines: Sequence[str]
    well: bool


# The exit code


def code_of(execution: CycleExecution) -> ExitCode:
    """What the command ends with: OK only for what is verified, or had nothing to do."""
    state = execution.state
    if state is None or state.result is None or execution.status not in (Status.SUCCEEDED, Status.FAILED):
        return ExitCode.ACT
    if state.result == CycleResult.REFUSED or (state.result == CycleResult.DRY_RUN and state.objections):
        return ExitCode.REFUSED
    if state.result and state.result.went_well and execution.status == Status.SUCCEEDED:
        return ExitCode.OK
    return ExitCode.ACT


# While it runs


def changes(before: CycleExecution | None, now: CycleExecution, stages: Mapping[str, str]) -> Iterator[str]:
    """What is new since it was read before, a line each, with the time of day by AWS's clock.

    stages: the last that was shown of each instance, for a state lists only some of them.
    """
    old, new = before.state if before else None, now.state
    if now.failing and (before is None or before.failing != now.failing):
        yield f"{clock(now.read)}: a step of the cycle failed, and is tried again: {now.failing}"
    if new is None:
        if before is None:
            yield f"{clock(now.read)}: {Phase.PREFLIGHT}"
        return
    for words in _changes(old, new, stages):
        yield f"{clock(now.answered)}: {words}"


def _changes(old: CycleState | None, new: CycleState, stages: Mapping[str, str]) -> Iterator[str]:
    if new.desired and not (old and old.desired):
        yield plan_words(new)
    if _position(new) != (_position(old) if old else None):
        yield f"{new.phase}{f': {counts(new)}' if _counted(new) else ''}"
    for each in new.instances:
        if stages.get(each.id) != each.stage:
            yield instance_words(each)
    known = {(each.instance_id, *each.key) for each in old.verdicts} if old else set()
    for verdict in new.verdicts:
        if (verdict.instance_id, *verdict.key) not in known:
            yield verdict_words(verdict)
    for dip in new.dips:
        if not old or dip not in old.dips:
            yield dip_words(dip)
    if new.launch_failure and not (old and old.launch_failure == new.launch_failure):
        yield launch_words(new)
    if new.unread and not (old and old.unread == new.unread):
        yield f"not read, and read again: {new.unread}"
    for warning in new.warnings:
        if not old or warning not in old.warnings:
            yield f"warning: {warning}"


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
    parts = [f"{_number(state.desired, 'instance')}, {state.batch:,} at a time", version_words(state)]
    if estimate := state.plan.get("estimate_seconds"):
        parts.append(f"it takes about {shortly(estimate)}, by the group's own history")
    return "; ".join(filter(None, parts))


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


def verdict_words(verdict: CycleVerdict) -> str:
    """A verdict in a line: what failed on which machine, and the job that shows it."""
    place = f"check {verdict.what}" if verdict.template is None else f"task {verdict.what!r}"
    parts = [f"{verdict.instance_id}: {verdict.decision.upper()}: {place}"]
    if verdict.reason:
        parts.append(verdict.reason)
    if verdict.job is not None:
        parts.append(f"job {verdict.job}{f' {verdict.job_url}' if verdict.job_url else ''}")
    return "; ".join(parts)


def launch_words(state: CycleState) -> str:
    """Why AWS launches nothing, in a line."""
    return f"AWS could not launch an instance: {state.launch_failure}"


def dip_words(dip: TargetDip) -> str:
    """A moment with too few healthy targets in a line."""
    name = dip.target_group.rpartition(":targetgroup/")[2].partition("/")[0] or dip.target_group
    return f"target group {name} had {dip.healthy:,} healthy targets of {dip.expected:,} at {clock(dip.at)}"


# How it ended


def ending_of(execution: CycleExecution) -> Ending:
    """How a cycle ended, for an operator."""
    state, group = execution.state, str(execution.request.get("group", ""))
    if execution.status in ENDED_OUTSIDE:
        why = ENDED_OUTSIDE[execution.status]
        return Ending(f"The cycle of group {group!r} did not come to its end: {why}.", (SETTLED,), well=False)
    if state is None or state.result is None:
        return Ending(f"The cycle of group {group!r} FAILED: {_error(execution)}", (SETTLED,), well=False)
    lines = [*_evidence(state), *(_plan(state) if state.result == CycleResult.DRY_RUN else ())]
    if execution.status == Status.FAILED and execution.error not in ("", state.result):  # its error is not its result
        lines.append(f"the last step failed, so that something may be left to put back: {_error(execution)}")
        lines.append(SETTLED)
    return Ending(_heading(execution, state), lines, code_of(execution) == ExitCode.OK)


def _error(execution: CycleExecution) -> str:
    said = ": ".join(filter(None, (execution.error, execution.cause)))
    return said or "its steps do not say how it ended: is the stack of another version than this command?"


def _heading(execution: CycleExecution, state: CycleState) -> str:
    group, took = repr(state.group), shortly(execution.seconds)
    reason = f": {state.reason}" if state.reason else "."
    if state.result and state.result.went_well and execution.status != Status.SUCCEEDED:
        return f"The cycle of group {group} FAILED at its last step, after it had ended as: {state.result}{reason}"
    match state.result:
        case CycleResult.SUCCEEDED:
            versions = version_words(state)
            return f"Group {group} is cycled and verified, {versions + ', ' if versions else ''}in {took}{reason}"
        case CycleResult.NOTHING_TO_REPLACE:
            return f"Nothing is to be replaced in group {group}{reason}"
        case CycleResult.DRY_RUN:
            if state.objections:
                return f"Dry run: a cycle of group {group} would be refused, for {_objected(state)}."
            return f"Dry run: nothing speaks against a cycle of group {group}. Nothing was changed."
        case CycleResult.REFUSED if state.objections:
            return f"The cycle of group {group} was refused before anything was changed, for {_objected(state)}."
        case CycleResult.REFUSED:
            return f"The cycle of group {group} was refused{reason}"
        case CycleResult.ROLLED_BACK:
            return f"The cycle of group {group} was rolled back after {took}{reason}"
        case CycleResult.CANCELLED:
            return f"The cycle of group {group} was cancelled after {took}{reason}"
        case _:
            return f"The cycle of group {group} FAILED after {took}{reason}"


def _objected(state: CycleState) -> str:
    return _number(len(state.objections), "objection")


def _evidence(state: CycleState) -> Iterator[str]:
    """What there is to know of it, the worst first."""
    for each in state.objections:
        yield f"{each.what}: {each.reason}"
        yield f"  remedy: {each.remedy}"
    yield from map(verdict_words, state.verdicts)
    for unverified in state.unverified:
        yield f"not verified: {unverified}"
    yield from map(dip_words, state.dips)
    for warning in _warnings(state):
        yield f"warning: {warning}"
    if state.put_back:
        yield f"put back: {state.put_back}"
    if state.launches:
        yield versions_left_words(state)


def _warnings(state: CycleState) -> Sequence[str]:
    """Those that are worth an answer: not what pre-flight foresaw of a cycle that has begun, which was shown then."""
    foreseen = listed_lines(state.plan.get("notes", ()), LISTED_MAX) if state.refresh_id else ()
    return [each for each in state.warnings if each not in foreseen]


def versions_left_words(state: CycleState) -> str:
    """Which versions a group is left with, in a line."""
    runs = [
        f"{number:,} of {f'version {version}' if version else 'another launch template'}"
        for version, number in sorted(state.runs.items(), key=lambda each: (len(each[0]), each[0]))
    ]
    of_alias = "" if state.launches == state.launches_number else f", which {state.launches} stands for"
    launches = f"version {state.launches_number}{of_alias}" if state.launches_number else "nothing"
    why_not = "" if state.launches_number else f", for its version {state.launches} is not there"
    return f"instances now: {', '.join(runs) or 'none'}; the group next launches {launches}{why_not}"


def _plan(state: CycleState) -> Iterator[str]:
    if state.desired:
        yield plan_words(state)
    plan = state.plan
    if "replaced" in plan:
        many = "" if plan["batches"] == 1 else "es"
        yield f"to replace: {_number(plan['replaced'], 'instance')}, in {plan['batches']:,} batch{many}"
    if "rolls_back" in plan:
        why = f", for AWS does not roll it back: {plan.get('why_no_rollback', '')}"
        yield f"if it fails: {'AWS rolls it back' if plan['rolls_back'] else f'it is cancelled{why}'}"
    if order := plan.get("order"):
        yield f"in this order, as far as it is known: {', '.join(map(str, order))}"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


# As JSON


def answer_of(execution: CycleExecution, url: str, *, attached: bool) -> Json:
    """How a cycle ended, for a program. Times in epoch seconds."""
    state = execution.state
    return {
        "group": execution.request.get("group"),
        "cycle": execution.name,
        "execution": execution.arn,
        "execution_url": url,
        "attached": attached,
        "status": str(execution.status),
        "result": str(state.result) if state and state.result else None,
        "verified": code_of(execution) == ExitCode.OK and state is not None and state.result == CycleResult.SUCCEEDED,
        "reason": state.reason if state else _error(execution),
        "began": execution.began,
        "ended": execution.ended,
        "state": state.to_json() if state else None,
    }
