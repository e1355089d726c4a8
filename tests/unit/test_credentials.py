"""The Tower token, as Secrets Manager holds it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from rollcall import wiring
from rollcall.connection import Credentials
from rollcall.errors import AwsDenied, BadSettings, Throttled


def hold(monkeypatch: pytest.MonkeyPatch, text: str) -> list[bool]:
    """Let the secret be this text. Whether each read was to be a fresh one."""
    fresh: list[bool] = []

    def get_secret(name: str, max_age: int, force_fetch: bool) -> str:
        fresh.append(force_fetch)
        return text

    monkeypatch.setattr(wiring, "get_secret", get_secret)
    return fresh


@pytest.mark.parametrize(
    ("text", "credentials"),
    [
        ("abc", Credentials("abc")),
        (" abc\n", Credentials("abc")),
        (json.dumps({"token": "abc"}), Credentials("abc")),
        (json.dumps({"token": "abc", "ca_bundle": "PEM"}), Credentials("abc", "PEM")),
    ],
)
def test_a_secret_is_a_bare_token_or_json(monkeypatch: pytest.MonkeyPatch, text: str, credentials: Credentials) -> None:
    fresh = hold(monkeypatch, text)
    assert wiring.read_credentials("tower", refresh=False) == credentials
    assert wiring.read_credentials("tower", refresh=True) == credentials
    assert fresh == [False, True]


@pytest.mark.parametrize("text", ['{"tokn": "abc"}', "{", '{"token":'])
def test_a_secret_that_is_neither_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    hold(monkeypatch, text)
    with pytest.raises(BadSettings, match="secret tower is neither") as caught:
        wiring.read_credentials("tower", refresh=False)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(("code", "error"), [("AccessDeniedException", AwsDenied), ("ThrottlingException", Throttled)])
def test_a_secret_that_cannot_be_read_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception]
) -> None:
    metadata = {"HTTPStatusCode": 400, "RequestId": "", "HostId": "", "HTTPHeaders": {}, "RetryAttempts": 0}
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}

    def refuse(name: str, max_age: int, force_fetch: bool) -> str:
        try:
            raise ClientError(answer, "GetSecretValue")  # noqa: TRY301 - for the next line to have a context
        except ClientError as error:
            raise GetParameterError(str(error))  # noqa: B904 - as Powertools does

    monkeypatch.setattr(wiring, "get_secret", refuse)
    with pytest.raises(error, match="secret tower"):
        wiring.read_credentials("tower", refresh=False)
