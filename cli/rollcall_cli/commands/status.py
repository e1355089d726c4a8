"""What every instance that waits is waiting for right now, and how the stack fares. It changes nothing."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from rollcall.aws.fleet import Fleet
from rollcall.domain.stages import grouped
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Profile, Region, Stack, connect
from rollcall_cli.running import NotRun
from rollcall_cli.screen import console, in_lines, print_json, progress, progress_line
from rollcall_cli.stack_parts import read_stack
from rollcall_cli.status.answer import answer_of
from rollcall_cli.status.reading import StatusReader
from rollcall_cli.status.surroundings import Surroundings
from rollcall_cli.status.words import around, entry_of, needs_operator, summary
from rollcall_cli.times import clock
from rollcall_cli.tower import tower_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from rollcall_cli.status.reading import Status
    from rollcall_cli.status.words import Entry

SHORTEST_INTERVAL = 5  # seconds; the gate itself evaluates no more often a check that does not pass
INTERVAL = 10  # seconds
INDENT, DEEPER = 2, 6  # blanks


def status(
    group: Annotated[
        list[str] | None,
        typer.Argument(metavar="GROUP", help="only these Auto Scaling groups", show_default=False),
    ] = None,
    stack: Stack = DEFAULT_STACK,
    watch: Annotated[bool, typer.Option("--watch", help="show it again and again, until Ctrl-C")] = False,
    every: Annotated[
        int, typer.Option(metavar="SECONDS", min=SHORTEST_INTERVAL, help="seconds between two with --watch")
    ] = INTERVAL,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """What every instance that waits is waiting for, and how the stack fares. Changes nothing.

    Ends with 1 when an operator has to act: an instance is held, an alarm sounds, a dead letter is there, or
    something cannot be read.
    A token of yours in ROLLCALL_TOWER_TOKEN takes the place of the stack's secret.
    """
    connected = connect(region, profile)
    with progress("reading the stack"):
        parts = read_stack(stack, connected)
    tower = tower_of(parts.parameters)
    reader = StatusReader(parts, Fleet(connected), tower, Surroundings(parts, time.time))
    names = list(dict.fromkeys(group or []))
    given = Given(stack, region, profile).rollcall
    found = _read(reader, names)
    _print(found, given, as_json=as_json)
    while watch:
        time.sleep(every)
        try:
            found = _read(reader, names)
        except NotRun as error:
            progress_line(f"{clock(time.time())}: {error}\nIt is read again in {every} s.")
            continue
        _print(found, given, as_json=as_json, anew=True)
    return ExitCode.ACT if needs_operator(found) else ExitCode.OK


def _read(reader: StatusReader, names: list[str]) -> Status:
    with progress("reading Auto Scaling") as under_way:
        return reader.read(names, under_way.update)


def _print(found: Status, given: Sequence[str], *, as_json: bool, anew: bool = False) -> None:
    if as_json:
        print_json(answer_of(found))
        sys.stdout.flush()
        return
    screen = console()
    if anew:
        screen.clear() if screen.is_terminal else screen.print()
    show(screen, found, given)
    sys.stdout.flush()


def show(screen: Console, found: Status, given: Sequence[str] = ()) -> None:
    """Prints a status: its summary, the groups with those that wait, and what is around them.

    An entry is a paragraph on a terminal, and a line elsewhere. given: options for the commands in it.
    """
    screen.print(summary(found), style="bold red" if needs_operator(found) else "bold green")
    screen.print(f"stack {found.stack}, {found.region}, {clock(found.at)}; {_groups_words(found)}\n")
    for name, own in grouped(found.waits, lambda each: each.group).items():
        if screen.is_terminal:
            screen.print(f"{name}: {len(own):,} wait{'s' if len(own) == 1 else ''}", style="bold")
        for each in own:
            _show(screen, entry_of(each, found.at), f"{name}: ")
    if found.waits:
        screen.print()
    for entry in around(found, given):
        _show(screen, entry, "")


def _groups_words(found: Status) -> str:
    if not found.groups:
        return "no group has opted in with the tag rollcall:inventory"
    return f"{len(found.groups):,} group{'' if len(found.groups) == 1 else 's'}"


def _show(screen: Console, entry: Entry, prefix: str) -> None:
    if not screen.is_terminal:
        parts = "; ".join(each.text for each in entry.lines)
        screen.print(Text(f"{prefix}{entry.heading}" + (f": {parts}" if parts else "")), soft_wrap=True)
        return
    style = "red" if entry.acts else ""
    screen.print(Padding(Text(entry.heading, style=style), (0, 0, 0, INDENT if prefix else 0), expand=False))
    for each in entry.lines:
        if each.is_pasted:
            *clauses, last = each.text.split("; ")  # broken within one, a link or a command cannot be pasted
            for line in in_lines([*(f"{clause};" for clause in clauses), last], 1, screen.width - DEEPER):
                screen.print(Text(" " * DEEPER + " ".join(line)), soft_wrap=True)
        else:
            screen.print(Padding(Text(each.text), (0, 0, 0, DEEPER), expand=False))
