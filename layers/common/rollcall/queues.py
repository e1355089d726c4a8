"""The queues a function works with: messages sent on, put off, or set aside."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import batched
from typing import TYPE_CHECKING

import boto3

from .aws import CLIENT_CONFIG, aws_errors
from .errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

    from .events import Record

MESSAGES_PER_CALL = 10  # SendMessageBatch's maximum
DELAY_MAX = 900  # seconds, SQS's maximum


def is_queue(arn: str, url: str) -> bool:
    """Whether an ARN and a URL name the same queue: both end in its account and its name."""
    return arn.split(":")[-2:] == url.split("/")[-2:]


class Queues:
    """SQS, as much of it as we use. Methods raise Throttled or AwsDenied."""

    @cached_property
    def _sqs(self) -> SQSClient:
        return boto3.client("sqs", config=CLIENT_CONFIG)

    def send(self, url: str, messages: Sequence[tuple[str, float]]) -> None:
        """Send messages, each a body and a delay in seconds."""
        for chunk in batched(messages, MESSAGES_PER_CALL):
            with aws_errors("SendMessageBatch"):
                answer = self._sqs.send_message_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(number), "MessageBody": body, "DelaySeconds": min(math.ceil(delay), DELAY_MAX)}
                        for number, (body, delay) in enumerate(chunk)
                    ],
                )
            if failed := answer.get("Failed"):
                raise Throttled(f"SQS took {len(failed)} of {len(chunk)} messages not: {failed[0].get('Message', '')}")

    def put_off(self, url: str, receipt_handle: str, seconds: float) -> None:
        """Let a message be received again only after so many seconds."""
        with aws_errors("ChangeMessageVisibility"):
            self._sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=receipt_handle, VisibilityTimeout=math.ceil(seconds)
            )

    def set_aside(self, url: str, record: Record, error: Exception) -> None:
        """Move a message to the dead-letter queue, with what was wrong as its attributes."""
        with aws_errors("SendMessage to the dead-letter queue"):
            self._sqs.send_message(
                QueueUrl=url,
                MessageBody=record.body,
                MessageAttributes={
                    "Error": {"DataType": "String", "StringValue": type(error).__name__},
                    "Message": {"DataType": "String", "StringValue": str(error) or "(no words)"},
                },
            )
