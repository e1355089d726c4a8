"""Events told to whoever has a rule for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.stub import Stubber

from rollcall.bus import EVENTS_PER_CALL, Bus
from rollcall.errors import AwsDenied, Throttled

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def events(bus: Bus) -> Iterator[Stubber]:
    with Stubber(bus._events) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_events_go_out_as_many_at_a_time_as_fit(bus: Bus, events: Stubber) -> None:
    details = [{"instance_id": f"i-{number}"} for number in range(EVENTS_PER_CALL + 1)]
    for chunk in (details[:EVENTS_PER_CALL], details[EVENTS_PER_CALL:]):
        entries = [{"Source": "rollcall", "DetailType": "Drift Fixed", "Detail": json.dumps(each)} for each in chunk]
        events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, {"Entries": entries})
    bus.put("Drift Fixed", details)


def test_without_events_nobody_is_asked(bus: Bus, events: Stubber) -> None:
    bus.put("Drift Fixed", [])


def test_an_event_that_was_not_taken_is_an_error_that_says_why(bus: Bus, events: Stubber) -> None:
    answer = {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}]}
    events.add_response("put_events", answer)
    with pytest.raises(Throttled, match=r"1 of 2 events not: ThrottlingException"):
        bus.put("Drift Fixed", [{}, {}])


def test_a_missing_permission_is_named(bus: Bus, events: Stubber) -> None:
    events.add_client_error("put_events", "AccessDeniedException", "not authorized", http_status_code=400)
    with pytest.raises(AwsDenied, match="PutEvents"):
        bus.put("Drift Fixed", [{}])
