"""Requests to a Chef server are signed as the reference implementation signs them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from rollcall.chef.signature import LINE, Signature, read_key, signed

RECORDED = Path(__file__).parent / "signatures"  # see sign.rb there
PEM = (RECORDED / "key.pem").read_text()
KEY = read_key(PEM)
ASKED: list[dict[str, str]] = json.loads((RECORDED / "requests.json").read_text())
SIGNED: list[dict[str, str]] = json.loads((RECORDED / "signed.json").read_text())


def headers_for(asked: dict[str, str], **changes: Any) -> dict[str, str]:
    """What we send for a request, in lower case, for HTTP makes no difference."""
    given = {
        "user": asked["user"],
        "key": KEY,
        "method": asked["method"],
        "path": asked["path"],
        "body": asked["body"].encode(),
        "now": datetime.fromisoformat(asked["timestamp"]),
    }
    return {name.lower(): value for name, value in signed(**{**given, **changes}).items()}


@pytest.mark.parametrize(
    ("asked", "wanted"), list(zip(ASKED, SIGNED, strict=True)), ids=[each["path"] for each in ASKED]
)
def test_a_request_is_signed_as_the_reference_implementation_does(
    asked: dict[str, str], wanted: dict[str, str]
) -> None:
    sent = headers_for(asked)
    assert sent.pop("x-ops-server-api-version") == asked["api_version"]
    assert sent == {name.lower(): value for name, value in wanted.items()}


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/organizations/acme/nodes/i-0123456789abcdef1"},
        {"body": b"{}"},
        {"user": "mallory"},
        {"now": datetime.fromisoformat("2026-11-21T12:00:01Z")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_part_of_a_request_makes_another_signature(change: dict[str, Any]) -> None:
    asked = ASKED[0]
    assert headers_for(asked, **change)["x-ops-authorization-1"] != headers_for(asked)["x-ops-authorization-1"]


def test_the_time_is_in_utc_wherever_we_are() -> None:
    asked = ASKED[0]
    now = datetime.fromisoformat(asked["timestamp"]).astimezone(timezone(timedelta(hours=9)))
    assert headers_for(asked, now=now) == headers_for(asked)


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_a_signature_comes_in_lines_that_are_numbered_from_one(bits: int) -> None:
    sent = headers_for(ASKED[0], key=generate_private_key(65537, bits))
    lines = [sent[f"x-ops-authorization-{number}"] for number in range(1, -(-bits // 6 // LINE) + 1)]
    assert {len(line) for line in lines[:-1]} == {LINE}
    assert len("".join(lines)) == -(-bits // 8 // 3) * 4


def test_what_is_signed_is_the_request_as_it_is_sent() -> None:
    url = "https://chef.example.com/organizations/acme/search/node"
    request = requests.Request(
        "POST", url, params={"q": "name:i-a OR name:i-b"}, json={"name": ["name"]}, auth=Signature("rollcall", KEY)
    ).prepare()
    asked = {
        "user": "rollcall",
        "method": "POST",
        "path": "/organizations/acme/search/node",
        "body": '{"name": ["name"]}',
        "timestamp": request.headers["X-Ops-Timestamp"],
    }
    assert request.body == asked["body"].encode()
    assert headers_for(asked).items() <= {name.lower(): value for name, value in request.headers.items()}.items()


def pem_of(key: Any, encryption: Any = None) -> str:
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return made.decode()


def test_a_key_may_be_in_either_form_that_chef_and_openssl_write() -> None:
    assert "BEGIN RSA PRIVATE KEY" in PEM
    assert read_key(pem_of(KEY)).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("s3cret", "not a private key in PEM"),
        ("-----BEGIN RSA PRIVATE KEY-----\ns3cret\n-----END RSA PRIVATE KEY-----", "not a private key in PEM"),
        (pem_of(KEY, BestAvailableEncryption(b"s3cret")), "with a passphrase"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "not an RSA one"),
    ],
    ids=["text", "broken", "passphrase", "elliptic"],
)
def test_what_is_no_rsa_key_is_refused_and_not_shown(pem: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_key(pem)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
