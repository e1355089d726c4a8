"""What the event bus is told: each kind of event, and its detail. Pure.

A detail begins with where it comes from (account, Region, stack, function). What a link is made of is left to whoever
sends it: as long as a detail is on its way here it names a job by its id alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.errors import Permanent, RollcallError, Scope, Transient
from rollcall.domain.event_fields import (
    MISCONFIGURATION_FOUND,
    MISCONFIGURATION_MENDED,
    NOT_SERVING,
    OF_AN_INSTANCE,
    OF_THE_DOCTOR,
    SERVING,
    WORK_FAILED,
    WorkFailed,
    subject_of,
)
from rollcall.domain.reports import Event

if TYPE_CHECKING:
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.findings import Finding as Diagnosed
    from rollcall.domain.reports import Note, Report
    from rollcall.lifecycle.target_watch import TargetHealthChange

type Json = dict[str, Any]

IN_TROUBLE = "InstanceInTrouble"  # in place of an error's name: nothing failed, and a person should look all the same
REASON_MAX = 4000  # characters; PutEvents takes 256 kB for ten events, and refuses them all beyond that
SLACK = 120.0  # seconds; a try may be late by the queue's visibility timeout, and be told at its very end


class PublishedEvent(NamedTuple):
    """An event: its detail type, and its detail."""

    kind: str
    detail: Json


def cause_of(error: Exception, action: LifecycleAction | None) -> str:
    """What is wrong, in the same few words for all that suffer from it."""
    scope = error.scope if isinstance(error, RollcallError) else Scope.INSTALLATION
    if action is None or scope == Scope.INSTALLATION:
        return name_of(error)
    if scope == Scope.GROUP:
        return f"{name_of(error)}: group {action.group}"
    return _of_instance(action)


def name_of(error: Exception) -> str:
    """The error's name in the taxonomy: a client may have finer ones."""
    for kind in type(error).__mro__:
        if {Transient, Permanent} & set(kind.__bases__):
            return kind.__name__
    return type(error).__name__


def _of_instance(action: LifecycleAction) -> str:
    return OF_AN_INSTANCE + subject_of(action.group, action.instance_id)


def told_within(delay: float) -> float:
    """Seconds within which a trouble is told again that is met again after this delay."""
    return delay + SLACK


def outcome_of(report: Report, now: float) -> PublishedEvent | None:
    """What became of an instance; None for what is no event. now in epoch seconds."""
    if report.event is None:
        return None
    action = report.action
    detail: Json = {
        **_about(action),
        "seconds": rounded(seconds_since(action, now)),
        "reason": short(report.outcome),
        "job": report.job,
    }
    if report.event != Event.REGISTERED:
        detail["troubled"] = _troubled(report)
    return PublishedEvent(report.event, detail)


def _troubled(report: Report) -> bool | None:
    """Whether somebody was alerted before this. What they are alerted of beside it is not to end with it."""
    if any(note.alert for note in report.notes):
        return False
    return True if report.action.failed_before else report.troubled


def alert_of(report: Report, note: Note, now: float) -> PublishedEvent:
    """Somebody should look at an instance: it waits for what does not come by itself, or went or serves all the same.

    It is told once.
    """
    action = report.action
    return work_failed(
        action,
        error=IN_TROUBLE,
        reason=note.words,
        cause=note.cause or _of_instance(action),
        failing_for=seconds_since(action, now) or 0.0,
        again_within=None,
        job=report.job,
    )


def failure_of(
    error: Exception,
    action: LifecycleAction | None,
    *,
    again_within: float | None,
    tries: int = 1,
    failing_for: float = 0.0,
    job: int | None = None,
    reason: str = "",
    cause: str = "",
    set_aside: bool = False,
) -> PublishedEvent:
    """A try of an action failed; action is None where no action is known.

    again_within: seconds within which it is told again if it fails again, None if it is not tried again. reason, cause:
    other ones than the error's own. set_aside: in a dead-letter queue.
    """
    return work_failed(
        action,
        error=type(error).__name__,
        transient=isinstance(error, Transient),
        reason=reason or str(error) or repr(error),
        cause=cause or cause_of(error, action),
        again_within=again_within,
        tries=tries,
        failing_for=failing_for,
        set_aside=set_aside,
        job=job,
    )


def work_failed(
    action: LifecycleAction | None,
    *,
    error: str,
    reason: str,
    cause: str,
    again_within: float | None,
    transient: bool = False,
    tries: int = 1,
    failing_for: float = 0.0,
    set_aside: bool = False,
    job: int | None = None,
) -> PublishedEvent:
    """Every Work Failed is made here: alert can tell nobody of one that lacks a field."""
    failed = WorkFailed(
        error=error,
        transient=transient,
        reason=short(reason),
        cause=cause,
        again_within=rounded(again_within),
        tries=tries,
        failing_for=round(float(failing_for), 1),
        set_aside=set_aside,
        job=job,
    )
    return PublishedEvent(WORK_FAILED, failed._asdict() | (_about(action) if action else {}))


def sight_of(sight: TargetHealthChange) -> PublishedEvent:
    """What load balancers say of an instance that was let through the gate."""
    about = _about(sight.action) | {"seconds": rounded(sight.seconds), "reason": short(sight.reason)}
    return PublishedEvent(SERVING if sight.serving else NOT_SERVING, about)


def misconfiguration_of(finding: Diagnosed, *, mended: bool) -> PublishedEvent:
    """Something that doctor finds since its last run, or finds no more."""
    words = finding.in_words()
    detail = {**words, "reason": short(words["reason"]), "cause": OF_THE_DOCTOR + finding.key}
    return PublishedEvent(MISCONFIGURATION_MENDED if mended else MISCONFIGURATION_FOUND, detail)


def seconds_since(action: LifecycleAction, now: float) -> float | None:
    """Seconds since Auto Scaling told of the action, None where nobody knows when that was."""
    return max(0.0, now - action.at) if math.isfinite(action.at) else None


def _about(action: LifecycleAction) -> Json:
    return {
        "account": action.account,
        "region": action.region,
        "group": action.group,
        "instance_id": action.instance_id,
    }


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 1)


def short(words: str) -> str:
    return words if len(words) <= REASON_MAX else f"{words[: REASON_MAX - 1]}…"
