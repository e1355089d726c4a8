"""The removal limit: how many of an inventory's managed hosts may be removed at once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.domain.inventories import Inventory

from .ownership import is_copy, marker_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.inventories import Host
    from rollcall.tower.client import Tower

LIMIT_MIN = 5  # removals from one inventory that are never too many, whatever share of it they are


def is_too_many(removals: int, managed: int, share: float) -> bool:
    """Whether so many removals of so many managed hosts are too many. share: the fraction that may be removed."""
    return removals > LIMIT_MIN and removals > share * managed


def over_limit(tower: Tower, instance_ids: Collection[str], share: float, account: str, region: str) -> set[str]:
    """Those of the instances whose removal exceeds the limit of an inventory, if all of them were removed.

    Every host that would be removed counts, no matter who made it, except copies. account, region: whose hosts are the
    managed ones, as for reconcile. Raises what Tower's methods raise.
    """
    if len(instance_ids) <= LIMIT_MIN:
        return set()
    holding: defaultdict[Inventory, list[Host]] = defaultdict(list)
    for host in tower.hosts_of(instance_ids):
        if not is_copy(host):
            holding[Inventory(host.inventory_id, host.inventory_name)].append(host)
    stopped: set[str] = set()
    for inventory, hosts in holding.items():
        if len(hosts) > LIMIT_MIN:
            managed = sum(marker_of(each, account, region) is not None for each in tower.dump(inventory).hosts)
            if is_too_many(len(hosts), managed, share):
                stopped |= {name for each in hosts for name in (each.name, each.instance_id)} & set(instance_ids)
    return stopped
