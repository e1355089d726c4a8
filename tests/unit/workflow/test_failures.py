"""Why a task of a workflow failed for good, in words for an operator."""

from __future__ import annotations

import json

import pytest

from rollcall.workflow.failures import REMEDY, failure_words
from rollcall.workflow.state_texts import TEXT_MAX

MESSAGE = "AWS refused CreateImage of i-a: UnauthorizedOperation: not authorized to perform: ec2:CreateImage"


def test_a_permission_that_is_missing_is_named_with_what_to_do_about_it() -> None:
    cause = json.dumps({"errorType": "AwsDenied", "errorMessage": MESSAGE, "stackTrace": ["line"] * 100})
    words = failure_words("bake", {"Error": "AwsDenied", "Cause": cause})
    assert words == f"the bake function may not do what it has to: {MESSAGE}; {REMEDY}"


@pytest.mark.parametrize("cause", ["no JSON", "[]", '{"errorType": "AwsDenied"}', ""])
def test_a_cause_that_is_none_of_lambdas_stands_as_it_is(cause: str) -> None:
    assert cause in failure_words("bake", {"Error": "AwsDenied", "Cause": cause})


def test_any_other_error_stands_as_it_is_and_cut() -> None:
    assert failure_words("cycle", {"Error": "E", "Cause": "c"}) == "the cycle function failed: E: c"
    assert len(failure_words("cycle", {"Error": "E", "Cause": "c" * 9999})) == TEXT_MAX
