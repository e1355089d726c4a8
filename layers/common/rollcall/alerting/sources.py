"""What comes to the alert function's queue: our own events of the bus, and the notifications of alarms.

How bad each is, by what it is about:

critical  a token is refused, or a permission is missing (TowerDenied, ChefDenied, AwsDenied); the removal limit; an
          alarm on a function's errors or on a dead-letter queue
error     what an operator has to fix within the hour: tags, inventories, templates; an instance that is stuck; Tower
          being unavailable; what the doctor finds to break launches; a cycle that failed or was rolled back, but not by
          an operator; a bake that failed; every other alarm
warning   what passes by itself, unless it is Tower; what reconcile found and left; an instance that load balancers do
          not find healthy; the doctor's other findings
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollcall.domain.aws_text import aws_safe_json
from rollcall.domain.errors import BadEvent
from rollcall.domain.event_fields import (
    BY_OPERATOR,
    CONFLICT_FOUND,
    CYCLE_FAILED,
    CYCLE_ROLLED_BACK,
    CYCLE_SUCCEEDED,
    IMAGE_BAKED,
    IMAGE_FAILED,
    MISCONFIGURATION_FOUND,
    MISCONFIGURATION_MENDED,
    NOT_SERVING,
    OF_A_BAKE,
    OF_A_CYCLE,
    OF_AN_INSTANCE,
    OF_THE_DOCTOR,
    REMOVAL_LIMIT,
    SERVING,
    WORK_FAILED,
    WorkFailed,
    subject_of,
)
from rollcall.domain.json_input import MOMENT_MAX, listed_names, quoted
from rollcall.domain.message_format import body_of
from rollcall.domain.reports import Event
from rollcall.domain.shell_commands import command, operand

from .incident import Ending, IncidentSeverity, Occurrence

if TYPE_CHECKING:
    from rollcall.domain.message_format import Record

type Json = dict[str, Any]

DONE_WITH = (Event.READY, Event.ABANDONED, Event.RETIRED)
DENIED = ("TowerDenied", "ChefDenied", "AwsDenied")
TOWER_UNAVAILABLE = "TowerUnavailable"
PASSING_KINDS = ("address conflict",)  # of findings: mostly gone with reconcile's next run
GRAVE_METRICS = ("Errors", "ApproximateNumberOfMessagesVisible")
ROLL_OUTS = ("failed", "rolled back")  # which the cycle's own event reports
NOT_BEGUN = ("refused", "not started")  # what a roll-out ended as that has changed nothing in the group
CANCELLED = "cancelled"  # by an operator, who knows
WATCHED_FOR = 3600.0  # seconds; for longer it is not watched whether an instance serves
WAITED_FOR = 49 * 3600.0  # seconds; Auto Scaling ends every wait after 48 hours
UNTIL_ENDED = math.inf  # alarms and doctor always report when it is over, be it in a year
KEPT_FOR = 14 * 86_400.0  # seconds; for a finding that no later run is certain to report again
REASON_MAX = 5000  # characters; those of our own events have at most 4,000
TEXT_MAX = 1000  # characters of all else: names, and an alarm's or an inventory's beside them
LATE = 30.0  # seconds that an event may take: to the bus, into the queue, and to a batch


def read_message(record: Record) -> Occurrence | Ending | None:
    """What a message reports; None if that is worth no notification.

    A character that no channel could carry does not keep an alert from being sent: it is replaced. Raises BadEvent
    naming the field that is missing or wrong.
    """
    body = body_of(record)
    try:
        if "AlarmName" in body:
            return _checked(_alarm(aws_safe_json(body)))
        if body.get("source") == "rollcall":
            return _checked(_event(aws_safe_json(body)))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise BadEvent(f"a field is missing or wrong: {quoted(error)}") from error
    raise BadEvent(
        "the message has neither 'AlarmName' (an alarm's notification) nor the source 'rollcall' (an event of ours); "
        f"its fields: {listed_names(body)}"
    )


def _checked(message: Occurrence | Ending | None) -> Occurrence | Ending | None:
    """What was read, with its texts cut where they are long: an incident has room for 400 kB.

    Raises ValueError for a text that is none, and for a moment that is none; to be forgotten never is one.
    """
    if message is None:
        return None
    texts: dict[str, Any] = {}
    for each in fields(message):
        value = getattr(message, each.name)
        if each.type == "str":
            if not isinstance(value, str):
                raise ValueError(f"{each.name} is {quoted(value)}, and no text")
            texts[each.name] = value[: REASON_MAX if each.name == "reason" else TEXT_MAX]
        elif isinstance(value, float) and not 0 <= value <= 2 * MOMENT_MAX and each.name != "forgotten_at":
            raise ValueError(f"{each.name} is {value}, and no moment")
    return replace(message, **texts)


def instances_of(group: str) -> str:
    """The cause of all that is reported once of a group's instances: a broken playbook holds all of them, not one."""
    return f"instances: group {group}"


