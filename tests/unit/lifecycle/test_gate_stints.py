"""The gate decides by what was tried in the present stint of an instance, and by nothing else."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.jobs import Outcome
from rollcall.domain.messages import GateMessage
from rollcall.domain.reports import NO_LONGER_WAITING
from rollcall.hosts.stint import Stint
from unit.world import World, alerts, outcomes, token_of

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE
FORMER_LIFE = 7200.0  # seconds


def changed(message: GateMessage, **changes: object) -> GateMessage:
    """The message with these changes of its one instance."""
    [waiting] = message.waiting
    return replace(message, waiting=(replace(waiting, **changes),))  # type: ignore[arg-type]


def without_token(message: GateMessage) -> GateMessage:
    """The message as reconcile makes one, which knows no tokens."""
    return changed(message, action=replace(message.waiting[0].action, token=None))


def rejoined(world: World, outcome: Outcome) -> GateMessage:
    """An instance that comes back two hours after a job of its former life ended so; no job was launched since."""
    former = world.waiting("i-a")
    world.tower.end_job(former.job_id or 0, {"i-a": outcome})
    world.clock.advance(FORMER_LIFE)
    return changed(former, stint_since=world.clock.now)


def mark(world: World, since: float) -> None:
    """The instance's host says that the present stint began then."""
    [host] = [each for each in world.tower.hosts.values() if each.name == "i-a"]
    marker = {**(host.marker or {}), "stint": Stint(since, {"rollcall-launch": token_of("i-a")}).written()}
    world.tower.hosts[host.id] = replace(host, variables={**host.variables, "rollcall": marker})


@pytest.mark.parametrize("outcome", [OK, FAILED, UNREACHABLE])
def test_the_job_of_a_former_stint_decides_nothing(world: World, outcome: Outcome) -> None:
    message = rejoined(world, outcome)
    result = world.evaluate_one(replace(message, job_id=None))
    assert not world.fleet.completed
    assert not result.reports
    [(sent, _)] = result.next
    job = world.tower.runs[sent.job_id or 0].job
    assert job.created_at == world.clock.now
    assert job.hosts == {"i-a"}


def test_an_instance_that_came_back_is_not_unreachable_for_its_former_life(world: World) -> None:
    message = replace(rejoined(world, UNREACHABLE), job_id=None)
    [(message, _)] = world.evaluate_one(message).next
    world.clock.advance(20)
    world.end(message, i_a=UNREACHABLE)
    result = world.evaluate_one(message)
    assert not world.fleet.completed
    assert not result.reports


@pytest.mark.parametrize("launched_at", [0.0, 4e9])
@pytest.mark.parametrize(
    ("outcome", "expected"), [(OK, Result.CONTINUE), (FAILED, Result.ABANDON), (UNREACHABLE, None)]
)
def test_no_decision_depends_on_the_launch_time(
    world: World, launched_at: float, outcome: Outcome, expected: Result | None
) -> None:
    message = changed(world.waiting("i-a"), launched_at=launched_at)
    world.end(message, i_a=outcome)
    world.clock.advance(60)
    world.evaluate_one(message)
    assert [*world.fleet.completed.values()] == ([expected] if expected else [])


def test_a_message_without_a_token_of_a_former_stint_completes_nothing(world: World) -> None:
    message = without_token(world.waiting("i-a"))
    world.end(message, i_a=OK)
    world.clock.advance(FORMER_LIFE)
    mark(world, world.clock.now)  # register began another one meanwhile
    world.evaluate_one(message)
    assert not world.fleet.completed


def test_a_message_without_a_token_of_the_present_stint_completes_its_hook(world: World) -> None:
    message = without_token(world.waiting("i-a"))
    mark(world, world.clock.now)
    world.end(message, i_a=OK)
    world.evaluate_one(message)
    assert [*world.fleet.completed.values()] == [Result.CONTINUE]


def test_in_a_message_from_before_an_upgrade_the_stint_begins_when_the_host_was_made(world: World) -> None:
    former = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(former.id, {"i-a": OK})
    world.clock.advance(FORMER_LIFE)
    message = changed(world.waiting("i-a"), stint_since=None)
    world.tower.runs.pop(message.job_id or 0)
    [(message, _)] = world.evaluate_one(replace(message, job_id=former.id)).next
    assert not world.fleet.completed
    assert message.job_id != former.id
    world.end(message, i_a=OK)
    world.evaluate_one(message)
    assert [*world.fleet.completed.values()] == [Result.CONTINUE]


