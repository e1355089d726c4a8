"""What becomes of a cycle in a round, by what AWS shows of its refresh and the gate decided against its instances."""

from __future__ import annotations

from copy import replace
from typing import Any

import pytest

from rollcall.aws.instance_refreshes import Refresh
from rollcall.cycle.observed import GroupNow, Member
from rollcall.cycle.progress import CycleDecision, progress
from rollcall.cycle.state import CycleResult, CycleState, CycleVerdict, EndedBy, Phase

NOW = 1_000_000.0
BEGAN = NOW - 600.0
TEMPLATE = "lt-1"
STATE = CycleState(
    group="web",
    request={"checkpoints": [], "checkpoint_seconds": 3600, "bake_seconds": 0, "protected": "wait", "standby": "wait"},
    refresh_id="r-1",
    template_id=TEMPLATE,
    target_version="2",
    from_version="1",
    rolls_back=True,
    began=BEGAN,
    phase=Phase.REPLACING,
    phase_since=BEGAN,
)


def new(number: int, state: str = "InService") -> Member:
    return Member(f"i-new{number}", state, "2", TEMPLATE, launched=NOW - 100)


def old(number: int, state: str = "InService", **own: Any) -> Member:
    return Member(f"i-old{number}", state, "1", TEMPLATE, **own)


def group(*members: Member, desired: int = 4) -> GroupNow:
    launched = {each.instance_id: each.launched for each in members if each.launched is not None}
    return GroupNow(desired, members, {}, launched, {})


def verdict(
    number: int, what: str = "Install nginx", template: int | None = 7, decision: str = "abandon"
) -> CycleVerdict:
    return CycleVerdict(f"i-new{number}", decision, what, template, 40 + number, None, "its job failed")


def refresh(status: str = "InProgress", **own: Any) -> Refresh:
    return Refresh("r-1", status, began=BEGAN, **own)


def test_instances_are_counted_as_new_under_way_and_left() -> None:
    members = [new(1), new(2, "Pending:Wait"), old(1, "Terminating:Wait", terminated=NOW - 5), old(2), old(3)]
    done = progress(STATE, refresh(percent=25), group(*members), (), NOW)
    assert (done.state.new, done.state.in_progress, done.state.left, done.state.percent) == (1, 2, 2, 25)
    assert done.decision == CycleDecision.WAIT


def test_each_instance_that_moves_is_listed_with_its_stage_and_how_long_it_took_so_far() -> None:
    members = [old(2), new(1), old(1, "Terminating:Wait", terminated=NOW - 5), new(2, "Pending:Wait")]
    listed = progress(STATE, refresh(), group(*members), (), NOW).state.instances
    assert [(each.id, each.stage, each.seconds) for each in listed] == [
        ("i-new2", "being provisioned and checked", 100),
        ("i-old1", "being removed from Tower", 5),
        ("i-new1", "in service", 100),
    ]


def test_the_seconds_of_a_listed_instance_say_what_they_count_from() -> None:
    kept = Member("i-kept", "InService", "2", TEMPLATE)
    members = [new(1, "Pending"), old(1, "Terminating", launched=NOW - 50, terminated=NOW - 5), kept]
    listed = progress(replace(STATE, skip_matching=True), refresh(), group(*members), (), NOW).state.instances
    assert [(each.id, each.seconds, each.since) for each in listed] == [
        ("i-new1", 100, "launch"),
        ("i-old1", 5, "termination"),
        ("i-kept", 0, ""),
    ]


@pytest.mark.parametrize(
    ("came_through", "own", "stage", "left"),
    [
        (NOW - 20.5, {}, "warming up", 40),
        (NOW + 3, {}, "warming up", 60),
        (None, {}, "warming up", None),
        (NOW - 60, {}, "in service", None),
        (NOW - 20, {"InstanceWarmup": 30}, "warming up", 10),
        (NOW - 20, {"InstanceWarmup": 0}, "in service", None),
    ],
    ids=[
        "the group's",
        "it came later than the time of the step",
        "since when is not known",
        "over",
        "the refresh's own",
        "none",
    ],
)
def test_an_instance_in_service_warms_up_until_aws_counts_it(
    came_through: float | None, own: dict[str, int], stage: str, left: int | None
) -> None:
    now = replace(group(new(1)._replace(came_through=came_through)), warmup=60)
    [listed] = progress(STATE, refresh(preferences=own), now, (), NOW).state.instances
    assert (listed.stage, listed.left) == (stage, left)


