"""The hosts of new instances in the inventory groups that their Auto Scaling groups, or they themselves, name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.stages import Stage, action_of, all_together, each_apart, grouped, joined, parted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.inventories import Inventory
    from rollcall.tower.client import Tower

    from .host_registration import Registered

ASSOCIATES_AT_ONCE = 4  # Tower takes about 20 group memberships a second, with 4 clients as with 16


class _MissingMember(NamedTuple):
    """A host that is not in one of its groups yet."""

    registered: Registered
    group_id: int

    @property
    def action(self) -> LifecycleAction:
        return self.registered.action


def put_into_groups(tower: Tower, registered: Sequence[Registered]) -> Stage[Registered]:
    """Those whose hosts are in all of their groups now; groups that do not exist are made.

    What is wrong with the groups of one set fails all instances that name them; a membership that Tower refuses fails
    its host alone.
    """
    by_groups = grouped(registered, lambda each: (each.new_instance.inventory, each.new_instance.groups))
    missing = joined(
        all_together(own, action_of, partial(_missing_members, tower, inventory, names))
        for (inventory, names), own in by_groups.items()
    )
    added = each_apart(
        missing.going_on,
        action_of,
        lambda each: tower.add_to_group(each.group_id, each.registered.host_id),
        at_once=ASSOCIATES_AT_ONCE,
    )
    failed = {report.action: report for report in (*missing.left, *added.left)}  # of several groups it may be in vain
    return parted(registered, action_of, list(failed.values()))


def _missing_members(
    tower: Tower, inventory: Inventory, names: Sequence[str], registered: Sequence[Registered]
) -> Stage[_MissingMember]:
    """The hosts of one inventory, each with a group that it is not in yet."""
    group_ids = tower.group_ids(inventory, names).values()
    return Stage(
        [_MissingMember(each, group_id) for group_id in group_ids for each in _outside(tower, group_id, registered)]
    )


def _outside(tower: Tower, group_id: int, registered: Sequence[Registered]) -> list[Registered]:
    """Those that are not in the group yet. Of hosts in many groups Tower lists only some; these are looked up."""
    unsure = [each.existing.name for each in registered if each.existing and each.existing.group_ids is None]
    inside = tower.group_members(group_id, unsure) if unsure else set()
    return [
        each
        for each in registered
        if each.existing is None
        or (each.existing.name not in inside and group_id not in (each.existing.group_ids or ()))
    ]
