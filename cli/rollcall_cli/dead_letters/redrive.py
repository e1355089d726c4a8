"""Sends dead letters back, or has their instances reconciled, or deletes them; and notes what became of each.

A message leaves its queue only when it was sent, or its instances are settled; a send that is broken off may send
twice, which does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings
from rollcall.domain.shell_commands import command
from rollcall_cli.running import STACK, NotRun
from rollcall_cli.stack import invoke

from .letters import about_group, entry, read
from .queues import DEAD_LETTER_QUEUE, MESSAGES_PER_CALL, Contents, DeadLetterQueues, in_batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .letters import Entry
    from .queues import DeadLetterQueue, Progress

type Settled = Mapping[str, tuple[bool, str]]  # by instance id, whether reconcile left nothing to do, and in what words


@dataclass(frozen=True)
class Request:
    """What is requested. queue and group: only these dead letters; None for all. delete: ids of messages.

    given: options that a command needs to act on the same stack.
    """

    stack: str
    send: bool = False
    delete: Sequence[str] = ()
    queue: str | None = None
    group: str | None = None
    given: Sequence[str] = ()


@dataclass
class Result:
    """What became of the messages, by id: what was done with those that are gone, and why others stayed."""

    done: dict[str, str] = field(default_factory=dict)
    stayed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """What was received of each queue, what that is, and what became of it."""

    taken: Sequence[Contents]
    entries: Sequence[Entry]
    result: Result

    @property
    def left(self) -> int:
        """How many messages there still are, as far as that can be known."""
        mine = sum(1 for each in self.entries if each.letter.id not in self.result.done)
        return mine + sum(each.held for each in self.taken)


class Redrive:
    """Sends entries back or has them reconciled, and notes what came of it in result, also where it is interrupted."""

    def __init__(self, queues: DeadLetterQueues, request: Request, result: Result, progress: Progress) -> None:
        self._queues = queues
        self._stack = request.stack
        self._given = request.given
        self._result = result
        self._progress = progress

    def send_all(self, taken: Iterable[Contents], entries: Sequence[Entry]) -> None:
        """Sends back what goes back, has the rest reconciled, and deletes what needs no more."""
        settled = self._reconcile(entries)
        for contents in taken:
            self._send(contents.queue, [each for each in entries if each.letter.queue == contents.queue.name], settled)

    def _send(self, queue: DeadLetterQueue, entries: Sequence[Entry], settled: Settled) -> None:
        self._result.stayed |= {each.letter.id: each.stays for each in entries if each.stays}
        sending = [each for each in entries if each.back is not None]
        sent = 0
        for batch in in_batches(sending):
            refused = self._queues.send_back(queue, batch)
            self._result.stayed |= refused
            self._finish(queue, [each for each in batch if each.letter.id not in refused], settled)
            sent += len(batch)
            self._progress(f"sending back to {queue.name}Queue: {sent:,} of {len(sending):,}")
        for some in batched([each for each in entries if each.back is None and each.over], MESSAGES_PER_CALL):
            self._finish(queue, some, settled)

    def _finish(self, queue: DeadLetterQueue, entries: Sequence[Entry], settled: Settled) -> None:
        """Deletes those whose instances are settled, if any were left to reconcile."""
        words: dict[str, str] = {}
        for each in entries:
            answers = [settled[instance_id] for instance_id in each.over]
            if left := sorted({reason for is_settled, reason in answers if not is_settled}):
                self._result.stayed[each.letter.id] = "; ".join(left)
            else:
                sent = ["sent back"] if each.back is not None else []
                reasons = sorted({f"settled by reconcile: {reason}" for _, reason in answers})
                words[each.letter.id] = "; ".join([*sent, *reasons])
        gone = self._queues.delete(queue, [each.letter for each in entries if each.letter.id in words])
        for letter_id, said in words.items():
            if letter_id in gone:
                self._result.done[letter_id] = said
            else:
                again = delete_command(letter_id, self._given)
                self._result.stayed[letter_id] = f"{said}, but SQS did not delete it: {again}"

    def _reconcile(self, entries: Iterable[Entry]) -> Settled:
        """What a run of reconcile came to about all instances that are left to it, by id."""
        instances = sorted({instance_id for each in entries for instance_id in each.over})
        if not instances:
            return {}
        self._progress(f"reconciling {len(instances):,} instances")
        try:
            answer = invoke(self._stack, "ReconcileFunction", {"instances": instances})
        except NotRun as error:
            return dict.fromkeys(instances, (False, str(error).replace("\n", " ")))
        answers, no_room = answer.get("instances", {}), answer.get("left_out", {}).get("instances")
        why = "its answer has no room for more: send the rest again" if no_room else "deploy this version"
        unanswered = {"settled": False, "reason": f"reconcile does not answer for it: {why}"}
        said = {each: answers.get(each, unanswered) for each in instances}
        return {each: (bool(answer["settled"]), str(answer["reason"])) for each, answer in said.items()}


def run(request: Request, progress: Progress) -> Done:
    """Receives the messages, does what is requested, and gives back what is left, whatever happens.

    Raises BadSettings, and what AWS does not answer.
    """
    queues = DeadLetterQueues(request.stack)
    taken = [Contents(each) for each in _chosen(queues.listed(), request)]
    result = Result()
    try:
        for contents in taken:
            queues.take(contents, progress)
        entries = _entries(queues, taken, request.group, progress)
        if request.send:
            Redrive(queues, request, result, progress).send_all(taken, entries)
        elif request.delete:
            _delete(queues, taken, entries, request.delete, result)
    finally:
        for contents in taken:
            queues.give_back(contents, result.done)
    return Done(taken, entries, result)


def _chosen(queues: Sequence[DeadLetterQueue], request: Request) -> list[DeadLetterQueue]:
    """The queues that are requested. Raises BadSettings if there are none."""
    if request.queue:
        wanted = request.queue.removesuffix(DEAD_LETTER_QUEUE).removesuffix("Queue")
        chosen = [each for each in queues if each.name == wanted]
        if not chosen:
            known = ", ".join(each.name for each in queues)
            raise BadSettings(
                f"stack {request.stack} has no dead-letter queue {wanted!r}: use one of {known or 'none'}"
            )
        return chosen
    if not queues:
        raise BadSettings(f"stack {request.stack} has no dead-letter queues, and so is not Rollcall's: {STACK}")
    return list(queues)


def _entries(queues: DeadLetterQueues, taken: Sequence[Contents], group: str | None, progress: Progress) -> list[Entry]:
    """What was received, in words, with what becomes of it; of a group if one is requested."""
    letters = [each for contents in taken for each in contents.letters]
    if not letters:
        return []
    aws = queues.aws_state([each.queue for each in taken], letters, progress)
    entries = [entry(each, read(each), aws) for each in letters]
    return about_group(entries, group) if group else entries


def _delete(
    queues: DeadLetterQueues, taken: Iterable[Contents], entries: Iterable[Entry], ids: Sequence[str], result: Result
) -> None:
    named = [each.letter for each in entries if each.letter.id in ids]
    for contents in taken:
        own = [each for each in named if each.queue == contents.queue.name]
        result.done |= dict.fromkeys(queues.delete(contents.queue, own), "deleted")


def delete_command(letter_id: str, given: Sequence[str] = ()) -> str:
    """The command that deletes a message for good. given: options for it to act on the same stack."""
    return command("rollcall", "redrive", *given, "--delete", letter_id)
