"""A group with the tag rollcall:emergency: nothing holds or abandons its instances, and all else goes on."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.jobs import Outcome
from rollcall.domain.reports import Event
from rollcall.lifecycle.launch_classification import ToBeRegistered, classify, read_aws_state
from unit.world import World, alerts, ids, outcomes

if TYPE_CHECKING:
    from rollcall.domain.messages import RetireMessage

EMERGENCY = "2026-11-21T10:00:00Z rollcall-launch=600/ABANDON"
OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE


@pytest.fixture
def world() -> World:
    """A world with the group "web", which is in an emergency; its hooks are as that makes them."""
    made = World()
    made.group("web", heartbeat_timeout=30, emergency=EMERGENCY)
    return made


def over(world: World) -> None:
    """The operator restores the group."""
    world.group("web", heartbeat_timeout=600)


def completed(world: World) -> dict[str, Result]:
    return {action.instance_id: result for action, result in world.fleet.completed.items()}


# The gate


def test_a_hook_gets_no_heartbeat_however_long_it_waits(world: World) -> None:
    world.tower.usual = (1000.0,)
    message = replace(world.waiting("i-a"), heartbeat_at=0)
    [(message, delay)] = world.evaluate_one(message).next
    assert not world.fleet.heartbeats
    assert ids(message) == {"i-a"}
    assert delay > 10, "nothing has to be kept alive"


def test_once_it_is_over_heartbeats_are_due_at_once(world: World) -> None:
    [(message, _)] = world.evaluate_one(replace(world.waiting("i-a"), heartbeat_at=0)).next
    over(world)
    world.evaluate_one(message)
    assert world.fleet.heartbeats == {"i-a": 1}


def test_another_group_of_the_same_message_still_gets_its_heartbeats(world: World) -> None:
    world.group("db", heartbeat_timeout=30)
    both = world.waiting("i-a", "i-b")
    job = world.tower.runs[both.job_id or 0].job
    db = world.waiting("i-c", group="db", job=job)
    world.evaluate_one(replace(both, waiting=(*both.waiting, *db.waiting), heartbeat_at=0))
    assert world.fleet.heartbeats == {"i-c": 1}


@pytest.mark.parametrize("on_failure", ["abandon", "hold"])
@pytest.mark.parametrize("state", ["Pending:Wait", "InService"])
def test_evidence_against_an_instance_abandons_and_holds_nothing_and_its_host_stays(
    world: World, state: str, on_failure: str
) -> None:
    world.group("web", emergency=EMERGENCY, on_failure=on_failure)
    message = world.waiting("i-a")
    world.leaves("i-a", state)
    world.end(message, i_a=FAILED)
    result = world.evaluate_one(message)
    assert (result.next, completed(world)) == ([], {})
    assert world.tower.names_in(world.inventory) == {"i-a"}
    [alert] = alerts(result)
    assert alert.reason == "its job failed; it serves all the same, for its group is in an emergency"
    assert outcomes(result)["i-a"].startswith("left in service")


@pytest.mark.parametrize("answered", [False, True])
def test_an_instance_whose_job_is_ok_is_ready_whoever_answered_its_hook(world: World, answered: bool) -> None:
    message = world.waiting("i-a")
    if answered:
        world.fleet.stale.add("i-a")
        world.leaves("i-a", "InService")
    world.end(message, i_a=OK)
    result = world.evaluate_one(message)
    assert completed(world) == ({} if answered else {"i-a": Result.CONTINUE})
    assert [each.event for each in result.reports] == [Event.READY]
    assert result.next == []


def test_one_that_is_not_reached_gets_another_job_though_it_serves(world: World) -> None:
    message = world.waiting("i-a")
    world.leaves("i-a", "InService")
    world.end(message, i_a=UNREACHABLE)
    world.clock.advance(60)
    [(again, _)] = world.evaluate_one(message).next
    assert again.job_id != message.job_id
    assert world.tower.runs[again.job_id or 0].job.hosts == {"i-a"}


def test_one_that_left_is_removed_and_not_said_to_be_ended_by_its_hook(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=FAILED)
    world.clock.advance(4000)  # more than 100 heartbeat timeouts of 30 s
    world.leaves("i-a")
    result = world.evaluate_one(message)
    assert world.tower.names_in(world.inventory) == set()
    assert not alerts(result)


# register


@pytest.mark.parametrize("state", ["Pending:Wait", "Pending:Proceed", "InService"])
def test_an_instance_that_was_let_in_already_is_registered_and_gets_its_job(world: World, state: str) -> None:
    action = world.launching("i-a", state=state)
    [report] = world.register(action)
    assert report.event == Event.REGISTERED
    assert world.tower.names_in(world.inventory) == {"i-a"}
    [(message, _)] = world.queues.gate_messages()
    assert message.job_id == report.job
    assert report.job


def test_without_an_emergency_it_is_not_for_its_hook_was_answered(world: World) -> None:
    over(world)
    action = world.launching("i-a", state="InService")
    world.fleet.stale.add("i-a")
    [report] = world.register(action)
    assert report.outcome == "no longer pending: InService"


def test_one_that_serves_for_too_long_gets_no_job_unasked(world: World) -> None:
    action = world.launching("i-a", state="InService")
    world.clock.advance(2000)
    [report] = world.register(action)
    assert report.outcome == "left to reconcile: it serves for too long"


def test_what_is_registered_is_still_held_by_its_hook_if_the_emergency_ends(world: World) -> None:
    action = world.launching("i-a")
    launch = classify(action, read_aws_state(world.fleet, [action]), world.settings.hook_prefix)
    assert isinstance(launch, ToBeRegistered)
    world.register(action)
    over(world)
    [(message, _)] = world.queues.gate_messages()
    world.evaluate_one(replace(message, heartbeat_at=0))
    assert world.fleet.heartbeats == {"i-a": 1}


# Terminations


def retiring(world: World) -> RetireMessage:
    world.group("web", retire_job_template="retire")
    world.tower.add_template("retire")
    return world.retiring("i-a")


def test_no_retire_job_is_launched_and_the_host_goes_at_once(world: World) -> None:
    world.group("web", retire_job_template="retire", emergency=EMERGENCY)
    world.tower.add_template("retire")
    world.serving("i-a", "10.0.0.7", state="Terminating:Wait")
    world.host_of("i-a", "10.0.0.7")
    [report] = world.clean_up(world.terminating("i-a"))
    assert world.queues.retire_messages() == []
    assert report.event == Event.RETIRED
    assert completed(world) == {"i-a": Result.CONTINUE}


def test_a_retire_job_that_runs_is_not_waited_for(world: World) -> None:
    message = retiring(world)
    [(message, _)] = world.retire_one(message).next
    world.group("web", retire_job_template="retire", emergency=EMERGENCY)
    world.fleet.heartbeats.clear()
    result = world.retire_one(replace(message, heartbeat_at=0))
    assert "is not waited for: its group is in an emergency" in outcomes(result)["i-a"]
    assert completed(world) == {"i-a": Result.CONTINUE}
    assert not world.fleet.heartbeats


def test_an_inventory_that_cannot_be_read_keeps_no_instance_waiting(world: World) -> None:
    world.group("web", inventory="unreadable", emergency=EMERGENCY)
    action = world.terminating("i-a")
    [report] = world.clean_up(action)
    assert report.error is None
    assert completed(world) == {"i-a": Result.CONTINUE}
