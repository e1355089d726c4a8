"""The cycles and bakes of groups as marks of a timeline."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollcall.workflow.names import execution_name
from rollcall_cli.history import workflow_marks
from rollcall_cli.history.workflow_marks import MOST, read_marks
from rollcall_cli.stack import BAKE_MACHINE, CYCLE_MACHINE, STATE_MACHINE

NOW = 1_000_000.0
REFUSED = ClientError(
    {"Error": {"Code": "AccessDeniedException", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}},  # type: ignore[typeddict-item]
    "ListExecutions",
)


class FakeStepFunctions:
    """Pages of executions by state machine; an error in their place."""

    def __init__(self) -> None:
        self.known: dict[str, list[Any]] = {"cycles": [], "bakes": []}

    def add(self, machine: str, group: str, key: str, ago: float, status: str = "SUCCEEDED") -> None:
        began = datetime.fromtimestamp(NOW - ago, UTC)
        self.known[machine].append({"name": execution_name(group, key), "startDate": began, "status": status})

    def get_paginator(self, name: str) -> FakeStepFunctions:
        assert name == "list_executions"
        return self

    def paginate(self, *, stateMachineArn: str) -> Any:  # noqa: N803 - as botocore has it
        for each in self.known[stateMachineArn]:
            if isinstance(each, Exception):
                raise each
            yield {"executions": [each]}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeStepFunctions:
    made = FakeStepFunctions()
    own = {STATE_MACHINE: {CYCLE_MACHINE: "cycles", BAKE_MACHINE: "bakes"}}
    monkeypatch.setattr(workflow_marks, "resources_of", lambda stack: own)
    monkeypatch.setattr("boto3.client", lambda *_, **__: made)
    return made


def test_what_began_meanwhile_is_a_mark_with_how_it_ended(aws: FakeStepFunctions) -> None:
    aws.add("cycles", "web", "v8", 10, "RUNNING")
    aws.add("cycles", "web", "dry-1", 20)
    aws.add("cycles", "web-2", "v1", 30)
    aws.add("cycles", "web", "later", -5)
    aws.known["cycles"].sort(key=lambda each: each["startDate"], reverse=True)
    aws.add("bakes", "web", "by-hand", 50, "TIMED_OUT")
    aws.add("bakes", "web", "before", 101)
    aws.known["bakes"].append(REFUSED)  # what is older than that is not read
    found = read_marks("rollcall", ["web"], NOW - 100, NOW)
    assert [(each.number, each.time, each.name) for each in found.marks] == [
        (1, NOW - 50, "bake of web (timed out)"),
        (2, NOW - 10, "cycle of web (running)"),
    ]
    assert found.gaps == ()


def test_what_may_not_be_read_is_a_gap_and_the_rest_is_there(aws: FakeStepFunctions) -> None:
    aws.known["cycles"] = [REFUSED]
    aws.add("bakes", "web", "by-hand", 50)
    found = read_marks("rollcall", ["web"], NOW - 100, NOW)
    [gap] = found.gaps
    assert gap.startswith("Which cycles there were is missing: ")
    assert len(found.marks) == 1


def test_of_many_the_last_are_marked(aws: FakeStepFunctions) -> None:
    for number in range(MOST + 1):
        aws.add("cycles", "web", f"k{number}", number)
    marks = read_marks("rollcall", ["web"], NOW - 100, NOW).marks
    assert (len(marks), marks[-1].time, marks[0].number) == (MOST, NOW, 1)


def test_a_stack_without_either_is_not_asked(aws: FakeStepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_marks, "resources_of", lambda stack: {})
    aws.known = {}
    assert read_marks("rollcall", ["web"], 0, NOW) == ((), ())
