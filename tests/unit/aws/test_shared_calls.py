"""Calls that many records share: one refusal holds only what it is about, and none is larger than AWS takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st

from rollcall.aws.client import CODES_ABOUT_RECORDS, aws_errors, by_halves, in_calls, refusal_words
from rollcall.domain.errors import AwsDenied

if TYPE_CHECKING:
    from collections.abc import Sequence


def client_error(code: str, words: str = "no") -> ClientError:
    details: Any = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": 400}}
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


def test_text_that_cannot_be_encoded_is_an_error_of_ours() -> None:
    with pytest.raises(AwsDenied, match="AWS would refuse a call"), aws_errors("a call"):
        "\ud800".encode()


@given(st.lists(st.integers(0, 30)), st.integers(1, 5), st.integers(1, 40))
def test_calls_keep_the_order_and_are_no_larger_than_they_may_be(sizes: list[int], most: int, room: int) -> None:
    calls = list(in_calls(sizes, most, room, lambda each: each))
    assert [each for call in calls for each in call] == sizes
    assert all(0 < len(call) <= most for call in calls)
    assert all(sum(call) <= room or len(call) == 1 for call in calls)


def test_calls_are_as_few_as_may_be() -> None:
    assert list(in_calls([5, 5, 5, 5, 11, 1], 3, 10, lambda each: each)) == [[5, 5], [5, 5], [11], [1]]
