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
from rollcall.evidence.proofs import unproven
from rollcall_cli.running import NotRun
from rollcall_cli.tower import remedy_of, tower_of

from . import arrivals
from .plan import beginning, ending
from .record import TooLong, read_record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from rollcall_cli.group_changes import Change
    from rollcall_cli.lifecycle_hooks import LifecycleHook
    from rollcall_cli.scaling_group import GroupState, ScalingGroup

    from .letting_in import LettingIn

ROUND_EVERY = 2.0  # seconds; far below the 30 s after which a hook lets an instance in that is missed
RETRIES = 30  # of a step of a restore, a minute: what began under 30 s has run out by then, one way or the other

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


def begin(group: ScalingGroup, changes: Sequence[Change], back: str, say: Say) -> None:
    """Make these changes. back: the command that ends the emergency. Raises NotRun, KeyboardInterrupt."""
    half = f"The emergency may have begun, in part: run this again to go on with it, or end it: {back}"
    try:
        for each in changes:
            each.apply(group)
    except NotRun as error:
        raise NotRun(f"{error}\n{half}") from error
    except KeyboardInterrupt:
        say(half)
        raise


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


def restore(
    letting: LettingIn, state: GroupState, back: str, say: Say, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Put back what was recorded, the tag last. What waits is let in before each change: see plan.py.

    An error is said and the step tried again: once a hook is put back, what waits has seconds. back: the command that
    goes on. Raises NotRun, KeyboardInterrupt; what is left is said with either.
    """
    left = ending(state)
    try:
        while left:
            _patiently(lambda: _step(letting, left[0]), say, sleep)
            say(left[0].words())
            del left[0]
    except NotRun as error:
        raise NotRun(f"{error}\n{_unfinished(left, back)}") from error
    except KeyboardInterrupt:
        say(_unfinished(left, back))
        raise


def _step(letting: LettingIn, change: Change) -> None:
    letting.round()
    change.apply(letting.group)


def _patiently(step: Callable[[], None], say: Say, sleep: Callable[[float], None]) -> None:
    said = ""
    for _ in range(RETRIES):
        try:
            return step()
        except NotRun as error:
            if said != str(error):
                said = str(error)
                say(f"{said}\nTried again every {ROUND_EVERY:.0f} s, for about a minute.")
        sleep(ROUND_EVERY)
    return step()


def _unfinished(left: Sequence[Change], back: str) -> str:
    steps = "; ".join(each.words() for each in left)
    return f"The emergency is not over. Left to do: {steps}. What waits may be abandoned soon. Go on with: {back}"


def read_again(group: ScalingGroup, seen: GroupState) -> tuple[GroupState, str]:
    """The group now; where that fails as it was seen last, and a doubt that says so."""
    try:
        return group.read(), ""
    except NotRun as error:
        return seen, f"the group cannot be read now, so this is how it was a while ago ({_one_line(error)})"


def find_unproven(
    client: Any, parameters: Mapping[str, str], state: GroupState, since: float, let_in: Collection[str]
) -> Unproven:
    """Of the instances in service those that came since then, and that nothing has proven. since: epoch seconds.

    let_in: by this run; these may not be in service for another moment. Where the activities do not say who came all
    that serve are asked about, and where Tower does not answer all that came are listed: better too many than one too
    few.
    """
    serving = {*state.serving()}
    came, doubt = _came(client, state.name, since)
    asked = (serving if came is None else serving & came) | {*let_in} & {*state.staying()}
    if not asked:
        return Unproven({}, doubt)
    try:
        settings = read_group_settings(Group(state.name, state.tags, {}))
        if settings is None:
            return Unproven(dict.fromkeys(sorted(asked), "its group has no tag rollcall:inventory"), doubt)
        tower = tower_of(parameters)
        return Unproven(unproven(tower, JobEvidence(tower), settings, asked), doubt)
    except BadSettings as error:
        also = f"{error}"
    except RollcallError as error:
        remedy = remedy_of(error)
        also = f"Tower cannot be asked: {error}" + (f": {remedy}" if remedy else "")
    return Unproven(dict.fromkeys(sorted(asked), "not known"), "; ".join(filter(None, (doubt, also))))


def _came(client: Any, group: str, since: float) -> tuple[frozenset[str] | None, str]:
    """Who came since then, None where that is not known, and the doubt that this leaves."""
    all_ = "who came since it began is not known, so all that serve were asked about"
    try:
        arrived = arrivals.arrived_since(client, group, since)
    except NotRun as error:
        return None, f"{all_} ({_one_line(error)})"
    if not arrived.complete:
        return None, f"{all_} (the group has had more than {arrivals.ACTIVITIES_MAX:,} activities)"
    return arrived.instance_ids, ""


def _one_line(error: NotRun) -> str:
    return " ".join(str(error).split())


def began_at(tags: Mapping[str, str]) -> float:
    """When a group's emergency began, in epoch seconds; long ago if its tag does not say."""
    since = read_record(tags.get(EMERGENCY_TAG, "")).since
    try:
        return datetime.strptime(since, MOMENT_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
