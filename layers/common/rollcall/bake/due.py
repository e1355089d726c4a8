"""Which bakes are due by the tags of groups, and whether one that is due would make anything new. Pure.

A bake's name holds the day, so it is started once, no matter how often it is found to be due: Step Functions keeps a
name for 90 days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.workflow.names import execution_name, schedule_key

if TYPE_CHECKING:
    from .tag import BakeTag

type Json = dict[str, Any]


class DueBake(NamedTuple):
    """A bake that is due. name: of its execution. why: in words. is_last: the next run may find it too late."""

    group: str
    name: str
    why: str
    is_last: bool = False

    @property
    def request(self) -> Json:
        """The input of its execution: all else the tags say. A schedule bakes only what is new."""
        return {"group": self.group, "only_if_new": True}


class Baked(NamedTuple):
    """What a bake begins with, or began with: the base image's id, and the revision of the playbook's project.

    revision: empty where Tower does not show one.
    """

    base_image: str
    revision: str


def due_bake(group: str, tag: BakeTag, created: float, now: float, every: float | None) -> DueBake | None:
    """The bake of a group that is due, whether it was started or not.

    created: when the group was; now: epoch seconds. every: seconds between two runs of reconcile, None by hand.
    """
    if tag.never or tag.every is None:
        return None
    moment = tag.every.due(created, now, every)
    if moment is None:
        return None
    name = execution_name(group, schedule_key(moment.date()))
    why = f"it is due since {moment.isoformat(timespec='minutes')}"
    return DueBake(group, name, why, tag.every.is_last(now, every))


def nothing_new(now: Baked, last: Baked | None) -> bool:
    """Whether a bake would begin with what the last successful one began with; not where a revision is not known.

    last: None without one.
    """
    return last is not None and now == last and bool(now.revision)


def what_is_new(now: Baked, last: Baked | None) -> str:
    """What a bake would begin with that the last successful one did not, in words; empty where that is not known."""
    if last is None:
        return "no bake of it went well before"
    if now.base_image != last.base_image:
        return f"the last one began with base image {last.base_image}, and this one with {now.base_image}"
    if now.revision and now.revision != last.revision:
        return f"the project's revision is {now.revision}, and was {last.revision or 'not known'}"
    return ""
