"""A stale host at the address of a new instance is removed first; every other host stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import (
    AwsUnavailable,
    DeleteRefused,
    RollcallError,
    Throttled,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.inventories import RemovalResult
from rollcall.domain.membership import Membership
from rollcall.hosts.eviction import Eviction, evict
from rollcall.hosts.ownership import AWS_VISIBILITY_LAG, address_key
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.instances import Instance
    from unit.world import World

PRIVATE, PUBLIC = "10.0.0.7", "54.0.0.9"
NEW_INSTANCE = {"i-new": address_key("vpc-1", PRIVATE)}


def evicted_for(world: World, new_instances: Mapping[str, tuple[str, str]] = NEW_INSTANCE) -> list[Eviction]:
    """Evicts for new instances that EC2 knows."""
    for new_instance in new_instances:
        world.fleet.known_instances.setdefault(new_instance, world.instance(new_instance))
    return evict(world.tower, world.fleet, ACCOUNT, world.inventory, new_instances)


def marker(instance_id: str = "i-old", **changes: str) -> dict[str, Any]:
    own = {"group": "web", "instance_id": instance_id, "account": ACCOUNT, "region": REGION, "vpc": "vpc-1"}
    return {"rollcall": own | changes}


def gone(world: World, instance_id: str = "i-old", state: str = "terminated") -> None:
    """EC2 says so, and Auto Scaling does not list it."""
    world.fleet.known_instances[instance_id] = world.instance(instance_id, state=state)


def asked_of_aws(world: World) -> list[str]:
    """What AWS is asked for from now on."""
    asked: list[str] = []
    world.fleet.before_call = asked.append
    return asked


# Who goes


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_a_host_at_a_new_instances_address_goes_when_ec2_says_that_its_instance_is_gone(
    world: World, state: str
) -> None:
    world.host_of("i-old", PRIVATE, group="db")
    gone(world, state=state)
    assert evicted_for(world) == [
        Eviction(
            "db", "i-old", f"EC2 says that it is {state}", frozenset({"i-new"}), RemovalResult(frozenset({"i-old"}))
        )
    ]
    assert not world.tower.hosts


def test_it_goes_though_auto_scaling_still_lists_the_instance(world: World) -> None:
    world.host_of("i-old", PRIVATE)
    gone(world)
    world.fleet.known_memberships["i-old"] = Membership("web", "Terminating:Wait")
    assert [each.instance_id for each in evicted_for(world)] == ["i-old"]
    assert not world.tower.hosts


def test_who_is_gone_goes_out_of_every_inventory(world: World) -> None:
    other = world.tower.add_inventory("other")
    world.host_of("i-old", PRIVATE)
    world.host_of("i-old", "10.9.9.9", inventory=other)
    gone(world)
    evicted_for(world)
    assert not world.tower.hosts


@pytest.mark.parametrize(("age", "goes"), [(AWS_VISIBILITY_LAG, False), (AWS_VISIBILITY_LAG + 1, True)])
def test_of_an_instance_that_aws_does_not_know_only_an_old_host_goes(world: World, age: float, goes: bool) -> None:
    host = world.host_of("i-old", PRIVATE, age=age)
    assert [each.reason for each in evicted_for(world)] == ["neither EC2 nor Auto Scaling knows it"] * goes
    assert (host.id in world.tower.hosts) is not goes


def test_of_two_hosts_of_an_instance_that_aws_does_not_know_the_older_decides(world: World) -> None:
    world.host_of("i-old", PRIVATE, age=AWS_VISIBILITY_LAG + 1)
    world.host_of("i-old", PRIVATE, name="again", age=0)
    assert len(evicted_for(world)) == 1
    assert not world.tower.hosts


def test_a_public_address_is_the_same_in_every_vpc(world: World) -> None:
    world.host_of("i-old", PUBLIC, variables=marker(vpc="vpc-2"))
    gone(world)
    assert len(evicted_for(world, {"i-new": address_key("vpc-1", PUBLIC)})) == 1
    assert not world.tower.hosts


def test_each_eviction_names_the_new_instances_that_have_its_addresses(world: World) -> None:
    world.host_of("i-old", PRIVATE)
    world.host_of("i-old", PUBLIC, name="again")
    world.host_of("i-older", "10.0.0.8")
    gone(world)
    gone(world, "i-older")
    addresses = {"i-a": PRIVATE, "i-b": PUBLIC, "i-c": "10.0.0.8", "i-d": "10.0.0.9"}
    evictions = evicted_for(world, {each: address_key("vpc-1", address) for each, address in addresses.items()})
    assert {each.instance_id: each.new_instances for each in evictions} == {"i-old": {"i-a", "i-b"}, "i-older": {"i-c"}}


# Who stays


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "stopped"])
def test_the_host_of_an_instance_that_lives_stays(world: World, state: str) -> None:
    host = world.host_of("i-old", PRIVATE)
    gone(world, state=state)
    assert evicted_for(world) == []
    assert world.tower.hosts == {host.id: host}
    assert world.tower.calls["hosts_of"] == 0


def test_who_lives_stays_beside_one_that_goes(world: World) -> None:
    world.host_of("i-old", PRIVATE)
    gone(world)
    world.host_of("i-living", PRIVATE)
    gone(world, "i-living", state="running")
    assert [each.instance_id for each in evicted_for(world)] == ["i-old"]
    assert world.tower.names_in(world.inventory) == {"i-living"}


def test_an_instance_that_auto_scaling_lists_stays_though_ec2_does_not_know_it(world: World) -> None:
    host = world.host_of("i-old", PRIVATE)
    world.fleet.known_memberships["i-old"] = Membership("web", "InService")
    assert evicted_for(world) == []
    assert host.id in world.tower.hosts


@pytest.mark.parametrize(
    ("address", "variables"),
    [
        ("10.0.0.70", {}),
        (PRIVATE, marker(vpc="vpc-2")),
        (PRIVATE, marker(account="999999999999")),
        (PRIVATE, marker(region="eu-west-1")),
        (PRIVATE, marker("i-new")),
        (PRIVATE, marker("i-too")),
        (PRIVATE, marker("web-1")),
        (PRIVATE, {"rollcall": {}}),
    ],
    ids=[
        "another address",
        "another VPC",
        "another account",
        "another Region",
        "the new instance's own",
        "another new instance's",
        "of no instance",
        "not ours",
    ],
)
def test_a_host_in_nobodys_way_stays_and_aws_is_asked_for_nothing(
    world: World, address: str, variables: dict[str, Any]
) -> None:
    host = world.host_of(variables.get("rollcall", {}).get("instance_id", "i-old"), address, variables=variables)
    asked = asked_of_aws(world)
    assert evicted_for(world, NEW_INSTANCE | {"i-too": address_key("vpc-1", "10.0.0.8")}) == []
    assert world.tower.hosts == {host.id: host}
    assert asked == []


def test_a_host_of_another_inventory_is_in_nobodys_way(world: World) -> None:
    host = world.host_of("i-old", PRIVATE, inventory=world.tower.add_inventory("other"))
    gone(world)
    assert evicted_for(world) == []
    assert host.id in world.tower.hosts


def test_a_host_that_striking_off_would_not_find_is_not_called_evicted(world: World) -> None:
    host = world.host_of("i-renamed", PRIVATE, variables=marker("i-old"))
    gone(world)
    assert evicted_for(world) == []
    assert world.tower.hosts == {host.id: host}


# What is asked, and what fails


def test_tower_is_asked_once_and_aws_for_nothing_where_nobody_is_in_the_way(world: World) -> None:
    world.host_of("i-neighbour", "10.0.0.8")
    asked = asked_of_aws(world)
    before = world.tower.calls.copy()
    assert evicted_for(world, {f"i-{number}": address_key("vpc-1", f"10.1.0.{number}") for number in range(100)}) == []
    assert world.tower.calls - before == {"hosts_at": 1}
    assert asked == []


def test_an_answer_of_ec2_that_does_not_know_the_new_instances_either_is_not_believed(world: World) -> None:
    world.host_of("i-old", PRIVATE)
    world.fleet.known_instances.clear()
    with pytest.raises(AwsUnavailable, match="cannot be trusted"):
        evict(world.tower, world.fleet, ACCOUNT, world.inventory, NEW_INSTANCE)
    assert world.tower.names_in(world.inventory) == {"i-old"}


def test_aws_is_asked_about_the_occupants_and_the_new_instances_and_about_no_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []

    def instances(instance_ids: Collection[str]) -> dict[str, Instance]:
        asked.append(set(instance_ids))
        return {"i-new": world.instance("i-new")}

    world.host_of("i-old", PRIVATE)
    world.host_of("i-neighbour", "10.0.0.8")
    monkeypatch.setattr(world.fleet, "instances", instances)
    evicted_for(world)
    assert asked == [{"i-old", "i-new"}]
    assert world.tower.names_in(world.inventory) == {"i-neighbour"}


def test_an_inventory_that_keeps_a_host_is_reported_with_the_eviction_it_concerns(world: World) -> None:
    kept = world.tower.add_inventory("kept")
    world.group("db", inventory="kept")
    for instance_id, address in (("i-old", PRIVATE), ("i-older", "10.0.0.8")):
        world.host_of(instance_id, address)
        gone(world, instance_id)
    world.host_of("i-old", PRIVATE, inventory=kept)
    world.tower.denied.add(kept.id)
    by_id = {
        each.instance_id: each for each in evicted_for(world, NEW_INSTANCE | {"i-b": address_key("vpc-1", "10.0.0.8")})
    }
    assert isinstance(by_id["i-old"].refusal, DeleteRefused)
    assert by_id["i-old"].refusal.inventories == {"kept"}
    assert by_id["i-older"].refusal is None
    assert not world.tower.names_in(world.inventory)


@pytest.mark.parametrize("method", ["hosts_at", "hosts_of", "delete_hosts"])
@pytest.mark.parametrize("error", [TowerUnavailable("away"), TowerRejected("what?")])
def test_tower_that_cannot_be_asked_is_no_answer(world: World, method: str, error: RollcallError) -> None:
    host = world.host_of("i-old", PRIVATE)
    gone(world)
    world.tower.failing[method] = error
    with pytest.raises(type(error)):
        evicted_for(world)
    assert host.id in world.tower.hosts


@pytest.mark.parametrize("method", ["memberships", "instances"])
def test_aws_that_cannot_be_asked_is_no_answer(world: World, method: str) -> None:
    host = world.host_of("i-old", PRIVATE)
    gone(world)
    world.fleet.failing[method] = Throttled("later")
    with pytest.raises(Throttled):
        evicted_for(world)
    assert host.id in world.tower.hosts
