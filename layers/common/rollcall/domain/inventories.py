"""Tower's inventories and their hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .empty_mapping import EMPTY_MAPPING
from .errors import Kept

MARKER = "rollcall"  # the variable that makes a host ours


@dataclass(frozen=True)
class Inventory:
    """A Tower inventory. organization: the name of the one that it belongs to, empty if unknown."""

    id: int
    name: str
    organization: str = field(default="", compare=False)


class BulkLimits(NamedTuple):
    """How many hosts one bulk call may create and delete."""

    create: int
    delete: int


class HostLimit(NamedTuple):
    """How many hosts there may be (most), and are (used). owner: whose limit it is, in words."""

    owner: str
    used: int
    most: int


class Host(NamedTuple):
    """A host in Tower. created_at in epoch seconds by Tower's clock; group_ids is None if Tower listed only some."""

    id: int
    name: str
    inventory_id: int
    inventory_name: str
    instance_id: str
    variables: Mapping[str, object]
    created_at: float
    group_ids: frozenset[int] | None
    description: str = ""
    enabled: bool = True

    @property
    def marker(self) -> Mapping[str, object] | None:
        """Our marker, or None for a host that is not ours."""
        marker = self.variables.get(MARKER)
        return marker if isinstance(marker, dict) else None


class DumpedHost(NamedTuple):
    """A host as the dump of its inventory shows it; groups are names."""

    id: int
    name: str
    inventory_id: int
    inventory_name: str
    enabled: bool
    variables: Mapping[str, object]
    groups: frozenset[str]


class Dump(NamedTuple):
    """A whole inventory. plain: it is certain that no text in its variables is more than text to Ansible."""

    inventory: Inventory
    hosts: tuple[DumpedHost, ...]
    plain: bool = False


class RemovalResult(NamedTuple):
    """What came of removing instances from every inventory.

    removed: the ids of instances of which a host was deleted. refusals: by instance id, why a host of it that has to go
    was not deleted: it is in an inventory that an opted-in group names, or the reason is not a missing role. left_in:
    by instance id, the names of other inventories that keep a host of it, for the token may only read them. No other
    host of these instances is left.
    """

    removed: frozenset[str] = frozenset()
    refusals: Mapping[str, Kept] = EMPTY_MAPPING
    left_in: Mapping[str, frozenset[str]] = EMPTY_MAPPING
