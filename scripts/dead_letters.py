"""What lies in a dead-letter queue, in words, and what is to become of it. Pure: told what was received and asked.

A message goes back to the queue that it came from, as long as that does something. Whoever waits for a lifecycle
action waits for so long and no longer; what is over is left to a reconcile of its instance.
"""

from __future__ import annotations

import json
import math
import sys
from copy import replace
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

# What the functions write their code also reads; nobody else says where that is to a script that is called by its path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "common"))

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.inventory_text import INSTANCE_ID
from rollcall.domain.message_format import RECEIVED_AT, Record, read_action, read_gate_message, write_gate_message
from rollcall.domain.messages import GateMessage, RetireMessage, WatchMessage
from rollcall.domain.timing import hook_life

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollcall.domain.groups import Group
    from rollcall.domain.membership import Membership

type Json = dict[str, Any]

ACTION_QUEUES = ("Launch", "Terminate")
GATE_QUEUE = "Gate"
BAD_EVENT = "BadEvent"  # what a function calls a message that it cannot read
DIRECTION = {Transition.LAUNCHING: "launch", Transition.TERMINATING: "termination"}
RECEIVES_MAX = 1000  # times that a message is received before SQS sets it aside: the template's maxReceiveCount


@dataclass(frozen=True)
class Letter:
    """A message of a dead-letter queue.

    queue: what the queue it was meant for is called in the template, without "Queue". source: that queue's URL, empty
    if there is none. sent_at: epoch seconds; when it was set aside, or where SQS moved it here when it came to its
    queue. attributes: its message attributes as SQS writes them. moved: SQS itself moved it here.
    """

    queue: str
    source: str
    id: str
    receipt_handle: str
    body: str
    region: str
    sent_at: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
    moved: bool = False

    def attribute(self, *names: str) -> str:
        """The text of the first of these attributes that it has."""
        return next(
            (str(self.attributes[each].get("StringValue", "")) for each in names if each in self.attributes), ""
        )


@dataclass(frozen=True)
class Seen:
    """What AWS says about what letters speak of. now in epoch seconds.

    groups: those that exist, with their hooks. memberships: what Auto Scaling says of the instances that it lists.
    """

    account: str
    region: str
    now: float
    groups: Mapping[str, Group]
    memberships: Mapping[str, Membership]


@dataclass(frozen=True)
class Content:
    """What a letter speaks of. kind: in words.

    actions: each with the time it came, in epoch seconds. message: of the gate's queue, None for others. groups,
    instances: where it speaks of no action. unreadable: why it cannot be read.
    """

    kind: str
    actions: tuple[tuple[LifecycleAction, float], ...] = ()
    message: GateMessage | WatchMessage | RetireMessage | None = None
    groups: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True)
class Entry:
    """A letter in words, and what is to become of it.

    error, remedy: why it is here. since: epoch seconds; of its oldest action. back: the body that goes back, None if
    nothing does. over: by id, instances that are left to reconcile, and why. stays: why it can only stay or be deleted.
    """

    letter: Letter
    kind: str
    groups: tuple[str, ...]
    instances: tuple[str, ...]
    since: float
    error: str
    remedy: str
    back: str | None = None
    over: Mapping[str, str] = field(default_factory=dict)
    stays: str = ""

    @property
    def alike(self) -> tuple[object, ...]:
        """Equal for entries that differ only in their instances."""
        remedy = INSTANCE_ID.sub("i-…", self.remedy)
        fate = (self.back is not None, tuple(sorted(set(self.over.values()))), INSTANCE_ID.sub("i-…", self.stays))
        return (self.letter.queue, self.kind, self.groups, self.error, remedy, fate)


def read(letter: Letter) -> Content:
    """What a letter speaks of."""
    record = Record(letter.id, letter.body, letter.region, 1, letter.sent_at, None)
    try:
        if letter.queue in ACTION_QUEUES:
            return _action(record)
        return _of_the_gate(record) if letter.queue == GATE_QUEUE else _of_others(record)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this letter's alone
        return Content("message", unreadable=str(error) or type(error).__name__)


def _action(record: Record) -> Content:
    action = read_action(record)
    if not action:
        return Content("notification that asks for nothing")
    kind = DIRECTION[action.transition] + ("" if action.hook else " without a hook")
    return Content(kind, ((action, _came_at(record)),))


def _of_the_gate(record: Record) -> Content:
    message = read_gate_message(record)
    match message:
        case GateMessage():
            waiting = tuple((each.action, each.launched_at) for each in message.waiting)
            return Content("launch at the gate", waiting, message)
        case RetireMessage():
            return Content("retirement at the gate", tuple((each, message.since) for each in message.retiring), message)
        case WatchMessage():
            return Content("watch", tuple((each.action, message.since) for each in message.watched), message)


def _of_others(record: Record) -> Content:
    """An event on the bus, or an alarm's notification: whatever another queue of the stack carries."""
    body = json.loads(record.body)
    if isinstance(body, dict) and body.get("Type") == "Notification":
        body = json.loads(str(body.get("Message")))
    if not isinstance(body, dict):
        raise TypeError("the message is JSON, but no object")
    detail = body["detail"] if isinstance(body.get("detail"), dict) else {}
    kind = f"alarm {body['AlarmName']}" if "AlarmName" in body else str(body.get("detail-type") or "message")
    group, instance_id = detail.get("group"), detail.get("instance_id")
    return Content(
        kind,
        groups=(str(group),) if group else (),
        instances=(str(instance_id),) if instance_id else (),
    )


