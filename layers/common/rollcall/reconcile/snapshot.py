"""What was read of Tower and AWS for a plan to be made of it, and which instances are to be read from AWS. Pure."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from rollcall.domain.groups import AddressKind
from rollcall.domain.inventory_text import json_is_surely_plain, refusal_of_value
from rollcall.domain.timing import CLOCKS_APART
from rollcall.hosts.ownership import Marker, address_key, address_of, is_copy, marker_even_of_copy, marker_of
from rollcall.hosts.stint import read_stint, rested_since
from rollcall.hosts.variables import STATE, STINT, identity_in, is_resting, marker, marker_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Dump, DumpedHost, Inventory
    from rollcall.domain.membership import Membership

LASTING = {AddressKind.PRIVATE: "private_ip", AddressKind.PRIVATE_DNS: "private_dns"}  # the facts that hold them


@dataclass(frozen=True)
class Place:
    """Where the hosts of a group belong."""

    settings: GroupSettings
    inventory: Inventory


@dataclass(frozen=True)
class Snapshot:
    """What was read of one account and Region. Times in epoch seconds.

    places: the opted-in groups that could be read; unreadable: the names of those that could not. memberships: what
    Auto Scaling says of the groups' instances, and of the suspects, each requested by its id. instances: what EC2 says
    of all of these but the proven. owners: by id of the managed hosts. created_at: by host id, of the suspects' hosts.
    by_instance_id: id of the host without our marker, by the inventory's id and the instance id that its field holds.
    arrived_at: when its group began to launch an instance that has no host in use, as far as Auto Scaling says.
    jobs_ended: when the newest job of the present stint ended of an instance that waits or may be provisioned, infinity
    while it runs; an instance no job holds is left out.
    """

    account: str
    region: str
    now: float
    places: Mapping[str, Place]
    unreadable: frozenset[str]
    memberships: Mapping[str, Membership]
    instances: Mapping[str, Instance]
    dumps: Mapping[int, Dump]
    owners: Mapping[int, Marker]
    created_at: Mapping[int, float] = field(default_factory=dict)
    by_instance_id: Mapping[tuple[int, str], int] = field(default_factory=dict)
    arrived_at: Mapping[str, float] = field(default_factory=dict)
    jobs_ended: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def rested_since(self) -> Mapping[str, float]:
        """Since when an instance's host rests, by Tower's clock; the latest of several."""
        found: dict[str, float] = {}
        for host, owner in managed(self):
            if (at := rested_since(host.variables)) is not None:
                found[owner.instance_id] = max(at, found.get(owner.instance_id, at))
        return found

    def came_at(self, instance_id: str) -> float | None:
        """When an instance that has no host in use came, as far as that is known.

        Its present stint is no older than its host's rest. A root volume is replaced long after the launch, and no
        scaling activity names that.
        """
        known = [each[instance_id] for each in (self.arrived_at, self.rested_since) if instance_id in each]
        return max(known, default=None)


def owners_of(dumps: Mapping[int, Dump], account: str, region: str) -> dict[int, Marker]:
    """Whose hosts the managed ones are, by id."""
    return {
        host.id: marker
        for dump in dumps.values()
        for host in dump.hosts
        if (marker := marker_of(host, account, region))
    }


def managed(snapshot: Snapshot) -> Iterator[tuple[DumpedHost, Marker]]:
    """Every managed host, with its marker."""
    for dump in snapshot.dumps.values():
        for host in dump.hosts:
            if marker := snapshot.owners.get(host.id):
                yield host, marker


def hosts_in_use(snapshot: Snapshot) -> set[tuple[int, str]]:
    """Inventory's id and instance id, of every managed host that does not rest."""
    return {
        (host.inventory_id, marker.instance_id) for host, marker in managed(snapshot) if not is_resting(host.variables)
    }


def copies_of(snapshot: Snapshot) -> list[tuple[DumpedHost, Marker]]:
    """The hosts that Tower copied with their markers from an inventory to another, by id; with their markers."""
    copies = [
        (host, marker)
        for dump in snapshot.dumps.values()
        for host in dump.hosts
        if is_copy(host) and (marker := marker_even_of_copy(host, snapshot.account, snapshot.region))
    ]
    return sorted(copies, key=lambda each: each[0].id)


