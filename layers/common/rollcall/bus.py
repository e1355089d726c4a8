"""The event bus: what happened, told to whoever has a rule for it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import batched
from typing import TYPE_CHECKING, Any

import boto3

from .aws import CLIENT_CONFIG, aws_errors
from .errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_events import EventBridgeClient

SOURCE = "rollcall"
CALLS_AT_ONCE = 4
EVENTS_PER_CALL = 10  # PutEvents' maximum


class Bus:
    """The account's default event bus."""

    @cached_property
    def _events(self) -> EventBridgeClient:
        return boto3.client("events", config=CLIENT_CONFIG)

    def put(self, detail_type: str, details: Sequence[Mapping[str, Any]]) -> None:
        """Tell of events of one kind. Raises Throttled or AwsDenied; some of them may have been taken then."""
        chunks = list(batched(details, EVENTS_PER_CALL))
        if not chunks:
            return
        client = self._events  # made before there are threads
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
            list(pool.map(lambda chunk: _put(client, detail_type, chunk), chunks))


def _put(client: EventBridgeClient, detail_type: str, details: Sequence[Mapping[str, Any]]) -> None:
    with aws_errors("PutEvents"):
        answer = client.put_events(
            Entries=[{"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(each)} for each in details]
        )
    if answer["FailedEntryCount"]:
        failed = next(each for each in answer["Entries"] if "ErrorCode" in each)
        raise Throttled(
            f"EventBridge took {answer['FailedEntryCount']} of {len(details)} events not: {failed['ErrorCode']}: "
            f"{failed.get('ErrorMessage', '')}"
        )
