"""Which stack, Region and profile a printed command gets."""

from __future__ import annotations

import pytest

from rollcall_cli.options import STACK_VARIABLE, Given


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
