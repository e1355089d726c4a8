"""What the commands cycle and bake do alike: asked before they begin, listed, and which options go together."""

from __future__ import annotations

import json
import sys
import time
from copy import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
import typer

from rollcall.bake.state import BakeResult
from rollcall.cycle.state import CycleResult
from rollcall.domain.objections import Objection
from rollcall.workflow.names import execution_name
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.questions import Questions
from rollcall_cli.workflows.executions import Executions
from unit.bake_news import STATE
from unit.cli.commands import run
from unit.cli.cycling.step_functions import BAKE_MACHINE, MACHINE, NOW, StepFunctions, Turn, state
from unit.fakes import REGION

if TYPE_CHECKING:
    from rollcall.bake.state import BakeState
    from rollcall.cycle.state import CycleState

OBJECTION = Objection("no inventory", "the group has none", "set its tag")


class Kind(NamedTuple):
    """A command. machine: its state machine's ARN. state: of one that runs."""

    noun: str
    machine: str
    state: CycleState | BakeState
    results: type[CycleResult | BakeResult]

    def ended(self, result: str, **own: Any) -> Any:
        return replace(self.state, result=self.results(result), **own)


CYCLE = Kind("cycle", MACHINE, state(), CycleResult)
BAKE = Kind("bake", BAKE_MACHINE, STATE, BakeResult)


class Command:
    """The command of a kind on one stack."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.aws = StepFunctions()

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = run(self.kind.noun, *words)
        assert done.exit_code == code, done.output
        return done

    def runs(self, *turns: Turn, key: str = "k", group: str = "web", **request: Any) -> str:
        """One that was started before; its name."""
        name = execution_name(group, key)
        return self.aws.add(name, {"group": group, **request}, *turns, machine=self.kind.machine).name

    def well(self) -> Turn:
        return Turn(self.kind.ended("succeeded"), "SUCCEEDED")


@pytest.fixture(params=[CYCLE, BAKE], ids=lambda each: each.noun)
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Command:
    made = Command(request.param)
    machines = {"CycleStateMachine": MACHINE, "BakeStateMachine": BAKE_MACHINE}
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for module in ("cycling", "baking"):
        monkeypatch.setattr(f"rollcall_cli.{module}.run.physical_id", lambda _, logical_id: machines[logical_id])
        monkeypatch.setattr(f"rollcall_cli.{module}.run.sleep", made.aws.sleep)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: made.aws.client)
    monkeypatch.setattr(time, "time", lambda: NOW)
    return made


# Asked before it begins


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What an operator at a terminal is asked, who says no."""
    questions: list[str] = []

    def no(question: str, **_: object) -> bool:
        questions.append(question)
        return False

    monkeypatch.setattr(Questions, "of", lambda yes: Questions(interactive=not yes, agreed=yes))
    monkeypatch.setattr(typer, "confirm", no)
    return questions


def test_on_a_terminal_nothing_begins_before_the_operator_agrees(command: Command, asked: list[str]) -> None:
    done = command("web", code=ExitCode.NOT_RUN)
    assert "Nothing was changed." in done.stderr
    assert ["group 'web'" in each for each in asked] == [True]
    assert command.aws.runs == {}


@pytest.mark.parametrize("words", [("--yes",), ("--dry-run",)])
def test_what_is_agreed_or_changes_nothing_is_not_asked(
    command: Command, asked: list[str], words: tuple[str, ...]
) -> None:
    command.aws.script = [command.well()]
    command("web", *words)
    assert (asked, len(command.aws.runs)) == ([], 1)


def test_without_a_terminal_nothing_is_asked(command: Command) -> None:
    assert not sys.stdin.isatty()
    command.aws.script = [command.well()]
    command("web")
    assert len(command.aws.runs) == 1


# Listed


def test_one_groups_are_listed_without_starting_any_and_dry_runs_are_left_out(command: Command) -> None:
    own = command.runs(command.well(), key="own")
    command.runs(command.well(), key="dry-20261130T221500", dry_run=True)
    other = command.runs(command.well(), group="web-2")
    of_group = json.loads(command("web", "--list", "--json").stdout)[f"{command.kind.noun}s"]
    assert [each[command.kind.noun] for each in of_group] == [own]
    of_all = json.loads(command("--json").stdout)[f"{command.kind.noun}s"]
    assert {each[command.kind.noun] for each in of_all} == {own, other}
    assert json.loads(command("--list", "--json").stdout)[f"{command.kind.noun}s"] == of_all
    assert len(command.aws.runs) == 3


def test_a_group_that_had_dry_runs_alone_is_said_to_be_that(command: Command) -> None:
    command.runs(command.well(), key="dry-20261130T221500", dry_run=True)
    assert "in the last 90 days. Is the name right? Dry runs are not listed." in command("web", "--list").stdout
    said = command("web", "--watch", code=ExitCode.NOT_RUN).stderr
    assert f"has had only dry runs in the last 90 days, and no {command.kind.noun}. Nothing is there" in said
    said = command("api", "--watch", code=ExitCode.NOT_RUN).stderr
    assert f"has no {command.kind.noun} of the last 90 days. Is the name right? Nothing is there" in said


