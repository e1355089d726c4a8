"""Launches that a group's notification announces: no hook holds the instance, it serves already."""

from __future__ import annotations

import re
from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import JobStillLanding, Throttled
from rollcall.domain.groups import Group
from rollcall.domain.jobs import Outcome
from rollcall.domain.messages import GateMessage
from rollcall.domain.reports import NO_LONGER_WAITING
from rollcall.domain.timing import OTHER_LAUNCH_TIME
from unit.world import World, alerts, ids

if TYPE_CHECKING:
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.reports import Report
    from rollcall.lifecycle.gate_round import Round

TIMEOUT = 1800  # seconds, of a group without the tag
OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE


def notified(action: LifecycleAction, message_id: str = "n1") -> LifecycleAction:
    """The launch of the same instance as its group's notification announces it."""
    return replace(action, hook=None, token=None, message_id=message_id)


def launched(world: World, instance_id: str, message_id: str = "n1") -> LifecycleAction:
    """An instance just put into service, as its group's notification announces it."""
    return notified(world.launching(instance_id, state="InService"), message_id)


def outcomes(reports: list[Report]) -> dict[str, str]:
    assert not [report.error for report in reports if report.error]
    return {report.action.instance_id: re.sub(r"job \d+", "a job", report.outcome) for report in reports}


def limits(world: World) -> list[set[str]]:
    return [set(run.job.hosts) for run in world.tower.runs.values()]


def at_the_gate(world: World) -> list[GateMessage]:
    return [message for message, _ in world.queues.gate_messages()]


def outcomes_of(result: Round[GateMessage]) -> dict[str, str]:
    return {each.action.instance_id: each.outcome for each in result.reports if each.outcome}


# register


@pytest.mark.parametrize("state", ["InService", "EnteringStandby", "Standby", "Pending"])
def test_an_instance_that_serves_is_registered_and_provisioned(world: World, state: str) -> None:
    action = notified(world.launching("i-a", state=state))
    assert outcomes(world.register(action)) == {"i-a": "registered, a job"}
    assert world.tower.names_in(world.inventory) == {"i-a"}
    assert limits(world) == [{"i-a"}]
    [message] = at_the_gate(world)
    assert [each.action for each in message.waiting] == [action]
    assert not world.fleet.completed


def test_a_burst_of_notifications_costs_one_job(world: World) -> None:
    world.register(*[launched(world, f"i-{number}", f"n{number}") for number in range(100)])
    assert [len(limit) for limit in limits(world)] == [100]


@pytest.mark.parametrize("state", ["Detaching", "Warmed:Pending:Wait", "Warmed:Stopped", "Warmed:Running"])
def test_an_instance_that_does_not_serve_gets_nothing(world: World, state: str) -> None:
    world.register(notified(world.launching("i-a", state=state)))
    assert not world.tower.hosts
    assert not world.fleet.completed


def test_a_launch_that_its_termination_overtook_leaves_no_host(world: World) -> None:
    action = launched(world, "i-a")
    world.terminated("i-a")
    world.clean_up(replace(action, transition=Transition.TERMINATING))
    assert outcomes(world.register(action)) == {"i-a": "removed from every inventory: already gone"}
    assert not world.tower.hosts


def test_an_instance_that_goes_while_it_is_registered_is_removed(world: World) -> None:
    action = launched(world, "i-a")
    world.tower.after_create = lambda: world.leaves("i-a", "Terminating")
    assert outcomes(world.register(action)) == {"i-a": "removed from every inventory: left meanwhile"}
    assert not world.tower.hosts
    assert not limits(world)


def test_a_group_that_did_not_opt_in_is_passed_over(world: World) -> None:
    world.group("web", tags={})
    assert outcomes(world.register(launched(world, "i-a"))) == {"i-a": "passed over: the group did not opt in"}


def test_a_termination_in_the_launch_queue_and_a_launch_in_the_terminate_queue_are_passed_over(world: World) -> None:
    # A topic without a filter sends both queues both.
    launch = launched(world, "i-a")
    world.tower.add_host(world.inventory, "i-a")
    termination = replace(launch, transition=Transition.TERMINATING)
    assert "passed over" in outcomes(world.register(termination))["i-a"]
    assert "passed over" in outcomes(world.clean_up(launch))["i-a"]
    assert world.tower.names_in(world.inventory) == {"i-a"}


# One instance, several messages


def test_a_copy_of_a_notification_finds_its_instance_cared_for(world: World) -> None:
    action = launched(world, "i-a")
    world.register(action)
    assert outcomes(world.register(notified(action, "n2"))) == {"i-a": "is in a job already"}
    assert len(limits(world)) == len(at_the_gate(world)) == 1


