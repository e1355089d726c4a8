"""The queues a function works with: messages sent on, put off, or moved to the dead-letter queue."""

from __future__ import annotations

import math
import time
from functools import cached_property
from typing import TYPE_CHECKING

import boto3

from rollcall.domain.aws_text import CALL_BYTES, aws_safe
from rollcall.domain.errors import AwsRejected, RollcallError

from .client import CLIENT_CONFIG, answered_error, aws_errors, by_halves, in_calls, refusal_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

    from rollcall.domain.message_format import Record

MESSAGES_PER_CALL = 10  # SendMessageBatch's maximum
DELAY_MAX = 900  # seconds, SQS's maximum
TRIES = 3  # of a message that SQS could not take for a reason of its own, in a call of which it took others
PAUSE = 0.5  # seconds between them
LARGE_MESSAGE = 1024 * 1024  # bytes that queues take which take more than CALL_BYTES
ERROR_MAX = 4000  # characters of an error that goes with a message to the dead-letter queue
ERROR_NAMES = 30  # bytes that the names and types of its attributes take: Error and Message, both of type String


def is_queue(arn: str, url: str) -> bool:
    """Whether an ARN and a URL name the same queue: both end in its account and its name."""
    return arn.split(":")[-2:] == url.split("/")[-2:]


class Queues:
    """SQS, as much of it as we use. Methods raise AwsUnavailable, AwsDenied or AwsRejected."""

    @cached_property
    def _sqs(self) -> SQSClient:
        return boto3.client("sqs", config=CLIENT_CONFIG)

    def send(self, url: str, messages: Sequence[tuple[str, float]]) -> None:
        """Send messages, each a body and a delay in seconds. Raises why one was not taken; others may have been."""
        for error in self.send_each(url, messages):
            if error:
                raise error

    def send_each(self, url: str, messages: Sequence[tuple[str, float]]) -> list[RollcallError | None]:
        """The same; in the order of the messages why the queue did not take one, None of those that it took.

        What SQS refuses is refused alone. What it could not take for a reason of its own, while it took others, is sent
        again a few times: their sender would otherwise send all of them again. After an error that is about no
        message in particular nothing more is sent. Raises nothing of ours.
        """
        sending = _Sending(self._sqs, url, messages)
        sending.try_once()
        for _ in range(TRIES - 1):
            if sending.left and len(sending.errors) < len(messages):
                time.sleep(PAUSE)
                sending.try_once()
        return [sending.errors.get(number) for number in range(len(messages))]

    def put_off(self, url: str, receipt_handle: str, seconds: float) -> None:
        """Let a message be received again only after so many seconds."""
        with aws_errors("ChangeMessageVisibility"):
            self._sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=math.ceil(seconds)
            )

    def move_to_dead_letters(self, url: str, record: Record, error: Exception) -> None:
        """Move a message to the dead-letter queue, with what was wrong as its attributes, as far as there is room."""
        name = type(error).__name__
        used = _size(record.body) + _size(name) + ERROR_NAMES
        room = (CALL_BYTES if used <= CALL_BYTES else LARGE_MESSAGE) - used
        words = _cut(aws_safe(str(error)) or "(no words)", room)
        with aws_errors("SendMessage to the dead-letter queue"):
            self._sqs.send_message(
                QueueUrl=url,
                MessageBody=record.body,
                MessageAttributes={
                    "Error": {"DataType": "String", "StringValue": name},
                    **({"Message": {"DataType": "String", "StringValue": words}} if words else {}),
                },
            )


class _Sending:
    """Messages on their way into a queue. left: the numbers of those to be sent; errors: why others were not taken."""

    def __init__(self, sqs: SQSClient, url: str, messages: Sequence[tuple[str, float]]) -> None:
        self._sqs = sqs
        self._url = url
        self._messages = messages
        self.left = list(range(len(messages)))
        self.errors: dict[int, RollcallError] = {}

    def try_once(self) -> None:
        """Send those that are left."""
        sent, self.left = self.left, []
        in_vain: RollcallError | None = None
        for call in in_calls(sent, MESSAGES_PER_CALL, CALL_BYTES, lambda number: _size(self._messages[number][0])):
            try:
                if in_vain:
                    raise in_vain
                with aws_errors("SendMessageBatch"):
                    refused = by_halves(self._send, call)
            except RollcallError as error:
                in_vain = error
                self.errors |= dict.fromkeys(call, error)
            else:
                self.errors |= {each: _refused(refusal_words(why)) for each, why in refused.items()}
        if in_vain:
            self.left = []

    def _send(self, numbers: Sequence[int]) -> None:
        answer = self._sqs.send_message_batch(
            QueueUrl=self._url,
            Entries=[
                {"Id": str(place), "MessageBody": body, "DelaySeconds": min(math.ceil(delay), DELAY_MAX)}
                for place, (body, delay) in enumerate(self._messages[number] for number in numbers)
            ],
        )
        for number in numbers:
            self.errors.pop(number, None)
        for failed in answer.get("Failed", ()):
            number = numbers[int(failed["Id"])]
            words = f"{failed['Code']}: {failed.get('Message', '')}"
            ours = failed["SenderFault"]
            self.errors[number] = answered_error(
                "SendMessageBatch of a message", failed["Code"], words, 400 if ours else 500
            )
            if not ours:
                self.left.append(number)


def _refused(words: str) -> AwsRejected:
    return AwsRejected(f"SQS refused a message: {words}")


def _size(text: str) -> int:
    """Bytes of a text as SQS counts them, also of one that cannot be encoded and is refused for that."""
    return len(text.encode(errors="replace"))


def _cut(text: str, room: int) -> str:
    """As much of a text as is worth it, and as there are bytes for."""
    return text[:ERROR_MAX].encode()[: max(0, room)].decode(errors="ignore")
