"""SQS event sources as AWS Lambda runs them.

Each mapping has a number of pollers. A poller receives at most ten messages at a time, gathers its own batch until
that is full or its window has passed since its first message, hands it over and waits for the function. Messages are
received, and their visibility timeout runs, from the moment they are gathered.

Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS" (batching window, five pollers for a new standard
queue, MaximumConcurrency, partial batch responses) and "Use Lambda recursive loop detection".
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab.aws import ministack as cloud
from lab.aws.control import Invocation
from lab.aws.ministack import Record
from lab.aws.recursion import MAX_ROUNDS, next_header, rounds

logger = logging.getLogger(__name__)

TICK = 0.05
"""Seconds between two looks at the queues."""
MESSAGES_A_RECEIVE = 10
"""The most that a ReceiveMessage call returns."""


@dataclass
class Poller:
    """Gathers one batch after the other."""

    messages: list[Record] = field(default_factory=list)
    opened: float = 0.0
    """When the first message of the batch was received, in seconds since the epoch."""
    busy: bool = False
    """The batch is with the function."""

    def take(self, messages: list[Record], now: float) -> None:
        """Add messages to the batch."""
        if not self.messages:
            self.opened = now
        self.messages += messages

    def ready(self, size: int, window: int, now: float) -> bool:
        """Return whether the batch is to be handed over."""
        return bool(self.messages) and (len(self.messages) >= size or now - self.opened >= window)


class EventSources:
    """Runs all SQS event source mappings of all accounts and Regions. clock: seconds since the epoch."""

    def __init__(self, pollers: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.invocations: list[Invocation] = []
        self._limit = pollers
        self._pollers: dict[str, list[Poller]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look at the queues until cancelled."""
        while True:
            for scope, mapping in cloud.event_source_mappings():
                source, now = cloud.queue(mapping["EventSourceArn"]), self._clock()
                if source is None or not self._has_work(mapping, source, now):
                    continue
                with cloud.within(scope):
                    try:
                        self._serve(mapping, source, now)
                    except Exception:
                        logger.exception("Event source mapping %s failed; it goes on", mapping["UUID"])
            await asyncio.sleep(TICK)

    def _has_work(self, mapping: Record, source: Record, now: float) -> bool:
        """Whether a message may be received, or a batch has been begun: of most queues, most of the time, neither."""
        begun = any(poller.messages for poller in self._pollers.get(mapping["UUID"], ()))
        return begun or cloud.may_be_received(source, now)

    def _serve(self, mapping: Record, source: Record, now: float) -> None:
        function = cloud.function(mapping)
        if function is None:
            return
        pollers = self._pollers_of(mapping, self._concurrency(mapping, function, source))
        size = int(mapping.get("BatchSize", MESSAGES_A_RECEIVE))
        window = int(mapping.get("MaximumBatchingWindowInSeconds", 0))
        if mapping.get("Enabled", True):
            self._gather(pollers, source, size, now)
        for poller in pollers:
            if not poller.busy and poller.ready(size, window, now):
                poller.busy = True
                task = asyncio.create_task(self._hand_over(mapping, function, source, poller))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _concurrency(self, mapping: Record, function: Record, source: Record) -> int:
        if source["is_fifo"]:
            return 1
        limits = [
            self._limit,
            (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency"),
            cloud.reserved_concurrency(function),
        ]
        return min(int(limit) for limit in limits if limit is not None)

    def _pollers_of(self, mapping: Record, count: int) -> list[Poller]:
        """Return the mapping's pollers: `count` of them, and those above that still have a batch."""
        known = self._pollers.get(mapping["UUID"], [])
        kept = [poller for index, poller in enumerate(known) if index < count or poller.busy or poller.messages]
        pollers = kept + [Poller() for _ in range(count - len(kept))]
        self._pollers[mapping["UUID"]] = pollers
        return pollers

    def _gather(self, pollers: list[Poller], source: Record, size: int, now: float) -> None:
        """Let the pollers receive in turn until the queue is empty or their batches are full."""
        while True:
            open_batches = [poller for poller in pollers if not poller.busy and len(poller.messages) < size]
            if not open_batches:
                return
            poller = open_batches[0]
            received = cloud.receive(source, min(MESSAGES_A_RECEIVE, size - len(poller.messages)))
            if not received:
                return
            # A copy: the queue's own record changes when the message is received again.
            poller.take([dict(message) for message in received], now)
            pollers.remove(poller)
            pollers.append(poller)

    async def _hand_over(self, mapping: Record, function: Record, source: Record, poller: Poller) -> None:
        messages, poller.messages = poller.messages, []
        try:
            messages = self._cut_loops(function, source, messages)
            messages = _drop_filtered(mapping, source, messages)
            if messages:
                await self._invoke(mapping, function, source, messages)
        except Exception:
            logger.exception("A batch of event source mapping %s failed", mapping["UUID"])
        finally:
            poller.busy = False

    def _cut_loops(self, function: Record, source: Record, messages: list[Record]) -> list[Record]:
        """Send what has gone round too often to the dead-letter queue and return the rest."""
        if cloud.may_recurse(function):
            return messages
        arn = function["config"]["FunctionArn"]
        looping = [message for message in messages if rounds(_trace_header(message), arn) >= MAX_ROUNDS]
        for message in looping:
            logger.warning("Recursive loop: message %s has invoked %s %d times", message["id"], arn, MAX_ROUNDS)
            cloud.dead_letter(source, message)
        return [message for message in messages if message not in looping]

    async def _invoke(self, mapping: Record, function: Record, source: Record, messages: list[Record]) -> None:
        name = function["config"]["FunctionName"]
        header = next_header(map(_trace_header, messages), function["config"]["FunctionArn"])
        records = [_record(message, mapping) for message in messages]
        started, failed_whole = self._clock(), True
        try:
            result = await cloud.invoke(function, {"Records": records}, header)
            failed_whole = bool(result.get("error") or result.get("throttle"))
        finally:
            self.invocations.append(Invocation(name, started, self._clock(), len(records), failed_whole))
        if failed_whole:
            mapping["LastProcessingResult"] = "FAILED"
            logger.warning("%s failed a batch of %d from %s: %s", name, len(messages), source["name"], result)
            return
        ids = {message["id"] for message in messages}
        failed = _failed_items(mapping, result.get("body"), ids)
        cloud.delete(source, [message["receipt_handle"] for message in messages if message["id"] not in failed])
        mapping["LastProcessingResult"] = "OK"
        logger.info("%s took a batch of %d from %s, %d failed", name, len(ids), source["name"], len(failed))


def _drop_filtered(mapping: Record, source: Record, messages: list[Record]) -> list[Record]:
    """Delete what the mapping's filter criteria reject and return the rest."""
    passed = {record["messageId"] for record in cloud.matching(mapping, [_record(one, mapping) for one in messages])}
    cloud.delete(source, [message["receipt_handle"] for message in messages if message["id"] not in passed])
    return [message for message in messages if message["id"] in passed]


def _failed_items(mapping: Record, body: object, ids: Iterable[str]) -> set[str]:
    """Return the messages to keep; a response that Lambda cannot read fails the whole batch."""
    batch = set(ids)
    if "ReportBatchItemFailures" not in (mapping.get("FunctionResponseTypes") or []) or not body:
        return set()
    failures = body.get("batchItemFailures") if isinstance(body, dict) else [None]
    items = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures or []]
    failed = {item for item in items if isinstance(item, str)}
    return failed if len(failed) == len(set(items)) and failed <= batch else batch


def _trace_header(message: Record) -> str | None:
    header: str | None = (message.get("sys") or {}).get("AWSTraceHeader")
    return header


def _record(message: Record, mapping: Record) -> Record:
    """Return a message in the shape of a Lambda event ("Example Amazon SQS message event")."""
    attributes = {
        "ApproximateReceiveCount": str(message["receive_count"]),
        "SentTimestamp": str(int(message["sent_at"] * 1000)),
        "SenderId": message["sys"]["SenderId"],
        "ApproximateFirstReceiveTimestamp": str(int(message["first_receive_at"] * 1000)),
    }
    optional = {
        "AWSTraceHeader": _trace_header(message),
        "MessageGroupId": message.get("group_id"),
        "MessageDeduplicationId": message.get("dedup_id"),
        "SequenceNumber": message.get("seq"),
    }
    return {
        "messageId": message["id"],
        "receiptHandle": message["receipt_handle"],
        "body": message["body"],
        "attributes": {**attributes, **{key: value for key, value in optional.items() if value}},
        "messageAttributes": cloud.lambda_attributes(message["message_attributes"]),
        "md5OfBody": message["md5_body"],
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping["EventSourceArn"],
        "awsRegion": mapping["EventSourceArn"].split(":")[3],
    }