def test_the_list_is_in_the_order_in_which_they_began(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, began in (("b", NOW - 200), ("c", NOW - 100), ("a", NOW - 300)):
        command.runs(command.well(), key=key)
        command.aws.runs[execution_name("web", key)].began = began
    monkeypatch.setattr(Executions, "_newest_arns", lambda _: [each.arn for each in command.aws.runs.values()])
    listed = json.loads(command("--list", "--json").stdout)[f"{command.kind.noun}s"]
    assert [each["began"] for each in listed] == [NOW - 100, NOW - 200, NOW - 300]


def test_the_list_as_json_has_null_for_what_is_not_there_and_times_to_the_millisecond(command: Command) -> None:
    none: dict[str, Any] = {"target_version": ""} if command.kind is CYCLE else {"image_id": "", "version": ""}
    name = command.runs(Turn(command.kind.ended("failed", **none), "FAILED", "failed"))
    made = command.aws.runs[name]
    made.began, made.ended = NOW + 0.123_456, NOW + 4.763_456_789
    [row] = json.loads(command("web", "--list", "--json").stdout)[f"{command.kind.noun}s"]
    assert (row["began"], row["seconds"]) == (NOW + 0.123, 4.64)
    assert row["version"] is None
    assert row.get("image") is None


# How it ended


def test_a_refusal_has_every_objection_with_its_remedy(command: Command) -> None:
    other = Objection("no such version", f"version 9 is not there{', nor is another' * 6}", "name another")
    reason = f"{OBJECTION.reason}; {other.reason}"
    refused = command.kind.ended("refused", objections=(OBJECTION, other), reason=reason)
    command.aws.script = [Turn(refused, "FAILED", "refused")]
    done = command("web", code=ExitCode.REFUSED)
    before = "changed" if command.kind is CYCLE else "launched"
    assert f"was refused before anything was {before}, for 2 objections." in done.stdout
    for each in (OBJECTION, other):
        assert f"  {each.what}: {each.reason}\n    remedy: {each.remedy}\n" in done.stdout
        assert done.stdout.count(each.reason) == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_as_json_it_says_whether_it_was_refused_or_would_be(command: Command, dry_run: bool) -> None:
    result = "dry run" if dry_run else "refused"
    status = "SUCCEEDED" if dry_run else "FAILED"
    command.aws.script = [Turn(command.kind.ended(result, objections=(OBJECTION,)), status)]
    words = ("--dry-run",) if dry_run else ()
    assert json.loads(command("web", "--json", *words, code=ExitCode.REFUSED).stdout)["refused"] is True
    command.aws.script = [Turn(command.kind.ended("dry run", objections=()), "SUCCEEDED")]
    assert json.loads(command("api", "--json", "--dry-run").stdout)["refused"] is False


def test_a_dry_run_of_what_cannot_be_read_at_all_is_called_one(command: Command) -> None:
    """A group that is not there is refused before there is a plan."""
    last = command.kind.ended("refused", objections=(OBJECTION,))
    command.aws.script = [Turn(last, "FAILED", "refused")]
    said = command("web", "--dry-run", code=ExitCode.REFUSED).stdout
    assert said.startswith(f"Dry run: a {command.kind.noun} of group 'web' would be refused, for 1 objection.\n")


def test_what_is_over_as_it_is_read_first_has_no_progress_and_every_warning_once(command: Command) -> None:
    command.runs(Turn(command.kind.ended("succeeded", warnings=("mind this",)), "SUCCEEDED"))
    done = command("web", "--watch")
    assert "UTC: " not in done.stderr
    assert (done.stdout + done.stderr).count("mind this") == 1


def test_a_warning_that_was_shown_as_it_came_is_not_repeated_and_a_later_one_is_in_the_answer(command: Command) -> None:
    early: Any = replace(command.kind.state, warnings=("mind this",))
    command.aws.script = [
        Turn(early),
        Turn(early),
        Turn(command.kind.ended("failed", warnings=("mind this", "and this")), "FAILED", "failed"),
    ]
    done = command("web", code=ExitCode.ACT)
    assert (done.stderr.count("warning: mind this"), done.stdout.count("mind this")) == (1, 0)
    assert (done.stderr.count("and this"), done.stdout.count("warning: and this")) == (0, 1)


def test_the_last_line_of_progress_says_as_what_it_ended(command: Command) -> None:
    ended = command.kind.ended("failed", phase=type(command.kind.state.phase)("ended"))
    command.aws.script = [Turn(command.kind.state), Turn(ended, "FAILED", "failed")]
    assert command("web", code=ExitCode.ACT).stderr.endswith(f"UTC: the {command.kind.noun} ended: failed\n")


# Which options go together


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("web", "--watch", "--cancel"), "name one"),
        (("web", "--dry-run", "--watch"), "name one"),
        (("web", "--list", "--watch"), "name one"),
        (("web", "--watch", "--pin"), "options of a new"),
        (("web", "--list", "--pin"), "options of a new"),
        (("web", "--dry-run", "--key", "a"), "a dry run is always a new one"),
        (("web", "--list", "--key", "a"), "it lists all of them"),
        (("web", "--cancel", "--key", "a"), "runs at most"),
        (("web", "--key", " "), "not empty"),
        (("web", "--key", "dry-a"), "does not begin with dry-"),
        (("web", "--key", "v8"), "like run-v8; to see the "),
        (("web", "--key", "sched-2026-12-06"), "name what a tag starts"),
        (("--watch",), "Name the group"),
        (("--pin",), "Name the group"),
        (("--key", "a"), "Name the group"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_aws_is_asked(
    command: Command, words: tuple[str, ...], named: str
) -> None:
    done = command(*words, code=ExitCode.NOT_RUN)
    assert named in done.stderr
    assert (done.stdout, command.aws.asked) == ("", [])