def test_a_copy_of_a_notification_costs_a_group_without_a_template_nothing_either(world: World) -> None:
    world.group("web", job_template="")
    action = launched(world, "i-a")
    world.register(action)
    assert outcomes(world.register(notified(action, "n2"))) == {"i-a": "has its host already"}
    assert len(at_the_gate(world)) == 1


def test_an_instance_whose_hook_was_answered_is_handled_once(world: World) -> None:
    action = world.launching("i-a")
    world.register(action)
    world.end(at_the_gate(world)[0], i_a=OK)
    world.evaluate_one(at_the_gate(world)[0])
    assert world.fleet.completed == {action: Result.CONTINUE}
    world.fleet.known_memberships["i-a"] = replace(world.fleet.known_memberships["i-a"], state="InService")
    assert outcomes(world.register(notified(action))) == {"i-a": "is in a job already"}
    assert limits(world) == [{"i-a"}]
    assert len(at_the_gate(world)) == 1


@pytest.mark.parametrize("first", ["hook", "notification"])
def test_a_hook_is_answered_whichever_message_came_first(world: World, first: str) -> None:
    action = world.launching("i-a")
    actions = [action, notified(action)] if first == "hook" else [notified(action), action]
    for each in actions:
        world.register(each)
    assert limits(world) == [{"i-a"}]
    world.end(at_the_gate(world)[0], i_a=OK)
    world.evaluate(*at_the_gate(world))
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_a_hook_and_a_notification_in_one_batch_launch_one_job_and_complete_one_hook(world: World) -> None:
    action = world.launching("i-a")
    world.register(notified(action), action)
    assert limits(world) == [{"i-a"}]
    [message] = at_the_gate(world)
    world.end(message, i_a=OK)
    world.evaluate_one(message)
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_a_host_that_somebody_made_just_now_is_left_to_them_and_provisioned_if_they_do_not(world: World) -> None:
    action = launched(world, "i-a")
    world.host_of("i-a", "10.0.0.7", age=0, description="Made by Rollcall in run 1")
    [report] = world.register(action)
    assert isinstance(report.error, JobStillLanding)
    world.clock.advance(OTHER_LAUNCH_TIME)
    world.register(action)
    assert limits(world) == [{"i-a"}]


def test_a_try_that_failed_is_taken_up_where_it_ended(world: World) -> None:
    action = launched(world, "i-a")
    world.tower.failing["add_to_group"] = Throttled("busy")
    [report] = world.register(action)
    assert report.error
    world.tower.failing.clear()
    world.clock.advance(TIMEOUT)
    assert outcomes(world.register(action)) == {"i-a": "registered, a job"}
    assert limits(world) == [{"i-a"}]


def test_a_job_that_was_not_handed_to_the_gate_is_handed_on_at_the_next_try(world: World) -> None:
    action = launched(world, "i-a")
    world.register(action)
    world.queues.sent.clear()
    assert outcomes(world.register(action)) == {"i-a": "registered, a job"}
    assert len(at_the_gate(world)) == len(limits(world)) == 1


# Too late


def test_an_instance_that_serves_for_long_is_not_provisioned_unasked(world: World) -> None:
    late, new = launched(world, "i-late"), launched(world, "i-new", "n2")
    late = replace(late, at=world.clock.now - TIMEOUT)
    reports = outcomes(world.register(late, new))
    assert reports["i-late"].startswith("left to reconcile")
    assert limits(world) == [{"i-new"}]
    assert world.tower.names_in(world.inventory) == {"i-new"}


@pytest.mark.parametrize("by", ["this message", "another"])
def test_only_what_this_message_began_in_time_is_brought_to_its_end(world: World, by: str) -> None:
    action = launched(world, "i-a")
    world.tower.failing["launch"] = Throttled("busy")
    world.register(action if by == "this message" else replace(action, message_id="n0"))
    world.tower.failing.clear()
    world.clock.advance(TIMEOUT)
    [report] = world.register(action)
    assert report.error is None
    assert report.outcome.startswith("registered" if by == "this message" else "left to reconcile")
    assert len(limits(world)) == (by == "this message")


def test_an_instance_without_a_job_is_registered_however_long_it_serves(world: World) -> None:
    world.group("web", job_template="")
    action = launched(world, "i-a")
    world.clock.advance(TIMEOUT)
    assert outcomes(world.register(action)) == {"i-a": "registered"}


def test_an_instance_that_a_hook_holds_is_never_too_late(world: World) -> None:
    action = world.launching("i-a")
    world.clock.advance(TIMEOUT)
    assert outcomes(world.register(action)) == {"i-a": "registered, a job"}


# gate


def watched(world: World, *instance_ids: str) -> GateMessage:
    """A gate message of instances that serve, whose job runs since now."""
    message = world.waiting(*instance_ids)
    for each in instance_ids:
        known = world.fleet.known_memberships[each]
        world.fleet.known_memberships[each] = replace(known, state="InService")
    return replace(message, waiting=tuple(replace(each, action=notified(each.action)) for each in message.waiting))


