"""How a command ends, whichever it is: its exit code, its errors on stderr, a closed pipe."""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import TYPE_CHECKING

import typer

from rollcall.domain.errors import RollcallError

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

CREDENTIALS = (
    "Set credentials and a Region: --profile and --region, or AWS_PROFILE and AWS_DEFAULT_REGION; name the stack with "
    "--stack or ROLLCALL_STACK."
)


class NotRun(Exception):
    """A command, or the function it invokes, did not come to an answer. The text says why, and what to do."""


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
        print(f"{error}\n{CREDENTIALS}", file=sys.stderr)
        return ExitCode.NOT_RUN
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return code
