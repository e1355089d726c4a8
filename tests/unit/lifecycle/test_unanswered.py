"""Auto Scaling finds no active lifecycle action: over, or not visible right now although it holds the instance."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import ActionNotVisible, AwsDenied, Throttled
from rollcall.domain.jobs import Outcome
from rollcall.domain.lifecycle_states import PHASES
from rollcall.domain.message_format import Record, read_action
from rollcall.domain.reports import NO_LONGER_WAITING, Event
from rollcall.domain.stages import itself
from rollcall.domain.timing import UNANSWERED_LIFE, UNANSWERED_RETRY
from rollcall.lifecycle.hook_answers import hook_answers, require_visible
from rollcall.lifecycle.terminate_messages import SENT_AGAIN
from unit.fakes import REGION, FakeChef
from unit.world import TERMINATE_HOOK, World

if TYPE_CHECKING:
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.messages import RetireMessage
    from rollcall.domain.reports import Report
    from rollcall.lifecycle.gate_round import Round

HOLDING = ["Terminating:Wait", "Warmed:Terminating:Wait", "Warmed:Pending:Wait", "ReplacingRootVolume:Wait"]


def going(world: World, state: str = "Terminating:Wait") -> LifecycleAction:
    """A terminate action of an instance that has a host, which AWS does not find right now."""
    world.host_of("i-a", "10.0.0.7")
    action = world.terminating("i-a")
    world.leaves("i-a", state)
    world.fleet.stale.add("i-a")
    return action


def sent(world: World) -> LifecycleAction:
    """The action as cleanup's own message carries it, and nothing else was sent."""
    [(url, body, delay)] = world.queues.sent
    assert (url, delay) == (world.settings.terminate_queue_url, UNANSWERED_RETRY)
    action = read_action(Record("own", body, REGION, 1, world.clock.now, "handle"))
    assert action
    return action


def unanswered(world: World, action: LifecycleAction) -> LifecycleAction:
    """The action after AWS did not find it for the first time, just now."""
    [report] = world.clean_up(action)
    assert (report.outcome, report.error, report.event) == (SENT_AGAIN, None, None)
    return sent(world)


def later(world: World, seconds: float, action: LifecycleAction) -> Report:
    """What cleanup reports of the action after so many seconds."""
    world.clock.advance(seconds)
    [report] = world.clean_up(action)
    return report


# Cleanup


@pytest.mark.parametrize("state", HOLDING)
def test_while_a_hook_of_its_transition_holds_the_instance_it_is_tried_again(world: World, state: str) -> None:
    action = unanswered(world, going(world, state))
    assert action.unanswered_since == world.clock.now
    report = later(world, UNANSWERED_RETRY, action)
    assert isinstance(report.error, ActionNotVisible)
    assert report.error.retry_in == UNANSWERED_RETRY
    assert report.event is None
    assert TERMINATE_HOOK in str(report.error)
    assert len(world.queues.sent) == 1


def test_what_is_tried_again_is_the_same_action_with_all_that_is_known_of_it(world: World) -> None:
    action = replace(going(world), retire_job_over=True, failed_before=True, received_at=world.clock.now - 300)
    again = unanswered(world, action)
    assert again == action
    kept = ("retire_job_over", "failed_before", "received_at", "at")
    assert [getattr(again, name) for name in kept] == [getattr(action, name) for name in kept]


def test_one_whose_own_message_cannot_be_sent_comes_again_as_it_is(world: World) -> None:
    action = going(world)
    world.queues.failing["send"] = Throttled("later")
    assert isinstance(later(world, 0, action).error, Throttled)


@pytest.mark.parametrize("state", sorted(set(PHASES) - set(HOLDING)))
def test_where_none_holds_it_nothing_is_tried_again(world: World, state: str) -> None:
    report = later(world, 0, going(world, state))
    assert report.error is None


def test_when_it_is_found_again_the_hook_is_completed_and_that_is_the_retirement(world: World) -> None:
    action = unanswered(world, going(world))
    assert not world.tower.hosts
    world.fleet.stale.clear()
    report = later(world, 15, action)
    assert world.fleet.completed == {action: Result.CONTINUE}
    assert (report.outcome, report.event) == ("removed from every inventory", Event.RETIRED)


@pytest.mark.parametrize("waited", [0, 300, 4000])
def test_it_is_tried_for_two_minutes_since_it_was_first_not_found_and_is_no_success_then(
    world: World, waited: float
) -> None:
    action = going(world)
    world.clock.advance(waited)  # Tower was away
    action = unanswered(world, action)
    assert isinstance(later(world, UNANSWERED_LIFE - 1, action).error, ActionNotVisible)
    world.host_of("i-a", "10.0.0.7")
    report = later(world, 1, action)
    assert (report.outcome, report.error, report.event) == (NO_LONGER_WAITING, None, None)
    assert not world.fleet.completed
    assert not world.tower.hosts


def test_one_that_is_given_up_is_no_success_though_its_node_went(world: World) -> None:
    world.chef = FakeChef()
    world.group("web", chef="@instance_id@")
    action = unanswered(world, going(world))
    world.chef.bootstrap("i-a")
    report = later(world, UNANSWERED_LIFE, action)
    assert (report.outcome, report.error, report.event) == (NO_LONGER_WAITING, None, None)


