"""The executions of a stack's state machine for cycles."""

from __future__ import annotations

from typing import Any

from rollcall.cycle.state import CycleState
from rollcall_cli.workflows.execution import Execution
from rollcall_cli.workflows.executions import Executions, Kind

CYCLE = Kind("cycle", CycleState.from_json)
CycleExecution = Execution[CycleState]


class CycleExecutions(Executions[CycleState]):
    """Those of one state machine. client: boto3's for Step Functions. machine: its ARN."""

    def __init__(self, client: Any, machine: str) -> None:
        super().__init__(client, machine, CYCLE)