def test_a_persons_job_in_the_present_stint_counts(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    by_hand = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(by_hand.id, {"i-a": OK})
    world.evaluate_one(message)
    assert [*world.fleet.completed.values()] == [Result.CONTINUE]


# Groups without a job


def of_a_group_without_a_job(world: World, **changes: object) -> GateMessage:
    """An instance of one, registered 1900 s ago in a former stint; a check of it fails."""
    world.group("web", job_template="", gate="ec2")
    message = changed(world.waiting("i-a"), **changes)
    world.clock.advance(1900)
    return replace(message, job_id=None, heartbeat_at=world.clock.now)


def test_a_check_fails_in_the_present_stint_not_since_a_former_one(world: World) -> None:
    message = without_token(of_a_group_without_a_job(world))
    mark(world, world.clock.now)
    world.evaluate_one(message)
    assert not world.fleet.completed
    world.clock.advance(1800)
    world.evaluate_one(replace(message, heartbeat_at=world.clock.now))
    assert [*world.fleet.completed.values()] == [Result.ABANDON]


def test_a_check_fails_since_the_stint_that_the_message_names(world: World) -> None:
    message = of_a_group_without_a_job(world)
    world.evaluate_one(changed(message, stint_since=world.clock.now - 1799))
    assert not world.fleet.completed
    world.evaluate_one(changed(message, stint_since=None))
    assert [*world.fleet.completed.values()] == [Result.ABANDON]


def test_when_a_stint_began_is_asked_only_when_the_time_is_over(world: World) -> None:
    message = without_token(of_a_group_without_a_job(world))
    world.evaluate_one(replace(message, since=world.clock.now - 1799))
    assert world.tower.calls["hosts_named"] == 0


# Actions that AWS does not find while Auto Scaling holds the instance


def stale(world: World, seconds: float = 0) -> GateMessage:
    """A message of an instance that is ready, whose action AWS did not find for so many seconds."""
    message = world.waiting("i-a")
    world.end(message, i_a=OK)
    world.fleet.stale.add("i-a")
    since = world.clock.now - seconds if seconds else None
    return changed(message, unanswered_since=since)


def test_an_action_that_is_not_found_while_the_instance_is_held_is_tried_again(world: World) -> None:
    result = world.evaluate_one(stale(world))
    assert not result.reports
    [(message, delay)] = result.next
    assert delay == 15
    assert message.waiting[0].unanswered_since == world.clock.now
    world.clock.advance(delay)
    world.fleet.stale.clear()
    result = world.evaluate_one(message)
    assert outcomes(result) == {"i-a": "ready"}
    assert [*world.fleet.completed.values()] == [Result.CONTINUE]


def test_an_action_that_is_not_found_for_two_minutes_is_no_longer_waiting_and_no_success(world: World) -> None:
    assert world.evaluate_one(stale(world, 119)).next
    result = world.evaluate_one(stale(world, 120))
    assert not result.next
    assert outcomes(result) == {"i-a": NO_LONGER_WAITING}
    assert all(report.event is None for report in result.reports)


@pytest.mark.parametrize("state", ["Pending:Proceed", "InService", "Standby"])
def test_an_action_that_is_not_found_is_over_once_nothing_holds_the_instance(world: World, state: str) -> None:
    message = stale(world)
    world.leaves("i-a", state)
    assert outcomes(world.evaluate_one(message)) == {"i-a": NO_LONGER_WAITING}


def test_a_heartbeat_that_finds_no_action_is_tried_again_in_the_same_way(world: World) -> None:
    message = replace(world.waiting("i-a"), heartbeat_at=0)
    world.fleet.stale.add("i-a")
    [(message, delay)] = world.evaluate_one(message).next
    assert (delay, message.waiting[0].unanswered_since) == (15, world.clock.now)
    world.clock.advance(delay)
    world.fleet.stale.clear()
    [(message, _)] = world.evaluate_one(message).next
    assert message.waiting[0].unanswered_since is None


def test_an_instance_that_is_to_be_abandoned_loses_its_host_and_is_abandoned_when_its_action_is_found(
    world: World,
) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    world.fleet.stale.add("i-a")
    [(message, _)] = world.evaluate_one(message).next
    assert "i-a" not in world.tower.names_in(world.inventory)
    world.fleet.stale.clear()
    assert outcomes(world.evaluate_one(message)) == {"i-a": "abandoned: its job failed"}


# Hosts that no limit matches


def passed_over(world: World) -> GateMessage:
    """A message of an instance whose job ended well for the other one, and passed it over."""
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=Outcome.UNPROVEN, i_b=OK)
    return message


