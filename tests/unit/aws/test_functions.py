"""Functions that are asked, and what becomes of their errors."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from rollcall.aws.functions import ANSWER_WITHIN, Functions
from rollcall.domain.errors import AwsDenied, AwsUnavailable, RollcallError

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = {"step": "preflight"}


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Functions:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return Functions()


@pytest.fixture
def asking(functions: Functions) -> Iterator[Stubber]:
    with Stubber(functions._asking) as stub:
        yield stub
        stub.assert_no_pending_responses()


def answered(asking: Stubber, payload: object, **fields: Any) -> None:
    raw = json.dumps(payload).encode()
    response = {"StatusCode": 200, "Payload": StreamingBody(BytesIO(raw), len(raw)), **fields}
    asking.add_response("invoke", response, {"FunctionName": "cycle", "Payload": json.dumps(EVENT)})


def test_a_function_that_is_asked_is_waited_for(functions: Functions, asking: Stubber) -> None:
    answered(asking, {"next": "put_back"})
    assert functions.ask("cycle", EVENT) == {"next": "put_back"}


@pytest.mark.parametrize(
    ("payload", "error", "words"),
    [
        ({"errorType": "TowerUnavailable", "errorMessage": "away"}, AwsUnavailable, "TowerUnavailable: away"),
        ({"errorType": "AwsDenied", "errorMessage": "no ec2:X"}, AwsDenied, "AwsDenied: no ec2:X"),
        ({"errorMessage": "Task timed out"}, AwsUnavailable, "Unhandled: Task timed out"),
    ],
)
def test_an_error_of_the_function_is_no_answer(
    functions: Functions, asking: Stubber, payload: object, error: type[RollcallError], words: str
) -> None:
    answered(asking, payload, FunctionError="Unhandled")
    with pytest.raises(error) as raised:
        functions.ask("cycle", EVENT)
    assert type(raised.value) is error
    assert str(raised.value) == f"function cycle failed: {words}"


def test_what_is_waited_for_is_asked_once_and_for_as_long_as_it_may_take(functions: Functions) -> None:
    config = vars(functions._asking.meta.config)["_user_provided_options"]
    assert (config["read_timeout"], config["retries"]["total_max_attempts"]) == (ANSWER_WITHIN, 1)
