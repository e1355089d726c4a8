"""Hosts that no job can be limited to: renamed, disabled or removed.

A limit matches the names of enabled hosts, and a host of ours is named after its instance.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from .ownership import marker_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.inventories import Host, Inventory
    from rollcall.tower.client import Tower


class Unmatched(NamedTuple):
    """Why no job can be limited to an instance's host, with the remedy. host is None where there is none."""

    reason: str
    host: Host | None


def unmatched_hosts(tower: Tower, inventory: Inventory, instance_ids: Collection[str]) -> dict[str, Unmatched]:
    """By instance id, why no job can be limited to its host; without those for which one can."""
    hosts = {host.name: host for host in tower.hosts_named(inventory, instance_ids)}
    disabled = {
        name: Unmatched(
            f"its host in inventory {inventory.name!r} is disabled, so that no job runs on it: enable the host", host
        )
        for name, host in hosts.items()
        if not host.enabled
    }
    missing = set(instance_ids) - hosts.keys()
    found = tower.hosts_of(missing) if missing else ()
    renamed = {host.instance_id: host for host in found if host.inventory_id == inventory.id}
    return disabled | {each: _without_host_of_its_name(inventory, each, renamed.get(each)) for each in missing}


def renamed_hosts(
    tower: Tower, inventory: Inventory, instance_ids: Collection[str], account: str, region: str
) -> dict[str, str]:
    """By instance id, why no job can be limited to a host of ours that is not named after its instance.

    An instance that has a host of its name beside such a one is left out. account, region: this installation's.
    """
    names: defaultdict[str, set[str]] = defaultdict(set)
    for host in tower.hosts_of(instance_ids):
        marker = marker_of(host, account, region)
        if host.inventory_id == inventory.id and marker and marker.instance_id in instance_ids:
            names[marker.instance_id].add(host.name)
    return {each: _renamed(inventory, each, min(own)) for each, own in names.items() if each not in own}


def _without_host_of_its_name(inventory: Inventory, instance_id: str, renamed: Host | None) -> Unmatched:
    if renamed is None:
        return Unmatched(f"it has no host in inventory {inventory.name!r} any more: reconcile creates it again", None)
    return Unmatched(_renamed(inventory, instance_id, renamed.name), renamed)


def _renamed(inventory: Inventory, instance_id: str, name: str) -> str:
    return (
        f"its host in inventory {inventory.name!r} was renamed to {name!r}, so that no limit matches it: name it "
        f"{instance_id} again, and let no inventory source rename it"
    )
