"""What cycles and bakes left of a group, and when the next is due, as a status shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

from rollcall.aws.tagged_groups import RunningGroup
from rollcall.bake.state import BakeResult
from rollcall.cycle.state import CycleResult
from rollcall.domain.errors import AwsDenied
from rollcall.domain.groups import Group
from rollcall.workflow.names import execution_name
from rollcall_cli.status.answer import answer_of
from rollcall_cli.status.cycles import RunningCycle
from rollcall_cli.status.group_work import LastEnd
from rollcall_cli.status.surroundings import WATCHED, Surroundings
from rollcall_cli.status.words import around, needs_operator, summary
from unit.cli.cycling.step_functions import BAKE_MACHINE, MACHINE, NOW, StepFunctions, Turn
from unit.cli.status.stack import PARTS, Looked

if TYPE_CHECKING:
    from rollcall_cli.status.reading import Status
    from unit.world import World

MACHINES = {"CycleStateMachine": MACHINE, "BakeStateMachine": BAKE_MACHINE}
BOTH = PARTS._replace(resources={"AWS::StepFunctions::StateMachine": MACHINES})
TEMPLATE = "lt-1"


@pytest.fixture
def looked(world: World) -> Looked:
    world.group("web")
    world.group("db")
    found = Looked(world, BOTH)
    found.around.known_cycles, found.around.known_bakes = (), ()
    return found


def group(version: str, *running: str, name: str = "web", **tags: str) -> RunningGroup:
    """A group whose instances run these versions; tags without their prefix."""
    own = Group(name, {f"rollcall:{key}": value for key, value in tags.items()}, {})
    template = {"LaunchTemplateId": TEMPLATE, "Version": version}
    return RunningGroup(own, 0.0, {"LaunchTemplate": template}, frozenset((TEMPLATE, each) for each in running))


def shown(status: Status, heading: str) -> list[str]:
    return [
        line.text for each in around(status, ("--stack", "other")) if each.heading == heading for line in each.lines
    ]


def test_the_next_by_schedule_is_shown_in_utc_and_in_the_time_zone_of_the_tag(looked: Looked) -> None:
    looked.world.clock.now = 1_796_526_300.0  # Sunday, 2026-12-06, at five minutes past three in UTC
    looked.around.known_groups = [
        group("1", bake="every=sun-03:00@Europe/Berlin", cycle="every=daily-04:00"),
        group("1", name="db", bake="every=sometimes", cycle="never every=daily-04:00"),
    ]
    status = looked.status()
    assert shown(status, "bakes") == ["none", "web: next by schedule: Sun 2026-12-13 02:00 UTC (03:00 Europe/Berlin)"]
    assert shown(status, "cycles") == ["none", "web: next by schedule: Sun 2026-12-06 04:00 UTC"]
    assert [(each["group"], each["what"]) for each in answer_of(status)["next_due"]] == [
        ("web", "bake"),
        ("web", "cycle"),
    ]
    assert looked.status("db").due == ()
    without = Looked(looked.world)
    without.around.known_groups = looked.around.known_groups
    assert without.status().due == ()  # the stack has neither


@pytest.mark.parametrize(
    ("launches", "running", "said"),
    [
        ("1", ["7"], "version 7"),
        ("1", ["7", "1"], "versions 1 and 7"),
        ("12", ["9", "10", "12"], "versions 9, 10 and 12"),
        ("$Latest", ["7", "8"], "versions 7 and 8"),
    ],
)
def test_a_group_with_instances_of_another_version_than_it_launches_is_not_all_well(
    looked: Looked, launches: str, running: list[str], said: str
) -> None:
    looked.around.known_groups = [group(launches, *running)]
    status = looked.status()
    assert summary(status) == "no instance waits; 1 group with mixed versions"
    assert not needs_operator(status)
    assert shown(status, "mixed versions") == [
        f"web: its instances run {said}, and it launches {launches}; rollcall cycle --skip-matching --stack other web "
        "brings all of them to that"
    ]
    assert answer_of(status)["mixed_versions"][0]["launches"] == launches


@pytest.mark.parametrize(("launches", "running"), [("7", ["7"]), ("$Latest", ["7"]), ("7", []), ("$Default", [])])
def test_instances_of_one_version_are_not_mixed(looked: Looked, launches: str, running: list[str]) -> None:
    looked.around.known_groups = [group(launches, *running)]
    assert summary(looked.status()) == "no instance waits; all well"


def test_while_a_cycle_of_the_group_runs_its_versions_are_mixed_for_a_reason(looked: Looked) -> None:
    looked.around.known_groups = [group("7", "7", "8")]
    looked.around.known_cycles = (RunningCycle("web", "web-1234abcd-v8", "replacing", 40, 0.0),)
    assert looked.status().mixed == ()


def test_a_bake_that_failed_is_shown_and_the_command_that_shows_more(looked: Looked) -> None:
    looked.around.known_ends = (LastEnd("web", "bake", "web-1234abcd-k", "failed", NOW),)
    status = looked.status()
    assert summary(status) == "no instance waits; the last bake of web failed"
    assert not needs_operator(status)  # an incident says that, where one is open
    [none, line] = shown(status, "bakes")
    assert (none, line) == (
        "none",
        "web: the last bake ended as failed, 2026-11-30 22:15 UTC: rollcall bake --watch --stack other web shows it",
    )
    assert answer_of(status)["last_ended"] == [looked.around.known_ends[0]._asdict()]


def test_what_an_operator_cancelled_is_shown_and_all_is_well(looked: Looked) -> None:
    looked.around.known_ends = (LastEnd("web", "cycle", "web-1234abcd-k", "cancelled", NOW),)
    status = looked.status()
    assert summary(status) == "no instance waits; all well"
    assert "ended as cancelled" in shown(status, "cycles")[1]


def test_what_may_not_be_read_is_named(looked: Looked) -> None:
    looked.around.failing["ends"] = AwsDenied("AWS refused it")
    looked.around.failing["running_groups"] = AwsDenied("AWS refused it")
    status = looked.status()
    assert [each.what for each in status.gaps] == [
        "how the last cycles and bakes ended",
        "which versions instances run",
    ]


def test_of_each_group_the_last_is_read_that_is_no_dry_run(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = StepFunctions()
    monkeypatch.setattr(boto3, "client", lambda service, **_: aws.client)

    def add(group: str, key: str, ago: float, turn: Turn, machine: str = MACHINE) -> None:
        aws.add(execution_name(group, key), {"group": group}, turn, began=NOW - ago, machine=machine)

    add("web", "a", 900, Turn(status="SUCCEEDED"))
    add("web", "b", 600, Turn(status="FAILED", error=CycleResult.ROLLED_BACK))
    add("web", "dry-1", 60, Turn(status="SUCCEEDED"))
    add("db", "c", 900, Turn(status="FAILED", error=CycleResult.FAILED))
    add("db", "d", 600, Turn(status="SUCCEEDED"))
    add("web", "e", 600, Turn(status="FAILED", error=BakeResult.CANCELLED), BAKE_MACHINE)
    add("db", "f", 600, Turn(status="TIMED_OUT"), BAKE_MACHINE)
    add("api", "g", 600, Turn(), BAKE_MACHINE)
    add("api", "h", 300, Turn(status="FAILED", error=BakeResult.REFUSED), BAKE_MACHINE)  # for the one that runs
    seen = Surroundings(BOTH, lambda: NOW).ends(("api", "db", "web"))
    assert [(each.group, each.what, each.result, each.went_wrong) for each in seen] == [
        ("web", "cycle", "rolled back", True),
        ("db", "bake", "ran out of time", True),
        ("web", "bake", "cancelled", False),
    ]
    assert Surroundings(BOTH, lambda: NOW + WATCHED).ends(("api", "db", "web")) == ()
    assert Surroundings(PARTS, lambda: NOW).ends(("web",)) == ()
