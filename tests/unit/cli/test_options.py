"""Which stack, Region and profile a printed command gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.bake.request import KEY_OF_WORD
from rollcall.cycle.request import TAG_KEYS
from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.main import CommandFiles
from rollcall_cli.options import STACK_VARIABLE, Given
from unit.cli.commands import run

if TYPE_CHECKING:
    from collections.abc import Collection

OWN_NAMES = {"alarms": "alarm", "rollback": "on_failure", "follow": "follow_"}  # of options, where the key is another


def test_what_the_next_run_takes_by_itself_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STACK_VARIABLE, raising=False)
    assert Given("rollcall", None, None).rollcall == ()
    assert Given("other", "eu-west-1", "ops").rollcall == (
        *("--stack", "other"),
        *("--region", "eu-west-1", "--profile", "ops"),
    )
    assert Given("other", "eu-west-1", "ops").aws == ("--region", "eu-west-1", "--profile", "ops")
    assert Given("other", None, "-odd").aws == ("--profile=-odd",)


def test_the_default_is_named_where_the_environment_names_another_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STACK_VARIABLE, "other")
    assert Given("rollcall", None, None).rollcall == ("--stack", "rollcall")


@pytest.mark.parametrize(
    ("command", "keys"),
    [("cycle", TAG_KEYS), ("bake", [*KEY_OF_WORD.values(), "base_image", "job_template", "inventory"])],
)
def test_an_option_that_the_groups_tag_may_say_names_the_tag(command: str, keys: Collection[str]) -> None:
    made: Any = CommandFiles()[command]
    helps = {each.name: each.help for each in made.params}
    assert len(keys) > 5
    for key in keys:
        said = helps[OWN_NAMES.get(key, key)]
        assert "; by tag, else " in said or said.endswith("; by tag"), key


@pytest.mark.parametrize("command", ["doctor", "reconcile"])
def test_a_group_that_is_named_without_its_option_is_answered_with_the_option(command: str) -> None:
    done = run(command, "web", "--json", "api")
    assert done.exit_code == ExitCode.NOT_RUN
    assert "--group web --group api" in " ".join(done.stderr.split())


def test_another_command_calls_a_word_too_many_only_that() -> None:
    said = run("cycle", "web", "api").stderr
    assert "unexpected extra argument(s) (api)" in said
    assert "--group" not in said