def test_what_an_inventory_keeps_is_reported_of_one_that_is_given_up(world: World) -> None:
    mirror = world.tower.add_inventory("all EC2")
    world.tower.denied.add(mirror.id)
    world.tower.add_host(mirror, "i-a")
    report = later(world, UNANSWERED_LIFE, unanswered(world, going(world)))
    assert [note.cause for note in report.notes] == ["read-only inventory: all EC2"]


def test_one_that_no_hook_holds_any_more_when_it_is_tried_again_is_over(world: World) -> None:
    action = unanswered(world, going(world))
    world.leaves("i-a", "Terminating:Proceed")
    report = later(world, 15, action)
    assert (report.outcome, report.error, report.event) == (NO_LONGER_WAITING, None, None)


def test_what_is_found_is_asked_for_no_second_time(world: World) -> None:
    action = world.terminating("i-a")
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.clean_up(action)
    assert asked.count("memberships") == 1


def test_whom_another_transitions_hook_holds_is_not_tried_again(world: World) -> None:
    action = world.terminating("i-a")
    world.leaves("i-a", "Terminating:Proceed")
    world.fleet.stale.add("i-a")

    def comes_back(asked: LifecycleAction) -> None:
        world.leaves("i-a", "Pending:Wait")

    world.fleet.before_complete = comes_back
    [report] = world.clean_up(action)
    assert (report.outcome, report.error) == (NO_LONGER_WAITING, None)


def test_the_neighbours_of_one_that_is_not_found_are_completed(world: World) -> None:
    actions = [world.terminating("i-a"), world.terminating("i-b")]
    world.fleet.stale.add("i-a")
    reports = {report.action.instance_id: report for report in world.clean_up(*actions)}
    assert sent(world) == actions[0]
    assert (reports["i-a"].outcome, reports["i-a"].event) == (SENT_AGAIN, None)
    assert reports["i-b"].event == Event.RETIRED
    assert world.fleet.completed == {actions[1]: Result.CONTINUE}


def test_where_aws_does_not_say_who_is_held_that_one_fails_and_its_neighbour_does_not(world: World) -> None:
    actions = [world.terminating("i-a"), world.terminating("i-b")]
    world.fleet.stale.add("i-a")
    world.fleet.before_complete = lambda action: world.fleet.failing.update({"memberships": Throttled("later")})
    reports = {report.action.instance_id: report for report in world.clean_up(*actions)}
    assert isinstance(reports["i-a"].error, Throttled)
    assert reports["i-b"].error is None


@pytest.mark.parametrize("aged", [True, False])
def test_a_resting_instance_is_tried_and_given_up_likewise(world: World, aged: bool) -> None:
    action = unanswered(world, going(world, "Warmed:Pending:Wait"))
    report = later(world, UNANSWERED_LIFE if aged else 15, action)
    assert isinstance(report.error, ActionNotVisible) == (not aged)
    if aged:
        assert (report.outcome, report.event) == (NO_LONGER_WAITING, None)


def test_whose_node_alone_was_removed_was_not_for_nothing(world: World) -> None:
    world.chef = FakeChef()
    world.chef.bootstrap("i-a")
    world.group("web", chef="@instance_id@")
    action = world.terminating("i-a")
    world.leaves("i-a", "Terminating:Proceed")
    world.fleet.stale.add("i-a")
    [report] = world.clean_up(action)
    assert (report.outcome, report.event) == ("removed from every inventory, and from Chef as i-a", None)


# Register, into the warm pool


def entering_pool(world: World) -> LifecycleAction:
    action = world.launching("i-a", state="Warmed:Pending:Wait")
    world.fleet.stale.add("i-a")
    return action


def test_a_launch_into_the_pool_is_tried_again_and_given_up_likewise(world: World) -> None:
    action = entering_pool(world)
    [report] = world.register(action)
    assert isinstance(report.error, ActionNotVisible)
    world.clock.advance(UNANSWERED_LIFE)
    [report] = world.register(action)
    assert (report.outcome, report.error) == (NO_LONGER_WAITING, None)


def test_a_launch_into_the_pool_that_is_found_again_is_let_in(world: World) -> None:
    action = entering_pool(world)
    world.register(action)
    world.fleet.stale.clear()
    [report] = world.register(action)
    assert report.outcome == "let into the warm pool"
    assert world.fleet.completed == {action: Result.CONTINUE}


# Retirement


@pytest.fixture
def retiring(world: World) -> World:
    """The world, whose group "web" retires its instances."""
    world.group("web", retire_job_template="retire")
    world.tower.add_template("retire")
    return world


def launched(world: World) -> RetireMessage:
    [(message, _)] = world.retire_one(world.retiring("i-a")).next
    return message


def said(result: Round[RetireMessage]) -> list[tuple[str, Event | None]]:
    return [(report.outcome, report.event) for report in result.reports]


