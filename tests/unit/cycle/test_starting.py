"""What reconcile does for cycles: it starts each once that is due, and has those settled that were stopped."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.executions import Execution, Executions
from rollcall.aws.functions import Functions
from rollcall.aws.instance_refreshes import InstanceRefreshes, Refresh
from rollcall.aws.launch_templates import LaunchTemplates, TemplateVersion
from rollcall.aws.tagged_groups import RunningGroup, TaggedGroups
from rollcall.cycle.run import STEPS
from rollcall.cycle.starting import IN_FLIGHT, CycleStarter
from rollcall.domain.errors import AwsDenied, NoTimeLeft, Throttled
from rollcall.domain.groups import Group
from rollcall.domain.settings import CYCLE_TAG, PINNED_TAG
from rollcall.workflow.invocation import read_invocation
from rollcall.workflow.names import execution_name
from rollcall.workflow.running import Turns
from rollcall.workflow.schedule import LATE_MAX, NEXT_LATE
from rollcall.workflow.settling import SETTLE_AFTER, SETTLE_WITHIN
from rollcall.workflow.starting import LEAST_TIME, StarterParts
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NOW = 1_796_526_300.0  # Sunday, 2026-12-06, at five minutes past three in UTC
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:cycles"
TEMPLATE = {"LaunchTemplateId": "lt-1", "Version": "$Latest"}
SUNDAYS = "every=sun-03:00"


class FakeExecutions(Executions):
    """The executions of a state machine, by name. asked: those that were looked for."""

    def __init__(self) -> None:
        super().__init__(MACHINE)
        self.known: dict[str, Execution] = {}
        self.asked: list[str] = []
        self.denied: set[str] = set()

    def put(self, name: str, status: str, ago: float, **request: Any) -> None:
        """An execution that was stopped so many seconds ago, an hour after it began."""
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
        stopped = None if status == "RUNNING" else NOW - ago
        self.known[name] = Execution(arn, name, status, NOW - ago - 3600, stopped, request)

    def start(self, name: str, request: Mapping[str, Any]) -> bool:
        if name in self.denied:
            raise AwsDenied("no StartExecution")
        if name in self.known:
            return False
        self.put(name, "RUNNING", 0, **request)
        return True

    def find(self, name: str) -> Execution | None:
        self.asked.append(name)
        return self.known.get(name)

    def running(self, prefix: str) -> list[Execution]:
        return [each for each in self.known.values() if each.status == "RUNNING" and each.name.startswith(prefix)]

    def unfinished(self, since: float, until: float) -> list[Execution]:
        stopped = [each for each in self.known.values() if each.status in ("ABORTED", "TIMED_OUT", "FAILED")]
        return [replace(each, request={}) for each in stopped if each.stopped and since <= each.stopped <= until]


class FakeGroups(TaggedGroups):
    def __init__(self) -> None:
        super().__init__(REGION)
        self.known: list[RunningGroup] = []
        self.error: Exception | None = None

    def put(self, name: str, running: Collection[str] = (), **tags: str) -> None:
        """A group on $Latest whose instances run these versions; tags: cycle, pinned."""
        keys = {"cycle": CYCLE_TAG, "pinned": PINNED_TAG}
        runs = frozenset(("lt-1", each) for each in running)
        own = Group(name, {keys[key]: value for key, value in tags.items()}, {})
        self.known.append(RunningGroup(own, 0.0, {"LaunchTemplate": TEMPLATE}, runs))

    def tagged(self, keys: Collection[str]) -> list[RunningGroup]:
        if self.error:
            raise self.error
        return [each for each in self.known if set(keys) & each.group.tags.keys()]


class FakeTemplates(LaunchTemplates):
    latest = TemplateVersion("lt-1", "7")
    asked = 0

    def version(self, template: Mapping[str, Any], version: str) -> TemplateVersion | None:
        assert (template["LaunchTemplateId"], version) == ("lt-1", "$Latest")
        self.asked += 1
        return self.latest


class FakeRefreshes(InstanceRefreshes):
    def __init__(self) -> None:
        super().__init__(REGION)
        self.by_group: dict[str, Refresh] = {}

    def active(self, group: str) -> Refresh | None:
        return self.by_group.get(group)


class FakeFunctions(Functions):
    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, Any]]] = []

    def send(self, function: str, event: Mapping[str, Any]) -> None:
        self.sent.append((function, event))


class World:
    """What a starter works on."""

    def __init__(self) -> None:
        self.executions, self.groups, self.functions = FakeExecutions(), FakeGroups(), FakeFunctions()
        self.templates, self.refreshes = FakeTemplates(REGION), FakeRefreshes()
        self.bakes = FakeExecutions()
        self.turns = Turns([self.bakes], self.refreshes)
        self.now, self.seconds_left = NOW, 60.0
        parts = StarterParts(
            self.executions,
            self.groups,
            self.functions,
            "rollcall-Cycle",
            self.turns,
            clock=lambda: self.now,
            seconds_left=lambda: self.seconds_left,
        )
        self.starter = CycleStarter(parts, self.templates, self.refreshes)

    def started(self, only: Collection[str] | None = None) -> list[str]:
        """The names of the cycles that a run starts."""
        before = len(self.starter.outcome.started)
        return [each.name for each in self.starter.run(only, 300.0).started[before:]]

    def settled(self) -> list[str]:
        """The executions that the cycle function is sent in a run."""
        self.starter.run(None, 300.0)
        assert all(function == "rollcall-Cycle" for function, _ in self.functions.sent)
        return [read_invocation(event, STEPS).fields["name"] for _, event in self.functions.sent]


@pytest.fixture
def world() -> World:
    return World()


# Starting


def test_what_is_due_is_started_once(world: World) -> None:
    world.groups.put("web", cycle=SUNDAYS)
    name = execution_name("web", "sched-2026-12-06")
    assert world.started() == [name]
    assert world.started() == []
    assert world.executions.known[name].request == {"group": "web"}


def test_a_preview_finds_what_is_due_and_changes_nothing(world: World) -> None:
    world.groups.put("web", cycle=SUNDAYS)
    world.groups.put("db", cycle="weekly")
    world.groups.put("api", cycle=SUNDAYS, pinned="latest number api-old")
    name = execution_name("web", "sched-2026-12-06")
    outcome = world.starter.preview(None, None)
    assert ([each.name for each in outcome.started], list(outcome.errors)) == ([name], ["cycles of group db"])
    assert (world.executions.known, world.functions.sent) == ({}, [])
    outcome = world.starter.preview({"web"}, None)  # the first is as good as started
    assert ([each.name for each in outcome.started], [each.name for each in outcome.waiting]) == ([name], [name])


def test_a_new_version_is_started_once_no_matter_how_its_cycle_ended(world: World) -> None:
    world.groups.put("web", ["6"], cycle="on-new-version")
    world.executions.put(execution_name("web", "v7"), "FAILED", 9000, group="web")
    assert world.started() == []
    world.templates.latest = TemplateVersion("lt-1", "8")
    assert world.started() == [execution_name("web", "v8")]


def test_a_version_that_was_tried_keeps_no_schedule_from_its_turn(world: World) -> None:
    world.groups.put("web", ["6"], cycle=f"on-new-version {SUNDAYS}")
    world.executions.put(execution_name("web", "v7"), "FAILED", 9000, group="web")
    assert world.started() == [execution_name("web", "sched-2026-12-06")]


def test_a_group_gets_one_cycle_at_a_time(world: World) -> None:
    world.groups.put("web", ["6"], cycle=f"on-new-version {SUNDAYS}")
    assert world.started() == [execution_name("web", "v7")]


def test_instances_of_another_template_are_no_reason(world: World) -> None:
    world.groups.put("web", ["7"], cycle="on-new-version")
    [known] = world.groups.known
    world.groups.known[0] = known._replace(running=known.running | {("lt-2", "3")})
    assert world.started() == []


def test_while_another_refresh_is_active_what_is_due_waits_and_its_name_is_not_used_up(world: World) -> None:
    """Pre-flight would refuse it, and a version is tried only once."""
    world.groups.put("web", ["6"], cycle="on-new-version")
    world.refreshes.by_group["web"] = Refresh("r-1", "InProgress")
    assert world.started() == []
    assert [each.group for each in world.starter.outcome.waiting] == ["web"]
    world.refreshes.by_group.clear()
    assert world.started() == [execution_name("web", "v7")]


@pytest.mark.parametrize("pinned", [True, False], ids=["by a cycle that has pinned it", "by a bake"])
def test_in_the_last_run_in_which_it_is_due_it_waits_no_longer_so_that_it_is_published_why_it_is_refused(
    world: World, *, pinned: bool
) -> None:
    if pinned:
        world.groups.put("web", cycle=SUNDAYS, pinned="latest number web-old")
    else:
        world.groups.put("web", cycle=SUNDAYS)
        world.bakes.put(execution_name("web", "by-hand"), "RUNNING", 0)
    world.now = NOW - 300.0 + LATE_MAX - NEXT_LATE - 300.0
    assert world.started() == []
    world.now += 1
    assert world.started() == [execution_name("web", "sched-2026-12-06")]
    assert world.started() == []


def test_what_is_due_for_a_version_waits_for_as_long_as_it_is_new(world: World) -> None:
    world.groups.put("web", ["6"], cycle="on-new-version")
    world.bakes.put(execution_name("web", "by-hand"), "RUNNING", 0)
    world.now = NOW + LATE_MAX
    assert world.started() == []


def test_while_a_bake_of_the_group_runs_what_is_due_waits(world: World) -> None:
    world.groups.put("web", cycle=SUNDAYS)
    world.bakes.put(execution_name("web", "sched-2026-12-06"), "RUNNING", 0)
    assert (world.started(), [each.group for each in world.starter.outcome.waiting]) == ([], ["web"])
    world.bakes.known.clear()
    assert world.started() == [execution_name("web", "sched-2026-12-06")]


def test_what_the_same_run_has_started_is_waited_for_though_step_functions_does_not_show_it_yet(world: World) -> None:
    world.groups.put("web", cycle=SUNDAYS)
    world.turns.take("web")
    assert world.started() == []


def test_a_group_where_nothing_is_due_costs_at_most_one_call_and_one_without_the_tag_none(world: World) -> None:
    world.groups.put("web", ["7"], cycle="on-new-version")
    world.groups.put("api", ["6"], cycle="every=mon-03:00")
    world.groups.put("db", ["6"], cycle="batch=2")
    assert world.started() == []
    assert (world.templates.asked, world.executions.asked) == (1, [])


def test_a_tag_that_cannot_be_read_and_a_start_that_is_denied_keep_no_other_group_from_its_cycle(world: World) -> None:
    world.groups.put("api", cycle="evry=sun-03:00 whenever")
    world.groups.put("db", cycle=SUNDAYS)
    world.groups.put("web", cycle=SUNDAYS)
    world.executions.denied.add(execution_name("db", "sched-2026-12-06"))
    assert world.started() == [execution_name("web", "sched-2026-12-06")]
    errors = world.starter.outcome.errors
    assert list(errors) == ["cycles of group api", "cycles of group db"]
    assert CYCLE_TAG in str(errors["cycles of group api"])


def test_a_run_for_some_groups_starts_no_others(world: World) -> None:
    for name in ("api", "web"):
        world.groups.put(name, cycle=SUNDAYS)
    assert world.started({"web"}) == [execution_name("web", "sched-2026-12-06")]


def test_what_is_about_no_group_is_raised(world: World) -> None:
    world.groups.error = Throttled("slow down")
    with pytest.raises(Throttled):
        world.starter.run(None, 300.0)


def test_a_run_without_time_left_starts_nothing_so_that_its_answer_is_not_lost(world: World) -> None:
    world.groups.put("web", cycle=SUNDAYS)
    world.seconds_left = LEAST_TIME - 1
    with pytest.raises(NoTimeLeft):
        world.starter.run(None, 300.0)
    assert world.executions.known == {}


# Settling


def pinned(world: World, status: str, ago: float) -> None:
    world.groups.put("web", ["6"], cycle=f"on-new-version {SUNDAYS}", pinned="latest keep web-1-v7")
    world.executions.put("web-1-v7", status, ago, group="web")


def test_a_pin_whose_cycle_is_long_over_is_settled(world: World) -> None:
    pinned(world, "ABORTED", 2 * SETTLE_WITHIN)
    assert world.settled() == ["web-1-v7"]


def test_so_is_that_of_a_group_without_the_tag_of_cycles_which_was_cycled_by_hand(world: World) -> None:
    world.groups.put("web", pinned="latest keep web-1-v7")
    world.executions.put("web-1-v7", "ABORTED", 2 * SETTLE_WITHIN, group="web")
    assert world.settled() == ["web-1-v7"]


@pytest.mark.parametrize(("status", "ago"), [("RUNNING", 0), ("ABORTED", SETTLE_AFTER - 1), ("SUCCEEDED", 9000)])
def test_a_pin_that_its_cycle_still_needs_or_may_yet_take_away_is_left(world: World, status: str, ago: float) -> None:
    pinned(world, status, ago)
    assert world.settled() == []


def test_a_pinned_group_gets_no_cycle(world: World) -> None:
    pinned(world, "RUNNING", 0)
    assert world.started() == []


def test_a_pin_that_no_cycle_wrote_or_of_a_cycle_that_is_not_known_is_left_to_doctor(world: World) -> None:
    world.groups.put("web", pinned="by hand")
    world.groups.put("api", pinned="latest keep api-1-v2")
    assert world.settled() == []
    assert world.starter.outcome.errors == {}


def stopped(world: World, ago: float = SETTLE_AFTER + 1, status: str = "ABORTED") -> None:
    """A cycle without a pin, whose refresh goes on."""
    world.executions.put("web-1-v7", status, ago, group="web")
    world.refreshes.by_group["web"] = Refresh("r-1", "InProgress", began=NOW - ago - 1800)


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_a_refresh_that_goes_on_without_its_execution_is_settled(world: World, status: str) -> None:
    stopped(world, status=status)
    assert world.settled() == ["web-1-v7"]


def test_a_refresh_that_the_last_task_began_as_its_execution_was_stopped_is_settled(world: World) -> None:
    stopped(world)
    world.refreshes.by_group["web"] = Refresh("r-1", "Pending", began=NOW - SETTLE_AFTER - 1 + IN_FLIGHT)
    assert world.settled() == ["web-1-v7"]


@pytest.mark.parametrize("ago", [SETTLE_AFTER - 1, SETTLE_WITHIN + 1])
def test_one_that_was_stopped_just_now_or_long_ago_is_not(world: World, ago: float) -> None:
    stopped(world, ago)
    assert world.settled() == []


@pytest.mark.parametrize(
    "refresh",
    [
        None,
        Refresh("r-1", "Cancelling", began=NOW - 2000),
        Refresh("r-1", "RollbackInProgress", began=NOW - 2000),
        Refresh("r-2", "InProgress", began=NOW - 60),  # since then
        Refresh("r-2", "InProgress", began=NOW - 90_000),  # before
        Refresh("r-2", "Pending"),
    ],
)
def test_a_refresh_that_ends_by_itself_or_is_another_ones_is_left(world: World, refresh: Refresh | None) -> None:
    stopped(world)
    world.refreshes.by_group.clear()
    if refresh:
        world.refreshes.by_group["web"] = refresh
    assert world.settled() == []


def test_what_left_both_behind_is_settled_once(world: World) -> None:
    pinned(world, "ABORTED", SETTLE_AFTER + 1)
    stopped(world)
    assert world.settled() == ["web-1-v7"]
