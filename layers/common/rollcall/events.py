"""Every shape a message arrives in. The only place raw events are read.

An action arrives as an EventBridge event or as the notification of a lifecycle hook, straight or through SNS, in a
record of an SQS batch; or as a bare EventBridge event, when a function is invoked by hand. The gate's own messages are
written and read here too, and what a run of reconcile is asked for.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from .errors import BadEvent
from .model import GateMessage, LifecycleAction, RetireMessage, RunRequest, Transition, Waiting, Wishes

type Json = dict[str, Any]

HOOK_DETAIL_TYPES = {
    "EC2 Instance-launch Lifecycle Action": Transition.LAUNCHING,
    "EC2 Instance-terminate Lifecycle Action": Transition.TERMINATING,
}
TERMINATED_DETAIL_TYPE = "EC2 Instance Terminate Successful"
RUN_FIELDS = ("dry_run", "force", "provision", "groups", "forget", "every")
TEST_NOTIFICATION = "autoscaling:TEST_NOTIFICATION"  # sent once when a hook gets a notification target


@dataclass(frozen=True)
class Record:
    """One message of a batch.

    region: where the queue is. receives: how often it was received; first_received_at: epoch seconds.
    receipt_handle is None for an event that came without a queue.
    """

    id: str
    body: str
    region: str
    receives: int
    first_received_at: float
    receipt_handle: str | None


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
        )
        for raw in event["Records"]
    ]


def read_action(record: Record) -> LifecycleAction | None:
    """The lifecycle action a message speaks of; None for the test notification of a new hook.

    Raises BadEvent naming the field that is missing or wrong.
    """
    body = _object(record.body, "message")
    region = record.region
    if body.get("Type") == "Notification" and "Message" in body:
        region = _region(_text(body, "TopicArn"))
        body = _object(_text(body, "Message"), "SNS Message")
    if body.get("Event") == TEST_NOTIFICATION:
        return None
    if "detail-type" in body:
        return replace(_event(body), message_id=record.id)
    if "LifecycleTransition" in body:
        return replace(_hook_notification(body, region), message_id=record.id)
    raise BadEvent(
        "the message has neither 'detail-type' (an EventBridge event) nor 'LifecycleTransition' (a lifecycle hook's "
        f"notification); its fields: {', '.join(sorted(body)) or 'none'}"
    )


def _event(body: Json) -> LifecycleAction:
    kind = _text(body, "detail-type")
    detail = body.get("detail")
    if not isinstance(detail, dict):
        raise BadEvent("field 'detail' is missing or no object")
    if kind == TERMINATED_DETAIL_TYPE:
        return LifecycleAction(
            transition=Transition.TERMINATING,
            account=_text(body, "account"),
            region=_text(body, "region"),
            group=_text(detail, "AutoScalingGroupName"),
            instance_id=_instance_id(detail),
        )
    if kind not in HOOK_DETAIL_TYPES:
        raise BadEvent(f"field 'detail-type' is {kind!r}, which is no lifecycle action: narrow the rule that sent it")
    return _hooked(detail, _text(body, "account"), _text(body, "region"), HOOK_DETAIL_TYPES[kind])


def _hook_notification(body: Json, region: str) -> LifecycleAction:
    transition = _text(body, "LifecycleTransition")
    if transition not in list(Transition):
        raise BadEvent(f"field 'LifecycleTransition' is {transition!r}: use one of {', '.join(Transition)}")
    return _hooked(body, _text(body, "AccountId"), region, Transition(transition))


def _hooked(fields: Json, account: str, region: str, transition: Transition) -> LifecycleAction:
    return LifecycleAction(
        transition=transition,
        account=account,
        region=region,
        group=_text(fields, "AutoScalingGroupName"),
        instance_id=_instance_id(fields),
        hook=_text(fields, "LifecycleHookName"),
        token=_text(fields, "LifecycleActionToken") if "LifecycleActionToken" in fields else None,
    )


def write_action(action: LifecycleAction) -> str:
    """An action with a hook as the text that read_action reads, in the shape of a hook's own notification."""
    fields = {
        "AccountId": action.account,
        "AutoScalingGroupName": action.group,
        "EC2InstanceId": action.instance_id,
        "LifecycleHookName": action.hook,
        "LifecycleTransition": action.transition,
    }
    return json.dumps(fields | ({"LifecycleActionToken": action.token} if action.token else {}))


def write_gate_message(message: GateMessage | RetireMessage) -> str:
    """The gate message as the text that read_gate_message or read_retire_message reads."""
    return json.dumps(asdict(message))


def read_gate_message(record: Record) -> GateMessage:
    """The gate's own message. Raises BadEvent if it is none."""
    body = _object(record.body, "message")
    try:
        message = GateMessage(
            waiting=tuple(
                Waiting(
                    action=LifecycleAction(
                        **{**each["action"], "transition": Transition(each["action"]["transition"])}
                    ),
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
    except (KeyError, TypeError, ValueError) as error:
        raise BadEvent(f"not a message of the gate: {error!r}") from error
    if not message.waiting:
        raise BadEvent("not a message of the gate: field 'waiting' is empty")
    return message


def read_retire_message(record: Record) -> RetireMessage:
    """Cleanup's message to the gate. Raises BadEvent if it is none."""
    body = _object(record.body, "message")
    try:
        message = RetireMessage(
            retiring=tuple(
                LifecycleAction(**{**each, "transition": Transition(each["transition"])}) for each in body["retiring"]
            ),
            job_id=None if body["job_id"] is None else int(body["job_id"]),
            since=float(body["since"]),
            heartbeat_at=float(body["heartbeat_at"]),
            polls=int(body["polls"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadEvent(f"not a message of instances on their way out: {error!r}") from error
    if not message.retiring:
        raise BadEvent("not a message of instances on their way out: field 'retiring' is empty")
    return message


def read_from_gate_queue(record: Record) -> GateMessage | RetireMessage:
    """Whichever of the two kinds of messages in the gate's queue it is. Raises BadEvent if it is neither."""
    return read_retire_message(record) if "retiring" in _object(record.body, "message") else read_gate_message(record)


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
        provision=_flag(event, "provision"),
        forget=_names(event, "forget"),
        every=every * 60.0 if every else None,
    )
    return RunRequest(wishes, dry_run=_flag(event, "dry_run"), force=_flag(event, "force"))


def _flag(event: Json, name: str) -> bool:
    value = event.get(name, False)
    if not isinstance(value, bool):
        raise BadEvent(f"field {name!r} is {value!r}: use true or false")
    return value


def _names(event: Json, name: str) -> frozenset[str]:
    value = event.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise BadEvent(f'field {name!r} is {value!r}: use a list of names, like ["web"]')
    if name in event and not value:
        raise BadEvent(f"field {name!r} is an empty list: name a group, or leave the field out")
    return frozenset(value)


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
