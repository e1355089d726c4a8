"""The Chef client where the connection itself fails. All else is in tests/contract/test_chef.py."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
from urllib3.exceptions import ReadTimeoutError

from rollcall.chef.client import Chef, ChefCredentials
from rollcall.chef.signature import read_key
from rollcall.domain.errors import ChefRejected, ChefUnavailable
from unit.wire import CHARSETS, Answer, Wire

KEY = read_key((Path(__file__).parent / "signatures" / "key.pem").read_text())
URL = "https://chef.example.com/organizations/acme"
INVOCATION = 110.0  # seconds


class Secret:
    """What the secret holds by now, and how often it was read afresh."""

    def __init__(self) -> None:
        self.ca_bundle: str | None = None
        self.reads: list[bool] = []

    def __call__(self, refresh: bool) -> ChefCredentials:
        self.reads.append(refresh)
        return ChefCredentials(URL, "rollcall", KEY, self.ca_bundle)


@pytest.fixture
def secret() -> Secret:
    return Secret()


@pytest.fixture
def chef(wire: Wire, secret: Secret) -> Chef:
    made = Chef(secret)
    made.finish_within(INVOCATION)
    return made


def distrusted() -> Exception:
    return ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate (_ssl.c:1028)")


def test_no_other_server_gets_our_signature_by_a_redirect(chef: Chef, wire: Wire) -> None:
    wire.then(302, "", Location="https://evil.example.com/")
    with pytest.raises(ChefRejected, match="302"):
        chef.node_names()
    assert [each.url for each in wire.asked] == ["/organizations/acme/nodes"]


def test_a_certificate_that_is_not_trusted_is_named_and_its_ca_is_found_once_it_is_in_the_secret(
    chef: Chef, wire: Wire, secret: Secret
) -> None:
    wire.script.append(distrusted())
    with pytest.raises(ChefRejected, match=r"chef\.example\.com.* is not trusted: put its CA into the secret"):
        chef.node_names()
    secret.ca_bundle = "the CA, as PEM"
    wire.then(200, {"i-a": f"{URL}/nodes/i-a"})
    assert chef.node_names() == {"i-a"}
    assert secret.reads == [False, True]
    trusting = wire.asked[-1].trusting
    assert trusting
    assert Path(trusting).read_text() == secret.ca_bundle


def test_a_server_that_does_not_answer_is_asked_once_an_invocation(chef: Chef, wire: Wire) -> None:
    wire.script.append(ReadTimeoutError(None, "/", "timed out"))  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(ChefUnavailable, match=r"chef\.example\.com.*cannot be reached"):
            chef.delete_node("i-a")
    assert len(wire.asked) == 1
    wire.then(200, {})
    chef.finish_within(INVOCATION)
    assert chef.delete_node("i-a")


@pytest.mark.parametrize("body", ["[]", '"nodes"', "<html>", ""])
def test_an_answer_that_is_not_the_apis_is_distinguished_from_an_empty_one(chef: Chef, wire: Wire, body: str) -> None:
    wire.then(200, body)
    with pytest.raises(ChefRejected, match="organization_url"):
        chef.node_names()


@pytest.mark.parametrize("charset", CHARSETS)
def test_whatever_charset_a_gateway_names_its_words_are_read(chef: Chef, wire: Wire, charset: str) -> None:
    headers = {"Content-Type": f"text/html; charset={charset}"}
    wire.by_request = lambda asked: Answer(503, "<h1>we are busy</h1>", headers)
    with pytest.raises(ChefUnavailable, match=r"503.*we are busy"):
        chef.delete_client("i-a")


@pytest.mark.parametrize("rows", [None, {}, "i-a"])
def test_a_search_without_rows_is_not_taken_for_one_that_found_nothing(chef: Chef, wire: Wire, rows: object) -> None:
    wire.then(200, {"rows": rows})
    with pytest.raises(ChefRejected):
        chef.nodes(["i-a"])


@pytest.mark.parametrize("row", ["i-a", {}, {"data": None}, {"data": {"name": 7}}, {"data": {"name": "i-other"}}])
def test_a_row_that_was_not_requested_is_passed_over(chef: Chef, wire: Wire, row: object) -> None:
    wire.then(200, {"rows": [row, {"data": {"name": "i-a"}}]})
    assert list(chef.nodes(["i-a"])) == ["i-a"]


@pytest.mark.parametrize("odd", [10**400, -1, 1e300, "1", [1], None], ids=lambda odd: str(odd)[:9])
def test_a_node_that_reported_at_no_moment_reported_at_none(chef: Chef, wire: Wire, odd: object) -> None:
    wire.then(200, json.dumps({"rows": [{"data": {"name": "i-a", "seen_at": odd}}]}))
    assert chef.nodes(["i-a"])["i-a"].seen_at is None
