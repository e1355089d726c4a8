"""The hosts of a bake's instances in Tower: made in the inventory of bakes, marked as what they are, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings, Permanent
from rollcall.hosts.eviction import evict
from rollcall.hosts.ownership import address_key
from rollcall.hosts.removal import remove_from_every_inventory
from rollcall.hosts.variables import BAKE, bake_marker, bake_variables, marker_in
from rollcall.tower.bulk_hosts import NewHost

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.bake_tags import Role
    from rollcall.domain.groups import AddressKind
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Inventory, RemovalResult
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .state import BakeState


class BakeHosts:
    """Makes and removes the hosts of bakes."""

    def __init__(self, settings: Settings, tower: Tower, fleet: Fleet) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet

    def register(
        self, state: BakeState, role: Role, instance: Instance, inventory: Inventory, kind: AddressKind, **more: object
    ) -> int:
        """The id of the instance's host, made now or by an earlier try. kind: of the address that Tower connects to.

        more: variables beside ours. A stale host at its address is removed first. Raises BadSettings for an instance
        without such an address, and for a name that another host has; and what Tower refuses or fails at.
        """
        address = instance.addresses.get(kind, "")
        if not address:
            raise BadSettings(f"{role} {instance.instance_id} has no {kind} address, by which Tower would reach it")
        key = address_key(instance.facts["vpc"], address)
        evict(self._tower, self._fleet, self._settings.account, inventory, {instance.instance_id: key})
        made = self._tower.create_hosts(inventory, [self._new(state, role, instance, inventory, address, more)])
        if error := made.errors.get(instance.instance_id):
            raise error
        existing = made.existing.get(instance.instance_id)
        if existing is None:
            return made.ids[instance.instance_id]
        if marker_in(existing.variables).get(BAKE) != state.bake_id:
            raise BadSettings(f"inventory {inventory.name!r} has a host {existing.name} that is not of this bake")
        return existing.id

    def _new(
        self,
        state: BakeState,
        role: Role,
        instance: Instance,
        inventory: Inventory,
        address: str,
        more: dict[str, object],
    ) -> NewHost:
        marker = bake_marker(
            instance,
            self._settings.account,
            self._settings.region,
            inventory.id,
            group=state.group,
            role=role,
            until=state.until,
            bake=state.bake_id,
        )
        description = f"{role} of rollcall bake {state.bake_id}"
        return NewHost(instance.instance_id, bake_variables(instance, address, marker, **more), description)

    def remove(self, instance_ids: Collection[str]) -> RemovalResult:
        """Remove the hosts of these instances from every inventory. Raises what Tower fails at."""
        return remove_from_every_inventory(self._tower, self._fleet, instance_ids)

    def remove_in_words(self, instance_ids: Collection[str]) -> list[str]:
        """Remove them, and say of each what became of it. Raises what Tower fails at for now."""
        try:
            removal = self.remove(instance_ids)
        except Permanent as error:
            return [f"hosts could not be removed: {error}"]
        return [*(f"host {each} was removed" for each in sorted(removal.removed)), *kept_words(removal)]


def kept_words(removal: RemovalResult) -> list[str]:
    """Which hosts Tower keeps, and why."""
    return [f"host {each} stays in Tower: {why}" for each, why in removal.refusals.items()]
