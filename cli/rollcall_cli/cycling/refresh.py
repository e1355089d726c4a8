"""Cancels, or rolls back, the instance refresh of a cycle, with the operator's own credentials.

The execution is left to itself: it sees what becomes of the refresh, puts back what it changed, and ends. One that is
stopped runs none of its steps any more.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall.aws.instance_refreshes import Ending
from rollcall.domain.errors import RollcallError
from rollcall_cli.running import NotRun, in_words, note_change
from rollcall_cli.screen import progress_line
from rollcall_cli.workflows.endings import CANCELLED, ROLLED_BACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.aws.instance_refreshes import InstanceRefreshes, Refresh

    from .executions import CycleExecution

READINGS_MAX = 24  # readings of a cycle that has no refresh yet, two minutes: pre-flight takes seconds
READ_EVERY = 5.0  # seconds
NOTHING = "Nothing was changed."


class Stop(StrEnum):
    """The two ways in which a refresh ends before it is through."""

    CANCEL = "cancel"
    ROLLBACK = "rollback"


PERMISSIONS = {
    Stop.CANCEL: "autoscaling:CancelInstanceRefresh",
    Stop.ROLLBACK: "autoscaling:RollbackInstanceRefresh",
}
WORDS = {Stop.CANCEL: "cancel", Stop.ROLLBACK: "roll back"}
UNDER_WAY = {Stop.CANCEL: "Cancelling", Stop.ROLLBACK: "RollbackInProgress"}
RESULTS = {Stop.CANCEL: CANCELLED, Stop.ROLLBACK: ROLLED_BACK}  # what the cycle then ends as
QUESTIONS = {
    Stop.CANCEL: "Cancel the cycle of group {group!r}? What was replaced stays replaced, and nothing more is.",
    Stop.ROLLBACK: "Roll back the cycle of group {group!r}? Its new instances are replaced by the version before.",
}


def stop(refreshes: InstanceRefreshes, execution: CycleExecution, how: Stop, back: str) -> None:
    """Cancel the active refresh of a cycle's group, or roll it back. Raises NotRun where AWS does not do that.

    back: as too_late() takes it.
    """
    group = str(execution.request.get("group", ""))
    request = refreshes.cancel if how == Stop.CANCEL else refreshes.rollback
    try:
        ending = request(group)
    except RollcallError as error:
        raise NotRun(in_words(error, PERMISSIONS[how])) from error
    if ending == Ending.NONE_ACTIVE:
        raise NotRun(too_late(execution, back))
    if ending == Ending.IRREVERSIBLE:
        raise NotRun(
            "AWS cannot roll this refresh back: that takes another version to go back to, and a group that is not on "
            f"$Latest or $Default. {NOTHING} --cancel stops it where it is."
        )
    note_change()
    progress_line(f"AWS was asked to {WORDS[how]} the refresh: the cycle sees that within about 15 s, and ends.")


def too_late(execution: CycleExecution, back: str) -> str:
    """Why a cycle cannot be stopped whose refresh is over. back: the command that goes back, empty without one."""
    over = f"the instance refresh of the cycle {execution.name} is over, and what came of it is being verified"
    return f"Too late: {over}. {NOTHING}" + (f" To go back, once that has ended: {back}" if back else "")


def active(refreshes: InstanceRefreshes, group: str) -> Refresh | None:
    """The refresh of a group that is active. Raises NotRun."""
    try:
        return refreshes.active(group)
    except RollcallError as error:
        raise NotRun(f"{in_words(error, 'autoscaling:DescribeInstanceRefreshes')}\n{NOTHING}") from error


def with_refresh(read: Callable[[], CycleExecution], sleep: Callable[[float], None] = time.sleep) -> CycleExecution:
    """A cycle, once it has begun its refresh. Raises NotRun where it is over, or does not begin one."""
    for _ in range(READINGS_MAX):
        execution = read()
        if not execution.running:
            raise NotRun(f"The cycle {execution.name} is over. {NOTHING}")
        if execution.state is not None and execution.state.refresh_id:
            return execution
        sleep(READ_EVERY)
    raise NotRun(f"The cycle {execution.name} has not begun its instance refresh yet. {NOTHING} Try again in a minute.")


def require_its_own(execution: CycleExecution, shown: Refresh | None, back: str) -> Refresh:
    """The refresh that is active, if it is the cycle's. Raises NotRun. back: as too_late() takes it. Pure."""
    group, own = str(execution.request.get("group", "")), execution.state.refresh_id if execution.state else ""
    if shown is None:
        raise NotRun(too_late(execution, back))
    if shown.id != own:
        raise NotRun(
            f"The active instance refresh of group {group!r}, {shown.id}, is not that of Rollcall's cycle, {own}. "
            f"{NOTHING} Stop it with the AWS CLI if it is to stop."
        )
    return shown
