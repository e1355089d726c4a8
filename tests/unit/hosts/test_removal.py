"""Instances removed: every host of theirs, out of every inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import DeleteRefused, Throttled, TowerRejected, TowerUnavailable
from rollcall.domain.inventories import RemovalResult
from rollcall.domain.reports import notes_on_kept
from rollcall.hosts.removal import remove_from_every_inventory
from unit.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.domain.inventories import Inventory


def test_every_host_of_an_instance_goes_out_of_every_inventory(world: World) -> None:
    other = world.tower.add_inventory("other")
    world.tower.add_host(world.inventory, "i-a")
    world.tower.add_host(other, "i-a")
    world.tower.add_host(other, "web-1", instance_id="i-a")
    assert not remove_from_every_inventory(world.tower, world.fleet, {"i-a"}).refusals
    assert not world.tower.hosts


def test_the_hosts_of_other_instances_stay(world: World) -> None:
    stays = [world.tower.add_host(world.inventory, "i-b"), world.tower.add_host(world.inventory, "by-hand")]
    world.tower.add_host(world.inventory, "i-a")
    remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert list(world.tower.hosts.values()) == stays


def test_an_instance_without_hosts_is_removed_already(world: World) -> None:
    assert not remove_from_every_inventory(world.tower, world.fleet, {"i-a"}).refusals
    assert world.tower.calls["delete_hosts"] == 0


def test_hosts_that_vanish_meanwhile_are_no_error(world: World) -> None:
    hosts = [world.tower.add_host(world.inventory, f"i-{number}") for number in range(3)]
    world.tower.before_delete.append(lambda: world.tower.hosts.pop(hosts[1].id))
    assert not remove_from_every_inventory(world.tower, world.fleet, {host.name for host in hosts}).refusals
    assert not world.tower.hosts


def test_a_host_that_appears_meanwhile_goes_too(world: World) -> None:
    other = world.tower.add_inventory("other")
    world.tower.add_host(world.inventory, "i-a")
    world.tower.before_delete.append(lambda: world.tower.add_host(other, "i-a"))
    remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert not world.tower.hosts


def test_hosts_that_keep_appearing_are_left_to_a_later_try(world: World) -> None:
    world.tower.add_host(world.inventory, "i-a")
    world.tower.before_delete = [lambda: world.tower.add_host(world.inventory, "i-a") for _ in range(99)]
    with pytest.raises(TowerUnavailable, match="i-a"):
        remove_from_every_inventory(world.tower, world.fleet, {"i-a"})


def test_more_hosts_than_one_call_takes_go_in_several(world: World) -> None:
    names = [f"i-{number}" for number in range(600)]
    for name in names:
        world.tower.add_host(world.inventory, name)
    remove_from_every_inventory(world.tower, world.fleet, names)
    assert not world.tower.hosts
    assert world.tower.calls["delete_hosts"] == 3


def test_a_refusal_sets_only_its_inventory_aside(world: World) -> None:
    kept, other = world.tower.add_inventory("kept"), world.tower.add_inventory("other")
    world.group("db", inventory="kept")
    world.tower.add_host(world.inventory, "i-a")
    world.tower.add_host(kept, "i-b")
    world.tower.add_host(other, "i-c")
    world.tower.denied.add(kept.id)
    refusals = remove_from_every_inventory(world.tower, world.fleet, {"i-a", "i-b", "i-c"}).refusals
    assert list(refusals) == ["i-b"]
    assert isinstance(refusals["i-b"], DeleteRefused)
    assert "kept" in str(refusals["i-b"])
    assert [host.name for host in world.tower.hosts.values()] == ["i-b"]


def test_an_instance_in_two_inventories_of_which_one_refuses_counts_as_refused(world: World) -> None:
    kept = world.tower.add_inventory("kept")
    world.group("db", inventory="kept")
    world.tower.add_host(world.inventory, "i-a")
    world.tower.add_host(kept, "node", instance_id="i-a")
    world.tower.denied.add(kept.id)
    assert list(remove_from_every_inventory(world.tower, world.fleet, {"i-a"}).refusals) == ["i-a"]
    assert world.tower.names_in(world.inventory) == set()


def test_inventories_of_one_name_in_two_organizations_are_distinguished(world: World) -> None:
    mine, theirs = world.tower.add_inventory("mine/prod", "prod"), world.tower.add_inventory("theirs/prod", "prod")
    world.group("db", inventory="theirs/prod")
    world.tower.add_host(mine, "i-a")
    world.tower.add_host(theirs, "i-b")
    world.tower.denied.add(theirs.id)
    assert list(remove_from_every_inventory(world.tower, world.fleet, {"i-a", "i-b"}).refusals) == ["i-b"]
    assert not world.tower.names_in(mine)


@pytest.mark.parametrize("method", ["hosts_of", "delete_hosts"])
@pytest.mark.parametrize("error", [TowerUnavailable("away"), TowerRejected("what?")])
def test_when_nothing_can_be_said_of_any_it_fails(
    world: World, method: str, error: TowerUnavailable | TowerRejected
) -> None:
    world.tower.add_host(world.inventory, "i-a")
    world.tower.failing[method] = error
    with pytest.raises(type(error)):
        remove_from_every_inventory(world.tower, world.fleet, {"i-a"})


def test_who_had_a_host_is_known_and_who_had_none_too(world: World) -> None:
    world.tower.add_host(world.inventory, "i-a")
    world.tower.add_host(world.inventory, "db-1", instance_id="i-b")
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a", "i-b", "i-none"})
    assert removal.removed == {"i-a", "i-b"}
    assert remove_from_every_inventory(world.tower, world.fleet, {"i-a", "i-b"}).removed == frozenset()


def test_without_instances_no_request_is_made(world: World) -> None:
    assert remove_from_every_inventory(world.tower, world.fleet, set()).removed == frozenset()
    assert not world.tower.calls


def test_who_had_a_host_is_known_however_many_rounds_it_takes(world: World) -> None:
    world.tower.add_host(world.inventory, "i-a")
    world.tower.before_delete.append(lambda: world.tower.add_host(world.inventory, "i-b"))
    assert remove_from_every_inventory(world.tower, world.fleet, {"i-a", "i-b"}).removed == {"i-a", "i-b"}


# Inventories that the token may only read


def read_only(world: World, name: str = "all EC2") -> Inventory:
    """An inventory of AWX's own kind: it holds hosts of our instances, and the token may not change it."""
    inventory = world.tower.add_inventory(name)
    world.tower.denied.add(inventory.id)
    return inventory


