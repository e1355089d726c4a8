"""The executions of a stack's state machine for bakes, each with the cycle that rolls its image out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollcall.bake.state import BakeState
from rollcall_cli.workflows.execution import Execution
from rollcall_cli.workflows.executions import Executions, Kind, NotShown

if TYPE_CHECKING:
    from rollcall_cli.cycling.executions import CycleExecution, CycleExecutions

BAKE = Kind("bake", BakeState.from_json)


@dataclass(frozen=True)
class BakeExecution(Execution[BakeState]):
    """A bake as Step Functions shows it. cycle: that of its roll-out, None before there is one."""

    cycle: CycleExecution | None = None


class BakeExecutions(Executions[BakeState]):
    """Those of one state machine. client: boto3's for Step Functions. machine: its ARN.

    cycles: the executions of the state machine for cycles, None in a stack without.
    """

    def __init__(self, client: Any, machine: str, cycles: CycleExecutions | None) -> None:
        super().__init__(client, machine, BAKE)
        self._cycles = cycles

    def read_whole(self, arn: str) -> BakeExecution:
        """An execution with its newest state, and with its cycle. Raises as read() does."""
        bake = self.read(arn)
        return BakeExecution(**vars(bake), cycle=self._cycle_of(bake))

    def _cycle_of(self, bake: Execution[BakeState]) -> CycleExecution | None:
        """The cycle that rolls its image out; None while AWS shows none, which is eventually consistent."""
        if self._cycles is None or bake.state is None or not bake.state.cycle:
            return None
        try:
            return self._cycles.read(self._cycles.arn_named(bake.state.cycle))
        except NotShown:
            return None
