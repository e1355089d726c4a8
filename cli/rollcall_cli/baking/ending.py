"""How a bake ended, in words for an operator and as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall.bake.state import BakeResult, Phase
from rollcall.cycle.batch import batch_size
from rollcall.cycle.request import read_request
from rollcall.cycle.state import CycleResult
from rollcall.cycle.tag import parse_cycle_tag
from rollcall.domain.bake_tags import KEEP_TAG
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import Group
from rollcall.domain.settings import CYCLE_TAG
from rollcall.domain.shell_commands import command, operand
from rollcall_cli.cycling.ending import ending_of as cycle_ending
from rollcall_cli.times import shortly
from rollcall_cli.workflows import endings
from rollcall_cli.workflows.endings import ENDED_OUTSIDE, Ending, Kind

from .words import PHASES, base_words, cycle_beneath, in_tower, job_words, version_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.bake.state import BakeState
    from rollcall_cli.options import Given

    from .executions import BakeExecution

type Json = dict[str, Any]

SETTLED = "Rollcall terminates what the bake has launched, and removes its hosts, within minutes."

MADE = (BakeResult.SUCCEEDED, BakeResult.BAKED)
CREATE_VERSION = "create-launch-template-version"


def ending_of(execution: BakeExecution, given: Given) -> Ending:
    """How a bake ended, for an operator. given: options for the commands that come next."""
    if execution.status in ENDED_OUTSIDE:
        return _ended_outside(execution, str(execution.request.get("group", "")), given)
    return endings.ending_of(execution, BAKE, given)


def _own(execution: BakeExecution) -> Mapping[str, str]:
    """The sentences of the results that only a bake has."""
    state, took = execution.state, shortly(execution.seconds)
    assert state  # noqa: S101 - it has a result
    group, made = repr(state.group), f"image {state.image_id} in version {state.version}"
    return {
        BakeResult.SUCCEEDED: f"Group {group} is baked, cycled and verified, {made}, in {took}",
        BakeResult.BAKED: f"Group {group} is baked and not cycled, {made}, in {took}",
        BakeResult.NOTHING_NEW: f"Nothing is new for group {group}, so nothing was baked",
    }


def _lines(execution: BakeExecution, given: Given) -> Iterator[str]:
    state = execution.state
    assert state  # noqa: S101 - it has a result
    yield from _evidence(execution, state, given)
    if state.result == BakeResult.DRY_RUN and state.plan:
        yield from _plan(state)
    if state.result == BakeResult.FAILED and state.phase == Phase.ENDED and not state.cycle:
        yield from _after_failure(state, given)
    yield from _next(state, given)


BAKE = Kind("bake", "launched", SETTLED, _own, MADE, _lines)


def _ended_outside(execution: BakeExecution, group: str, given: Given) -> Ending:
    """How a bake ended whose execution was stopped, or ran out of time: in which phase, and what that leaves."""
    phase = execution.state.phase if execution.state else Phase.PREFLIGHT
    if execution.is_cancelled:
        heading = f"The bake of group {group!r} was cancelled in phase {phase}."
    else:
        why = ENDED_OUTSIDE[execution.status]
        heading = f"The bake of group {group!r} did not come to its end, in phase {phase}: {why}."
    return Ending(heading, tuple(_left(execution.state, group, given)))


def _left(state: BakeState | None, group: str, given: Given) -> Iterator[str]:
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
        yield from _image_left(state, given)
    yield SETTLED


def _evidence(execution: BakeExecution, state: BakeState, given: Given) -> Iterator[str]:
    """What there is to know of it, the worst first."""
    if state.result in MADE:
        yield base_words(state)
    if state.result in MADE or (state.result and not state.result.went_well):
        yield from _jobs(state)
    if state.result in MADE and state.smoke:
        yield f"smoke test: {state.smoke}"
    if (beneath := cycle_beneath(execution)) is not None:
        cycle = cycle_ending(beneath, given)
        yield cycle.heading
        yield from (f"  {line}" for line in cycle.lines)
    for warning in state.warnings:
        yield f"warning: {warning}"
    yield from (*state.removed, *state.retained)
    if state.put_back:
        yield f"put back: {state.put_back}"


def _next(state: BakeState, given: Given) -> Iterator[str]:
    """The commands that may come next."""
    if state.result == BakeResult.SUCCEEDED:
        yield f"to go back: {command('rollcall', 'rollback', *given.rollcall, *operand(state.group))}"
    elif state.result == BakeResult.BAKED:
        yield _to_roll_out(state, given)
    elif state.result == BakeResult.CANCELLED and state.image_id:
        yield from _image_left(state, given)


def _after_failure(state: BakeState, given: Given) -> Iterator[str]:
    """What a bake that failed before its roll-out leaves, and what comes next. It ends once its instances are gone."""
    builder = f"Builder {state.builder} is terminated. " if state.builder else ""
    own = f"it is not cycled to {version_words(state)}" if state.version else "so is its launch template"
    yield f"{builder}Group {state.group!r} is as it was, and {own}."
    again = command("rollcall", "bake", *given.rollcall, *operand(state.group))
    yield f"once the cause is fixed, bake again: {again}"


def _image_left(state: BakeState, given: Given) -> Iterator[str]:
    """What becomes of the image of a bake that was cancelled, and what an operator may do with it."""
    image, template = ("--image-id", state.image_id), ("--launch-template-id", state.template_id)
    made = f", in {version_words(state)}," if state.version else ""
    yield f"Image {state.image_id} stays{made} while it is among the newest of the group ({KEEP_TAG})."
    if state.cycle_result == CycleResult.SUCCEEDED:
        return
    yield _to_roll_out(state, given)
    if state.cycle:  # instances may run it
        return
    version = ("delete-launch-template-versions", *template, "--versions", state.version)
    first = f"{command('aws', 'ec2', *version, *given.aws)} && " if state.version else ""
    gone = command("aws", "ec2", "deregister-image", *image, "--delete-associated-snapshots", *given.aws)
    yield f"to remove it: {first}{gone}"


def _to_roll_out(state: BakeState, given: Given) -> str:
    if state.version:
        cycle = ("rollcall", "cycle", "--version", state.version, *given.rollcall, *operand(state.group))
        return f"to roll it out: {command(*cycle)}"
    source = ("--source-version", state.from_version, "--launch-template-data", f"ImageId={state.image_id}")
    made = ("--launch-template-id", state.template_id, *source, *given.aws)
    return f"to roll it out make a version of it, and cycle to that: {command('aws', 'ec2', CREATE_VERSION, *made)}"


def _jobs(state: BakeState) -> Iterator[str]:
    """The jobs of a bake; without one whose link its reason has."""
    if state.job is not None and not (state.job_url and state.job_url in state.reason):
        yield f"on the builder: {job_words(state)}"
    if state.smoke_job is not None and not (state.smoke_job_url and state.smoke_job_url in state.reason):
        yield f"in the smoke test: {in_tower(state.smoke_job, state.smoke_job_url)}"


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
    if due := plan.get("next_by_schedule"):
        yield f"next by schedule: {due}"
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


def answer_of(execution: BakeExecution, url: str, *, attached: bool) -> Json:
    """How a bake ended, for a program. Times in epoch seconds."""
    state, cycle = execution.state, execution.cycle
    return endings.answer_of(execution, BAKE.noun, url, attached=attached) | {
        "image": (state.image_id or None) if state else None,
        "version": (state.version or None) if state else None,
        "cycle": cycle.state.to_json() if cycle and cycle.state else None,
    }
