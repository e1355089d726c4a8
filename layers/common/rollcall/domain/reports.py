"""What became of the actions of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import RollcallError
from .verdicts import Grounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .actions import LifecycleAction
    from .inventories import RemovalResult


NO_LONGER_WAITING = "no longer waiting, nothing done"
READ_ONLY_INVENTORY = "read-only inventory"  # before its name, the cause of what is left in it


class Event(StrEnum):
    """What becomes of an instance: the detail type of the event that is published of it."""

    REGISTERED = "Instance Registered"
    READY = "Instance Ready"
    ABANDONED = "Instance Abandoned"
    RETIRED = "Instance Retired"


class Note(NamedTuple):
    """What an operator should know. alert: one should act; otherwise it is a warning beside what went well.

    cause: of an alert about more than its instance, the same few words for all instances that it is about. grounds:
    of a decision against the instance, where that is what the alert is about.
    """

    words: str
    alert: bool = False
    cause: str = ""
    grounds: Grounds | None = None


@dataclass(frozen=True)
class Report:
    """One action: outcome says what was done for good, or the error why it was not; empty while it goes on waiting.

    event: what is published of its instance, None for nothing. job: the id of the Tower job that this is about.
    provisioned_at: when the job ended that went well on its instance, in epoch seconds. alerted_before: whether an
    alert about it was published before, None where that is not known. left_out: the tags of the instance that did not
    become host variables, each with the reason. evicted: its stale host was removed from the address of a new instance;
    it is reported as of a terminate action without a hook. grounds: of ABANDON.
    """

    action: LifecycleAction
    outcome: str = "failed"
    error: RollcallError | None = field(default=None, compare=False)
    event: Event | None = None
    job: int | None = None
    notes: tuple[Note, ...] = ()
    provisioned_at: float | None = None
    alerted_before: bool | None = None
    left_out: tuple[str, ...] = ()
    evicted: bool = False
    grounds: Grounds | None = None


def gone(action: LifecycleAction, outcome: str, removal: RemovalResult, *, published: bool, **own: Any) -> Report:
    """The report of an instance that was removed from every inventory, or whose host an inventory keeps.

    published: whether an event is: there was a host, or a hook waited. Terminations of every group of the account come
    in, and of most there is nothing to publish.
    """
    if refusal := removal.refusals.get(action.instance_id):
        return Report(action, error=refusal)
    notes = (*own.pop("notes", ()), *notes_on_kept(removal, action.instance_id))
    return Report(action, outcome, event=Event.RETIRED if published else None, notes=notes, **own)


def removed_at_launch(action: LifecycleAction, why: str, removal: RemovalResult) -> Report:
    """The report of an instance that went before it was registered. why: when, in words.

    An event is published only if it had a host: otherwise none was published of its launch either.
    """
    return gone(
        action, f"removed from every inventory: {why}", removal, published=action.instance_id in removal.removed
    )


def notes_on_kept(removal: RemovalResult, instance_id: str) -> Iterator[Note]:
    """A note for each inventory that keeps a host of an instance, and that the token may only read."""
    for name in sorted(removal.left_in.get(instance_id, ())):
        yield Note(
            f"the host of {instance_id} stays in inventory {name!r}, which the token may only read, and its address "
            "may soon be another instance's: let the token's user administer this inventory, or let no inventory "
            "source bring our instances there",
            alert=True,
            cause=f"{READ_ONLY_INVENTORY}: {name}",
        )
