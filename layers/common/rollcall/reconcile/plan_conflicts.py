"""Steps that cannot all be taken: removals of hosts that would have no new place, additions at a held address. Pure."""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.hosts.ownership import address_key, address_of, marker_of

from .steps import DriftFinding, DriftKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollcall.hosts.ownership import Marker

    from .plan_input import PlanInput
    from .steps import Addition, Change, Removal


class Tenant(NamedTuple):
    """A managed host at an address: its name and its marker."""

    name: str
    marker: Marker


type Addresses = Mapping[int, Mapping[tuple[str, str], Sequence[Tenant]]]  # by inventory id, and where one is unique


class ConflictsResolved(NamedTuple):
    """The removals and the additions that are left, why others are not, and who has which address in the end."""

    removals: tuple[Removal, ...]
    additions: tuple[Addition, ...]
    findings: tuple[DriftFinding, ...]
    addresses: Addresses


def resolve_conflicts(
    given: PlanInput, removals: Iterable[Removal], changes: Sequence[Change], additions: Iterable[Addition]
) -> ConflictsResolved:
    """What can be done of a plan.

    An addition that is taken back may leave a host that was to move where it is, which then keeps its address too, and
    so may take back another addition.
    """
    removals, additions = tuple(removals), tuple(additions)
    findings: list[DriftFinding] = []
    while True:
        removals = _with_a_new_place(given, removals, changes, additions)
        addresses = managed_addresses(given, removals, changes)
        conflicts = {each.instance_id: found for each in additions if (found := _conflict(given, each, addresses))}
        if not conflicts:
            return ConflictsResolved(removals, additions, tuple(findings), addresses)
        findings += conflicts.values()
        additions = tuple(each for each in additions if each.instance_id not in conflicts)


def _with_a_new_place(
    given: PlanInput, removals: Iterable[Removal], changes: Iterable[Change], additions: Iterable[Addition]
) -> tuple[Removal, ...]:
    """The removals without those of hosts that move, and cannot be made where they belong."""
    made = {(each.inventory.id, each.instance_id) for step in (changes, additions) for each in step}
    there = given.hosted | made
    home = {each: place.inventory.id for each, known in given.members if (place := given.place_of(known))}
    return tuple(each for each in removals if not each.moved or (home[each.instance_id], each.instance_id) in there)


def _conflict(given: PlanInput, addition: Addition, addresses: Addresses) -> DriftFinding | None:
    """Why an instance gets no host: another managed host keeps its address."""
    address = str(addition.variables["ansible_host"])
    vpc = given.snapshot.instances[addition.instance_id].facts["vpc"]
    tenants = addresses[addition.inventory.id].get(address_key(vpc, address))
    if not tenants:
        return None
    reason = f"it gets no host while {tenants[0].name}, which may not be removed yet, has its address {address}"
    return DriftFinding(
        DriftKind.ADDRESS_CONFLICT, addition.inventory, addition.instance_id, reason, addition.instance_id
    )


def managed_addresses(given: PlanInput, removals: Iterable[Removal], changes: Iterable[Change]) -> Addresses:
    """The managed hosts there are at each address once these steps are taken."""
    removed = {removal.host.id for removal in removals}
    changed = {change.host.id: change.variables for change in changes if change.variables}
    held: dict[int, Mapping[tuple[str, str], Sequence[Tenant]]] = {}
    for inventory, hosts in given.dumps:
        tenants: defaultdict[tuple[str, str], list[Tenant]] = defaultdict(list)
        for host in hosts:
            marker = given.snapshot.owners.get(host.id)
            if variables := changed.get(host.id):
                host = replace(host, variables=variables)
                marker = marker_of(host, given.snapshot.account, given.snapshot.region)
            if marker and host.id not in removed:
                tenants[address_key(marker.vpc, address_of(host))].append(Tenant(host.name, marker))
        held[inventory.id] = tenants
    return held
