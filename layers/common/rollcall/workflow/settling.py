"""Executions that were stopped: in words, their last state, and which of them reconcile has settled.

The latter is for where the event about one is lost.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .invocation import execution_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.execution_history import ExecutionHistory

    from .state import WorkflowState

SETTLE_AFTER = 600.0  # seconds; by then the event about a stopped execution has come, if it ever does
SETTLE_WITHIN = 3600.0  # seconds; a run of reconcile or two come by then
STOPPED = {  # by the status of an execution that ended without a word of its own
    "ABORTED": "its execution was stopped by hand",
    "TIMED_OUT": "its execution ran out of time",
}
RUNS = 3  # of reconcile, where these are further apart than that


def settled_now(now: float, every: float | None) -> tuple[float, float]:
    """Between which moments an execution has to have ended. now: epoch seconds. every: seconds between two runs."""
    return now - max(SETTLE_WITHIN, RUNS * (every or 0.0)), now - SETTLE_AFTER


def last_state[S: WorkflowState](kind: type[S], noun: str, history: ExecutionHistory, detail: Mapping[str, Any]) -> S:
    """The state after an execution's last step; before the first there is only its input.

    noun: by which it stands in what passes from step to step. detail: of the event about the execution's status. One
    whose input names no group has failed before its first step: its state is of no group. A step that was taken when
    the execution was stopped may have gone further than the state says. Raises what ExecutionHistory does.
    """
    arn = detail["executionArn"]
    raw = history.last_output(arn)
    if raw is not None:
        return kind.from_json(raw[noun])
    request = json.loads(detail["input"])
    known = isinstance(request, dict) and isinstance(request.get("group"), str)
    state = kind.from_json({"request": request} if known else {"group": ""})
    started = datetime.fromtimestamp(detail["startDate"] / 1000, UTC)  # in milliseconds, as EventBridge has it
    return state.with_execution({"id": arn, "name": execution_name(arn), "started": started.isoformat()})
