"""The steps of a cycle: what is read, done and published, also where the function died in the middle of one."""

from __future__ import annotations

from copy import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from rollcall.aws.gate_log import GateLine
from rollcall.aws.instance_refreshes import Ending, Refresh
from rollcall.cycle.ending import require_settled
from rollcall.cycle.news import CycleEvent
from rollcall.cycle.preflight import Plan, Preflight
from rollcall.cycle.reading import LATE_LINES
from rollcall.cycle.request import read_request
from rollcall.cycle.run import CycleRun
from rollcall.cycle.state import LISTED_MAX, CycleResult, CycleState, EndedBy, Phase
from rollcall.domain.errors import AwsRejected, BadEvent, RefreshStillActive, TowerUnavailable
from rollcall.domain.jobs import JobEvent, JobStatus, Outcome
from rollcall.domain.objections import Objection
from rollcall.domain.settings import PINNED_TAG, RETIRE_TAG
from rollcall.workflow.invocation import VERSION_TO_COME
from rollcall.workflow.names import execution_name
from rollcall.workflow.waiting import SOON, next_wait
from unit.cycle.cycle_world import BAKES, EXECUTION, CycleWorld, FunctionDiedError, member
from unit.fakes import FakeChef

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.cycle.news import CycleAnswer
    from unit.world import World


@pytest.fixture
def cycle(world: World) -> CycleWorld:
    made = CycleWorld(world)
    made.group(member("i-1"), member("i-2"))
    return made


def begun(cycle: CycleWorld, **own: object) -> CycleState:
    """A cycle whose refresh has begun."""
    state = cycle.step("start", cycle.state(**own)).state
    cycle.aws.now(status="InProgress", began=cycle.world.clock.now)
    return state


def replaced(cycle: CycleWorld, *instance_ids: str, target_groups: tuple[str, ...] = ()) -> None:
    """AWS has replaced the group's instances by these, which a job has provisioned."""
    world = cycle.world
    for each in ("i-1", "i-2"):
        cycle.terminated[each] = world.clock.now
    for each in instance_ids:
        cycle.launched[each] = world.clock.now
        world.tower.add_host(world.inventory, each, variables={"rollcall": {"group": "web"}})
        job = world.tower.add_job(world.template, world.inventory, each)
        world.tower.end_job(job.id, {each: Outcome.OK})
    cycle.group(*(member(each, "2") for each in instance_ids), version="2", target_groups=target_groups)
    cycle.aws.now(status="Successful", percent=100)


# Pre-flight

PLAN = Plan(
    target_version="2",
    from_version="1",
    template_id="lt-1",
    pinned_from="",
    sent={"AutoScalingGroupName": "web", "Preferences": {}},
    rolls_back=True,
    why_no_rollback="",
    skip_matching=False,
    desired=2,
    batch=1,
    maximum_healthy=150,
    replaced=2,
    batches=2,
    order=("i-1", "i-2"),
    estimate_seconds=60.0,
    nothing_to_replace=False,
    untried=False,
    notes=("careful",),
)
REQUEST = {"group": "web"}


def preflight(cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch, found: Preflight, **request: object) -> CycleAnswer:
    """What the step answers where pre-flight comes to this."""
    asked = read_request({**REQUEST, **request}, None)
    observer = SimpleNamespace(preflight=lambda raw, execution, to_come: (asked, found))
    monkeypatch.setattr(CycleRun, "_observer", lambda run, state: observer)
    return cycle.step("preflight", CycleState("web"), request={**REQUEST, **request})


