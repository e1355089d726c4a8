"""What comes to the alert function's queue: our own events of the bus, and the notifications of alarms.

How bad each is, by what it is about:

critical  a token or a permission is refused (TowerDenied, ChefDenied, AwsDenied); the breaker; an alarm on a function's
          errors or on a dead-letter queue
error     what a person has to mend within the hour: tags, inventories, templates; an instance that is stuck; Tower
          being away; what the doctor says breaks launches; every other alarm
warning   what passes by itself, unless it is Tower; what reconcile found and left; an instance that load balancers do
          not find; the doctor's other findings
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import BadEvent
from .trouble import Ending, Occurrence, Severity

if TYPE_CHECKING:
    from .events import Record

type Json = dict[str, Any]

SERVING = "Instance Serving"
MENDED = "Misconfiguration Mended"
DONE_WITH = ("Instance Ready", "Instance Abandoned", "Instance Retired")
DENIED = ("TowerDenied", "ChefDenied", "AwsDenied")
TOWER_AWAY = "TowerUnavailable"
BREAKER = "breaker: "
OF_AN_INSTANCE = "instance: "
PASSING_KINDS = ("address conflict",)  # of findings: mostly gone with reconcile's next run
GRAVE_METRICS = ("Errors", "ApproximateNumberOfMessagesVisible")
WATCHED_FOR = 3600.0  # seconds; nobody looks longer than that whether an instance serves
WAITED_FOR = 49 * 3600.0  # seconds; Auto Scaling ends every wait after 48 hours
KEPT_FOR = 14 * 86_400.0  # seconds; SQS keeps no dead letter for longer
LATE = 30.0  # seconds that an event may take to us: to the bus, into the queue, and to a batch


def read_message(record: Record) -> Occurrence | Ending | None:
    """What a message tells; None if it is nothing to anybody.

    Raises BadEvent naming the field that is missing or wrong.
    """
    try:
        body = json.loads(record.body)
    except ValueError as error:
        raise BadEvent(f"the message is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadEvent("the message is no JSON object")
    try:
        if "AlarmName" in body:
            return _alarm(body)
        if body.get("source") == "rollcall":
            return _event(body)
    except (KeyError, TypeError, ValueError) as error:
        raise BadEvent(f"a field is missing or wrong: {error!r}") from error
    raise BadEvent(
        "the message has neither 'AlarmName' (an alarm's notification) nor the source 'rollcall' (an event of ours); "
        f"its fields: {', '.join(sorted(body)) or 'none'}"
    )


def subject_of(group: str, instance_id: str) -> str:
    """An instance as those who suffer are named."""
    return f"{group}/{instance_id}"


def in_trouble(group: str) -> str:
    """The cause of all that is told once of a group's instances: a broken playbook holds all of them, not one."""
    return f"instances: group {group}"


def not_serving(group: str) -> str:
    """The cause of all that load balancers have against a group's instances."""
    return f"not serving: group {group}"


def _alarm(body: Json) -> Occurrence | Ending | None:
    name, state = str(body["AlarmName"]), body["NewStateValue"]
    at, cause = _seconds(body["StateChangeTime"]), f"alarm: {name}"
    told = f"{name} {state} {body['StateChangeTime']}"
    if state == "OK":
        return Ending(told, at, cause, cause)
    if state != "ALARM":
        return None
    grave = (body.get("Trigger") or {}).get("MetricName") in GRAVE_METRICS
    return Occurrence(
        id=told,
        at=at,
        cause=cause,
        reason=str(body.get("AlarmDescription") or body.get("NewStateReason") or name),
        severity=Severity.CRITICAL if grave else Severity.ERROR,
        began=at,
        subject=name,
        awaits=cause,
        forgotten_at=at + KEPT_FOR,
    )


def _event(body: Json) -> Occurrence | Ending | None:
    kind, told, at, detail = body["detail-type"], body["id"], _seconds(body["time"]), body["detail"]
    if kind in TROUBLES:
        return TROUBLES[kind](told, at, detail)
    if kind in DONE_WITH:
        if detail.get("troubled") is False:  # nobody was told anything; null: nobody knows
            return None
        return Ending(told, at, subject_of(detail["group"], detail["instance_id"]), in_trouble(detail["group"]))
    if kind == SERVING:
        return Ending(told, at, _serving(detail), not_serving(detail["group"]))
    if kind == MENDED:
        return Ending(told, at, f"doctor: {detail['key']}", f"doctor: {detail['key']}")
    raise BadEvent(f"field 'detail-type' is {kind!r}, of which nobody is told: narrow the rule that sent it")


