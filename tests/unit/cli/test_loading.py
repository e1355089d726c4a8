"""What a command's start waits for: the list of commands needs none of their files, and a command its own alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rollcall_cli.main import COMMANDS
from unit.cli.commands import run

PRINTS_WHAT_IT_LOADED = """
import atexit, sys
atexit.register(lambda: print(*(each for each in sys.modules if each.startswith("rollcall_cli.commands."))))
atexit.register(lambda: print("boto3" in sys.modules))
from rollcall_cli.main import app
app(sys.argv[1:], prog_name="rollcall")
"""


@pytest.mark.parametrize(
    ("words", "sdk", "files"),
    [("--help", False, []), ("--version", False, []), ("status --help", True, ["rollcall_cli.commands.status"])],
)
def test_only_the_file_of_the_command_that_is_run_is_loaded(words: str, sdk: bool, files: list[str]) -> None:
    command = [sys.executable, "-c", PRINTS_WHAT_IT_LOADED, *words.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    *_, with_sdk, loaded = done.stdout.split("\n")[:-1]
    assert (with_sdk, loaded.split()) == (str(sdk), files)


def test_the_list_has_each_command_with_its_words() -> None:
    listed = run("--help").stdout.partition("Commands:\n")[2].split()
    assert listed == " ".join(f"{name} {words}" for name, words in COMMANDS.items()).split()


def test_a_command_that_is_not_there_is_said_with_the_nearest() -> None:
    answer = run("stats")
    assert (answer.exit_code, "No such command 'stats'. Did you mean 'status'?" in answer.stderr) == (2, True)
