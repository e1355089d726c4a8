"""What all AWS clients of ours share: botocore's standard mode retries, and its errors become ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from .errors import AwsDenied, Throttled

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10)
PASSING_CODES = frozenset(
    {
        "EC2ThrottledException",
        "InternalError",
        "InternalFailure",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",  # DynamoDB's, also of tables without any
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ResourceContention",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "Unavailable",
    }
)


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Turns botocore's errors into ours, naming what was asked."""
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        if details["Code"] in PASSING_CODES or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise Throttled(f"AWS put off {what}: {details['Code']}: {details['Message']}") from error
        raise AwsDenied(f"AWS refused {what}: {details['Code']}: {details['Message']}") from error
    except ParamValidationError as error:
        raise AwsDenied(f"AWS would refuse {what}: {error}") from error
    except BotoCoreError as error:
        raise Throttled(f"AWS cannot be asked for {what}: {error}") from error