def test_the_retirement_of_one_that_is_not_found_goes_on_until_two_minutes_are_over(retiring: World) -> None:
    message = retiring.retiring("i-a")
    retiring.fleet.stale.add("i-a")
    [(sent, delay)] = retiring.retire_one(message).next
    assert (sent.unanswered_since, delay) == (retiring.clock.now, UNANSWERED_RETRY)
    assert not retiring.tower.runs
    retiring.clock.advance(UNANSWERED_LIFE - 1)
    [(sent, _)] = retiring.retire_one(sent).next
    assert sent.unanswered_since == retiring.clock.now - UNANSWERED_LIFE + 1
    retiring.clock.advance(1)
    result = retiring.retire_one(sent)
    assert said(result) == [(NO_LONGER_WAITING, None)]
    assert not result.next
    assert not retiring.fleet.completed
    assert not retiring.tower.hosts


def test_one_in_chef_that_is_not_found_goes_back_to_cleanup_with_the_time_of_that(retiring: World) -> None:
    retiring.group("web", retire_job_template="retire", chef="@instance_id@")
    message = retiring.retiring("i-a")
    retiring.fleet.stale.add("i-a")
    [(onward, _)] = retiring.retire_one(message).next
    retiring.clock.advance(UNANSWERED_LIFE)
    retiring.queues.sent.clear()
    retiring.retire_one(onward)
    [(_, body, _)] = retiring.queues.sent
    action = read_action(Record("own", body, REGION, 1, retiring.clock.now, "handle"))
    assert action
    assert action.unanswered_since == onward.unanswered_since
    [report] = retiring.clean_up(action)
    assert (report.outcome, report.event) == (NO_LONGER_WAITING, None)


def test_one_that_is_found_again_in_time_is_retired_as_the_others(retiring: World) -> None:
    message = retiring.retiring("i-a")
    retiring.fleet.stale.add("i-a")
    [(sent, _)] = retiring.retire_one(message).next
    retiring.fleet.stale.clear()
    retiring.clock.advance(15)
    [(sent, _)] = retiring.retire_one(sent).next
    assert sent.unanswered_since is None
    assert len(retiring.tower.runs) == 1
    beats = retiring.fleet.heartbeats["i-a"]
    retiring.retire_one(sent)
    assert retiring.fleet.heartbeats["i-a"] == beats  # of whom AWS finds it is not asked in every round


def test_one_that_is_not_found_when_its_job_is_over_keeps_its_job(retiring: World) -> None:
    message = launched(retiring)
    retiring.tower.end_job(message.job_id or 0, {"i-a": Outcome.OK})
    retiring.fleet.before_complete = lambda action: retiring.fleet.stale.add("i-a")
    result = retiring.retire_one(message)
    assert result.reports == []
    [(sent, _)] = result.next
    assert (sent.job_id, sent.unanswered_since) == (message.job_id, retiring.clock.now)
    assert not retiring.tower.hosts
    retiring.fleet.before_complete = lambda action: None
    retiring.fleet.stale.clear()
    result = retiring.retire_one(sent)
    assert [report.event for report in result.reports] == [Event.RETIRED]
    assert list(retiring.fleet.completed.values()) == [Result.CONTINUE]


def test_those_of_a_message_that_are_found_go_on_apart_from_the_one_that_is_not(retiring: World) -> None:
    message = retiring.retiring("i-a", "i-b")
    retiring.fleet.stale.add("i-a")
    sent = {each.retiring[0].instance_id: each for each, _ in retiring.retire_one(message).next}
    assert (sent["i-a"].unanswered_since, sent["i-b"].unanswered_since) == (retiring.clock.now, None)
    assert (sent["i-a"].job_id, sent["i-b"].job_id is None) == (None, False)


def test_where_aws_does_not_say_who_is_held_the_message_comes_again(retiring: World) -> None:
    message = retiring.retiring("i-a")
    retiring.fleet.stale.add("i-a")
    retiring.fleet.failing["memberships"] = Throttled("later")
    assert isinstance(retiring.retire_one(message).error, Throttled)


# What they share


def test_it_is_tried_again_only_while_held_and_young(world: World) -> None:
    action = world.launching("i-a")
    with pytest.raises(ActionNotVisible, match="for 120 s"):
        require_visible(world.fleet, [action], world.clock.now + UNANSWERED_LIFE - 1)
    require_visible(world.fleet, [action], world.clock.now + UNANSWERED_LIFE)
    require_visible(world.fleet, [replace(action, transition=Transition.TERMINATING)], world.clock.now)
    world.leaves("i-a", "InService")
    require_visible(world.fleet, [action], world.clock.now)


def test_a_call_that_fails_is_reported_and_left_out_and_the_others_answer(world: World) -> None:
    actions = [world.launching(each) for each in ("i-a", "i-b", "i-c")]
    world.fleet.denied.add("i-b")
    world.fleet.stale.add("i-c")
    stage = hook_answers(actions, itself, world.fleet.heartbeat)
    assert stage.going_on == [(actions[0], True), (actions[2], False)]
    assert [(report.action, type(report.error)) for report in stage.left] == [(actions[1], AwsDenied)]
