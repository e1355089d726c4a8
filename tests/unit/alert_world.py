"""What the alert function's tests share: events as they arrive, and a table, channels and a clock in memory."""

from __future__ import annotations

import json
from copy import replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from rollcall.alerting.dispatch import Dispatcher
from rollcall.alerting.incident import Ending, Incident, NotificationKind, Occurrence
from rollcall.alerting.settings import AlertSettings
from rollcall.alerting.sources import read_message
from rollcall.domain.message_format import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall.alerting.incident import Notification
    from rollcall.domain.errors import RollcallError

NOW = 1_795_255_200.0  # 2026-11-21T10:00:00Z
PATIENCE = 600.0  # seconds
IDS = count(1)
SETTINGS = AlertSettings(
    account="123456789012",
    region="us-east-1",
    stack_name="rollcall",
    table="known",
    alert_after=PATIENCE,
    log_groups=("rollcall-RegisterLogGroup-1", "rollcall-GateLogGroup-2"),
    dead_letter_queue_url="https://sqs/dead",
    pagerduty_secret="pagerduty",
    slack_secret="slack",
)


def record(body: object) -> Record:
    """A message of the queue."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Record(f"m{next(IDS)}", text, "us-east-1", 1, NOW, "handle")


def event(detail_type: str, /, at: float = NOW, event_id: str = "", **detail: Any) -> dict[str, Any]:
    """One of our own events, as EventBridge puts it into the queue."""
    return {
        "version": "0",
        "id": event_id or f"event-{next(IDS)}",
        "detail-type": detail_type,
        "source": "rollcall",
        "account": "123456789012",
        "time": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [],
        "detail": {"account": "123456789012", "region": "us-east-1", "function": "register", **detail},
    }


def failed(at: float = NOW, event_id: str = "", **detail: Any) -> dict[str, Any]:
    """Work that failed, for Tower is away, where the detail says nothing else."""
    return event(
        "Work Failed",
        at,
        event_id,
        **{
            "group": "web",
            "instance_id": "i-0a",
            "error": "TowerUnavailable",
            "transient": True,
            "reason": "Tower cannot be reached: fix it",
            "cause": "TowerUnavailable",
            "tries": 1,
            "failing_for": 0.0,
            "again_within": 60.0,
            "set_aside": False,
            "job": None,
            "job_url": None,
            **detail,
        },
    )


def alarm(
    state: str, at: float = NOW, name: str = "rollcall-GateErrorAlarm-1", metric: str = "Errors"
) -> dict[str, Any]:
    """What CloudWatch publishes of an alarm."""
    return {
        "AlarmName": name,
        "AlarmDescription": "Waiting instances are not evaluated.",
        "AWSAccountId": "123456789012",
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "Region": "US East (N. Virginia)",
        "OldStateValue": "OK",
        "Trigger": {"MetricName": metric, "Namespace": "AWS/Lambda"},
    }


def read(body: object) -> Occurrence | Ending:
    """What a message holds."""
    message = read_message(record(body))
    assert message
    return message


def trouble(body: object) -> Occurrence:
    """The occurrence that a message reports."""
    message = read(body)
    assert isinstance(message, Occurrence)
    return message


def end(body: object) -> Ending:
    """The end that a message reports."""
    message = read(body)
    assert isinstance(message, Ending)
    return message


class Table:
    """Incidents in memory.

    meanwhile: what somebody else does between a read and the put that follows, once. broken: by cause, or for "open",
    what fails; then_broken: from the next update of it on.
    """

    def __init__(self) -> None:
        self.items: dict[str, Incident] = {}
        self.meanwhile: Callable[[], object] | None = None
        self.broken: dict[str, RollcallError] = {}
        self.then_broken: dict[str, RollcallError] = {}
        self.writes = 0

    def update(self, cause: str, change: Callable[[Incident], Incident]) -> Incident:
        while True:
            if error := self.broken.get(cause):
                raise error
            known = self.items.get(cause, Incident(cause))
            changed = change(known)
            if self.meanwhile:
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()
            if self.items.get(cause, Incident(cause)) == known:
                self.writes += changed != known
                self.items[cause] = changed
                self.broken |= self.then_broken
                self.then_broken.clear()
                return changed

    def claim(self, cause: str, until: float) -> None:
        """Somebody else claims an incident."""
        self.items[cause] = replace(self.items[cause], claimed_until=until)

    def open(self) -> list[Incident]:
        if error := self.broken.get("open"):
            raise error
        return [each for each in self.items.values() if each.count]


class Ear:
    """A channel in memory. errors: what it fails with, one after the other; always: every time.

    meanwhile: what another process does before it takes what it is sent, once.
    """

    def __init__(self) -> None:
        self.heard: list[Notification] = []
        self.errors: list[BaseException] = []
        self.always: RollcallError | None = None
        self.asked = 0
        self.meanwhile: Callable[[], object] | None = None

    def send(self, notification: Notification, seconds: float) -> None:
        self.asked += 1
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        if error := self.errors.pop(0) if self.errors else self.always:
            raise error
        self.heard.append(notification)

    def opened(self) -> list[str]:
        """The causes that it was notified of, in order."""
        return [each.cause for each in self.heard if each.kind != NotificationKind.RESOLVE]

    def over(self) -> list[str]:
        """The causes that it was notified to be over."""
        return [each.cause for each in self.heard if each.kind == NotificationKind.RESOLVE]


class Desk:
    """The alert function's decisions on a table and channels in memory; now: epoch seconds."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.now = NOW
        self.seconds_left = 100.0
        self.table = Table()
        self.pagerduty, self.slack = Ear(), Ear()
        self.channels: dict[str, Ear] = {"pagerduty": self.pagerduty, "slack": self.slack}
        self.settings = replace(SETTINGS, alert_after=patience)

    def invocation(self) -> Dispatcher:
        """What one invocation works with."""
        return Dispatcher(
            self.settings,
            self.table,  # type: ignore[arg-type]
            self.channels,
            lambda: self.now,
            lambda: self.seconds_left,
        )

    def take(self, *bodies: object) -> list[RollcallError | None]:
        """A batch of messages; in an invocation of its own."""
        return self.take_read([read(each) for each in bodies])

    def take_read(self, messages: Sequence[Occurrence | Ending]) -> list[RollcallError | None]:
        return self.invocation().take(messages)

    def sweep(self, at: float | None = None) -> Dispatcher:
        """A sweep, at a time if one is given."""
        self.now = self.now if at is None else at
        invocation = self.invocation()
        invocation.sweep()
        return invocation

    def incident(self, cause: str) -> Incident:
        return self.table.items[cause]
