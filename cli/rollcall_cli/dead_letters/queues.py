"""A stack's dead-letter queues in SQS: what is in them received, sent back, deleted, and given back."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import batched
from time import time
from typing import TYPE_CHECKING, Any, Final

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.aws.fleet import Fleet
from rollcall.domain.errors import RollcallError
from rollcall_cli.stack import QUEUE, resources_of

from .letters import AwsState, DeadLetter, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .letters import Entry

type Json = dict[str, Any]
type Progress = Callable[[str], None]

DEAD_LETTER_QUEUE = "DeadLetterQueue"
VISIBLE: Final = "ApproximateNumberOfMessages"
NOT_VISIBLE: Final = "ApproximateNumberOfMessagesNotVisible"
HELD = 900  # seconds for which SQS hides what was received: longer than thousands of messages take
RECEIVE_WAIT = 1  # seconds; then SQS reads every server of the queue, and none leaves a message out
EMPTY_POLLS = 3  # polls without a message after which no more is to come, though the queue counts more
MESSAGES_PER_CALL = 10  # SQS's maximum, to send, delete or give back
BYTES_PER_CALL = 200_000  # of messages sent at once; SQS took 262,144 until it took more


@dataclass(frozen=True)
class DeadLetterQueue:
    """One of them. name: as in DeadLetter.queue. source: the queue that its messages are for, empty if none is."""

    name: str
    url: str
    source: str


@dataclass
class Contents:
    """What was received of a queue. held: about how many messages were hidden, for another process received them."""

    queue: DeadLetterQueue
    letters: list[DeadLetter] = field(default_factory=list)
    held: int = 0


class DeadLetterQueues:
    """The dead-letter queues of a stack. Methods raise NotRun and RollcallError for what AWS does not answer."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        with aws_errors("the queues"):
            self._sqs = boto3.client("sqs", config=CLIENT_CONFIG)
        self.region = self._sqs.meta.region_name

    def listed(self) -> list[DeadLetterQueue]:
        """Every dead-letter queue of the stack, with the queue of the same name that it belongs to."""
        urls = resources_of(self._stack).get(QUEUE, {})
        names = [each.removesuffix(DEAD_LETTER_QUEUE) for each in urls if each.endswith(DEAD_LETTER_QUEUE)]
        return [
            DeadLetterQueue(each, urls[each + DEAD_LETTER_QUEUE], urls.get(f"{each}Queue", ""))
            for each in sorted(names)
        ]

    def take(self, contents: Contents, progress: Progress) -> None:
        """Receives all that is in a queue, each message once, into contents; SQS hides them from others for a while."""
        queue = contents.queue
        about, contents.held = self._sizes(queue)
        received: dict[str, DeadLetter] = {}
        empty = 0
        while empty < (EMPTY_POLLS if len(received) < about else 1):
            with aws_errors("ReceiveMessage"):
                messages = self._sqs.receive_message(
                    QueueUrl=queue.url,
                    MaxNumberOfMessages=MESSAGES_PER_CALL,
                    VisibilityTimeout=HELD,
                    WaitTimeSeconds=RECEIVE_WAIT,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
            empty = 0 if messages else empty + 1
            for raw in messages:
                received[raw["MessageId"]] = letter = self._letter(queue, raw)
                contents.letters.append(letter)
            progress(f"reading {queue.name}{DEAD_LETTER_QUEUE}: {len(received):,} of about {about:,}")
        contents.letters[:] = received.values()

    def _sizes(self, queue: DeadLetterQueue) -> tuple[int, int]:
        """About how many messages a queue shows, and how many beside these it hides."""
        with aws_errors("GetQueueAttributes"):
            answer = self._sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=[VISIBLE, NOT_VISIBLE])
        return int(answer["Attributes"][VISIBLE]), int(answer["Attributes"][NOT_VISIBLE])

    def _letter(self, queue: DeadLetterQueue, raw: Any) -> DeadLetter:
        return DeadLetter(
            queue=queue.name,
            source=queue.source,
            id=raw["MessageId"],
            receipt_handle=raw["ReceiptHandle"],
            body=raw["Body"],
            region=self.region,
            sent_at=int(raw["Attributes"]["SentTimestamp"]) / 1000,
            attributes=raw.get("MessageAttributes", {}),
            moved="DeadLetterQueueSourceArn" in raw["Attributes"],
        )

    def aws_state(
        self, queues: Iterable[DeadLetterQueue], letters: Iterable[DeadLetter], progress: Progress
    ) -> AwsState:
        """What AWS says about the groups and instances of these."""
        account = next((each.url.split("/")[-2] for each in queues), "")
        actions = [action for each in letters for action, _ in read(each).actions]
        own = [each for each in actions if (each.account, each.region) == (account, self.region)]
        progress("reading Auto Scaling")
        fleet = Fleet(self.region)
        return AwsState(
            account,
            self.region,
            time(),
            groups=fleet.groups({each.group for each in own}),
            memberships=fleet.memberships({each.instance_id for each in own}),
        )

    def send_back(self, queue: DeadLetterQueue, entries: Sequence[Entry]) -> dict[str, str]:
        """Sends what goes back of them to the queue they are for, in one call; by id, why some were not taken."""
        with aws_errors("SendMessageBatch"):
            answer = self._sqs.send_message_batch(
                QueueUrl=queue.source,
                Entries=[
                    {"Id": str(number), "MessageBody": each.back or "", "MessageAttributes": _attributes(each.letter)}
                    for number, each in enumerate(entries)
                ],
            )
        return {
            entries[int(each["Id"])].letter.id: f"SQS did not take it: {each.get('Message') or each['Code']}"
            for each in answer.get("Failed", [])
        }

    def delete(self, queue: DeadLetterQueue, letters: Iterable[DeadLetter]) -> set[str]:
        """Deletes them from their dead-letter queue; the ids of those that are gone."""
        gone: set[str] = set()
        for batch in batched(letters, MESSAGES_PER_CALL):
            with aws_errors("DeleteMessageBatch"):
                answer = self._sqs.delete_message_batch(
                    QueueUrl=queue.url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": each.receipt_handle} for number, each in enumerate(batch)
                    ],
                )
            gone |= {batch[int(each["Id"])].id for each in answer.get("Successful", [])}
        return gone

    def give_back(self, contents: Contents, gone: Iterable[str]) -> None:
        """Lets others receive at once what is left; if that fails they can after some minutes."""
        kept = set(gone)
        letters = [each for each in contents.letters if each.id not in kept]
        for batch in batched(letters, MESSAGES_PER_CALL):
            with suppress(RollcallError), aws_errors("ChangeMessageVisibilityBatch"):
                self._sqs.change_message_visibility_batch(
                    QueueUrl=contents.queue.url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": each.receipt_handle, "VisibilityTimeout": 0}
                        for number, each in enumerate(batch)
                    ],
                )


def in_batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """As many at once as one call takes, by number and by size."""
    batch: list[Entry] = []
    size = 0
    for each in entries:
        own = len((each.back or "").encode()) + len(json.dumps(each.letter.attributes, default=str))
        if batch and (len(batch) == MESSAGES_PER_CALL or size + own > BYTES_PER_CALL):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += own
    if batch:
        yield batch


def _attributes(letter: DeadLetter) -> Json:
    """Its message attributes as they are sent: with these a function knows that it failed before."""
    return {
        name: {key: value for key, value in each.items() if key in ("DataType", "StringValue", "BinaryValue")}
        for name, each in letter.attributes.items()
    }
