"""Begins an emergency of one group, lets in what waits and what arrives, and ends it again.

Whatever interrupts it, the tag says what a second run, or a restore, needs to go on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.groups import EMERGENCY_TAG, Group
from rollcall.domain.settings import MOMENT_FORMAT
from rollcall.evidence.job_reader import JobEvidence
from rollcall_cli.group_changes import DeleteTags
from rollcall_cli.proven import unproven
from rollcall_cli.running import NotRun
from rollcall_cli.tower import remedy_of, tower_of

from .plan import beginning, ending
from .record import TooLong, read_record
from .unproven import arrived_since

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from rollcall_cli.group_changes import Change
    from rollcall_cli.scaling_group import GroupState, LifecycleHook

    from .letting_in import LettingIn

ROUND_EVERY = 2.0  # seconds; far below the 30 s after which a hook lets an instance in that is missed

type Say = Callable[[str], None]


@dataclass(frozen=True)
class Unproven:
    """The instances that serve and that nothing has proven, by id with what is known. doubt: why that may be wrong."""

    reasons: Mapping[str, str]
    doubt: str = ""


def plan_beginning(state: GroupState, hooks: Collection[LifecycleHook]) -> list[Change]:
    """What is to be changed. Raises NotRun where nothing holds anything, or too many hooks do."""
    if not hooks:
        raise NotRun(
            f"Group {state.name!r} has no hook that this stack answers, so nothing of Rollcall's holds its instances. "
            "Nothing was changed. A hook that notifies a topic which the stack does not name: --hook."
        )
    moment = datetime.fromtimestamp(state.now, UTC).strftime(MOMENT_FORMAT)
    try:
        return beginning(state, list(hooks), moment)
    except TooLong as error:
        raise NotRun(f"{error}. Nothing was changed: name fewer hooks, or change them with the AWS CLI.") from error


def let_in(letting: LettingIn, seconds: float | None, say: Say, sleep: Callable[[float], None] = time.sleep) -> None:
    """Answer hooks until so many seconds have passed, or without end: until Ctrl-C. Raises NotRun, KeyboardInterrupt.

    An error that passes by itself is said, and the next round tries again: in an emergency nothing else does.
    """
    began, failed = time.monotonic(), ""
    while True:
        before = len(letting.launched), len(letting.terminated)
        try:
            letting.round()
            failed = ""
        except NotRun as error:
            if failed != str(error):
                say(f"{error}\nTried again every {ROUND_EVERY:.0f} s.")
            failed = str(error)
        launched, terminated = len(letting.launched) - before[0], len(letting.terminated) - before[1]
        if launched or terminated:
            say(f"let in {launched}, let go {terminated}; so far {len(letting.launched)} and {len(letting.terminated)}")
        if seconds is not None and time.monotonic() - began >= seconds:
            return
        sleep(ROUND_EVERY)


def restore(letting: LettingIn, state: GroupState, say: Say) -> list[Change]:
    """Put back what was recorded, the tag last; what was changed. Raises NotRun.

    What waits is let in before the hooks are put back and after: see plan.py.
    """
    changes = ending(state)
    for change in changes:
        if change == changes[0] or isinstance(change, DeleteTags):
            letting.round()
        change.apply(letting.group)
        say(change.words())
    return changes


def find_unproven(
    client: Any, parameters: Mapping[str, str], state: GroupState, since: float, let_in: Collection[str]
) -> Unproven:
    """Of the instances in service those that came since then, and that nothing has proven. since: epoch seconds.

    let_in: by this run; these may not be in service for another moment. Where Tower does not answer all that came are
    listed: better too many than one too few.
    """
    came = {*arrived_since(client, state.name, since)} & {*state.serving()} | {*let_in} & {*state.staying()}
    if not came:
        return Unproven({})
    try:
        settings = read_group_settings(Group(state.name, state.tags, {}))
        if settings is None:
            return Unproven(dict.fromkeys(sorted(came), "its group has no tag rollcall:inventory"))
        tower = tower_of(parameters)
        return Unproven(unproven(tower, JobEvidence(tower), settings, came))
    except BadSettings as error:
        return Unproven(dict.fromkeys(sorted(came), "not known"), f"{error}")
    except RollcallError as error:
        remedy = remedy_of(error)
        return Unproven(
            dict.fromkeys(sorted(came), "not known"),
            f"Tower cannot be asked: {error}" + (f": {remedy}" if remedy else ""),
        )


def began_at(tags: Mapping[str, str]) -> float:
    """When a group's emergency began, in epoch seconds; long ago if its tag does not say."""
    since = read_record(tags.get(EMERGENCY_TAG, "")).since
    try:
        return datetime.strptime(since, MOMENT_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
