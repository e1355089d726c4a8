"""The event bus: what happened, told to whoever has a rule for it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import batched
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from .aws import aws_errors
from .errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "rollcall"
CALLS_AT_ONCE = 10
CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})  # seconds
TRIES = 2  # for events of which EventBridge took some and not the others
EVENTS_PER_CALL = 10  # PutEvents' maximum


class Bus:
    """The account's default event bus."""

    @cached_property
    def _events(self) -> EventBridgeClient:
        return boto3.client("events", config=CONFIG)

    def put(self, detail_type: str, details: Sequence[Mapping[str, Any]]) -> None:
        """Tell of events of one kind. Raises Throttled or AwsDenied; some of them may have been taken then."""
        chunks = list(batched(details, EVENTS_PER_CALL))
        if not chunks:
            return
        client = self._events  # made before there are threads
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            list(pool.map(lambda chunk: _put(client, detail_type, chunk), chunks))


def _put(client: EventBridgeClient, detail_type: str, details: Sequence[Mapping[str, Any]]) -> None:
    entries: list[PutEventsRequestEntryTypeDef] = [
        {"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(each)} for each in details
    ]
    for _ in range(TRIES):
        with aws_errors("PutEvents"):
            answer = client.put_events(Entries=entries)
        refused = [(entry, said) for entry, said in zip(entries, answer["Entries"], strict=True) if "ErrorCode" in said]
        if not refused:
            return
        entries = [entry for entry, _ in refused]
    _, said = refused[0]
    raise Throttled(
        f"EventBridge took {len(refused)} of {len(details)} events not: {said['ErrorCode']}: "
        f"{said.get('ErrorMessage', '')}"
    )
