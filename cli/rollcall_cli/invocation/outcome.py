"""What became of one invocation of a function: in words, and as the exit code of the command that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollcall.bake.state import Phase
from rollcall_cli.exit_codes import ExitCode

from .log_lines import logged_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

type Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """words: a sentence for the operator. lines: what the answer reports, where it is a report."""

    code: ExitCode
    words: str
    lines: tuple[str, ...] = ()


def outcome(answer: object, log: str, *, failed: bool) -> Outcome:
    """What became of it.

    answer: the function's, or Lambda's description of its error. log: what it logged, as far as that is known. failed:
    Lambda says that the function ended in an error.
    """
    said: Json = answer if isinstance(answer, dict) else {}
    if failed:
        error, message = said.get("errorType", "error"), said.get("errorMessage", answer)
        return Outcome(ExitCode.ACT, f"The function ended in an error: {error}: {message}")
    if again := said.get("batchItemFailures"):
        messages = "1 message" if len(again) == 1 else f"{len(again)} messages"
        return Outcome(ExitCode.ACT, f"{messages} failed: a queue would bring what failed again. The log says why.")
    if (retired := _retired(said)) is not None:
        lines = tuple(_report(retired))
        if retired["warnings"]:
            return Outcome(ExitCode.ACT, "The run ended, and something in it failed: see the warnings.", lines)
        return Outcome(ExitCode.OK, "The run ended well.", lines)
    if said.get("failed"):
        return Outcome(ExitCode.ACT, "The run ended, and something in it failed: its answer says what.")
    if errors := logged_errors(log):
        return Outcome(ExitCode.ACT, f"The function ended, and logged an error: {errors[0]}")
    if "batchItemFailures" in said:
        return Outcome(ExitCode.OK, "Every message is done with.")
    return Outcome(ExitCode.OK, "The run ended well.")


def _retired(said: Json) -> Json | None:
    """What the bake function reports of old images between two bakes: a state of no execution. None for all else."""
    state = said.get("bake")
    is_report = isinstance(state, dict) and not state.get("execution") and state.get("phase") == Phase.ENDED
    return state if is_report else None


def _report(state: Json) -> Iterator[str]:
    """A line for each image or version."""
    if not state["removed"]:
        yield "no image and no version of the group goes"
    yield from (*state["removed"], *state["retained"])
    yield from (f"warning: {each}" for each in state["warnings"])
