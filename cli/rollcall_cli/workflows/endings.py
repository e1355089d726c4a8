"""How a cycle or a bake ended, as far as both say it alike: the exit code, a heading, objections. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.times import shortly

from .execution import Execution, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rollcall.domain.objections import Objection
    from rollcall_cli.options import Given

type Json = dict[str, Any]

ENDED_OUTSIDE = {
    Status.ABORTED: "its execution was stopped by hand",
    Status.TIMED_OUT: "its execution ran out of time",
}
REFUSED, DRY_RUN, ROLLED_BACK, CANCELLED = "refused", "dry run", "rolled back", "cancelled"  # results of both kinds
ENDED_AS = {
    ROLLED_BACK: "was rolled back",
    "rolled back by hand": "was rolled back by hand",
    CANCELLED: "was cancelled",
}


INLINE_MAX = 100  # characters of a reason that stands in the first line
EXECUTION_ARN = re.compile(r"arn:[\w-]+:states:[\w-]+:\d+:execution:[\w-]+:([\w-]+)")


class Ending(NamedTuple):
    """How one ended: a sentence, what else there is to know line by line."""

    heading: str
    lines: Sequence[str]


class Kind[E: Execution[Any]](NamedTuple):
    """What a kind of workflow says of its end.

    noun: "cycle" or "bake". untouched: what a refusal came before. settled: what Rollcall does after an end that no
    step brought about. own: by result, the sentence of one that needs one of its own, without its end. plain:
    results whose reason says no more than that. lines: what there is to know; given: the options that the command was
    given, for those that come next.
    """

    noun: str
    untouched: str
    settled: str
    own: Callable[[E], Mapping[str, str]]
    plain: Collection[str]
    lines: Callable[[E, Given], Iterable[str]]


def code_of(execution: Execution[Any]) -> ExitCode:
    """What the command ends with: OK only for what did what it was asked for."""
    state = execution.state
    if state is None or state.result is None or execution.status not in (Status.SUCCEEDED, Status.FAILED):
        return ExitCode.ACT
    if is_refused(state):
        return ExitCode.REFUSED
    return ExitCode.OK if state.result.went_well and execution.status == Status.SUCCEEDED else ExitCode.ACT


def stopped_as(execution: Execution[Any], result: str) -> bool:
    """Whether it ended as an operator wanted who stopped it: as cancelled, or rolled back, and nothing is left."""
    if execution.is_cancelled:
        return result == CANCELLED
    state = execution.state
    own = state is not None and state.result == result and execution.status == Status.FAILED
    return own and execution.error in ("", result)


def is_refused(state: Any) -> bool:
    """Whether pre-flight refused it, or would."""
    return bool(state.result == REFUSED or (state.result == DRY_RUN and state.objections))


def ending_of[E: Execution[Any]](execution: E, kind: Kind[E], given: Given) -> Ending:
    """How one ended by its own steps, for an operator. given: as Kind has it."""
    state = execution.state
    if state is None or state.result is None:
        group = str(execution.request.get("group", ""))
        return Ending(f"The {kind.noun} of group {group!r} FAILED: {error_words(execution)}", (kind.settled,))
    is_said = state.result in kind.plain or (is_refused(state) and state.objections)  # that of a refusal joins theirs
    reason = "" if is_said else without_arns(state.reason)
    inline, own = (reason, ()) if len(reason) <= INLINE_MAX else ("", (reason,))
    lines = [*own, *objection_lines(state.objections), *kind.lines(execution, given)]
    if execution.status == Status.FAILED and execution.error not in ("", state.result):  # its error is not its result
        lines += [f"the last step failed, so that something may be left: {error_words(execution)}", kind.settled]
    return Ending(_heading(execution, kind, inline), lines)


def error_words(execution: Execution[Any]) -> str:
    """Why one ended whose steps do not say it."""
    said = ": ".join(filter(None, (execution.error, execution.cause)))
    return said or "its steps do not say how it ended: is the stack of another version than this command?"


def _heading[E: Execution[Any]](execution: E, kind: Kind[E], said: str) -> str:
    state: Any = execution.state
    of_group, reason = f"{kind.noun} of group {state.group!r}", f": {said}" if said else "."
    if state.result.went_well and execution.status != Status.SUCCEEDED:
        return f"The {of_group} FAILED at its last step, after it had ended as: {state.result}{reason}"
    if own := kind.own(execution).get(state.result):
        return f"{own}{reason}"
    if state.result == DRY_RUN and not state.objections:
        return f"Dry run: nothing speaks against a {of_group}. Nothing was changed."
    if is_refused(state):
        for_what = f", for {number(len(state.objections), 'objection')}." if state.objections else reason
        if state.result == DRY_RUN or execution.is_dry_run:
            return f"Dry run: a {of_group} would be refused{for_what}"
        before = f" before anything was {kind.untouched}" if state.objections else ""
        return f"The {of_group} was refused{before}{for_what}"
    return f"The {of_group} {ENDED_AS.get(state.result, 'FAILED')} after {shortly(execution.seconds)}{reason}"


def without_arns(text: str) -> str:
    """A text with the names of executions in the place of their ARNs."""
    return EXECUTION_ARN.sub(r"\1", text)


def objection_lines(objections: Iterable[Objection]) -> Iterator[str]:
    """Each objection with its remedy."""
    for each in objections:
        yield f"{each.what}: {each.reason}"
        yield f"  remedy: {each.remedy}"


def number(many: int, what: str) -> str:
    """So many of something: "1 objection", "2 objections"."""
    return f"{many:,} {what}{'' if many == 1 else 's'}"


def answer_of(execution: Execution[Any], noun: str, url: str, *, attached: bool) -> Json:
    """How one ended, for a program. Times in epoch seconds, to the millisecond.

    refused: whether pre-flight refused it, or of a dry run would.
    """
    state = execution.state
    return {
        "group": execution.request.get("group"),
        noun: execution.name,
        "execution": execution.arn,
        "execution_url": url,
        "attached": attached,
        "status": str(execution.status),
        "result": str(state.result) if state and state.result else None,
        "refused": code_of(execution) == ExitCode.REFUSED,
        "reason": state.reason if state else error_words(execution),
        "began": round(execution.began, 3),
        "ended": None if execution.ended is None else round(execution.ended, 3),
        "state": state.to_json() if state else None,
    }
