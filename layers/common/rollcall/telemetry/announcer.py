"""What the outside gets to know: one structured log line per outcome, metrics, and events on the event bus.

Log lines are written at once; metrics and events at the end of an invocation, so that nothing waits for them.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from rollcall import __version__
from rollcall.domain.actions import Transition
from rollcall.domain.errors import Permanent, Transient
from rollcall.domain.reports import NO_LONGER_WAITING, Event
from rollcall.domain.timing import FIRST_RETRY
from rollcall.tower.connection import job_page

from .event_bus import EventBus
from .event_details import (
    PublishedEvent,
    action_age,
    alert_event,
    error_name,
    failure_event,
    outcome_event,
    published_again_within,
    target_health_event,
)
from .metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.errors import RollcallError
    from rollcall.domain.message_format import Record
    from rollcall.domain.reports import Report
    from rollcall.domain.settings import Settings
    from rollcall.domain.verdicts import Grounds
    from rollcall.lifecycle.target_watch import TargetHealthChange
    from rollcall.tower.client import Tower

NAMED_MAX = 200  # hosts, or lost events, that one log line names; CloudWatch takes 256 kB
METRICS = {  # a number of each, and how long they took since the lifecycle event
    Event.REGISTERED: ("Registered", "SecondsToRegistered"),
    Event.READY: ("Ready", "SecondsToReady"),
    Event.ABANDONED: ("Abandoned", ""),
    Event.RETIRED: ("Retired", "SecondsToRetired"),
}


class Announcer:
    """Logs, counts and publishes for one function. bus: the account's own unless there is another."""

    def __init__(self, function: str, bus: EventBus | None = None) -> None:
        self.logger = Logger(service=function, version=__version__, log_uncaught_exceptions=True)
        self._function = function
        self.metrics = Metrics(function)
        self._bus = bus or EventBus()
        self._events: list[PublishedEvent] = []

    @contextmanager
    def publishing(self, settings: Settings, tower: Tower, context: LambdaContext) -> Iterator[None]:
        """An invocation's work, after which its metrics are written and its events published, whatever became of it."""
        try:
            yield
        finally:
            self._publish(settings, tower, lambda: context.get_remaining_time_in_millis() / 1000)

    def announce_results(
        self, actions: Sequence[LifecycleAction], reports: Sequence[Report]
    ) -> list[RollcallError | None]:
        """Announce what became of each action; the errors of those that failed, in the order of the actions."""
        by_action = {report.action: report for report in reports}
        for report in by_action.values():
            if report.error:  # which the batch processor announces
                self._event(report)
            else:
                self._report(report)
        return [by_action[action].error for action in actions]

    def announce(self, reports: Iterable[Report]) -> None:
        """Announce actions that ended as far as this function is concerned, or go on in a message of their own."""
        for report in reports:
            if report.error:
                self._failed(report.error, report.action)
                self._tried_again(report.error, report.action, FIRST_RETRY, job=report.job)
            else:
                self._report(report)

    def _report(self, report: Report) -> None:
        about = _about(report.action)
        if report.outcome:
            self.logger.info(report.outcome, extra=about | _outcome_fields(report))
        for note in report.notes:
            if note.alert:
                self.logger.error(note.words, extra=about | {"alert": True} | _grounds_fields(note.grounds, report.job))
                self.metrics.count("Alerts")
                self._events.append(alert_event(report, note, time.time()))
            else:
                self.logger.warning(note.words, extra=about | _grounds_fields(note.grounds, report.job))
        self._event(report)

    def _event(self, report: Report) -> None:
        now = time.time()
        event = outcome_event(report, now)
        if event is None or report.event is None:
            return
        self._events.append(event)
        action, (counted, took) = report.action, METRICS[report.event]
        self.metrics.count(counted, group=action.group)
        if report.event == Event.ABANDONED:
            self.metrics.count("Ready", 0, group=action.group)  # a rate has no value where one of its terms has none
        if report.evicted:
            self.metrics.count("Evicted", group=action.group)
        seconds = action_age(action, now)
        # For an instance that is removed at its launch, the age of its launch action is not how long a removal took.
        if (
            took
            and seconds is not None
            and (action.transition == Transition.TERMINATING) == (report.event == Event.RETIRED)
        ):
            self.metrics.seconds(took, seconds, group=action.group)
        if report.provisioned_at is not None and seconds is not None:
            provisioned = max(0.0, report.provisioned_at - action.at)
            self.metrics.seconds("SecondsToProvisioned", provisioned, group=action.group)

    def message_failed(self, record: Record, actions: Sequence[LifecycleAction], error: Exception) -> None:
        """A message failed at this try."""
        for action in actions or (None,):
            self._failed(error, action, tries=record.receives, message_id=record.id)
        self.metrics.seconds_of_kind("FailingFor", _failing_for(record), _kind(error))

    def message_retried(
        self, record: Record, actions: Sequence[LifecycleAction], error: Exception, delay: float
    ) -> None:
        """A message that failed is received again after this delay, in seconds."""
        for action in actions or (None,):
            self._tried_again(error, action, delay, tries=record.receives, failing_for=_failing_for(record))

    def _failed(self, error: Exception, action: LifecycleAction | None, **extra: object) -> None:
        log = self.logger.warning if isinstance(error, Transient) else self.logger.error
        log(
            str(error) or repr(error),
            extra={"error": error_name(error), **extra, **(_about(action) if action else {})},
            exc_info=None if isinstance(error, (Transient, Permanent)) else error,
        )
        self.metrics.count_kind("FailedActions", _kind(error))

    def _tried_again(
        self,
        error: Exception,
        action: LifecycleAction | None,
        delay: float,
        *,
        tries: int = 1,
        failing_for: float = 0.0,
        job: int | None = None,
    ) -> None:
        # Terminations of every group of the account come in: what a hook of ours holds is ours for certain.
        self.metrics.count("Retries", group=action.group if action and action.held_by_hook else None)
        self._events.append(
            failure_event(
                error, action, again_within=published_again_within(delay), tries=tries, failing_for=failing_for, job=job
            )
        )

    def announce_target_health(self, changes: Iterable[TargetHealthChange]) -> None:
        """Announce whether load balancers find instances healthy that passed the gate, and how long each took."""
        for change in changes:
            log = self.logger.info if change.serving else self.logger.warning
            words = "serving" if change.serving else "not serving"
            log(f"{words}: {change.reason}", extra=_about(change.action) | {"seconds": round(change.seconds, 1)})
            self._events.append(target_health_event(change))
            if change.serving and change.first:
                self.metrics.seconds_of_group("TimeToServing", change.seconds, change.action.group)

    # What becomes of messages

    def message_finished(self, record: Record, actions: Sequence[LifecycleAction]) -> None:
        """A message about launches that no hook holds any more is deleted."""
        for action in actions:
            self.logger.info(NO_LONGER_WAITING, extra=_about(action) | {"message_id": record.id})

    def message_dead_lettered(self, record: Record, actions: Sequence[LifecycleAction], error: Exception) -> None:
        """A message was moved to the dead-letter queue."""
        words = f"moved to the dead-letter queue: {error}"
        for action in actions or (None,):
            self.logger.error(words, extra={"message_id": record.id, **(_about(action) if action else {})})
            event = failure_event(
                error,
                action,
                again_within=None,
                tries=record.receives,
                failing_for=_failing_for(record),
                reason=words,
                set_aside=True,
            )
            self._events.append(event)

    def message_not_settled(self, record: Record, error: Exception) -> None:
        """SQS took neither a delay nor a move of a message: it is received when its visibility timeout ends."""
        self.logger.warning(str(error), extra={"message_id": record.id})

    def call_failed(self, action: LifecycleAction, error: Exception) -> None:
        """A call about an action failed, a heartbeat or a read; the work goes on without its answer."""
        self.logger.warning(str(error), extra=_about(action))

    # The end of an invocation

    def _publish(self, settings: Settings, tower: Tower, seconds_left: Callable[[], float]) -> None:
        exchanges = tower.exchanges()
        self.metrics.milliseconds("TowerLatency", [each.milliseconds for each in exchanges])
        if exchanges:
            self.metrics.count("TowerErrors", sum(each.unwell for each in exchanges))
        events, self._events = self._events, []
        origin = event_origin(settings, self._function)
        try:
            lost = self._bus.put([with_origin(each, origin, tower.root) for each in events], seconds_left)
        except Exception as error:  # noqa: BLE001 - a mistake of ours, and no reason to do the work again
            self._lost([(each, error) for each in events])
        else:
            self._lost(lost)
        self.metrics.write()

    def _lost(self, lost: Sequence[tuple[PublishedEvent, Exception]]) -> None:
        """Log and count events that were not published: work that was done is not done again for them."""
        if not lost:
            return
        named = [
            {"event": event.kind, **{name: event.detail.get(name) for name in ("group", "instance_id", "cause")}}
            for event, _ in lost[:NAMED_MAX]
        ]
        _, error = lost[0]
        self.logger.warning(
            f"{len(lost)} events were not taken by the event bus: {str(error) or repr(error)}",
            extra={"error": type(error).__name__, "events": named},
            exc_info=None if isinstance(error, (Transient, Permanent)) else error,
        )
        self.metrics.count("EventsLost", len(lost))


