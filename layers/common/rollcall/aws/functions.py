"""Lambda functions of the stack, as much of them as another function uses.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3

from .client import CLIENT_CONFIG, aws_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient


class Functions:
    """Invokes functions."""

    @cached_property
    def _client(self) -> LambdaClient:
        return boto3.client("lambda", config=CLIENT_CONFIG)

    def send(self, function: str, event: Mapping[str, Any]) -> None:
        """Hand an event to a function, which works on it later, and again if it fails (asynchronous invocation)."""
        with aws_errors(f"Invoke of {function}"):
            self._client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(dict(event)))
