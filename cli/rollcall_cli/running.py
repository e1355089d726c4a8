"""How a command ends, whichever it is: its exit code, its errors on stderr with the remedy, a closed pipe."""

from __future__ import annotations

import sys
from functools import wraps
from threading import Event
from typing import TYPE_CHECKING

import typer

from rollcall.domain.errors import AwsDenied, AwsUnavailable, RollcallError, Throttled

from .exit_codes import ExitCode
from .screen import progress_line, silence

if TYPE_CHECKING:
    from collections.abc import Callable

REGION = "--region, or AWS_DEFAULT_REGION"
CREDENTIALS = "Set credentials and a Region: --profile and --region, or AWS_PROFILE and AWS_DEFAULT_REGION."
STACK = "name it with --stack or ROLLCALL_STACK"

_changed = Event()


class NotRun(Exception):
    """A command, or the function it invokes, did not come to an answer. The text says why, and what to do."""


def note_change() -> None:
    """Say that something was changed, or may have been: if the command cannot go on now, it ends with ACT."""
    _changed.set()


def in_words(error: RollcallError, needed: str = "") -> str:
    """An error of ours, and on a line of its own what to do about it, where its words do not say so themselves.

    needed: the permissions that the call takes, in words.
    """
    return "\n".join(filter(None, (str(error), _remedy(error, needed))))


def _remedy(error: RollcallError, needed: str) -> str:
    match error:
        case AwsDenied():
            return CREDENTIALS + (f" They need {needed}." if needed else "")
        case Throttled():
            return "Try again in a minute."
        case AwsUnavailable():
            return f"Try again. If it lasts: is the Region right ({REGION}), and does this machine reach AWS?"
    return ""


def ending[**P](command: Callable[P, ExitCode]) -> Callable[P, None]:
    """The command as typer runs it: it ends with its exit code, or with that of its error."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        _changed.clear()
        raise typer.Exit(_exit_code(lambda: command(*args, **kwargs)))

    return run


def _exit_code(command: Callable[[], ExitCode]) -> ExitCode:
    try:
        code = command()
        sys.stdout.flush()  # here a closed pipe is no failure; in Python's own last flush it would be
    except NotRun as error:
        return _stopped(str(error))
    except RollcallError as error:
        return _stopped(in_words(error))
    except BrokenPipeError:  # stdout's: progress_line and Questions know of stderr's
        silence(sys.stdout)
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort):  # the second is either of Ctrl-C and the end of the input at a question
        progress_line("Interrupted.")
        return ExitCode.INTERRUPTED
    return code


def _stopped(words: str) -> ExitCode:
    progress_line(words)
    return ExitCode.ACT if _changed.is_set() else ExitCode.NOT_RUN
