"""Hosts that no job reaches: renamed, disabled, gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from .model import Inventory
    from .tower import Tower


def passed_over(tower: Tower, inventory: Inventory, instance_ids: Collection[str]) -> dict[str, str]:
    """Why no job that is limited to an instance's id can reach its host, by instance id; nothing where one can.

    A limit matches the names of enabled hosts, and a host of ours is named after its instance.
    """
    named = {host.name: host for host in tower.hosts_named(inventory, instance_ids)}
    missing = set(instance_ids) - named.keys()
    renamed = {
        host.instance_id: host.name
        for host in (tower.hosts_of(missing) if missing else ())
        if host.inventory_id == inventory.id
    }
    where = f"in inventory {inventory.name!r}"
    reasons = {
        each: f"its host {where} is disabled, so that jobs pass over it: enable the host"
        for each, host in named.items()
        if not host.enabled
    }
    for each in missing:
        reasons[each] = (
            f"its host {where} is named {renamed[each]!r} by now, so that no limit matches it: name it {each} again, "
            "and let no inventory source rename it"
            if each in renamed
            else f"there is no host of it {where} any more: reconcile makes it again"
        )
    return reasons
