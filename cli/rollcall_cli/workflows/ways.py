"""The ways in which a command is about a cycle or a bake, and which of its options go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.workflow.names import DRY_KEY, is_tag_key
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
    if key is not None:
        _require_own_key(key, noun, starts=way != WATCH)


def _require_own_key(key: str, noun: str, *, starts: bool) -> None:
    """Raises NotRun for a key that an operator may not give. starts: whether it would name a new one.

    One like those of tags would count as started by a tag: it would be published when it is refused, and the tag would
    start none of that name any more.
    """
    if not key.strip() or key.startswith(DRY_KEY):
        raise NotRun(f"--key={key}: give a key that is not empty, and does not begin with {DRY_KEY}")
    if starts and is_tag_key(key):
        raise NotRun(
            f"--key={key}: keys like v7 and sched-2026-12-06 name what a tag starts. Give another one, like run-{key}; "
            f"to see the {noun} that a tag started, --watch --key {key}"
        )


def agreed(question: str, *, yes: bool) -> bool:
    """Whether a new one may begin: on a terminal the operator is asked, unless it is agreed already."""
    if Questions.of(yes=yes).confirm(question, "--yes", otherwise=True):
        return True
    progress_line("Nothing was changed.")
    return False
