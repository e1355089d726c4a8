"""The removal limit: how many of an inventory's managed hosts may go at once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from .identity import is_copy

if TYPE_CHECKING:
    from collections.abc import Collection

    from .tower import Tower

LIMIT_MIN = 5  # removals from an inventory that no share of it makes too many


def is_too_many(removals: int, managed: int, share: float) -> bool:
    """Whether so many removals of so many managed hosts are too many. share: the fraction that may go."""
    return removals > LIMIT_MIN and removals > share * managed


def over_limit(tower: Tower, instance_ids: Collection[str], share: float) -> set[str]:
    """Those of the instances whose hosts would be too many of an inventory's managed ones if all of them went.

    Hosts without a marker count as little as they do among the managed ones, and so do copies.
    """
    if len(instance_ids) <= LIMIT_MIN:
        return set()
    by_inventory: defaultdict[int, set[str]] = defaultdict(set)
    for host in tower.hosts_of(instance_ids):
        if host.owner is None or is_copy(host):
            continue
        by_inventory[host.inventory_id] |= {host.name, host.instance_id} & set(instance_ids)
    return {
        instance_id
        for inventory_id, own in by_inventory.items()
        if len(own) > LIMIT_MIN and is_too_many(len(own), tower.count_managed(inventory_id), share)
        for instance_id in own
    }