def _came_at(record: Record) -> float:
    """When an action came, by its own message; by its letter where that does not say so."""
    body: Json = json.loads(record.body)
    if body.get("Type") == "Notification":
        body = json.loads(str(body["Message"]))
    try:
        came_at = datetime.fromisoformat(str(body.get("time") or body.get("Time"))).timestamp()
    except ValueError:
        came_at = float(body.get(RECEIVED_AT, record.first_received_at))
    return min(came_at, record.first_received_at)


def trouble(letter: Letter) -> tuple[str, str]:
    """Why a letter is here: the error, and what was said of it with the remedy."""
    if error := letter.attribute("Error"):  # set aside by a function of ours
        return error, letter.attribute("Message")
    if error := letter.attribute("ERROR_CODE"):  # by EventBridge, "Using dead-letter queues" in its user guide
        rule = letter.attribute("RULE_ARN").rpartition("/")[2]
        words = f"rule {rule} could not deliver it: {letter.attribute('ERROR_MESSAGE')}"
        return error, f"{words}: see that QueuePolicy lets the rule send to {letter.queue}Queue, and deploy if not"
    if letter.attribute("ErrorCode", "ErrorMessage"):  # by Lambda, of an invocation that nobody waited for; or by SNS
        words = letter.attribute("ErrorMessage")
        return f"error {letter.attribute('ErrorCode')}".strip(), words or "the function's log says what was wrong"
    if letter.moved:
        words = f"received {RECEIVES_MAX:,} times, or stopped by Lambda as a loop, and never done with"
        return "ReceivedTooOften", f"{words}: the function's log says why"
    return (
        "NotDelivered",
        f"a subscription could not deliver it to {letter.queue}Queue, or somebody sent it here by hand",
    )


def entry(letter: Letter, content: Content, seen: Seen) -> Entry:
    """A letter in words, with what is to become of it by what AWS says."""
    error, remedy = trouble(letter)
    actions = [action for action, _ in content.actions]
    over = {action.instance_id: why for action, came_at in content.actions if (why := _why_over(action, came_at, seen))}
    if isinstance(content.message, WatchMessage):  # nobody waits for it, and it tells at once that it is over
        over = {}
    back = _what_goes_back(letter.body, content, over)
    stays = ""
    if content.unreadable:
        stays = f"it cannot be read: {content.unreadable}"
    elif error == BAD_EVENT and letter.queue not in (*ACTION_QUEUES, GATE_QUEUE):
        stays = f"{letter.queue.lower()} could not read it, and would set it aside again"
    elif back is not None and not letter.source:
        stays = "there is no queue to send it back to"
    return Entry(
        letter,
        content.kind,
        groups=tuple(sorted({each.group for each in actions})) or content.groups,
        instances=tuple(sorted({each.instance_id for each in actions})) or content.instances,
        since=min((came_at for _, came_at in content.actions), default=letter.sent_at),
        error=error,
        remedy=remedy,
        back=None if stays else back,
        over=over,
        stays=stays,
    )


def _what_goes_back(body: str, content: Content, over: Mapping[str, str]) -> str | None:
    """The message without what is over; None if nothing is left of it."""
    if not over:
        return body
    message = content.message
    if isinstance(message, GateMessage):
        waiting = tuple(each for each in message.waiting if each.action.instance_id not in over)
        return write_gate_message(replace(message, waiting=waiting)) if waiting else None
    if isinstance(message, RetireMessage):
        retiring = tuple(each for each in message.retiring if each.instance_id not in over)
        return write_gate_message(replace(message, retiring=retiring)) if retiring else None
    return None


def _why_over(action: LifecycleAction, came_at: float, seen: Seen) -> str:
    """Why it would do nothing, or harm, to work on an action now; nothing if it would not.

    Reconcile of this stack knows only its own account and Region; and what only a host told of a node in Chef stands
    in no other place than the message.
    """
    if (action.account, action.region) != (seen.account, seen.region) or action.node_pattern or action.private_dns:
        return ""
    membership = seen.memberships.get(action.instance_id)
    leaving = action.transition == Transition.TERMINATING
    if leaving and membership and not membership.leaving:
        return f"it does not leave any more, but is {membership.state}"
    if not action.hook:  # to work on it is right at any time
        return ""
    if action.group not in seen.groups:
        return "its group is gone"
    group = seen.groups[action.group]
    if action.hook not in group.heartbeat_timeouts:
        return "its hook is gone"
    if not leaving and not (membership and "Pending" in membership.state):
        return f"it does not wait any more, but is {membership.state}" if membership else "it is in no group any more"
    life = hook_life(group, action)
    return f"it is older than its hook's life of {duration(life)}" if seen.now - came_at > life else ""


def about_group(entries: Iterable[Entry], group: str) -> list[Entry]:
    """Those that speak of a group."""
    return [each for each in entries if group in each.groups]


def gathered(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries with those that are alike, the most first."""
    alike: dict[tuple[object, ...], list[Entry]] = {}
    for each in entries:
        alike.setdefault(each.alike, []).append(each)
    return sorted(alike.values(), key=len, reverse=True)


def duration(seconds: float) -> str:
    """In the unit that people would use."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{max(0, math.floor(seconds))} s"


def moment(epoch_seconds: float) -> str:
    """A time for people, to the minute."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
