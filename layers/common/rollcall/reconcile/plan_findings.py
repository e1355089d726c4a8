"""What a run only reports, of hosts, inventories and instances that no step is about. Pure.

A new finding is added here, in a function of its own: a DriftKind (steps.py) for it, and its place in plan().
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.hosts.ownership import address_key, address_of

from .steps import DriftFinding, DriftKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollcall.domain.groups import GroupSettings
    from rollcall.domain.inventories import DumpedHost

    from .plan_conflicts import Addresses
    from .plan_input import PlanInput
    from .steps import Change, Removal


def foreign_addresses(given: PlanInput, changes: Iterable[Change]) -> Iterator[DriftFinding]:
    """Hosts that are not ours, and would take a deploy to an instance of ours."""
    anywhere: dict[str, str] = {}  # instance ids
    in_vpcs: dict[tuple[str, str], str] = {}
    for instance_id, membership in given.members:
        if given.place_of(membership):
            for vpc, address in _known_addresses(given, instance_id):
                anywhere[address] = instance_id
                in_vpcs[address_key(vpc, address)] = instance_id
    known = given.snapshot.owners.keys() | given.copies.keys() | {change.host.id for change in changes}
    for inventory, hosts in given.dumps:
        for host in hosts:
            if host.id in known:
                continue
            address, marker = address_of(host), host.variables.get("rollcall")
            # Another installation's host is in the VPC that it names; of any other host that is not known.
            holder = (
                in_vpcs.get(address_key(str(marker.get("vpc", "")), address))
                if isinstance(marker, dict)
                else anywhere.get(address)
            )
            if holder and given.is_about(holder, given.snapshot.memberships[holder].group):
                reason = f"it is not ours, and its address {address} is that of {holder}: remove it"
                yield DriftFinding(DriftKind.FOREIGN_ADDRESS, inventory, host.name, reason)


def _known_addresses(given: PlanInput, instance_id: str) -> Iterator[tuple[str, str]]:
    """VPC and address, of all the addresses of a living instance; of a proven one, those that its host names."""
    if instance := given.instance(instance_id):
        if instance.living:
            yield from ((instance.facts["vpc"], each) for each in instance.addresses.values() if each)
        return
    for host in given.hosts_of.get(instance_id, ()):
        if isinstance(facts := host.variables.get("ec2"), dict):
            addresses = (facts.get("private_ip"), facts.get("public_ip"))
            yield from ((str(facts.get("vpc")), str(each)) for each in addresses if each)


def address_conflicts(given: PlanInput, addresses: Addresses) -> Iterator[DriftFinding]:
    """Managed hosts of one inventory that will have one address when the plan is done."""
    for inventory, _ in given.dumps:
        for (_, address), tenants in addresses[inventory.id].items():
            if not any(given.is_about_host(each.marker) for each in tenants):
                continue
            first, *others = tenants
            for each in others:
                reason = f"it has the address {address}, as has {first.name}, and neither may be removed yet"
                yield DriftFinding(DriftKind.ADDRESS_CONFLICT, inventory, each.name, reason)


def mixed_groups(given: PlanInput) -> Iterator[DriftFinding]:
    """Inventory groups with hosts of several Auto Scaling groups, of which one does not ask for it."""
    for inventory, hosts in given.dumps:
        members: defaultdict[str, set[str]] = defaultdict(set)
        about: set[str] = set()
        for host in hosts:
            if marker := given.snapshot.owners.get(host.id):
                about |= host.groups if given.is_about_host(marker) else set()
                for name in host.groups:
                    members[name].add(marker.group)
        for name, groups in sorted(members.items()):
            if len(groups) < 2 or name not in about:
                continue
            places = {group: given.snapshot.places[group] for group in sorted(groups) if group in given.snapshot.places}
            unsaid = [group for group, place in places.items() if not _may_ask(place.settings, name)]
            if unsaid:
                reason = f"it holds hosts of {', '.join(sorted(groups))}, and {unsaid[0]} does not ask for it"
                yield DriftFinding(DriftKind.MIXED_GROUP, inventory, name, reason)


def _may_ask(settings: GroupSettings, inventory_group: str) -> bool:
    """Whether hosts of a group are in an inventory group for its sake; what user data requested is kept nowhere."""
    return settings.user_data or inventory_group in settings.inventory_groups


def renamed_host_findings(given: PlanInput) -> Iterator[DriftFinding]:
    """Instances whose only hosts where they belong are not named after them."""
    for instance_id, membership in given.members:
        place, instance = given.place_of(membership), given.instance(instance_id)
        stays = membership.serving or membership.entering or membership.resting
        if not place or not instance or not instance.living or not stays:
            continue
        host = given.renamed_at_home(place, instance_id)
        if host and given.concerns(instance_id, membership.group, given.snapshot.owners[host.id].group):
            reason = (
                f"it is the host of {instance_id}, and no job that is limited to this id reaches it: name it so "
                "again, and let no inventory source rename it"
            )
            yield DriftFinding(DriftKind.RENAMED, place.inventory, host.name, reason, instance_id)


def copied_inventories(
    given: PlanInput, changes: Iterable[Change], removals: Iterable[Removal]
) -> Iterator[DriftFinding]:
    """One finding for each inventory with copies that no step is about: an inventory is copied as a whole."""
    by_inventory: defaultdict[int, list[DumpedHost]] = defaultdict(list)
    settled = {each.host.id for steps in (changes, removals) for each in steps}
    for host, marker in given.copies.values():
        if host.id not in settled and given.is_about(marker.instance_id, marker.group):
            by_inventory[host.inventory_id].append(host)
    for inventory_id, own in by_inventory.items():
        inventory = given.snapshot.dumps[inventory_id].inventory
        reason = (
            f"{len(own)} of its hosts, {own[0].name} among them, were copied with their markers from another "
            "inventory and are not kept true: remove them, or the variable rollcall of each"
        )
        yield DriftFinding(DriftKind.COPY, inventory, inventory.name, reason)


def retained_instances(given: PlanInput) -> Iterator[DriftFinding]:
    """Instances that their group terminated, and that its lifecycle policy keeps running."""
    for instance_id, membership in given.members:
        place = given.place_of(membership)
        if place and membership.retained and given.concerns(instance_id, membership.group):
            reason = (
                f"it is {membership.state}: its group's lifecycle policy keeps it running, and it is billed until "
                "it is terminated: look at it, and terminate it in its Auto Scaling group"
            )
            yield DriftFinding(DriftKind.RETAINED, place.inventory, instance_id, reason, instance_id)
