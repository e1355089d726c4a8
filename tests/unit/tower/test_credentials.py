"""The Tower token, as Secrets Manager holds it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pytest
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from rollcall.aws import secrets as secret
from rollcall.domain.errors import AwsDenied, BadSettings, Throttled
from rollcall.runtime import installation
from rollcall.tower.connection import Credentials
from rollcall.tower.credentials import read_credentials
from unit.wire import Wire

PEM = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"


def hold(monkeypatch: pytest.MonkeyPatch, text: str) -> list[bool]:
    """Let the secret be this text. Whether each read was to be a fresh one."""
    fresh: list[bool] = []

    def get(name: str, max_age: int, force_fetch: bool) -> str:
        fresh.append(force_fetch)
        return text

    provide(monkeypatch, get)
    return fresh


def provide(monkeypatch: pytest.MonkeyPatch, get: Callable[..., str]) -> None:
    """Let secrets be read by this."""
    monkeypatch.setattr(secret, "_secrets", lambda: SimpleNamespace(get=get))


@pytest.mark.parametrize("bundle", ["-----BEGIN CERTIFICATE----- MIIB", "/etc/ssl/ca.pem", 7])
def test_a_ca_bundle_without_certificates_is_named(bundle: object) -> None:
    text = json.dumps({"token": "abc", "ca_bundle": bundle})
    with pytest.raises(BadSettings, match="ca_bundle in secret tower is no PEM"):
        read_credentials(text, "tower")


@pytest.mark.parametrize(
    ("text", "credentials"),
    [
        ("abc", Credentials("abc")),
        (" abc\n", Credentials("abc")),
        (json.dumps({"token": "abc"}), Credentials("abc")),
        (json.dumps({"token": "abc", "ca_bundle": PEM}), Credentials("abc", PEM)),
        (json.dumps({"token": "abc\n"}), Credentials("abc")),
        (json.dumps({"token": " abc\r\n", "ca_bundle": PEM}), Credentials("abc", PEM)),
    ],
)
def test_a_secret_is_a_bare_token_or_json(text: str, credentials: Credentials) -> None:
    assert read_credentials(text, "tower") == credentials


@pytest.mark.parametrize("text", ['{"tokn": "abc"}', "{", '{"token":'])
def test_a_secret_that_is_neither_is_named_but_not_shown(text: str) -> None:
    with pytest.raises(BadSettings, match="secret tower is neither") as caught:
        read_credentials(text, "tower")
    assert "abc" not in str(caught.value)


BAD_TOKENS = ["", " \n", "s3\ncret", "s3 cret", "s3cr\u00e9t", "s3cret\u200b", "s3\x7fcret", "s3\tcret"]


@pytest.mark.parametrize(
    "text",
    [*BAD_TOKENS, *(json.dumps({"token": each}) for each in (*BAD_TOKENS, 53, 5.3, None, True, ["s3"], {"s3": 1}))],
)
def test_what_cannot_be_a_token_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(BadSettings, match="token in secret tower") as caught:
        read_credentials(text, "tower")
    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert not any(part in shown for part in ("s3", "53", "5.3"))


@pytest.mark.parametrize("text", ['{"token": "s3cret', '{"tokn": "s3cret"}', '{"token": s3cret}'])
def test_no_error_about_a_secret_shows_what_is_in_it(text: str) -> None:
    with pytest.raises(BadSettings) as caught:
        read_credentials(text, "tower")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value, limit=0))


def test_a_token_that_was_refused_is_read_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = hold(monkeypatch, "abc")
    assert installation._credentials("tower", refresh=False) == installation._credentials("tower", refresh=True)
    assert fresh == [False, True]


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

    provide(monkeypatch, refuse)
    with pytest.raises(error, match="secret tower"):
        installation._credentials("tower", refresh=False)


# Clients made afresh


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An invocation of an installation with a Tower and a Chef server."""
    settings = SimpleNamespace(tower_url="https://tower.example.com", tower_secret="tower", chef_secret="chef")
    here = installation.Installation(settings, tower=None, fleets=None, queues=None)  # type: ignore[arg-type]
    monkeypatch.setattr(installation, "_installation", lambda: here)
    return SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)


def test_an_installation_afresh_has_the_token_as_it_is_now(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, context: Any
) -> None:
    for token in ("old", "new"):
        fresh = hold(monkeypatch, token)
        wire.then(200, {"version": "24.6.1"})
        assert installation.installation_afresh(context).tower.version() == "24.6.1"
        assert wire.asked[-1].headers["Authorization"] == f"Bearer {token}"
        assert fresh == [True]


def test_chef_afresh_has_the_secret_as_it_is_now(monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    fresh = hold(monkeypatch, "no JSON")
    chef = installation.chef(context, afresh=True)
    assert chef
    assert chef is not installation.chef(context, afresh=True)
    assert installation.chef(context) is installation.chef(context)
    with pytest.raises(BadSettings, match="secret chef"):
        chef.node_names()
    assert fresh == [True]
