"""Shows what is in a stack's dead-letter queues, in words; with --send sends it back, once what was wrong is fixed.

A message whose hook waits no more is not sent back: a run of reconcile does what is left to do about its instance. A
message leaves its queue only when it was sent, or its instances are settled; a send that is broken off may send twice,
which does no harm.

Exits with 0 when nothing is left in the queues, with 1 as long as something is, with 2 if AWS cannot be reached. Uses
the AWS credentials and the Region of the shell it runs in.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from time import time
from typing import Any

from dead_letter_queues import (
    DEAD_LETTER_QUEUE,
    HELD,
    MESSAGES_PER_CALL,
    Contents,
    DeadLetterQueue,
    DeadLetterQueues,
    Progress,
    in_batches,
)
from dead_letters import Entry, about_group, duration, entry, gathered, moment, read
from rich.console import Console
from rich.text import Text

from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.shell_commands import make_arguments
from stack import NotRun, invoke

type Json = dict[str, Any]
type Settled = Mapping[str, tuple[bool, str]]  # by instance id, whether reconcile left nothing to do, and in what words

SAMPLES = 5  # instances named of an entry, and messages shown that cannot be read
RAW_MAX = 500  # characters shown of what cannot be read
PIPE_WIDTH = 100_000  # characters, where there is no terminal: an entry is a line
INDENT, DEEPER = "  ", "      "


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

    def __init__(self, queues: DeadLetterQueues, stack: str, result: Result, progress: Progress) -> None:
        self._queues = queues
        self._stack = stack
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
                self._result.stayed[letter_id] = f"{said}, but SQS did not delete it: {_deletes(letter_id)}"

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


def main() -> int:
    """Shows the queues' messages, and sends or deletes what is requested. Returns the exit code."""
    options = _parser().parse_args()
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    try:
        with console.status("reading AWS") as status:
            done = run(options, status.update)
    except KeyboardInterrupt:
        print("Interrupted. Nothing is lost: what was not sent is still in its queue.", file=sys.stderr)
        return 130
    except BadSettings as error:
        print(error, file=sys.stderr)
        return 2
    except RollcallError as error:
        print(error, file=sys.stderr)
        print(
            "Set credentials and a Region (AWS_PROFILE, AWS_DEFAULT_REGION); name the stack with STACK=...",
            file=sys.stderr,
        )
        return 2
    if options.json:
        print(json.dumps(as_json(done), indent=2))
    else:
        show(console, done, changing=bool(options.send or options.delete))
    missing = set(options.delete) - {each.letter.id for each in done.entries}
    for each in sorted(missing):
        print(f"No message {each} is in the dead-letter queues, or another process has received it.", file=sys.stderr)
    return 1 if missing or done.left else 0


def run(options: argparse.Namespace, progress: Progress) -> Done:
    """Receives the messages, does what is requested, and gives back what is left, whatever happens.

    Raises BadSettings, and what AWS does not answer.
    """
    queues = DeadLetterQueues(options.stack)
    taken = [Contents(each) for each in _chosen(queues.listed(), options)]
    result = Result()
    try:
        for contents in taken:
            queues.take(contents, progress)
        entries = _entries(queues, taken, options.group, progress)
        if options.send:
            Redrive(queues, options.stack, result, progress).send_all(taken, entries)
        elif options.delete:
            _delete(queues, taken, entries, options.delete, result)
    finally:
        for contents in taken:
            queues.give_back(contents, result.done)
    return Done(taken, entries, result)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stack", default="rollcall", help="Rollcall's stack (%(default)s)")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--send", action="store_true", help="send back what is shown; reconcile what is over")
    doing.add_argument(
        "--delete", action="append", default=[], metavar="ID", help="delete this message for good; repeat for more"
    )
    parser.add_argument("--queue", help="only this queue's dead letters: Launch, Gate, Terminate, Alert")
    parser.add_argument("--group", help="only messages about this Auto Scaling group")
    parser.add_argument("--json", action="store_true", help="print every message as JSON")
    return parser


def _chosen(queues: Sequence[DeadLetterQueue], options: argparse.Namespace) -> list[DeadLetterQueue]:
    """The queues that are requested. Raises BadSettings if there are none."""
    if options.queue:
        wanted = options.queue.removesuffix(DEAD_LETTER_QUEUE).removesuffix("Queue")
        chosen = [each for each in queues if each.name == wanted]
        if not chosen:
            known = ", ".join(each.name for each in queues)
            raise BadSettings(
                f"stack {options.stack} has no dead-letter queue {wanted!r}: use one of {known or 'none'}"
            )
        return chosen
    if not queues:
        raise BadSettings(f"stack {options.stack} has no dead-letter queues, and so is not Rollcall's")
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


def as_json(done: Done) -> Json:
    """Every message, with what becomes of it, or became of it."""
    return {
        "queues": [
            {
                "queue": each.queue.name + DEAD_LETTER_QUEUE,
                "received": len(each.letters),
                "held_by_others": each.held,
            }
            for each in done.taken
        ],
        "messages": [
            {
                "id": each.letter.id,
                "queue": each.letter.queue + DEAD_LETTER_QUEUE,
                "kind": each.kind,
                "groups": each.groups,
                "instances": each.instances,
                "since": each.since,
                "set_aside_at": each.letter.sent_at,
                "error": each.error,
                "message": each.remedy,
                "goes_back": each.back is not None,
                "reconciled": each.over,
                "stays": each.stays,
                "done": done.result.done.get(each.letter.id),
                "stayed": done.result.stayed.get(each.letter.id),
                "body": each.letter.body,
            }
            for each in done.entries
        ],
    }


