"""What runs for a group: cycles and bakes, and whether one that is due has to wait for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.executions import Executions

from .names import cycle_of_bake, is_dry_run, name_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.aws.executions import Execution
    from rollcall.aws.instance_refreshes import InstanceRefreshes


def running_of_group(machine: str, group: str) -> list[str]:
    """The names of a group's executions of a state machine that run and may change something.

    machine: its ARN; none runs of one that the stack is without, whose ARN is empty. Step Functions may leave out what
    was started moments ago (API reference, ListExecutions).
    """
    return [each.name for each in _running_at(machine, group)]


def other_bakes(machine: str, group: str, cycle: str) -> list[str]:
    """The names of the bakes of a group that run, but for the one that rolls its image out by this cycle.

    machine: as running_of_group takes it. cycle: the name of its execution.
    """
    running = _running_at(machine, group)
    return [each.name for each in running if cycle_of_bake(each.arn, each.started, group) != cycle]


class Turns:
    """Whose turn it is: cycles and bakes that are due do not begin while something else replaces the same group.

    Pre-flight would refuse them, and a name by date or version is not tried again. So they wait, and are due still in
    the next run of reconcile. machines: of cycles and of bakes, those that there are. Methods raise what AWS fails at.
    """

    def __init__(self, machines: Sequence[Executions], refreshes: InstanceRefreshes) -> None:
        self._machines = machines
        self._refreshes = refreshes
        self._taken: set[str] = set()

    def is_taken(self, group: str) -> bool:
        """Whether something is at work on a group: a cycle, a bake, or another instance refresh."""
        return (
            group in self._taken
            or self._refreshes.active(group) is not None
            or any(_running(each, group) for each in self._machines)
        )

    def take(self, group: str) -> None:
        """Something was started just now, which Step Functions may not show yet."""
        self._taken.add(group)


def _running_at(machine: str, group: str) -> list[Execution]:
    return _running(Executions(machine), group) if machine else []


def _running(executions: Executions, group: str) -> list[Execution]:
    return [each for each in executions.running(name_prefix(group)) if not is_dry_run(each.name, group)]