def not_serving(group: str) -> str:
    """The cause of all that load balancers report of a group's instances."""
    return f"not serving: group {group}"


def cycle_of(group: str) -> str:
    """The cause of all that is reported of a group's cycles: it has one at a time."""
    return OF_A_CYCLE + group


def bake_of(group: str) -> str:
    """The cause of all that is reported of a group's bakes: it has one at a time."""
    return OF_A_BAKE + group


def _alarm(body: Json) -> Occurrence | Ending | None:
    name, state = str(body["AlarmName"]), body["NewStateValue"]
    at, cause = _seconds(body["StateChangeTime"]), f"alarm: {name}"
    event_id = f"{name} {state} {body['StateChangeTime']}"
    if state == "OK":
        return Ending(event_id, at, cause, cause)
    if state != "ALARM":
        return None
    grave = (body.get("Trigger") or {}).get("MetricName") in GRAVE_METRICS
    return Occurrence(
        id=event_id,
        at=at,
        cause=cause,
        reason=str(body.get("AlarmDescription") or body.get("NewStateReason") or name),
        severity=IncidentSeverity.CRITICAL if grave else IncidentSeverity.ERROR,
        began=at,
        subject=name,
        ended_by=cause,
        forgotten_at=UNTIL_ENDED,
    )


def _event(body: Json) -> Occurrence | Ending | None:
    kind, event_id, at, detail = body["detail-type"], body["id"], _seconds(body["time"]), body["detail"]
    if kind in PROBLEMS:
        return PROBLEMS[kind](event_id, at, detail)
    if kind in DONE_WITH:
        if detail.get("troubled") is False:  # no alert was published; null: that is not known
            return None
        return Ending(event_id, at, subject_of(detail["group"], detail["instance_id"]), instances_of(detail["group"]))
    if kind == SERVING:
        return Ending(event_id, at, _serving(detail), not_serving(detail["group"]))
    if kind == CYCLE_SUCCEEDED:
        return Ending(event_id, at, cycle_of(detail["group"]), cycle_of(detail["group"]))
    if kind == IMAGE_BAKED:
        return Ending(event_id, at, bake_of(detail["group"]), bake_of(detail["group"]))
    if kind == MISCONFIGURATION_MENDED:
        return Ending(event_id, at, OF_THE_DOCTOR + detail["key"], OF_THE_DOCTOR + detail["key"])
    raise BadEvent(f"field 'detail-type' is {quoted(kind)}, of which no alert is sent: narrow the rule that sent it")


def _failure(event_id: str, at: float, detail: Json) -> Occurrence | None:
    """None for what went to a dead-letter queue: the queue's alarm reports that, and knows when it ends."""
    failed = _work_failed(detail)
    if failed.set_aside:
        return None
    group, cause = failed.group or "", failed.cause
    subject = subject_of(group, failed.instance_id) if failed.instance_id else group
    once = failed.again_within is None
    if once and cause.startswith(OF_AN_INSTANCE) and group:
        cause = instances_of(group)
    return Occurrence(
        id=event_id,
        at=at,
        cause=cause,
        reason=str(failed.reason),
        severity=_severity_of(cause, transient=failed.transient is True),
        began=max(0.0, at - float(failed.failing_for)),
        transient=failed.transient is True,
        subject=subject,
        group=group,
        function=str(detail.get("function") or ""),
        job_url=str(detail.get("job_url") or ""),
        repeated_until=None if failed.again_within is None else at + float(failed.again_within) + LATE,
        ended_by=(subject or cause) if once else "",
        forgotten_at=at + WAITED_FOR,
    )


def _severity_of(cause: str, *, transient: bool) -> IncidentSeverity:
    if cause in DENIED or cause.startswith(REMOVAL_LIMIT):
        return IncidentSeverity.CRITICAL
    if transient and cause != TOWER_UNAVAILABLE:
        return IncidentSeverity.WARNING
    return IncidentSeverity.ERROR


def _work_failed(detail: Json) -> WorkFailed:
    """The fields of a Work Failed. Raises KeyError for one that it cannot do without."""
    names = set(WorkFailed._fields)
    failed = {name: detail[name] for name in ("transient", "reason", "cause", "again_within")}
    return WorkFailed(**{"error": "", **failed, **{name: detail[name] for name in names & detail.keys()}})


def _finding(event_id: str, at: float, detail: Json) -> Occurrence:
    """One of reconcile's findings. Those of a kind in an inventory are one incident: an operator who takes the tag
    off a group of hundreds is notified of it once.
    """
    kind, inventory, again_within = str(detail["kind"]), str(detail["inventory"]), detail["again_within"]
    return Occurrence(
        id=event_id,
        at=at,
        cause=f"conflict: {kind}: {inventory}",
        reason=f"{kind}: {detail['subject']}: {detail['reason']}",
        severity=IncidentSeverity.WARNING,
        began=at,
        transient=kind in PASSING_KINDS,
        subject=f"{inventory}/{detail['subject']}",
        function=str(detail.get("function") or ""),
        repeated_until=at + (KEPT_FOR if again_within is None else float(again_within)) + LATE,
        finding=True,
    )


