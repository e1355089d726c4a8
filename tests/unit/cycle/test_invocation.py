"""What the cycle function is invoked with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollcall.aws.executions import Execution
from rollcall.cycle.run import STEPS
from rollcall.domain.errors import BadEvent
from rollcall.workflow.invocation import ENDED, execution_name, read_invocation, settling_event

ARN = "arn:aws:states:us-east-1:123456789012:execution:cycles:web-2b1d6f0a-v7"
NAME = "web-2b1d6f0a-v7"
STEP: dict[str, Any] = {"step": "follow", "cycle": {"group": "web"}, "execution": {"id": ARN, "name": NAME}}
STOPPED: dict[str, Any] = {
    "source": "aws.states",
    "detail-type": "Step Functions Execution Status Change",
    "detail": {"executionArn": ARN, "status": "ABORTED", "input": '{"group": "web"}'},
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_read_with_all_that_came_with_it(step: str) -> None:
    event = STEP | {"step": step}
    assert read_invocation(event, STEPS) == (step, event, ARN)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "events").glob("cycle-*.json")), ids=lambda p: p.stem
)
def test_a_sample_is_the_step_that_it_is_named_after(path: Path) -> None:
    read = read_invocation(json.loads(path.read_text()), STEPS)
    assert read.step == path.stem.removeprefix("cycle-").replace("-", "_")
    assert execution_name(read.execution) == read.fields["execution"]["name"]


@pytest.mark.parametrize("status", ENDED)
def test_an_execution_that_was_stopped_is_read(status: str) -> None:
    event = STOPPED | {"detail": STOPPED["detail"] | {"status": status}}
    assert read_invocation(event, STEPS) == ("", event["detail"], ARN)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ([], "event is no object"),
        ({}, "'step' is None: use preflight, pin"),
        (STEP | {"step": "stop"}, "'step' is 'stop'"),
        (STEP | {"execution": {}}, "'id'"),
        ({"step": "follow"}, "'execution'"),
        (STOPPED | {"detail": {"executionArn": ARN, "status": "RUNNING"}}, "'status' is 'RUNNING'"),
        (STOPPED | {"detail": {"executionArn": ARN, "status": "SUCCEEDED"}}, "'status' is 'SUCCEEDED'"),
        (STOPPED | {"detail": {"status": "ABORTED"}}, "'executionArn'"),
        (STOPPED | {"source": "aws.ec2"}, "'step' is None"),
    ],
)
def test_anything_else_says_what_is_wrong_with_it(event: object, words: str) -> None:
    with pytest.raises(BadEvent, match=words):
        read_invocation(event, STEPS)


def test_what_reconcile_sends_is_read_as_what_eventbridge_sends() -> None:
    execution = Execution(ARN, execution_name(ARN), "ABORTED", 1.0, 2.0, {"group": "web"})
    read = read_invocation(settling_event(execution), STEPS)
    assert (read.step, read.execution, read.fields["status"]) == ("", ARN, "ABORTED")
    assert read.fields["input"] == '{"group": "web"}'
    assert (read.fields["startDate"], read.fields["stopDate"]) == (1000, 2000)  # in milliseconds


def test_an_executions_name_is_the_end_of_its_arn() -> None:
    assert execution_name(ARN) == "web-2b1d6f0a-v7"
