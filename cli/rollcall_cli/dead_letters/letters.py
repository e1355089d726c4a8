"""What is in a dead-letter queue, in words, and what becomes of it. Pure: it decides by what was received and read.

A message goes back to the queue that it came from, as long as that does something. A hook waits for a lifecycle action
for so long and no longer; what is over is left to a reconcile of its instance.
"""

from __future__ import annotations

import json
from copy import replace
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.aws_text import INSTANCE_ID
from rollcall.domain.message_format import RECEIVED_AT, Record, read_action, read_gate_message, write_gate_message
from rollcall.domain.messages import GateMessage, RetireMessage, WatchMessage
from rollcall.domain.timing import hook_life
from rollcall_cli.times import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollcall.domain.groups import Group
    from rollcall.domain.membership import Membership

type Json = dict[str, Any]

ACTION_QUEUES = ("Launch", "Terminate")
GATE_QUEUE = "Gate"
BAD_EVENT = "BadEvent"  # what a function calls a message that it cannot read
DIRECTION = {Transition.LAUNCHING: "launch", Transition.TERMINATING: "termination"}
RECEIVES_MAX = 1000  # times that a message is received before SQS moves it here: the template's maxReceiveCount


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue.

    queue: what the queue it was meant for is called in the template, without "Queue". source: that queue's URL, empty
    if there is none. sent_at: epoch seconds; when a function moved it here, or where SQS did, when it came to its
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
class AwsState:
    """What AWS says about the groups and instances of dead letters. now in epoch seconds.

    groups: those that exist, with their hooks. memberships: what Auto Scaling says of the instances that it lists.
    """

    account: str
    region: str
    now: float
    groups: Mapping[str, Group]
    memberships: Mapping[str, Membership]


@dataclass(frozen=True)
class Content:
    """What a dead letter is about. kind: in words.

    actions: each with the time it came, in epoch seconds. message: of the gate's queue, None for others. groups,
    instances: where it holds no action. unreadable: why it cannot be read.
    """

    kind: str
    actions: tuple[tuple[LifecycleAction, float], ...] = ()
    message: GateMessage | WatchMessage | RetireMessage | None = None
    groups: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    unreadable: str = ""


@dataclass(frozen=True)
class Entry:
    """A dead letter in words, and what becomes of it.

    error, remedy: why it is here. since: epoch seconds; of its oldest action. back: the body that goes back, None if
    nothing does. over: by id, instances that are left to reconcile, and why. stays: why it can only stay or be deleted.
    """

    letter: DeadLetter
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
        instance_ids = INSTANCE_ID.pattern
        remedy = instance_ids.sub("i-…", self.remedy)
        fate = (self.back is not None, tuple(sorted(set(self.over.values()))), instance_ids.sub("i-…", self.stays))
        return (self.letter.queue, self.kind, self.groups, self.error, remedy, fate)


def read(letter: DeadLetter) -> Content:
    """What a dead letter is about."""
    record = Record(letter.id, letter.body, letter.region, 1, letter.sent_at, None)
    try:
        if letter.queue in ACTION_QUEUES:
            return _action(record)
        return _of_the_gate(record) if letter.queue == GATE_QUEUE else _of_others(record)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one alone
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
    """When an action came, by its own message; by SQS where that does not say so."""
    body: Json = json.loads(record.body)
    if body.get("Type") == "Notification":
        body = json.loads(str(body["Message"]))
    try:
        came_at = datetime.fromisoformat(str(body.get("time") or body.get("Time"))).timestamp()
    except ValueError:
        came_at = float(body.get(RECEIVED_AT, record.first_received_at))
    return min(came_at, record.first_received_at)


def cause_of(letter: DeadLetter) -> tuple[str, str]:
    """Why a message is here: the error, and the words with the remedy."""
    if error := letter.attribute("Error"):  # moved here by a function of ours
        return error, letter.attribute("Message")
    if error := letter.attribute("ERROR_CODE"):  # by EventBridge, "Using dead-letter queues" in its user guide
        rule = letter.attribute("RULE_ARN").rpartition("/")[2]
        words = f"rule {rule} could not deliver it: {letter.attribute('ERROR_MESSAGE')}"
        return error, f"{words}: see that QueuePolicy lets the rule send to {letter.queue}Queue, and deploy if not"
    if letter.attribute("ErrorCode", "ErrorMessage"):  # by Lambda, of an asynchronous invocation; or by SNS
        words = letter.attribute("ErrorMessage")
        return f"error {letter.attribute('ErrorCode')}".strip(), words or "the function's log says what was wrong"
    if letter.moved:
        words = f"received {RECEIVES_MAX:,} times, or stopped by Lambda as a loop, and never worked on to the end"
        return "ReceivedTooOften", f"{words}: the function's log says why"
    return (
        "NotDelivered",
        f"a subscription could not deliver it to {letter.queue}Queue, or it was sent here by hand",
    )


def entry(letter: DeadLetter, content: Content, aws: AwsState) -> Entry:
    """A dead letter in words, with what becomes of it by what AWS says."""
    error, remedy = cause_of(letter)
    actions = [action for action, _ in content.actions]
    over = {action.instance_id: why for action, came_at in content.actions if (why := _why_over(action, came_at, aws))}
    if isinstance(content.message, WatchMessage):  # no hook waits for it, and its next round says that it is over
        over = {}
    back = _what_goes_back(letter.body, content, over)
    stays = ""
    if content.unreadable:
        stays = f"it cannot be read: {content.unreadable}"
    elif error == BAD_EVENT and letter.queue not in (*ACTION_QUEUES, GATE_QUEUE):
        stays = f"{letter.queue.lower()} could not read it, and would move it here again"
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


def _why_over(action: LifecycleAction, came_at: float, aws: AwsState) -> str:
    """Why it would do nothing, or harm, to work on an action now; nothing if it would not.

    Reconcile of this stack knows only its own account and Region; and what only a host said of a node in Chef stands
    in no other place than the message.
    """
    if (action.account, action.region) != (aws.account, aws.region) or action.node_pattern or action.private_dns:
        return ""
    membership = aws.memberships.get(action.instance_id)
    leaving = action.transition == Transition.TERMINATING
    if leaving and membership and not membership.leaving:
        return f"it does not leave any more, but is {membership.state}"
    if not action.hook:  # to work on it is right at any time
        return ""
    if action.group not in aws.groups:
        return "its group is gone"
    group = aws.groups[action.group]
    if action.hook not in group.heartbeat_timeouts:
        return "its hook is gone"
    if not leaving and not (membership and "Pending" in membership.state):
        return f"it does not wait any more, but is {membership.state}" if membership else "it is in no group any more"
    life = hook_life(group, action)
    return f"it is older than its hook's life of {duration(life)}" if aws.now - came_at > life else ""


def about_group(entries: Iterable[Entry], group: str) -> list[Entry]:
    """Those that are about a group."""
    return [each for each in entries if group in each.groups]


def gathered(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries with those that are alike, the most first."""
    alike: dict[tuple[object, ...], list[Entry]] = {}
    for each in entries:
        alike.setdefault(each.alike, []).append(each)
    return sorted(alike.values(), key=len, reverse=True)
