"""Runs reconcile on a deployed stack, and prints what came of it.

Exits with 0 when all is well, with 1 when the operator has to act (the removal limit stopped something, or something
failed), with 2 if reconcile cannot be run. Uses the AWS credentials and the Region of the shell it runs in.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# How commands are written the functions' code says; a script that is called by its path has to find that by itself.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "common"))

from rollcall.domain.shell_commands import make_command, options
from stack import NotRun, invoke

type Json = dict[str, Any]

COUNTED = ("hosts", "managed", "foreign", "conflicts")
DONE = ("removed", "fixed", "added", "requeued")
LISTS = ("steps", "findings", "stopped", "troubles")
PIPE_WIDTH = 100_000  # characters, where there is no terminal: an entry is a line
INDENT, SUBJECTS_INDENT = (0, 0, 0, 2), (0, 0, 0, 6)  # characters
SHOWN_MAX = 50  # entries of a list, and hosts of an entry, unless all are requested


def main() -> int:
    """Runs reconcile and prints its answer. Returns the exit code."""
    options = _parser().parse_args()
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    try:
        with console.status("reconciling Tower and EC2"):
            answer = reconcile(options.stack, request_of(options))
    except NotRun as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        show(console, answer, sys.maxsize if options.all else SHOWN_MAX)
    return 1 if answer["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stack", default="rollcall", help="Rollcall's stack (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument("--group", action="append", default=[], help="only this Auto Scaling group; repeat for more")
    parser.add_argument(
        "--instance", action="append", default=[], metavar="ID", help="only this instance; repeat for more"
    )
    parser.add_argument("--provision", action="store_true", help="run the job on every instance that had no host")
    parser.add_argument("--force", action="store_true", help="remove hosts although the removal limit would stop it")
    parser.add_argument(
        "--forget", action="append", default=[], metavar="GROUP", help="remove the hosts of a group that lost its tag"
    )
    parser.add_argument(
        "--all", action="store_true", help=f"print up to 2,000 entries of each list, not only the first {SHOWN_MAX}"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as it came")
    return parser


def request_of(options: argparse.Namespace) -> Json:
    """What is requested of the function."""
    request: Json = {name: True for name in ("dry_run", "provision", "force") if getattr(options, name)}
    if options.group:
        request["groups"] = options.group
    if options.instance:
        request["instances"] = options.instance
    if options.forget:
        request["forget"] = options.forget
    return request


def reconcile(stack: str, request: Json) -> Json:
    """The answer of the stack's reconcile. Raises NotRun."""
    said = invoke(stack, "ReconcileFunction", request)
    if not {"failed", "inventories", "instances", "nodes", *LISTS} <= said.keys():
        raise NotRun(
            f"ReconcileFunction of stack {stack} does not answer as it should: {json.dumps(said)[:200]}\n"
            "Deploy this version, or use the script of the version that is deployed."
        )
    return said


def show(console: Console, answer: Json, most: int) -> None:
    """Prints an answer; of each list so many entries at most."""
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
    forced = _force(answer["stopped"])
    stopped = f"NOT removed, for the removal limit stopped it: too many at once. If the list is right: {forced}"
    _list(console, answer, "stopped", stopped, most, lambda each: (each["step"], _subject(each), each["reason"]))
    _list(console, answer, "troubles", "FAILED", most, lambda each: (each["what"], "", each["message"]))
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


def _force(stopped: Sequence[Json]) -> str:
    """The command that takes the steps that were stopped, and as little else as can be."""
    groups = sorted({each.get("group") or "" for each in stopped})
    return make_command("reconcile", "--force", *options("--group", () if "" in groups else groups))


def _subject(step: Json) -> str:
    """What a step is about: a node in Chef, a host that is not to go, or an instance."""
    return str(step.get("node") or step.get("host") or step["instance_id"])


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


if __name__ == "__main__":
    sys.exit(main())