def test_a_host_in_an_inventory_that_no_group_names_and_that_may_only_be_read_is_left_there(world: World) -> None:
    mirror = read_only(world)
    stays = world.tower.add_host(mirror, "web-1", instance_id="i-a")
    world.tower.add_host(world.inventory, "i-a")
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert (removal.refusals, removal.left_in) == ({}, {"i-a": frozenset({"all EC2"})})
    assert removal.removed == {"i-a"}
    assert list(world.tower.hosts.values()) == [stays]


def test_whose_host_is_only_left_was_not_removed(world: World) -> None:
    world.tower.add_host(read_only(world), "i-a")
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a", "i-b"})
    assert removal.removed == frozenset()
    assert removal.left_in.keys() == {"i-a"}


def test_each_inventory_that_keeps_a_host_is_named_and_is_judged_by_itself(world: World) -> None:
    world.group("db", inventory="kept")
    for inventory in (read_only(world), read_only(world, "another"), read_only(world, "kept")):
        world.tower.add_host(inventory, "i-a")
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert removal.refusals["i-a"].inventories == {"kept"}
    assert removal.left_in == {"i-a": frozenset({"all EC2", "another"})}


@pytest.mark.parametrize(
    "unsure",
    [
        lambda world: world.fleet.failing.update({"opted_in": Throttled("later")}),
        lambda world: world.tower.failing.update({"inventory": TowerUnavailable("away")}),
    ],
    ids=["groups", "tower"],
)
def test_an_inventory_of_which_neither_aws_nor_tower_says_now_whether_a_group_names_it_blocks(
    world: World, unsure: Callable[[World], None]
) -> None:
    world.group("web")
    world.tower.add_host(read_only(world), "i-a")
    unsure(world)
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert removal.refusals.keys() == {"i-a"}
    assert not removal.left_in


def test_a_tag_that_cannot_be_followed_keeps_no_host_in_an_inventory_that_no_other_group_names(world: World) -> None:
    world.group("web", inventory="kept")
    world.group("db", inventory="misspelt")
    for inventory in (read_only(world), read_only(world, "kept")):
        world.tower.add_host(inventory, "i-a")
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert removal.refusals["i-a"].inventories == {"kept"}
    assert removal.left_in == {"i-a": frozenset({"all EC2"})}


def test_every_inventory_that_an_ambiguous_tag_may_mean_counts_as_named(world: World) -> None:
    meant, other = read_only(world, "theirs/prod"), read_only(world)
    world.group("db", inventory="ambiguous")
    world.tower.ambiguous["ambiguous"] = {world.inventory.id, meant.id}
    for inventory in (meant, other):
        world.tower.add_host(inventory, "i-a")
    removal = remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert removal.refusals["i-a"].inventories == {"theirs/prod"}
    assert removal.left_in == {"i-a": frozenset({"all EC2"})}


def test_groups_are_asked_for_only_where_a_host_is_kept(world: World) -> None:
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.tower.add_host(world.inventory, "i-a")
    remove_from_every_inventory(world.tower, world.fleet, {"i-a"})
    assert asked == []


def test_blanks_around_a_tag_name_the_same_inventory(world: World) -> None:
    kept = read_only(world, "kept")
    world.group("db", tags={"rollcall:inventory": " kept "})
    world.tower.add_host(kept, "i-a")
    assert remove_from_every_inventory(world.tower, world.fleet, {"i-a"}).refusals.keys() == {"i-a"}


def test_what_is_left_is_reported_with_the_inventory_as_its_cause(world: World) -> None:
    removal = RemovalResult(left_in={"i-a": frozenset({"b", "a"})})
    notes = list(notes_on_kept(removal, "i-a"))
    assert [(note.alert, note.cause) for note in notes] == [
        (True, "read-only inventory: a"),
        (True, "read-only inventory: b"),
    ]
    assert all("i-a" in note.words and "administer" in note.words for note in notes)
    assert list(notes_on_kept(removal, "i-b")) == []
