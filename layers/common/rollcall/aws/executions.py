"""Executions of one state machine of Step Functions, as much of them as we use.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.exceptions import ClientError

from rollcall.domain.empty_mapping import EMPTY_MAPPING

from .client import CLIENT_CONFIG, aws_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.literals import ExecutionStatusType

RUNNING: ExecutionStatusType = "RUNNING"
UNFINISHED: tuple[ExecutionStatusType, ...] = ("ABORTED", "TIMED_OUT", "FAILED")
LISTED_MAX = 100  # of a status: the newest, of which hardly any was stopped in the last hour


def machine_of(execution: str) -> str:
    """The ARN of the state machine of an execution, by the execution's."""
    return execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]


def execution_arn(machine: str, name: str) -> str:
    """The ARN of an execution of a state machine, by the machine's ARN and the execution's name."""
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


class Execution(NamedTuple):
    """An execution. started, stopped: epoch seconds, None while it runs.

    request: its input; error: the name of what it failed with. Both are empty of those listed.
    """

    arn: str
    name: str
    status: str
    started: float
    stopped: float | None
    request: Mapping[str, Any] = EMPTY_MAPPING
    error: str = ""


class Executions:
    """The executions of one state machine. machine: its ARN."""

    def __init__(self, machine: str) -> None:
        self.machine = machine

    @cached_property
    def _client(self) -> SFNClient:
        return boto3.client("stepfunctions", region_name=self.machine.split(":")[3], config=CLIENT_CONFIG)

    def start(self, name: str, request: Mapping[str, Any]) -> bool:
        """Start an execution. False if there is one of this name already, or was within 90 days.

        One with the same input that still runs AWS takes for the same call (API reference, StartExecution): True.
        """
        with aws_errors(f"StartExecution {name}"):
            try:
                self._client.start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(dict(request)))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                    raise
                return False
        return True

    def running(self, prefix: str) -> list[Execution]:
        """Those that run and whose names begin so; without input."""
        pages = self._client.get_paginator("list_executions").paginate(
            stateMachineArn=self.machine, statusFilter=RUNNING
        )
        with aws_errors("ListExecutions"):
            found = [_execution(each) for page in pages for each in page["executions"]]
        return [each for each in found if each.name.startswith(prefix)]

    def find(self, name: str) -> Execution | None:
        """An execution with its input; None if there is none of this name, or not any more."""
        with aws_errors(f"DescribeExecution {name}"):
            try:
                answer = self._client.describe_execution(executionArn=execution_arn(self.machine, name))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                    raise
                return None
        return _execution(answer, json.loads(answer.get("input", "{}")))

    def unfinished(self, since: float, until: float) -> list[Execution]:
        """Those that failed, were stopped or ran out of time between two moments (epoch seconds); without input."""
        found: list[Execution] = []
        with aws_errors("ListExecutions"):
            for status in UNFINISHED:
                answer = self._client.list_executions(
                    stateMachineArn=self.machine, statusFilter=status, maxResults=LISTED_MAX
                )
                found += [_execution(each) for each in answer["executions"]]
        return [each for each in found if each.stopped is not None and since <= each.stopped <= until]


def _execution(raw: Any, request: Mapping[str, Any] = EMPTY_MAPPING) -> Execution:
    stopped = raw.get("stopDate")
    return Execution(
        arn=raw["executionArn"],
        name=raw["name"],
        status=raw["status"],
        started=raw["startDate"].timestamp(),
        stopped=stopped.timestamp() if stopped else None,
        request=request if isinstance(request, dict) else EMPTY_MAPPING,
        error=raw.get("error", ""),
    )
