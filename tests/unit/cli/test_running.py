"""How a command ends: with pipes that are really closed, at the end of its input, and after a part was done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from rollcall.domain.errors import TowerUnavailable
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun, ending, note_change

CHANGING = """
def command():
    for change in ("first", "second"):
        progress_line(f"done: {change}" + "." * 100_000)
        open(change, "w").close()
    console().print("the answer" * 100_000)
    return ExitCode.ACT
"""
FAILING = CHANGING.replace('console().print("the answer" * 100_000)', 'raise NotRun("Tower is away")')
ASKING = """
def command():
    Questions(interactive=True).agree("Do this?")
    open("first", "w").close()
    return ExitCode.OK
"""
CHOOSING = ASKING.replace('agree("Do this?")', 'choose("Which?", ["a"], "--which")')


def begin(body: str) -> list[str]:
    """The command line of a program that ends as a command with this body does."""
    lines = (
        "import typer",
        "from rollcall_cli.exit_codes import ExitCode",
        "from rollcall_cli.questions import Questions",
        "from rollcall_cli.running import NotRun, ending",
        "from rollcall_cli.screen import console, print_json, progress_line",
        body,
        "app = typer.Typer()",
        "app.command()(ending(command))",
        "app()",
    )
    return [sys.executable, "-c", "\n".join(lines)]


def run(body: str, folder: Path, *closed: str) -> tuple[int, str, set[str]]:
    """The exit code, what is printed where anyone reads it, and the changes. closed: whose reading ends are."""
    reading, writing = os.pipe()
    os.close(reading)
    stdout, stderr = (writing if name in closed else subprocess.PIPE for name in ("stdout", "stderr"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        begin(body),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
    )
    os.close(writing)
    return done.returncode, f"{done.stdout or ''}{done.stderr or ''}", {each.name for each in folder.iterdir()}


@pytest.mark.parametrize("closed", [(), ("stderr",)])
def test_where_nobody_reads_of_progress_a_command_goes_on(tmp_path: Path, closed: tuple[str, ...]) -> None:
    code, printed, changes = run(CHANGING, tmp_path, *closed)
    assert (code, changes) == (ExitCode.ACT, {"first", "second"})
    assert "the answer" in printed


@pytest.mark.parametrize("closed", [("stdout",), ("stdout", "stderr")])
@pytest.mark.parametrize("way", ["console().print", "print_json", "print"])
def test_where_nobody_reads_the_answer_any_more_all_is_done_and_that_is_no_failure(
    tmp_path: Path, closed: tuple[str, ...], way: str
) -> None:
    code, printed, changes = run(CHANGING.replace("console().print", way), tmp_path, *closed)
    assert (code, changes) == (ExitCode.OK, {"first", "second"})
    assert "Traceback" not in printed
    assert "Exception ignored" not in printed


def test_an_error_that_nobody_reads_is_one_all_the_same(tmp_path: Path) -> None:
    assert run(FAILING, tmp_path, "stderr")[0] == ExitCode.NOT_RUN


@pytest.mark.parametrize("body", [ASKING, CHOOSING])
def test_the_end_of_the_input_at_a_question_is_an_interrupt(tmp_path: Path, body: str) -> None:
    code, printed, changes = run(body, tmp_path)
    assert (code, changes) == (ExitCode.INTERRUPTED, set())
    assert printed.endswith("Interrupted.\n")
    assert "Aborted" not in printed


@pytest.mark.parametrize("body", [ASKING, CHOOSING])
def test_a_question_that_nobody_reads_is_not_answered(tmp_path: Path, body: str) -> None:
    assert run(body, tmp_path, "stderr") == (ExitCode.NOT_RUN, "", set())


def test_ctrl_c_at_a_question_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise typer.Abort  # what typer makes of it

    monkeypatch.setattr(typer, "prompt", interrupted)
    monkeypatch.setattr(typer, "confirm", interrupted)
    there = Questions(interactive=True)
    assert code_of(lambda: there.choose("Which?", ["a"], "--which")) == ExitCode.INTERRUPTED
    assert code_of(lambda: there.agree("Do this?")) == ExitCode.INTERRUPTED


def code_of(command: Any) -> int:
    with pytest.raises(typer.Exit) as ended:
        ending(command)()
    return ended.value.exit_code


@pytest.mark.parametrize("error", [NotRun("AWS refused it"), TowerUnavailable("Tower answered with 503")])
def test_what_stops_a_command_after_a_change_leaves_something_to_do(error: Exception) -> None:
    def command(*, changes: bool) -> Any:
        if changes:
            note_change()
        raise error

    assert code_of(lambda: command(changes=True)) == ExitCode.ACT
    assert code_of(lambda: command(changes=False)) == ExitCode.NOT_RUN, "a command knows nothing of the one before"
