"""Recycled addresses: the stale host at the address of a new instance is removed before the new one gets its host."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import AwsUnavailable
from rollcall.domain.inventories import RemovalResult

from .ownership import address_key, address_of, marker_even_of_copy, why_gone
from .removal import remove_from_every_inventory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.errors import Kept
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.tower.client import Tower

    from .ownership import Marker


class Eviction(NamedTuple):
    """An instance that is gone and whose hosts were removed, for new instances have its address.

    group: as its host's marker has it. reason: why it counts as gone. new_instances: their ids. removal: what came of
    removing the hosts of all that were evicted with it.
    """

    group: str
    instance_id: str
    reason: str
    new_instances: frozenset[str]
    removal: RemovalResult

    @property
    def refusal(self) -> Kept | None:
        """Why Tower keeps a host of it, None if none of those that count is kept."""
        return self.removal.refusals.get(self.instance_id)


class _Occupant(NamedTuple):
    """A host of ours, or a copy of one, for another instance, at an address of new instances."""

    host: Host
    marker: Marker
    new_instances: frozenset[str]


def evict(
    tower: Tower, fleet: Fleet, account: str, inventory: Inventory, new_instances: Mapping[str, tuple[str, str]]
) -> list[Eviction]:
    """Remove the hosts of instances that are gone and whose hosts in this inventory have a new instance's address.

    new_instances: by instance id, the address_key that its host will have. Only hosts of this account and the fleet's
    Region count; AWS is called about their instances, and not at all where there are none. An instance that lives keeps
    its hosts, and so does one too young for AWS to know it. EC2 is called about the new instances too: it has just
    described them, and an answer without them proves nothing. Raises what the methods of Tower and Fleet raise, and
    AwsUnavailable for such an answer.
    """
    occupants = _occupants(tower, account, fleet.region, inventory, new_instances)
    if not occupants:
        return []
    memberships = fleet.memberships(occupants.keys())
    instances = fleet.instances(occupants.keys() | new_instances.keys())
    if not instances.keys() & new_instances.keys():
        raise AwsUnavailable(
            "EC2 describes none of the instances of this batch any more: an answer that cannot be trusted"
        )
    gone: dict[str, str] = {}
    for instance_id, own in occupants.items():
        age = tower.now() - min(each.host.created_at for each in own)
        if reason := why_gone(instances.get(instance_id), memberships.get(instance_id), age):
            gone[instance_id] = reason
    removal = remove_from_every_inventory(tower, fleet, gone.keys())
    return [
        Eviction(
            group=occupants[instance_id][0].marker.group,
            instance_id=instance_id,
            reason=reason,
            new_instances=frozenset[str]().union(*(each.new_instances for each in occupants[instance_id])),
            removal=removal,
        )
        for instance_id, reason in gone.items()
    ]


def _occupants(
    tower: Tower, account: str, region: str, inventory: Inventory, new_instances: Mapping[str, tuple[str, str]]
) -> dict[str, list[_Occupant]]:
    """The hosts at addresses of new instances, by the instance ids of their markers.

    One that has this id neither as its name nor in its field is left to reconcile: removal would not find it.
    """
    at_address: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for instance_id, key in new_instances.items():
        at_address[key].add(instance_id)
    occupants: defaultdict[str, list[_Occupant]] = defaultdict(list)
    for host in tower.hosts_at(inventory, {address for _, address in at_address}):
        marker = marker_even_of_copy(host, account, region)
        if not marker or marker.instance_id in new_instances or marker.instance_id not in (host.name, host.instance_id):
            continue
        if claimants := at_address.get(address_key(marker.vpc, address_of(host))):
            occupants[marker.instance_id].append(_Occupant(host, marker, frozenset(claimants)))
    return occupants
