"""What is changed when an emergency begins and when it ends, in which order, and why in that order. Pure.

Beginning: the tag first, with the record in it. From then on a restore is possible, and the functions stop holding and
abandoning. Then the hooks. A second run finds the tag, keeps what it says, and goes on. Under a tag that was set by
hand hooks may have been opened by hand too: how such a one was is not known, and nothing is recorded of it.

Ending: the hooks first, the tag last, for the record is in it. What waits when they are put back is let in before and
after that: its time began under the short heartbeat timeout, and the hook would now abandon it at the end of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rollcall.domain.actions import Result
from rollcall.domain.groups import EMERGENCY_TAG
from rollcall_cli.group_changes import DeleteTags, PutHook, SetTags

from .record import Record, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall_cli.group_changes import Change
    from rollcall_cli.lifecycle_hooks import LifecycleHook
    from rollcall_cli.scaling_group import GroupState

HEARTBEAT_TIMEOUT = 30  # seconds, Auto Scaling's minimum: no instance that is missed waits for longer
UNKNOWN = "unknown"  # since when an emergency is whose tag was set by hand and does not say


def beginning(group: GroupState, hooks: Sequence[LifecycleHook], moment: str) -> list[Change]:
    """What is still to be changed for a group to be in an emergency. hooks: of Rollcall's; moment: now.

    Raises TooLong where the hooks do not fit into the tag.
    """
    present = group.tags.get(EMERGENCY_TAG)
    record = Record(moment) if present is None else read_record(present)
    by_hand = opened_by_hand(group, hooks)
    record = replace(record, since=record.since or UNKNOWN).with_hooks(each for each in hooks if each not in by_hand)
    value = write_record(record)
    tag: list[Change] = [SetTags({EMERGENCY_TAG: value})] if value != present else []
    return [*tag, *(PutHook(open_) for hook in hooks if (open_ := _opened(hook)) != hook)]


def ending(group: GroupState) -> list[Change]:
    """What is still to be changed for a group to be as it was, the tag last; nothing if it is in no emergency."""
    if EMERGENCY_TAG not in group.tags:
        return []
    record = read_record(group.tags[EMERGENCY_TAG])
    formers = [(hook, former.restored(hook)) for hook in group.hooks if (former := record.former(hook))]
    return [*(PutHook(was) for hook, was in formers if was != hook), DeleteTags((EMERGENCY_TAG,))]


def opened_by_hand(group: GroupState, hooks: Sequence[LifecycleHook]) -> list[LifecycleHook]:
    """Hooks that let in already, under a tag that does not name them: how they were before is not known.

    A hook of which an operator changed only the default result is one of them too.
    """
    if EMERGENCY_TAG not in group.tags:
        return []
    record = read_record(group.tags[EMERGENCY_TAG])
    return [each for each in hooks if not record.former(each) and _lets_in(each)]


def recorded(group: GroupState) -> set[str]:
    """The hooks of a group that its tag names: the emergency is about these, also if the stack answers others."""
    record = read_record(group.tags.get(EMERGENCY_TAG, ""))
    return {hook.name for hook in group.hooks if record.former(hook)}


def missing(group: GroupState) -> list[str]:
    """What is recorded of hooks that are gone, or that stand for hooks that are: nothing can be put back for these."""
    record = read_record(group.tags.get(EMERGENCY_TAG, ""))
    return [each.hook for each in record.hooks if not any(each.is_of(hook) for hook in group.hooks)]


def not_recorded(group: GroupState, hooks: Sequence[LifecycleHook]) -> list[str]:
    """Hooks of Rollcall's of which the tag does not say how they were: it was set by hand."""
    record = read_record(group.tags.get(EMERGENCY_TAG, ""))
    return [hook.name for hook in hooks if not record.former(hook)]


def _lets_in(hook: LifecycleHook) -> bool:
    return hook.default_result == Result.CONTINUE and (hook.launching or hook.heartbeat_timeout == HEARTBEAT_TIMEOUT)


def _opened(hook: LifecycleHook) -> LifecycleHook:
    return replace(hook, heartbeat_timeout=HEARTBEAT_TIMEOUT, default_result=Result.CONTINUE)
