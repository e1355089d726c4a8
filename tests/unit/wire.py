"""The wire between the Tower client and a server: answers from a script, below requests and its retries."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import strategies as st
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import HTTPResponse

from rollcall.tower.connection import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

JSON = {"Content-Type": "application/json"}
CHARSETS = [
    "utf-8",
    "latin-1",
    "idna",
    "undefined",
    "punycode",
    "hex",
    "unicode_escape",
    "no-such-codec",
    '"',
    "utf-16",
]
NO_TIMES = ["", "soon", "-1", "9" * 5000, "Sat, 32 Nov 2026 10:00:00", f"Sat, 21 Nov {'9' * 20} 10:00:00 GMT", "\xff"]
ODD_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(
            [*(f"text/html; charset={each}" for each in CHARSETS), "", ";", "application/json"]
        ),
        "Date": st.sampled_from(NO_TIMES),
        "Retry-After": st.sampled_from(NO_TIMES),
        "Location": st.sampled_from(["", "//[", "http://[::1", "\xff"]),
        "Content-Encoding": st.sampled_from(["gzip", "x"]),
    },
)


@dataclass(frozen=True)
class Asked:
    """A request as it went out. trusting: the file with the certificate authorities that the server is held to."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: Any
    timeout: Any
    trusting: str | None

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.url).query)


@dataclass(frozen=True)
class Answer:
    """An answer of the server; a body that is no text is sent as JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Wire:
    """Answers requests from a script, or by a function once the script is at its end."""

    script: list[Answer | Exception] = field(default_factory=list)
    by_request: Callable[[Asked], Answer] | None = None
    asked: list[Asked] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)

    def then(self, status: int = 200, body: Any = None, **headers: str) -> Wire:
        """The next answer; in the names of headers _ stands for -."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(Answer(status, {} if body is None else body, given))
        return self

    def page(self, *results: Any) -> Wire:
        """The next answer is a list's only page."""
        return self.then(200, page(*results))

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Wire:
        """Take the place of every connection."""
        monkeypatch.setattr(
            HTTPConnectionPool,
            "_make_request",
            lambda pool, conn, *args, **given: self._answer(getattr(pool, "ca_certs", None), *args, **given),
        )
        monkeypatch.setattr("urllib3.util.retry.time", self)
        return self

    def sleep(self, seconds: float) -> None:
        """What urllib3 calls between two tries."""
        self.naps.append(seconds)

    def time(self) -> float:
        """What urllib3 compares a date with."""
        return time.time()

    def _answer(
        self, trusting: str | None, method: str, url: str, body: bytes | None = None, **given: Any
    ) -> HTTPResponse:
        asked = Asked(method, url, given["headers"], json.loads(body) if body else None, given["timeout"], trusting)
        self.asked.append(asked)
        if self.script:
            answer = self.script.pop(0)
        elif self.by_request:
            answer = self.by_request(asked)
        else:
            raise AssertionError(f"nobody expected {method} {url}")
        if isinstance(answer, Exception):
            raise answer
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return HTTPResponse(
            BytesIO(text.encode()),
            {**JSON, **answer.headers},
            answer.status,
            preload_content=False,
            request_method=method,
            retries=given["retries"],
        )

    @property
    def calls(self) -> list[str]:
        """Method and path of every request."""
        return [f"{each.method} {each.path}" for each in self.asked]


class Vault:
    """Tokens, a new one at every refresh; and the certificate authorities that the secret holds by now."""

    def __init__(self) -> None:
        self.reads: list[bool] = []
        self.ca_bundle: str | None = None

    def __call__(self, refresh: bool) -> Credentials:
        self.reads.append(refresh)
        return Credentials(f"token-{sum(self.reads)}", self.ca_bundle)


def page(*results: Any, following: str | None = None, total: int | None = None) -> dict[str, Any]:
    """One page of a list."""
    return {
        "count": len(results) if total is None else total,
        "next": following,
        "previous": None,
        "results": list(results),
    }
