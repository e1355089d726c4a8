"""Calls that many records share: one refusal holds only what it is about, and none is larger than AWS takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ProfileNotFound,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
)
from botocore.retries import standard
from hypothesis import given
from hypothesis import strategies as st

from rollcall.aws.client import (
    CODES_ABOUT_RECORDS,
    RATE_CODES,
    answered_error,
    aws_errors,
    by_halves,
    in_calls,
    is_unreached,
    refusal_words,
)
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, RollcallError, Throttled

if TYPE_CHECKING:
    from collections.abc import Sequence

BOTOCORE: Any = standard  # its stubs do not have what it keeps to itself


def client_error(code: str, words: str = "no", status: int = 400) -> ClientError:
    details: Any = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(details, "Anything")


class Shared:
    """A call that is refused as a whole for one of its records."""

    def __init__(self, error: Exception, *wrong: int) -> None:
        self.error = error
        self.wrong = set(wrong)
        self.calls: list[list[int]] = []
        self.taken: list[int] = []

    def __call__(self, records: Sequence[int]) -> None:
        self.calls.append(list(records))
        if self.wrong & set(records):
            raise self.error
        self.taken += records


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_whatever_is_refused_the_rest_is_taken_once(records: set[int], wrong: set[int]) -> None:
    call = Shared(client_error("ValidationError"), *wrong)
    assert by_halves(call, sorted(records)).keys() == records & wrong
    assert call.taken == sorted(records - wrong)


def test_a_call_that_is_not_refused_is_made_once_and_none_for_nothing() -> None:
    call = Shared(client_error("ValidationError"))
    assert by_halves(call, range(50)) == {}
    assert by_halves(call, []) == {}
    assert call.calls == [[*range(50)]]


def test_one_among_fifty_is_found_in_few_calls() -> None:
    call = Shared(client_error("ValidationError"), 17)
    by_halves(call, range(50))
    assert len(call.calls) <= 2 * 6 + 1


@pytest.mark.parametrize(
    "error",
    [
        *(client_error(code, "AWS's words") for code in sorted(CODES_ABOUT_RECORDS)),
        ParamValidationError(report="AWS's words"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "AWS's words"),
    ],
    ids=repr,
)
def test_what_is_about_a_record_is_refused_in_the_words_of_aws(error: Exception) -> None:
    refused = by_halves(Shared(error, 2), [1, 2, 3])
    assert refused == {2: error}
    assert "AWS's words" in refusal_words(refused[2])


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDenied"),
        client_error("Throttling"),
        client_error("InternalFailure"),
        EndpointConnectionError(endpoint_url="https://x"),
    ],
    ids=repr,
)
def test_what_is_about_no_record_in_particular_is_not_looked_for(error: Exception) -> None:
    call = Shared(error, 2)
    with pytest.raises(type(error)):
        by_halves(call, [1, 2, 3])
    assert call.calls == [[1, 2, 3]]


def test_a_denial_is_told_without_the_message_that_only_aws_can_read() -> None:
    words = "You are not authorized to perform: ec2:CreateImage. Encoded authorization failure message: 8sJ2k"
    with pytest.raises(AwsDenied, match=r"ec2:CreateImage\.$"), aws_errors("CreateImage"):
        raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": words}}, "CreateImage")


def test_text_that_cannot_be_encoded_is_an_error_of_ours() -> None:
    with pytest.raises(AwsRejected, match="AWS would refuse a call"), aws_errors("a call"):
        "\ud800".encode()


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        # refused for its rate, whatever the status
        ("Throttling", 400, Throttled, "AWS put off a call: Throttling: no"),
        ("ThrottlingException", 400, Throttled, "put off"),
        ("EC2ThrottledException", 400, Throttled, "put off"),
        ("KMS.ThrottlingException", 400, Throttled, "put off"),
        ("ProvisionedThroughputExceededException", 400, Throttled, "put off"),
        ("RequestLimitExceeded", 503, Throttled, "put off"),
        ("RequestThrottled", 403, Throttled, "put off"),
        ("Odd", 429, Throttled, "put off"),
        # failed on AWS's own side
        ("InternalFailure", 500, AwsUnavailable, "AWS failed at a call: InternalFailure: no"),
        ("InternalError", 400, AwsUnavailable, "failed"),
        ("ResourceContention", 400, AwsUnavailable, "failed"),
        ("Odd", 502, AwsUnavailable, "failed"),
        # a permission is missing, or the credentials are not valid
        ("AccessDenied", 403, AwsDenied, "AWS refused a call: AccessDenied: no"),
        ("AccessDeniedException", 400, AwsDenied, "refused"),
        ("KMS.AccessDeniedException", 400, AwsDenied, "refused"),
        ("UnauthorizedOperation", 403, AwsDenied, "refused"),
        ("AuthFailure", 401, AwsDenied, "refused"),
        ("ExpiredTokenException", 400, AwsDenied, "refused"),
        ("UnrecognizedClientException", 400, AwsDenied, "refused"),
        ("Odd", 403, AwsDenied, "refused"),
        # wrong, and no permission would make it right
        ("ValidationError", 400, AwsRejected, "AWS refused a call: ValidationError: no"),
        ("ResourceNotFoundException", 400, AwsRejected, "refused"),
        ("InvalidParameterValue", 400, AwsRejected, "refused"),
        ("Odd", 404, AwsRejected, "refused"),
    ],
)
def test_what_aws_answers_is_named_for_what_it_is(
    code: str, status: int, kind: type[RollcallError], words: str
) -> None:
    with pytest.raises(RollcallError, match=words) as raised, aws_errors("a call"):
        raise client_error(code, status=status)
    assert type(raised.value) is kind


@pytest.mark.parametrize("code", BOTOCORE.ThrottledRetryableChecker._THROTTLED_ERROR_CODES)
def test_what_botocore_calls_throttled_is_throttled(code: str) -> None:
    assert type(answered_error("a call", code, "no")) is Throttled


@pytest.mark.parametrize(
    "code", sorted({*BOTOCORE.TransientRetryableChecker._TRANSIENT_ERROR_CODES, "IDPCommunicationError"} - RATE_CODES)
)
def test_what_botocore_calls_transient_passes_by_itself(code: str) -> None:
    assert type(answered_error("a call", code, "no")) is AwsUnavailable


def test_only_what_got_no_answer_is_unreached() -> None:
    assert is_unreached(error_of(ReadTimeoutError(endpoint_url="https://x")))
    assert not is_unreached(error_of(client_error("InternalFailure", status=500)))
    assert not is_unreached(AwsUnavailable("EC2 does not know them"))


def error_of(error: Exception) -> RollcallError:
    with pytest.raises(RollcallError) as raised, aws_errors("a call"):
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (EndpointConnectionError(endpoint_url="https://x"), AwsUnavailable, "cannot be reached for a call"),
        (ReadTimeoutError(endpoint_url="https://x"), AwsUnavailable, "cannot be reached"),
        (ConnectionClosedError(endpoint_url="https://x"), AwsUnavailable, "cannot be reached"),
        (NoCredentialsError(), AwsDenied, "without valid credentials AWS would deny a call"),
        (CredentialRetrievalError(provider="sso", error_msg="x"), AwsDenied, "without valid credentials"),
        (UnauthorizedSSOTokenError(), AwsDenied, "without valid credentials"),
        (ParamValidationError(report="x"), AwsRejected, "AWS would refuse a call"),
        (NoRegionError(), AwsRejected, "the settings for AWS are not complete, or not valid, for a call"),
        (ProfileNotFound(profile="x"), AwsRejected, "the settings for AWS"),
        (MetadataRetrievalError(error_msg="x"), AwsDenied, "without valid credentials"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else None,
)
def test_what_never_came_to_an_answer_is_named_for_what_it_is(
    error: BotoCoreError, kind: type[RollcallError], words: str
) -> None:
    with pytest.raises(RollcallError, match=words) as raised, aws_errors("a call"):
        raise error
    assert type(raised.value) is kind


@given(st.lists(st.integers(0, 30)), st.integers(1, 5), st.integers(1, 40))
def test_calls_keep_the_order_and_are_no_larger_than_they_may_be(sizes: list[int], most: int, room: int) -> None:
    calls = list(in_calls(sizes, most, room, lambda each: each))
    assert [each for call in calls for each in call] == sizes
    assert all(0 < len(call) <= most for call in calls)
    assert all(sum(call) <= room or len(call) == 1 for call in calls)


def test_calls_are_as_few_as_may_be() -> None:
    assert list(in_calls([5, 5, 5, 5, 11, 1], 3, 10, lambda each: each)) == [[5, 5], [5, 5], [11], [1]]
