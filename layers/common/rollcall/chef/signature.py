"""How requests to a Chef server are signed: protocol 1.3, as mixlib-authentication has it.

The only place that needs `cryptography`, which is in a layer of its own. tests/unit/chef_signatures holds what the
reference implementation signed.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from itertools import batched
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from requests.auth import AuthBase

if TYPE_CHECKING:
    from requests import PreparedRequest

VERSION = "1.3"
API_VERSION = "1"  # of the server; what we use of it is the same in all
LINE = 60  # characters of the signature that one header carries


def read_key(pem: str) -> RSAPrivateKey:
    """An RSA private key without a passphrase. Raises ValueError for anything else; the message shows nothing of it."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("not a private key in PEM, or one with a passphrase") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("a private key, but not an RSA one")  # noqa: TRY004 - what it holds is wrong
    return key


def signed(user: str, key: RSAPrivateKey, method: str, path: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that authenticate a request. path: as it is sent, without a query."""
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content_hash = b64encode(sha256(body).digest()).decode()
    canonical = "\n".join(
        (
            f"Method:{method.upper()}",
            f"Path:{path}",
            f"X-Ops-Content-Hash:{content_hash}",
            f"X-Ops-Sign:version={VERSION}",
            f"X-Ops-Timestamp:{timestamp}",
            f"X-Ops-UserId:{user}",
            f"X-Ops-Server-API-Version:{API_VERSION}",
        )
    )
    signature = b64encode(key.sign(canonical.encode(), PKCS1v15(), hashes.SHA256())).decode()
    lines = ("".join(each) for each in batched(signature, LINE))
    return {
        "X-Ops-Sign": f"algorithm=sha256;version={VERSION};",
        "X-Ops-UserId": user,
        "X-Ops-Timestamp": timestamp,
        "X-Ops-Content-Hash": content_hash,
        "X-Ops-Server-API-Version": API_VERSION,
        **{f"X-Ops-Authorization-{number}": line for number, line in enumerate(lines, 1)},
    }


class Signature(AuthBase):
    """Signs each request of a session as it is sent.

    What urllib3 tries again within seconds keeps its signature, which is good for a quarter of an hour.
    """

    def __init__(self, user: str, key: RSAPrivateKey) -> None:
        self.user = user
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        method, path, body = request.method or "", str(urlsplit(request.url or "").path), request.body or b""
        sent = body.encode() if isinstance(body, str) else body
        request.headers.update(signed(self.user, self._key, method, path, sent, datetime.now(UTC)))
        return request
