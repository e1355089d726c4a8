"""The event bus: what happened, told to whoever has a rule for it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import batched
from time import sleep
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from .aws import aws_errors
from .errors import RollcallError, Throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from .telling import Told

SOURCE = "rollcall"
CALLS_AT_ONCE = 10
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1, "mode": "standard"})  # seconds
TRIES = 2  # of a call
PAUSE = 0.5  # seconds between them
TRY_TIME = 8.0  # seconds that one may take
EVENTS_PER_CALL = 10  # PutEvents' maximum


class Bus:
    """The account's default event bus."""

    @cached_property
    def _events(self) -> EventBridgeClient:
        return boto3.client("events", config=CONFIG)

    def put(self, events: Sequence[Told], seconds_left: Callable[[], float]) -> list[tuple[Told, RollcallError]]:
        """Tell of events; those that were not taken, and why. Raises nothing of ours.

        seconds_left: of this invocation, none of which is spent on a bus that does not answer: what comes after a call
        in vain is not tried at all.
        """
        chunks = list(batched(events, EVENTS_PER_CALL))
        if not chunks:
            return []
        putting = _Putting(self._events, seconds_left)  # its client is made before there are threads
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            return [each for refused in pool.map(putting.put, chunks) for each in refused]


class _Putting:
    """Calls side by side, until one of them is in vain."""

    def __init__(self, client: EventBridgeClient, seconds_left: Callable[[], float]) -> None:
        self._client = client
        self._seconds_left = seconds_left
        self._in_vain: RollcallError | None = None

    def put(self, events: Sequence[Told]) -> list[tuple[Told, RollcallError]]:
        left = list(events)
        error: RollcallError = Throttled("no time left in this invocation for PutEvents")
        for number in range(TRIES):
            if number:
                sleep(PAUSE)
            if self._in_vain or self._seconds_left() < TRY_TIME:
                return [(each, self._in_vain or error) for each in left]
            try:
                refused = self._try(left)
            except RollcallError as trouble:
                error = trouble
                continue
            if not refused:
                return []
            left = [each for each, _ in refused]
            error = Throttled(f"EventBridge took {len(left)} of {len(events)} events not: {refused[0][1]}")
        if len(left) == len(events):
            self._in_vain = error
        return [(each, error) for each in left]

    def _try(self, events: Sequence[Told]) -> list[tuple[Told, str]]:
        """The events that were not taken, and what EventBridge says of each."""
        entries: list[PutEventsRequestEntryTypeDef] = [
            {"Source": SOURCE, "DetailType": each.kind, "Detail": json.dumps(each.detail)} for each in events
        ]
        with aws_errors("PutEvents"):
            answers = self._client.put_events(Entries=entries)["Entries"]
        return [
            (event, f"{said['ErrorCode']}: {said.get('ErrorMessage', '')}")
            for event, said in zip(events, answers, strict=True)
            if "ErrorCode" in said
        ]
