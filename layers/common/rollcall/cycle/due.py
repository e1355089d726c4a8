"""Which cycles are due by the tags of groups: by a schedule, or for a new version of a launch template. Pure.

A cycle's name holds the day or the version, so it is started once, no matter how often it is found to be due: Step
Functions keeps a name for 90 days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.bake_tags import BAKED
from rollcall.workflow.names import execution_name, schedule_key, version_key

if TYPE_CHECKING:
    from .tag import CycleTag

type Json = dict[str, Any]


class TaggedGroup(NamedTuple):
    """A group with the tag rollcall:cycle.

    created: epoch seconds. version: the number that it launches now, empty without a launch template, or where nothing
    is due for one. description: of that version. running: the numbers that its instances of this template run. pinned:
    a cycle holds it at a number.
    """

    name: str
    tag: CycleTag
    created: float = 0.0
    version: str = ""
    description: str = ""
    running: frozenset[str] = frozenset()
    pinned: bool = False


class DueCycle(NamedTuple):
    """A cycle that is due. name: of its execution. why: in words. is_last: the next run may find it too late."""

    group: str
    name: str
    why: str
    is_last: bool = False

    @property
    def request(self) -> Json:
        """The input of its execution: all else the tag says. A group on an alias is to stay on it."""
        return {"group": self.group}


def due_cycles(group: TaggedGroup, now: float, every: float | None) -> tuple[DueCycle, ...]:
    """The cycles of a group that are due, whether they were started or not; one for a new version comes first.

    every: seconds between two runs of reconcile, None by hand.
    """
    if group.tag.never or group.pinned:
        return ()
    return tuple(each for each in (_for_version(group), _by_schedule(group, now, every)) if each)


def _for_version(group: TaggedGroup) -> DueCycle | None:
    if not group.tag.on_new_version or not group.version or group.description.startswith(BAKED):
        return None
    if group.running <= {group.version}:
        return None
    name = execution_name(group.name, version_key(group.version))
    return DueCycle(group.name, name, f"its launch template's version {group.version} is new")


def _by_schedule(group: TaggedGroup, now: float, every: float | None) -> DueCycle | None:
    schedule = group.tag.every
    if schedule is None:
        return None
    moment = schedule.due(group.created, now, every)
    if moment is None:
        return None
    name = execution_name(group.name, schedule_key(moment.date()))
    why = f"it is due since {moment.isoformat(timespec='minutes')}"
    return DueCycle(group.name, name, why, schedule.is_last(now, every))