def test_nobody_is_answered_when_the_job_went_well(world: World) -> None:
    message = watched(world, "i-a")
    world.end(message, i_a=OK)
    result = world.evaluate_one(message)
    assert outcomes_of(result) == {"i-a": "ready"}
    assert not alerts(result)
    assert not world.fleet.completed


@pytest.mark.parametrize("on_failure", ["abandon", "hold"])
def test_an_instance_that_failed_is_left_in_service_and_an_operator_is_alerted(world: World, on_failure: str) -> None:
    world.group("web", on_failure=on_failure)
    message = watched(world, "i-a")
    world.end(message, i_a=FAILED)
    result = world.evaluate_one(message)
    assert outcomes_of(result)["i-a"].startswith("left in service: its job failed")
    [alert] = alerts(result)
    assert "it serves all the same" in alert.reason
    assert not result.next
    assert not world.fleet.completed
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_that_an_instance_is_left_in_service_is_alerted_though_it_was_alerted_before(world: World) -> None:
    message = replace(watched(world, "i-a"), alerted=True)
    world.end(message, i_a=FAILED)
    assert len(alerts(world.evaluate_one(message))) == 1


def test_an_instance_out_of_reach_is_tried_again_while_it_serves(world: World) -> None:
    message = watched(world, "i-a")
    world.end(message, i_a=UNREACHABLE)
    world.clock.advance(20)
    [(sent, _)] = world.evaluate_one(message).next
    assert sent.job_id != message.job_id
    assert limits(world) == [{"i-a"}, {"i-a"}]


def test_what_stays_undecided_is_alerted_at_the_groups_timeout_and_over(world: World) -> None:
    message = watched(world, "i-a")
    world.clock.advance(TIMEOUT)
    world.end(message, i_a=Outcome.UNPROVEN)
    result = world.evaluate_one(message)
    assert outcomes_of(result)["i-a"].startswith("left in service: its job proved nothing")
    assert len(alerts(result)) == 1
    assert not result.next


def test_a_check_that_never_passes_is_alerted_at_the_groups_timeout(world: World) -> None:
    world.group("web", job_template="", gate="ec2")
    message = replace(watched(world, "i-a"), job_id=None)
    [(message, _)] = world.evaluate_one(message).next
    world.clock.advance(TIMEOUT)
    assert outcomes_of(world.evaluate_one(message))["i-a"].startswith("left in service: after")


@pytest.mark.parametrize("outcome", [OK, FAILED, UNREACHABLE])
def test_an_instance_terminated_while_its_job_ran_leaves_no_host(world: World, outcome: Outcome) -> None:
    message = watched(world, "i-a")
    world.terminated("i-a")
    world.end(message, i_a=outcome)
    result = world.evaluate_one(message)
    assert outcomes_of(result) == {"i-a": "removed from every inventory: left meanwhile"}
    assert not alerts(result)
    assert not world.tower.hosts


def test_signs_of_life_go_to_hooks_only_and_the_others_are_not_taken_for_finished(world: World) -> None:
    message = watched(world, "i-a")
    held = world.waiting("i-b", job=world.tower.add_job(world.template, world.inventory, "i-a", "i-b"))
    both = replace(held, waiting=message.waiting + held.waiting)
    world.clock.advance(600)
    [(sent, _)] = world.evaluate_one(both).next
    assert world.fleet.heartbeats == {"i-b": 1}
    assert ids(sent) == {"i-a", "i-b"}


def test_a_hook_is_completed_though_nothing_can_be_said_of_those_without_one(world: World) -> None:
    message = watched(world, "i-a")
    held = world.waiting("i-b", job=world.tower.add_job(world.template, world.inventory, "i-a", "i-b"))
    both = replace(held, waiting=message.waiting + held.waiting)
    world.end(both, i_a=OK, i_b=OK)
    world.fleet.failing["memberships"] = Throttled("slow down")
    result = world.evaluate_one(both)
    assert {action.instance_id for action in world.fleet.completed} == {"i-b"}
    assert [ids(sent) for sent, _ in result.next] == [{"i-a"}]


def test_the_watch_ends_with_the_group(world: World) -> None:
    message = watched(world, "i-a")
    world.fleet.known_groups.clear()
    assert outcomes_of(world.evaluate_one(message)) == {"i-a": NO_LONGER_WAITING}


def test_a_group_that_is_known_by_its_notifications_alone_needs_no_hooks(world: World) -> None:
    known = world.fleet.known_groups["web"]
    world.fleet.known_groups["web"] = Group("web", known.tags, {})
    world.register(launched(world, "i-a"))
    [message] = at_the_gate(world)
    world.end(message, i_a=OK)
    assert outcomes_of(world.evaluate_one(message)) == {"i-a": "ready"}
