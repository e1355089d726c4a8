"""What is taken away when a group leaves Rollcall, in which order, and why in that order. Pure.

The launch hook goes first: from then on no instance begins to wait for Rollcall. The terminate hook goes next: until
then hosts are removed before their instances go. The tags go last, all at once: an instance that waits while its
group has no tag rollcall:inventory waits in vain. A hook goes only while it holds nothing: of what it holds AWS
abandons the launches, and lets the terminations go on with their hosts still in Tower.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall.domain.groups import EMERGENCY_TAG
from rollcall_cli.emergency.record import read_record
from rollcall_cli.group_changes import DeleteHook, DeleteTags, PutHook, SetTags

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rollcall_cli.group_changes import Change
    from rollcall_cli.lifecycle_hooks import LifecycleHook
    from rollcall_cli.scaling_group import GroupState


class ForWaiting(StrEnum):
    """What becomes of instances that a hook holds when it is to be taken away."""

    WAIT = "wait"  # until Rollcall has answered them
    CONTINUE = "continue"
    ABANDON = "abandon"


def removals(group: GroupState, hooks: Sequence[LifecycleHook]) -> list[Change]:
    """What is still to be taken away. hooks: those of Rollcall's."""
    ordered = sorted(hooks, key=lambda hook: (not hook.launching, hook.name))
    tags = tuple(sorted(group.own_tags()))
    return [*(DeleteHook(hook) for hook in ordered), *([DeleteTags(tags)] if tags else [])]


def way_back(group: GroupState, hooks: Collection[LifecycleHook]) -> list[Change]:
    """What puts the group back as it is now, or as it was before an emergency: the tags first."""
    tags = {key: value for key, value in group.own_tags().items() if key != EMERGENCY_TAG}
    record = read_record(group.tags.get(EMERGENCY_TAG, ""))
    was = [former.restored(hook) if (former := record.former(hook)) else replace(hook) for hook in hooks]
    ordered = sorted(was, key=lambda hook: (hook.launching, hook.name))
    return [*([SetTags(tags)] if tags else []), *(PutHook(hook) for hook in ordered)]
