"""Hosts removed from Tower."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.errors import DeleteRefused, RollcallError
from rollcall.hosts.removal import inventories_of_our_groups
from rollcall.tower.bulk_hosts import BULK_DELETE_MAX

from .host_errors import of_batch
from .result import Applied, StepError, fixes_of
from .steps import DriftFinding, DriftKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.errors import Kept
    from rollcall.domain.inventories import Inventory
    from rollcall.tower.client import Tower

    from .steps import Removal


class ApplyRemovals:
    """Removes the hosts of one inventory, in bulk and as far as the time goes."""

    def __init__(self, tower: Tower, fleet: Fleet, in_time: Callable[[], bool]) -> None:
        self._tower = tower
        self._fleet = fleet
        self._in_time = in_time

    def apply(self, inventory: Inventory, removals: Sequence[Removal]) -> Iterator[Applied]:
        """What came of each batch; of an inventory that the token may only read no more than one is tried."""
        for batch in batched(removals, BULK_DELETE_MAX):
            if not self._in_time():
                yield Applied(left=len(batch))
                continue
            what = f"removing hosts from inventory {inventory.name}"
            try:
                kept = self._tower.delete_hosts([each.host for each in batch])
            except RollcallError as error:
                yield Applied(errors=(StepError(what, error),))
                continue
            removed = fixes_of("removed", [each for each in batch if each.host.id not in kept])
            if self._is_only_read(inventory, kept.values()):
                yield Applied(removed, findings=(_left_in(inventory, removals),))
                break
            names = {each.host.id: each.host.name for each in batch}
            yield Applied(removed, of_batch(what, inventory, {names[each]: error for each, error in kept.items()}))

    def _is_only_read(self, inventory: Inventory, errors: Collection[Kept]) -> bool:
        """Whether the token may only read an inventory that no group of ours names; not if that cannot be found out."""
        if not any(isinstance(error, DeleteRefused) for error in errors):
            return False
        named = inventories_of_our_groups(self._tower, self._fleet)
        return named is not None and inventory.id not in named


def _left_in(inventory: Inventory, removals: Sequence[Removal]) -> DriftFinding:
    """One for the inventory: what keeps one of its hosts keeps them all."""
    reason = (
        f"{len(removals)} of its hosts, {removals[0].host.name} among them, are to go and stay, for the token may only "
        "read it: let the token's user administer it, or remove them"
    )
    return DriftFinding(DriftKind.READ_ONLY, inventory, inventory.name, reason)
