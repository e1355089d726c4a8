"""Questions: answered by number or by name, never guessed where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer

from rollcall_cli.questions import Questions
from rollcall_cli.running import NotRun

THERE, AWAY = Questions(True), Questions(False)


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is typed, answer by answer."""
    typed: list[str] = []
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: typed.pop(0))
    yield typed
    assert typed == [], "it was not asked for"


@pytest.mark.parametrize(
    ("said", "chosen"), [("2", "edge"), ("edge", "edge"), (" edge ", "edge"), ("other", "other"), ("9", "9")]
)
def test_a_choice_is_made_by_its_number_or_by_a_name(type_in: list[str], said: str, chosen: str) -> None:
    type_in.append(said)
    assert THERE.choose("Inventory", ["prod", "edge"], "--inventory") == chosen


def test_it_is_asked_again_where_an_empty_answer_means_nothing(type_in: list[str]) -> None:
    type_in += ["", " ", "1"]
    assert THERE.choose("Inventory", ["prod"], "--inventory") == "prod"
    type_in.append("")
    assert THERE.choose("Job template", ["provision"], "--job-template", none="hosts only") == ""


def test_a_long_list_is_cut_and_says_so(type_in: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    type_in.append("31")
    assert THERE.choose("Inventory", [f"i{number}" for number in range(40)], "--inventory") == "31"
    said = capsys.readouterr()
    assert "and 10 more" in said.err
    assert said.out == "", "results alone go there"


def test_where_no_answer_comes_the_option_is_named() -> None:
    with pytest.raises(NotRun, match="say it with --inventory"):
        AWAY.choose("Inventory", ["prod"], "--inventory")
    with pytest.raises(NotRun, match="--young"):
        AWAY.confirm("Run the job on them?", "--young")
    assert AWAY.confirm("Watch it?", "--watch", otherwise=True)
    assert not AWAY.confirm("Scale out?", "--scale-out", otherwise=False)


def test_with_yes_and_where_the_input_is_no_terminal_nothing_is_asked() -> None:
    assert not Questions.of(yes=True).interactive
    assert not Questions.of(yes=False).interactive, "pytest's input is no terminal"


def test_what_is_shown_is_agreed_to_by_an_answer_or_by_yes_and_never_by_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(NotRun, match="Do this\\? Say it with --yes"):
        AWAY.agree("Do this?")
    assert Questions.of(yes=True).agree("Do this?")
    for answer in (True, False):
        monkeypatch.setattr(typer, "confirm", lambda *_, answer=answer, **__: answer)
        assert THERE.agree("Do this?") == answer
