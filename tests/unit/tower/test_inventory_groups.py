"""Groups of inventories. Against scripted answers in AWX's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import BadSettings
from rollcall.tower.client import Tower
from unit.wire import Wire

from .rows import PROD

if TYPE_CHECKING:
    pass


def test_groups_that_are_missing_are_made(tower: Tower, wire: Wire) -> None:
    wire.page({"id": 5, "name": "a"}).then(201, {"id": 6, "name": "b, c"})
    assert tower.group_ids(PROD, ["a", "b, c"]) == {"a": 5, "b, c": 6}
    assert wire.asked[1].body == {"name": "b, c", "inventory": 3}


def test_a_group_that_is_called_as_a_host_is_needs_another_name(tower: Tower, wire: Wire) -> None:
    wire.page().then(400, {"__all__": ["A Host with that name already exists."]})
    with pytest.raises(BadSettings, match=r"inventory 'prod' has a host 'db1'.*rollcall:groups"):
        tower.group_ids(PROD, ["db1"])


def test_groups_are_looked_up_as_many_at_a_time_as_a_url_has_room_for(tower: Tower, wire: Wire) -> None:
    names = [f"{number:03}" + "ä" * 97 for number in range(20)]
    for _ in range(4):
        wire.page()
    assert tower.groups_named(PROD, names) == {}
    assert len(wire.calls) == 4
    assert max(map(len, wire.calls)) < 4096


def test_a_group_that_somebody_else_makes_meanwhile_is_found(tower: Tower, wire: Wire) -> None:
    wire.page().then(400, {"__all__": ["Group with this Name and Inventory already exists."]}).page(
        {"id": 5, "name": "a"}
    )
    assert tower.group_ids(PROD, ["a"]) == {"a": 5}


def test_a_host_is_put_into_a_group(tower: Tower, wire: Wire) -> None:
    wire.then(204, "")
    tower.add_to_group(5, 1)
    assert wire.calls == ["POST /api/v2/groups/5/hosts/"]
    assert wire.asked[0].body == {"id": 1}


def test_the_members_of_a_group_are_looked_up_for_a_whole_batch(tower: Tower, wire: Wire) -> None:
    wire.page({"name": "i-b"})
    assert tower.group_members(4, ["i-a", "i-b"]) == {"i-b"}
    [asked] = wire.asked
    assert (asked.path, asked.query["name__in"]) == ("/api/v2/groups/4/hosts/", ["i-a,i-b"])
