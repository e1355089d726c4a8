"""The ids of inventory groups that steps put hosts into, or take them out of."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError

from .result import StepError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor

    from rollcall.domain.inventories import Inventory
    from rollcall.tower.client import Tower

    from .steps import Addition, Change


class GroupIds:
    """Looks all groups up at once, beside the first steps; makes those that are missing when they are needed."""

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._ids: dict[tuple[int, str], int] = {}
        self._looked_up: Future[tuple[StepError, ...]] = Future()

    def look_up_in(
        self, pool: Executor, changes: Iterable[Change], additions: Iterable[Addition]
    ) -> Future[tuple[StepError, ...]]:
        """Begins to look up the groups that these steps name, in one query an inventory; what failed of it."""
        names: defaultdict[Inventory, set[str]] = defaultdict(set)
        for change in changes:
            names[change.inventory].update(change.join, change.leave)
        for addition in additions:
            names[addition.inventory].update(addition.place.settings.inventory_groups)
        self._looked_up = pool.submit(self._look_up, names)
        return self._looked_up

    def _look_up(self, names: dict[Inventory, set[str]]) -> tuple[StepError, ...]:
        errors: list[StepError] = []
        for inventory, wanted in names.items():
            try:
                found = self._tower.groups_named(inventory, wanted)
            except RollcallError as error:
                errors.append(StepError(f"inventory groups of inventory {inventory.name}", error))
                continue
            self._ids |= {(inventory.id, name): group_id for name, group_id in found.items()}
        return tuple(errors)

    def id_of(self, inventory: Inventory, name: str) -> int:
        """A group's id; the group is made if need be. Raises what Tower answers to that."""
        self._looked_up.result()
        if (inventory.id, name) not in self._ids:
            self._ids[inventory.id, name] = self._tower.group_ids(inventory, [name])[name]
        return self._ids[inventory.id, name]