@pytest.mark.parametrize("status", ["Baking", "Successful", "RollbackInProgress", "Cancelled"])
def test_no_instance_warms_up_once_the_refresh_replaces_no_more(status: str) -> None:
    now = replace(group(new(1)._replace(came_through=NOW - 1)), warmup=60)
    assert [each.stage for each in progress(STATE, refresh(status), now, (), NOW).state.instances] == ["in service"]


def test_what_was_there_before_the_cycle_does_not_warm_up() -> None:
    now = replace(group(Member("i-kept", "InService", "2", TEMPLATE)), warmup=60)
    [listed] = progress(replace(STATE, skip_matching=True), refresh(), now, (), NOW).state.instances
    assert listed.stage == "in service"


def test_no_more_than_twenty_instances_are_listed() -> None:
    members = [new(number, "Pending") for number in range(30)]
    assert len(progress(STATE, refresh(), group(*members, desired=30), (), NOW).state.instances) == 20


def test_an_instance_of_the_old_version_that_was_launched_meanwhile_is_not_new() -> None:
    members = [old(1, launched=NOW - 50)]
    assert progress(STATE, refresh(), group(*members), (), NOW).state.new == 0


def test_without_another_version_new_is_what_was_launched_since() -> None:
    state = replace(STATE, target_version="")
    members = [old(1, launched=NOW - 50), old(2)]
    counted = progress(state, refresh(), group(*members), (), NOW).state
    assert (counted.new, counted.left) == (1, 1)


def test_with_skip_matching_what_has_the_version_already_counts_as_new() -> None:
    state = replace(STATE, skip_matching=True)
    members = [Member("i-kept", "InService", "2", TEMPLATE), old(1)]
    counted = progress(state, refresh(), group(*members), (), NOW).state
    assert (counted.new, counted.left) == (1, 1)


def test_what_an_override_with_a_template_of_its_own_launches_is_new_once_it_was_launched_since() -> None:
    override = Member("i-own", "InService", "7", "lt-own", of_override=True)
    members = [override._replace(launched=NOW - 50), override._replace(instance_id="i-before"), old(1)]
    counted = progress(STATE, refresh(), group(*members), (), NOW).state
    assert (counted.new, counted.left) == (1, 2)


def test_ignored_instances_are_not_left_to_replace() -> None:
    state = replace(STATE, request={**STATE.request, "protected": "ignore", "standby": "ignore"})
    members = [old(1, protected=True), old(2, "Standby"), old(3)]
    assert progress(state, refresh(), group(*members), (), NOW).state.left == 1


@pytest.mark.parametrize("decision", ["abandon", "hold"])
@pytest.mark.parametrize("status", ["Baking", "InProgress", "Pending"])
def test_two_instances_that_fail_at_the_same_task_roll_it_back(status: str, decision: str) -> None:
    against = [verdict(1, decision=decision), verdict(2, decision=decision)]
    done = progress(STATE, refresh(status), group(new(1), new(2)), against, NOW)
    assert done.decision == CycleDecision.ROLL_BACK
    assert done.state.reason == "task 'Install nginx' failed on i-new1 and i-new2 (job 41, job 42)"
    assert done.state.phase == Phase.ROLLING_BACK


def test_verdicts_of_two_rounds_count_together() -> None:
    first = progress(STATE, refresh(), group(new(1)), [verdict(1)], NOW)
    assert first.decision == CycleDecision.WAIT
    assert progress(first.state, refresh(), group(new(1)), [verdict(2)], NOW).decision == CycleDecision.ROLL_BACK


def test_one_instance_with_two_verdicts_is_one_bad_machine() -> None:
    assert progress(STATE, refresh(), group(new(1)), [verdict(1), verdict(1)], NOW).decision == CycleDecision.WAIT


@pytest.mark.parametrize(
    "other",
    [verdict(2, "Start nginx"), verdict(2, template=8), verdict(2, "http:80", None)],
    ids=["task", "template", "check"],
)
def test_verdicts_for_different_reasons_do_not_end_it(other: CycleVerdict) -> None:
    assert progress(STATE, refresh(), group(new(1)), [verdict(1), other], NOW).decision == CycleDecision.WAIT


