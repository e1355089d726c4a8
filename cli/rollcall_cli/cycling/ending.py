"""How a cycle ended, in words for an operator and as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall.cycle.state import CycleResult
from rollcall.domain.shell_commands import command, operand
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.times import shortly
from rollcall_cli.workflows import endings
from rollcall_cli.workflows.endings import ENDED_OUTSIDE, Ending, Kind, code_of, number

from .words import dip_words, plan_words, verdict_words, version_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.cycle.state import CycleState
    from rollcall_cli.options import Given

    from .executions import CycleExecution

type Json = dict[str, Any]

SETTLED = (
    "Rollcall cancels its instance refresh, if one is active, and puts back what it changed, within minutes. What was "
    "replaced stays replaced."
)


def ending_of(execution: CycleExecution, given: Given) -> Ending:
    """How a cycle ended, for an operator. given: options for the commands that come next."""
    if execution.status in ENDED_OUTSIDE:
        group, why = str(execution.request.get("group", "")), ENDED_OUTSIDE[execution.status]
        return Ending(f"The cycle of group {group!r} did not come to its end: {why}.", (SETTLED,))
    return endings.ending_of(execution, CYCLE, given)


def _own(execution: CycleExecution) -> Mapping[str, str]:
    """The sentences of the results that only a cycle has."""
    state = execution.state
    assert state  # noqa: S101 - it has a result
    versions = f"{words}, " if (words := version_words(state)) else ""
    group, took = repr(state.group), shortly(execution.seconds)
    return {
        CycleResult.SUCCEEDED: f"Group {group} is cycled and verified, {versions}in {took}",
        CycleResult.NOTHING_TO_REPLACE: f"Nothing is to be replaced in group {group}",
    }


def _lines(execution: CycleExecution, given: Given) -> Iterator[str]:
    state = execution.state
    assert state  # noqa: S101 - it has a result
    yield from _evidence(state, given)
    if state.result == CycleResult.DRY_RUN:
        yield from _plan(state)
    yield from _next(state, given)


def _next(state: CycleState, given: Given) -> Iterator[str]:
    """The commands that bring a group to one version that is left with several."""
    now, target = state.launches_number, state.target_version
    if len(state.runs) < 2 or not now:
        return
    same = command("rollcall", "cycle", "--skip-matching", *given.rollcall, *operand(state.group))
    yield f"to bring all to version {now}: {same}"
    if target not in ("", now):
        other = command("rollcall", "cycle", "--version", target, *given.rollcall, *operand(state.group))
        yield f"to go on to version {target}: {other}"


CYCLE = Kind("cycle", "changed", SETTLED, _own, (), _lines)


def _evidence(state: CycleState, given: Given) -> Iterator[str]:
    """What there is to know of it, the worst first."""
    yield from (verdict_words(each, state, given.rollcall) for each in state.verdicts)
    for unverified in state.unverified:
        yield f"not verified: {unverified}"
    yield from map(dip_words, state.dips)
    for warning in state.warnings:
        yield f"warning: {warning}"
    if state.put_back:
        yield f"put back: {state.put_back}"
    if state.launches:
        yield versions_left_words(state)


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
        yield f"to replace: {number(plan['replaced'], 'instance')}, in {plan['batches']:,} batch{many}"
    if "rolls_back" in plan:
        why = f", for AWS does not roll it back: {plan.get('why_no_rollback', '')}"
        yield f"if it fails: {'AWS rolls it back' if plan['rolls_back'] else f'it is cancelled{why}'}"
    if order := plan.get("order"):
        yield f"in this order, as far as it is known: {', '.join(map(str, order))}"
    if due := plan.get("next_by_schedule"):
        yield f"next by schedule: {due}"


def answer_of(execution: CycleExecution, url: str, *, attached: bool) -> Json:
    """How a cycle ended, for a program. Times in epoch seconds."""
    state = execution.state
    verified = code_of(execution) == ExitCode.OK and state is not None and state.result == CycleResult.SUCCEEDED
    return endings.answer_of(execution, CYCLE.noun, url, attached=attached) | {"verified": verified}
