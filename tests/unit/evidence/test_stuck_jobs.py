"""Jobs that hang: reported once, cancelled after as long again, and launched again without the hosts that hang."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.errors import CancelRefused
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.messages import GateMessage
from rollcall.evidence.stuck_jobs import how_stuck
from unit.world import World, alerts, ids, outcomes, warning

OK = Outcome.OK
TIMEOUT = 1800.0  # seconds, of the group


@pytest.fixture
def message(world: World) -> GateMessage:
    """Three instances in a job that runs since now."""
    return world.waiting("i-a", "i-b", "i-c")


def the_job(world: World, message: GateMessage) -> JobStatus:
    return world.tower.runs[message.job_id or 0].job.status


def change_job(world: World, message: GateMessage, **changes: object) -> None:
    run = world.tower.runs[message.job_id or 0]
    run.job = replace(run.job, **changes)  # type: ignore[arg-type]


def after(world: World, message: GateMessage, seconds: float) -> GateMessage:
    """The message, so much later; its heartbeats came."""
    world.clock.advance(seconds)
    return replace(message, heartbeat_at=world.clock.now)


def test_a_job_is_stuck_beyond_the_patience_and_overdue_beyond_twice_that(world: World, message: GateMessage) -> None:
    job = world.tower.runs[message.job_id or 0].job
    found = [how_stuck(job, silence, 100, "") for silence in (0, 100, 101, 200, 201)]
    assert [stuck and stuck.overdue for stuck in found] == [None, None, False, False, True]


def test_a_job_without_a_new_event_for_the_groups_timeout_is_reported_once(world: World, message: GateMessage) -> None:
    message = after(world, message, TIMEOUT + 1)
    result = world.evaluate_one(message)
    assert {each.action.instance_id for each in alerts(result)} == {"i-a", "i-b", "i-c"}
    [reason] = {each.reason for each in alerts(result)}
    assert f"job {message.job_id} is stuck: no new event for 1801 s" in reason
    assert "at 3600 s it is cancelled" in reason
    [(message, _)] = result.next
    assert not alerts(world.evaluate_one(after(world, message, 60)))
    assert the_job(world, message) == JobStatus.RUNNING


def test_a_job_whose_events_come_is_not_stuck_however_long_it_runs(world: World, message: GateMessage) -> None:
    message = after(world, message, 10 * TIMEOUT)
    world.evidence.silent_since[message.job_id or 0] = world.clock.now - TIMEOUT + 1
    assert not alerts(world.evaluate_one(message))
    assert the_job(world, message) == JobStatus.RUNNING


def test_a_task_that_takes_as_long_in_good_runs_is_not_stuck(world: World, message: GateMessage) -> None:
    world.evidence.longest = 2 * TIMEOUT
    message = after(world, message, 2 * TIMEOUT)
    assert not alerts(world.evaluate_one(message))
    [alert, *_] = alerts(world.evaluate_one(after(world, message, 1)))
    assert "at 7200 s it is cancelled" in alert.reason


def test_the_longest_timeout_of_a_jobs_groups_counts(world: World) -> None:
    world.group("patient", timeout="3600")
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b")
    own, other = world.waiting("i-a", job=job), world.waiting("i-b", group="patient", job=job)
    both = replace(own, waiting=own.waiting + other.waiting)
    assert not alerts(world.evaluate_one(after(world, both, 3600)))
    assert alerts(world.evaluate_one(after(world, both, 1)))


# The groups of a job's other hosts


@pytest.fixture
def fast(world: World) -> GateMessage:
    """An instance of an impatient group, in a job together with one of a patient group that another message carries."""
    world.group("fast", timeout="300")
    world.group("slow", timeout="3600")
    job = world.tower.add_job(world.template, world.inventory, "i-f", "i-s")
    world.waiting("i-s", group="slow", job=job)
    return world.waiting("i-f", group="fast", job=job)


def test_the_timeout_of_a_jobs_group_counts_that_another_message_is_about(world: World, fast: GateMessage) -> None:
    assert not alerts(world.evaluate_one(after(world, fast, 3600)))
    assert the_job(world, fast) == JobStatus.RUNNING
    [alert] = alerts(world.evaluate_one(after(world, fast, 1)))
    assert "at 7200 s it is cancelled" in alert.reason
    world.evaluate_one(after(world, fast, 3600))
    assert the_job(world, fast) == JobStatus.CANCELED


def test_the_timeout_of_a_jobs_group_counts_whose_heartbeat_fails_this_once(world: World, fast: GateMessage) -> None:
    slow = world.waiting("i-s", group="slow", job=world.tower.runs[fast.job_id or 0].job)
    world.fleet.throttled.add("i-s")
    both = replace(fast, waiting=(*fast.waiting, *slow.waiting), heartbeat_at=0)
    world.clock.advance(601)
    world.evaluate_one(both)
    assert the_job(world, fast) == JobStatus.RUNNING


@pytest.mark.parametrize("tags", [None, {}, {"rollcall:inventory": "prod", "rollcall:timeout": "soon"}])
def test_a_job_is_reported_and_not_cancelled_while_a_groups_timeout_is_not_known(
    world: World, fast: GateMessage, tags: dict[str, str] | None
) -> None:
    if tags is None:
        world.fleet.known_groups.pop("slow")
    else:
        world.group("slow", tags=tags)
    [alert] = alerts(world.evaluate_one(after(world, fast, 601)))
    assert "it is not cancelled, for the rollcall:timeout of its group 'slow' is not known" in alert.reason
    assert the_job(world, fast) == JobStatus.RUNNING


def test_a_host_that_no_group_of_ours_has_keeps_no_job(world: World, fast: GateMessage) -> None:
    world.tower.remove_host("i-s")
    world.evaluate_one(after(world, fast, 601))
    assert the_job(world, fast) == JobStatus.CANCELED


def test_whose_a_jobs_hosts_are_is_asked_only_when_it_seems_stuck(world: World, fast: GateMessage) -> None:
    world.tower.calls.clear()
    world.evaluate_one(after(world, fast, 299))
    world.evidence.silent_since[fast.job_id or 0] = world.clock.now + 1000
    world.evaluate_one(after(world, fast, 1200))
    assert world.tower.calls["hosts_named"] == 0
    world.evaluate_one(after(world, fast, 101))
    assert world.tower.calls["hosts_named"] == 1


def test_a_job_that_stays_stuck_is_cancelled(world: World, message: GateMessage) -> None:
    message = after(world, message, 2 * TIMEOUT)
    world.evaluate_one(message)
    assert the_job(world, message) == JobStatus.RUNNING
    world.evaluate_one(after(world, message, 1))
    assert the_job(world, message) == JobStatus.CANCELED
    assert not world.fleet.completed


def test_a_cancellation_is_reported_whatever_was_reported_before(world: World, message: GateMessage) -> None:
    change_job(world, message, started_at=None, status=JobStatus.PENDING)
    message = after(world, message, 601)
    result = world.evaluate_one(message)
    assert {"has not started" in each.reason for each in alerts(result)} == {True}
    [(message, _)] = result.next
    assert message.alerted
    change_job(world, message, started_at=world.clock.now, status=JobStatus.RUNNING)
    result = world.evaluate_one(after(world, message, 2 * TIMEOUT + 1))
    assert the_job(world, message) == JobStatus.CANCELED
    assert {each.action.instance_id for each in alerts(result)} == {"i-a", "i-b", "i-c"}
    words = f"job {message.job_id} was stuck, and is cancelled: the hosts that answer get another job"
    assert {each.reason for each in alerts(result)} == {words}
    [(message, _)] = result.next
    assert not alerts(world.evaluate_one(after(world, message, 1)))


def test_a_job_that_hangs_is_reported_once_whatever_was_reported_before(world: World, message: GateMessage) -> None:
    message = after(world, replace(message, alerted=True), TIMEOUT + 1)
    result = world.evaluate_one(message)
    assert {each.action.instance_id for each in alerts(result)} == {"i-a", "i-b", "i-c"}
    assert all(f"job {message.job_id} is stuck" in each.reason for each in alerts(result))
    [(message, _)] = result.next
    assert message.stuck_job == message.job_id
    assert not alerts(world.evaluate_one(after(world, message, 60)))


def test_a_job_that_cannot_be_cancelled_is_not_reported_as_cancelled(world: World, message: GateMessage) -> None:
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    result = world.evaluate_one(after(world, message, 2 * TIMEOUT + 1))
    assert not [each for each in alerts(result) if "is cancelled: the hosts" in each.reason]


def cancelled(world: World, message: GateMessage, *hanging: str) -> GateMessage:
    """What goes on of a message whose job was cancelled; on some of its hosts a task had not ended."""
    message = after(world, message, 2 * TIMEOUT + 1)
    world.evidence.hanging[message.job_id or 0] = frozenset(hanging)
    [(message, _)] = world.evaluate_one(message).next
    assert the_job(world, message) == JobStatus.CANCELED
    return after(world, message, 60)


def test_the_hosts_that_answer_get_a_job_without_those_that_hang(world: World, message: GateMessage) -> None:
    result = world.evaluate_one(cancelled(world, message, "i-b"))
    jobs = {frozenset(ids(each)): world.tower.runs[each.job_id or 0].job.hosts for each, _ in result.next}
    assert jobs == {frozenset({"i-a", "i-c"}): {"i-a", "i-c"}, frozenset({"i-b"}): {"i-b"}}


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.ERROR])
def test_a_job_that_tower_ended_is_launched_again_without_those_that_hang(
    world: World, message: GateMessage, status: JobStatus
) -> None:
    """By the template's own timeout, for one."""
    world.evidence.hanging[message.job_id or 0] = frozenset({"i-b"})
    world.tower.end_job(message.job_id or 0, {}, status)
    change_job(world, message, explanation="Job terminated due to timeout")
    result = world.evaluate_one(after(world, message, 60))
    jobs = {frozenset(ids(each)): world.tower.runs[each.job_id or 0].job.hosts for each, _ in result.next}
    assert jobs == {frozenset({"i-a", "i-c"}): {"i-a", "i-c"}, frozenset({"i-b"}): {"i-b"}}


