"""One run of the command about a bake: it is started or found, stopped if that is wanted, and followed to its end."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any

import boto3

from rollcall.aws.client import CLIENT_CONFIG
from rollcall.aws.instance_refreshes import InstanceRefreshes
from rollcall.domain.errors import RollcallError
from rollcall.domain.shell_commands import command, operand
from rollcall_cli.cycling.executions import CycleExecutions
from rollcall_cli.cycling.refresh import NOTHING, Stop, active, require_its_own, stop, with_refresh
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.running import NotRun, in_words, note_change
from rollcall_cli.screen import progress_line
from rollcall_cli.stack import BAKE_MACHINE, CYCLE_MACHINE, NoResource, physical_id
from rollcall_cli.workflows.endings import CANCELLED, code_of
from rollcall_cli.workflows.execution import Started
from rollcall_cli.workflows.run import WorkflowRun

from .ending import answer_of, ending_of
from .executions import BakeExecution, BakeExecutions
from .following import display
from .listing import listed

if TYPE_CHECKING:
    from rollcall.bake.state import BakeState
    from rollcall_cli.cycling.executions import CycleExecution
    from rollcall_cli.options import Given
    from rollcall_cli.questions import Questions
    from rollcall_cli.workflows.endings import Ending
    from rollcall_cli.workflows.execution import Execution
    from rollcall_cli.workflows.following import Display
    from rollcall_cli.workflows.listing import Listed

TO_STOP = "states:StopExecution"
CAUSE = "rollcall bake --cancel"
QUESTION = "Cancel the bake of group {group!r}? What it has launched is terminated; an image that it has made stays."
OF_ROLL_OUT = "Cancel the roll-out of group {group!r}? What was replaced stays replaced, and the image stays."


def bake_executions(stack: str) -> BakeExecutions:
    """Those of the stack's state machine. Raises NotRun where it has none."""
    try:
        machine = physical_id(stack, BAKE_MACHINE)
    except NoResource as error:
        raise NotRun(
            f"Stack {stack} bakes no images: it has no state machine {BAKE_MACHINE}. Deploy it with the parameters "
            "Bakes=true and Cycles=true."
        ) from error
    client = boto3.client("stepfunctions", config=CLIENT_CONFIG)
    try:
        cycles = CycleExecutions(client, physical_id(stack, CYCLE_MACHINE))
    except NoResource:  # images are baked, and not rolled out
        cycles = None
    return BakeExecutions(client, machine, cycles)


class BakeRun(WorkflowRun[BakeExecution]):
    """One run of the command. group: empty for the list. key: as the operator gave it."""

    noun, done = "bake", "baked"

    def __init__(self, executions: BakeExecutions, group: str, key: str | None, given: Given, *, as_json: bool) -> None:
        super().__init__(executions, group, key, given, lambda seconds: sleep(seconds), as_json=as_json)
        self._bakes = executions

    def read(self, arn: str) -> BakeExecution:
        """A bake as it is now, with its cycle."""
        return self._bakes.read_whole(arn)

    def display(self) -> Display[BakeExecution]:
        """Where progress is shown."""
        return display(self._given.rollcall)

    def ending(self, execution: BakeExecution) -> Ending:
        """How it ended, for an operator."""
        return ending_of(execution, self._given)

    def answer(self, execution: BakeExecution, url: str, *, attached: bool) -> dict[str, Any]:
        """How it ended, for a program."""
        return answer_of(execution, url, attached=attached)

    def listed(self, execution: Execution[BakeState]) -> Listed:
        """It as the list shows it."""
        return listed(execution)

    def cancel(self, questions: Questions) -> ExitCode:
        """Stop the bake that runs; the bake function then terminates what it has launched.

        One that rolls out goes on to its own end once the refresh is cancelled.
        """
        arn = self._asked(lambda: self._bakes.running(self._group))
        if arn is None:
            raise NotRun(f"No bake runs for group {self._group!r}: nothing was changed.")
        bake = self._asked(lambda: self._bakes.read_whole(arn))
        if bake.cycle is not None and not bake.cycle.running:
            back = f" To go back, once the bake has ended: {self._back()}" if code_of(bake.cycle) == ExitCode.OK else ""
            raise NotRun(f"Too late: the roll-out for group {self._group!r} is over. {NOTHING}{back}")
        question = OF_ROLL_OUT if bake.cycle is not None else QUESTION
        if not questions.agree(question.format(group=self._group)):
            progress_line(NOTHING)
            return ExitCode.NOT_RUN
        if bake.cycle is not None:
            self._stop_cycle(arn)
        else:
            self._stop_execution(arn)
        return self._follow(Started(arn, attached=True), stopped=CANCELLED)

    def _back(self) -> str:
        return command("rollcall", "rollback", *self._given.rollcall, *operand(self._group))

    def _stop_execution(self, arn: str) -> None:
        try:
            self._bakes.stop(arn, CAUSE)
        except RollcallError as error:
            raise NotRun(in_words(error, TO_STOP)) from error
        note_change()
        progress_line("The bake is stopped.")

    def _stop_cycle(self, arn: str) -> None:
        """Cancel the refresh alone: the cycle and the bake see that, record it, and end."""

        def cycle() -> CycleExecution:
            found = self.read(arn).cycle
            if found is None:
                raise NotRun(f"AWS does not show the cycle of the bake any more. {NOTHING}")
            return found

        execution = self._asked(lambda: with_refresh(cycle, self._sleep))
        refreshes = InstanceRefreshes(arn.split(":")[3])
        require_its_own(execution, active(refreshes, self._group), self._back())
        stop(refreshes, execution, Stop.CANCEL, self._back())
