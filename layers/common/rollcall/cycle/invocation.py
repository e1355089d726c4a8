"""What the cycle function is invoked with: a step by its state machine, or an execution that ended some other way. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from rollcall.domain.errors import BadEvent
from rollcall.domain.json_input import object_at, quoted, require_object, text_at

type Json = dict[str, Any]

STEPS = ("preflight", "pin", "start", "follow", "verify", "put_back")  # of statemachines/cycle.asl.json
ENDED = ("ABORTED", "TIMED_OUT", "FAILED")  # statuses of an execution after which something may be left to put back
SOURCE = "aws.states"  # of the event about an execution's status (EventBridge reference, "AWS Step Functions events")


class Invocation(NamedTuple):
    """step: empty for an execution that ended. fields: of the event, or of its detail. execution: its ARN."""

    step: str
    fields: Json
    execution: str


def read_invocation(event: object) -> Invocation:
    """An event for the cycle function. Raises BadEvent naming the field that is missing or wrong."""
    fields = require_object(event, "event")
    if fields.get("source") == SOURCE:
        detail = object_at(fields, "detail")
        if detail.get("status") not in ENDED:
            raise BadEvent(f"field 'status' is {quoted(detail.get('status'))}: nothing is put back but after {ENDED}")
        return Invocation("", detail, text_at(detail, "executionArn"))
    step = fields.get("step")
    if step not in STEPS:
        raise BadEvent(f"field 'step' is {quoted(step)}: use {', '.join(STEPS)}, or send an event of {SOURCE}")
    return Invocation(str(step), fields, text_at(object_at(fields, "execution"), "id"))


def execution_name(arn: str) -> str:
    """The name of an execution: what stands last in its ARN."""
    return arn.rpartition(":")[2]
