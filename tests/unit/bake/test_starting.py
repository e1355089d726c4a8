"""What reconcile does for bakes: what is due started once, what is left removed by the bake function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.builders import Builders
from rollcall.aws.executions import UNFINISHED, Execution, Executions
from rollcall.aws.functions import Functions
from rollcall.aws.instance_refreshes import InstanceRefreshes, Refresh
from rollcall.aws.tagged_groups import RunningGroup, TaggedGroups
from rollcall.bake.invocation import read_invocation, retire_event, retire_others_event
from rollcall.bake.moments import LATE_AFTER, RETIRE_EVERY, moment_text
from rollcall.bake.starting import BakeStarter
from rollcall.domain.bake_tags import BAKE_EXECUTION, BAKE_TAG, BAKE_UNTIL
from rollcall.domain.errors import NoTimeLeft, Throttled
from rollcall.domain.groups import Group
from rollcall.workflow.invocation import BY_RECONCILE
from rollcall.workflow.names import execution_name
from rollcall.workflow.running import Turns
from rollcall.workflow.schedule import LATE_MAX, NEXT_LATE
from rollcall.workflow.settling import SETTLE_AFTER, SETTLE_WITHIN
from rollcall.workflow.starting import LEAST_TIME, StarterParts
from unit.fakes import ACCOUNT, REGION
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.instances import Instance

NOW = 1_796_526_300.0  # Sunday, 2026-12-06, at five minutes past three in UTC
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Bake"
SUNDAYS = "every=sun-03:00"
DUE = execution_name("web", "sched-2026-12-06")


class FakeExecutions(Executions):
    def __init__(self) -> None:
        super().__init__(MACHINE)
        self.known: dict[str, Execution] = {}
        self.failing: set[str] = set()

    def put(self, name: str, status: str, ago: float = 0.0) -> None:
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
        stopped = None if status == "RUNNING" else NOW - ago
        self.known[name] = Execution(arn, name, status, NOW - ago - 3600, stopped, {"group": "web"})

    def start(self, name: str, request: Mapping[str, Any]) -> bool:
        if name in self.known:
            return False
        self.put(name, "RUNNING")
        self.known[name] = self.known[name]._replace(request=request)
        return True

    def find(self, name: str) -> Execution | None:
        if name in self.failing:
            raise Throttled("later")
        return self.known.get(name)

    def unfinished(self, since: float, until: float) -> list[Execution]:
        ended = (each for each in self.known.values() if each.status in UNFINISHED)
        return [each._replace(request={}) for each in ended if since <= (each.stopped or 0.0) <= until]

    def running(self, prefix: str) -> list[Execution]:
        return [each for each in self.known.values() if each.status == "RUNNING" and each.name.startswith(prefix)]


class FakeRefreshes(InstanceRefreshes):
    going_on: Refresh | None = None

    def active(self, group: str) -> Refresh | None:
        return self.going_on


class FakeGroups(TaggedGroups):
    known: tuple[RunningGroup, ...] = ()

    def tagged(self, keys: Collection[str]) -> list[RunningGroup]:
        return [each for each in self.known if set(keys) & each.group.tags.keys()]


class FakeBuilders(Builders):
    known: tuple[Instance, ...] = ()

    def instances_of_bakes(self) -> list[Instance]:
        return list(self.known)


class FakeFunctions(Functions):
    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    def send(self, function: str, event: Mapping[str, Any]) -> None:
        assert function == "bake"
        self.sent.append(event)


class Scene:
    """What a starter works on."""

    def __init__(self) -> None:
        self.executions, self.groups = FakeExecutions(), FakeGroups(REGION)
        self.builders, self.functions = FakeBuilders(REGION), FakeFunctions()
        self.cycles, self.refreshes = FakeExecutions(), FakeRefreshes(REGION)
        self.now, self.seconds_left = NOW, 60.0

    def group(self, name: str, tag: str) -> None:
        own = RunningGroup(Group(name, {BAKE_TAG: tag}, {}), 0.0, {}, frozenset())
        self.groups.known = (*self.groups.known, own)

    def instance(self, execution: str, until: float) -> None:
        tags = {BAKE_EXECUTION: execution, BAKE_UNTIL: moment_text(until)}
        self.builders.known = (*self.builders.known, World().instance("i-a", tags=tags))

    def run(self, only: Collection[str] | None = None, every: float | None = 300.0) -> BakeStarter:
        starter = self.starter()
        starter.run(only, every)
        return starter

    def starter(self) -> BakeStarter:
        parts = StarterParts(
            self.executions,
            self.groups,
            self.functions,
            "bake",
            Turns([self.executions, self.cycles], self.refreshes),
            clock=lambda: self.now,
            seconds_left=lambda: self.seconds_left,
        )
        return BakeStarter(parts, self.builders)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_is_due_is_started_once_and_bakes_only_what_is_new(scene: Scene) -> None:
    scene.group("web", SUNDAYS)
    assert [each.name for each in scene.run().outcome.started] == [DUE]
    assert scene.executions.known[DUE].request == {"group": "web", "only_if_new": True}
    assert scene.run().outcome.started == []


def test_a_preview_finds_what_is_due_and_changes_nothing(scene: Scene) -> None:
    scene.group("db", "weekly")
    scene.group("web", SUNDAYS)
    scene.instance("gone", until=NOW - LATE_AFTER)
    outcome = scene.starter().preview(None, None)
    assert [each.name for each in outcome.started] == [DUE]
    assert list(outcome.errors) == ["bakes of group db"]
    assert (scene.executions.known, scene.functions.sent) == ({}, [])
    assert scene.starter().preview({"db"}, None).started == []
    scene.executions.put(DUE, "SUCCEEDED")
    assert scene.starter().preview(None, None).started == []


@pytest.mark.parametrize("of", ["bake", "cycle", "refresh"])
def test_while_something_else_is_at_work_on_the_group_what_is_due_waits_and_its_name_is_not_used_up(
    scene: Scene, of: str
) -> None:
    scene.group("web", SUNDAYS)
    scene.cycles.put(execution_name("db", "by-hand"), "RUNNING")
    other = scene.cycles if of == "cycle" else scene.executions
    if of == "refresh":
        scene.refreshes.going_on = Refresh("r-1", "InProgress")
    else:
        other.put(execution_name("web", "by-hand"), "RUNNING")
    outcome = scene.run().outcome
    assert ([each.name for each in outcome.waiting], outcome.started) == ([DUE], [])
    other.known.clear()
    scene.refreshes.going_on = None
    assert [each.name for each in scene.run().outcome.started] == [DUE]


def test_in_the_last_run_in_which_it_is_due_it_waits_no_longer_so_that_it_is_published_why_it_is_refused(
    scene: Scene,
) -> None:
    scene.group("web", SUNDAYS)
    scene.cycles.put(execution_name("web", "by-hand"), "RUNNING")
    scene.now = NOW - 300.0 + LATE_MAX - NEXT_LATE - 300.0
    assert [each.name for each in scene.run().outcome.waiting] == [DUE]
    scene.now += 1
    assert [each.name for each in scene.run(every=None).outcome.waiting] == [DUE]
    assert [each.name for each in scene.run().outcome.started] == [DUE]
    assert scene.run().outcome.started == []


def test_a_dry_run_keeps_nothing_waiting(scene: Scene) -> None:
    scene.group("web", SUNDAYS)
    scene.executions.put(execution_name("web", "dry-20261206T030000"), "RUNNING")
    assert [each.name for each in scene.run().outcome.started] == [DUE]


def test_a_run_for_other_groups_starts_nothing_of_it_and_removes_nothing(scene: Scene) -> None:
    scene.group("web", SUNDAYS)
    scene.instance("gone", until=NOW - LATE_AFTER)
    outcome = scene.run(only={"db"}).outcome
    assert (outcome.started, outcome.swept, scene.functions.sent) == ([], [], [])


def test_a_tag_that_cannot_be_read_keeps_no_other_group_from_its_bake(scene: Scene) -> None:
    scene.group("db", "weekly")
    scene.group("web", SUNDAYS)
    outcome = scene.run().outcome
    assert [each.group for each in outcome.started] == ["web"]
    assert list(outcome.errors) == ["bakes of group db"]


def test_an_instance_of_a_bake_that_was_stopped_has_that_bake_settled(scene: Scene) -> None:
    scene.executions.put("stopped", "ABORTED", ago=SETTLE_AFTER + 1)
    scene.instance("stopped", until=NOW + 3600)
    assert scene.run().outcome.settled == ["stopped"]
    [event] = scene.functions.sent
    assert read_invocation(event).fields["status"] == "ABORTED"


@pytest.mark.parametrize("ago", [SETTLE_AFTER + 1, SETTLE_WITHIN])
@pytest.mark.parametrize("status", UNFINISHED)
def test_one_that_was_stopped_a_while_ago_is_settled_though_none_of_its_instances_lives(
    scene: Scene, status: str, ago: float
) -> None:
    """It may have moved a default version, and its image has no word about its roll-out."""
    scene.executions.put("stopped", status, ago=ago)
    assert scene.run().outcome.settled == ["stopped"]
    fields = read_invocation(scene.functions.sent[0]).fields
    assert (fields["status"], fields["input"], fields[BY_RECONCILE]) == (status, '{"group": "web"}', True)
    assert fields["startDate"] == 1000 * scene.executions.known["stopped"].started


@pytest.mark.parametrize(
    ("ago", "error"), [(SETTLE_AFTER - 1, ""), (SETTLE_WITHIN + 1, ""), (SETTLE_AFTER + 1, "refused")]
)
def test_one_of_just_now_or_long_ago_and_one_that_has_ended_by_itself_is_not(
    scene: Scene, ago: float, error: str
) -> None:
    scene.executions.put("stopped", "FAILED", ago=ago)
    scene.executions.known["stopped"] = scene.executions.known["stopped"]._replace(error=error)
    assert scene.run().outcome.settled == []


@pytest.mark.parametrize(("status", "ago"), [("RUNNING", 0.0), ("ABORTED", 10.0), ("SUCCEEDED", 9999.0)])
def test_one_of_a_bake_that_runs_or_was_stopped_just_now_is_left_to_it(scene: Scene, status: str, ago: float) -> None:
    scene.executions.put("bake", status, ago)
    scene.instance("bake", until=NOW + 3600)
    assert scene.run().outcome.settled == []
    assert scene.functions.sent == []


def test_one_whose_time_is_over_is_removed_whatever_its_bake_does(scene: Scene) -> None:
    scene.executions.put("bake", "RUNNING")
    scene.instance("bake", until=NOW - LATE_AFTER)
    assert scene.run().outcome.swept == ["i-a"]
    assert [read_invocation(each).step for each in scene.functions.sent] == ["sweep"]


def test_a_bake_that_cannot_be_found_keeps_no_other_from_being_settled(scene: Scene) -> None:
    scene.executions.put("stopped", "ABORTED", ago=SETTLE_AFTER + 1)
    scene.executions.failing = {"away"}
    scene.instance("away", until=NOW + 3600)
    scene.instance("stopped", until=NOW + 3600)
    outcome = scene.run().outcome
    assert (outcome.settled, list(outcome.errors)) == (["stopped"], ["bake away"])


def test_old_images_are_retired_four_times_a_day(scene: Scene) -> None:
    scene.group("web", "smoke=off")
    retired = 0
    for run in range(24 * 12):
        scene.now = NOW - NOW % RETIRE_EVERY + run * 300.0
        retired += len(scene.run().outcome.retired)
    assert retired == 4
    assert [read_invocation(each).step for each in scene.functions.sent] == ["retire", "retire_others"] * 4
    assert scene.run(every=None).outcome.retired == []


def test_images_of_groups_without_tags_are_retired_by_runs_over_all_groups(scene: Scene) -> None:
    scene.now = NOW - NOW % RETIRE_EVERY
    scene.run(["web"])
    assert scene.functions.sent == []
    scene.run()
    assert scene.functions.sent == [retire_others_event(scene.now - SETTLE_WITHIN)]


@pytest.mark.parametrize(("every", "window"), [(300.0, SETTLE_WITHIN), (7200.0, 3 * 7200.0)])
def test_with_that_roll_outs_are_recorded_of_bakes_that_no_run_has_settled_any_more(
    scene: Scene, every: float, window: float
) -> None:
    scene.group("web", "smoke=off")
    scene.now = NOW - NOW % RETIRE_EVERY
    for ago, name in ((window, "last"), (window + 1, "over")):
        scene.executions.put(name, "ABORTED", ago=NOW - scene.now + ago)
    outcome = scene.run(every=every).outcome
    assert outcome.settled == ["last"]
    since = scene.now - window
    assert scene.functions.sent[:2] == [retire_event("web", ended_before=since), retire_others_event(since)]


def test_of_a_group_whose_tags_cannot_be_read_nothing_is_retired(scene: Scene) -> None:
    """How much is to be kept is in them; the bake function would fail for them, too, and sound its alarm."""
    scene.group("web", "weekly")
    scene.now = NOW - NOW % RETIRE_EVERY
    outcome = scene.run().outcome
    assert (outcome.retired, scene.functions.sent) == ([], [retire_others_event(scene.now - SETTLE_WITHIN)])
    assert list(outcome.errors) == ["bakes of group web"]


def test_without_time_nothing_is_begun(scene: Scene) -> None:
    scene.group("web", SUNDAYS)
    scene.seconds_left = LEAST_TIME - 1
    with pytest.raises(NoTimeLeft):
        scene.run()
    assert scene.executions.known == {}
