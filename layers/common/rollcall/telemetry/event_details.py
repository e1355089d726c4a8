"""What is published on the event bus: each kind of event, and its detail. Pure.

A detail begins with where it comes from (account, Region, stack, function). Links are made by the announcer: until then
a detail names a job by its id alone.
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
    from rollcall.workflow.state import WorkflowState

type Json = dict[str, Any]

INSTANCE_IN_TROUBLE = "InstanceInTrouble"  # in place of an error's name: nothing failed, and an operator is needed
REASON_MAX = 4000  # characters; PutEvents takes 256 kB for ten events, and refuses them all beyond that
LATENESS = 120.0  # seconds; a try may be late by the queue's visibility timeout, and be published at its very end


class PublishedEvent(NamedTuple):
    """An event: its detail type, and its detail."""

    kind: str
    detail: Json


def error_cause(error: Exception, action: LifecycleAction | None) -> str:
    """What is wrong, in the same few words for all that it concerns."""
    scope = error.scope if isinstance(error, RollcallError) else Scope.INSTALLATION
    if action is None or scope == Scope.INSTALLATION:
        return error_name(error)
    if scope == Scope.GROUP:
        return f"{error_name(error)}: group {action.group}"
    return _of_instance(action)


def error_name(error: Exception) -> str:
    """The error's name in the taxonomy: a client may have finer ones."""
    for kind in type(error).__mro__:
        if {Transient, Permanent} & set(kind.__bases__):
            return kind.__name__
    return type(error).__name__


def _of_instance(action: LifecycleAction) -> str:
    return OF_AN_INSTANCE + subject_of(action.group, action.instance_id)


def published_again_within(delay: float) -> float:
    """Seconds within which an error is published again that is met again after this delay."""
    return delay + LATENESS


def outcome_event(report: Report, now: float) -> PublishedEvent | None:
    """What became of an instance; None for what is no event. now in epoch seconds."""
    if report.event is None:
        return None
    action = report.action
    detail: Json = {
        **_about(action),
        "seconds": rounded(action_age(action, now)),
        "reason": short(report.outcome),
        "job": report.job,
    }
    if report.event != Event.REGISTERED:
        detail["troubled"] = _was_alerted_before(report)
    return PublishedEvent(report.event, detail)


def _was_alerted_before(report: Report) -> bool | None:
    """Whether an alert was published before this. What is published beside it is not to end with it."""
    if any(note.alert for note in report.notes):
        return False
    return True if report.action.failed_before else report.alerted_before


def alert_event(report: Report, note: Note, now: float) -> PublishedEvent:
    """An instance needs an operator: it waits for what does not come by itself, or went or serves all the same.

    It is published once.
    """
    action = report.action
    return work_failed_event(
        action,
        error=INSTANCE_IN_TROUBLE,
        reason=note.words,
        cause=note.cause or _of_instance(action),
        failing_for=action_age(action, now) or 0.0,
        again_within=None,
        job=report.job,
    )


def failure_event(
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

    again_within: seconds within which it is published again if it fails again, None if it is not tried again. reason,
    cause: other ones than the error's own. set_aside: in a dead-letter queue.
    """
    return work_failed_event(
        action,
        error=type(error).__name__,
        transient=isinstance(error, Transient),
        reason=reason or str(error) or repr(error),
        cause=cause or error_cause(error, action),
        again_within=again_within,
        tries=tries,
        failing_for=failing_for,
        set_aside=set_aside,
        job=job,
    )


def work_failed_event(
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
    """Every Work Failed is made here: alert can make no notification of one that lacks a field."""
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


def target_health_event(change: TargetHealthChange) -> PublishedEvent:
    """Whether load balancers find an instance healthy that passed the gate."""
    about = _about(change.action) | {"seconds": rounded(change.seconds), "reason": short(change.reason)}
    return PublishedEvent(SERVING if change.serving else NOT_SERVING, about)


def misconfiguration_event(finding: Diagnosed, *, fixed: bool) -> PublishedEvent:
    """Something that doctor finds since its last run, or finds no more."""
    words = finding.in_words()
    detail = {**words, "reason": short(words["reason"]), "cause": OF_THE_DOCTOR + finding.key}
    return PublishedEvent(MISCONFIGURATION_MENDED if fixed else MISCONFIGURATION_FOUND, detail)


def action_age(action: LifecycleAction, now: float) -> float | None:
    """Seconds since Auto Scaling announced the action, None where it is not known when that was."""
    return max(0.0, now - action.at) if math.isfinite(action.at) else None


def _about(action: LifecycleAction) -> Json:
    return {
        "account": action.account,
        "region": action.region,
        "group": action.group,
        "instance_id": action.instance_id,
    }


def rounded(seconds: float | None) -> float | None:
    """Seconds as events have them: with one decimal."""
    return None if seconds is None else round(float(seconds), 1)


def short(words: str) -> str:
    """A reason as events have it: cut where it is too long."""
    return words if len(words) <= REASON_MAX else f"{words[: REASON_MAX - 1]}…"


def objection_fields(state: WorkflowState) -> Json:
    """What the log line about a bake or a cycle says of pre-flight's objections; empty without."""
    return {"objections": [each._asdict() for each in state.objections]} if state.objections else {}
