"""Removals beyond those of single hosts: copies, which go with their originals, and the removal limit. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.hosts.ownership import why_gone
from rollcall.hosts.removal_limit import is_too_many

from .steps import Removal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollcall.domain.inventories import DumpedHost

    from .plan_input import PlanInput


def allowed_with_copies(given: PlanInput, removals: Iterable[Removal]) -> Iterator[Removal]:
    """The removals from inventories that are not kept, each with the copies of its host in other inventories.

    A host that moves keeps its copies.
    """
    copies: defaultdict[str, list[DumpedHost]] = defaultdict(list)
    for host, marker in given.copies.values():
        if host.inventory_id not in given.kept:
            copies[marker.instance_id].append(host)
    for removal in removals:
        if removal.inventory.id in given.kept:
            continue
        yield removal
        for copied in () if removal.moved else copies.pop(removal.instance_id, ()):
            original = f"host {removal.host.name} of inventory {removal.inventory.name!r}"
            yield Removal(
                given.snapshot.dumps[copied.inventory_id].inventory,
                copied,
                removal.instance_id,
                f"it is a copy of {original}, which goes: {removal.reason}",
                copied=True,
            )


def copies_without_original(given: PlanInput) -> Iterator[Removal]:
    """Copies whose original is not there: they go for the same reasons as a host whose instance is gone."""
    for host, marker in given.copies.values():
        if host.inventory_id in given.kept or given.hosts_of.get(marker.instance_id):
            continue
        if not given.concerns_host(marker):
            continue
        membership, instance = given.membership(marker.instance_id), given.instance(marker.instance_id)
        if membership and (membership.resting or membership.entering or membership.leaving):
            continue
        if gone := why_gone(instance, membership, given.age(host)):
            inventory = given.snapshot.dumps[host.inventory_id].inventory
            reason = f"it is a copy from another inventory, and its instance is gone: {gone}"
            yield Removal(inventory, host, marker.instance_id, reason, copied=True)


def over_removal_limit(
    removals: Iterable[Removal], managed: Mapping[int, int], share: float
) -> dict[int, list[Removal]]:
    """By inventory id, the removals that the removal limit stops. Copies do not count.

    managed: hosts of ours in each inventory; share: the fraction of them that may go in one run.
    """
    by_inventory: defaultdict[int, list[Removal]] = defaultdict(list)
    for removal in removals:
        if not removal.copied:
            by_inventory[removal.inventory.id].append(removal)
    return {
        inventory_id: own
        for inventory_id, own in by_inventory.items()
        if is_too_many(len(own), managed[inventory_id], share)
    }
