"""What a workflow's function is invoked with: a step of its state machine, or an execution that was stopped. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.errors import BadEvent
from rollcall.domain.json_input import object_at, quoted, require_object, text_at

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.aws.executions import Execution

type Json = dict[str, Any]

ENDED = ("ABORTED", "TIMED_OUT", "FAILED")  # statuses of an execution after which something may be left to put back
# Of the event about an execution's status (EventBridge reference, "AWS Step Functions events").
SOURCE = "aws.states"
DETAIL_TYPE = "Step Functions Execution Status Change"
BY_RECONCILE = "by_reconcile"  # of its detail: reconcile sent it, for where EventBridge's is lost
PREFLIGHT = "preflight"  # the first step of each state machine
VERSION_TO_COME = "version_to_come"  # of a pre-flight of a cycle to a version that is yet to be made


class Invocation(NamedTuple):
    """step: empty for an execution that ended. fields: of the event, or of its detail. execution: its ARN."""

    step: str
    fields: Json
    execution: str


def read_invocation(event: object, steps: Collection[str]) -> Invocation:
    """An event for the function that takes these steps. Raises BadEvent naming the field that is missing or wrong."""
    fields = require_object(event, "event")
    if fields.get("source") == SOURCE:
        detail = object_at(fields, "detail")
        if detail.get("status") not in ENDED:
            raise BadEvent(f"field 'status' is {quoted(detail.get('status'))}: nothing is put back but after {ENDED}")
        return Invocation("", detail, text_at(detail, "executionArn"))
    step = fields.get("step")
    if step not in steps:
        raise BadEvent(f"field 'step' is {quoted(step)}: use {', '.join(steps)}, or send an event of {SOURCE}")
    return Invocation(str(step), fields, text_at(object_at(fields, "execution"), "id"))


def preflight_event(execution: str, started: float, request: Json) -> Json:
    """Asks the cycle function for the pre-flight of a cycle to a version that is yet to be made, which changes nothing.

    execution: the ARN that the cycle's execution will have. started: epoch seconds.
    """
    began = datetime.fromtimestamp(started, UTC).isoformat()
    return {
        "step": PREFLIGHT,
        "execution": {"id": execution, "name": execution_name(execution), "started": began},
        "request": {**request, "dry_run": True},
        VERSION_TO_COME: True,
    }


def settling_event(execution: Execution) -> Json:
    """The event about an execution that was stopped, as EventBridge would have sent it."""
    return {
        "source": SOURCE,
        "detail-type": DETAIL_TYPE,
        "detail": {
            "executionArn": execution.arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": int(execution.started * 1000),
            "stopDate": int((execution.stopped or 0.0) * 1000),
            "input": json.dumps(dict(execution.request)),
            BY_RECONCILE: True,
        },
    }


def execution_name(arn: str) -> str:
    """The name of an execution: what stands last in its ARN."""
    return arn.rpartition(":")[2]