def test_those_that_answer_are_ready_though_the_others_hang_again(world: World, message: GateMessage) -> None:
    result = world.evaluate_one(cancelled(world, message, "i-b"))
    for each, _ in result.next:
        if "i-b" not in ids(each):
            world.tower.end_job(each.job_id or 0, {"i-a": OK, "i-c": OK})
        world.evaluate_one(each)
    ready = {action.instance_id: result for action, result in world.fleet.completed.items()}
    assert ready == {"i-a": Result.CONTINUE, "i-c": Result.CONTINUE}


def test_a_job_that_hung_speaks_against_none_of_its_hosts(world: World, message: GateMessage) -> None:
    world.evaluate_one(cancelled(world, message, "i-b"))
    assert not world.fleet.completed


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"launched_by": "alice"}, "'alice' launched it, and the token is 'fleet''s"),
        ({"is_limited_to_ids": False}, "its limit names more than instance ids"),
    ],
)
def test_a_job_that_is_not_ours_alone_is_reported_and_not_cancelled(
    world: World, message: GateMessage, changes: dict[str, object], why: str
) -> None:
    change_job(world, message, **changes)
    message = after(world, message, TIMEOUT + 1)
    [alert, *_] = alerts(world.evaluate_one(message))
    assert f"it is not cancelled, for {why}: cancel it in Tower unless it goes on" in alert.reason
    world.evaluate_one(after(world, message, TIMEOUT))
    assert the_job(world, message) == JobStatus.RUNNING


