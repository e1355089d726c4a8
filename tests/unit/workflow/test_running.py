"""What runs for a group, and whose turn it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rollcall.aws.executions import Execution, Executions, execution_arn
from rollcall.workflow.names import cycle_of_bake, execution_name
from rollcall.workflow.running import other_bakes, running_of_group
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:bake"
FIRST, SECOND, DRY = (execution_name("web", key) for key in ("by-hand", "sched-2026-12-06", "dry-1"))


STARTED = 1_796_526_300.0


def running_execution(name: str) -> Execution:
    return Execution(execution_arn(MACHINE, name), name, "RUNNING", STARTED, None)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets executions of these names run in every state machine."""

    def let(*names: str) -> None:
        def running(self: Executions, prefix: str) -> list[Execution]:
            assert self.machine == MACHINE
            return [running_execution(each) for each in names if each.startswith(prefix)]

        monkeypatch.setattr(Executions, "running", running)

    return let


def test_what_runs_of_a_group_is_named_without_dry_runs_and_other_groups(run: Callable[..., None]) -> None:
    run(FIRST, DRY, execution_name("web2", "by-hand"))
    assert running_of_group(MACHINE, "web") == [FIRST]


def test_nothing_runs_of_a_state_machine_that_the_stack_is_without(run: Callable[..., None]) -> None:
    run(FIRST)
    assert running_of_group("", "web") == other_bakes("", "web", "any") == []


def test_a_bake_is_not_beside_the_cycle_that_rolls_its_image_out(run: Callable[..., None]) -> None:
    run(FIRST, SECOND)
    own = cycle_of_bake(execution_arn(MACHINE, FIRST), STARTED, "web")
    assert other_bakes(MACHINE, "web", own) == [SECOND]
    assert other_bakes(MACHINE, "web", execution_name("web", "by-hand")) == [FIRST, SECOND]
