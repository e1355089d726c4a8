"""What the tasks of an execution of Step Functions have answered.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import ClientError

from .client import CLIENT_CONFIG, aws_errors

NEWEST = 100  # events a page; a round has nine
RUNNING = "RUNNING"
ENDED = {  # the status of an execution by the newest event of its history, where that has ended it
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}


class ExecutionStatus(NamedTuple):
    """How an execution stands. status: as DescribeExecution words it. at: of its newest event, in epoch seconds."""

    status: str
    at: float


class ExecutionHistory:
    """The histories of executions in one Region."""

    def __init__(self, region: str) -> None:
        self._region = region

    @cached_property
    def _client(self) -> Any:
        return boto3.client("stepfunctions", region_name=self._region, config=CLIENT_CONFIG)

    def last_output(self, execution: str) -> dict[str, Any] | None:
        """The state after an execution's last task that ended well; None if none has yet. execution: its ARN."""
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=execution, reverseOrder=True, PaginationConfig={"PageSize": NEWEST}
        )
        with aws_errors(f"GetExecutionHistory of {execution}"):
            for page in pages:
                for event in page["events"]:
                    if event["type"] == "TaskStateExited":
                        output: dict[str, Any] = json.loads(event["stateExitedEventDetails"]["output"])
                        return output
        return None

    def status(self, execution: str) -> ExecutionStatus | None:
        """How an execution stands; None if there is none of this name, or not any more. execution: its ARN.

        Step Functions forgets one 90 days after its end (quotas, "Execution history retention time").
        """
        with aws_errors(f"GetExecutionHistory of {execution}"):
            try:
                answer = self._client.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                    raise
                return None
        [newest] = answer["events"]
        return ExecutionStatus(ENDED.get(newest["type"], RUNNING), newest["timestamp"].timestamp())

    def goes_on(self, execution: str) -> bool:
        """Whether an execution runs; none of this name does. execution: its ARN."""
        found = self.status(execution)
        return found is not None and found.status == RUNNING
