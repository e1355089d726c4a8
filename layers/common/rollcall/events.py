"""Every shape a message arrives in. The only place raw events are read.

An action arrives as an EventBridge event or as the notification of a lifecycle hook or of a group, straight or through
SNS, in a record of an SQS batch; or as a bare EventBridge event, when a function is invoked by hand. The gate's own
messages are written and read here too, and what a run of reconcile is asked for.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .errors import BadEvent
from .identity import INSTANCE_ID
from .model import (
    ExaminationRequest,
    GateMessage,
    LifecycleAction,
    RetireMessage,
    RunRequest,
    Transition,
    Waiting,
    Watched,
    WatchMessage,
    Wishes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

type Json = dict[str, Any]

HOOK_DETAIL_TYPES = {
    "EC2 Instance-launch Lifecycle Action": Transition.LAUNCHING,
    "EC2 Instance-terminate Lifecycle Action": Transition.TERMINATING,
}
TERMINATED_DETAIL_TYPE = "EC2 Instance Terminate Successful"
WARM_POOL = "WarmPool"
RETIRED = "RetiredByRollcall"  # our own field: its retire job is over
TROUBLED = "TroubledByRollcall"  # our own field: its message failed before
RECEIVED_AT = "ReceivedAtByRollcall"  # our own field: when its first message was first received, in epoch seconds
NODE_PATTERN = "ChefNodePattern"  # our own field, as the next: what its host told before it was struck off
PRIVATE_DNS = "ChefPrivateDnsName"
EXAMINATION_FIELDS = ("groups", "announce")
RUN_FIELDS = ("dry_run", "force", "provision", "groups", "instances", "forget", "every")
GROUP_EVENTS = {
    "autoscaling:EC2_INSTANCE_LAUNCH": Transition.LAUNCHING,
    "autoscaling:EC2_INSTANCE_TERMINATE": Transition.TERMINATING,
}
EVENTS_WITHOUT_ACTION = (
    "autoscaling:TEST_NOTIFICATION",  # sent once when a hook gets a notification target, or a group a topic
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",  # nobody came
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",  # nobody went
)


@dataclass(frozen=True)
class Record:
    """One message of a batch.

    region: where the queue is. receives: how often it was received; first_received_at: epoch seconds.
    receipt_handle is None for an event that came without a queue. troubled: it failed before, or was set aside.
    """

    id: str
    body: str
    region: str
    receives: int
    first_received_at: float
    receipt_handle: str | None
    set_aside: bool = False

    @property
    def troubled(self) -> bool:
        """Whether it failed before, at an earlier try or until it was set aside."""
        return self.receives > 1 or self.set_aside


def read_records(event: Json) -> list[Record]:
    """The messages of an SQS batch; an event that came without a queue is a batch of one."""
    if "Records" not in event:
        return [Record("event", json.dumps(event), event.get("region", ""), 1, time.time(), None)]
    return [
        Record(
            id=raw["messageId"],
            body=raw["body"],
            region=raw["awsRegion"],
            receives=int(raw["attributes"]["ApproximateReceiveCount"]),
            first_received_at=int(raw["attributes"]["ApproximateFirstReceiveTimestamp"]) / 1000,
            receipt_handle=raw["receiptHandle"],
            set_aside="Error" in raw.get("messageAttributes", {}),  # Queues.set_aside gives it that
        )
        for raw in event["Records"]
    ]


def read_action(record: Record) -> LifecycleAction | None:
    """The lifecycle action a message speaks of; None for a notification that asks for nothing.

    Raises BadEvent naming the field that is missing or wrong.
    """
    body = _object(record.body, "message")
    region = record.region
    if body.get("Type") == "Notification" and "Message" in body:
        region = _region(_text(body, "TopicArn"))
        body = _object(_text(body, "Message"), "SNS Message")
    if body.get("Event") in EVENTS_WITHOUT_ACTION:
        return None
    if "detail-type" in body:
        return replace(
            _event(body),
            message_id=record.id,
            received_at=record.first_received_at,
            at=_time(body.get("time"), record.first_received_at),
            troubled=record.troubled,
        )
    if "LifecycleTransition" in body:
        return _notified(_hook_notification(body, region), body, record)
    if "Event" in body:
        return _notified(_group_notification(body, region), body, record)
    raise BadEvent(
        "the message has neither 'detail-type' (an EventBridge event) nor 'LifecycleTransition' (a lifecycle hook's "
        f"notification) nor 'Event' (a group's); its fields: {', '.join(sorted(body)) or 'none'}"
    )


def _event(body: Json) -> LifecycleAction:
    kind = _text(body, "detail-type")
    detail = body.get("detail")
    if not isinstance(detail, dict):
        raise BadEvent("field 'detail' is missing or no object")
    if kind == TERMINATED_DETAIL_TYPE:
        return _unhooked(detail, _text(body, "account"), _text(body, "region"), Transition.TERMINATING)
    if kind not in HOOK_DETAIL_TYPES:
        raise BadEvent(f"field 'detail-type' is {kind!r}, which is no lifecycle action: narrow the rule that sent it")
    return _hooked(detail, _text(body, "account"), _text(body, "region"), HOOK_DETAIL_TYPES[kind])


def _hook_notification(body: Json, region: str) -> LifecycleAction:
    transition = _text(body, "LifecycleTransition")
    if transition not in list(Transition):
        raise BadEvent(f"field 'LifecycleTransition' is {transition!r}: use one of {', '.join(Transition)}")
    return _hooked(body, _text(body, "AccountId"), region, Transition(transition))


def _group_notification(body: Json, region: str) -> LifecycleAction:
    event = _text(body, "Event")
    if event not in GROUP_EVENTS:
        raise BadEvent(f"field 'Event' is {event!r}: let the group notify of {', '.join(GROUP_EVENTS)}")
    return _unhooked(body, _text(body, "AccountId"), region, GROUP_EVENTS[event])


def _unhooked(fields: Json, account: str, region: str, transition: Transition) -> LifecycleAction:
    return LifecycleAction(
        transition=transition,
        account=account,
        region=region,
        group=_text(fields, "AutoScalingGroupName"),
        instance_id=_instance_id(fields),
        to_warm_pool=fields.get("Destination") == WARM_POOL,
    )


def _hooked(fields: Json, account: str, region: str, transition: Transition) -> LifecycleAction:
    return replace(
        _unhooked(fields, account, region, transition),
        hook=_text(fields, "LifecycleHookName"),
        token=_text(fields, "LifecycleActionToken") if "LifecycleActionToken" in fields else None,
    )


def _notified(action: LifecycleAction, fields: Json, record: Record) -> LifecycleAction:
    """The action of a notification, with what one of our own says beyond AWS's."""
    return replace(
        action,
        retired=fields.get(RETIRED) is True,
        node_pattern=_text(fields, NODE_PATTERN) if NODE_PATTERN in fields else "",
        private_dns=_text(fields, PRIVATE_DNS) if PRIVATE_DNS in fields else "",
        message_id=record.id,
        received_at=_seconds(fields, RECEIVED_AT) if RECEIVED_AT in fields else record.first_received_at,
        at=_time(fields.get("Time"), record.first_received_at),
        troubled=record.troubled or fields.get(TROUBLED) is True,
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
    fields |= {RETIRED: True} if action.retired else {}
    fields |= {TROUBLED: True} if action.troubled else {}
    fields |= {"Time": datetime.fromtimestamp(action.at, UTC).isoformat()} if math.isfinite(action.at) else {}
    fields |= {NODE_PATTERN: action.node_pattern} if action.node_pattern else {}
    fields |= {PRIVATE_DNS: action.private_dns} if action.private_dns else {}
    return json.dumps(fields | ({RECEIVED_AT: action.received_at} if math.isfinite(action.received_at) else {}))


def write_gate_message(message: GateMessage | WatchMessage | RetireMessage) -> str:
    """A message of the gate's queue as the text that read_gate_message reads."""
    return json.dumps(_plain(asdict(message)), allow_nan=False)


def _plain(value: Any) -> Any:
    """The same with null for infinity, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if value == math.inf else value


def read_gate_message(record: Record) -> GateMessage | WatchMessage | RetireMessage:
    """A message of the gate's queue: of those who wait, of those who are watched, or of those who leave.

    Raises BadEvent if it is none of these.
    """
    body = _object(record.body, "message")
    if "watched" in body:
        return _watch_message(body, record)
    return _retire_message(body, record) if "retiring" in body else _gate_message(body, record)


def _gate_message(body: Json, record: Record) -> GateMessage:
    with _of_the_gate("waiting", body):
        return GateMessage(
            waiting=tuple(
                Waiting(
                    _action(each["action"], record),
                    launched_at=float(each["launched_at"]),
                    address=str(each["address"]),
                )
                for each in body["waiting"]
            ),
            job_id=None if body["job_id"] is None else int(body["job_id"]),
            since=float(body["since"]),
            heartbeat_at=float(body["heartbeat_at"]),
            polls=int(body["polls"]),
            alerted=bool(body["alerted"]),
        )


def _watch_message(body: Json, record: Record) -> WatchMessage:
    with _of_the_gate("watched", body):
        return WatchMessage(
            watched=tuple(
                Watched(
                    _action(each["action"], record),
                    launched_at=float(each["launched_at"]),
                    serving=None if each["serving"] is None else bool(each["serving"]),
                )
                for each in body["watched"]
            ),
            since=float(body["since"]),
            until=float(body["until"]),
        )


def _retire_message(body: Json, record: Record) -> RetireMessage:
    with _of_the_gate("retiring", body):
        return RetireMessage(
            retiring=tuple(_action(each, record) for each in body["retiring"]),
            job_id=None if body["job_id"] is None else int(body["job_id"]),
            since=float(body["since"]),
            heartbeat_at=float(body["heartbeat_at"]),
            polls=int(body["polls"]),
        )


def _action(each: Json, record: Record) -> LifecycleAction:
    fields = {**each, "transition": Transition(each["transition"])}
    if fields.get("received_at") is None:
        fields["received_at"] = math.inf
    if fields.get("at") is None:  # a message from before an upgrade
        fields["at"] = record.first_received_at
    fields["troubled"] = record.troubled or fields.get("troubled") is True
    return LifecycleAction(**fields)


@contextmanager
def _of_the_gate(field: str, body: Json) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise BadEvent(f"not a message of the gate: {error!r}") from error
    if not body[field]:
        raise BadEvent(f"not a message of the gate: field {field!r} is empty")


def read_run_request(event: Json) -> RunRequest:
    """What a run of reconcile is asked for: its own schedule's event, or one made by hand; {} is a run for all groups.

    Raises BadEvent for a field that is unknown, or not what it should be: a misspelt dry_run must not be a real run.
    """
    if unknown := sorted(event.keys() - set(RUN_FIELDS)):
        raise BadEvent(f"field {unknown[0]!r} is unknown: use {', '.join(RUN_FIELDS)}")
    every = event.get("every")
    if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
        raise BadEvent(f"field 'every' is {every!r}: use whole minutes")
    wishes = Wishes(
        groups=_names(event, "groups") if "groups" in event else None,
        instances=_instance_ids(event) if "instances" in event else None,
        provision=_flag(event, "provision"),
        forget=_names(event, "forget"),
        every=every * 60.0 if every else None,
    )
    return RunRequest(wishes, dry_run=_flag(event, "dry_run"), force=_flag(event, "force"))


def read_examination_request(event: Json) -> ExaminationRequest:
    """What doctor is asked for: its own schedule's event, or one made by hand; {} is a look at everything.

    Raises BadEvent for a field that is unknown, or not what it should be.
    """
    if unknown := sorted(event.keys() - set(EXAMINATION_FIELDS)):
        raise BadEvent(f"field {unknown[0]!r} is unknown: use {', '.join(EXAMINATION_FIELDS)}")
    groups = _names(event, "groups") if "groups" in event else None
    announce = _flag(event, "announce")
    if announce and groups is not None:
        raise BadEvent("what is new is announced of all groups: leave out the field 'groups', or 'announce'")
    return ExaminationRequest(groups, announce=announce)


def _flag(event: Json, name: str) -> bool:
    value = event.get(name, False)
    if not isinstance(value, bool):
        raise BadEvent(f"field {name!r} is {value!r}: use true or false")
    return value


def _names(event: Json, name: str, like: str = "web", what: str = "a group") -> frozenset[str]:
    value = event.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise BadEvent(f'field {name!r} is {value!r}: use a list of names, like ["{like}"]')
    if name in event and not value:
        raise BadEvent(f"field {name!r} is an empty list: name {what}, or leave the field out")
    return frozenset(value)


def _instance_ids(event: Json) -> frozenset[str]:
    ids = _names(event, "instances", "i-0123456789abcdef0", "an instance")
    if malformed := sorted(each for each in ids if not INSTANCE_ID.fullmatch(each)):
        raise BadEvent(f"field 'instances' holds {malformed[0]!r}, which is no instance id")
    return ids


def _object(text: str, what: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadEvent(f"the {what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadEvent(f"the {what} is JSON, but no object")
    return value


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise BadEvent(f"field {name!r} is missing or no text")
    return value


def _time(text: object, otherwise: float) -> float:
    """When an event happened, in epoch seconds; nothing depends on it but what is told, so a strange one is no error.

    otherwise: for one that says nothing, or of no time zone.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise
    return moment.timestamp() if moment.tzinfo else otherwise


def _seconds(fields: Json, name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadEvent(f"field {name!r} is no time in epoch seconds")
    return float(value)


def _region(topic_arn: str) -> str:
    parts = topic_arn.split(":")
    if len(parts) != 6 or not parts[3]:
        raise BadEvent(f"field 'TopicArn' is {topic_arn!r}, which is no ARN of a topic")
    return parts[3]


def _instance_id(fields: Json) -> str:
    value = _text(fields, "EC2InstanceId")
    if not value.startswith("i-") or not value[2:].isalnum():
        raise BadEvent(f"field 'EC2InstanceId' is {value!r}, which is no instance id")
    return value
