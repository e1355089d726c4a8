"""Lambda functions of the stack, as much of them as another function uses.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from rollcall.domain.errors import AwsDenied, AwsUnavailable

from .client import CLIENT_CONFIG, aws_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient


ANSWER_WITHIN = 90.0  # seconds: less than a function may take (Timeout in template.yaml), of the one that asks, too
ASKING_CONFIG = CLIENT_CONFIG.merge(  # what asks is itself tried again, so an invocation is made once
    Config(read_timeout=ANSWER_WITHIN, retries={"mode": "standard", "total_max_attempts": 1})
)


class Functions:
    """Invokes functions."""

    @cached_property
    def _client(self) -> LambdaClient:
        return boto3.client("lambda", config=CLIENT_CONFIG)

    @cached_property
    def _asking(self) -> LambdaClient:
        return boto3.client("lambda", config=ASKING_CONFIG)

    def ask(self, function: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hand an event to a function, and wait for its answer (synchronous invocation).

        Raises AwsDenied if the function ended in that, and AwsUnavailable for any other error that it ended in.
        """
        with aws_errors(f"Invoke of {function}"):
            answer = self._asking.invoke(FunctionName=function, Payload=json.dumps(dict(event)))
        answered: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            kind = str(answered.get("errorType", answer["FunctionError"]))
            words = f"function {function} failed: {kind}: {answered.get('errorMessage', '')}"
            raise (AwsDenied if kind == AwsDenied.__name__ else AwsUnavailable)(words)
        return answered

    def send(self, function: str, event: Mapping[str, Any]) -> None:
        """Hand an event to a function, which works on it later, and again if it fails (asynchronous invocation)."""
        with aws_errors(f"Invoke of {function}"):
            self._client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(dict(event)))
