"""The groups of inventories, and the hosts in them."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings
from rollcall.http.transport import text_of

from .bulk_hosts import says_duplicate
from .connection import TowerPart, reads_answers
from .queries import NAMES_PER_QUERY, fitting

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.inventories import Inventory

NAMED_LIKE_A_HOST = "A Host with that name already exists"  # in the answer (awx, GroupSerializer.validate)


@reads_answers
class InventoryGroups(TowerPart):
    """Groups of inventories."""

    def group_ids(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        """The ids of an inventory's groups by name; those missing are created.

        BadSettings for a name that a host of the inventory has: Tower makes no group of it, and Ansible would give the
        group what is the host's.
        """
        found = self.groups_named(inventory, names)
        for name in sorted(set(names) - found.keys()):
            answer = self._http.send("POST", "groups/", {"name": name, "inventory": inventory.id})
            if NAMED_LIKE_A_HOST in text_of(answer):
                raise BadSettings(
                    f"inventory {inventory.name!r} has a host {name!r}, so there can be no group of that name: rename "
                    "the host, or name another group in the tag rollcall:groups"
                )
            if not says_duplicate(answer):
                found[name] = int(self._http.read(answer)["id"])
        missing = set(names) - found.keys()
        return found | self.groups_named(inventory, missing) if missing else found

    def groups_named(self, inventory: Inventory, names: Collection[str]) -> dict[str, int]:
        """The ids of an inventory's groups that have one of these names, by name."""
        # A term for each: a group's name may hold the comma that separates the names of a list.
        return {
            raw["name"]: raw["id"]
            for chunk in fitting("or__name=", names)
            for raw in self._http.pages(
                "groups/", [("inventory", str(inventory.id)), *(("or__name", each) for each in chunk)]
            )
        }

    def add_to_group(self, group_id: int, host_id: int) -> None:
        """Put a host into a group; that it is there already is no error."""
        self._http.read(self._http.send("POST", f"groups/{group_id}/hosts/", {"id": host_id}))

    def take_out_of_group(self, group_id: int, host_id: int) -> None:
        """Take a host out of a group; that it is not there is no error."""
        self._http.read(self._http.send("POST", f"groups/{group_id}/hosts/", {"id": host_id, "disassociate": True}))

    def group_members(self, group_id: int, names: Collection[str]) -> set[str]:
        """Those of the names whose hosts are in a group."""
        return {
            raw["name"]
            for chunk in batched(names, NAMES_PER_QUERY)
            for raw in self._http.pages(f"groups/{group_id}/hosts/", {"name__in": ",".join(chunk)})
        }
