"""One run of a command about a cycle: it is started or found, stopped if that is wanted, and followed to its end."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any

import boto3

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.aws.instance_refreshes import InstanceRefreshes
from rollcall.domain.shell_commands import command, operand
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.running import NotRun
from rollcall_cli.screen import progress_line
from rollcall_cli.stack import CYCLE_MACHINE, NoResource, physical_id
from rollcall_cli.workflows.execution import Started
from rollcall_cli.workflows.run import WorkflowRun

from .ending import answer_of, ending_of
from .executions import CycleExecution, CycleExecutions
from .following import display
from .listing import listed
from .refresh import QUESTIONS, RESULTS, UNDER_WAY, Stop, active, require_its_own, stop, with_refresh

if TYPE_CHECKING:
    from rollcall_cli.options import Given
    from rollcall_cli.questions import Questions
    from rollcall_cli.workflows.endings import Ending
    from rollcall_cli.workflows.following import Display
    from rollcall_cli.workflows.listing import Listed


def cycle_executions(stack: str) -> CycleExecutions:
    """Those of the stack's state machine. Raises NotRun where it has none."""
    try:
        machine = physical_id(stack, CYCLE_MACHINE)
    except NoResource as error:
        raise NotRun(
            f"Stack {stack} runs no cycles: it has no state machine {CYCLE_MACHINE}. Deploy it with the "
            "parameter Cycles=true."
        ) from error
    return CycleExecutions(boto3.client("stepfunctions", config=CLIENT_CONFIG), machine)


class CycleRun(WorkflowRun[CycleExecution]):
    """One run of a command about cycles. group: empty for the list. key: as the operator gave it."""

    noun, done = "cycle", "cycled"

    def __init__(
        self, executions: CycleExecutions, group: str, key: str | None, given: Given, *, as_json: bool
    ) -> None:
        super().__init__(executions, group, key, given, lambda seconds: sleep(seconds), as_json=as_json)

    def read(self, arn: str) -> CycleExecution:
        """A cycle as it is now."""
        return self._executions.read(arn)

    def display(self) -> Display[CycleExecution]:
        """Where progress is shown."""
        return display(self._given.rollcall)

    def ending(self, execution: CycleExecution) -> Ending:
        """How it ended, for an operator."""
        return ending_of(execution, self._given)

    def answer(self, execution: CycleExecution, url: str, *, attached: bool) -> dict[str, Any]:
        """How it ended, for a program."""
        return answer_of(execution, url, attached=attached)

    def listed(self, execution: CycleExecution) -> Listed:
        """It as the list shows it."""
        return listed(execution)

    def stop(self, how: Stop, questions: Questions) -> ExitCode:
        """Cancel or roll back the refresh of the cycle that runs, and follow that cycle to its end."""
        arn = self._asked(lambda: self._executions.running(self._group))
        if arn is None:
            raise NotRun(f"No cycle of Rollcall's runs for group {self._group!r}: nothing was changed.")
        execution = self._asked(lambda: with_refresh(lambda: self.read(arn), self._sleep))
        refreshes = InstanceRefreshes(arn.split(":")[3])
        back = self._back(execution)
        shown = require_its_own(execution, active(refreshes, self._group), back)
        if shown.status == UNDER_WAY[how]:
            progress_line(f"That is under way already: {shown.status}. {shown.reason}".rstrip())
        elif questions.agree(QUESTIONS[how].format(group=self._group)):
            stop(refreshes, execution, how, back)
        else:
            progress_line("Nothing was changed.")
            return ExitCode.NOT_RUN
        return self._follow(Started(arn, attached=True), stopped=RESULTS[how])

    def _back(self, execution: CycleExecution) -> str:
        """The command that goes back to the version before; empty where the cycle came from no other."""
        state = execution.state
        if state is None or state.from_version in ("", state.target_version):
            return ""
        version = ("--version", state.from_version)
        return command("rollcall", "cycle", *version, *self._given.rollcall, *operand(self._group))
