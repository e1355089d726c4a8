"""The ways in which a command is about a cycle or a bake, and which of its options go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.workflow.names import DRY_KEY
from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun
from rollcall_cli.screen import progress_line

if TYPE_CHECKING:
    from collections.abc import Mapping

DRY_RUN, WATCH, LIST = "--dry-run", "--watch", "--list"
KEYLESS = {DRY_RUN: "a dry run is always a new one", LIST: "it lists all of them"}


def require_one_way(
    noun: str, ways: Mapping[str, bool], group: str | None, key: str | None, *, has_options: bool
) -> None:
    """Raises NotRun where options do not go together.

    ways: by option, whether it was given: another way than that a new one is started. has_options: whether any option
    of a new one was given.
    """
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise NotRun(f"{given[0]} and {given[1]} are two things: name one.")
    way = given[0] if given else ""
    if group is None and (way not in ("", LIST) or key is not None or has_options):
        raise NotRun(f"Name the group. Without one, and without these options, the last {noun}s are listed.")
    if way not in ("", DRY_RUN) and has_options:
        raise NotRun(f"{way} is about what is there already: options of a new {noun} change nothing about it.")
    if key is not None and way not in ("", WATCH):
        why = KEYLESS.get(way, f"of a group one {noun} runs at most")
        raise NotRun(f"{way} takes no --key: {why}.")
    if key is not None and (not key.strip() or key.startswith(DRY_KEY)):
        raise NotRun(f"--key={key}: give a key that is not empty, and does not begin with {DRY_KEY}")


def agreed(question: str, *, yes: bool) -> bool:
    """Whether a new one may begin: on a terminal the operator is asked, unless it is agreed already."""
    if Questions.of(yes=yes).confirm(question, "--yes", otherwise=True):
        return True
    progress_line("Nothing was changed.")
    return False
