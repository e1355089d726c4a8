"""How a command ends, whichever it is: its exit code, its errors on stderr with the remedy, a closed pipe."""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import TYPE_CHECKING

import typer

from rollcall.domain.errors import AwsDenied, AwsUnavailable, RollcallError, Throttled

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

REGION = "--region, or AWS_DEFAULT_REGION"
CREDENTIALS = "Set credentials and a Region: --profile and --region, or AWS_PROFILE and AWS_DEFAULT_REGION."
STACK = "name it with --stack or ROLLCALL_STACK"


class NotRun(Exception):
    """A command, or the function it invokes, did not come to an answer. The text says why, and what to do."""


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
        raise typer.Exit(_exit_code(lambda: command(*args, **kwargs)))

    return run


def _exit_code(command: Callable[[], ExitCode]) -> ExitCode:
    try:
        code = command()
        sys.stdout.flush()  # here a closed pipe is no failure; in Python's own last flush it would be
    except NotRun as error:
        print(error, file=sys.stderr)
        return ExitCode.NOT_RUN
    except RollcallError as error:
        print(in_words(error), file=sys.stderr)
        return ExitCode.NOT_RUN
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return code