def show(console: Console, done: Done, *, changing: bool) -> None:
    """Prints what is in the queues, or what became of it; what is alike is one entry."""
    now = time()
    for contents in done.taken:
        name = f"{contents.queue.name}{DEAD_LETTER_QUEUE}"
        own = [each for each in done.entries if each.letter.queue == contents.queue.name]
        if own:
            console.print(f"{name}: {_messages(len(own))}", style="bold")
        for alike in gathered(own):
            _show_alike(console, alike, done.result, now)
        if contents.held:
            console.print(
                f"{name}: about {_messages(contents.held)} more that another process has received (a console that "
                f"polls, or a run of this that was broken off): run this again in {duration(HELD)}"
            )
    if not done.entries and not done.left:
        others = any(each.letters for each in done.taken)
        console.print(
            "No message in the dead-letter queues is about it." if others else "The dead-letter queues are empty."
        )
    elif changing:
        console.print(f"\n{_counts(done)}", style="bold")
    else:
        fix = "" if all(each.stays for each in done.entries) else " Fix what is wrong; then ARGS=--send sends it back."
        console.print(f"\nNothing was changed.{fix}", style="bold")


def _counts(done: Done) -> str:
    """How many messages were sent, settled and deleted, and how many are left."""
    became = [done.result.done[each.letter.id] for each in done.entries if each.letter.id in done.result.done]
    sent = sum(each.startswith("sent back") for each in became)
    deleted = became.count("deleted")
    settled = len(became) - sent - deleted
    counts = {"sent back": sent, "settled by reconcile": settled, "deleted": deleted, "left": done.left}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count or what == "left")


def _show_alike(console: Console, alike: Sequence[Entry], result: Result, now: float) -> None:
    """Prints entries that differ only in their instances: what, since when, why, whose, and what becomes of them."""
    first = min(alike, key=lambda each: each.since)
    _print(console, _heading(alike, first, now), INDENT)
    _print(console, f"{first.error}: {first.remedy}", DEEPER)
    instances = sorted({one for each in alike for one in each.instances})
    if instances:
        more = f"  and {len(instances) - SAMPLES:,} more" if len(instances) > SAMPLES else ""
        _print(console, "  ".join(instances[:SAMPLES]) + more, DEEPER)
    by_fate: dict[str, list[Entry]] = {}
    for each in alike:
        by_fate.setdefault(_fate(each, result), []).append(each)
    for fate, own in list(by_fate.items())[:SAMPLES]:
        _print(console, f"-> {fate}" + (f" ({len(own):,})" if len(by_fate) > 1 else ""), DEEPER)
    if len(by_fate) > SAMPLES:
        _print(console, f"-> and {len(by_fate) - SAMPLES:,} more (--json shows all)", DEEPER)
    stuck = [each for each in alike if each.stays and each.letter.id not in result.done]
    for each in stuck[:SAMPLES]:
        _print(console, f"{_deletes(each.letter.id)}: {each.letter.body[:RAW_MAX]}", DEEPER)
    if len(stuck) > SAMPLES:
        _print(console, f"and {len(stuck) - SAMPLES:,} more (--json shows all)", DEEPER)


def _heading(alike: Sequence[Entry], first: Entry, now: float) -> str:
    """How many of what, of which groups, and since when."""
    many = f"{len(alike):,} x " if len(alike) > 1 else ""
    of = f", group {', '.join(first.groups)}" if first.groups else ""
    latest = max(each.since for each in alike)
    until = f" to {moment(latest)}" if moment(latest) != moment(first.since) else ""
    return f"{many}{first.kind}{of}, since {moment(first.since)}{until}, {duration(now - first.since)} old"


def _fate(each: Entry, result: Result) -> str:
    """What becomes, or became, of a message."""
    if done := result.done.get(each.letter.id):
        return done
    if each.stays:
        return f"stays: {each.stays}: look at it, and delete it once it is known:"
    if stayed := result.stayed.get(each.letter.id):
        return f"stays: {stayed}"
    ways = [f"goes back to {each.letter.queue}Queue"] if each.back is not None else []
    if each.over:
        of = "of its instance" if len(each.over) == 1 else f"of {len(each.over)} of its instances"
        ways.append(f"a reconcile {of} takes its place: {', '.join(sorted(set(each.over.values())))}")
    return "; ".join(ways)


def _deletes(letter_id: str) -> str:
    """What `make redrive` is to be given for a message to be deleted."""
    return make_arguments("--delete", letter_id)


def _print(console: Console, words: str, indent: str) -> None:
    """Prints a line as it is: a command in it that is broken into lines cannot be pasted."""
    console.print(Text(indent + words), soft_wrap=True)


def _messages(count: int) -> str:
    return f"{count:,} message" + ("" if count == 1 else "s")


if __name__ == "__main__":
    sys.exit(main())
