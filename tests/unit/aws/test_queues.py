"""Messages sent on, put off, and moved to the dead-letter queue."""

from __future__ import annotations

from copy import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from lab.aws.limits import message_size
from rollcall.aws.queues import ERROR_MAX, LARGE_MESSAGE, PAUSE, TRIES, Queues
from rollcall.domain.aws_text import CALL_BYTES
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, BadSettings, Throttled
from rollcall.domain.message_format import Record
from unit.fakes import REGION

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
    with pytest.raises(AwsUnavailable, match="try again"):
        queues.send(URL, [("b", 0)])


def failed(number: int, *, sender: bool = False) -> dict[str, Any]:
    words = {"Code": "InvalidMessageContents", "Message": "odd"} if sender else {"Code": "InternalError"}
    return {"Id": str(number), "SenderFault": sender, **words}


def sent(queues: Queues, *bodies: str) -> list[str | None]:
    """The name of each message's error, None for one that was taken."""
    return [type(error).__name__ if error else None for error in queues.send_each(URL, [(each, 0) for each in bodies])]


def batch(*bodies: str) -> dict[str, Any]:
    raw = [{"Id": str(place), "MessageBody": body, "DelaySeconds": 0} for place, body in enumerate(bodies)]
    return {"QueueUrl": URL, "Entries": raw}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("rollcall.aws.queues.time", SimpleNamespace(sleep=slept.append))
    return slept


def test_only_what_the_queue_did_not_take_is_sent_again(queues: Queues, sqs: Stubber, pauses: list[float]) -> None:
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed(0), failed(2)]}, batch("a", "b", "c"))
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed(1)]}, batch("a", "c"))
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": []}, batch("c"))
    assert sent(queues, "a", "b", "c") == [None, None, None]
    assert pauses == [PAUSE] * 2


def test_what_the_queue_never_takes_is_named_and_all_else_is_sent(
    queues: Queues, sqs: Stubber, pauses: list[float]
) -> None:
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed(1)]}, batch("a", "b"))
    for _ in range(TRIES - 1):
        sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed(0)]}, batch("b"))
    assert sent(queues, "a", "b") == [None, "AwsUnavailable"]


def test_a_message_that_the_queue_calls_wrong_fails_alone_and_is_not_sent_again(queues: Queues, sqs: Stubber) -> None:
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed(1, sender=True)]}, batch("a", "b", "c"))
    assert sent(queues, "a", "b", "c") == [None, "AwsRejected", None]


def test_where_nothing_was_taken_nothing_is_sent_again(queues: Queues, sqs: Stubber) -> None:
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": [failed(0), failed(1)]}, batch("a", "b"))
    assert sent(queues, "a", "b") == ["AwsUnavailable", "AwsUnavailable"]


def test_messages_share_a_call_as_far_as_it_has_room(queues: Queues, sqs: Stubber) -> None:
    half, more = "x" * (CALL_BYTES // 2), "x" * (CALL_BYTES // 2 + 1)
    for call in ((half, half), (more,), (half,)):
        sqs.add_response("send_message_batch", {"Successful": [], "Failed": []}, batch(*call))
    assert sent(queues, half, half, more, half) == [None] * 4


def test_a_call_that_is_refused_for_one_message_is_made_by_halves(queues: Queues, sqs: Stubber) -> None:
    code = "AWS.SimpleQueueService.BatchRequestTooLong"
    sqs.add_client_error("send_message_batch", code, "too long", expected_params=batch("a", "b"))
    sqs.add_client_error("send_message_batch", code, "too long", expected_params=batch("a"))
    sqs.add_response("send_message_batch", {"Successful": [], "Failed": []}, batch("b"))
    [error, none] = queues.send_each(URL, [("a", 0), ("b", 0)])
    assert isinstance(error, AwsRejected)
    assert "too long" in str(error)
    assert none is None


def test_nothing_more_is_sent_to_a_queue_that_cannot_be_asked(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    sizes: list[int] = []

    def send_message_batch(**given: Any) -> Any:
        sizes.append(len(given["Entries"]))
        if len(sizes) > 1:
            raise EndpointConnectionError(endpoint_url=URL)
        return {"Failed": [failed(0)]}

    monkeypatch.setattr(queues._sqs, "send_message_batch", send_message_batch)
    assert sent(queues, *["x"] * 35) == ["AwsUnavailable", *[None] * 9, *["AwsUnavailable"] * 25]
    assert sizes == [10, 10]


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


@pytest.mark.parametrize(("error", "words"), [(BadSettings("fix it"), "fix it"), (KeyError(), "(no words)")])
def test_a_message_is_dead_lettered_with_what_was_wrong(
    queues: Queues, sqs: Stubber, error: Exception, words: str
) -> None:
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
    queues.move_to_dead_letters(URL, RECORD, error)


@pytest.mark.parametrize(
    ("body", "words", "left"),
    [
        ("b", "w" * 10_000, ERROR_MAX),
        ("b" * (CALL_BYTES - 1000), "w" * 10_000, 1000 - 30 - len("BadSettings")),
        ("b" * (CALL_BYTES - 30 - len("BadSettings")), "w", 0),
        ("ö" * ((CALL_BYTES - 1000) // 2), "ö" * 10_000, (1000 - 30 - len("BadSettings")) // 2),
        ("b" * CALL_BYTES, "w" * 10_000, ERROR_MAX),  # by a queue that takes larger ones
    ],
    ids=["any", "large", "full", "in bytes", "larger"],
)
def test_a_message_is_dead_lettered_with_as_much_of_an_error_as_there_is_room_for(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, body: str, words: str, left: int
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(queues._sqs, "send_message", lambda **given: sent.append(given))
    queues.move_to_dead_letters(URL, replace(RECORD, body=body), BadSettings(words))
    [message] = sent
    assert message_size(message) <= (CALL_BYTES if len(body) < CALL_BYTES else LARGE_MESSAGE)
    assert message["MessageAttributes"]["Error"]["StringValue"] == "BadSettings"
    assert len(message["MessageAttributes"].get("Message", {}).get("StringValue", "")) == left


def test_a_message_is_dead_lettered_whatever_characters_its_error_has(queues: Queues, sqs: Stubber) -> None:
    text = {"DataType": "String", "StringValue": "Tower said: ?[31m no ? ?"}
    sqs.add_response(
        "send_message",
        {},
        {
            "QueueUrl": URL,
            "MessageBody": "the body",
            "MessageAttributes": {"Error": {"DataType": "String", "StringValue": "BadSettings"}, "Message": text},
        },
    )
    queues.move_to_dead_letters(URL, RECORD, BadSettings("Tower said: \x1b[31m no \0 \ud800"))