def is_young(snapshot: Snapshot, place: Place, instance_id: str) -> bool:
    """Whether an instance that has no host in use came so recently that its event was lost, and its job is due."""
    came_at = snapshot.came_at(instance_id)
    return came_at is not None and snapshot.now - came_at < place.settings.timeout


def stint_beginnings(snapshot: Snapshot) -> dict[str, float]:
    """When the present stint of each instance began, as far as that is known.

    By its host in use; without one by its arrival, or by when its host began to rest, if that was later.
    """
    hosts = {
        marker.instance_id: stint.since
        if (stint := read_stint(host.variables))
        else snapshot.created_at.get(host.id, 0.0)
        for host, marker in managed(snapshot)
        if not is_resting(host.variables)
    }
    arrived = {each: at - CLOCKS_APART for each, at in snapshot.arrived_at.items()}
    rested = {each: max(at, arrived.get(each, at)) for each, at in snapshot.rested_since.items()}
    return {**arrived, **rested, **hosts}


def groups_of(snapshot: Snapshot) -> defaultdict[str, set[str]]:
    """By instance id, the groups that Auto Scaling and its hosts say it is of."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for instance_id, membership in snapshot.memberships.items():
        groups[instance_id].add(membership.group)
    for owner in snapshot.owners.values():
        groups[owner.instance_id].add(owner.group)
    return groups


def suspects(snapshot: Snapshot) -> set[str]:
    """Instances of managed hosts and of copies that no opted-in group lists: each is read from AWS before
    anything is decided.
    """
    markers = [*snapshot.owners.values(), *(marker for _, marker in copies_of(snapshot))]
    return {marker.instance_id for marker in markers} - snapshot.memberships.keys()


def right_by_own_variables(snapshot: Snapshot) -> set[str]:
    """Instances that serve, and whose one host is right by its own variables: EC2 need not be read for them.

    Its variables hold what EC2 returned when it was made. A VPC, a private address and its name do not change while an
    instance lives, and that it lives Auto Scaling says.
    """
    hosts: defaultdict[str, list[tuple[DumpedHost, Marker]]] = defaultdict(list)
    tenants: Counter[tuple[int, str, str]] = Counter()
    for dump in snapshot.dumps.values():
        for host in dump.hosts:
            if owner := snapshot.owners.get(host.id):
                hosts[owner.instance_id].append((host, owner))
                tenants[dump.inventory.id, *address_key(owner.vpc, address_of(host))] += 1
    found: set[str] = set()
    for instance_id, own in hosts.items():
        membership = snapshot.memberships.get(instance_id)
        if membership and membership.serving and len(own) == 1 and membership.group in snapshot.places:
            [(host, owner)] = own
            alone = tenants[host.inventory_id, *address_key(owner.vpc, address_of(host))] == 1
            if alone and _is_right(snapshot, host, owner, snapshot.places[membership.group]):
                found.add(instance_id)
    return found


def _is_plain(facts: object) -> bool:
    return json_is_surely_plain(json.dumps(facts).encode()) or not refusal_of_value(facts)


def _is_right(snapshot: Snapshot, host: DumpedHost, owner: Marker, place: Place) -> bool:
    settings, facts = place.settings, host.variables.get("ec2")
    fact = LASTING.get(settings.address)
    return (
        isinstance(facts, dict)
        and fact is not None
        and host.name == owner.instance_id
        and host.inventory_id == place.inventory.id
        and bool(facts.get(fact))
        and host.variables.get("ansible_host") == facts[fact]
        and not marker_in(host.variables).keys() & set(STATE) - {STINT}
        and identity_in(host.variables)
        == marker(
            settings, owner.instance_id, snapshot.account, snapshot.region, str(facts.get("vpc")), host.inventory_id
        )
        and host.groups.issuperset(settings.inventory_groups)
        and (snapshot.dumps[host.inventory_id].plain or _is_plain(facts))
    )
