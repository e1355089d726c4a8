"""Terminating instances: their hooks are completed once no inventory holds them, and not before."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain.actions import LifecycleAction, Result
from rollcall.domain.errors import (
    AwsDenied,
    BadEvent,
    BadSettings,
    InstanceNotVisible,
    Throttled,
    TowerDenied,
    TowerUnavailable,
)
from rollcall.domain.membership import Membership
from rollcall.domain.reports import NO_LONGER_WAITING, Event
from rollcall.domain.timing import SETTLING_TIME
from unit.world import World, token_of


def test_a_hook_is_completed_only_after_its_hosts_are_gone(world: World) -> None:
    other = world.tower.add_inventory("other")
    for inventory in (world.inventory, other):
        world.tower.add_host(inventory, "i-a")
        world.tower.add_host(inventory, "i-b")
    left_at_completion: list[int] = []
    world.fleet.before_complete = lambda action: left_at_completion.append(len(world.tower.hosts))
    actions = [world.terminating("i-a"), world.terminating("i-b")]
    reports = world.clean_up(*actions)
    assert left_at_completion == [0, 0]
    assert world.fleet.completed == dict.fromkeys(actions, Result.CONTINUE)
    assert [report.outcome for report in reports] == ["removed from every inventory", "removed from every inventory"]


def test_an_instance_without_hosts_lets_its_hook_go(world: World) -> None:
    action = world.terminating("i-a")
    world.clean_up(action)
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_it_makes_no_difference_that_the_group_and_its_tags_are_gone(world: World) -> None:
    action = world.terminating("i-a", "deleted")
    world.tower.add_host(world.inventory, "i-a")
    world.fleet.known_groups.clear()
    world.fleet.known_memberships.clear()
    world.clean_up(action)
    assert not world.tower.hosts
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_an_instance_already_terminated_has_no_hook_to_complete(world: World) -> None:
    action = replace(world.terminating("i-a"), hook=None, token=None)
    world.tower.add_host(world.inventory, "i-a")
    [report] = world.clean_up(action)
    assert report.error is None
    assert not world.tower.hosts
    assert not world.fleet.completed


def test_one_without_a_host_waits_while_its_groups_inventory_cannot_be_read_and_others_go(world: World) -> None:
    """A host that the token does not show any more may be left there."""
    world.group("web")
    world.group("db", inventory="unreadable")
    web, db = world.terminating("i-a"), world.terminating("i-b", "db")
    reports = {report.action.instance_id: report for report in world.clean_up(web, db)}
    assert world.fleet.completed == {web: Result.CONTINUE}
    error = reports["i-b"].error
    assert isinstance(error, BadSettings)
    assert all(words in str(error) for words in ("group 'db'", "rollcall:inventory", "'unreadable'"))
    world.tower.add_inventory("unreadable")
    world.clean_up(db)
    assert world.fleet.completed == dict.fromkeys([web, db], Result.CONTINUE)


@pytest.mark.parametrize("tag", ["misspelt", ""])
def test_one_whose_host_was_removed_goes_whatever_the_tag_of_its_group_says_by_now(world: World, tag: str) -> None:
    world.group("web", inventory=tag)
    action = world.terminating("i-a")
    world.host_of("i-a", "10.0.0.7")
    world.clean_up(action)
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_one_without_a_host_goes_where_its_group_did_not_opt_in(world: World) -> None:
    world.group("web", inventory="")
    action = world.terminating("i-a")
    world.clean_up(action)
    assert world.fleet.completed == {action: Result.CONTINUE}


@pytest.mark.parametrize("hooked", [True, False])
def test_one_that_nothing_holds_does_not_depend_on_its_groups_inventory(world: World, hooked: bool) -> None:
    world.group("web", inventory="unreadable")
    action = world.terminating("i-a")
    world.terminated("i-a")
    world.fleet.stale.add("i-a")
    [report] = world.clean_up(action if hooked else replace(action, hook=None, token=None))
    assert report.error is None


def test_inventories_are_asked_for_once_a_batch_and_only_where_no_host_was_found(world: World) -> None:
    world.group("web")
    for number in range(5):
        world.host_of(f"i-{number}", "10.0.0.7")
    world.clean_up(*(world.terminating(f"i-{number}") for number in range(5)))
    assert world.tower.calls["inventory"] == 0
    world.clean_up(*(world.terminating(f"i-{number}") for number in range(5)))
    assert world.tower.calls["inventory"] == 1


def test_what_a_read_only_inventory_keeps_is_reported_once_of_each_instance(world: World) -> None:
    mirror = world.tower.add_inventory("all EC2")
    world.tower.denied.add(mirror.id)
    for each in ("i-a", "i-b"):
        world.tower.add_host(mirror, each)
        world.tower.add_host(world.inventory, each)
    reports = world.clean_up(world.terminating("i-a"), replace(world.terminating("i-b"), hook=None, token=None))
    assert [[note.cause for note in report.notes] for report in reports] == [["read-only inventory: all EC2"]] * 2
    for each in ("i-a", "i-b"):
        again = replace(world.terminating(each), hook=None, token=None)
        world.terminated(each)
        [report] = world.clean_up(again)
        assert (report.error, report.event, report.notes) == (None, None, ())


def unhooked(world: World) -> LifecycleAction:
    """The message that an instance was terminated, which came just now; EC2 still says that it runs."""
    world.serving("i-a", "10.0.0.7")
    world.host_of("i-a", "10.0.0.7")
    action = replace(world.terminating("i-a"), hook=None, token=None)
    world.detached("i-a")
    return action


def test_one_that_ec2_calls_running_when_its_message_comes_is_tried_again_and_its_host_goes(world: World) -> None:
    action = unhooked(world)
    [report] = world.clean_up(action)
    assert isinstance(report.error, InstanceNotVisible)
    assert "EC2 says that it is running" in str(report.error)
    assert world.tower.names_in(world.inventory) == {"i-a"}
    world.clock.advance(SETTLING_TIME - 1)
    assert isinstance(world.clean_up(action)[0].error, InstanceNotVisible)
    world.fleet.known_instances["i-a"] = world.instance("i-a", state="terminated")
    [report] = world.clean_up(action)
    assert (report.error, report.event) == (None, Event.RETIRED)
    assert not world.tower.hosts


def test_one_that_ec2_calls_running_for_longer_stays(world: World) -> None:
    action = unhooked(world)
    world.clock.advance(SETTLING_TIME)
    [report] = world.clean_up(action)
    assert report.outcome == f"{NO_LONGER_WAITING}: EC2 says that it is running, and no group has it"
    assert world.tower.names_in(world.inventory) == {"i-a"}


def test_one_that_its_group_shows_in_service_is_not_tried_again(world: World) -> None:
    action = unhooked(world)
    world.fleet.known_memberships["i-a"] = Membership("web", "InService")
    [report] = world.clean_up(action)
    assert report.outcome.startswith(f"{NO_LONGER_WAITING}: ")


@pytest.mark.parametrize("state", ["Terminating:Proceed", "Terminated", None])
@pytest.mark.parametrize("hosted", [True, False])
def test_an_action_that_is_over_is_no_success_but_for_the_host_that_was_removed(
    world: World, state: str | None, hosted: bool
) -> None:
    action = world.terminating("i-a")
    world.fleet.stale.add("i-a")
    if state:
        world.leaves("i-a", state)
    else:
        world.terminated("i-a")
    if hosted:
        world.tower.add_host(world.inventory, "i-a")
    [report] = world.clean_up(action)
    assert report.error is None
    assert (report.outcome, report.event) == (
        ("removed from every inventory", Event.RETIRED) if hosted else (NO_LONGER_WAITING, None)
    )
    assert not world.tower.hosts


def test_a_refusal_fails_only_the_actions_of_its_inventory(world: World) -> None:
    kept = world.tower.add_inventory("kept")
    world.group("db", inventory="kept")
    world.tower.add_host(kept, "i-a")
    world.tower.add_host(world.inventory, "i-b")
    world.tower.denied.add(kept.id)
    kept_action, fine = world.terminating("i-a"), world.terminating("i-b")
    reports = {report.action: report for report in world.clean_up(kept_action, fine)}
    assert isinstance(reports[kept_action].error, TowerDenied)
    assert reports[fine].error is None
    assert world.fleet.completed == {fine: Result.CONTINUE}


def test_no_hook_is_completed_while_tower_is_away(world: World) -> None:
    world.tower.unavailable = True
    reports = world.clean_up(world.terminating("i-a"), world.terminating("i-b"))
    assert [type(report.error) for report in reports] == [TowerUnavailable] * 2
    assert not world.fleet.completed


def test_a_hook_that_may_not_be_completed_fails_alone(world: World) -> None:
    denied, fine = world.terminating("i-a"), world.terminating("i-b")
    world.fleet.denied.add("i-a")
    reports = {report.action: report for report in world.clean_up(denied, fine)}
    assert isinstance(reports[denied].error, AwsDenied)
    assert reports[fine].error is None


def test_an_action_of_another_account_fails_alone(world: World) -> None:
    foreign, fine = replace(world.terminating("i-a"), account="999999999999"), world.terminating("i-b")
    reports = {report.action: report for report in world.clean_up(foreign, fine)}
    assert isinstance(reports[foreign].error, BadEvent)
    assert reports[fine].error is None


# Instances whose group wants a job before they go


@pytest.fixture
def retiring(world: World) -> World:
    """The world, whose group "web" retires its instances, and a host of each of two."""
    world.group("web", retire_job_template="retire")
    world.tower.add_host(world.inventory, "i-a")
    world.tower.add_host(world.inventory, "i-b")
    return world


def test_who_is_to_be_retired_is_handed_to_the_gate_with_host_and_hook_untouched(retiring: World) -> None:
    actions = [retiring.terminating("i-a"), retiring.terminating("i-b")]
    reports = retiring.clean_up(*actions)
    assert [report.outcome.split(":")[0] for report in reports] == ["handed to the gate"] * 2
    [(message, delay)] = retiring.queues.retire_messages()
    assert message.retiring == tuple(actions)
    assert (message.job_id, message.since, delay) == (None, retiring.clock.now, 0)
    assert not retiring.fleet.completed
    assert retiring.tower.names_in(retiring.inventory) == {"i-a", "i-b"}


def test_a_group_that_retires_nobody_is_cleaned_up_beside_one_that_does(retiring: World) -> None:
    retiring.group("db")
    retiring.clean_up(retiring.terminating("i-a", "db"), retiring.terminating("i-b"))
    assert retiring.tower.names_in(retiring.inventory) == {"i-b"}
    assert [action.instance_id for action in retiring.fleet.completed] == ["i-a"]
    assert len(retiring.queues.sent) == 1


def test_an_instance_that_no_hook_holds_is_removed_at_once(retiring: World) -> None:
    retiring.clean_up(replace(retiring.terminating("i-a"), hook=None, token=None))
    assert retiring.tower.names_in(retiring.inventory) == {"i-b"}
    assert not retiring.queues.sent


def test_a_message_to_the_gate_holds_as_many_of_one_group_as_a_job_may(retiring: World) -> None:
    retiring.settings = replace(retiring.settings, max_hosts_per_job=2)
    retiring.group("db", retire_job_template="retire")
    retiring.clean_up(*[retiring.terminating(f"i-{each}") for each in "abc"], retiring.terminating("i-d", "db"))
    held = [[action.instance_id for action in message.retiring] for message, _ in retiring.queues.retire_messages()]
    assert held == [["i-a", "i-b"], ["i-c"], ["i-d"]]


@pytest.mark.parametrize("tag", ["", "  "])
def test_an_empty_tag_asks_for_no_job(retiring: World, tag: str) -> None:
    retiring.group("web", tags={"rollcall:inventory": "prod", "rollcall:retire-job-template": tag})
    retiring.clean_up(retiring.terminating("i-a"))
    assert not retiring.queues.sent
    assert len(retiring.fleet.completed) == 1


def test_tags_of_which_one_cannot_be_read_are_the_gates_to_judge(retiring: World) -> None:
    retiring.group("web", retire_job_template="retire", timeout="soon")
    retiring.clean_up(retiring.terminating("i-a"))
    assert len(retiring.queues.sent) == 1


def test_nobody_goes_without_a_job_because_aws_did_not_say_whether_one_is_wanted(retiring: World) -> None:
    retiring.fleet.failing["groups"] = Throttled("later")
    [report] = retiring.clean_up(retiring.terminating("i-a"))
    assert isinstance(report.error, Throttled)
    assert retiring.tower.names_in(retiring.inventory) == {"i-a", "i-b"}
    assert not retiring.fleet.completed


def test_what_could_not_be_handed_to_the_gate_fails_and_is_not_let_go(retiring: World) -> None:
    retiring.queues.failing["send"] = Throttled("no more")
    [report] = retiring.clean_up(retiring.terminating("i-a"))
    assert isinstance(report.error, Throttled)
    assert not retiring.fleet.completed


def test_both_hooks_of_an_instance_are_completed(world: World) -> None:
    first = world.terminating("i-a")
    second = replace(first, hook="rollcall-second", token=token_of("i-2"))
    other = replace(first, hook=None, token=None)
    asked: list[LifecycleAction] = []
    world.fleet.before_complete = asked.append
    assert len(world.clean_up(first, second, other, first)) == 3
    assert set(asked) == {first, second}


def test_a_launch_action_in_the_terminate_queue_puts_nobody_into_service(world: World) -> None:
    action = world.launching("i-a")
    world.tower.add_host(world.inventory, "i-a")
    [report] = world.clean_up(action)
    assert isinstance(report.error, BadEvent)
    assert not world.fleet.completed
    assert world.tower.names_in(world.inventory) == {"i-a"}
