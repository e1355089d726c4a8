"""Hosts that no job reaches: renamed, disabled, gone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from .ownership import marker_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.inventories import Host, Inventory
    from rollcall.tower.client import Tower


class PassedOver(NamedTuple):
    """A host that no job reaches: why, with the remedy. host is None where there is none."""

    words: str
    host: Host | None


def passed_over(tower: Tower, inventory: Inventory, instance_ids: Collection[str]) -> dict[str, PassedOver]:
    """Why no job that is limited to an instance's id can reach its host, by instance id; nothing where one can.

    A limit matches the names of enabled hosts, and a host of ours is named after its instance.
    """
    named = {host.name: host for host in tower.hosts_named(inventory, instance_ids)}
    missing = set(instance_ids) - named.keys()
    renamed = {
        host.instance_id: host
        for host in (tower.hosts_of(missing) if missing else ())
        if host.inventory_id == inventory.id
    }
    where = f"in inventory {inventory.name!r}"
    reasons = {
        each: PassedOver(f"its host {where} is disabled, so that jobs pass over it: enable the host", host)
        for each, host in named.items()
        if not host.enabled
    }
    for each in missing:
        host = renamed.get(each)
        words = (
            _is_renamed(inventory, each, host.name)
            if host
            else f"there is no host of it {where} any more: reconcile makes it again"
        )
        reasons[each] = PassedOver(words, host)
    return reasons


def renamed_hosts(
    tower: Tower, inventory: Inventory, instance_ids: Collection[str], account: str, region: str
) -> dict[str, str]:
    """Why no job can reach the hosts of ours that are not named after their instance, by its id.

    An instance that has a host of its name beside such a one is left out. account, region: this installation's.
    """
    names: defaultdict[str, set[str]] = defaultdict(set)
    for host in tower.hosts_of(instance_ids):
        marker = marker_of(host, account, region)
        if host.inventory_id == inventory.id and marker and marker.instance_id in instance_ids:
            names[marker.instance_id].add(host.name)
    return {each: _is_renamed(inventory, each, min(own)) for each, own in names.items() if each not in own}


def _is_renamed(inventory: Inventory, instance_id: str, name: str) -> str:
    return (
        f"its host in inventory {inventory.name!r} is named {name!r} by now, so that no limit matches it: name it "
        f"{instance_id} again, and let no inventory source rename it"
    )
