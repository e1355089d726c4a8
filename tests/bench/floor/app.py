"""The floor of a cold start: what a function with these clients cannot do without, and nothing else.

It imports boto3, requests, and of Powertools what the functions use, makes the clients named in CLIENTS, and answers
without asking anybody for anything. The same for every function: they differ in the clients they need.
"""

import os
from typing import Any

import boto3
import requests
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from botocore.config import Config

IMPORTED = (Logger, EphemeralMetrics, MetricUnit, SecretsProvider, requests)
CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """The answer for a batch in which all went well."""
    for service in os.environ["CLIENTS"].split():
        boto3.client(service, config=CONFIG)  # type: ignore[call-overload]
    return {"batchItemFailures": []}
