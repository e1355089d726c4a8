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
        events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}] * len(chunk)}, {"Entries": entries})
    bus.put("Drift Fixed", details)


def test_without_events_nobody_is_asked(bus: Bus, events: Stubber) -> None:
    bus.put("Drift Fixed", [])


REFUSED = {"ErrorCode": "ThrottlingException"}


def entries(*numbers: int) -> dict[str, list[dict[str, str]]]:
    return {"Entries": [{"Source": "rollcall", "DetailType": "any", "Detail": f'{{"n": {each}}}'} for each in numbers]}


def test_events_that_were_not_taken_are_sent_once_more(bus: Bus, events: Stubber) -> None:
    answer = {"FailedEntryCount": 2, "Entries": [REFUSED, {"EventId": "1"}, REFUSED]}
    events.add_response("put_events", answer, entries(1, 2, 3))
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}, {}]}, entries(1, 3))
    bus.put("any", [{"n": 1}, {"n": 2}, {"n": 3}])


def test_an_event_that_is_not_taken_again_is_an_error_that_says_why(bus: Bus, events: Stubber) -> None:
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, REFUSED]}, entries(1, 2))
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [REFUSED]}, entries(2))
    with pytest.raises(Throttled, match=r"1 of 2 events not: ThrottlingException"):
        bus.put("any", [{"n": 1}, {"n": 2}])


def test_a_missing_permission_is_named(bus: Bus, events: Stubber) -> None:
    events.add_client_error("put_events", "AccessDeniedException", "not authorized", http_status_code=400)
    with pytest.raises(AwsDenied, match="PutEvents"):
        bus.put("Drift Fixed", [{}])