def test_a_job_that_tower_does_not_let_us_cancel_is_waited_for(world: World, message: GateMessage) -> None:
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    result = world.evaluate_one(after(world, message, 2 * TIMEOUT + 1))
    assert not [each.error for each in result.reports if each.error]
    assert result.next


def test_a_refusal_to_cancel_is_logged_after_the_job_was_reported(world: World, message: GateMessage) -> None:
    [(message, _)] = world.evaluate_one(after(world, message, TIMEOUT + 1)).next
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    result = world.evaluate_one(after(world, message, TIMEOUT))
    assert not alerts(result)
    assert "alice" in warning(result.reports[0])


def test_a_refusal_to_cancel_is_noted_once_and_tried_again_when_the_silence_has_doubled(
    world: World, message: GateMessage
) -> None:
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    message = after(world, message, 2 * TIMEOUT + 1)
    notes: list[str] = []
    tried_at: list[float] = []
    began = world.clock.now - 2 * TIMEOUT - 1
    while world.clock.now - began < 10 * TIMEOUT:
        tries = world.tower.calls["cancel"]
        result = world.evaluate_one(message)
        notes += filter(None, map(warning, result.reports))
        tried_at += [world.clock.now - began] * (world.tower.calls["cancel"] - tries)
        [(message, delay)] = result.next
        world.clock.advance(delay)
    assert notes == [str(world.tower.failing["cancel"])]
    assert [round(each / TIMEOUT) for each in tried_at] == [2, 4, 8]


