"""Runs reconcile on a deployed stack, and prints what came of it for people.

Exits with 0 when all is well, with 1 when a person has to look (the breaker tripped, or something failed), with 2 if
reconcile cannot be run. Uses the AWS credentials and the Region of the shell it runs in.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

type Json = dict[str, Any]

# A run may take nearly two minutes, and is not to be asked for twice.
ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=150)
COLUMNS = ("hosts", "managed", "removed", "fixed", "added", "requeued", "foreign", "conflicts", "seconds")
PIPE_WIDTH = 160  # characters, where there is no terminal
SHOWN_MAX = 50  # lines of a list, unless all are asked for


class NotRun(Exception):
    """Reconcile did not come to an answer. The text says why."""


def main() -> int:
    """Runs reconcile and prints its answer. Returns the exit code."""
    options = _parser().parse_args()
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    try:
        with console.status("reconciling Tower and EC2"):
            answer = invoke(options.stack, request_of(options))
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
    parser.add_argument("--provision", action="store_true", help="run the job on every instance that had no host")
    parser.add_argument("--force", action="store_true", help="remove hosts although the breaker would stop it")
    parser.add_argument(
        "--forget", action="append", default=[], metavar="GROUP", help="remove the hosts of a group that lost its tag"
    )
    parser.add_argument("--all", action="store_true", help=f"print whole lists, not only their first {SHOWN_MAX} lines")
    parser.add_argument("--json", action="store_true", help="print the answer as it came")
    return parser


def request_of(options: argparse.Namespace) -> Json:
    """What the function is asked for."""
    request: Json = {name: True for name in ("dry_run", "provision", "force") if getattr(options, name)}
    if options.group:
        request["groups"] = options.group
    if options.forget:
        request["forget"] = options.forget
    return request


def invoke(stack: str, request: Json) -> Json:
    """The function's answer. Raises NotRun."""
    try:
        resource = boto3.client("cloudformation", config=ONCE).describe_stack_resource(
            StackName=stack, LogicalResourceId="ReconcileFunction"
        )
        answer = boto3.client("lambda", config=ONCE).invoke(
            FunctionName=resource["StackResourceDetail"]["PhysicalResourceId"], Payload=json.dumps(request)
        )
        said: Json = json.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError) as error:
        raise NotRun(
            f"AWS cannot be asked: {error}\n"
            "Set credentials and a Region (AWS_PROFILE, AWS_REGION); name the stack with STACK=..."
        ) from error
    if "FunctionError" in answer:
        raise NotRun(
            f"Reconcile did nothing: {said.get('errorType', 'error')}: {said.get('errorMessage', said)}\n"
            "Nothing is changed where not everything could be read. The function's log may say more."
        )
    return said


def show(console: Console, answer: Json, most: int) -> None:
    """Prints an answer; of each list so many lines at most."""
    table = Table(title="dry run: nothing was changed" if answer["dry_run"] else None, title_justify="left")
    table.add_column("inventory")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for each in answer["inventories"]:
        table.add_row(Text(each["inventory"]), *(f"{each[name]:,}" for name in COLUMNS))
    console.print(table)
    steps = "would be done" if answer["dry_run"] else "done"
    _list(console, answer, "steps", steps, most, lambda each: (each["step"], each["instance_id"], each["reason"]))
    _list(console, answer, "findings", "to know", most, lambda each: (each["kind"], each["subject"], each["reason"]))
    _list(
        console,
        answer,
        "stopped",
        "NOT removed, for the breaker tripped: so many hosts of an inventory do not go at once unless you say --force",
        most,
        lambda each: (each["step"], each["host"], each["reason"]),
    )
    _list(console, answer, "troubles", "FAILED", most, lambda each: (each["what"], each["error"], each["message"]))
    if answer["left"]:
        console.print(f"{answer['left']:,} steps are left to the next run.")
    console.print(f"{answer['seconds']:.1f} s")


def _list(console: Console, answer: Json, name: str, title: str, most: int, words: Any) -> None:
    entries = answer[name]
    more = len(entries[most:]) + answer["left_out"].get(name, 0)
    if not entries:
        return
    table = Table(title=f"{len(entries) + answer['left_out'].get(name, 0):,} {title}", title_justify="left")
    for _ in range(4):
        table.add_column(overflow="fold")
    table.show_header = False
    for each in entries[:most]:
        table.add_row(*(Text(text) for text in (each.get("inventory", ""), *words(each))))
    console.print(table)
    if more:
        console.print(f"and {more:,} more (--all shows up to 2,000, narrow it with --group)")


if __name__ == "__main__":
    sys.exit(main())