def test_what_nothing_speaks_against_is_started_as_planned(cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = preflight(cycle, monkeypatch, Preflight((), PLAN.notes, PLAN))
    assert (answer.next, answer.state.sent, answer.state.rolls_back) == ("start", PLAN.sent, True)
    assert (answer.state.warnings, answer.state.plan["batches"], answer.state.left) == (("careful",), 2, 2)


def test_a_group_that_is_to_be_pinned_is_pinned_first(cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = preflight(cycle, monkeypatch, Preflight((), (), replace(PLAN, pinned_from="$Latest")))
    assert (answer.next, answer.state.pinned_from) == ("pin", "$Latest")


@pytest.mark.parametrize("to_come", [True, False])
def test_a_bake_asks_for_the_pre_flight_to_a_version_to_come_as_no_other_does(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch, *, to_come: bool
) -> None:
    asked: list[bool] = []

    def found(raw: object, execution: str, *, to_come: bool) -> tuple[object, Preflight]:
        asked.append(to_come)
        return read_request(raw, None), Preflight((), (), PLAN)

    monkeypatch.setattr(CycleRun, "_observer", lambda run, state: SimpleNamespace(preflight=found))
    cycle.step("preflight", CycleState("web"), request=REQUEST, **({VERSION_TO_COME: True} if to_come else {}))
    assert asked == [to_come]


def test_pre_flight_asks_which_other_bakes_of_the_group_run(cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Callable[[str], object]] = {}
    monkeypatch.setattr("rollcall.cycle.observer.PreflightObserver", lambda *_, **named: given.update(named))
    monkeypatch.setattr("rollcall.cycle.run.other_bakes", lambda *asked: asked)
    cycle._run()._observer(CycleState("web", execution=EXECUTION, name="web-1"))
    assert given["bakes"]("web") == (BAKES, "web", "web-1")


def test_all_objections_are_in_the_state_and_nothing_is_begun(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    objections = (Objection("one", "the first", "mend it"), Objection("two", "the second", "mend it, too"))
    answer = preflight(cycle, monkeypatch, Preflight(objections, (), PLAN))
    assert (answer.next, answer.state.result, answer.state.objections) == ("put_back", CycleResult.REFUSED, objections)
    assert answer.state.reason == "the first; the second"
    assert cycle.aws.changes == []


def test_a_dry_run_ends_with_the_plan(cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = preflight(cycle, monkeypatch, Preflight((), (), PLAN), dry_run=True)
    assert (answer.next, answer.state.result, answer.state.plan["order"]) == (
        "put_back",
        CycleResult.DRY_RUN,
        ["i-1", "i-2"],
    )


def test_a_dry_run_with_objections_has_answered_what_it_was_asked_and_fails_no_execution(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Preflight((Objection("forbidden", "its tag says never", "take it out"),), (), PLAN)
    state = preflight(cycle, monkeypatch, found, dry_run=True).state
    assert (state.result, state.reason, state.objections) == (
        CycleResult.DRY_RUN,
        "its tag says never",
        found.objections,
    )
    assert cycle.step("put_back", state).next == "succeeded"


def test_where_nothing_is_to_be_replaced_it_says_so_and_succeeds(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = preflight(cycle, monkeypatch, Preflight((), (), replace(PLAN, nothing_to_replace=True)))
    assert (answer.next, answer.state.result) == ("put_back", CycleResult.NOTHING_TO_REPLACE)


@pytest.mark.parametrize("key", ["sched-2026-12-06", "bake-0123456789ab"])
def test_a_cycle_that_a_tag_or_a_bake_started_waits_for_tower_and_one_by_hand_is_answered_at_once(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    cycle.world.tower.unavailable = True
    assert preflight(cycle, monkeypatch, Preflight((), (), PLAN)).next == "start"
    cycle.execution_name = execution_name("web", key)
    with pytest.raises(TowerUnavailable):
        preflight(cycle, monkeypatch, Preflight((), (), PLAN))


def test_a_cycle_that_a_tag_started_is_not_refused_because_tower_gave_no_answer_to_one_question(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Preflight(
        (Objection("not looked at (TowerUnavailable)", "inventories could not be read", "wait"),), (), PLAN
    )
    assert preflight(cycle, monkeypatch, found).state.result == CycleResult.REFUSED
    cycle.execution_name = execution_name("web", "v7")
    with pytest.raises(TowerUnavailable, match="inventories could not be read"):
        preflight(cycle, monkeypatch, found)


@pytest.mark.parametrize(("key", "published"), [("by-hand", []), ("sched-2026-12-06", [CycleEvent.FAILED])])
def test_only_a_cycle_that_a_tag_started_publishes_that_it_was_refused(
    cycle: CycleWorld, key: str, published: list[CycleEvent]
) -> None:
    cycle.execution_name = execution_name("web", key)
    cycle.step("put_back", cycle.state(result=CycleResult.REFUSED))
    assert cycle.published == published


# Start


def test_a_refresh_is_started_with_what_pre_flight_decided(cycle: CycleWorld) -> None:
    answer = cycle.step("start", cycle.state())
    assert (answer.next, answer.wait, answer.state.refresh_id) == ("wait", 15, "r-1")
    assert cycle.aws.known[0].preferences == cycle.state().sent["Preferences"]
    assert cycle.published == [CycleEvent.STARTED]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_function_that_dies_at_the_call_starts_one_refresh_in_all(cycle: CycleWorld, after: bool) -> None:
    cycle.aws.dies_at, cycle.aws.dies_after = 1, after
    with pytest.raises(FunctionDiedError):
        cycle.step("start", cycle.state())
    answer = cycle.step("start", cycle.state())
    assert answer.state.refresh_id == "r-1"
    assert cycle.aws.changes == ["start"]


def test_a_step_that_is_repeated_after_its_refresh_has_ended_starts_no_second_one(cycle: CycleWorld) -> None:
    cycle.step("start", cycle.state())
    cycle.aws.now(status="Cancelled", began=cycle.world.clock.now)
    assert cycle.step("start", cycle.state()).state.refresh_id == "r-1"
    assert cycle.aws.changes == ["start"]


def test_a_refresh_that_was_started_before_the_execution_is_anothers(cycle: CycleWorld) -> None:
    sent = cycle.state().sent
    before = Refresh(
        "r-0", "InProgress", began=cycle.world.clock.now - 60,
        desired_configuration=sent["DesiredConfiguration"], preferences=sent["Preferences"],
    )  # fmt: skip
    cycle.aws.known.append(before)
    answer = cycle.step("start", cycle.state())
    assert (answer.next, answer.state.result) == ("put_back", CycleResult.REFUSED)
    assert "another instance refresh of the group began meanwhile" in answer.state.reason
    assert cycle.aws.changes == []


def test_a_refresh_with_other_preferences_that_was_faster_is_anothers(cycle: CycleWorld) -> None:
    other = Refresh("r-0", "Pending", preferences={"MinHealthyPercentage": 50})
    cycle.aws.before_start = lambda: cycle.aws.known.append(other)
    assert cycle.step("start", cycle.state()).state.result == CycleResult.REFUSED


def test_what_aws_refuses_to_start_fails_in_its_words(cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise AwsRejected("StartInstanceRefresh of group web: ValidationError: no")

    monkeypatch.setattr(cycle.aws, "start", refuse)
    answer = cycle.step("start", cycle.state())
    assert (answer.next, answer.state.result) == ("put_back", CycleResult.FAILED)
    assert "ValidationError: no" in answer.state.reason


def test_how_many_targets_were_healthy_is_known_from_the_start(cycle: CycleWorld) -> None:
    cycle.group(member("i-1"), member("i-2"), target_groups=("tg",))
    cycle.world.fleet.targets.said("healthy", of="i-1", by="tg")
    cycle.world.fleet.targets.said("unhealthy", of="i-2", by="tg")
    assert cycle.step("start", cycle.state()).state.healthy_at_start == {"tg": 1}


# Follow


def test_progress_is_published_when_operators_see_something_else(cycle: CycleWorld) -> None:
    state = begun(cycle)
    cycle.published.clear()
    first = cycle.step("follow", state)
    assert (first.next, first.state.left) == ("wait", 2)
    cycle.step("follow", first.state)
    assert cycle.published == [CycleEvent.PROGRESS]
    cycle.launched["i-3"] = cycle.world.clock.now
    cycle.group(member("i-1"), member("i-2"), member("i-3", "2", "Pending:Wait"))
    assert cycle.step("follow", first.state).state.in_progress == 1
    assert cycle.published == [CycleEvent.PROGRESS, CycleEvent.PROGRESS]


def against(cycle: CycleWorld, *instance_ids: str, task: str = "Install nginx") -> None:
    """The gate abandons these new instances, for their jobs failed at a task."""
    world = cycle.world
    for each in instance_ids:
        cycle.launched[each] = world.clock.now
        job = world.tower.add_job(world.template, world.inventory, each)
        world.tower.end_job(job.id, {each: Outcome.FAILED})
        world.tower.runs[job.id].events = [JobEvent(1, "runner_on_failed", each, task)]
        cycle.gate_log.lines.append(GateLine(world.clock.now, each, "abandon", (), job.id, "abandoned: its job failed"))


def test_two_machines_on_which_one_task_fails_roll_it_back_and_the_job_is_named(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3", "i-4")
    answer = cycle.step("follow", state)
    assert cycle.aws.changes[-1] == "rollback"
    assert (answer.next, answer.state.phase) == ("wait", Phase.ROLLING_BACK)
    assert [each.what for each in answer.state.verdicts] == ["Install nginx", "Install nginx"]
    job = max(cycle.world.tower.runs)
    assert answer.state.verdicts[-1].job_url == f"https://tower.example.com/#/jobs/playbook/{job}/output"


def test_one_bad_machine_is_named_and_ends_nothing(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3")
    answer = cycle.step("follow", state)
    assert (answer.next, len(answer.state.verdicts)) == ("wait", 1)
    assert cycle.aws.changes == ["start"]


def test_an_old_instance_that_the_gate_abandoned_says_nothing_of_the_version(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3", "i-4")
    cycle.launched.clear()
    assert cycle.step("follow", state).state.verdicts == ()


def test_an_instance_of_the_old_version_that_is_launched_meanwhile_says_nothing_of_the_new_one(
    cycle: CycleWorld,
) -> None:
    state = begun(cycle)
    against(cycle, "i-3", "i-4")
    cycle.group(member("i-1"), member("i-3", "1", "Pending:Wait"), member("i-4", "2", "Pending:Wait"))
    assert [each.instance_id for each in cycle.step("follow", state).state.verdicts] == ["i-4"]


def test_a_verdict_is_read_from_tower_once(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3")
    known = cycle.step("follow", state).state
    cycle.world.tower.calls.clear()
    assert cycle.step("follow", known).state.verdicts == known.verdicts
    assert cycle.world.tower.calls == {}


def test_machines_that_no_job_reached_fail_for_the_same_reason(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3", "i-4")
    for run in cycle.world.tower.runs.values():
        run.events = []
    answer = cycle.step("follow", state)
    assert "the connection to them failed on i-3 and i-4" in answer.state.reason


def test_a_task_whose_failure_the_playbook_ignores_is_not_why(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3")
    [run] = cycle.world.tower.runs.values()
    run.events = [*run.events, JobEvent(2, "runner_on_failed", "i-3", "Try a mirror", ignored=True)]
    [verdict] = cycle.step("follow", state).state.verdicts
    assert verdict.what == "Install nginx"


def test_a_check_that_fails_on_two_machines_is_named(cycle: CycleWorld) -> None:
    state = begun(cycle)
    for each in ("i-3", "i-4"):
        cycle.launched[each] = cycle.world.clock.now
        cycle.gate_log.lines.append(
            GateLine(cycle.world.clock.now, each, "hold", ("http:80/health",), 41, "a check of it fails")
        )
    answer = cycle.step("follow", state)
    assert answer.state.reason == "check http:80/health failed on i-3 and i-4"


def test_where_aws_cannot_roll_back_after_all_it_is_cancelled(cycle: CycleWorld) -> None:
    state = begun(cycle)
    cycle.aws.irreversible = True
    against(cycle, "i-3", "i-4")
    cycle.step("follow", state)
    assert cycle.aws.changes[-1] == "cancel"


def test_a_rollback_that_began_though_its_answer_was_lost_is_not_cancelled(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3", "i-4")
    answered = cycle.aws.rollback

    def lost(group: str) -> Ending:
        answered(group)
        return Ending.IRREVERSIBLE  # to the request that was sent again

    cycle.aws.rollback = lost  # type: ignore[method-assign]
    cycle.step("follow", state)
    assert cycle.aws.changes == ["start", "rollback"]


def test_a_group_that_is_deleted_meanwhile_fails(cycle: CycleWorld) -> None:
    state = begun(cycle)
    cycle.aws.groups.clear()
    answer = cycle.step("follow", state)
    assert (answer.next, answer.state.reason) == ("put_back", "the group does not exist any more")


def test_while_tower_is_away_the_refresh_is_followed_and_it_is_said(cycle: CycleWorld) -> None:
    state = begun(cycle)
    against(cycle, "i-3", "i-4")
    cycle.world.tower.unavailable = True
    away = cycle.step("follow", state)
    assert (away.next, away.state.verdicts) == ("wait", ())
    assert away.state.unread.startswith("the gate's verdicts: ")
    cycle.world.tower.unavailable = False
    back = cycle.step("follow", away.state)
    assert (back.state.phase, back.state.unread) == (Phase.ROLLING_BACK, "")


def test_of_the_gates_log_only_what_is_new_is_read_and_what_comes_late_is_not_missed(
    cycle: CycleWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = begun(cycle)
    asked: list[float] = []
    decisions = cycle.gate_log.decisions

    def noted(group: str, since: float) -> list[GateLine]:
        asked.append(since)
        return decisions(group, since)

    monkeypatch.setattr(cycle.gate_log, "decisions", noted)
    state = cycle.step("follow", state).state
    against(cycle, "i-3")
    cycle.world.clock.now += LATE_LINES
    assert len(cycle.step("follow", state).state.verdicts) == 1
    cycle.world.tower.unavailable = True
    away = cycle.step("follow", state).state
    assert (away.verdicts_read, away.verdicts) == (state.verdicts_read, ())
    cycle.world.tower.unavailable = False
    cycle.world.clock.now += 86_400
    cycle.step("follow", cycle.step("follow", away).state)
    assert asked == [*[state.began] * 4, cycle.world.clock.now - LATE_LINES]


# Verify


def test_what_aws_calls_successful_is_verified_and_succeeds(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3", "i-4")
    verifying = cycle.step("follow", state)
    assert verifying.next == "verify"
    verified = cycle.step("verify", verifying.state)
    assert (verified.next, verified.state.result) == ("put_back", CycleResult.SUCCEEDED)
    assert verified.state.reason == "2 instances were verified"


@pytest.mark.parametrize(("retire", "then"), [("", "wait"), ("retire", "put_back")])
def test_a_host_that_its_terminate_hook_still_holds_is_waited_for_unless_a_retire_job_needs_it(
    cycle: CycleWorld, retire: str, then: str
) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3", "i-4")
    cycle.world.tower.add_host(cycle.world.inventory, "i-1")
    known = cycle.aws.groups["web"]
    members = (*known.members, member("i-1", state="Terminating:Wait"))
    tags = {**known.group.tags, RETIRE_TAG: retire}
    cycle.aws.groups["web"] = replace(known, members=members, group=known.group._replace(tags=tags))
    verified = cycle.step("verify", cycle.step("follow", state).state)
    assert verified.next == then
    named = "i-1 is in its retire job, and its host goes after it"
    assert (named in verified.state.warnings) == (then == "put_back")


def test_what_does_not_verify_within_its_time_fails_with_the_list(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3")
    cycle.world.tower.add_host(cycle.world.inventory, "i-1")
    verifying = cycle.step("follow", state).state
    waiting = cycle.step("verify", verifying)
    assert (waiting.next, waiting.state.unverified) == (
        "wait",
        ("the host of the old instance i-1 is still in inventory 'prod'",),
    )
    cycle.world.clock.advance(61)
    failed = cycle.step("verify", waiting.state)
    assert (failed.next, failed.state.result) == ("put_back", CycleResult.FAILED)
    assert "the host of the old instance i-1 is still in inventory 'prod'" in failed.state.reason


def test_what_the_group_terminates_later_or_keeps_in_its_warm_pool_need_not_be_gone(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3", "i-4", "i-5")
    verifying = cycle.step("follow", state).state
    cycle.terminated["i-4"] = cycle.world.clock.now
    cycle.terminated["i-5"] = cycle.world.clock.now + 1
    known = cycle.aws.groups["web"]
    cycle.aws.groups["web"] = known._replace(members=known.members[:1], pool=(member("i-4", "2", "Warmed:Stopped"),))
    cycle.world.clock.now += 2
    assert cycle.step("verify", verifying).state.result == CycleResult.SUCCEEDED


def test_only_instances_in_service_are_counted_as_verified(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3", "i-4")
    known = cycle.aws.groups["web"]
    pool = (member("i-4", "2", "Warmed:Stopped"),)
    cycle.aws.groups["web"] = known._replace(members=known.members[:1], pool=pool)
    verified = cycle.step("verify", cycle.step("follow", state).state).state
    assert verified.reason == "1 instance was verified"


def test_a_large_group_that_does_not_verify_keeps_the_state_small(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3")
    cycle.group(*(member(f"i-{number}") for number in range(2000)), version="2")
    waiting = cycle.step("verify", cycle.step("follow", state).state).state
    assert len(waiting.unverified) == LISTED_MAX
    assert waiting.unverified[-1] == "and 1981 more"


def test_an_instance_that_no_job_of_its_stint_proves_does_not_verify(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3")
    for run in cycle.world.tower.runs.values():
        run.outcomes = {"i-3": Outcome.FAILED}
        run.job = replace(run.job, status=JobStatus.FAILED)
    verifying = cycle.step("follow", state).state
    [problem] = cycle.step("verify", verifying).state.unverified
    assert problem.startswith("i-3 is not provisioned: job")


def test_a_group_without_a_job_needs_a_host_for_each_instance(cycle: CycleWorld) -> None:
    cycle.world.group("web", job_template="")
    state = begun(cycle)
    replaced(cycle, "i-3")
    assert cycle.step("verify", cycle.step("follow", state).state).state.result == CycleResult.SUCCEEDED
    cycle.world.tower.remove_host("i-3")
    [problem] = cycle.step("verify", cycle.step("follow", state).state).state.unverified
    assert problem == "i-3 is not provisioned: it has no host in Tower"


def test_a_node_of_an_old_instance_in_chef_does_not_verify(cycle: CycleWorld) -> None:
    cycle.world.group("web", chef="@instance_id@")
    cycle.world.chef = FakeChef()
    cycle.world.chef.bootstrap("i-1")
    state = begun(cycle)
    replaced(cycle, "i-3")
    [problem] = cycle.step("verify", cycle.step("follow", state).state).state.unverified
    assert problem == "the node i-1 of the old instance i-1 is still in Chef"


def test_while_tower_is_away_it_is_verified_later_for_as_long_as_that_may_take(cycle: CycleWorld) -> None:
    state = begun(cycle)
    replaced(cycle, "i-3", "i-4")
    verifying = cycle.step("follow", state).state
    cycle.world.tower.unavailable = True
    waiting = cycle.step("verify", verifying)
    assert (waiting.next, len(waiting.state.unverified)) == ("wait", 1)
    cycle.world.tower.unavailable = False
    assert cycle.step("verify", waiting.state).state.result == CycleResult.SUCCEEDED


# Put back


@pytest.mark.parametrize(
    ("result", "event", "next_word"),
    [
        (CycleResult.CANCELLED, CycleEvent.CANCELLED, "failed"),
        (CycleResult.FAILED, CycleEvent.FAILED, "failed"),
        (CycleResult.ROLLED_BACK, CycleEvent.ROLLED_BACK, "failed"),
        (CycleResult.SUCCEEDED, CycleEvent.SUCCEEDED, "succeeded"),
    ],
)
def test_each_end_is_published_and_ends_the_execution(
    cycle: CycleWorld, result: CycleResult, event: CycleEvent, next_word: str
) -> None:
    answer = cycle.step("put_back", cycle.state(result=result))
    assert (answer.next, answer.state.phase, cycle.published) == (next_word, Phase.ENDED, [event])


@pytest.mark.parametrize(
    ("version", "launches", "number"), [("1", "1", "1"), ("$Latest", "$Latest", "2"), ("$Gone", "$Gone", "")]
)
def test_what_did_not_go_well_is_left_with_its_versions_counted_and_the_next_one_named(
    cycle: CycleWorld, version: str, launches: str, number: str
) -> None:
    state = replace(begun(cycle), result=CycleResult.CANCELLED)
    leaving = member("i-9", "1", "Terminating:Wait")
    own = replace(member("i-5"), template_id="lt-other")
    coming = member("i-4", "2", "Pending:Wait")
    cycle.group(member("i-1"), member("i-2"), member("i-3", "2"), coming, own, leaving, version=version)
    cycle.aws.now(status="Cancelled")
    ended = cycle.step("put_back", state).state
    assert (ended.runs, ended.launches, ended.launches_number) == ({"1": 2, "2": 2, "": 1}, launches, number)


@pytest.mark.parametrize(
    ("result", "refresh_id"), [(CycleResult.SUCCEEDED, "r-1"), (CycleResult.REFUSED, ""), (CycleResult.DRY_RUN, "")]
)
def test_what_went_well_or_never_began_leaves_nothing_to_say_of_versions(
    cycle: CycleWorld, result: CycleResult, refresh_id: str
) -> None:
    ended = cycle.step("put_back", cycle.state(result=result, refresh_id=refresh_id)).state
    assert (ended.runs, ended.launches) == ({}, "")


def test_a_pinned_group_that_failed_launches_next_what_it_was_put_back_on(cycle: CycleWorld) -> None:
    pinned = cycle.state(pinned_from="$Default", result=CycleResult.ROLLED_BACK, refresh_id="r-1")
    cycle.group(member("i-1"), version="$Default")
    cycle.step("pin", pinned)
    ended = cycle.step("put_back", pinned).state
    assert (ended.launches, ended.launches_number, ended.runs) == ("$Default", "1", {"1": 1})
    assert ended.put_back.startswith("the group is on $Default again")


def test_a_group_without_a_launch_template_has_no_versions_to_name(cycle: CycleWorld) -> None:
    state = replace(begun(cycle), result=CycleResult.CANCELLED)
    cycle.aws.groups["web"] = cycle.aws.groups["web"]._replace(configuration={})
    cycle.aws.now(status="Cancelled")
    assert cycle.step("put_back", state).state.launches == ""


@pytest.mark.parametrize("result", [CycleResult.DRY_RUN, CycleResult.NOTHING_TO_REPLACE, CycleResult.REFUSED])
def test_what_replaced_nothing_publishes_nothing(cycle: CycleWorld, result: CycleResult) -> None:
    cycle.step("put_back", cycle.state(result=result))
    assert cycle.published == []


def test_after_an_error_the_refresh_is_cancelled_before_anything_is_put_back(cycle: CycleWorld) -> None:
    state = begun(cycle)
    error = {"Error": "Runtime.ExitError", "Cause": "out of memory"}
    waiting = cycle.step("put_back", state, error=error)
    assert (waiting.next, cycle.aws.changes[-1]) == ("wait", "cancel")
    assert "the cycle function failed: Runtime.ExitError: out of memory" in waiting.state.reason
    cycle.aws.now(status="Cancelled")
    ended = cycle.step("put_back", waiting.state, error=error)
    assert (ended.next, ended.state.result) == ("failed", CycleResult.FAILED)


def test_a_refresh_that_was_begun_by_a_step_that_never_answered_is_cancelled(cycle: CycleWorld) -> None:
    starting = cycle.state(phase=Phase.STARTING)
    cycle.aws.dies_at, cycle.aws.dies_after = 1, True
    with pytest.raises(FunctionDiedError):
        cycle.step("start", starting)
    waiting = cycle.step("put_back", starting, error={"Error": "Lambda.Unknown", "Cause": ""})
    assert (waiting.next, waiting.state.refresh_id, cycle.aws.changes) == ("wait", "r-1", ["start", "cancel"])


def test_the_rollback_of_a_long_cycle_is_waited_for_with_ever_longer_pauses(cycle: CycleWorld) -> None:
    state = begun(cycle)
    cycle.aws.now(status="RollbackInProgress")
    assert cycle.step("put_back", state).wait == SOON
    cycle.world.clock.now += 86_400
    assert cycle.step("put_back", state).wait == next_wait(86_400)
    assert cycle.aws.changes == ["start"], "what ends by itself is not cancelled"


def test_how_it_ended_stands_whatever_error_comes_after(cycle: CycleWorld) -> None:
    answer = cycle.step(
        "put_back", cycle.state(result=CycleResult.ROLLED_BACK, reason="two failed"), error={"Error": "E"}
    )
    assert (answer.state.result, answer.state.reason) == (CycleResult.ROLLED_BACK, "two failed")


def test_a_refused_cycle_cancels_no_refresh_though_it_is_just_what_it_would_have_started(cycle: CycleWorld) -> None:
    begun(cycle)
    cycle.step("put_back", cycle.state(result=CycleResult.REFUSED))
    cycle.step("put_back", cycle.state(phase=Phase.STARTING, result=CycleResult.REFUSED))
    assert cycle.aws.changes == ["start"]


# A pinned group


def pinned(cycle: CycleWorld, alias: str = "$Latest", follow: str = "keep") -> CycleState:
    """A cycle of a group on an alias, that asked for a pin."""
    cycle.group(member("i-1"), member("i-2"), version=alias)
    state = cycle.state(pinned_from=alias)
    return replace(state, request={**state.request, "follow": follow})


def version(cycle: CycleWorld) -> str:
    """What the group is set to."""
    return str(cycle.aws.groups["web"].configuration["LaunchTemplate"]["Version"])


def test_a_group_is_pinned_to_what_its_instances_run_and_that_is_recorded_first(cycle: CycleWorld) -> None:
    pinned_state = pinned(cycle)
    assert cycle.step("pin", pinned_state).next == "start"
    assert cycle.aws.changes == ["tag latest keep web-1234abcd-now", "version 1"]
    assert cycle.step("pin", pinned_state).next == "start"
    assert len(cycle.aws.changes) == 2, "it is done once"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_function_that_dies_while_it_pins_leaves_a_record_or_nothing(
    cycle: CycleWorld, number: int, after: bool
) -> None:
    state = pinned(cycle)
    cycle.aws.dies_at, cycle.aws.dies_after = number, after
    with pytest.raises(FunctionDiedError):
        cycle.step("pin", state)
    assert version(cycle) == "$Latest" or PINNED_TAG in cycle.aws.groups["web"].group.tags
    cycle.step("pin", state)
    assert (version(cycle), cycle.aws.groups["web"].group.tags[PINNED_TAG]) == ("1", "latest keep web-1234abcd-now")


def test_a_version_that_was_set_by_hand_meanwhile_is_not_overwritten(cycle: CycleWorld) -> None:
    state = pinned(cycle)
    cycle.group(member("i-1"), member("i-2"), version="9")
    answer = cycle.step("pin", state)
    assert (answer.next, answer.state.result, cycle.aws.changes) == ("put_back", CycleResult.FAILED, [])
    assert "is on version 9 by now, and was on $Latest" in answer.state.reason


def test_after_success_the_group_gets_its_alias_back(cycle: CycleWorld) -> None:
    state = pinned(cycle)
    cycle.step("pin", state)
    cycle.group(member("i-3", "2"), version="2")
    answer = cycle.step("put_back", replace(state, result=CycleResult.SUCCEEDED))
    assert (version(cycle), answer.state.put_back) == ("$Latest", "the group is on $Latest again, which is version 2")
    assert PINNED_TAG not in cycle.aws.groups["web"].group.tags


def test_after_a_rollback_an_alias_that_stands_for_the_bad_version_is_not_restored(cycle: CycleWorld) -> None:
    state = pinned(cycle)
    cycle.step("pin", state)
    answer = cycle.step("put_back", replace(state, result=CycleResult.ROLLED_BACK))
    assert version(cycle) == "1"
    assert answer.state.put_back.startswith("the group stays on version 1: $Latest")
    assert PINNED_TAG not in cycle.aws.groups["web"].group.tags


def test_a_group_that_is_to_stay_on_the_number_does(cycle: CycleWorld) -> None:
    state = pinned(cycle, follow="number")
    cycle.step("pin", state)
    cycle.group(member("i-3", "2"), version="2")
    cycle.step("put_back", replace(state, result=CycleResult.SUCCEEDED))
    assert version(cycle) == "2"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [3, 4])
def test_a_function_that_dies_while_it_puts_back_puts_back_the_next_time(
    cycle: CycleWorld, number: int, after: bool
) -> None:
    state = pinned(cycle)
    cycle.step("pin", state)
    cycle.group(member("i-3", "2"), version="2")
    cycle.aws.dies_at, cycle.aws.dies_after = number, after
    with pytest.raises(FunctionDiedError):
        cycle.step("put_back", replace(state, result=CycleResult.SUCCEEDED))
    cycle.step("put_back", replace(state, result=CycleResult.SUCCEEDED))
    assert version(cycle) == "$Latest"
    assert PINNED_TAG not in cycle.aws.groups["web"].group.tags


def test_the_pin_of_another_cycle_is_left_alone(cycle: CycleWorld) -> None:
    state = pinned(cycle)
    cycle.step("pin", state)
    cycle.aws.set_tag("web", PINNED_TAG, "latest keep web-1234abcd-other")
    cycle.step("put_back", replace(state, result=CycleResult.FAILED))
    assert cycle.aws.groups["web"].group.tags[PINNED_TAG] == "latest keep web-1234abcd-other"


# An execution that ended some other way


def test_an_execution_that_was_stopped_by_hand_has_its_refresh_cancelled_and_its_group_put_back(
    cycle: CycleWorld,
) -> None:
    state = pinned(cycle)
    cycle.step("pin", state)
    begun(cycle, pinned_from="$Latest")
    with pytest.raises(RefreshStillActive, match="what its cycle changed is put back when it has ended"):
        require_settled(cycle.settle("ABORTED"))
    assert cycle.aws.changes[-1] == "cancel"
    over(cycle, "Cancelled")
    cycle.aws.aliases["$Latest"] = "1"
    answer = cycle.settle("ABORTED")
    assert answer.state.reason == "its execution was stopped by hand"
    assert version(cycle) == "$Latest"


def over(cycle: CycleWorld, status: str) -> None:
    """The refresh ends so now."""
    cycle.aws.now(status=status, ended=cycle.world.clock.now)


@pytest.mark.parametrize(
    ("found", "phase", "ends"),
    [
        ("InProgress", Phase.CANCELLING, "Cancelled"),
        ("Cancelling", Phase.CANCELLING, "Cancelled"),
        ("RollbackInProgress", Phase.ROLLING_BACK, "RollbackSuccessful"),
    ],
)
def test_the_end_of_a_stopped_cycle_is_published_once_as_soon_as_its_refresh_is_seen_to_end(
    cycle: CycleWorld, found: str, phase: Phase, ends: str
) -> None:
    """Lambda has the event come again after a minute and after three; reconcile sends another after ten."""
    begun(cycle)
    cycle.aws.now(status=found)
    cycle.published.clear()
    stopped = cycle.world.clock.now
    first = cycle.settle("ABORTED")
    assert (first.next, [each.state.phase for each in first.news]) == ("wait", [phase])
    for seconds in (60, 180):
        cycle.world.clock.now = stopped + seconds
        assert cycle.settle("ABORTED", stopped=stopped).next == "wait"
    over(cycle, ends)
    assert cycle.settle("ABORTED", stopped=stopped).next == "failed"
    cycle.world.clock.now = stopped + 600
    cycle.settle("ABORTED", stopped=stopped)
    assert cycle.published == [CycleEvent.CANCELLED]


def test_an_event_that_reconcile_of_the_release_before_has_sent_settles_a_cycle_too(cycle: CycleWorld) -> None:
    """It has no stopDate; Lambda keeps an event for six hours, so for as long after an upgrade."""
    begun(cycle)
    cycle.aws.now(status="InProgress")
    cycle.published.clear()
    assert (cycle.settle("ABORTED", dated=False).next, cycle.aws.changes[-1]) == ("wait", "cancel")
    over(cycle, "Cancelled")
    assert cycle.settle("ABORTED", dated=False).next == "failed"
    assert cycle.published == [CycleEvent.CANCELLED]


def test_a_first_event_that_is_some_seconds_late_publishes_the_end_of_a_cycle_that_was_cancelling(
    cycle: CycleWorld,
) -> None:
    begun(cycle)
    cycle.aws.now(status="Cancelling")
    stopped = cycle.world.clock.now
    cycle.world.clock.now += 59
    assert [each.kind for each in cycle.settle("ABORTED", stopped=stopped).news] == [CycleEvent.CANCELLED]


@pytest.mark.parametrize(("status", "by"), [("ABORTED", EndedBy.OPERATOR), ("TIMED_OUT", EndedBy.NOTHING)])
def test_only_an_execution_that_was_stopped_was_ended_by_an_operator(
    cycle: CycleWorld, status: str, by: EndedBy
) -> None:
    begun(cycle)
    assert cycle.settle(status).state.ended_by == by


def test_before_it_starts_one_a_stopped_cycle_has_no_refresh_that_could_be_taken_for_its_own(cycle: CycleWorld) -> None:
    cycle.step("start", cycle.state(phase=Phase.STARTING))
    cycle.aws.now(status="InProgress", began=cycle.world.clock.now)
    changes = list(cycle.aws.changes)
    cycle.history.output = {"cycle": cycle.state(phase=Phase.PREFLIGHT).to_json()}
    assert cycle.settle("ABORTED").state.refresh_id == ""
    assert cycle.aws.changes == changes


@pytest.mark.parametrize("status", ["Cancelled", "Failed"])
def test_the_end_of_a_stopped_cycle_whose_refresh_was_over_is_published_however_late(
    cycle: CycleWorld, status: str
) -> None:
    begun(cycle)
    over(cycle, status)
    cycle.published.clear()
    stopped = cycle.world.clock.now
    cycle.world.clock.now += 600
    cycle.settle("ABORTED", stopped=stopped)
    assert cycle.published == [CycleEvent.CANCELLED]


def test_the_end_of_a_stopped_cycle_whose_refresh_went_on_to_its_end_is_published_where_the_event_was_lost(
    cycle: CycleWorld,
) -> None:
    begun(cycle)
    cycle.published.clear()
    stopped = cycle.world.clock.now
    cycle.world.clock.now += 600
    over(cycle, "Successful")
    cycle.settle("ABORTED", stopped=stopped)
    assert cycle.published == [CycleEvent.CANCELLED]


def test_a_refresh_that_the_step_start_could_not_name_is_cancelled_with_its_execution(cycle: CycleWorld) -> None:
    starting = cycle.state(phase=Phase.STARTING)
    cycle.step("start", starting)
    cycle.aws.now(status="InProgress", began=cycle.world.clock.now)
    cycle.history.output = {"cycle": starting.to_json()}
    cycle.published.clear()
    answer = cycle.settle("TIMED_OUT")
    assert (answer.next, answer.state.refresh_id, cycle.aws.changes[-1]) == ("wait", "r-1", "cancel")
    assert cycle.published == [CycleEvent.CANCELLED]


def test_an_execution_that_ended_as_it_should_has_nothing_to_settle(cycle: CycleWorld) -> None:
    cycle.step("put_back", cycle.state(result=CycleResult.FAILED))
    cycle.published.clear()
    cycle.settle("FAILED")
    assert cycle.published == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [("ABORTED", CycleEvent.CANCELLED), ("FAILED", CycleEvent.FAILED), ("TIMED_OUT", CycleEvent.CANCELLED)],
)
def test_what_is_published_of_an_execution_that_did_not_come_to_its_end(
    cycle: CycleWorld, status: str, kind: CycleEvent
) -> None:
    begun(cycle)
    cycle.aws.now(status="Cancelled")
    cycle.published.clear()
    cycle.settle(status)
    assert cycle.published == [kind]


def test_an_execution_that_was_stopped_before_its_first_step_changed_nothing(cycle: CycleWorld) -> None:
    answer = cycle.settle("ABORTED")
    assert (answer.state.group, cycle.aws.changes) == ("web", [])
    assert (answer.state.execution, answer.state.execution_started) == (EXECUTION, cycle.world.clock.now)
    assert cycle.published == [CycleEvent.CANCELLED]


@pytest.mark.parametrize("given", ["[]", "{}", '{"grop": "web"}', '{"group": 7}'])
def test_an_execution_whose_input_names_no_group_has_nothing_to_settle(cycle: CycleWorld, given: str) -> None:
    answer = cycle.settle("FAILED", given)
    assert (answer.next, answer.news, cycle.aws.changes) == ("succeeded", (), [])


def test_the_refresh_of_another_cycle_is_not_cancelled_with_a_stopped_execution(cycle: CycleWorld) -> None:
    begun(cycle)
    cycle.aws.known.insert(0, Refresh("r-other", "InProgress"))
    cycle.settle("ABORTED")
    assert cycle.aws.changes == ["start"]


def test_a_step_that_a_cycle_has_not_is_named(cycle: CycleWorld) -> None:
    with pytest.raises(BadEvent, match="a cycle has no step 'dance'"):
        cycle.step("dance", cycle.state())