def event_origin(settings: Settings, function: str) -> dict[str, str]:
    """Where an event comes from, for its detail."""
    return {
        "account": settings.account,
        "region": settings.region,
        "stack": settings.stack,
        "function": function,
    }


def with_origin(event: PublishedEvent, origin: Mapping[str, str], tower_root: str) -> PublishedEvent:
    """The event as it is published: with where it comes from, and the page of the job that it names."""
    detail = {**origin, **event.detail}
    if "job" in detail:
        detail["job_url"] = job_page(tower_root, detail["job"]) if detail["job"] is not None else None
    return PublishedEvent(event.kind, detail)


def _failing_for(record: Record) -> float:
    return max(0.0, time.time() - record.first_received_at)


def _kind(error: Exception) -> str:
    return "Transient" if isinstance(error, Transient) else "Permanent"


def _outcome_fields(report: Report) -> dict[str, object]:
    """What only the line of an outcome says: `rollcall history` reads event and job."""
    fields = {"event": report.event, "job": report.job, "tags_left_out": list(report.left_out)}
    known = {name: value for name, value in fields.items() if value}
    return known | _grounds_fields(report.grounds, report.job)


def _grounds_fields(grounds: Grounds | None, job: int | None) -> dict[str, object]:
    """What a decision against an instance rests on: a cycle reads decision, checks and job (aws/gate_log.py)."""
    if grounds is None:
        return {}
    return {"decision": grounds.decision.value, "checks": list(grounds.checks), "job": job}


def _about(action: LifecycleAction) -> dict[str, object]:
    return {
        "group": action.group,
        "instance_id": action.instance_id,
        "action": action.transition.name.lower(),
        "hook": action.hook,
    }
