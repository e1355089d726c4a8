"""Every shape in which events reach all functions but alert, and the only place where these are read.

An action arrives as an EventBridge event or as the notification of a lifecycle hook or of a group, straight or through
SNS, in a record of an SQS batch; or as a bare EventBridge event, when a function is invoked by hand. The gate's own
messages are written and read here too, and the requests for runs of reconcile and doctor.

Whatever arrives is read or ends in a BadEvent that names the field. What is read can be encoded, and is of the lengths
and characters that AWS takes (aws_text): it is going to share calls with what came in other messages.
"""

from __future__ import annotations

import json
import math
import time
from copy import replace
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .actions import LifecycleAction, Transition
from .aws_text import ACCOUNT, CALL_BYTES, GROUP_NAME, HOOK_NAME, INSTANCE_ID, REGION, SHORT_TEXT, TEXT, TOKEN
from .errors import BadEvent
from .json_input import (
    MOMENT_MAX,
    digits_at,
    flag_at,
    listed_names,
    moment_at,
    number_at,
    object_at,
    objects_at,
    optional,
    parse_object,
    quoted,
    require_object,
    text_at,
    text_or_empty,
)
from .messages import (
    ExaminationRequest,
    GateMessage,
    RetireMessage,
    RunOptions,
    RunRequest,
    Waiting,
    Watched,
    WatchMessage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .aws_text import TextRule

type Json = dict[str, Any]

HOOK_DETAIL_TYPES = {
    "EC2 Instance-launch Lifecycle Action": Transition.LAUNCHING,
    "EC2 Instance-terminate Lifecycle Action": Transition.TERMINATING,
}
TERMINATED_DETAIL_TYPE = "EC2 Instance Terminate Successful"
WARM_POOL = "WarmPool"
RETIRED = "RetiredByRollcall"  # our own field: its retire job is over
FAILED_BEFORE = "TroubledByRollcall"  # our own field: its message failed before
RECEIVED_AT = "ReceivedAtByRollcall"  # our own field: when its first message was first received, in epoch seconds
UNANSWERED_SINCE = "UnansweredSinceByRollcall"  # our own field: since when AWS does not find its action, likewise
NODE_PATTERN = "ChefNodePattern"  # our own field, as the next: what its host's variables said before it was removed
PRIVATE_DNS = "ChefPrivateDnsName"
OWN_FIELDS = frozenset({RETIRED, FAILED_BEFORE, RECEIVED_AT, UNANSWERED_SINCE, NODE_PATTERN, PRIVATE_DNS})
EXAMINATION_FIELDS = ("groups", "announce")
RUN_FIELDS = ("dry_run", "force", "provision", "groups", "instances", "forget", "every")
GROUP_EVENTS = {
    "autoscaling:EC2_INSTANCE_LAUNCH": Transition.LAUNCHING,
    "autoscaling:EC2_INSTANCE_TERMINATE": Transition.TERMINATING,
}
EVENTS_WITHOUT_ACTION = (
    "autoscaling:TEST_NOTIFICATION",  # sent once when a hook gets a notification target, or a group a topic
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",  # no instance came
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",  # no instance went
)
MEMBERS = {GateMessage: "waiting", WatchMessage: "watched", RetireMessage: "retiring"}  # the field of instances
FAILED_BEFORE_AT_THE_GATE = "troubled"  # the names of these fields in messages of the gate
RETIRE_JOB_OVER_AT_THE_GATE = "retired"
NAMES_AT_THE_GATE = {"failed_before": FAILED_BEFORE_AT_THE_GATE, "retire_job_over": RETIRE_JOB_OVER_AT_THE_GATE}
NOT_AT_THE_GATE = ("unanswered_since",)  # the version before refuses an action with a field that it does not know
MINUTES_MAX = 527_040  # a year, between two runs
RECEIVES_MAX = 1_000_000  # SQS moves a message to the dead-letter queue after 1,000 at most
THROUGH_A_QUEUE = (
    "let it come through the function's queue (subscribe that to the topic, make it the target of the rule or pipe), "
    "or invoke the function with one event"
)


class Record(NamedTuple):
    """One message of a batch.

    region: where the queue is. receives: how often it was received; first_received_at: epoch seconds.
    receipt_handle is None for an event that came without a queue. dead_lettered: it was moved to the dead-letter queue.
    unreadable: what is wrong with the record itself; empty if nothing is.
    """

    id: str
    body: str
    region: str
    receives: int
    first_received_at: float
    receipt_handle: str | None
    dead_lettered: bool = False
    unreadable: str = ""

    @property
    def failed_before(self) -> bool:
        """Whether it failed at an earlier try, or until it was moved to the dead-letter queue."""
        return self.receives > 1 or self.dead_lettered


def read_records(event: object) -> list[Record]:
    """The messages of an SQS batch; an event that came without a queue is a batch of one.

    A message whose record lacks something is among them, and cannot be read. Raises BadEvent for what is no event, and
    for records of something else than a queue: their ids, with which each could fail alone, are not known.
    """
    if not isinstance(event, dict):
        raise BadEvent(f"the event is no object, but {quoted(event)}: {THROUGH_A_QUEUE}")
    if "Records" not in event:
        return [_without_queue(event)]
    raws = event["Records"]
    if not isinstance(raws, list):
        raise BadEvent(f"field 'Records' is no list, but {quoted(raws)}: {THROUGH_A_QUEUE}")
    return [_record(raw) for raw in raws]


def _without_queue(event: Json) -> Record:
    try:
        body = json.dumps(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadEvent(f"the event cannot be read: {type(error).__name__}") from error
    region = event.get("region")
    return Record("event", body, region if REGION.allows(region) else "", 1, time.time(), None)


def _record(raw: object) -> Record:
    if not isinstance(raw, dict):
        raise BadEvent(f"field 'Records' holds {quoted(raw)}: {THROUGH_A_QUEUE}")
    if not SHORT_TEXT.allows(raw.get("messageId")):
        source = raw.get("eventSource", raw.get("EventSource"))
        raise BadEvent(f"the event's records are no queue's, but of {quoted(source)}: {THROUGH_A_QUEUE}")
    problems: list[str] = []

    def read[T](field: Callable[[], T], otherwise: T) -> T:
        try:
            return field()
        except BadEvent as error:
            problems.append(str(error))
            return otherwise

    attributes = read(lambda: object_at(raw, "attributes"), dict[str, Any]())
    received_at = read(
        lambda: digits_at(attributes, "ApproximateFirstReceiveTimestamp", int(MOMENT_MAX * 1000)) / 1000, time.time()
    )
    error = raw.get("messageAttributes")
    return Record(
        id=raw["messageId"],
        body=read(lambda: text_at(raw, "body"), ""),
        region=read(lambda: text_at(raw, "awsRegion", REGION), ""),
        receives=read(lambda: digits_at(attributes, "ApproximateReceiveCount", RECEIVES_MAX), 1),
        first_received_at=received_at,
        receipt_handle=read(lambda: text_at(raw, "receiptHandle"), ""),
        dead_lettered=isinstance(error, dict) and "Error" in error,  # Queues.move_to_dead_letters gives it that
        unreadable="; ".join(problems),
    )


def body_of(record: Record) -> Json:
    """The JSON object that a message is. Raises BadEvent."""
    if record.unreadable:
        raise BadEvent(f"the message's record cannot be read: {record.unreadable}")
    return parse_object(record.body, "message")


def read_action(record: Record) -> LifecycleAction | None:
    """The lifecycle action that a message is about; None for a notification that requires nothing.

    Raises BadEvent naming the field that is missing or wrong.
    """
    body = body_of(record)
    region = record.region
    if body.get("Type") == "Notification" and "Message" in body:
        region = _region(text_at(body, "TopicArn"))
        message = parse_object(text_at(body, "Message"), "SNS Message")
        body = {name: value for name, value in message.items() if name not in OWN_FIELDS}  # we publish to no topic
    if body.get("Event") in EVENTS_WITHOUT_ACTION:
        return None
    if "detail-type" in body:
        return replace(
            _event(body),
            message_id=record.id,
            received_at=record.first_received_at,
            at=_time(body.get("time"), record.first_received_at),
            failed_before=record.failed_before,
        )
    if "LifecycleTransition" in body:
        return _notified(_hook_notification(body, region), body, record)
    if "Event" in body:
        return _notified(_group_notification(body, region), body, record)
    raise BadEvent(
        "the message has neither 'detail-type' (an EventBridge event) nor 'LifecycleTransition' (a lifecycle hook's "
        f"notification) nor 'Event' (a group's); its fields: {listed_names(body)}"
    )


def _event(body: Json) -> LifecycleAction:
    kind = text_at(body, "detail-type")
    detail = object_at(body, "detail")
    account, region = text_at(body, "account", ACCOUNT), text_at(body, "region", REGION)
    if kind == TERMINATED_DETAIL_TYPE:
        return _unhooked(detail, account, region, Transition.TERMINATING)
    if kind not in HOOK_DETAIL_TYPES:
        words = "which is no lifecycle action: narrow the rule that sent it"
        raise BadEvent(f"field 'detail-type' is {quoted(kind)}, {words}")
    return _hooked(detail, account, region, HOOK_DETAIL_TYPES[kind])


def _hook_notification(body: Json, region: str) -> LifecycleAction:
    return _hooked(body, text_at(body, "AccountId", ACCOUNT), region, _transition(body, "LifecycleTransition"))


def _group_notification(body: Json, region: str) -> LifecycleAction:
    event = text_at(body, "Event")
    if event not in GROUP_EVENTS:
        raise BadEvent(f"field 'Event' is {quoted(event)}: let the group notify of {', '.join(GROUP_EVENTS)}")
    return _unhooked(body, text_at(body, "AccountId", ACCOUNT), region, GROUP_EVENTS[event])


def _unhooked(fields: Json, account: str, region: str, transition: Transition) -> LifecycleAction:
    return LifecycleAction(
        transition=transition,
        account=account,
        region=region,
        group=text_at(fields, "AutoScalingGroupName", GROUP_NAME),
        instance_id=text_at(fields, "EC2InstanceId", INSTANCE_ID),
        to_warm_pool=fields.get("Destination") == WARM_POOL,
    )


def _hooked(fields: Json, account: str, region: str, transition: Transition) -> LifecycleAction:
    return replace(
        _unhooked(fields, account, region, transition),
        hook=text_at(fields, "LifecycleHookName", HOOK_NAME),
        token=text_at(fields, "LifecycleActionToken", TOKEN) if "LifecycleActionToken" in fields else None,
    )


def _transition(fields: Json, name: str) -> Transition:
    value = text_at(fields, name)
    if value not in list(Transition):
        raise BadEvent(f"field {name!r} is {quoted(value)}: use one of {', '.join(Transition)}")
    return Transition(value)


def _notified(action: LifecycleAction, fields: Json, record: Record) -> LifecycleAction:
    """The action of a notification, with the fields that one of our own has beyond AWS's.

    It was not received after its record was: what is waited for counts from then on.
    """
    received_at = moment_at(fields, RECEIVED_AT) if RECEIVED_AT in fields else record.first_received_at
    return replace(
        action,
        retire_job_over=fields.get(RETIRED) is True,
        node_pattern=text_at(fields, NODE_PATTERN, TEXT) if NODE_PATTERN in fields else "",
        private_dns=text_at(fields, PRIVATE_DNS, TEXT) if PRIVATE_DNS in fields else "",
        message_id=record.id,
        received_at=min(received_at, record.first_received_at),
        at=_time(fields.get("Time"), record.first_received_at),
        failed_before=record.failed_before or fields.get(FAILED_BEFORE) is True,
        unanswered_since=optional(fields, UNANSWERED_SINCE, moment_at),
    )


def write_action(action: LifecycleAction) -> str:
    """An action as the text that read_action reads, in the shape of a hook's own notification, or of a group's."""
    fields: Json = {
        "AccountId": action.account,
        "AutoScalingGroupName": action.group,
        "EC2InstanceId": action.instance_id,
    }
    if action.hook:
        fields |= {"LifecycleHookName": action.hook, "LifecycleTransition": action.transition}
    else:
        fields |= {"Event": next(event for event, way in GROUP_EVENTS.items() if way == action.transition)}
    fields |= {"LifecycleActionToken": action.token} if action.token else {}
    fields |= {"Destination": WARM_POOL} if action.to_warm_pool else {}
    fields |= {RETIRED: True} if action.retire_job_over else {}
    fields |= {FAILED_BEFORE: True} if action.failed_before else {}
    fields |= {"Time": datetime.fromtimestamp(action.at, UTC).isoformat()} if math.isfinite(action.at) else {}
    fields |= {NODE_PATTERN: action.node_pattern} if action.node_pattern else {}
    fields |= {PRIVATE_DNS: action.private_dns} if action.private_dns else {}
    fields |= {UNANSWERED_SINCE: action.unanswered_since} if action.unanswered_since is not None else {}
    return json.dumps(fields | ({RECEIVED_AT: action.received_at} if math.isfinite(action.received_at) else {}))


def write_gate_message(message: GateMessage | WatchMessage | RetireMessage) -> str:
    """A message of the gate's queue as the text that read_gate_message reads."""
    return json.dumps(_plain(message), allow_nan=False)


def written[M: GateMessage | WatchMessage | RetireMessage](message: M) -> list[tuple[M, str]]:
    """A message as the text that its queue takes; one that is too large as several, with some of its instances each."""
    field, text = MEMBERS[type(message)], write_gate_message(message)
    members = getattr(message, field)
    if len(members) == 1 or len(text.encode()) <= CALL_BYTES:
        return [(message, text)]
    half = len(members) // 2
    parts = (cast("M", message._replace(**{field: some})) for some in (members[:half], members[half:]))
    return [each for part in parts for each in written(part)]


def _plain(value: Any) -> Any:
    """A message, or a part of one, for JSON; null for infinity, which that has no word for."""
    match value:
        case LifecycleAction():
            return {
                NAMES_AT_THE_GATE.get(name, name): _plain(each)
                for name, each in asdict(value).items()
                if name not in NOT_AT_THE_GATE
            }
        case Waiting(check_states=states):
            fields = {name: _plain(each) for name, each in value._asdict().items() if name != "check_states"}
            return fields | ({"check_states": dict(states)} if states else {})  # without one it says what it always did
        case GateMessage() | WatchMessage() | RetireMessage() | Watched():
            return {name: _plain(each) for name, each in value._asdict().items()}
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return None if value == math.inf else value


def read_gate_message(record: Record) -> GateMessage | WatchMessage | RetireMessage:
    """A message of the gate's queue: of instances that wait, that are watched, or that leave.

    Raises BadEvent if it is none of these.
    """
    body = body_of(record)
    try:
        if "watched" in body:
            return _watch_message(body, record)
        return _retire_message(body, record) if "retiring" in body else _gate_message(body, record)
    except BadEvent as error:
        raise BadEvent(f"not a message of the gate: {error}") from error


def _gate_message(body: Json, record: Record) -> GateMessage:
    raw = objects_at(body, "waiting")
    actions = _actions([object_at(each, "action") for each in raw], record)
    return GateMessage(
        waiting=tuple(
            Waiting(
                action,
                launched_at=moment_at(each, "launched_at"),
                address=text_or_empty(each, "address", SHORT_TEXT),
                stint_since=optional(each, "stint_since", moment_at),
                unanswered_since=optional(each, "unanswered_since", moment_at),
                check_states=tuple((optional(each, "check_states", _states) or {}).items()),
            )
            for action, each in zip(actions, raw, strict=True)
        ),
        job_id=optional(body, "job_id", number_at),
        since=moment_at(body, "since"),
        heartbeat_at=moment_at(body, "heartbeat_at"),
        polls=number_at(body, "polls"),
        alerted=flag_at(body, "alerted"),
        lost_jobs=optional(body, "lost_jobs", number_at) or 0,
        relaunch_at=optional(body, "relaunch_at", moment_at) or 0.0,
        cancel_at=optional(body, "cancel_at", moment_at) or 0.0,
        stuck_job=optional(body, "stuck_job", number_at),
    )


def _states(fields: Json, name: str) -> dict[str, str]:
    states = object_at(fields, name)
    if wrong := [each for each in states if not SHORT_TEXT.allows(each)]:
        raise BadEvent(f"field {name!r} holds {quoted(wrong[0])}: {SHORT_TEXT.requirement}")
    return {each: text_at(states, each, SHORT_TEXT) for each in states}


def _watch_message(body: Json, record: Record) -> WatchMessage:
    raw = objects_at(body, "watched")
    actions = _actions([object_at(each, "action") for each in raw], record)
    return WatchMessage(
        watched=tuple(
            Watched(action, launched_at=moment_at(each, "launched_at"), serving=optional(each, "serving", flag_at))
            for action, each in zip(actions, raw, strict=True)
        ),
        since=moment_at(body, "since"),
        until=moment_at(body, "until"),
    )


def _retire_message(body: Json, record: Record) -> RetireMessage:
    return RetireMessage(
        retiring=_actions(objects_at(body, "retiring"), record),
        job_id=optional(body, "job_id", number_at),
        since=moment_at(body, "since"),
        heartbeat_at=moment_at(body, "heartbeat_at"),
        polls=number_at(body, "polls"),
        unanswered_since=optional(body, "unanswered_since", moment_at),
        lost_jobs=optional(body, "lost_jobs", number_at) or 0,
        relaunch_at=optional(body, "relaunch_at", moment_at) or 0.0,
    )


def _actions(raw: Iterable[Json], record: Record) -> tuple[LifecycleAction, ...]:
    """The actions of one message, all of one account and Region: whether these are served is decided by the first."""
    actions = tuple(_action(each, record) for each in raw)
    if len({(action.account, action.region) for action in actions}) > 1:
        raise BadEvent("the message is about instances of several accounts or Regions: the gate sends none like that")
    return actions


def _action(each: Json, record: Record) -> LifecycleAction:
    """An action as it stands in a message of the gate's; a field that this version does not know is passed over."""
    at = optional(each, "at", moment_at)  # there is none in a message from before an upgrade
    hook = optional(each, "hook", _ruled(HOOK_NAME))
    return LifecycleAction(
        transition=_transition(each, "transition"),
        account=text_at(each, "account", ACCOUNT),
        region=text_at(each, "region", REGION),
        group=text_at(each, "group", GROUP_NAME),
        instance_id=text_at(each, "instance_id", INSTANCE_ID),
        hook=hook,
        token=optional(each, "token", _ruled(TOKEN)) if hook else None,
        to_warm_pool=flag_at(each, "to_warm_pool"),
        retire_job_over=flag_at(each, RETIRE_JOB_OVER_AT_THE_GATE),
        node_pattern=text_or_empty(each, "node_pattern", TEXT),
        private_dns=text_or_empty(each, "private_dns", TEXT),
        message_id=text_or_empty(each, "message_id", SHORT_TEXT),
        received_at=_received_at(each),
        at=record.first_received_at if at is None else at,
        failed_before=record.failed_before or flag_at(each, FAILED_BEFORE_AT_THE_GATE),
    )


def _ruled(rule: TextRule) -> Callable[[Json, str], str]:
    return lambda fields, name: text_at(fields, name, rule)


def _received_at(each: Json) -> float:
    """Infinity for one that came in no message; versions before wrote that as it is, and not as null."""
    value = each.get("received_at")
    return math.inf if value in (None, math.inf) else moment_at(each, "received_at")


def read_run_request(event: object) -> RunRequest:
    """What is requested of reconcile: its own schedule's event, or one made by hand; {} is a run for all groups.

    Raises BadEvent for a field that is unknown, or not what it should be: a misspelt dry_run must not be a real run.
    """
    request = _request(event, RUN_FIELDS)
    every = optional(request, "every", lambda fields, name: number_at(fields, name, 1, MINUTES_MAX))
    options = RunOptions(
        groups=_names(request, "groups", GROUP_NAME) if "groups" in request else None,
        instances=_names(request, "instances", INSTANCE_ID) if "instances" in request else None,
        provision=flag_at(request, "provision"),
        forget=_names(request, "forget", GROUP_NAME) if "forget" in request else frozenset(),
        every=every * 60.0 if every else None,
    )
    return RunRequest(options, dry_run=flag_at(request, "dry_run"), force=flag_at(request, "force"))


def read_examination_request(event: object) -> ExaminationRequest:
    """What is requested of doctor: its own schedule's event, or one made by hand; {} examines everything.

    Raises BadEvent for a field that is unknown, or not what it should be.
    """
    request = _request(event, EXAMINATION_FIELDS)
    groups = _names(request, "groups", GROUP_NAME) if "groups" in request else None
    announce = flag_at(request, "announce")
    if announce and groups is not None:
        raise BadEvent("what is new is announced of all groups: leave out the field 'groups', or 'announce'")
    return ExaminationRequest(groups, announce=announce)


def _request(event: object, known: tuple[str, ...]) -> Json:
    """The fields of a request, all of which are known."""
    fields = require_object(event, "event")
    if unknown := sorted(fields.keys() - set(known)):
        raise BadEvent(f"field {quoted(unknown[0])} is unknown: use {', '.join(known)}")
    return fields


def _names(fields: Json, name: str, rule: TextRule) -> frozenset[str]:
    """A list of names, each of which keeps a rule; not an empty one."""
    value = fields[name]
    if not isinstance(value, list):
        raise BadEvent(f"field {name!r} is {quoted(value)}: use a list; {rule.requirement}")
    if not value:
        raise BadEvent(f"field {name!r} is an empty list: put something into it, or leave the field out")
    if wrong := [each for each in value if not rule.allows(each)]:
        raise BadEvent(f"field {name!r} holds {quoted(wrong[0])}: {rule.requirement}")
    return frozenset(value)


def _time(text: object, otherwise: float) -> float:
    """When an event happened, in epoch seconds.

    otherwise: for one without a time, with one that cannot be read, or with one of no time zone.
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        seconds = moment.timestamp() if moment and moment.tzinfo else otherwise
    except (ValueError, OverflowError):
        return otherwise
    return seconds if 0 <= seconds <= MOMENT_MAX else otherwise


def _region(topic_arn: str) -> str:
    parts = topic_arn.split(":")
    if len(parts) != 6 or not REGION.allows(parts[3]):
        raise BadEvent(f"field 'TopicArn' is {quoted(topic_arn)}, which is no ARN of a topic")
    return parts[3]
