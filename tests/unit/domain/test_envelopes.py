"""What a function is invoked with: a batch of its queue, or something else that ends in one error with a remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.errors import BadEvent
from rollcall.domain.message_format import read_action, read_records
from rollcall.runtime.batch import BatchProcessor
from unit.fakes import FakeAnnouncer
from unit.runtime.conftest import function
from unit.runtime.test_batch import Batches, batch, body, takes
from unit.world import OWN_QUEUE, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from unit.runtime.test_handlers import Handle

__all__ = ["function", "takes"]


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"detail": value}
    return value


BODY = body("i-a")
SNS = {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "Message": BODY}}
[SQS] = batch(BODY)["Records"]
NO_BATCHES: dict[str, Any] = {
    "null": None,
    "a number": 7,
    "a text": "Records",
    "a flag": True,
    "an empty list": [],
    "a topic": {"Records": [SNS]},
    "a pipe": [SQS],
    "a pipe with bodies": [json.loads(BODY)],
    "a pipe with texts": [BODY],
    "a stream": {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "e30="}}]},
    "records that are none": {"Records": None},
    "records by name": {"Records": {"0": SQS}},
    "records of nothing": {"Records": [None]},
    "records of texts": {"Records": [BODY]},
    "a record without an id": {"Records": [SQS, {**SQS, "messageId": None}]},
    "a record with an odd id": {"Records": [{**SQS, "messageId": "m\ud800"}]},
    "nesting": nested(100_000),
}
FED_BY_QUEUES = ["register", "gate", "cleanup"]


@pytest.mark.parametrize("event", NO_BATCHES.values(), ids=NO_BATCHES)
@pytest.mark.parametrize("name", FED_BY_QUEUES)
def test_what_is_no_batch_is_one_error_of_ours(function: Callable[[str], Handle], name: str, event: Any) -> None:
    with pytest.raises(BadEvent) as refused:
        function(name)(event)
    assert len(str(refused.value)) < 500
    str(refused.value).encode()


@pytest.mark.parametrize("event", NO_BATCHES.values(), ids=NO_BATCHES)
@pytest.mark.parametrize("name", ["reconcile", "doctor"])
def test_what_is_no_request_is_one_error_of_ours(function: Callable[[str], Handle], name: str, event: Any) -> None:
    with pytest.raises(BadEvent):
        function(name)(event)


@pytest.mark.parametrize("event", [NO_BATCHES[name] for name in ("null", "a topic", "a pipe", "a number")])
def test_the_error_of_what_is_no_batch_says_how_it_should_come(event: Any) -> None:
    with pytest.raises(BadEvent, match="let it come through the function's queue"):
        read_records(event)


def test_a_batch_of_nothing_is_done_with(takes: Batches) -> None:
    assert takes.take({"Records": []}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"body": None}, "'body'"),
        ({"body": {"EC2InstanceId": "i-b"}}, "'body'"),
        ({"attributes": None}, "'attributes'"),
        ({"attributes": {**SQS["attributes"], "ApproximateReceiveCount": None}}, "'ApproximateReceiveCount'"),
        ({"attributes": {**SQS["attributes"], "ApproximateReceiveCount": "many"}}, "'ApproximateReceiveCount'"),
        ({"attributes": {**SQS["attributes"], "ApproximateReceiveCount": "9" * 5000}}, "'ApproximateReceiveCount'"),
        ({"attributes": {**SQS["attributes"], "ApproximateReceiveCount": -1}}, "'ApproximateReceiveCount'"),
        ({"attributes": {"ApproximateReceiveCount": "1"}}, "'ApproximateFirstReceiveTimestamp'"),
        (
            {"attributes": {**SQS["attributes"], "ApproximateFirstReceiveTimestamp": "9" * 30}},
            "'ApproximateFirstReceiveTimestamp'",
        ),
        ({"awsRegion": None}, "'awsRegion'"),
        ({"awsRegion": "us east"}, "'awsRegion'"),
        ({"receiptHandle": None}, "'receiptHandle'"),
        ({"body": "[" * 100_000}, "nested too deeply"),
        ({"body": "1" * 10_000}, "is not JSON"),
        ({"body": 'b\'{"EC2InstanceId": "i-b"}\''}, "is not JSON"),
        ({"body": "null"}, "is no object"),
        ({"body": json.dumps({"Records": [SNS]})}, "its fields: Records"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_a_record_that_cannot_be_read_fails_alone(takes: Batches, change: dict[str, Any], words: str) -> None:
    event = batch(body("i-a"), body("i-b"), body("i-c"))
    event["Records"][1].update(change)
    assert takes.take(event) == ["m1"]
    assert takes.worked == ["i-a", "i-c"]
    [error] = [error for what, error in takes.announcer.announced if what == "message_failed"]
    assert isinstance(error, BadEvent)
    assert words in str(error)


@pytest.mark.parametrize("attributes", [None, [], "Error"])
def test_odd_attributes_of_a_message_are_passed_over(takes: Batches, attributes: Any) -> None:
    event = batch(body("i-a"))
    event["Records"][0]["messageAttributes"] = attributes
    assert takes.take(event) == []
    assert takes.worked == ["i-a"]


def test_a_record_without_a_receipt_is_not_taken_for_an_event_by_hand(world: World) -> None:
    event = batch(body("i-a"))
    del event["Records"][0]["receiptHandle"]
    processor = BatchProcessor(OWN_QUEUE, world.fleets, world.queues, FakeAnnouncer())
    response = processor.take(event, read_action, lambda action: [action], lambda actions: [None] * len(actions))
    assert response == {"batchItemFailures": [{"itemIdentifier": "m0"}]}


@pytest.mark.parametrize("region", [None, 7, "\ud800", "us east", "us-east-1"], ids=ascii)
def test_an_event_by_hand_is_of_a_region_or_of_none(region: object) -> None:
    [record] = read_records(json.loads(BODY) | {"region": region})
    action = read_action(record)
    assert action
    assert action.region == ("us-east-1" if region == "us-east-1" else "")
