"""Messages sent on, put off, and set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.errors import AwsDenied, BadSettings, Throttled
from rollcall.events import Record
from rollcall.queues import Queues

from .fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/gate"
RECORD = Record("m0", "the body", REGION, 1, 0.0, "handle")


@pytest.fixture
def queues() -> Queues:
    return Queues()


@pytest.fixture
def sqs(queues: Queues) -> Iterator[Stubber]:
    with Stubber(queues._sqs) as stub:
        yield stub
        stub.assert_no_pending_responses()


def entries(*delays: int) -> list[dict[str, Any]]:
    return [
        {"Id": str(number), "MessageBody": f"b{number}", "DelaySeconds": delay} for number, delay in enumerate(delays)
    ]


def test_delays_are_whole_seconds_and_at_most_what_a_queue_can(queues: Queues, sqs: Stubber) -> None:
    sqs.add_response(
        "send_message_batch",
        {"Successful": [], "Failed": []},
        {"QueueUrl": URL, "Entries": entries(0, 2, 10, 900)},
    )
    queues.send(URL, [("b0", 0), ("b1", 1.5), ("b2", 10.0), ("b3", 7200)])


def test_messages_go_ten_at_a_time(queues: Queues, sqs: Stubber) -> None:
    for size in (10, 3):
        sqs.add_response(
            "send_message_batch",
            {"Successful": [], "Failed": []},
            {"QueueUrl": URL, "Entries": [each | {"MessageBody": "b"} for each in entries(*[0] * size)]},
        )
    queues.send(URL, [("b", 0)] * 13)


def test_nothing_is_sent_for_nothing(queues: Queues, sqs: Stubber) -> None:
    queues.send(URL, [])


def test_a_message_that_the_queue_did_not_take_is_an_error(queues: Queues, sqs: Stubber) -> None:
    failed = {"Id": "0", "SenderFault": False, "Code": "InternalError", "Message": "try again"}
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed]})
    with pytest.raises(Throttled, match="try again"):
        queues.send(URL, [("b", 0)])


@pytest.mark.parametrize(("code", "error"), [("RequestThrottled", Throttled), ("AccessDenied", AwsDenied)])
def test_a_queue_that_refuses_is_an_error_of_ours(
    queues: Queues, sqs: Stubber, code: str, error: type[Exception]
) -> None:
    sqs.add_client_error("send_message_batch", code, "no", 403)
    with pytest.raises(error, match="SendMessageBatch"):
        queues.send(URL, [("b", 0)])


def test_a_message_is_put_off_by_its_visibility(queues: Queues, sqs: Stubber) -> None:
    sqs.add_response(
        "change_message_visibility", {}, {"QueueUrl": URL, "ReceiptHandle": "handle", "VisibilityTimeout": 15}
    )
    queues.put_off(URL, "handle", 15.0)


@pytest.mark.parametrize(("error", "words"), [(BadSettings("mend it"), "mend it"), (KeyError(), "(no words)")])
def test_a_message_is_set_aside_with_what_was_wrong(queues: Queues, sqs: Stubber, error: Exception, words: str) -> None:
    sqs.add_response(
        "send_message",
        {},
        {
            "QueueUrl": URL,
            "MessageBody": "the body",
            "MessageAttributes": {
                "Error": {"DataType": "String", "StringValue": type(error).__name__},
                "Message": {"DataType": "String", "StringValue": words},
            },
        },
    )
    queues.set_aside(URL, RECORD, error)
