"""A batch of messages in, a partial batch response out: the way into register, gate and cleanup.

The work itself is done by each function's own module. Here is what they share: what becomes of a message that failed.
It is tried again with doubling delays, with a heartbeat for its hooks at every try; moved to the dead-letter queue when
an operator has to fix something and an hour has passed; and deleted when no hook waits for it any more.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from rollcall.aws.client import AWS_CALLS_AT_ONCE
from rollcall.domain import timing
from rollcall.domain.actions import Transition
from rollcall.domain.errors import InstanceNotVisible, RollcallError, Transient
from rollcall.domain.message_format import read_records
from rollcall.domain.timing import UNANSWERED_LIFE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from rollcall.aws.fleet import Fleets
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group
    from rollcall.domain.message_format import Record
    from rollcall.domain.settings import OwnQueue
    from rollcall.telemetry.announcer import Announcer


class Settlement(Enum):
    """What becomes of a message that failed."""

    FINISHED = auto()  # no hook waits for its actions: it is deleted
    DEAD_LETTER = auto()  # it needs an operator, and has for an hour: it is moved to the dead-letter queue
    RETRY = auto()  # it is received again after a delay


class BatchProcessor:
    """Reads batches and settles what failed in them."""

    def __init__(self, own_queue: OwnQueue, fleets: Fleets, queues: Queues, announcer: Announcer) -> None:
        self._own_queue = own_queue
        self._fleets = fleets
        self._queues = queues
        self._announcer = announcer

    def take[M](
        self,
        event: object,
        read: Callable[[Record], M | None],
        actions_of: Callable[[M], Sequence[LifecycleAction]],
        work: Callable[[list[M]], Sequence[Exception | None]],
    ) -> dict[str, Any]:
        """Read each record, work on those that can be read, settle those that failed.

        read: None for a message that needs no work. work: for each message the error it failed with, or None.
        Returns Lambda's partial batch response. An event that came without a queue raises its error instead. Raises
        BadEvent for what is no batch.
        """
        messages, failures = _read_all(read_records(event), read)
        self._send_heartbeats({record: actions_of(each) for record, each in messages.items() if record.receives > 1})
        try:
            errors = work(list(messages.values())) if messages else []
        except Exception as error:  # noqa: BLE001 - ours to fix; the messages must outlive it
            errors = [error] * len(messages)
        failures |= {record: error for record, error in zip(messages, errors, strict=True) if error}
        failed = {record: actions_of(messages[record]) if record in messages else () for record in failures}
        still_open = self._send_heartbeats(failed)
        again: list[str] = []
        for record, failure in failures.items():
            self._announcer.message_failed(record, failed[record], failure)
            if record.receipt_handle is None:
                raise failure
            if self._settle(record, record.receipt_handle, failed[record], failure, still_open) == Settlement.RETRY:
                again.append(record.id)
        return {"batchItemFailures": [{"itemIdentifier": each} for each in again]}

    def _settle(
        self,
        record: Record,
        receipt_handle: str,
        actions: Sequence[LifecycleAction],
        error: Exception,
        still_open: Collection[LifecycleAction],
    ) -> Settlement:
        """Do and announce what becomes of a message that failed. If SQS refuses, it is received again all the same."""
        settlement = self._settlement(record, actions, error, still_open)
        delay: float = timing.VISIBILITY
        try:
            match settlement:
                case Settlement.FINISHED:
                    self._announcer.message_finished(record, actions)
                case Settlement.DEAD_LETTER:
                    self._queues.move_to_dead_letters(self._own_queue.dead_letter_url, record, error)
                    self._announcer.message_dead_lettered(record, actions, error)
                case Settlement.RETRY:
                    wanted = self._retry_delay(record, [each for each in actions if each in still_open], error)
                    self._queues.put_off(self._own_queue.url, receipt_handle, wanted)
                    delay = wanted
        except RollcallError as refusal:
            self._announcer.message_not_settled(record, refusal)
            settlement = Settlement.RETRY
        if settlement == Settlement.RETRY:
            self._announcer.message_retried(record, actions, error, delay)
        return settlement

    def _settlement(
        self,
        record: Record,
        actions: Sequence[LifecycleAction],
        error: Exception,
        still_open: Collection[LifecycleAction],
    ) -> Settlement:
        """What is to become of a message that failed; actions: those in it, none where it cannot be read."""
        if self._is_finished(record, actions, still_open, error):
            return Settlement.FINISHED
        if not isinstance(error, Transient) and time.time() - record.first_received_at > timing.PERMANENT_FAILURE_LIFE:
            return Settlement.DEAD_LETTER
        return Settlement.RETRY

    def _retry_delay(self, record: Record, held: Sequence[LifecycleAction], error: Exception) -> float:
        """Seconds until a message is received again: no longer than the hooks of the actions that they hold allow."""
        delay = (error.retry_in if isinstance(error, Transient) else None) or timing.retry_delay(record.receives)
        return min(delay, self._longest_wait(held))

    def _send_heartbeats(self, failed: Mapping[Record, Sequence[LifecycleAction]]) -> set[LifecycleAction]:
        """A heartbeat for every hook of the messages that came through a queue; those actions that are still open."""
        hooked = {
            action for record, actions in failed.items() if record.receipt_handle for action in actions if action.hook
        }
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            return {action for action, is_open in zip(hooked, pool.map(self._is_open, hooked), strict=True) if is_open}

    def _is_finished(
        self,
        record: Record,
        actions: Sequence[LifecycleAction],
        still_open: Collection[LifecycleAction],
        error: Exception,
    ) -> bool:
        """Whether a message is about launches that no hook holds any more, of instances that live on.

        That AWS does not find their actions passes by itself while Auto Scaling shows one of them as held.
        An instance that goes may still have a host to be removed, by whatever queue it came.
        """
        launches = all(action.transition == Transition.LAUNCHING for action in actions)
        if not actions or not launches or any(action in still_open for action in actions):
            return False
        age = time.time() - record.first_received_at
        unseen = isinstance(error, InstanceNotVisible)  # and never will be: nothing was made for it
        if not all(self._is_held(action) for action in actions):  # no hook holds them: they serve already, or soon
            return unseen and age > timing.UNSEEN_LIFE
        try:
            fleet, ids = self._fleets.of(actions[0]), {action.instance_id for action in actions}
            if age < UNANSWERED_LIFE and fleet.held(actions):
                return False
            return unseen or not fleet.departed(ids, fleet.memberships(ids))
        except RollcallError as refusal:
            self._announcer.call_failed(actions[0], refusal)
            return False

    def _is_held(self, action: LifecycleAction) -> bool:
        """Whether an action's hook holds its instance; one of a group in an emergency holds nothing."""
        return action.held_by_hook and not self._fleets.of(action).in_emergency(action.group)

    def _is_open(self, action: LifecycleAction) -> bool:
        """Whether an action is open, by the answer to a heartbeat; yes where there was none."""
        try:
            return self._fleets.of(action).heartbeat(action)
        except RollcallError as error:
            self._announcer.call_failed(action, error)
            return True

    def _longest_wait(self, actions: Sequence[LifecycleAction]) -> float:
        """Seconds that the hooks of actions allow between two tries."""
        groups: Mapping[str, Group] = {}
        try:
            if actions:
                groups = self._fleets.of(actions[0]).groups({action.group for action in actions})
        except RollcallError as error:
            self._announcer.call_failed(actions[0], error)
        return timing.longest_wait(groups, actions)


def _read_all[M](
    records: Iterable[Record], read: Callable[[Record], M | None]
) -> tuple[dict[Record, M], dict[Record, Exception]]:
    """The messages of records that can be read and need work; the errors of those that cannot be read."""
    messages: dict[Record, M] = {}
    failures: dict[Record, Exception] = {}
    for record in records:
        try:
            message = read(record)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this message's alone
            failures[record] = error
        else:
            if message is not None:
                messages[record] = message
    return messages, failures
