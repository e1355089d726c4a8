"""What became of one invocation of a function: in words, and as the exit code of the command that made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollcall_cli.exit_codes import ExitCode

from .log_lines import logged_errors


@dataclass(frozen=True)
class Outcome:
    """words: a sentence for the operator."""

    code: ExitCode
    words: str


def outcome(answer: object, log: str, *, failed: bool) -> Outcome:
    """What became of it.

    answer: the function's, or Lambda's description of its error. log: what it logged, as far as that is known. failed:
    Lambda says that the function ended in an error.
    """
    said: dict[str, Any] = answer if isinstance(answer, dict) else {}
    if failed:
        error, message = said.get("errorType", "error"), said.get("errorMessage", answer)
        return Outcome(ExitCode.ACT, f"The function ended in an error: {error}: {message}")
    if again := said.get("batchItemFailures"):
        messages = "1 message" if len(again) == 1 else f"{len(again)} messages"
        return Outcome(ExitCode.ACT, f"{messages} failed: a queue would bring what failed again. The log says why.")
    if said.get("failed"):
        return Outcome(ExitCode.ACT, "The run ended, and something in it failed: its answer says what.")
    if errors := logged_errors(log):
        return Outcome(ExitCode.ACT, f"The function ended, and logged an error: {errors[0]}")
    if "batchItemFailures" in said:
        return Outcome(ExitCode.OK, "Every message is done with.")
    return Outcome(ExitCode.OK, "The run ended well.")
