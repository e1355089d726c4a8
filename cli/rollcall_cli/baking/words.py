"""A bake in words: what changed since it was read last, how it ended, and the exit code of that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall.bake.state import BakeResult, Phase
from rollcall.cycle.batch import batch_size
from rollcall.cycle.request import read_request
from rollcall.cycle.tag import parse_cycle_tag
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.domain.settings import CYCLE_TAG
from rollcall_cli.cycling import words as cycling
from rollcall_cli.cycling.words import Ending
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.times import clock, shortly
from rollcall_cli.workflows.executions import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.bake.state import BakeState

    from .executions import BakeExecution

type Json = dict[str, Any]

SETTLED = "Rollcall terminates what the bake has launched, and removes its hosts, within minutes."

PHASES = tuple(Phase)  # in the order in which a bake comes through them


# The exit code


def code_of(execution: BakeExecution) -> ExitCode:
    """What the command ends with: OK only for what did what it was asked for."""
    state = execution.state
    if state is None or state.result is None or execution.status not in (Status.SUCCEEDED, Status.FAILED):
        return ExitCode.ACT
    if state.result == BakeResult.REFUSED or (state.result == BakeResult.DRY_RUN and state.objections):
        return ExitCode.REFUSED
    if state.result.went_well and execution.status == Status.SUCCEEDED:
        return ExitCode.OK
    return ExitCode.ACT


# While it runs


def changes(before: BakeExecution | None, now: BakeExecution) -> Iterator[str]:
    """What is new since it was read before, a line each, with the time of day by AWS's clock.

    What is new of its cycle is not among it.
    """
    if now.failing and (before is None or before.failing != now.failing):
        yield f"{clock(now.read)}: a step of the bake failed, and is tried again: {now.failing}"
    if now.state is None:
        if before is None:
            yield f"{clock(now.read)}: {Phase.PREFLIGHT}"
        return
    old = before.state if before else None
    known = set(_facts(old)) if old else set()
    said = old.phase if old else Phase.PREFLIGHT if before else None
    if said != now.state.phase:
        yield f"{clock(now.answered)}: {now.state.phase}"
    for fact in _facts(now.state):
        if fact not in known:
            yield f"{clock(now.answered)}: {fact}"


def _facts(state: BakeState) -> Iterator[str]:
    """What is known of a bake, a line each, in the order in which it comes to be known."""
    if state.base_image.id:
        yield base_words(state)
    if state.builder:
        yield builder_words(state)
    if state.job is not None:
        yield job_words(state)
    if state.image_id:
        yield f"image {state.image_id}: {state.image_name}" if state.image_name else f"image {state.image_id}"
    if state.smoke_instance:
        job = f"; {_job(state.smoke_job, state.smoke_job_url)}" if state.smoke_job is not None else ""
        yield f"smoke test on {state.smoke_instance}{job}"
    if state.smoke:
        yield f"smoke test: {state.smoke}"
    if state.version:
        yield version_words(state)
    if state.cycle:
        yield f"cycle {state.cycle}" + (f": {state.cycle_result}" if state.cycle_result else "")
    for removed in state.removed:
        yield f"removed: {removed}"
    for warning in state.warnings:
        yield f"warning: {warning}"


def base_words(state: BakeState) -> str:
    """What is baked from what, in a line."""
    base = state.base_image
    named = ", ".join(filter(None, (base.name, base.architecture)))
    parts = [f"from image {base.id}" + (f" ({named})" if named else "")]
    if state.template_id:
        version = f" version {state.from_version}" if state.from_version else ""
        parts.append(f"for launch template {state.template_name or state.template_id}{version}")
    if state.instance_type:
        parts.append(f"on {state.instance_type}" + (f" in {state.subnet}" if state.subnet else ""))
    return ", ".join(parts)


def builder_words(state: BakeState) -> str:
    """The builder in a line."""
    return f"builder {state.builder}" + (f" at {state.address}" if state.address else "")


def job_words(state: BakeState) -> str:
    """The job that provisions the builder, with its link."""
    again = f" (try {state.job_tries})" if state.job_tries > 1 else ""
    return f"{_job(state.job, state.job_url)}{again}"


def version_words(state: BakeState) -> str:
    """The version that was made in a line."""
    return f"version {state.version} of launch template {state.template_name or state.template_id}"


def _job(job: int | None, url: str) -> str:
    return f"job {job}" + (f" {url}" if url else "")


# How it ended


def ending_of(execution: BakeExecution) -> Ending:
    """How a bake ended, for an operator."""
    state, group = execution.state, str(execution.request.get("group", ""))
    if execution.status in cycling.ENDED_OUTSIDE:
        return _ended_outside(execution, group)
    if state is None or state.result is None:
        return Ending(f"The bake of group {group!r} FAILED: {_error(execution)}", (SETTLED,), well=False)
    lines = [*_evidence(execution, state), *(_plan(state) if state.result == BakeResult.DRY_RUN else ())]
    if execution.status == Status.FAILED and execution.error not in ("", state.result):  # its error is not its result
        lines.append(f"the last step failed, so that something may be left: {_error(execution)}")
        lines.append(SETTLED)
    return Ending(_heading(execution, state), lines, code_of(execution) == ExitCode.OK)


def _ended_outside(execution: BakeExecution, group: str) -> Ending:
    """How a bake ended whose execution was stopped, or ran out of time: in which phase, and what that leaves."""
    phase = execution.state.phase if execution.state else Phase.PREFLIGHT
    if execution.is_cancelled:
        heading = f"The bake of group {group!r} was cancelled in phase {phase}."
    else:
        why = cycling.ENDED_OUTSIDE[execution.status]
        heading = f"The bake of group {group!r} did not come to its end, in phase {phase}: {why}."
    return Ending(heading, tuple(_left(execution.state, group)), well=False)


def _left(state: BakeState | None, group: str) -> Iterator[str]:
    """What a bake leaves that was stopped: of the group, then of what it has made."""
    reached = PHASES.index(state.phase if state else Phase.PREFLIGHT)
    if reached < PHASES.index(Phase.VERSION):
        yield f"Group {group!r} is as it was, and so is its launch template."
    elif reached < PHASES.index(Phase.ROLLING_OUT):
        yield f"Group {group!r} is as it was. A version that may be made already is not rolled out by this bake."
    elif reached == PHASES.index(Phase.ROLLING_OUT):
        yield "The cycle that was rolling the image out is stopped, too: what was replaced stays replaced."
    elif state and state.cycle_result:
        yield f"The roll-out had ended: {state.cycle_result}."
    if state and state.image_id:
        yield f"Image {state.image_id} stays" + (f", in {version_words(state)}." if state.version else ".")
    yield SETTLED


def _error(execution: BakeExecution) -> str:
    said = ": ".join(filter(None, (execution.error, execution.cause)))
    return said or "its steps do not say how it ended: is the stack of another version than this command?"


def _heading(execution: BakeExecution, state: BakeState) -> str:
    group, took = repr(state.group), shortly(execution.seconds)
    reason = f": {state.reason}" if state.reason else "."
    made = f"image {state.image_id} in version {state.version}"
    if state.result and state.result.went_well and execution.status != Status.SUCCEEDED:
        return f"The bake of group {group} FAILED at its last step, after it had ended as: {state.result}{reason}"
    match state.result:
        case BakeResult.SUCCEEDED:
            return f"Group {group} is baked, cycled and verified, {made}, in {took}{reason}"
        case BakeResult.BAKED:
            return f"Group {group} is baked and not cycled, {made}, in {took}{reason}"
        case BakeResult.NOTHING_NEW:
            return f"Nothing is new for group {group}, so nothing was baked{reason}"
        case BakeResult.DRY_RUN if state.objections:
            return f"Dry run: a bake of group {group} would be refused, for {_objected(state)}."
        case BakeResult.DRY_RUN:
            return f"Dry run: nothing speaks against a bake of group {group}. Nothing was changed."
        case BakeResult.REFUSED if state.objections:
            return f"The bake of group {group} was refused before anything was launched, for {_objected(state)}."
        case BakeResult.REFUSED:
            return f"The bake of group {group} was refused{reason}"
        case BakeResult.ROLLED_BACK:
            return f"The bake of group {group} was rolled back after {took}{reason}"
        case BakeResult.ROLLED_BACK_BY_HAND:
            return f"The roll-out for group {group} was rolled back by hand after {took}{reason}"
        case BakeResult.CANCELLED:
            return f"The bake of group {group} was cancelled after {took}{reason}"
        case _:
            return f"The bake of group {group} FAILED after {took}{reason}"


def _objected(state: BakeState) -> str:
    many = len(state.objections)
    return f"{many} objection{'' if many == 1 else 's'}"


def _evidence(execution: BakeExecution, state: BakeState) -> Iterator[str]:
    """What there is to know of it, the worst first."""
    for each in state.objections:
        yield f"{each.what}: {each.reason}"
        yield f"  remedy: {each.remedy}"
    if state.result and not state.result.went_well:
        yield from _jobs(state)
    if execution.cycle is not None:
        cycle = cycling.ending_of(execution.cycle)
        yield cycle.heading
        yield from (f"  {line}" for line in cycle.lines)
    for warning in state.warnings:
        yield f"warning: {warning}"
    yield from state.removed
    yield from state.retained
    if state.put_back:
        yield f"put back: {state.put_back}"


def _jobs(state: BakeState) -> Iterator[str]:
    """The jobs of a bake that did not end well."""
    if state.job is not None:
        yield f"on the builder: {job_words(state)}"
    if state.smoke_job is not None:
        yield f"in the smoke test: {_job(state.smoke_job, state.smoke_job_url)}"


def _plan(state: BakeState) -> Iterator[str]:
    if state.base_image.id:
        yield base_words(state)
    plan = state.plan
    if plan.get("job_template"):
        yield f"provisioned by job template {plan['job_template']!r}, in inventory {plan.get('inventory', '')!r}"
    if plan.get("project_revision"):
        yield f"project {state.project or 'of the playbook'} is at revision {plan['project_revision']}"
    yield f"smoke test: {state.request.get('smoke')}"
    yield from _rolled_out(state)
    if plan.get("nothing_new"):
        yield f"started by schedule, or with --only-if-new, it would bake nothing: {plan['nothing_new']}"
    yield from (f"note: {note}" for note in plan.get("notes", ()) if note not in state.warnings)


def _rolled_out(state: BakeState) -> Iterator[str]:
    """What would become of the group after the image is made, and of old images."""
    if state.request.get("roll_out"):
        instances = int(state.plan.get("instances", 0))
        many = f"{instances} instance{'' if instances == 1 else 's'}"
        yield f"then the group is cycled to the new version: {many}, {_at_a_time(state, instances)}"
    else:
        yield "the image is not rolled out: the group stays as it is"
    for each in state.plan.get("removals", ()):
        yield f"after that: {each}"


def _at_a_time(state: BakeState, instances: int) -> str:
    tag = state.plan.get("cycle_tag", "")
    try:
        read = parse_cycle_tag(Group(state.group, {CYCLE_TAG: tag} if tag else {}, {}))
        size = batch_size(instances, read_request({"group": state.group}, read).batch)
    except BadSettings as error:
        return f"and no cycle of it begins: {error}"
    return f"{size} at a time"


# As JSON


def answer_of(execution: BakeExecution, url: str, *, attached: bool) -> Json:
    """How a bake ended, for a program. Times in epoch seconds."""
    state = execution.state
    return {
        "group": execution.request.get("group"),
        "bake": execution.name,
        "execution": execution.arn,
        "execution_url": url,
        "attached": attached,
        "status": str(execution.status),
        "result": str(state.result) if state and state.result else None,
        "image": (state.image_id or None) if state else None,
        "version": (state.version or None) if state else None,
        "reason": state.reason if state else _error(execution),
        "began": execution.began,
        "ended": execution.ended,
        "state": state.to_json() if state else None,
        "cycle": execution.cycle.state.to_json() if execution.cycle and execution.cycle.state else None,
    }
