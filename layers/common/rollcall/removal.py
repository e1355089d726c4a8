"""Striking instances off: every host of theirs, out of every inventory the token can read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING

from .errors import TowerUnavailable
from .tower import BULK_DELETE_MAX, DeleteRefused, HostsVanished

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from .model import Host
    from .tower import Tower

LOOKS = 5  # at the hosts; each look finds fewer unless somebody keeps adding them


@dataclass(frozen=True)
class StruckOff:
    """What came of striking instances off. removed: the ids of those that had a host.

    refusals: by instance id, of an inventory that keeps its host; all other hosts are gone.
    """

    removed: frozenset[str] = frozenset()
    refusals: Mapping[str, DeleteRefused] = field(default_factory=dict)


def strike_off(tower: Tower, instance_ids: Collection[str]) -> StruckOff:
    """Remove every host with one of these instance ids, and look that they are gone. Nobody is asked of none.

    Running jobs do not stop it. Raises TowerUnavailable, TowerDenied or TowerRejected when nothing can be said of any.
    """
    if not instance_ids:
        return StruckOff()
    wanted = set(instance_ids)
    refused: dict[int, DeleteRefused] = {}
    removed: set[str] = set()
    for _ in range(LOOKS):
        found = tower.hosts_of(instance_ids)
        hosts = [host for host in found if host.inventory_id not in refused]
        if not hosts:
            return StruckOff(
                frozenset(removed),
                {
                    instance_id: refused[host.inventory_id]
                    for host in found
                    for instance_id in {host.name, host.instance_id} & wanted
                },
            )
        removed |= {instance_id for host in hosts for instance_id in {host.name, host.instance_id} & wanted}
        for chunk in batched(hosts, BULK_DELETE_MAX):
            refused |= _delete(tower, chunk)
    raise TowerUnavailable(f"hosts of {', '.join(sorted(instance_ids))} are still there after {LOOKS} looks")


def _delete(tower: Tower, hosts: Sequence[Host]) -> dict[int, DeleteRefused]:
    """Delete hosts; a refusal for one inventory must not keep those of the others. The refusals by inventory id."""
    try:
        tower.delete_hosts(hosts)
    except HostsVanished:
        return {}
    except DeleteRefused as refusal:
        by_inventory: defaultdict[int, list[Host]] = defaultdict(list)
        for host in hosts:
            by_inventory[host.inventory_id].append(host)
        if len(by_inventory) == 1:
            return {hosts[0].inventory_id: refusal}
        refused: dict[int, DeleteRefused] = {}
        for each in by_inventory.values():
            refused |= _delete(tower, each)
        return refused
    return {}
