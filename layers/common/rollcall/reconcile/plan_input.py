"""What planning starts from: a snapshot and the options of the run, with the indexes that decisions look things up in.

Pure, and never changed while planning: what a decision adds is in what it returns.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rollcall.hosts.stint import new_stint
from rollcall.hosts.variables import host_variables

from .snapshot import copies_of, hosts_in_use, is_young, stint_beginnings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import DumpedHost, Inventory
    from rollcall.domain.membership import Membership
    from rollcall.domain.messages import RunOptions
    from rollcall.hosts.ownership import Marker

    from .snapshot import Place, Snapshot


@dataclass(frozen=True)
class PlanInput:
    """A snapshot, the options of the run, and the ids of the inventories from which nothing may be removed (kept).

    All is in an order of its own, so that the same world makes the same plan however AWS and Tower listed it.
    """

    snapshot: Snapshot
    options: RunOptions
    kept: frozenset[int]

    # Indexes

    @cached_property
    def dumps(self) -> Sequence[tuple[Inventory, Sequence[DumpedHost]]]:
        """Every inventory that was read, by id, and its hosts, by id."""
        return [
            (dump.inventory, sorted(dump.hosts, key=lambda each: each.id))
            for _, dump in sorted(self.snapshot.dumps.items())
        ]

    @cached_property
    def members(self) -> Sequence[tuple[str, Membership]]:
        """Every instance that Auto Scaling knows, by id."""
        return sorted(self.snapshot.memberships.items())

    @cached_property
    def managed(self) -> Sequence[tuple[Inventory, DumpedHost, Marker]]:
        """Every managed host; of an inventory first those that are named after their instances."""
        return [
            (inventory, host, marker)
            for inventory, hosts in self.dumps
            for host in sorted(hosts, key=self.is_renamed)
            if (marker := self.snapshot.owners.get(host.id))
        ]

    @cached_property
    def hosted(self) -> frozenset[tuple[int, str]]:
        """Inventory's id and instance id, of every managed host."""
        return frozenset((inventory.id, marker.instance_id) for inventory, _, marker in self.managed)

    @cached_property
    def hosts_of(self) -> Mapping[str, Sequence[DumpedHost]]:
        """The managed hosts of each instance, in all inventories."""
        hosts: defaultdict[str, list[DumpedHost]] = defaultdict(list)
        for _, host, marker in self.managed:
            hosts[marker.instance_id].append(host)
        return hosts

    @cached_property
    def copies(self) -> Mapping[int, tuple[DumpedHost, Marker]]:
        """By host id, the hosts that Tower copied from one inventory to another, with their markers."""
        return {host.id: (host, marker) for host, marker in copies_of(self.snapshot)}

    @cached_property
    def in_use(self) -> set[tuple[int, str]]:
        """Inventory's id and instance id, of every managed host that does not rest."""
        return hosts_in_use(self.snapshot)

    @cached_property
    def stint_begins(self) -> Mapping[str, float]:
        """When the present stint of each instance began, as far as that is known."""
        return stint_beginnings(self.snapshot)

    # What the run is about

    def concerns(self, instance_id: str, *groups: str) -> bool:
        """Whether the run is about this instance of one of these groups, and all of them could be read."""
        return not self.snapshot.unreadable & set(groups) and self.is_about(instance_id, *groups)

    def is_about(self, instance_id: str, *groups: str) -> bool:
        """Whether the run is about this instance of one of these groups."""
        if self.options.instances is not None and instance_id not in self.options.instances:
            return False
        return self.options.groups is None or bool(self.options.groups & set(groups))

    def concerns_host(self, marker: Marker) -> bool:
        """The same of a host with this marker, whose group may be another by now."""
        return self.concerns(marker.instance_id, *self._groups_of(marker))

    def is_about_host(self, marker: Marker) -> bool:
        """The same of a host with this marker, whatever could be read."""
        return self.is_about(marker.instance_id, *self._groups_of(marker))

    def _groups_of(self, marker: Marker) -> tuple[str, ...]:
        membership = self.membership(marker.instance_id)
        return (marker.group, membership.group) if membership else (marker.group,)

    # Instances

    def membership(self, instance_id: str) -> Membership | None:
        """What Auto Scaling says of an instance."""
        return self.snapshot.memberships.get(instance_id)

    def instance(self, instance_id: str) -> Instance | None:
        """What EC2 says of an instance."""
        return self.snapshot.instances.get(instance_id)

    def place_of(self, membership: Membership) -> Place | None:
        """Where the hosts of a member's group belong; None if the group did not opt in, or could not be read."""
        return self.snapshot.places.get(membership.group)

    def wanted_variables(self, place: Place, instance: Instance) -> dict[str, object] | None:
        """The variables of ours that an instance's host is to have; None if it lacks the address its group wants."""
        if not instance.addresses[place.settings.address]:
            return None
        return host_variables(place.settings, instance, self.snapshot.account, self.snapshot.region, place.inventory.id)

    def new_stint(self) -> dict[str, object]:
        """A stint that begins now, as it stands in a marker."""
        return new_stint(self.snapshot.now, ()).written()

    # Hosts

    def is_renamed(self, host: DumpedHost) -> bool:
        """Whether no job can be limited to a managed host, for it is not named after its instance."""
        marker = self.snapshot.owners.get(host.id)
        return marker is not None and host.name != marker.instance_id

    def renamed_at_home(self, place: Place, instance_id: str) -> DumpedHost | None:
        """The host of an instance where it belongs, if that is not named after it and none is."""
        at_home = [host for host in self.hosts_of.get(instance_id, ()) if host.inventory_id == place.inventory.id]
        return at_home[0] if at_home and all(map(self.is_renamed, at_home)) else None

    def age(self, host: DumpedHost) -> float | None:
        """Seconds since a host was made; None if that was not read from Tower."""
        created_at = self.snapshot.created_at.get(host.id)
        return None if created_at is None else self.snapshot.now - created_at

    # Jobs

    def event_was_lost(self, place: Place, instance_id: str) -> bool:
        """Whether an instance without a host in use came so recently that its job is due, and no job holds it."""
        return is_young(self.snapshot, place, instance_id) and instance_id not in self.snapshot.jobs_ended

    def job_is_due(self, place: Place, instance_id: str) -> bool:
        """Whether the job of an instance without a host in use is to be launched: its event was lost, or the run is
        to provision. One that has served for long is provisioned only on request.
        """
        requested = self.options.provision and self.is_free_since(instance_id, self.snapshot.now)
        return requested or self.event_was_lost(place, instance_id)

    def is_free_since(self, instance_id: str, moment: float) -> bool:
        """Whether no job holds an instance that runs, or ended after a moment (epoch seconds)."""
        return self.snapshot.jobs_ended.get(instance_id, -math.inf) < moment