def the_host(world: World) -> int:
    return next(each.id for each in world.tower.hosts.values() if each.instance_id == "i-a")


def test_a_disabled_host_is_held_at_the_first_job_that_passes_it_over_and_no_further_job_is_launched(
    world: World,
) -> None:
    message = passed_over(world)
    world.tower.disabled.add(the_host(world))
    result = world.evaluate_one(message)
    assert [each.reason for each in alerts(result)] == [
        "its host in inventory 'prod' is disabled, so that no job runs on it: enable the host"
    ]
    for _ in range(60):
        [(message, delay)] = world.evaluate_one(result.next[0][0]).next
        assert [each.action.instance_id for each in message.waiting] == ["i-a"]
        world.clock.advance(delay)
    assert world.tower.calls["launch"] == 0


def test_a_host_that_is_enabled_again_gets_its_job(world: World) -> None:
    message = passed_over(world)
    world.tower.disabled.add(the_host(world))
    [(message, delay)] = world.evaluate_one(message).next
    world.tower.disabled.clear()
    world.clock.advance(delay)
    world.evaluate_one(message)
    assert world.tower.calls["launch"] == 1


def test_a_renamed_host_is_named_with_both_names(world: World) -> None:
    message = passed_over(world)
    host = world.tower.hosts[the_host(world)]
    world.tower.hosts[host.id] = replace(host, name="web-1")
    [alert] = alerts(world.evaluate_one(message))
    assert alert.reason.startswith("its host in inventory 'prod' was renamed to 'web-1', so that no limit matches it")


def test_a_host_that_somebody_removed_is_reported_and_left_to_reconcile(world: World) -> None:
    message = passed_over(world)
    world.tower.remove_host("i-a")
    [alert] = alerts(world.evaluate_one(message))
    assert alert.reason == "it has no host in inventory 'prod' any more: reconcile creates it again"
    assert world.tower.calls["launch"] == 0


def test_a_job_that_proved_nothing_of_a_host_in_its_place_is_run_again(world: World) -> None:
    message = passed_over(world)
    [(message, delay)] = world.evaluate_one(message).next
    world.clock.advance(delay)
    world.evaluate_one(message)
    assert world.tower.calls["launch"] == 1


# Jobs whose hosts have all left


def test_a_job_whose_hosts_have_all_left_is_cancelled_at_once(world: World) -> None:
    message = replace(world.waiting("i-a", "i-b"), heartbeat_at=0)
    for each in ("i-a", "i-b"):
        world.leaves(each)
        world.fleet.stale.add(each)
    result = world.evaluate_one(message)
    assert outcomes(result) == dict.fromkeys(("i-a", "i-b"), "removed from every inventory: left meanwhile")
    assert world.tower.runs[message.job_id or 0].job.status == "canceled"


def test_a_job_with_a_host_that_stays_goes_on(world: World) -> None:
    message = replace(world.waiting("i-a", "i-b"), heartbeat_at=0)
    world.leaves("i-a")
    world.fleet.stale.add("i-a")
    world.evaluate_one(message)
    assert world.tower.runs[message.job_id or 0].job.status == "running"


def test_a_job_with_a_host_of_another_message_that_stays_goes_on(world: World) -> None:
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b")
    message = replace(world.waiting("i-a", job=job), heartbeat_at=0)
    world.waiting("i-b", job=job)
    world.leaves("i-a")
    world.fleet.stale.add("i-a")
    world.evaluate_one(message)
    assert world.tower.runs[job.id].job.status == "running"
    world.leaves("i-b")
    world.evaluate_one(message)
    assert world.tower.runs[job.id].job.status == "canceled"