def _failure(told: str, at: float, detail: Json) -> Occurrence | None:
    """None for what went to a dead-letter queue: the queue's alarm tells of that, and knows when it ends."""
    if detail["set_aside"]:
        return None
    group, instance_id = detail.get("group") or "", detail.get("instance_id") or ""
    transient, cause, again_within = detail["transient"] is True, str(detail["cause"]), detail["again_within"]
    subject = subject_of(group, instance_id) if instance_id else group
    once = again_within is None
    if once and cause.startswith(OF_AN_INSTANCE) and group:
        cause = in_trouble(group)
    if cause in DENIED or cause.startswith(BREAKER):
        severity = Severity.CRITICAL
    elif transient and cause != TOWER_AWAY:
        severity = Severity.WARNING
    else:
        severity = Severity.ERROR
    return Occurrence(
        id=told,
        at=at,
        cause=cause,
        reason=str(detail["reason"]),
        severity=severity,
        began=at - float(detail.get("failing_for") or 0),
        transient=transient,
        subject=subject,
        group=group,
        function=str(detail.get("function") or ""),
        job_url=str(detail.get("job_url") or ""),
        again_by=None if again_within is None else at + float(again_within) + LATE,
        awaits=(subject or cause) if once else "",
        forgotten_at=at + WAITED_FOR,
    )


def _finding(told: str, at: float, detail: Json) -> Occurrence:
    """One of reconcile's findings. Those of a kind in an inventory are one incident: who takes the tag off a group of
    hundreds wants to hear of it once.
    """
    kind, inventory, again_within = str(detail["kind"]), str(detail["inventory"]), detail["again_within"]
    breaks = str(detail.get("cause") or "").startswith(BREAKER)
    return Occurrence(
        id=told,
        at=at,
        cause=str(detail["cause"]) if breaks else f"conflict: {kind}: {inventory}",
        reason=f"{kind}: {detail['subject']}: {detail['reason']}",
        severity=Severity.CRITICAL if breaks else Severity.WARNING,
        began=at,
        transient=kind in PASSING_KINDS,
        subject=f"{inventory}/{detail['subject']}",
        function=str(detail.get("function") or ""),
        again_by=at + (KEPT_FOR if again_within is None else float(again_within)) + LATE,
        finding=True,
    )


def _not_serving(told: str, at: float, detail: Json) -> Occurrence:
    group = str(detail["group"])
    subject = subject_of(group, detail["instance_id"])
    return Occurrence(
        id=told,
        at=at,
        cause=not_serving(group),
        reason=f"load balancers do not find {subject} serving: {detail['reason']}",
        severity=Severity.WARNING,
        began=at,
        subject=subject,
        group=group,
        function=str(detail.get("function") or ""),
        awaits=_serving(detail),
        forgotten_at=at + WATCHED_FOR,
    )


def _serving(detail: Json) -> str:
    """What a Not Serving waits for: that an instance is let in, or gone, is another matter."""
    return f"serving: {subject_of(detail['group'], detail['instance_id'])}"


def _misconfiguration(told: str, at: float, detail: Json) -> Occurrence:
    cause = f"doctor: {detail['key']}"
    return Occurrence(
        id=told,
        at=at,
        cause=cause,
        reason=f"{detail['subject']}: {detail['reason']}: {detail['remedy']}",
        severity=Severity.ERROR if detail["severity"] == "breaks launches" else Severity.WARNING,
        began=at,
        subject=str(detail["subject"]),
        function=str(detail.get("function") or ""),
        awaits=cause,
        forgotten_at=at + KEPT_FOR,
    )


TROUBLES: dict[str, Callable[[str, float, Json], Occurrence | None]] = {
    "Work Failed": _failure,
    "Conflict Found": _finding,
    "Instance Not Serving": _not_serving,
    "Misconfiguration Found": _misconfiguration,
}


def _seconds(text: str) -> float:
    """Epoch seconds of what EventBridge and CloudWatch write: 2026-11-21T10:00:00Z, 2026-11-21T10:00:00.000+0000."""
    return datetime.fromisoformat(text).timestamp()