def test_verdicts_that_end_it_are_kept_among_however_many() -> None:
    alone = tuple(verdict(number, what=f"task {number}") for number in range(20))
    done = progress(replace(STATE, verdicts=alone), refresh(), group(new(1)), [verdict(30, what="task 7")], NOW)
    assert (done.decision, len(done.state.verdicts)) == (CycleDecision.ROLL_BACK, 20)
    assert [each.instance_id for each in done.state.verdicts[:2]] == ["i-new7", "i-new30"]


def test_one_check_that_two_machines_share_is_enough_whatever_else_failed_on_one() -> None:
    both = verdict(1, what="http:80/health elb", template=None)
    done = progress(STATE, refresh(), group(new(1)), [both, verdict(2, what="elb", template=None)], NOW)
    assert done.decision == CycleDecision.ROLL_BACK
    assert done.state.reason.startswith("check elb failed on i-new1 and i-new2")


def test_one_verdict_is_enough_in_a_group_of_one() -> None:
    done = progress(STATE, refresh(), group(new(1), desired=1), [verdict(1)], NOW)
    assert done.decision == CycleDecision.ROLL_BACK


def test_where_it_is_not_to_be_rolled_back_it_is_cancelled() -> None:
    state = replace(STATE, rolls_back=False)
    done = progress(state, refresh(), group(new(1)), [verdict(1), verdict(2)], NOW)
    assert (done.decision, done.state.phase) == (CycleDecision.CANCEL, Phase.CANCELLING)


@pytest.mark.parametrize("status", ["Cancelling", "RollbackInProgress"])
def test_what_ends_already_is_waited_for_whatever_the_verdicts(status: str) -> None:
    done = progress(STATE, refresh(status), group(new(1)), [verdict(1), verdict(2)], NOW)
    assert done.decision == CycleDecision.WAIT


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("Failed", CycleResult.FAILED),
        ("RollbackFailed", CycleResult.FAILED),
        ("RollbackSuccessful", CycleResult.ROLLED_BACK),
    ],
)
def test_a_refresh_that_is_over_is_put_back_with_awss_words(status: str, result: CycleResult) -> None:
    done = progress(STATE, refresh(status, reason="AWS says so"), group(), (), NOW)
    assert (done.decision, done.state.result, done.state.reason) == (CycleDecision.PUT_BACK, result, "AWS says so")
    assert done.state.ended_by == EndedBy.AWS


@pytest.mark.parametrize(
    ("status", "rolls_back", "words", "by"),
    [
        ("Cancelled", True, "", EndedBy.OPERATOR),
        ("RollbackSuccessful", True, "Manual rollback was initiated.", EndedBy.OPERATOR),
        ("RollbackSuccessful", True, "An automatic rollback, for alarm a", EndedBy.AWS),
        ("RollbackSuccessful", True, "", EndedBy.AWS),
        ("RollbackSuccessful", False, "", EndedBy.OPERATOR),
        ("RollbackFailed", True, "Manual rollback was initiated.", EndedBy.AWS),
    ],
)
def test_it_is_said_whether_an_operator_ended_it_or_aws(status: str, rolls_back: bool, words: str, by: EndedBy) -> None:
    state = replace(STATE, rolls_back=rolls_back)
    ended = progress(state, refresh(status, reason="It is over.", rollback_reason=words), group(), (), NOW).state
    assert ended.ended_by == by
    expected = words or "It is over."
    assert ended.reason == (f"by an operator's request; AWS says: {expected}" if by == EndedBy.OPERATOR else expected)


def test_verdicts_that_ended_it_go_before_the_request_by_which_that_was_done() -> None:
    stopped = progress(STATE, refresh(), group(new(1)), [verdict(1), verdict(2)], NOW).state
    done = progress(stopped, refresh("RollbackSuccessful", rollback_reason="manual"), group(), (), NOW).state
    assert (done.ended_by, done.reason) == (EndedBy.VERDICTS, stopped.reason)


def test_why_aws_launched_nothing_is_said_with_awss_reason() -> None:
    starved = group(old(1))._replace(launch_failure="You have requested more vCPU capacity than your limit.")
    known = progress(STATE, refresh(), starved, [], NOW).state
    assert known.launch_failure == starved.launch_failure
    ended = progress(known, refresh("Failed", reason="It took too long."), starved, [], NOW).state
    assert ended.reason == f"It took too long. The last launch failed: {starved.launch_failure}"


