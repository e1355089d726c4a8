"""Jobs that hang: reported once, cancelled after as long again, and launched again without the hosts that hang."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.model import GateMessage, JobStatus, Outcome, Result
from rollcall.stuck_jobs import how_stuck
from rollcall.tower import CancelRefused

from .world import World, alerts, ids, outcomes, warning

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
    result = world.look_at(message)
    assert {each.action.instance_id for each in alerts(result)} == {"i-a", "i-b", "i-c"}
    [reason] = {each.reason for each in alerts(result)}
    assert f"job {message.job_id} is stuck: no new event for 1801 s" in reason
    assert "at 3600 s it is cancelled" in reason
    [(message, _)] = result.next
    assert not alerts(world.look_at(after(world, message, 60)))
    assert the_job(world, message) == JobStatus.RUNNING


def test_a_job_whose_events_come_is_not_stuck_however_long_it_runs(world: World, message: GateMessage) -> None:
    message = after(world, message, 10 * TIMEOUT)
    world.evidence.silent_since[message.job_id or 0] = world.clock.now - TIMEOUT + 1
    assert not alerts(world.look_at(message))
    assert the_job(world, message) == JobStatus.RUNNING


def test_a_task_that_takes_as_long_in_good_runs_is_not_stuck(world: World, message: GateMessage) -> None:
    world.evidence.longest = 2 * TIMEOUT
    message = after(world, message, 2 * TIMEOUT)
    assert not alerts(world.look_at(message))
    [alert, *_] = alerts(world.look_at(after(world, message, 1)))
    assert "at 7200 s it is cancelled" in alert.reason


def test_the_longest_timeout_of_a_jobs_groups_counts(world: World) -> None:
    world.group("patient", timeout="3600")
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b")
    own, other = world.waiting("i-a", job=job), world.waiting("i-b", group="patient", job=job)
    both = replace(own, waiting=own.waiting + other.waiting)
    assert not alerts(world.look_at(after(world, both, 3600)))
    assert alerts(world.look_at(after(world, both, 1)))


def test_a_job_that_stays_stuck_is_cancelled(world: World, message: GateMessage) -> None:
    message = after(world, message, 2 * TIMEOUT)
    world.look_at(message)
    assert the_job(world, message) == JobStatus.RUNNING
    world.look_at(after(world, message, 1))
    assert the_job(world, message) == JobStatus.CANCELED
    assert not world.fleet.completed


def cancelled(world: World, message: GateMessage, *hanging: str) -> GateMessage:
    """What goes on of a message whose job was cancelled; on some of its hosts a task had not ended."""
    message = after(world, message, 2 * TIMEOUT + 1)
    world.evidence.hanging[message.job_id or 0] = frozenset(hanging)
    [(message, _)] = world.look_at(message).next
    assert the_job(world, message) == JobStatus.CANCELED
    return after(world, message, 60)


def test_the_hosts_that_answer_get_a_job_without_those_that_hang(world: World, message: GateMessage) -> None:
    result = world.look_at(cancelled(world, message, "i-b"))
    jobs = {frozenset(ids(each)): world.tower.runs[each.job_id or 0].job.hosts for each, _ in result.next}
    assert jobs == {frozenset({"i-a", "i-c"}): {"i-a", "i-c"}, frozenset({"i-b"}): {"i-b"}}


def test_those_that_answer_are_ready_though_the_others_hang_again(world: World, message: GateMessage) -> None:
    result = world.look_at(cancelled(world, message, "i-b"))
    for each, _ in result.next:
        if "i-b" not in ids(each):
            world.tower.end_job(each.job_id or 0, {"i-a": OK, "i-c": OK})
        world.look_at(each)
    ready = {action.instance_id: result for action, result in world.fleet.completed.items()}
    assert ready == {"i-a": Result.CONTINUE, "i-c": Result.CONTINUE}


def test_a_job_that_hung_speaks_against_none_of_its_hosts(world: World, message: GateMessage) -> None:
    world.look_at(cancelled(world, message, "i-b"))
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
    [alert, *_] = alerts(world.look_at(message))
    assert f"it is not cancelled, for {why}: cancel it in Tower unless it goes on" in alert.reason
    world.look_at(after(world, message, TIMEOUT))
    assert the_job(world, message) == JobStatus.RUNNING


def test_a_job_that_tower_does_not_let_us_cancel_is_waited_for(world: World, message: GateMessage) -> None:
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    result = world.look_at(after(world, message, 2 * TIMEOUT + 1))
    assert [each.error for each in result.reports] == [None] * 3
    assert result.next


def test_a_refusal_to_cancel_is_logged_after_the_job_was_reported(world: World, message: GateMessage) -> None:
    [(message, _)] = world.look_at(after(world, message, TIMEOUT + 1)).next
    world.tower.failing["cancel"] = CancelRefused(message.job_id or 0, "alice")
    result = world.look_at(after(world, message, TIMEOUT))
    assert not alerts(result)
    assert "alice" in warning(result.reports[0])


# Jobs whose hosts left


@pytest.mark.parametrize("usual", [(600.0,), ()])
def test_a_job_that_is_late_is_cancelled_once_all_its_hosts_have_left(
    world: World, message: GateMessage, usual: tuple[float, ...]
) -> None:
    """Their actions are found all the while: an instance without a hook has none."""
    world.tower.usual = usual
    for each in ("i-a", "i-b", "i-c"):
        world.leaves(each)
    result = world.look_at(after(world, message, (usual or (TIMEOUT,))[0] + 1))
    assert set(outcomes(result)) == {"i-a", "i-b", "i-c"}
    assert the_job(world, message) == JobStatus.CANCELED


def test_whether_hosts_have_left_is_asked_only_while_a_job_is_late(world: World, message: GateMessage) -> None:
    world.tower.usual = (600.0,)
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.look_at(after(world, message, 599))
    assert "memberships" not in asked
    world.look_at(after(world, message, 2))
    assert "memberships" in asked


def test_a_persons_job_goes_on_when_all_its_hosts_have_left(world: World, message: GateMessage) -> None:
    change_job(world, message, launched_by="alice")
    for each in ("i-a", "i-b", "i-c"):
        world.leaves(each)
    result = world.look_at(after(world, message, TIMEOUT + 1))
    assert the_job(world, message) == JobStatus.RUNNING
    assert [warning(each) for each in result.reports if each.notes] == [
        f"job {message.job_id} is not cancelled, for 'alice' launched it, and the token is 'fleet''s"
    ]


# What Auto Scaling ends by itself


def ended(world: World, message: GateMessage, state: str) -> None:
    for each in ids(message):
        world.leaves(each, state)
        world.fleet.stale.add(each)


@pytest.mark.parametrize(
    ("waited", "why"),
    [
        (172_800, "ended by Auto Scaling: its hook 'rollcall-launch' had waited for 172800 s, which is its limit"),
        (172_600, "struck off: left meanwhile"),
    ],
)
def test_what_auto_scaling_ended_is_told_from_what_left(world: World, waited: float, why: str) -> None:
    message = world.waiting("i-a")
    world.clock.advance(waited)
    ended(world, message, "Terminating:Proceed")
    result = world.look_at(replace(message, heartbeat_at=world.clock.now - 1200))
    assert outcomes(result) == {"i-a": why}
    [report] = result.reports
    assert report.event == ("Instance Abandoned" if "ended" in why else "Instance Retired")
    assert [each.reason for each in alerts(result)] == ([why] if "ended" in why else [])
    assert world.tower.names_in(world.inventory) == set()


def test_an_instance_that_serves_because_its_hook_passed_its_limit_is_reported(world: World) -> None:
    message = world.waiting("i-a")
    world.clock.advance(172_800)
    ended(world, message, "InService")
    result = world.look_at(replace(message, heartbeat_at=world.clock.now - 1800))
    [alert] = alerts(result)
    assert "its default result lets it serve, though it is not known to be provisioned" in alert.reason
    assert outcomes(result)["i-a"].startswith("ended by Auto Scaling: its hook 'rollcall-launch' had waited")