def test_a_refusal_that_comes_with_the_alert_is_noted_beside_it(world: World, message: GateMessage) -> None:
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    result = world.evaluate_one(after(world, message, 2 * TIMEOUT + 1))
    assert len(alerts(result)) == 3
    assert [each for each in map(warning, result.reports) if each] == [str(world.tower.failing["cancel"])]


def test_a_job_that_hangs_again_after_it_went_on_is_cancelled_as_at_first(world: World, message: GateMessage) -> None:
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    [(message, _)] = world.evaluate_one(after(world, message, 2 * TIMEOUT + 1)).next
    world.evidence.silent_since[message.job_id or 0] = world.clock.now
    [(message, _)] = world.evaluate_one(message).next
    world.tower.failing.clear()
    world.evaluate_one(after(world, message, 2 * TIMEOUT + 1))
    assert the_job(world, message) == JobStatus.CANCELED


# Jobs whose hosts left


@pytest.mark.parametrize("usual", [(600.0,), ()])
def test_a_job_that_is_late_is_cancelled_once_all_its_hosts_have_left(
    world: World, message: GateMessage, usual: tuple[float, ...]
) -> None:
    """Their actions are found all the while: an instance without a hook has none."""
    world.tower.usual = usual
    for each in ("i-a", "i-b", "i-c"):
        world.leaves(each)
    result = world.evaluate_one(after(world, message, (usual or (TIMEOUT,))[0] + 1))
    assert set(outcomes(result)) == {"i-a", "i-b", "i-c"}
    assert the_job(world, message) == JobStatus.CANCELED


def test_whether_hosts_have_left_is_asked_only_while_a_job_is_late(world: World, message: GateMessage) -> None:
    world.tower.usual = (600.0,)
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.evaluate_one(after(world, message, 599))
    assert "memberships" not in asked
    world.evaluate_one(after(world, message, 2))
    assert "memberships" in asked


def all_left(world: World, message: GateMessage, **changes: object) -> list[str]:
    """What is noted when all instances of a job with these changes have left; none of them goes on waiting."""
    change_job(world, message, **changes)
    for each in ("i-a", "i-b", "i-c"):
        world.leaves(each)
    result = world.evaluate_one(after(world, message, TIMEOUT + 1))
    assert set(outcomes(result)) == {"i-a", "i-b", "i-c"}
    assert not result.next
    return [warning(each) for each in result.reports if each.notes]


