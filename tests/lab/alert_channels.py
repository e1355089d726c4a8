"""PagerDuty and Slack for tests, on 127.0.0.1: what operators would have been notified of.

PagerDuty keeps alerts by their dedup_key as the real one does: a trigger opens one or adds to the open one, a resolve
closes it, and what is resolved is opened anew by the next trigger. Both refuse what the real ones document that they
refuse, and answer from a script first, where a test has one.

    channels = AlertChannels()
    with channels.serve():
        secrets = channels.pagerduty_secret(), channels.slack_secret()
        channels.pagerduty.then(429, 500)
        ...
    assert [each.key for each in channels.pagerduty.alerts()] == [...]
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from lab.tower.api import Response
from lab.tower.server import Front, Traffic, serving

if TYPE_CHECKING:
    from lab.cloud import Cloud

type Json = dict[str, Any]

ROUTING_KEY = "R0UT1NGKEY0123456789abcdefABCDEF"
WEBHOOK = "/services/T0001/B0001/hushhushhushhushhushhush"
ENQUEUE = "/v2/enqueue"
ALERTS = "/alerts"  # for people; the real one has none such
KEY_MAX, SUMMARY_MAX = 255, 1024  # characters; PagerDuty's
SECTION_MAX, BLOCKS_MAX = 3000, 50  # Slack's
SEVERITIES = ("critical", "error", "warning", "info")
LOOSE = re.compile(r"&(?!amp;|lt;|gt;)|<(?!https?://[^|<>]+\|[^<>]+>)")  # what Slack would take for a sign of its own
NOT_ANSWERING = -1  # requests are taken and not answered
CLOSING = 0  # connections are closed


@dataclass(frozen=True)
class AlertRecord:
    """An alert of PagerDuty's, from its first trigger to its resolve. payload, links: those of its latest trigger."""

    key: str
    triggers: int
    resolved: bool
    payload: Json
    links: list[Json]


class Scripted:
    """Answers from a script while there is one. requests: the bodies that came, also of those refused."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._script: deque[int] = deque()
        self._always: int | None = None
        self.requests: list[Json] = []

    def then(self, *statuses: int) -> None:
        """The next answers, one after the other."""
        with self._lock:
            self._script.extend(statuses)

    def always(self, status: int | None) -> None:
        """Every answer from now on; None: as it should be."""
        with self._lock:
            self._always = status

    def answer(self, body: bytes) -> Response:
        with self._lock:
            asked = json.loads(body)
            self.requests.append(asked)
            status = self._script.popleft() if self._script else self._always
            if status is None or status < 300:
                return self.take(asked)
            return _text(status, "scripted")

    def take(self, asked: Json) -> Response:
        """What the service itself answers."""
        raise NotImplementedError


@dataclass
class _Alert:
    triggers: int = 0
    resolved: bool = False
    event: Json = field(default_factory=dict)


class PagerDuty(Scripted):
    """Events API v2."""

    def __init__(self, routing_key: str) -> None:
        super().__init__()
        self.routing_key = routing_key
        self._alerts: list[tuple[str, _Alert]] = []

    def alerts(self) -> list[AlertRecord]:
        """All alerts that there ever were, in the order in which they were opened."""
        with self._lock:
            return [
                AlertRecord(key, each.triggers, each.resolved, each.event["payload"], each.event.get("links", []))
                for key, each in self._alerts
            ]

    def take(self, asked: Json) -> Response:
        if errors := self._errors(asked):
            return _json(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
        key = asked["dedup_key"]
        alive = next((each for known, each in reversed(self._alerts) if known == key and not each.resolved), None)
        if asked["event_action"] == "resolve":
            if alive:
                alive.resolved = True
        else:
            if alive is None:
                alive = _Alert()
                self._alerts.append((key, alive))
            alive.triggers += 1
            alive.event = asked
        return _json(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _errors(self, asked: Json) -> list[str]:
        errors = []
        if asked.get("routing_key") != self.routing_key:
            errors.append("Invalid routing key")
        if not 0 < len(asked.get("dedup_key", "")) <= KEY_MAX:
            errors.append("Length of 'dedup_key' is incorrect")
        if asked.get("event_action") == "trigger":
            payload = asked.get("payload", {})
            errors += [
                f"'payload.{each}' is missing" for each in ("summary", "source", "severity") if not payload.get(each)
            ]
            if len(payload.get("summary", "")) > SUMMARY_MAX:
                errors.append("'payload.summary' is too long")
            if payload.get("severity") not in SEVERITIES:
                errors.append("'payload.severity' is invalid")
            errors += ["'links' is invalid" for each in asked.get("links", []) if not each.get("href")]
        elif asked.get("event_action") != "resolve":
            errors.append("'event_action' is invalid")
        return errors


class Slack(Scripted):
    """An incoming webhook."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[str] = []

    def texts(self) -> list[str]:
        """What operators read, a text for each message."""
        with self._lock:
            return list(self._texts)

    def take(self, asked: Json) -> Response:
        blocks = asked.get("blocks", [])
        texts = [one["text"] for each in blocks for one in each.get("elements", [each.get("text")])]
        if not asked.get("text") or len(blocks) > BLOCKS_MAX:
            return _text(400, "no_text")
        if any(not 0 < len(each) <= SECTION_MAX or LOOSE.search(each) for each in texts):
            return _text(400, "invalid_blocks")
        self._texts.append("\n".join(texts))
        return _text(200, "ok")


class AlertChannels:
    """Both at one address. away: CLOSING, NOT_ANSWERING or a status for both; None while they are there.

    clock: epoch seconds, for the Date of their answers.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.pagerduty = PagerDuty(ROUTING_KEY)
        self.slack = Slack()
        self.webhook = WEBHOOK
        self.away: int | None = None
        self._url = ""

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Listens on 127.0.0.1 until the block ends. Yields the address."""
        with serving(Front(self._handle, lambda: self.away, Traffic(), self._clock, None)) as self._url:
            yield self._url

    def pagerduty_secret(self) -> str:
        """What Secrets Manager is to hold about this PagerDuty."""
        return json.dumps({"routing_key": self.pagerduty.routing_key, "url": self._url})

    def pagerduty_parameters(self, cloud: Cloud) -> dict[str, str]:
        """The parameter of the template that has operators notified by this PagerDuty, whose secret is made."""
        made = cloud.aws.client("secretsmanager").create_secret(Name="pagerduty", SecretString=self.pagerduty_secret())
        return {"PagerDutySecretArn": made["ARN"]}

    def slack_secret(self) -> str:
        """What Secrets Manager is to hold about this Slack."""
        return json.dumps({"webhook_url": self._url + self.webhook})

    @property
    def alerts_url(self) -> str:
        """Where PagerDuty's alerts can be read; empty before it listens."""
        return self._url and self._url + ALERTS

    def _handle(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Response:
        if (method, path) == ("GET", ALERTS):
            return _json(200, {"alerts": [asdict(each) for each in self.pagerduty.alerts()]})
        if method != "POST":
            return _text(405, "")
        if path == ENQUEUE:
            return self.pagerduty.answer(body)
        return self.slack.answer(body) if path == self.webhook else _text(404, "no_service")


def _json(status: int, body: Json) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


def _text(status: int, body: str) -> Response:
    headers = {"Content-Type": "text/html"} | ({"Retry-After": "0"} if status == 429 else {})
    return Response(status, headers, body.encode())
