"""Texts in the state of an execution."""

from __future__ import annotations

from rollcall.workflow.state_texts import TEXT_MAX, cut, listed_lines


def test_a_long_text_is_cut_and_says_so() -> None:
    assert len(cut("x" * 5000)) == TEXT_MAX
    assert cut("x" * 5000).endswith("…")
    assert cut("short") == "short"


def test_lines_are_listed_once_each_and_the_rest_is_counted() -> None:
    assert listed_lines(["a", "b", "a"], 3) == ("a", "b")
    assert listed_lines([str(each) for each in range(5)], 3) == ("0", "1", "and 3 more")
