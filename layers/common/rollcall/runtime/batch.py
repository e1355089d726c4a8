"""A batch of messages in, a partial batch response out: the one way into every function.

What a message asks for is done by the function's own module. Here is what they share: what becomes of a message that
failed. It is tried again with doubling delays, with a sign of life for its hooks at every try; set aside in the
dead-letter queue when a person has to mend something and an hour has passed; and let go when nobody waits for it.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rollcall.domain import timing
from rollcall.domain.actions import Transition
from rollcall.domain.errors import InstanceNotVisible, RollcallError, Transient
from rollcall.domain.message_format import read_records
from rollcall.lifecycle.hook_answers import UNANSWERED_LIFE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleets
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.message_format import Record
    from rollcall.domain.settings import OwnQueue
    from rollcall.telemetry.announcer import Announcer

CALLS_AT_ONCE = 8
PERMANENT_FAILURE_LIFE = 3600.0  # seconds in which a person may mend what was wrong
UNSEEN_LIFE = 120.0  # seconds in which AWS may come to know an instance whose launch it told of


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

        read: None for a message that asks for nothing. work: for each message the error it failed with, or None.
        Returns Lambda's partial batch response. An event that came without a queue raises its error instead. Raises
        BadEvent for what is no batch.
        """
        messages: dict[Record, M] = {}
        failures: dict[Record, Exception] = {}
        for record in read_records(event):
            try:
                message = read(record)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this message's alone
                failures[record] = error
            else:
                if message is not None:
                    messages[record] = message
        self._give_signs_of_life({record: actions_of(each) for record, each in messages.items() if record.receives > 1})
        try:
            errors = work(list(messages.values())) if messages else []
        except Exception as error:  # noqa: BLE001 - ours to mend; the messages must outlive it
            errors = [error] * len(messages)
        failures |= {record: error for record, error in zip(messages, errors, strict=True) if error}
        failed = {record: actions_of(messages[record]) if record in messages else () for record in failures}
        still_open = self._give_signs_of_life(failed)
        again = [
            record.id for record, error in failures.items() if self._settle(record, failed[record], error, still_open)
        ]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in again]}

    def _settle(
        self,
        record: Record,
        actions: Sequence[LifecycleAction],
        error: Exception,
        still_open: Collection[LifecycleAction],
    ) -> bool:
        """Whether the message is to be received again."""
        self._announcer.failed(record, actions, error)
        if record.receipt_handle is None:
            raise error
        try:
            if self._is_finished(record, actions, still_open, error):
                self._announcer.let_go(record, actions)
                return False
            if not isinstance(error, Transient) and time.time() - record.first_received_at > PERMANENT_FAILURE_LIFE:
                self._queues.move_to_dead_letters(self._own_queue.dead_letter_url, record, error)
                self._announcer.move_to_dead_letters(record, actions, error)
                return False
            waited_for = [action for action in actions if action in still_open]
            delay = (error.retry_in if isinstance(error, Transient) else None) or timing.retry_delay(record.receives)
            delay = min(delay, self._longest_wait(waited_for))
            self._queues.put_off(self._own_queue.url, record.receipt_handle, delay)
        except RollcallError as trouble:
            self._announcer.not_put_off(record, trouble)
            delay = timing.VISIBILITY
        self._announcer.tried_again(record, actions, error, delay)
        return True

    def _give_signs_of_life(self, failed: Mapping[Record, Sequence[LifecycleAction]]) -> set[LifecycleAction]:
        """A heartbeat for every hook of the messages that came through a queue; those that somebody still waits for."""
        hooked = {
            action for record, actions in failed.items() if record.receipt_handle for action in actions if action.hook
        }
        with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
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
        An instance that goes may still have a host to be struck off, by whatever queue it came.
        """
        launches = all(action.transition == Transition.LAUNCHING for action in actions)
        if not actions or not launches or any(action in still_open for action in actions):
            return False
        age = time.time() - record.first_received_at
        unseen = isinstance(error, InstanceNotVisible)  # and never will be: nothing was made for it
        if not all(action.held_by_hook for action in actions):  # no hook ever held them: they serve already
            return unseen and age > UNSEEN_LIFE
        try:
            fleet, ids = self._fleets.of(actions[0]), {action.instance_id for action in actions}
            if age < UNANSWERED_LIFE and fleet.held(actions):
                return False
            return unseen or not fleet.departed(ids, fleet.memberships(ids))
        except RollcallError as trouble:
            self._announcer.no_heartbeat(actions[0], trouble)
            return False

    def _is_open(self, action: LifecycleAction) -> bool:
        try:
            return self._fleets.of(action).heartbeat(action)
        except RollcallError as error:
            self._announcer.no_heartbeat(action, error)
            return True

    def _longest_wait(self, actions: Sequence[LifecycleAction]) -> float:
        try:
            groups: Mapping[str, Any] = (
                self._fleets.of(actions[0]).groups({action.group for action in actions}) if actions else {}
            )
        except RollcallError as error:
            self._announcer.no_heartbeat(actions[0], error)
            groups = {}
        return timing.longest_wait(groups, actions)
