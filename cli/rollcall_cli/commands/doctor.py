"""Runs doctor on a deployed stack, and prints what is set up wrongly, with the remedies.

The doctor of a version that took messages from every topic of the account does not say what this one would cut off:
then this command reads AWS itself, as it does with --topics.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from rollcall import __version__
from rollcall.domain.findings import Severity
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.options import DEFAULT_STACK, AsJson, Groups, Profile, Region, Stack, connect
from rollcall_cli.screen import console, print_json, progress
from rollcall_cli.stack import DOCTOR, invoke, of_another_version
from rollcall_cli.topics import cut_off

if TYPE_CHECKING:
    from rich.console import Console

type Json = dict[str, Any]

ANSWER_TIMEOUT = 320  # seconds; the function's own timeout and a little
FIELDS = ("failed", "checked", "findings", "left_out", "seconds")
TITLES = {  # for one, for more; the worst first
    "breaks launches": ("BREAKS LAUNCHES", "BREAK LAUNCHES", "bold red"),
    "warning": ("warning", "warnings", "bold yellow"),
}
INDENT, REMEDY_INDENT = (0, 0, 0, 2), " " * 6


def doctor(
    stack: Stack = DEFAULT_STACK,
    group: Groups = None,
    topics: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERNS",
            help="only say which hooks and notifications a deployment with NotifyingTopicArns=PATTERNS would cut off",
        ),
    ] = None,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """What is set up wrongly, in AWS and in Tower, with the remedies.

    Ends with 1 when something breaks launches, or may, for it could not be read.
    """
    connect(region, profile)
    with progress("reading AWS and Tower; with many groups, or a Tower that does not answer, this takes minutes"):
        answer = answer_to(stack, group or [], topics)
    if as_json:
        print_json(answer)
    else:
        show(console(), answer)
    return ExitCode.ACT if answer["failed"] else ExitCode.OK


def answer_to(stack: str, groups: list[str], topics: str | None) -> Json:
    """What there is to print. topics: patterns that a deployment would name, None for the stack as it is.

    Raises NotRun.
    """
    if topics is not None:
        return foreseen(stack, topics, groups)
    answer = examine(stack, {"groups": groups} if groups else {})
    if "topics" in answer:
        return answer
    beforehand = foreseen(stack, "", groups)
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
        raise of_another_version(stack, DOCTOR, said)
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
    screen.print(f"\n{clean}{answer['seconds']:.1f} s{_deployed(answer)}")


def _deployed(answer: Json) -> str:
    """Which version is deployed, and that this command is another's, where that is known."""
    if "version" not in answer:  # of a stack before there was one, and of what is only foreseen
        return ""
    other = "" if answer["version"] == __version__ else f"; this command is of version {__version__}"
    return f", version {answer['version']}{other}"