def test_another_users_job_is_cancelled_too_when_all_its_hosts_have_left(world: World, message: GateMessage) -> None:
    assert all_left(world, message, launched_by="alice") == []
    assert the_job(world, message) == JobStatus.CANCELED


def test_that_tower_does_not_let_us_cancel_a_job_without_hosts_is_noted_once(
    world: World, message: GateMessage
) -> None:
    refusal = CancelRefused(message.job_id or 0, "alice")
    world.tower.failing["cancel"] = refusal
    assert all_left(world, message, launched_by="alice") == [str(refusal)]
    assert world.tower.calls["cancel"] == 1


def test_a_job_of_two_groups_is_tried_to_be_cancelled_once_a_round(world: World) -> None:
    world.group("db")
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b")
    own, other = world.waiting("i-a", job=job), world.waiting("i-b", group="db", job=job)
    for each in ("i-a", "i-b"):
        world.leaves(each)
    world.tower.failing["cancel"] = CancelRefused(job.id, "alice")
    world.tower.usual = (600.0,)
    result = world.evaluate_one(after(world, replace(own, waiting=own.waiting + other.waiting), 601))
    assert [each for each in map(warning, result.reports) if each] == [str(world.tower.failing["cancel"])]
    assert world.tower.calls["cancel"] == 1


def test_a_job_whose_limit_names_more_than_instances_goes_on_when_these_have_left(
    world: World, message: GateMessage
) -> None:
    assert all_left(world, message, is_limited_to_ids=False) == [
        f"job {message.job_id} is not cancelled, for its limit names more than instance ids"
    ]
    assert the_job(world, message) == JobStatus.RUNNING


# What Auto Scaling ends by itself


def ended(world: World, message: GateMessage, state: str) -> None:
    for each in ids(message):
        world.leaves(each, state)
        world.fleet.stale.add(each)


@pytest.mark.parametrize(
    ("waited", "why"),
    [
        (172_800, "ended by Auto Scaling: its hook 'rollcall-launch' had waited for 172800 s, which is its limit"),
        (172_600, "removed from every inventory: left meanwhile"),
    ],
)
def test_what_auto_scaling_ended_is_distinguished_from_what_left(world: World, waited: float, why: str) -> None:
    message = world.waiting("i-a")
    world.clock.advance(waited)
    ended(world, message, "Terminating:Proceed")
    result = world.evaluate_one(replace(message, heartbeat_at=world.clock.now - 1200))
    assert outcomes(result) == {"i-a": why}
    [report] = result.reports
    assert report.event == ("Instance Abandoned" if "ended" in why else "Instance Retired")
    assert [each.reason for each in alerts(result)] == ([why] if "ended" in why else [])
    assert world.tower.names_in(world.inventory) == set()


def test_of_an_instance_that_auto_scaling_ended_and_cleanup_removed_no_second_event_is_published(world: World) -> None:
    message = world.waiting("i-a")
    world.clock.advance(172_800)
    [report] = world.clean_up(world.terminating("i-a"))
    assert report.event == "Instance Retired"
    ended(world, message, "Terminating:Proceed")
    result = world.evaluate_one(replace(message, heartbeat_at=world.clock.now - 1200))
    [report] = result.reports
    assert report.event is None
    assert report.outcome.startswith("ended by Auto Scaling: its hook")
    assert [each.reason for each in alerts(result)] == [report.outcome]


def test_an_instance_that_serves_because_its_hook_passed_its_limit_is_reported(world: World) -> None:
    message = world.waiting("i-a")
    world.clock.advance(172_800)
    ended(world, message, "InService")
    result = world.evaluate_one(replace(message, heartbeat_at=world.clock.now - 1800))
    [alert] = alerts(result)
    assert "its default result lets it serve, though it is not known to be provisioned" in alert.reason
    assert outcomes(result)["i-a"].startswith("ended by Auto Scaling: its hook 'rollcall-launch' had waited")
