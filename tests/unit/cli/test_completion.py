"""A shell completes commands, and options, once `rollcall --install-completion` was run."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rollcall_cli.main import app


@pytest.mark.parametrize(
    ("words", "completed"),
    [("rollcall off", {"offboard"}), ("rollcall re", {"reconcile", "redrive", "release"})],
)
def test_commands_are_completed(words: str, completed: set[str]) -> None:
    asked = {"_ROLLCALL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "1"}
    done = CliRunner().invoke(app, [], prog_name="rollcall", env=asked)
    assert set(done.stdout.split()) == completed


def test_the_script_that_a_shell_reads_asks_this_command() -> None:
    """Asked for by name: `--show-completion` guesses the shell from the processes above this one,
    and a machine that tests may have none there."""
    asked = {"_ROLLCALL_COMPLETE": "source_bash"}
    done = CliRunner().invoke(app, [], prog_name="rollcall", env=asked)
    assert "_ROLLCALL_COMPLETE=complete_bash" in done.stdout
