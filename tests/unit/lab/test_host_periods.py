"""The embedded Tower remembers when a host was disabled, and whether its marker came with a copy."""

from __future__ import annotations

from typing import Any

from lab.tower.embedded import Tower

MARKER = {"group": "web", "instance_id": "i-a", "account": "123456789012", "region": "us-east-1", "vpc": "vpc-1"}


def periods(tower: Tower) -> list[tuple[bool, bool, bool]]:
    """Of the only host: whether it was enabled, whether it was a copy, and whether a person made it so."""
    (life,) = tower.host_lives()
    ends = [each.ended for each in life.periods[:-1]]
    assert ends == [each.begun for each in life.periods[1:]]
    return [(each.enabled, each.copy, each.by_hand) for each in life.periods]


def saying(**more: Any) -> dict[str, Any]:
    return {"ansible_host": "10.0.0.1", "rollcall": MARKER | more}


def test_a_host_that_is_disabled_and_enabled_is_another_one_each_time() -> None:
    tower = Tower()
    inventory = tower.add_inventory("fleet")
    tower.add_host(inventory, "i-a", saying())
    tower.edit_host("i-a", inventory, enabled=False)
    tower.edit_host("i-a", inventory, enabled=False)
    tower.edit_host("i-a", inventory, enabled=True)
    assert [enabled for enabled, _, _ in periods(tower)] == [True, False, True]


def test_a_marker_that_names_another_inventory_is_a_copy_and_one_without_is_not() -> None:
    tower = Tower()
    inventory = tower.add_inventory("fleet")
    tower.add_host(inventory, "i-a", saying())
    tower.edit_host("i-a", inventory, saying(inventory=inventory + 1))
    tower.edit_host("i-a", inventory, saying(inventory=inventory))
    assert [copied for _, copied, _ in periods(tower)] == [False, True, False]
