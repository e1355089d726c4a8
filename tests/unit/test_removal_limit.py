"""How many of an inventory's managed hosts may go on the word of messages that nothing else speaks for."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.errors import TowerUnavailable
from rollcall.model import LifecycleAction, Transition
from rollcall.removal_limit import LIMIT_MIN, is_too_many, over_limit

from .fakes import ACCOUNT, REGION
from .world import REMOVAL_SHARE, World

if TYPE_CHECKING:
    from rollcall.model import Inventory


@pytest.fixture
def world(world: World) -> World:
    """The world, in which nothing is retired by jobs."""
    world.settings = replace(world.settings, retire_jobs=False)
    return world


def unknown(world: World, number: int, inventory: Inventory | None = None) -> list[str]:
    """So many instances that have a host, and that neither EC2 nor Auto Scaling knows."""
    names = [f"i-{each:x}" for each in range(number)]
    for name in names:
        world.host_of(name, "10.0.0.7", inventory=inventory)
    return names


def terminated(instance_id: str) -> LifecycleAction:
    """A message that it is terminated, for which no hook waits."""
    return LifecycleAction(Transition.TERMINATING, ACCOUNT, REGION, "web", instance_id)


@pytest.mark.parametrize(
    ("removals", "managed", "share", "too_many"),
    [
        (LIMIT_MIN, 5, 0.0, False),
        (LIMIT_MIN + 1, 6, 0.2, True),
        (6, 30, 0.2, False),
        (6, 29, 0.2, True),
        (7, 30, 0.2, True),
        (100, 100, 1.0, False),
    ],
)
def test_a_handful_may_always_go_and_more_only_up_to_the_share(
    removals: int, managed: int, share: float, too_many: bool
) -> None:
    assert is_too_many(removals, managed, share) == too_many


def test_up_to_a_handful_tower_is_not_asked(world: World) -> None:
    assert over_limit(world.tower, unknown(world, LIMIT_MIN), 0.0) == set()
    assert not world.tower.calls["hosts_of"] + world.tower.calls["count_managed"]


@pytest.mark.parametrize(("others", "stopped"), [(0, 6), (23, 6), (24, 0)])
def test_more_are_stopped_that_are_more_than_the_share_of_their_inventory(
    world: World, others: int, stopped: int
) -> None:
    names = unknown(world, 6)
    for number in range(others):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert over_limit(world.tower, names, REMOVAL_SHARE) == set(names[:stopped])


def test_every_inventory_is_counted_by_itself(world: World) -> None:
    few = world.tower.add_inventory("few")
    names = unknown(world, 12)
    for name in names[:5]:
        world.tower.remove_host(name)
        world.host_of(name, "10.0.0.7", inventory=few)
    for number in range(30):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert over_limit(world.tower, names, REMOVAL_SHARE) == set()
    assert over_limit(world.tower, names, 0.1) == set(names[5:])
    assert world.tower.calls["count_managed"] == 2  # only where there are more than a handful


def test_a_host_that_was_renamed_counts_once(world: World) -> None:
    names = [f"i-{each:x}" for each in range(6)]
    for name in names:
        world.host_of(name, "10.0.0.7", name=f"web-{name}")
    for number in range(24):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert over_limit(world.tower, names, REMOVAL_SHARE) == set()


def test_hosts_without_a_marker_and_copies_do_not_count(world: World) -> None:
    names = [f"i-{each:x}" for each in range(20)]
    copied = world.tower.add_inventory("copied")
    for name in names:
        world.tower.add_host(world.inventory, name)
        host = world.host_of(name, "10.0.0.7", inventory=copied)
        variables = {**host.variables, "rollcall": {**(host.owner or {}), "inventory": world.inventory.id}}
        world.tower.hosts[host.id] = replace(host, variables=variables)
    assert over_limit(world.tower, names, REMOVAL_SHARE) == set()


# Cleanup


def test_cleanup_leaves_those_to_reconcile_that_nobody_knows_and_that_are_too_many(world: World) -> None:
    names = unknown(world, 6)
    reports = world.clean_up(*map(terminated, names))
    assert {report.outcome.split(":")[0] for report in reports} == {"left to reconcile"}
    assert {(report.event, report.error) for report in reports} == {(None, None)}
    assert world.tower.names_in(world.inventory) == set(names)
    assert not world.tower.calls["delete_hosts"]


def test_as_many_as_the_limit_lets_pass_go(world: World) -> None:
    names = unknown(world, 6)
    for number in range(24):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    world.clean_up(*map(terminated, names))
    assert not world.tower.names_in(world.inventory) & set(names)


@pytest.mark.parametrize("who_speaks", ["ec2", "auto scaling", "a hook"])
def test_whom_ec2_or_auto_scaling_or_a_hook_speaks_for_goes_however_many_they_are(
    world: World, who_speaks: str
) -> None:
    names = unknown(world, 20)
    actions = [terminated(name) for name in names]
    for name in names:
        if who_speaks == "ec2":
            world.fleet.known_instances[name] = world.instance(name, state="terminated")
        elif who_speaks == "auto scaling":
            world.terminating(name)
    if who_speaks == "a hook":
        actions = [replace(each, hook="rollcall-terminate", token="t") for each in actions]
    reports = world.clean_up(*actions)
    assert {report.outcome for report in reports} == {"struck off"}
    assert not world.tower.hosts


def test_who_is_proven_goes_beside_those_that_are_too_many(world: World) -> None:
    names = unknown(world, 7)
    world.fleet.known_instances["i-6"] = world.instance("i-6", state="terminated")
    reports = {report.action.instance_id: report.outcome for report in world.clean_up(*map(terminated, names))}
    assert reports["i-6"] == "struck off"
    assert world.tower.names_in(world.inventory) == set(names[:6])


def test_a_hook_that_waits_speaks_for_its_instance_and_for_no_other(world: World) -> None:
    names = unknown(world, 7)
    hooked = replace(terminated("i-0"), hook="rollcall-terminate", token="t")
    reports = {report.action: report for report in world.clean_up(hooked, *map(terminated, names))}
    assert reports[hooked].outcome == "struck off"
    assert world.tower.names_in(world.inventory) == set(names[1:])
    assert len(reports) == 8


@pytest.mark.parametrize("number", [LIMIT_MIN, LIMIT_MIN + 1])
def test_a_hook_that_only_a_message_names_speaks_for_nobody(world: World, number: int) -> None:
    names = unknown(world, number)
    world.fleet.stale.update(names)
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.clean_up(*(replace(terminated(name), hook="forged", token="t") for name in names))
    assert world.tower.names_in(world.inventory) == (set() if number == LIMIT_MIN else set(names))
    assert asked.count("heartbeat") == (0 if number == LIMIT_MIN else number)


def test_a_hook_of_which_aws_does_not_say_whether_it_waits_fails_its_action_alone(world: World) -> None:
    names = unknown(world, 7)
    world.fleet.throttled.add("i-0")
    hooked = [replace(terminated(name), hook="rollcall-terminate", token="t") for name in names]
    reports = {report.action.instance_id: report for report in world.clean_up(*hooked)}
    assert [each for each, report in reports.items() if report.error] == ["i-0"]
    assert world.tower.names_in(world.inventory) == {"i-0"}
    assert len(reports) == 7


def test_tower_that_does_not_say_how_many_there_are_fails_the_batch(world: World) -> None:
    names = unknown(world, 6)
    world.tower.failing["count_managed"] = TowerUnavailable("away")
    reports = world.clean_up(*map(terminated, names))
    assert {type(report.error) for report in reports} == {TowerUnavailable}
    assert world.tower.names_in(world.inventory) == set(names)
