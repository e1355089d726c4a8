"""What all AWS clients of ours share: botocore's standard mode retries, its errors become ours, one refusal holds one.

Calls that many records share are made in sizes that AWS takes. One that is refused for one of its records is made again
by halves, until that record stands alone and is refused alone, in AWS's words.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import botocore.exceptions
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    InvalidConfigError,
    InvalidRegionError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
)

from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, InstancesRefused, RollcallError, Throttled
from rollcall.domain.json_input import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

type Refusal = ClientError | ParamValidationError | UnicodeError
type AwsError = AwsUnavailable | AwsDenied | AwsRejected

AWS_CALLS_AT_ONCE = 8  # Auto Scaling's limits are unpublished, and botocore waits where AWS says so
CLIENT_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10)
# Those that botocore's standard retry mode calls throttled, and those that end so: KMS.ThrottlingException.
RATE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",  # DynamoDB's, also of tables without any
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
RATE_ENDINGS = ("ThrottledException", "ThrottlingException")
# Those that botocore calls transient, and those of the services' API references that may come with another status.
FAILURE_CODES = frozenset(
    {
        "IDPCommunicationError",  # STS, as it gets credentials
        "InternalError",
        "InternalFailure",
        "RequestTimeout",
        "RequestTimeoutException",
        "ResourceContention",
        "ServiceUnavailable",
        "Unavailable",
    }
)
# "Common errors" of the services' API references; EC2's are in its "Error codes". Others come with 401 or 403.
DENIAL_CODES = frozenset(
    {
        "AuthFailure",
        "AuthorizationError",  # SNS
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
DENIAL_ENDINGS = ("AccessDenied", "AccessDeniedException")
ENCODED = "Encoded authorization failure message:"
DENIAL_STATUSES = (401, 403)
CREDENTIALS_MISSING = (  # before a request is sent
    CredentialRetrievalError,
    MetadataRetrievalError,
    getattr(botocore.exceptions, "LoginError", NoCredentialsError),  # Lambda's botocore may be older
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
)
NOT_CONFIGURED = (  # the shell's, or the function's environment
    ConfigNotFound,
    ConfigParseError,
    InvalidConfigError,
    InvalidRegionError,
    NoRegionError,
    ProfileNotFound,
)
NOT_ANSWERED = (  # on the way there and back; whatever else botocore raises is about the request
    botocore.exceptions.ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
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
        raise InstancesRefused({each: _rejected(call, each, why) for each, why in refused.items()})


def _rejected(call: str, instance_id: str, why: Refusal) -> AwsRejected:
    return AwsRejected(f"AWS refused {call} of {quoted(instance_id)}: {refusal_words(why)}")


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
    except (BotoCoreError, ClientError, UnicodeError) as error:
        raise aws_error(what, error) from error


def aws_error(what: str, error: BotoCoreError | ClientError | UnicodeError) -> AwsError:
    """What an error of botocore's is among ours. what: was requested."""
    if isinstance(error, ClientError):
        details = error.response["Error"]
        words = f"{details['Code']}: {without_encoded(details['Message'])}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        return answered_error(what, details["Code"], words, status)
    if isinstance(error, NOT_ANSWERED):
        return AwsUnavailable(f"AWS cannot be reached for {what}: {error}")
    if isinstance(error, CREDENTIALS_MISSING):
        return AwsDenied(f"without valid credentials AWS would deny {what}: {error}")
    if isinstance(error, NOT_CONFIGURED):
        return AwsRejected(f"the settings for AWS are not complete, or not valid, for {what}: {error}")
    return AwsRejected(f"AWS would refuse {what}: {error}")


def without_encoded(message: str) -> str:
    """AWS's words of a denial without the encoded message at their end, which only another call of AWS's can read."""
    return message.partition(ENCODED)[0].strip()


def is_unreached(error: RollcallError) -> bool:
    """Whether an error that aws_errors raised is about the way to AWS: no answer came back."""
    return isinstance(error.__cause__, NOT_ANSWERED)


def answered_error(what: str, code: str, words: str, status: int = 400) -> AwsError:
    """What an error that AWS answers with is among ours.

    what: was requested. code: AWS's. words: what else is said of it. status: of HTTP; a record of a call has none.
    """
    if code in RATE_CODES or code.endswith(RATE_ENDINGS) or status == 429:
        return Throttled(f"AWS put off {what}: {words}")
    if code in FAILURE_CODES or status >= 500:
        return AwsUnavailable(f"AWS failed at {what}: {words}")
    if code in DENIAL_CODES or code.endswith(DENIAL_ENDINGS) or status in DENIAL_STATUSES:
        return AwsDenied(f"AWS refused {what}: {words}")
    return AwsRejected(f"AWS refused {what}: {words}")
