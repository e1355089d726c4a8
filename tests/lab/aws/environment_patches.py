"""What we replace of how MiniStack starts execution environments.

For each it unpacks the code anew, and starts a Python that imports anew what all functions have in common. Both take
more than what a function does then. Files are unpacked once, and where it is asked for, a process is a fork of one that
has imported the AWS SDK: nothing of a function is loaded before the fork.

An error that a function ends in has one name in MiniStack, whatever it is; in AWS it has that of its class, by which
state machines try again (Lambda developer guide, "Lambda function errors in Python").
"""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from lab.aws.forks import Forks
from lab.aws.unpacked import Unpacked, link

UNNAMED = "Runtime.HandlerError"
"""What MiniStack calls every error of a function."""
TRACEBACK = "Traceback (most recent call last):\n"
RAISED = re.compile(r"^(?:\w+\.)*(?P<kind>\w+)(?::|$)", re.MULTILINE)
"""The line of a traceback that is not indented: the error, with its module before its name."""
LAYERS = "_LAMBDA_LAYERS_DIRS"
"""The variable in which MiniStack names the directories of a function's layers."""


def install(directory: Path, *, forked: bool) -> None:
    """Put our parts in the place of MiniStack's.

    directory: is there, and takes the unpacked code. forked: whether processes are forks.
    """
    _name_errors()
    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=partial(LinkedArchive, Unpacked(directory)),
        BadZipFile=zipfile.BadZipFile,
        LargeFileError=zipfile.LargeZipFile,  # its name in MiniStack
    )
    if forked:
        lambda_runtime.subprocess = SimpleNamespace(
            Popen=partial(start, Forks()),
            PIPE=subprocess.PIPE,
            STDOUT=subprocess.STDOUT,
            DEVNULL=subprocess.DEVNULL,
        )


def _name_errors() -> None:
    """Give an error that a function ended in the name of its class."""
    execute = lambda_svc._execute_function

    def named(func: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = execute(func, event)
        body = result.get("body")
        if isinstance(body, dict) and body.get("errorType") == UNNAMED:
            raised = RAISED.search(str(result.get("log", "")).rpartition(TRACEBACK)[2])
            if raised:
                body["errorType"] = raised["kind"]
        return result

    lambda_svc._execute_function = named


class LinkedArchive:
    """As much of a ZipFile as MiniStack uses; what it extracts are links to contents that are there already."""

    def __init__(self, unpacked: Unpacked, archive: str) -> None:
        self._contents = unpacked.of(Path(archive))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def namelist(self) -> list[str]:
        """The names at the top: MiniStack asks whether they lead out of where they go to."""
        return [each.name for each in self._contents.iterdir()]

    def extractall(self, directory: str) -> None:
        """Make the links."""
        link(self._contents, Path(directory))


def start(forks: Forks, command: Sequence[str], *, cwd: str, env: Mapping[str, str], **given: Any) -> Any:
    """Start a process as MiniStack asks Popen for it: a fork, if it is a Python's for a function with layers.

    The layers are what has to be imported from, so there is one process to fork for all functions with the same ones.
    """
    program, *arguments = command
    layers = [str((Path(each) / "python").resolve()) for each in filter(None, env.get(LAYERS, "").split(os.pathsep))]
    if program == sys.executable and len(arguments) == 1 and layers and not _has_own_interpreter(env):
        return forks.start(layers, arguments[0], cwd=cwd, environment=env)
    return subprocess.Popen(command, cwd=cwd, env=env, **given)


def _has_own_interpreter(environment: Mapping[str, str]) -> bool:
    """Whether variables are set that a Python reads as it starts, which a fork does not."""
    return any(name.startswith("PYTHON") for name in environment)
