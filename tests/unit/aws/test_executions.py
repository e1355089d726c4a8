"""Executions of a state machine: started once, found by their names, and those that did not end by themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.executions import LISTED_MAX, UNFINISHED, Execution, Executions
from rollcall.aws.functions import Functions
from rollcall.domain.errors import AwsDenied, Throttled
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:cycles"
NAME = "web-2b1d6f0a-v7"
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:cycles:{NAME}"
BEGAN = datetime(2026, 11, 30, 22, tzinfo=UTC)
START = {"stateMachineArn": MACHINE, "name": NAME, "input": '{"group": "web"}'}


@pytest.fixture
def executions() -> Executions:
    return Executions(MACHINE)


@pytest.fixture
def aws(executions: Executions) -> Iterator[Stubber]:
    with Stubber(executions._client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def listed(status: str, minutes: float | None) -> dict[str, Any]:
    """An execution in a list, which was stopped so long after it began."""
    item = {"executionArn": ARN, "stateMachineArn": MACHINE, "name": NAME, "status": status, "startDate": BEGAN}
    return item if minutes is None else item | {"stopDate": BEGAN + timedelta(minutes=minutes)}


def test_an_execution_is_started_with_its_name_and_input(executions: Executions, aws: Stubber) -> None:
    aws.add_response("start_execution", {"executionArn": ARN, "startDate": BEGAN}, START)
    assert executions.start(NAME, {"group": "web"}) is True


def test_one_that_there_is_or_was_is_no_error(executions: Executions, aws: Stubber) -> None:
    aws.add_client_error("start_execution", "ExecutionAlreadyExists", expected_params=START)
    assert executions.start(NAME, {"group": "web"}) is False


@pytest.mark.parametrize(("code", "error"), [("AccessDeniedException", AwsDenied), ("ThrottlingException", Throttled)])
def test_other_refusals_are_errors(executions: Executions, aws: Stubber, code: str, error: type[Exception]) -> None:
    aws.add_client_error("start_execution", code)
    with pytest.raises(error, match=NAME):
        executions.start(NAME, {"group": "web"})


def test_an_execution_is_found_by_its_name_with_its_input(executions: Executions, aws: Stubber) -> None:
    answer = listed("FAILED", 5) | {"input": json.dumps({"group": "web"}), "error": "refused"}
    aws.add_response("describe_execution", answer, {"executionArn": ARN})
    began = BEGAN.timestamp()
    assert executions.find(NAME) == Execution(ARN, NAME, "FAILED", began, began + 300, {"group": "web"}, "refused")


def test_one_that_is_not_there_is_none(executions: Executions, aws: Stubber) -> None:
    aws.add_client_error("describe_execution", "ExecutionDoesNotExist", expected_params={"executionArn": ARN})
    assert executions.find(NAME) is None


def test_those_that_did_not_end_by_themselves_are_listed_of_the_time_that_is_asked_for(
    executions: Executions, aws: Stubber
) -> None:
    found = {"ABORTED": [4, 5, 65, 66], "TIMED_OUT": [30], "FAILED": []}
    for status in UNFINISHED:
        aws.add_response(
            "list_executions",
            {"executions": [listed(status, each) for each in found[status]]},
            {"stateMachineArn": MACHINE, "statusFilter": status, "maxResults": LISTED_MAX},
        )
    began = BEGAN.timestamp()
    read = executions.unfinished(began + 300, began + 3900)
    assert [(each.status, (each.stopped or 0) - began) for each in read] == [
        ("ABORTED", 300),
        ("ABORTED", 3900),
        ("TIMED_OUT", 1800),
    ]


def test_an_event_is_handed_to_a_function_that_works_on_it_later() -> None:
    functions = Functions()
    with Stubber(functions._client) as aws:
        sent = {"FunctionName": "cycle", "InvocationType": "Event", "Payload": '{"source": "aws.states"}'}
        aws.add_response("invoke", {"StatusCode": 202}, sent)
        functions.send("cycle", {"source": "aws.states"})
        aws.assert_no_pending_responses()
