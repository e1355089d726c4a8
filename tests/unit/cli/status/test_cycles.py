"""Cycles that run, and pins, as a status shows them: read, in words, and whether they call for an operator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest

from rollcall.cycle.state import Phase
from rollcall.domain.errors import AwsDenied
from rollcall_cli.status.answer import answer_of
from rollcall_cli.status.cycles import RunningCycle, SeenPin
from rollcall_cli.status.surroundings import Surroundings
from rollcall_cli.status.words import around, needs_operator, summary
from unit.cli.cycling.step_functions import MACHINE, NOW, StepFunctions, Turn, state
from unit.cli.status.stack import PARTS, Looked

if TYPE_CHECKING:
    from rollcall_cli.stack_parts import StackParts
    from rollcall_cli.status.reading import Status
    from unit.world import World

CYCLING: StackParts = PARTS._replace(resources={"AWS::StepFunctions::StateMachine": {"CycleStateMachine": MACHINE}})
RUNS = RunningCycle("web", "web-1234abcd-v8", "replacing", 40, 0.0)
REMOVES = "aws autoscaling delete-tags --tags ResourceType=auto-scaling-group,ResourceId=web,Key=rollcall:cycle-pinned"


@pytest.fixture
def looked(world: World) -> Looked:
    world.group("web")
    world.group("db")
    found = Looked(world, CYCLING)
    found.around.known_cycles = ()
    return found


def pinned(looked: Looked, value: str = f"latest keep {RUNS.name}") -> Status:
    looked.world.group("web", cycle_pinned=value)
    return looked.status()


def shown(status: Status, heading: str) -> list[str]:
    """The lines of the entry with this heading; none without it."""
    return [
        line.text for each in around(status, ("--stack", "other")) if each.heading == heading for line in each.lines
    ]


def test_a_cycle_that_runs_is_shown_with_its_phase_and_since_when(looked: Looked) -> None:
    looked.around.known_cycles = (RUNS._replace(since=looked.world.clock.now - 720),)
    status = looked.status()
    assert summary(status) == "no instance waits; 1 cycle runs; all well"
    [line] = shown(status, "cycles")
    assert line.startswith("web: replacing, 40 %, running for 12 minutes, since 20")
    assert line.endswith("; web-1234abcd-v8; rollcall cycle --watch --stack other web shows it")
    assert answer_of(status)["cycles"] == [looked.around.known_cycles[0]._asdict()]


def test_of_a_group_that_is_named_only_its_own_cycles_are_shown(looked: Looked) -> None:
    looked.around.known_cycles = (RUNS, RUNS._replace(group="db", name="db-5678abcd-v1"))
    assert [each.group for each in looked.status("db").cycles or ()] == ["db"]
    assert len(looked.status().cycles or ()) == 2


def test_where_none_runs_that_is_said_and_where_the_stack_has_none_nothing(looked: Looked, world: World) -> None:
    assert shown(looked.status(), "cycles") == ["none"]
    without = Looked(world).status()
    assert (without.cycles, shown(without, "cycles")) == (None, [])


def test_what_may_not_be_read_is_named_with_the_permissions(looked: Looked) -> None:
    looked.around.failing["cycles"] = AwsDenied("AWS refused it")
    status = pinned(looked)
    [gap] = status.gaps
    assert (gap.what, status.cycles) == ("which cycles run", None)
    assert "states:ListExecutions" in gap.remedy
    [line] = shown(status, "pinned")
    assert line.endswith("; whether that runs could not be read")


def test_a_pin_whose_cycle_runs_is_put_back_by_it(looked: Looked) -> None:
    looked.around.known_cycles = (RUNS,)
    status = pinned(looked)
    assert shown(status, "pinned") == [
        f"web: pinned from $Latest to a number by cycle {RUNS.name}, which puts it back at its end"
    ]
    assert answer_of(status)["pins"] == [{"group": "web", "tag": f"latest keep {RUNS.name}", "cycle_runs": True}]
    assert not needs_operator(status)


def test_a_pin_that_was_left_behind_is_put_back_by_reconcile_and_has_a_remedy_if_not(looked: Looked) -> None:
    status = pinned(looked)
    [line] = shown(status, "pinned")
    assert "does not run any more; the next run of reconcile puts it back. If the tag stays: set the group" in line
    assert line.endswith(REMOVES)
    assert not needs_operator(status)


@pytest.mark.parametrize("has_cycles", [True, False])
def test_a_pin_that_nothing_puts_back_calls_for_an_operator(world: World, looked: Looked, *, has_cycles: bool) -> None:
    status = pinned(looked, "by me") if has_cycles else pinned(Looked(world))
    assert needs_operator(status)
    assert "1 pin left behind" in summary(status)
    [line] = shown(status, "pinned")
    assert ("which no cycle wrote" in line, "has no cycles any more" in line) == (has_cycles, not has_cycles)
    assert line.endswith(REMOVES)


def test_they_are_read_from_the_state_machine_without_dry_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = StepFunctions()
    monkeypatch.setattr(boto3, "client", lambda service, **_: aws.client)
    aws.add("web-1", {"group": "web"}, Turn(state(phase=Phase.BAKING, percent=100)), began=NOW - 60)
    aws.add("db-1", {"group": "db"}, Turn(), began=NOW - 5)
    aws.add("web-dry-1", {"group": "web", "dry_run": True}, Turn(), began=NOW - 1)
    aws.add("web-0", {"group": "web"}, Turn(state(), "SUCCEEDED"), began=NOW - 900)
    found = Surroundings(CYCLING, lambda: NOW).cycles()
    assert found == (
        RunningCycle("db", "db-1", "pre-flight", 0, NOW - 5),
        RunningCycle("web", "web-1", "baking", 100, NOW - 60),
    )
    json.dumps([each._asdict() for each in found])


def test_a_stack_without_cycles_is_not_asked_for_any() -> None:
    assert Surroundings(PARTS, lambda: NOW).cycles() is None


def test_whether_a_pin_calls_for_an_operator_is_not_said_of_what_is_not_known() -> None:
    assert not SeenPin("web", "latest keep x", None, is_settled=False).needs_operator
