"""Runs doctor on a deployed stack, and prints what is set up wrongly, with the remedies.

The doctor of a version that took messages from every topic of the account does not say what this one would cut off:
then this script reads AWS itself, as it does with --topics.
Exits with 0 when nothing breaks a launch, with 1 when something does, or may, for it could not be read; with 2 if
doctor cannot be run. Uses the AWS credentials and the Region of the shell it runs in.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from topics import cut_off

from rollcall.domain.findings import Severity
from stack import DOCTOR, NotRun, invoke

type Json = dict[str, Any]

ANSWER_TIMEOUT = 320  # seconds; the function's own timeout and a little
FIELDS = ("failed", "checked", "findings", "left_out", "seconds")
PIPE_WIDTH = 100_000  # characters, where there is no terminal: an entry is a line
TITLES = {  # for one, for more; the worst first
    "breaks launches": ("BREAKS LAUNCHES", "BREAK LAUNCHES", "bold red"),
    "warning": ("warning", "warnings", "bold yellow"),
}
INDENT, REMEDY_INDENT = (0, 0, 0, 2), " " * 6


def main() -> int:
    """Runs doctor and prints its answer. Returns the exit code."""
    options = _parser().parse_args()
    screen = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    try:
        with screen.status(
            "reading AWS and Tower; with many groups, or a Tower that does not answer, this takes minutes"
        ):
            answer = answer_to(options)
    except NotRun as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        show(screen, answer)
    return 1 if answer["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--stack", default="rollcall", help="Rollcall's stack (%(default)s)")
    parser.add_argument("--group", action="append", default=[], help="only this Auto Scaling group; repeat for more")
    parser.add_argument(
        "--topics",
        metavar="PATTERNS",
        help="only say which hooks and notifications a deployment with NotifyingTopicArns=PATTERNS would cut off",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as it came")
    return parser


def answer_to(options: argparse.Namespace) -> Json:
    """What there is to print. Raises NotRun."""
    if options.topics is not None:
        return foreseen(options.stack, options.topics, options.group)
    answer = examine(options.stack, {"groups": options.group} if options.group else {})
    if "topics" in answer:
        return answer
    beforehand = foreseen(options.stack, "", options.group)
    return answer | {
        "failed": answer["failed"] or beforehand["failed"],
        "findings": [*answer["findings"], *beforehand["findings"]],
        "checked": [*answer["checked"], *beforehand["checked"]],
    }


def foreseen(stack: str, patterns: str, groups: list[str]) -> Json:
    """What a deployment of this version with these NotifyingTopicArns would cut off, in the form of doctor's answer."""
    began = time.monotonic()
    findings = cut_off(stack, patterns, groups)
    return {
        "failed": any(each.severity == Severity.BREAKS_LAUNCHES for each in findings),
        "checked": [f"what a deployment of this version with NotifyingTopicArns={patterns!r} would cut off"],
        "findings": [each.in_words() for each in findings],
        "left_out": 0,
        "seconds": time.monotonic() - began,
    }


def examine(stack: str, request: Json) -> Json:
    """The answer of the stack's doctor. Raises NotRun."""
    said = invoke(stack, DOCTOR, request, ANSWER_TIMEOUT)
    if not said.keys() >= set(FIELDS):
        raise NotRun(
            f"DoctorFunction of stack {stack} does not answer as it should: {json.dumps(said)[:200]}\n"
            "Deploy this version, or use the script of the version that is deployed."
        )
    return said


def show(screen: Console, answer: Json) -> None:
    """Prints an answer: the findings by what comes of them, then what was examined."""
    for severity, (one, more, style) in TITLES.items():
        own = [each for each in answer["findings"] if each["severity"] == severity]
        if own:
            screen.print(f"{len(own):,} {one if len(own) == 1 else more}", style=style)
        for each in own:
            screen.print(Padding(Text(f"{each['subject']}: {each['reason']}"), INDENT, expand=False))
            # A command that is broken into lines cannot be pasted.
            screen.print(Text(f"{REMEDY_INDENT}remedy: {each['remedy']}"), soft_wrap=True)
        if own:
            screen.print()
    if answer["left_out"]:
        screen.print(f"{answer['left_out']:,} more left out: fix these first.\n")
    screen.print("examined", style="bold")
    for words in answer["checked"]:
        screen.print(Padding(Text(words), INDENT, expand=False))
    clean = "" if answer["findings"] else "Nothing is wrong. "
    screen.print(f"\n{clean}{answer['seconds']:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
