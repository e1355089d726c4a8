"""Shows what is in a stack's dead-letter queues, in words; with --send sends it back, once what was wrong is fixed."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from rollcall_cli.dead_letters.letters import gathered
from rollcall_cli.dead_letters.queues import DEAD_LETTER_QUEUE, HELD
from rollcall_cli.dead_letters.redrive import Request, delete_command, run
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.running import NotRun
from rollcall_cli.screen import console, print_json, progress, progress_line
from rollcall_cli.times import duration, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from rollcall_cli.dead_letters.letters import Entry
    from rollcall_cli.dead_letters.redrive import Done, Result

type Json = dict[str, Any]

SAMPLES = 5  # instances named of an entry, and messages shown that cannot be read
RAW_MAX = 500  # characters shown of what cannot be read
INDENT, DEEPER = "  ", "      "


def redrive(
    stack: Stack = DEFAULT_STACK,
    send: Annotated[bool, typer.Option("--send", help="send back what is shown; reconcile what is over")] = False,
    delete: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="delete this message for good; repeat for more")
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="only this queue's dead letters: Launch, Gate, Terminate, Alert")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="only messages about this Auto Scaling group")
    ] = None,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """What is in the dead-letter queues, in words; --send sends it back, once what was wrong is fixed.

    A message whose hook waits no more is not sent back: a run of reconcile does what is left to do about its instance.
    Ends with 1 as long as something is left in the queues.
    """
    if send and delete:
        raise NotRun("--send and --delete exclude each other: delete first, then send the rest.")
    connect(region, profile)
    given = Given(stack, region, profile).rollcall
    wanted = Request(stack, send=send, delete=delete or (), queue=queue, group=group, given=given)
    try:
        with progress("reading AWS") as status:
            done = run(wanted, status.update)
    except KeyboardInterrupt:
        progress_line("Interrupted. Nothing is lost: what was not sent is still in its queue.")
        return ExitCode.INTERRUPTED
    if as_json:
        print_json(answer_of(done))
    else:
        show(console(), done, given, changing=bool(send or delete))
    missing = set(wanted.delete) - {each.letter.id for each in done.entries}
    for each in sorted(missing):
        progress_line(f"No message {each} is in the dead-letter queues, or another process has received it.")
    return ExitCode.ACT if missing or done.left else ExitCode.OK


def answer_of(done: Done) -> Json:
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


def show(console: Console, done: Done, given: Sequence[str], *, changing: bool) -> None:
    """Prints what is in the queues, or what became of it; what is alike is one entry."""
    now = time()
    for contents in done.taken:
        name = f"{contents.queue.name}{DEAD_LETTER_QUEUE}"
        own = [each for each in done.entries if each.letter.queue == contents.queue.name]
        if own:
            console.print(f"{name}: {_messages(len(own))}", style="bold")
        for alike in gathered(own):
            _show_alike(console, alike, done.result, now, given)
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
        fix = "" if all(each.stays for each in done.entries) else " Fix what is wrong; then --send sends it back."
        console.print(f"\nNothing was changed.{fix}", style="bold")


def _counts(done: Done) -> str:
    """How many messages were sent, settled and deleted, and how many are left."""
    became = [done.result.done[each.letter.id] for each in done.entries if each.letter.id in done.result.done]
    sent = sum(each.startswith("sent back") for each in became)
    deleted = became.count("deleted")
    settled = len(became) - sent - deleted
    counts = {"sent back": sent, "settled by reconcile": settled, "deleted": deleted, "left": done.left}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count or what == "left")


def _show_alike(console: Console, alike: Sequence[Entry], result: Result, now: float, given: Sequence[str]) -> None:
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
        _print(console, each.letter.body[:RAW_MAX], DEEPER)
        _print(console, delete_command(each.letter.id, given), DEEPER)
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


def _print(console: Console, words: str, indent: str) -> None:
    """Prints a line as it is: a command in it that is broken into lines cannot be pasted."""
    console.print(Text(indent + words), soft_wrap=True)


def _messages(count: int) -> str:
    return f"{count:,} message" + ("" if count == 1 else "s")
