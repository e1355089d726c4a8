"""The event bus: what happened, for every rule that matches it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from time import sleep
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from rollcall.aws.client import answered_error, aws_errors, by_halves, in_calls, refusal_words
from rollcall.domain.aws_text import CALL_BYTES, aws_safe_json
from rollcall.domain.errors import AwsRejected, NoTimeLeft, Permanent, RollcallError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from .event_details import PublishedEvent

SOURCE = "rollcall"
CALLS_AT_ONCE = 10
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1, "mode": "standard"})  # seconds
TRIES = 2  # of a call
PAUSE = 0.5  # seconds between them
TRY_TIME = 8.0  # seconds that one may take
EVENTS_PER_CALL = 10  # PutEvents' maximum


class EventBus:
    """The account's default event bus."""

    @cached_property
    def _events(self) -> EventBridgeClient:
        return boto3.client("events", config=CONFIG)

    def put(
        self, events: Sequence[PublishedEvent], seconds_left: Callable[[], float]
    ) -> list[tuple[PublishedEvent, RollcallError]]:
        """Publish events; those that were not taken, and why. Raises nothing of ours.

        seconds_left: of this invocation, none of which is spent on a bus that does not answer: what comes after a call
        that failed is not tried at all.
        """
        entries = [_Entry(each) for each in events]
        calls = list(in_calls(entries, EVENTS_PER_CALL, CALL_BYTES - 1, lambda each: each.size))
        if not calls:
            return []
        putting = _Putting(self._events, seconds_left)  # its client is made before there are threads
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return [(each.event, error) for refused in pool.map(putting.put, calls) for each, error in refused]


class _Entry:
    """An event as PutEvents takes it, and its bytes as that counts them ("Calculating PutEvents event entry size")."""

    def __init__(self, event: PublishedEvent) -> None:
        self.event = event
        self.raw: PutEventsRequestEntryTypeDef = {
            "Source": SOURCE,
            "DetailType": event.kind,
            "Detail": json.dumps(aws_safe_json(event.detail), ensure_ascii=False),
        }
        self.size = sum(len(text.encode()) for text in (SOURCE, event.kind, self.raw["Detail"]))


class _Putting:
    """Calls side by side, until one of them fails for good."""

    def __init__(self, client: EventBridgeClient, seconds_left: Callable[[], float]) -> None:
        self._client = client
        self._seconds_left = seconds_left
        self._failed: RollcallError | None = None

    def put(self, entries: Sequence[_Entry]) -> list[tuple[_Entry, RollcallError]]:
        """Those that were not taken, and why. One that is refused for what it is keeps no other from being tried."""
        left = list(entries)
        refused: list[tuple[_Entry, RollcallError]] = []
        error: RollcallError = NoTimeLeft("no time left in this invocation for PutEvents")
        for number in range(TRIES):
            if number:
                sleep(PAUSE)
            if self._failed or self._seconds_left() < TRY_TIME:
                return [*refused, *((each, self._failed or error) for each in left)]
            try:
                answers = self._try(left)
            except RollcallError as failure:
                error = failure
                continue
            refused += [each for each in answers if isinstance(each[1], Permanent)]
            put_off = [each for each in answers if not isinstance(each[1], Permanent)]
            if not put_off:
                return refused
            left = [each for each, _ in put_off]
            first = put_off[0][1]
            error = type(first)(f"{first} (so {len(left)} of {len(entries)} events were not taken)")
        if len(left) == len(entries):
            self._failed = error
        return [*refused, *((each, error) for each in left)]

    def _try(self, entries: Sequence[_Entry]) -> list[tuple[_Entry, RollcallError]]:
        """Those that were not taken, and why: AwsUnavailable for what passes by itself."""
        answers: list[tuple[_Entry, RollcallError]] = []

        def put(some: Sequence[_Entry]) -> None:
            results = self._client.put_events(Entries=[each.raw for each in some])["Entries"]
            for each, answer in zip(some, results, strict=True):
                if code := answer.get("ErrorCode"):
                    words = f"{code}: {answer.get('ErrorMessage', '')}"
                    answers.append((each, answered_error("PutEvents of an event", code, words)))

        with aws_errors("PutEvents"):
            wrong = by_halves(put, entries)
        return [*answers, *((each, _refused(refusal_words(why))) for each, why in wrong.items())]


def _refused(words: str) -> AwsRejected:
    return AwsRejected(f"EventBridge refused an event: {words}")
