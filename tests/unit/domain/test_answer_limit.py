"""An answer that Lambda can pass on: not too large, and readable by everybody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.doctor.answer import answer
from rollcall.doctor.diagnosis import Diagnosis
from rollcall.domain.answer_limit import ANSWER_BYTES, cut_to_answer_limit
from rollcall.domain.errors import BadSettings
from rollcall.domain.findings import warns
from rollcall.reconcile.answer import run_answer
from rollcall.reconcile.result import InstanceResult, RunOutcome

LAMBDA_BYTES = 6_291_556  # what Lambda takes as the response of a synchronous invocation, in the words of its error


def encoded(value: object) -> bytes:
    """As the Lambda runtime of Python 3.13 does it (awslambdaric, lambda_runtime_marshaller)."""
    return json.dumps(value, ensure_ascii=False).encode()


def entries(size: int, number: int) -> list[dict[str, str]]:
    return [{"reason": "x" * size}] * number


def test_what_has_room_is_answered_whole() -> None:
    lists: dict[str, list[Any]] = {"a": entries(100, 2000), "b": [], "c": [("i-a", {"settled": True})]}
    assert cut_to_answer_limit(lists) == {**lists, "c": [["i-a", {"settled": True}]]}


@pytest.mark.parametrize("letter", ["x", "ö", "\N{PILE OF POO}", "\\", "\ud800"])
def test_all_of_it_together_fits(letter: str) -> None:
    lists = {name: [{"reason": letter * 5000}] * 400 for name in "abcd"}
    kept = cut_to_answer_limit(lists)
    assert len(encoded(kept)) < LAMBDA_BYTES
    assert all(len(kept[name]) > 50 for name in lists)


def test_a_list_that_needs_less_than_its_share_leaves_the_rest_to_others() -> None:
    kept = cut_to_answer_limit({"short": entries(100, 10), "long": entries(1000, 10_000)})
    assert len(kept["short"]) == 10
    assert ANSWER_BYTES - 5000 < len(encoded(kept)) < ANSWER_BYTES + 100


def test_an_entry_that_has_no_room_keeps_no_other_out() -> None:
    small = {"reason": "x"}
    assert cut_to_answer_limit({"a": [small, {"reason": "x" * ANSWER_BYTES}, small]}) == {"a": [small, small]}


@given(st.dictionaries(st.text(max_size=3), st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9)))))
def test_whatever_stands_in_it_an_answer_can_be_encoded(lists: dict[str, list[dict[str, str]]]) -> None:
    kept = cut_to_answer_limit(lists)
    assert {name: len(each) for name, each in kept.items()} == {name: len(each) for name, each in lists.items()}
    json.loads(encoded([*kept.values()]))


def test_a_run_answers_whatever_it_came_to() -> None:
    outcome = RunOutcome(
        errors={f"group {number}": BadSettings("\ud800" + "x" * 20_000) for number in range(1000)},
        instance_results={f"i-{number}": InstanceResult(False, "x" * 500) for number in range(20_000)},
    )
    said = run_answer(outcome, dry_run=False, seconds=1)
    assert len(encoded(said)) < LAMBDA_BYTES
    assert said["failed"]
    assert said["left_out"] == {
        "instances": 20_000 - len(said["instances"]),
        "troubles": 1000 - len(said["troubles"]),
    }
    assert len(said["instances"]) > 1000
    assert len(said["troubles"]) > 50


def test_doctor_answers_whatever_it_found() -> None:
    findings = tuple(warns(f"group {number}", "odd", "x" * 20_000, "\ud800") for number in range(2000))
    said = answer(Diagnosis(findings, ("what \ud800",), ("arn:*",)), 1)
    assert len(encoded(said)) < LAMBDA_BYTES
    assert said["left_out"] == 2000 - len(said["findings"]) > 0
    assert said["checked"] == ["what ?"]
