"""Whether an error is one host's own, and how it is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError, TowerRejected

from .result import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.inventories import Inventory
    from rollcall.tower.client import Tower


def of_host(inventory: Inventory, name: str, error: RollcallError) -> StepError:
    """An error that is about one host."""
    return StepError(f"host {name} of inventory {inventory.name}", error, inventory)


def of_batch(what: str, inventory: Inventory, errors: Mapping[str, RollcallError]) -> tuple[StepError, ...]:
    """The errors of a batch, by the names of the hosts: what Tower has against one is its own, the rest counts once."""
    return tuple(
        of_host(inventory, name, error) if isinstance(error, TowerRejected) else StepError(what, error)
        for name, error in errors.items()
    )


def unless_gone(
    tower: Tower, inventory: Inventory, host_id: int, name: str, error: RollcallError
) -> tuple[StepError, ...]:
    """An error of a call for one host; none if the host is gone by now, for cleanup may have removed it."""
    if isinstance(error, TowerRejected):
        try:
            if not tower.created_at([host_id]):
                return ()
        except RollcallError as unread:
            return (of_host(inventory, name, unread),)
    return (of_host(inventory, name, error),)
