"""Terminating instances: their hooks are completed once no inventory holds them, and not before."""

from __future__ import annotations

from dataclasses import replace

from rollcall.errors import AwsDenied, BadEvent, TowerDenied, TowerUnavailable
from rollcall.model import LifecycleAction, Result

from .world import World


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
    assert [report.outcome for report in reports] == ["struck off", "struck off"]


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


def test_an_action_that_nobody_waits_for_any_more_is_finished_work(world: World) -> None:
    world.fleet.stale.add("i-a")
    [report] = world.clean_up(world.terminating("i-a"))
    assert (report.outcome, report.error) == ("struck off", None)


def test_a_refusal_fails_only_the_actions_of_its_inventory(world: World) -> None:
    kept = world.tower.add_inventory("kept")
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


def test_both_hooks_of_an_instance_are_completed(world: World) -> None:
    first = world.terminating("i-a")
    second = replace(first, hook="rollcall-second", token="t2")
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
