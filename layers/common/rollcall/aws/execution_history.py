"""What the tasks of an execution of Step Functions have answered.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import ClientError

from .client import CLIENT_CONFIG, aws_errors

NEWEST = 100  # events a page; a round has nine
ENDED = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


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

    def goes_on(self, execution: str) -> bool:
        """Whether an execution runs, by the newest event of its history; none of this name does. execution: its ARN."""
        with aws_errors(f"GetExecutionHistory of {execution}"):
            try:
                answer = self._client.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                    raise
                return False
        return not any(each["type"] in ENDED for each in answer["events"])
