"""Secrets Manager, as much of it as we use."""

from __future__ import annotations

from functools import cache

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

from .client import CLIENT_CONFIG, aws_errors

SECRET_MAX_AGE = 300  # seconds


@cache
def _secrets() -> SecretsProvider:
    # With a client of our own: Powertools' has a session to itself, at 40 ms of a cold start, and no timeouts of ours.
    return SecretsProvider(boto3_client=boto3.client("secretsmanager", config=CLIENT_CONFIG))


def secret_text(secret: str, *, refresh: bool) -> str:
    """What a secret holds, remembered for five minutes unless refresh is set.

    Raises AwsUnavailable, AwsDenied or AwsRejected.
    """
    with aws_errors(f"secret {secret}"):
        try:
            return str(_secrets().get(secret, max_age=SECRET_MAX_AGE, force_fetch=refresh))
        except GetParameterError as error:
            raise error.__context__ or error from None  # what botocore said; Powertools only repeats its words
