"""What all AWS clients of ours share: botocore's standard mode retries, its errors become ours, one refusal holds one.

Calls that many records share are made in sizes that AWS takes. One that is refused for one of its records is made again
by halves, until that record stands alone and is refused alone, in AWS's words.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from rollcall.domain.errors import AwsDenied, InstancesRefused, Throttled
from rollcall.domain.json_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

type Refusal = ClientError | ParamValidationError | UnicodeError

AWS_CALLS_AT_ONCE = 8  # Auto Scaling's limits are unpublished, and botocore waits where AWS says so
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
# Of calls that were refused for one of their records: Auto Scaling; EC2; Elastic Load Balancing; SQS; EventBridge.
CODES_ABOUT_RECORDS = frozenset(
    {
        "ValidationError",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceID.NotFound",
        "InvalidParameterValue",
        "InvalidTarget",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "ValidationException",
    }
)


def by_halves[R: Hashable](call: Callable[[Sequence[R]], object], records: Sequence[R]) -> dict[R, Refusal]:
    """Make a call for all records at once; by record, why AWS, or botocore before it was sent, refuses it.

    Each half of a call that is refused for one of its records is made by itself. Raises what is about none of them, in
    the words of botocore.
    """
    if not records:
        return {}
    try:
        call(records)
    except (ClientError, ParamValidationError, UnicodeError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] not in CODES_ABOUT_RECORDS:
            raise
        if len(records) == 1:
            return {records[0]: error}
        half = len(records) // 2
        return by_halves(call, records[:half]) | by_halves(call, records[half:])
    return {}


def refusal_words(refusal: Refusal) -> str:
    """Why AWS refused a record, in its words."""
    return refusal.response["Error"]["Message"] if isinstance(refusal, ClientError) else str(refusal)


def require_no_refusals(call: str, refused: Mapping[str, Refusal]) -> None:
    """Raise InstancesRefused if a call was refused for some of its instances. refused: why, by id."""
    if refused:
        raise InstancesRefused({each: _denied(call, each, why) for each, why in refused.items()})


def _denied(call: str, instance_id: str, why: Refusal) -> AwsDenied:
    return AwsDenied(f"AWS refused {call} of {quoted(instance_id)}: {refusal_words(why)}")


def in_calls[T](items: Iterable[T], most: int, room: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in their order, in calls of at most so many and with room for so many bytes.

    One that is larger than a whole call has one for itself.
    """
    call: list[T] = []
    left = room
    for item in items:
        if call and (len(call) == most or size(item) > left):
            yield call
            call, left = [], room
        call.append(item)
        left -= size(item)
    if call:
        yield call


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Turns botocore's errors into ours, naming what was requested."""
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        if details["Code"] in PASSING_CODES or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise Throttled(f"AWS put off {what}: {details['Code']}: {details['Message']}") from error
        raise AwsDenied(f"AWS refused {what}: {details['Code']}: {details['Message']}") from error
    except (ParamValidationError, UnicodeError) as error:
        raise AwsDenied(f"AWS would refuse {what}: {error}") from error
    except BotoCoreError as error:
        raise Throttled(f"AWS cannot be reached for {what}: {error}") from error
