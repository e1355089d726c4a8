"""Hosts that Tower's "copy inventory" copied with their markers: no evidence, no drift, gone with their instance."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import Outcome
from rollcall.hosts.eviction import evict
from rollcall.hosts.jobs import CLOCK_STEP
from rollcall.hosts.ownership import AWS_VISIBILITY_LAG, Marker, address_key, is_copy, marker_of
from rollcall.hosts.resting import disable_hosts
from rollcall.hosts.stint import read_stint
from rollcall.hosts.variables import is_resting, marker_in, with_state
from rollcall.reconcile.steps import DriftKind
from unit.fakes import ACCOUNT, REGION
from unit.world import World

if TYPE_CHECKING:
    from rollcall.domain.inventories import Host


def copy_inventory(world: World, name: str = "prod @ 10:00", of: Inventory | None = None) -> Inventory:
    """What Tower makes of an inventory: hosts with the same names, fields, variables and groups."""
    made = world.tower.add_inventory(name)
    for host in list(world.tower.hosts.values()):
        if host.inventory_id == (of or world.inventory).id:
            copied = world.tower.add_host(made, host.name, instance_id=host.instance_id, variables=host.variables)
            for group in world.tower.groups_of(host.id):
                world.tower.add_to_group(world.tower.group_ids(made, [group])[group], copied.id)
    return made


def hosts_in(world: World, inventory: Inventory) -> list[Host]:
    return [host for host in world.tower.hosts.values() if host.inventory_id == inventory.id]


OWNER = {"group": "web", "instance_id": "i-a", "account": ACCOUNT, "region": REGION, "vpc": "vpc-1"}


@pytest.mark.parametrize(
    ("marker", "ours", "copied"),
    [
        (OWNER, True, False),  # of a version that named no inventory
        (OWNER | {"inventory": 1}, True, False),
        (OWNER | {"inventory": 2}, False, True),
        (OWNER | {"inventory": "2"}, True, False),  # edited by hand
        (OWNER | {"inventory": None}, True, False),
        (OWNER | {"inventory": 2, "account": "999999999999"}, False, True),
        (OWNER | {"account": "999999999999"}, False, False),
        (OWNER | {"region": "eu-west-1"}, False, False),
        (OWNER | {"instance_id": "web-1"}, False, False),
        ({}, False, False),
    ],
    ids=str,
)
def test_a_marker_that_names_another_inventory_is_a_copys(
    world: World, marker: dict[str, Any], ours: bool, copied: bool
) -> None:
    host = world.tower.add_host(world.inventory, "i-a", variables={"rollcall": marker})
    assert host.inventory_id == 1
    assert is_copy(host) == copied
    assert marker_of(host, ACCOUNT, REGION) == (Marker("web", "i-a", "vpc-1") if ours else None)


def test_at_steady_state_a_copied_inventory_is_one_finding_and_nothing_is_changed_in_it(world: World) -> None:
    for number in range(20):
        world.serving(f"i-{number}", f"10.0.0.{number}")
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    copied = copy_inventory(world)
    before = hosts_in(world, copied)
    for _ in range(2):
        outcome = world.reconcile()
        assert (outcome.fixes, outcome.stopped, outcome.errors) == ([], {}, {})
        assert [(finding.kind, finding.inventory) for finding in outcome.plan.findings] == [(DriftKind.COPY, copied)]
    assert hosts_in(world, copied) == before


def test_copies_count_neither_as_managed_nor_towards_the_removal_limit(world: World) -> None:
    for number in range(30):
        world.serving(f"i-{number}", f"10.0.0.{number}")
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    copied = copy_inventory(world)
    for number in range(6):
        world.terminated(f"i-{number}")
    outcome = world.reconcile()
    assert outcome.by_inventory[copied].managed == 0
    assert outcome.stopped == {}
    assert len(hosts_in(world, copied)) == len(hosts_in(world, world.inventory)) == 24


def test_copies_do_not_go_where_the_limit_keeps_what_they_were_copied_from(world: World) -> None:
    for number in range(6):
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    copied = copy_inventory(world)
    outcome = world.reconcile()
    assert [len(own) for own in outcome.stopped.values()] == [6]
    assert len(hosts_in(world, copied)) == 6


def test_a_termination_removes_the_copies_too(world: World) -> None:
    world.host_of("i-a", "10.0.0.7")
    world.host_of("i-b", "10.0.0.8")
    copied = copy_inventory(world)
    action = world.terminating("i-a")
    world.clean_up(action)
    assert world.fleet.completed == {action: Result.CONTINUE}
    assert world.tower.names_in(copied) == world.tower.names_in(world.inventory) == {"i-b"}


@pytest.mark.parametrize(("state", "goes"), [("terminated", True), (None, True), ("running", False)])
def test_a_copy_at_a_new_instances_address_is_evicted_if_its_instance_is_gone(
    world: World, state: str | None, goes: bool
) -> None:
    original = world.host_of("i-old", "10.0.0.7")
    copied = copy_inventory(world)
    for host in hosts_in(world, copied):
        world.tower.hosts[host.id] = replace(host, created_at=original.created_at)
    del world.tower.hosts[original.id]
    if state:
        world.fleet.known_instances["i-old"] = world.instance("i-old", state=state)
    new = {"i-new": address_key("vpc-1", "10.0.0.7")}
    world.fleet.known_instances["i-new"] = world.instance("i-new")
    evicted = [each.instance_id for each in evict(world.tower, world.fleet, ACCOUNT, copied, new)]
    assert evicted == ["i-old"] * goes
    assert len(hosts_in(world, copied)) == (not goes)


def test_a_copy_whose_original_is_gone_goes_when_its_instance_does(world: World) -> None:
    original = world.host_of("i-a", "10.0.0.7")
    world.host_of("i-b", "10.0.0.8")
    world.serving("i-b", "10.0.0.8")
    copied = copy_inventory(world)
    del world.tower.hosts[original.id]
    world.fleet.known_instances["i-a"] = world.instance("i-a", state="terminated")
    outcome = world.reconcile()
    assert [fix.instance_id for fix in outcome.fixes] == ["i-a"]
    assert world.tower.names_in(copied) == {"i-b"}
    assert not world.reconcile().fixes


def test_a_copy_of_an_instance_that_aws_does_not_know_goes_once_it_is_old(world: World) -> None:
    original = world.host_of("i-a", "10.0.0.7")
    copied = copy_inventory(world)
    del world.tower.hosts[original.id]
    world.clock.advance(AWS_VISIBILITY_LAG)
    assert not world.reconcile().fixes
    world.clock.advance(1)
    assert [fix.instance_id for fix in world.reconcile().fixes] == ["i-a"]
    assert not world.tower.names_in(copied)


def test_an_inventory_that_came_back_with_another_id_is_put_right_by_one_run(world: World) -> None:
    for number in range(3):
        world.serving(f"i-{number}", f"10.0.0.{number}")
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    for number in range(10):
        world.host_of(f"i-dead{number}", f"10.0.1.{number}")
        world.fleet.known_instances[f"i-dead{number}"] = world.instance(f"i-dead{number}", state="terminated")
    restored = copy_inventory(world)
    for host in hosts_in(world, world.inventory):
        del world.tower.hosts[host.id]
    world.group("web", inventory=restored.name)
    outcome = world.reconcile()
    assert outcome.stopped == {}
    assert {host.name: marker_in(host.variables)["inventory"] for host in hosts_in(world, restored)} == {
        f"i-{number}": restored.id for number in range(3)
    }
    assert (world.reconcile().fixes, world.reconcile().plan.findings) == ([], ())


def test_in_an_inventory_that_came_back_a_new_instance_is_not_registered_beside_a_dead_one(world: World) -> None:
    dead = world.host_of("i-dead", "10.0.0.7")
    restored = copy_inventory(world)
    del world.tower.hosts[dead.id]
    world.group("web", inventory=restored.name)
    world.fleet.known_instances["i-dead"] = world.instance("i-dead", state="terminated")
    world.register(world.launching("i-new"))
    assert world.tower.names_in(restored) == {"i-new"}


def test_a_copy_of_who_rests_is_left_alone(world: World) -> None:
    original = world.host_of("i-a", "10.0.0.7")
    copy_inventory(world)
    disable_hosts(world.tower, {"i-a"}, ACCOUNT, REGION)
    assert world.tower.disabled == {original.id}


def test_a_copy_where_its_instance_belongs_now_is_taken_over_at_its_launch(world: World) -> None:
    world.host_of("i-a", "10.0.0.7", variables={"by_hand": "kept"})
    [original] = hosts_in(world, world.inventory)
    state = {"resting": {"since": 1.0, "enabled": True}, "stint": {"since": 1.0, "token": "t1", "hook": "h"}}
    world.tower.update_host(original.id, "i-a", with_state(original.variables, **state), enabled=False)
    copied = copy_inventory(world)
    [copy] = hosts_in(world, copied)
    world.tower.disabled.add(copy.id)
    world.group("web", inventory=copied.name)
    [report] = world.register(world.launching("i-a"))
    assert report.outcome.startswith("registered, job")
    [taken] = [each for each in world.tower.hosts_of(["i-a"]) if each.inventory_id == copied.id]
    assert marker_of(taken, ACCOUNT, REGION) == Marker("web", "i-a", "vpc-1")
    assert (taken.enabled, is_resting(taken.variables)) == (True, False)
    assert taken.variables["by_hand"] == "kept"
    stint = read_stint(taken.variables)
    assert stint
    assert stint.since == world.clock.now - CLOCK_STEP


def test_a_job_on_a_copy_proves_nothing_about_the_instance_that_is_taken_over(world: World) -> None:
    world.host_of("i-a", "10.0.0.7")
    copied = copy_inventory(world)
    world.group("web", inventory=copied.name)
    job = world.tower.add_job(world.template, copied, "i-a")
    world.tower.end_job(job.id, {"i-a": Outcome.OK})
    world.clock.advance(10)
    world.register(world.launching("i-a"))
    [(message, _)] = world.queues.gate_messages()
    assert message.job_id != job.id
    assert message.waiting[0].stint_since == world.clock.now - CLOCK_STEP


def test_a_group_that_moves_to_a_copied_inventory_empties_the_one_it_left(world: World) -> None:
    for number in range(3):
        world.serving(f"i-{number}", f"10.0.0.{number}")
        world.host_of(f"i-{number}", f"10.0.0.{number}", variables={"by_hand": number})
    copied = copy_inventory(world)
    world.group("web", inventory=copied.name)
    outcome = world.reconcile(force=True)
    assert not hosts_in(world, world.inventory)
    own = hosts_in(world, copied)
    assert {(host.name, host.variables["by_hand"]) for host in own} == {(f"i-{each}", each) for each in range(3)}
    assert all(marker_in(host.variables)["inventory"] == copied.id for host in own)
    assert outcome.plan.findings == ()
    assert not world.tower.runs
    outcome = world.reconcile()
    assert (outcome.fixes, outcome.plan.findings) == ([], ())


def test_a_retirement_runs_no_job_on_a_copy(world: World) -> None:
    world.group("web", retire_job_template="retire")
    world.tower.add_template("retire")
    message = world.retiring("i-a")
    copied = copy_inventory(world)
    world.group("web", retire_job_template="retire", inventory=copied.name)
    result = world.retire_one(message)
    assert "has no host of ours for it" in result.reports[0].outcome
    assert not world.tower.runs
    assert not world.tower.hosts


def test_a_marker_without_an_inventory_is_completed_by_a_run_and_the_next_one_finds_nothing(world: World) -> None:
    for number in range(3):
        world.serving(f"i-{number}", f"10.0.0.{number}")
        host = world.host_of(f"i-{number}", f"10.0.0.{number}")
        marker = {key: value for key, value in (host.marker or {}).items() if key != "inventory"}
        world.tower.hosts[host.id] = replace(host, variables={**host.variables, "rollcall": marker})
    outcome = world.reconcile()
    assert {fix.reason for fix in outcome.fixes} == {"its marker does not name its inventory yet"}
    assert all(marker_in(host.variables)["inventory"] == world.inventory.id for host in world.tower.hosts.values())
    assert all(read_stint(host.variables) is None for host in world.tower.hosts.values())
    assert not world.reconcile().fixes
