"""The command `rollcall` in this process: run as an operator runs it, or only its command line read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.testing import CliRunner

from rollcall_cli.main import app

if TYPE_CHECKING:
    from typer.testing import Result


def run(*arguments: str) -> Result:
    """What a command prints, and its exit code. An error that no command expects is raised."""
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def parsed(command: str, *arguments: str) -> dict[str, Any]:
    """The options that a command would run with, by name; it is not run."""
    commands: Any = typer.main.get_command(app)
    parameters: dict[str, Any] = commands.commands[command].make_context(command, list(arguments)).params
    return parameters
