"""Bakes that run, as a status shows them: read, in words, and in JSON."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from rollcall.domain.errors import AwsDenied
from rollcall_cli.status.answer import answer_of
from rollcall_cli.status.bakes import RunningBake
from rollcall_cli.status.surroundings import Surroundings
from rollcall_cli.status.words import around, needs_operator, summary
from unit.bake_news import BUILDER, IMAGE, MADE, STATE
from unit.cli.cycling.step_functions import BAKE_MACHINE, NOW, StepFunctions, Turn
from unit.cli.status.stack import PARTS, Looked

if TYPE_CHECKING:
    from rollcall_cli.stack_parts import StackParts
    from rollcall_cli.status.reading import Status
    from unit.world import World

BAKING: StackParts = PARTS._replace(resources={"AWS::StepFunctions::StateMachine": {"BakeStateMachine": BAKE_MACHINE}})
RUNS = RunningBake("web", "web-1234abcd-k", "provisioning", BUILDER, "", 0.0)


@pytest.fixture
def looked(world: World) -> Looked:
    world.group("web")
    world.group("db")
    found = Looked(world, BAKING)
    found.around.known_bakes = ()
    return found


def shown(status: Status) -> list[str]:
    """The lines of the entry for bakes; none without it."""
    return [line.text for each in around(status, ()) if each.heading == "bakes" for line in each.lines]


def test_a_bake_that_runs_is_shown_with_its_phase_its_builder_and_since_when(looked: Looked) -> None:
    looked.around.known_bakes = (RUNS._replace(since=looked.world.clock.now - 720),)
    status = looked.status()
    assert summary(status) == "no instance waits; 1 bake runs; all well"
    [line] = shown(status)
    assert line.startswith(f"web: provisioning, builder {BUILDER}; running for 12 minutes, since 20")
    assert line.endswith("; web-1234abcd-k; rollcall bake --watch web shows it")
    assert answer_of(status)["bakes"] == [looked.around.known_bakes[0]._asdict()]


def test_of_a_group_that_is_named_only_its_own_bakes_are_shown(looked: Looked) -> None:
    looked.around.known_bakes = (RUNS, RUNS._replace(group="db", name="db-5678abcd-k", image=IMAGE))
    [line] = shown(looked.status("db"))
    assert f"db: provisioning, image {IMAGE}; running for " in line


def test_where_none_runs_that_is_said_and_where_the_stack_has_none_nothing(looked: Looked, world: World) -> None:
    assert shown(looked.status()) == ["none"]
    without = Looked(world).status()
    assert (without.bakes, shown(without)) == (None, [])


def test_what_may_not_be_read_is_named_with_the_permissions(looked: Looked) -> None:
    looked.around.failing["bakes"] = AwsDenied("AWS refused it")
    status = looked.status()
    [gap] = status.gaps
    assert (gap.what, status.bakes) == ("which bakes run", None)
    assert "of its bakes" in gap.remedy
    assert needs_operator(status)


def test_they_are_read_from_their_own_state_machine_without_dry_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = StepFunctions()
    monkeypatch.setattr(boto3, "client", lambda service, **_: aws.client)
    made = replace(STATE, **MADE)
    aws.add("web-1", {"group": "web"}, Turn(made), began=NOW - 60, machine=BAKE_MACHINE)
    aws.add("db-1", {"group": "db"}, Turn(), began=NOW - 5, machine=BAKE_MACHINE)
    aws.add("web-dry-1", {"group": "web", "dry_run": True}, Turn(), began=NOW - 1, machine=BAKE_MACHINE)
    assert Surroundings(BAKING, lambda: NOW).bakes() == (
        RunningBake("db", "db-1", "pre-flight", "", "", NOW - 5),
        RunningBake("web", "web-1", "provisioning", BUILDER, IMAGE, NOW - 60),
    )
    assert Surroundings(PARTS, lambda: NOW).bakes() is None
