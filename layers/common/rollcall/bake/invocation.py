"""What the bake function is invoked with: a step of its state machine, an execution that was stopped, or upkeep. Pure.

Upkeep is what reconcile has done by it, which may neither terminate instances nor remove images.
"""

from __future__ import annotations

from typing import Any

from rollcall.domain.errors import BadEvent
from rollcall.domain.json_input import moment_at, quoted, require_object, text_at
from rollcall.workflow.invocation import Invocation
from rollcall.workflow.invocation import read_invocation as read_workflow_invocation

type Json = dict[str, Any]

STEPS = (  # of the state machine Bake, in their order
    "preflight",
    "launch",
    "register",
    "provision",
    "image",
    "terminate",
    "smoke",
    "version",
    "record",
    "retain",
    "put_back",
)
SWEEP, RETIRE = "sweep", "retire"  # instances whose time is over; images and versions of a group
RETIRE_OTHERS = "retire_others"  # those of groups without a tag of bakes, and of groups that are gone
UPKEEP = (SWEEP, RETIRE, RETIRE_OTHERS)
ENDED_BEFORE = "ended_before"  # of the last two: roll-outs are recorded of bakes that ended before this moment


def read_invocation(event: object) -> Invocation:
    """An event for the bake function. Raises BadEvent naming the field that is missing or wrong."""
    fields = require_object(event, "event")
    upkeep = fields.get("upkeep")
    if upkeep is None:
        return read_workflow_invocation(fields, STEPS)
    if upkeep not in UPKEEP:
        raise BadEvent(f"field 'upkeep' is {quoted(upkeep)}: use {', '.join(UPKEEP)}")
    if upkeep == RETIRE:
        text_at(fields, "group")
    if ENDED_BEFORE in fields:
        moment_at(fields, ENDED_BEFORE)
    return Invocation(str(upkeep), fields, "")


def sweep_event() -> Json:
    """Has instances removed whose time is over."""
    return {"upkeep": SWEEP}


def retire_event(group: str, *, dry_run: bool = False, force: bool = False, ended_before: float | None = None) -> Json:
    """Has images and versions of a group removed beyond those that are kept. force: whatever the removal limit says.

    ended_before: has recorded what came of roll-outs of bakes that ended before this moment, in epoch seconds, too.
    """
    return {"upkeep": RETIRE, "group": group, "dry_run": dry_run, "force": force, **_recording(ended_before)}


def retire_others_event(ended_before: float | None = None) -> Json:
    """The same for groups that have no tag of bakes; the images of groups that are gone are named."""
    return {"upkeep": RETIRE_OTHERS, **_recording(ended_before)}


def _recording(ended_before: float | None) -> Json:
    return {} if ended_before is None else {ENDED_BEFORE: int(ended_before)}
