"""How many of an inventory's managed hosts may go on the word of messages that nothing else speaks for."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import TowerUnavailable
from rollcall.domain.jobs import Outcome
from rollcall.hosts.removal_limit import LIMIT_MIN, is_too_many, over_limit
from rollcall.lifecycle.unknown_instances import LEFT_TO_RECONCILE
from unit.fakes import ACCOUNT, REGION
from unit.world import REMOVAL_SHARE, World

if TYPE_CHECKING:
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.messages import GateMessage


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


def stopped(world: World, instance_ids: list[str], share: float) -> set[str]:
    """Those of them that the limit stops."""
    return over_limit(world.tower, instance_ids, share, ACCOUNT, REGION)


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
    assert stopped(world, unknown(world, LIMIT_MIN), 0.0) == set()
    assert not world.tower.calls["hosts_of"] + world.tower.calls["dump"]


@pytest.mark.parametrize(("others", "most"), [(0, 6), (23, 6), (24, 0)])
def test_more_are_stopped_that_are_more_than_the_share_of_their_inventory(world: World, others: int, most: int) -> None:
    names = unknown(world, 6)
    for number in range(others):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert stopped(world, names, REMOVAL_SHARE) == set(names[:most])


def test_every_inventory_is_counted_by_itself(world: World) -> None:
    few = world.tower.add_inventory("few")
    names = unknown(world, 12)
    for name in names[:5]:
        world.tower.remove_host(name)
        world.host_of(name, "10.0.0.7", inventory=few)
    for number in range(30):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert stopped(world, names, REMOVAL_SHARE) == set()
    assert stopped(world, names, 0.1) == set(names[5:])
    assert world.tower.calls["dump"] == 2  # only where there are more than a handful


def test_a_host_that_was_renamed_counts_once(world: World) -> None:
    names = [f"i-{each:x}" for each in range(6)]
    for name in names:
        world.host_of(name, "10.0.0.7", name=f"web-{name}")
    for number in range(24):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert stopped(world, names, REMOVAL_SHARE) == set()


def test_hosts_without_a_marker_count_for_they_would_go_too(world: World) -> None:
    names = [f"i-{each:x}" for each in range(20)]
    for name in names:
        world.tower.add_host(world.inventory, name)
    for number in range(24):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    assert stopped(world, names, REMOVAL_SHARE) == set(names)
    world.clean_up(*map(terminated, names))
    assert set(names) <= world.tower.names_in(world.inventory)


def test_copies_do_not_count(world: World) -> None:
    names = [f"i-{each:x}" for each in range(20)]
    copied = world.tower.add_inventory("copied")
    for name in names:
        host = world.host_of(name, "10.0.0.7", inventory=copied)
        variables = {**host.variables, "rollcall": {**(host.marker or {}), "inventory": world.inventory.id}}
        world.tower.hosts[host.id] = replace(host, variables=variables)
    assert stopped(world, names, REMOVAL_SHARE) == set()


@pytest.mark.parametrize(
    "foreign",
    [{"inventory": 99}, {"account": "999999999999"}, {"region": "eu-west-1"}],
    ids=lambda each: next(iter(each)),
)
def test_copies_and_hosts_of_other_installations_are_not_counted(world: World, foreign: dict[str, object]) -> None:
    names = unknown(world, 9)
    for number in range(60):
        host = world.host_of(f"i-f{number:x}", "10.0.0.8")
        marker = {**(host.marker or {}), **foreign}
        world.tower.hosts[host.id] = replace(host, variables={**host.variables, "rollcall": marker})
    assert stopped(world, names, REMOVAL_SHARE) == set(names)
    world.clean_up(*map(terminated, names))
    assert set(names) <= world.tower.names_in(world.inventory)


# Cleanup


def test_cleanup_leaves_those_to_reconcile_that_are_unknown_and_too_many(world: World) -> None:
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
    assert {report.outcome for report in reports} == {"removed from every inventory"}
    assert not world.tower.hosts


def test_who_is_proven_goes_beside_those_that_are_too_many(world: World) -> None:
    names = unknown(world, 7)
    world.fleet.known_instances["i-6"] = world.instance("i-6", state="terminated")
    reports = {report.action.instance_id: report.outcome for report in world.clean_up(*map(terminated, names))}
    assert reports["i-6"] == "removed from every inventory"
    assert world.tower.names_in(world.inventory) == set(names[:6])


def test_a_hook_that_waits_speaks_for_its_instance_and_for_no_other(world: World) -> None:
    names = unknown(world, 7)
    hooked = replace(terminated("i-0"), hook="rollcall-terminate", token="t")
    reports = {report.action: report for report in world.clean_up(hooked, *map(terminated, names))}
    assert reports[hooked].outcome == "removed from every inventory"
    assert world.tower.names_in(world.inventory) == set(names[1:])
    assert len(reports) == 8


@pytest.mark.parametrize("number", [LIMIT_MIN, LIMIT_MIN + 1])
def test_a_hook_that_only_a_message_names_is_no_evidence(world: World, number: int) -> None:
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
    world.tower.failing["dump"] = TowerUnavailable("away")
    reports = world.clean_up(*map(terminated, names))
    assert {type(report.error) for report in reports} == {TowerUnavailable}
    assert world.tower.names_in(world.inventory) == set(names)


# Register and the gate


def launched(instance_id: str) -> LifecycleAction:
    """A message that it was launched into a group that does not exist, for which no hook waits."""
    return LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "deleted", instance_id)


@pytest.mark.parametrize(("others", "left"), [(0, True), (23, True), (24, False)])
def test_register_removes_no_more_of_those_that_nothing_else_speaks_for(world: World, others: int, left: bool) -> None:
    names = unknown(world, 6)
    for number in range(others):
        world.host_of(f"i-f{number:x}", "10.0.0.8")
    reports = world.register(*map(launched, names))
    assert {(report.outcome == LEFT_TO_RECONCILE, report.error) for report in reports} == {(left, None)}
    assert (world.tower.names_in(world.inventory) >= set(names)) == left


@pytest.mark.parametrize("who_speaks", ["ec2", "a hook"])
def test_register_removes_whom_ec2_or_a_hook_speaks_for_however_many_they_are(world: World, who_speaks: str) -> None:
    names = unknown(world, 20)
    actions = [launched(name) for name in names]
    if who_speaks == "ec2":
        for name in names:
            world.fleet.known_instances[name] = world.instance(name, state="terminated")
    else:
        actions = [replace(each, hook="rollcall-launch", token="t") for each in actions]
    assert {report.outcome for report in world.register(*actions)} == {"removed from every inventory: already gone"}
    assert not world.tower.hosts


def serving_unknown(world: World, number: int) -> GateMessage:
    """So many instances that no hook holds, that have a host, and that AWS does not know any more."""
    world.group("web")
    message = world.waiting(*(f"i-{each:x}" for each in range(number)))
    world.tower.hosts.clear()
    unknown(world, number)
    world.fleet.known_memberships.clear()
    world.fleet.known_instances.clear()
    unhooked = [replace(each.action, hook=None, token=None) for each in message.waiting]
    waiting = (replace(each, action=own) for each, own in zip(message.waiting, unhooked, strict=True))
    return replace(message, waiting=tuple(waiting))


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.FAILED])
def test_the_gate_leaves_those_to_reconcile_that_are_too_many_and_does_not_wait_for_them(
    world: World, outcome: Outcome
) -> None:
    message = serving_unknown(world, 6)
    names = world.tower.names_in(world.inventory)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(names, outcome))
    result = world.evaluate_one(message)
    assert {report.outcome for report in result.reports} == {LEFT_TO_RECONCILE}
    assert len(result.reports) == 6
    assert (result.next, world.tower.names_in(world.inventory)) == ([], names)


def test_the_gate_removes_a_handful_that_nothing_else_speaks_for(world: World) -> None:
    message = serving_unknown(world, LIMIT_MIN)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(world.tower.names_in(world.inventory), Outcome.OK))
    assert {report.outcome for report in world.evaluate_one(message).reports} == {
        "removed from every inventory: left meanwhile"
    }
    assert not world.tower.hosts