def _not_serving(event_id: str, at: float, detail: Json) -> Occurrence:
    group = str(detail["group"])
    subject = subject_of(group, detail["instance_id"])
    return Occurrence(
        id=event_id,
        at=at,
        cause=not_serving(group),
        reason=f"load balancers do not find {subject} serving: {detail['reason']}",
        severity=IncidentSeverity.WARNING,
        began=at,
        subject=subject,
        group=group,
        function=str(detail.get("function") or ""),
        ended_by=_serving(detail),
        forgotten_at=at + WATCHED_FOR,
    )


def _serving(detail: Json) -> str:
    """The subject of what ends a Not Serving: that an instance is ready, or gone, ends other incidents."""
    return f"serving: {subject_of(detail['group'], detail['instance_id'])}"


def _cycle_failed(event_id: str, at: float, detail: Json) -> Occurrence:
    return _bad_cycle(event_id, at, detail, "failed")


def _cycle_rolled_back(event_id: str, at: float, detail: Json) -> Occurrence | None:
    """None for one that an operator rolled back, who knows."""
    if detail.get("ended_by") == BY_OPERATOR:
        return None
    return _bad_cycle(event_id, at, detail, "was rolled back")


def _bad_cycle(event_id: str, at: float, detail: Json, became: str) -> Occurrence:
    """A cycle that did not bring what it should. It is over with the group's next cycle that succeeds."""
    group = str(detail["group"])
    version = f" to version {detail['version']}" if detail.get("version") else ""
    return _failed_run(event_id, at, detail, cycle_of(group), f"the cycle of {group}{version} {became}")


def _image_failed(event_id: str, at: float, detail: Json) -> Occurrence | None:
    """A bake that made no image, or none that may be rolled out. It is over with the group's next one that succeeds.

    So is one that left instances, which reconcile finds when their time is over: it has no result there.

    None where the roll-out failed: of that an incident is opened for the group's cycle, which knows the job, unless an
    operator rolled it back. None, too, where an operator cancelled the bake.
    """
    group, result = str(detail["group"]), detail.get("result")
    if detail.get("roll_out") in ROLL_OUTS or result == CANCELLED:
        return None
    if not result:
        return _failed_run(event_id, at, detail, bake_of(group), f"a bake of {group} did not clean up")
    is_unchanged = not detail.get("cycle") or detail.get("roll_out") in NOT_BEGUN
    words = f"the bake of {group} failed" + (", and changed nothing in the group" if is_unchanged else "")
    shown = command("rollcall", "bake", "--watch", *operand(group))
    return _failed_run(event_id, at, detail, bake_of(group), words, f"; all of it: {shown}")


def _failed_run(event_id: str, at: float, detail: Json, cause: str, words: str, more: str = "") -> Occurrence:
    """A cycle or a bake that failed. cause: what the group's next one that succeeds ends, too.

    more: what follows the reason.
    """
    group = str(detail["group"])
    return Occurrence(
        id=event_id,
        at=at,
        cause=cause,
        reason=f"{words}: {detail['reason']}{more}",
        severity=IncidentSeverity.ERROR,
        began=max(0.0, at - float(detail.get("seconds") or 0.0)),
        subject=group,
        group=group,
        function=str(detail.get("function") or ""),
        job_url=str(detail.get("job_url") or ""),
        ended_by=cause,
        forgotten_at=at + KEPT_FOR,
    )


def _misconfiguration(event_id: str, at: float, detail: Json) -> Occurrence:
    cause = OF_THE_DOCTOR + detail["key"]
    return Occurrence(
        id=event_id,
        at=at,
        cause=cause,
        reason=f"{detail['subject']}: {detail['reason']}: {detail['remedy']}",
        severity=IncidentSeverity.ERROR if detail["severity"] == "breaks launches" else IncidentSeverity.WARNING,
        began=at,
        subject=str(detail["subject"]),
        function=str(detail.get("function") or ""),
        ended_by=cause,
        forgotten_at=UNTIL_ENDED,
    )


PROBLEMS: dict[str, Callable[[str, float, Json], Occurrence | None]] = {
    WORK_FAILED: _failure,
    CONFLICT_FOUND: _finding,
    NOT_SERVING: _not_serving,
    MISCONFIGURATION_FOUND: _misconfiguration,
    CYCLE_FAILED: _cycle_failed,
    CYCLE_ROLLED_BACK: _cycle_rolled_back,
    IMAGE_FAILED: _image_failed,
}


def _seconds(text: str) -> float:
    """Epoch seconds of what EventBridge and CloudWatch write: 2026-11-21T10:00:00Z, 2026-11-21T10:00:00.000+0000."""
    return datetime.fromisoformat(text).timestamp()
