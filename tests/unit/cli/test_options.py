"""Which stack, Region and profile a printed command gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.bake.request import KEY_OF_WORD
from rollcall.cycle.request import TAG_KEYS
from rollcall_cli.main import CommandFiles
from rollcall_cli.options import STACK_VARIABLE, Given

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
