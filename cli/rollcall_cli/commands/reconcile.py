"""Runs reconcile on a deployed stack, and prints what came of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rollcall.domain.shell_commands import command, options
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Given, Groups, Profile, Region, Stack, connect
from rollcall_cli.reconcile_run import LISTS, answer_of
from rollcall_cli.screen import console, print_json, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

type Json = dict[str, Any]

COUNTED = ("hosts", "managed", "foreign", "conflicts")
DONE = ("removed", "fixed", "added", "requeued")
INDENT, SUBJECTS_INDENT = (0, 0, 0, 2), (0, 0, 0, 6)  # characters
SHOWN_MAX = 50  # entries of a list, and hosts of an entry, unless all are requested


def reconcile(
    stack: Stack = DEFAULT_STACK,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and change nothing")] = False,
    group: Groups = None,
    instance: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="only this instance; repeat for more")
    ] = None,
    provision: Annotated[
        bool, typer.Option("--provision", help="run the job on every instance that had no host")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="remove hosts although the removal limit would stop it")
    ] = False,
    forget: Annotated[
        list[str] | None, typer.Option(metavar="GROUP", help="remove the hosts of a group that lost its tag")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help=f"print up to 2,000 entries of each list, not only the first {SHOWN_MAX}")
    ] = False,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """One run of reconcile: Tower and EC2 made to agree, and what came of it.

    Ends with 1 when the removal limit stopped something, or something failed.
    """
    connect(region, profile)
    request: Json = {
        "dry_run": dry_run,
        "provision": provision,
        "force": force,
        "groups": group,
        "instances": instance,
        "forget": forget,
    }
    with progress("reconciling Tower and EC2"):
        answer = answer_of(stack, {name: value for name, value in request.items() if value})
    if as_json:
        print_json(answer)
    else:
        show(console(), answer, sys.maxsize if every else SHOWN_MAX, Given(stack, region, profile).rollcall)
    return ExitCode.ACT if answer["failed"] else ExitCode.OK


def show(console: Console, answer: Json, most: int, given: Sequence[str] = ()) -> None:
    """Prints an answer; of each list so many entries at most. given: options for the commands in it."""
    if answer["dry_run"]:
        console.print("dry run: nothing was changed", style="bold")
    if answer["inventories"]:
        console.print(_table(answer))
    else:
        console.print("No Auto Scaling group has the tag rollcall:inventory, and no host is Rollcall's.")
    nodes = answer["nodes"]
    if nodes["ours"]:
        console.print(
            f"Chef: {nodes['ours']:,} nodes are ours" + ("" if answer["dry_run"] else f", {nodes['removed']:,} removed")
        )
    done = "would be done" if answer["dry_run"] else "done"
    _list(console, answer, "steps", done, most, lambda each: (_done(each), _subject(each), each["reason"]))
    _list(console, answer, "findings", "to know", most, lambda each: (each["kind"], each["subject"], each["reason"]))
    forced = _force(answer["stopped"], given)
    stopped = f"NOT removed, for the removal limit stopped it: too many at once. If the list is right: {forced}"
    _list(console, answer, "stopped", stopped, most, lambda each: (each["step"], _subject(each), each["reason"]))
    _list(console, answer, "troubles", "FAILED", most, lambda each: (each["what"], "", each["message"]))
    _due(console, answer, most)
    if answer["left"]:
        console.print(f"\n{answer['left']:,} steps are left to the next run.")
    if answer["instances"]:
        console.print("\nasked for", style="bold")
        for instance_id, said in answer["instances"].items():
            left = "" if said["settled"] else "not settled: "
            console.print(Padding(Text(f"{instance_id}: {left}{said['reason']}"), INDENT, expand=False))
    if more := answer["left_out"].get("instances"):
        console.print(Padding(f"and {more:,} more: ask for fewer at once", INDENT, expand=False))
    agree = (
        "" if answer["instances"] or any(answer[name] for name in LISTS) or answer["left"] else "Tower and EC2 agree. "
    )
    console.print(f"\n{agree}{answer['seconds']:.1f} s")


def _table(answer: Json) -> Table:
    """What was counted in each inventory, and in a real run what was done."""
    columns = (*COUNTED, *(() if answer["dry_run"] else DONE))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("inventory")
    for name in (*columns, "seconds"):
        table.add_column(name, justify="right")
    for each in answer["inventories"]:
        numbers = [f"{each[name]:,}" for name in columns]
        table.add_row(Text(each["inventory"]), *numbers, f"{each['seconds']:.1f}")
    return table


def _done(step: Json) -> str:
    """What was done, or would be, with the number of the job in Tower."""
    return str(step["step"]) if step.get("job") is None else f"{step['step']} by job {step['job']}"


def _force(stopped: Sequence[Json], given: Sequence[str] = ()) -> str:
    """The command that takes the steps that were stopped, and as little else as can be."""
    groups = sorted({each.get("group") or "" for each in stopped})
    named = options("--group", () if "" in groups else groups)
    return command("rollcall", "reconcile", "--force", *given, *named)


def _subject(step: Json) -> str:
    """What a step is about: a node in Chef, a host that is not to go, or an instance."""
    return str(step.get("node") or step.get("host") or step["instance_id"])


def _due(console: Console, answer: Json, most: int) -> None:
    """Prints the bakes and cycles that are due by tags; a stack of an earlier version does not name them."""
    if due := answer.get("due"):
        console.print(f"\n{len(due):,} due by tags", style="bold")
    for each in (due or ())[:most]:
        _entry(console, f"{each['state']}: {each['what']} {each['name']}: {each['reason']}")


def _list(
    console: Console, answer: Json, name: str, title: str, most: int, words: Callable[[Json], tuple[str, str, str]]
) -> None:
    """Prints a list; what differs only in its subject is one entry."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in answer[name]:
        what, subject, reason = words(each)
        alike.setdefault((each.get("inventory", ""), what, reason), []).append(subject)
    if not alike:
        return
    total = len(answer[name]) + answer["left_out"].get(name, 0)
    console.print(f"\n{total:,} {title}", style="bold", soft_wrap=True)
    shown = 0
    for (inventory, what, reason), subjects in list(alike.items())[:most]:
        where = f"{inventory}: {what}" if inventory else what
        if len(subjects) == 1:
            _entry(console, f"{where} {subjects[0]}".rstrip() + f": {reason}")
        else:
            _entry(console, f"{where} ({len(subjects):,}): {reason}")
            console.print(Padding(Text("  ".join(subjects[:most])), SUBJECTS_INDENT, expand=False))
        shown += len(subjects[:most])
    if shown < total:
        console.print(
            Padding(f"and {total - shown:,} more (--all shows up to 2,000, --group fewer)", INDENT, expand=False)
        )


def _entry(console: Console, words: str) -> None:
    """Prints a line as it is: a command in it that is broken into lines cannot be pasted."""
    console.print(Text(f"  {words}"), soft_wrap=True)
