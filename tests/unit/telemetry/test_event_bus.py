"""Events put onto the bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from lab.aws.limits import PUT_EVENTS_BYTES, entry_size
from rollcall.domain.aws_text import CALL_BYTES
from rollcall.domain.errors import AwsDenied, AwsRejected, NoTimeLeft, RollcallError, Throttled
from rollcall.telemetry.event_bus import EVENTS_PER_CALL, TRY_TIME, EventBus
from rollcall.telemetry.event_details import PublishedEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def events(bus: EventBus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    monkeypatch.setattr("rollcall.telemetry.event_bus.CALLS_AT_ONCE", 1)  # answers come in the order of the calls
    monkeypatch.setattr("rollcall.telemetry.event_bus.sleep", lambda seconds: None)
    with Stubber(bus._events) as stub:
        yield stub
        stub.assert_no_pending_responses()


def numbered(*numbers: int) -> list[PublishedEvent]:
    return [PublishedEvent("any", {"n": each}) for each in numbers]


def put(bus: EventBus, events: Sequence[PublishedEvent], seconds_left: float = 60) -> list[tuple[int, RollcallError]]:
    """The numbers of the events that were not taken, and why."""
    return [(each.detail["n"], error) for each, error in bus.put(events, lambda: seconds_left)]


def entries(*numbers: int) -> dict[str, list[dict[str, str]]]:
    return {"Entries": [{"Source": "rollcall", "DetailType": "any", "Detail": f'{{"n": {each}}}'} for each in numbers]}


REFUSED = {"ErrorCode": "ThrottlingException", "ErrorMessage": "too fast"}


def test_events_of_all_kinds_go_out_as_many_at_a_time_as_fit(bus: EventBus, events: Stubber) -> None:
    some = [
        PublishedEvent(("Instance Ready", "Work Failed")[each % 2], {"n": each}) for each in range(EVENTS_PER_CALL + 1)
    ]
    for chunk in (some[:EVENTS_PER_CALL], some[EVENTS_PER_CALL:]):
        wanted = [{"Source": "rollcall", "DetailType": each.kind, "Detail": json.dumps(each.detail)} for each in chunk]
        events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}] * len(chunk)}, {"Entries": wanted})
    assert put(bus, some) == []


def test_without_events_no_one_is_asked_and_no_client_is_made(bus: EventBus) -> None:
    assert put(bus, []) == []
    assert "_events" not in vars(bus)


def test_events_that_were_not_taken_are_sent_once_more(bus: EventBus, events: Stubber) -> None:
    answer = {"FailedEntryCount": 2, "Entries": [REFUSED, {"EventId": "1"}, REFUSED]}
    events.add_response("put_events", answer, entries(1, 2, 3))
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}, {}]}, entries(1, 3))
    assert put(bus, numbered(1, 2, 3)) == []


def test_an_event_that_is_not_taken_again_is_named_with_the_reason(bus: EventBus, events: Stubber) -> None:
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, REFUSED]}, entries(1, 2))
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [REFUSED]}, entries(2))
    [(number, error)] = put(bus, numbered(1, 2))
    assert number == 2
    assert isinstance(error, Throttled)
    assert str(error) == (
        "AWS put off PutEvents of an event: ThrottlingException: too fast (so 1 of 2 events were not taken)"
    )


def test_one_that_is_refused_does_not_keep_the_others_from_being_published(bus: EventBus, events: Stubber) -> None:
    first = [*range(EVENTS_PER_CALL)]
    some = {"FailedEntryCount": 1, "Entries": [*[{"EventId": "1"}] * (EVENTS_PER_CALL - 1), REFUSED]}
    events.add_response("put_events", some, entries(*first))
    events.add_response("put_events", {"FailedEntryCount": 1, "Entries": [REFUSED]}, entries(first[-1]))
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, entries(99))
    assert [number for number, _ in put(bus, numbered(*first, 99))] == [first[-1]]


def test_a_call_that_failed_is_made_once_more(bus: EventBus, events: Stubber) -> None:
    events.add_client_error("put_events", "InternalFailure", http_status_code=500)
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, entries(1))
    assert put(bus, numbered(1)) == []


def test_a_missing_permission_is_named_and_nothing_more_is_tried(bus: EventBus, events: Stubber) -> None:
    for _ in range(2):
        events.add_client_error("put_events", "AccessDeniedException", "not authorized", http_status_code=400)
    refused = put(bus, numbered(*range(35)))
    assert [number for number, _ in refused] == list(range(35))
    assert all(isinstance(error, AwsDenied) and "PutEvents" in str(error) for _, error in refused)


def test_no_call_is_begun_that_the_invocation_might_not_outlive(bus: EventBus, events: Stubber) -> None:
    [(number, error)] = put(bus, numbered(1), seconds_left=TRY_TIME - 0.1)
    assert number == 1
    assert isinstance(error, NoTimeLeft)


WRONG = {"ErrorCode": "MalformedDetail", "ErrorMessage": "no JSON"}


def test_an_event_that_the_bus_calls_wrong_fails_alone_and_is_not_sent_again(bus: EventBus, events: Stubber) -> None:
    events.add_response("put_events", {"FailedEntryCount": 2, "Entries": [WRONG, REFUSED, {}]}, entries(1, 2, 3))
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, entries(2))
    [(number, error)] = put(bus, numbered(1, 2, 3))
    assert number == 1
    assert isinstance(error, AwsRejected)
    assert "MalformedDetail: no JSON" in str(error)


def test_an_event_alone_in_its_call_that_is_wrong_keeps_no_later_one_from_being_sent(
    bus: EventBus, events: Stubber
) -> None:
    large = PublishedEvent("any", {"n": 0, "reason": "x" * CALL_BYTES})
    events.add_client_error("put_events", "ValidationException", "Total size of the entries is over the limit.")
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, entries(1))
    [(number, error)] = put(bus, [large, *numbered(1)])
    assert number == 0
    assert "over the limit" in str(error)


def test_a_call_that_is_refused_for_one_event_is_made_by_halves(bus: EventBus, events: Stubber) -> None:
    for numbers in ((1, 2), (1,)):
        events.add_client_error("put_events", "ValidationException", "no", expected_params=entries(*numbers))
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, entries(2))
    assert [number for number, _ in put(bus, numbered(1, 2))] == [1]


@pytest.mark.parametrize("letter", ["x", "ö", "\N{PILE OF POO}"])
def test_events_share_a_call_as_far_as_it_has_room(
    bus: EventBus, events: Stubber, monkeypatch: pytest.MonkeyPatch, letter: str
) -> None:
    sizes: list[int] = []

    def put_events(**given: Any) -> Any:
        sizes.append(sum(map(entry_size, given["Entries"])))
        return {"Entries": [{} for _ in given["Entries"]]}

    monkeypatch.setattr(bus._events, "put_events", put_events)
    some = [PublishedEvent("any", {"n": each, "reason": letter * 30_000}) for each in range(EVENTS_PER_CALL)]
    assert put(bus, some) == []
    assert all(size < PUT_EVENTS_BYTES for size in sizes)
    assert len(sizes) == {"x": 2, "ö": 3, "\N{PILE OF POO}": 5}[letter]


def test_an_event_goes_out_whatever_characters_its_texts_have(bus: EventBus, events: Stubber) -> None:
    detail = '{"n": 1, "hosts": ["i-?"], "reason": "größer ?"}'
    wanted = {"Entries": [{"Source": "rollcall", "DetailType": "any", "Detail": detail}]}
    events.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{}]}, wanted)
    assert put(bus, [PublishedEvent("any", {"n": 1, "hosts": ["i-\ud800"], "reason": "größer \0"})]) == []