def test_one_that_was_cancelled_for_verdicts_has_failed_for_them() -> None:
    stopped = progress(replace(STATE, rolls_back=False), refresh(), group(new(1)), [verdict(1), verdict(2)], NOW).state
    done = progress(stopped, refresh("Cancelled", reason="Cancelled by user"), group(), (), NOW)
    assert done.state.result == CycleResult.FAILED
    assert "Install nginx" in done.state.reason


@pytest.mark.parametrize("status", ["Cancelled", "Cancelling", "RollbackInProgress", "RollbackSuccessful"])
def test_a_round_that_died_as_it_ended_the_refresh_leaves_its_reason_to_the_next(status: str) -> None:
    done = progress(STATE, refresh(status, reason="AWS says so"), group(new(1)), [verdict(1), verdict(2)], NOW)
    assert "task 'Install nginx' failed on i-new1 and i-new2" in done.state.reason
    assert done.state.result in (None, CycleResult.FAILED, CycleResult.ROLLED_BACK)


def test_verdicts_that_come_while_it_is_rolled_back_for_something_else_are_not_why() -> None:
    rolling = progress(STATE, refresh("RollbackInProgress"), group(new(1)), [verdict(1)], NOW).state
    late = [verdict(1), verdict(2)]
    done = progress(rolling, refresh("RollbackSuccessful", reason="an alarm"), group(), late, NOW)
    assert done.state.reason == "an alarm"


def test_a_refresh_that_aws_calls_successful_is_verified() -> None:
    done = progress(STATE, refresh("Successful"), group(new(1)), (), NOW)
    assert (done.decision, done.state.verify_since, done.state.result) == (CycleDecision.VERIFY, NOW, None)


def test_while_something_can_happen_it_is_evaluated_every_fifteen_seconds() -> None:
    assert progress(STATE, refresh(), group(new(1, "Pending")), (), NOW).wait == 15


def test_at_a_checkpoint_the_pause_grows_with_the_age_and_ends_with_awss_own() -> None:
    state = replace(STATE, request={**STATE.request, "checkpoints": [50, 100], "checkpoint_seconds": 3600})
    done = progress(state, refresh(percent=50), group(new(1), old(1)), (), NOW)
    assert (done.state.phase, done.wait) == (Phase.CHECKPOINT, 60)
    late = progress(done.state, refresh(percent=50), group(new(1), old(1)), (), NOW + 3500)
    assert late.wait == 100


def test_new_instances_after_a_checkpoint_that_warm_up_are_not_taken_for_waiting_at_it() -> None:
    state = replace(STATE, request={**STATE.request, "checkpoints": [50, 100], "checkpoint_seconds": 3600})
    done = progress(state, refresh(percent=50), group(new(1), new(2), new(3), old(1), old(2)), (), NOW)
    assert done.state.phase == Phase.REPLACING
    assert done.wait < 60


def test_between_checkpoints_it_is_not_at_one() -> None:
    state = replace(STATE, request={**STATE.request, "checkpoints": [50, 100]})
    assert progress(state, refresh(percent=40), group(new(1), old(1)), (), NOW).state.phase == Phase.REPLACING
    moving = group(new(1), new(2, "Pending"), old(1))
    assert progress(state, refresh(percent=50), moving, (), NOW).state.phase == Phase.REPLACING


def test_while_it_bakes_the_pause_ends_with_awss_own() -> None:
    state = replace(STATE, request={**STATE.request, "bake_seconds": 300})
    done = progress(state, refresh("Baking", percent=100), group(new(1)), (), NOW)
    assert (done.state.phase, done.wait) == (Phase.BAKING, 60)
    assert progress(done.state, refresh("Baking", percent=100), group(new(1)), (), NOW + 280).wait == 20


@pytest.mark.parametrize("status", ["Baking", "InProgress", "Successful"])
def test_a_target_group_that_lacks_targets_of_the_cycle_is_noted(status: str) -> None:
    health = {"tg": {"i-new1": "initial", "i-old2": "healthy"}}
    members = (new(1), old(2))
    state = replace(STATE, healthy_at_start={"tg": 2})
    done = progress(state, refresh(status), GroupNow(2, members, health, {}, {}), (), NOW)
    assert [(each.healthy, each.expected) for each in done.state.dips] == [(1, 2)]
