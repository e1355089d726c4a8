"""What every request to a server of the user's goes through: its session, the time there is, trust, and tries again."""

from __future__ import annotations

import json
import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    InvalidHeader,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util import Retry

from rollcall.domain.errors import BadSettings

if TYPE_CHECKING:
    from types import TracebackType

    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

    from rollcall.domain.errors import RollcallError

type Json = dict[str, Any]
type Query = Mapping[str, str] | Sequence[tuple[str, str]]

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 20.0  # seconds; a bulk delete of 250 hosts takes about five on a small Tower
TRIES = 3  # of a call that found no connection
BUSY_TRIES = 5  # of a call that a server, or a gateway before it, was too busy for: waits of 0, 0.5, 1 and 2 s
RETRY_AFTER_MAX = 3  # seconds; beyond that the queue waits better than a running function
DEADLINE_MARGIN = 15.0  # seconds kept back at the end of an invocation for heartbeats and put-offs
CONNECTIONS = 8  # kept alive per invocation
HTTP_OK = range(200, 300)
HEADER_TEXT = re.compile("[!-~]+")  # what a header can carry of a name or a token
DISTRUST = ("CERTIFICATE_VERIFY_FAILED", "[X509")  # OpenSSL's words; other TLS errors pass by themselves
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY_REQUESTS, SERVER_ERROR = 401, 403, 404, 413, 429, 500
TOO_BUSY = (TOO_MANY_REQUESTS, 503)
BROKEN_OFF = (502, 504)
SHOWABLE = re.compile(  # a URL in which nothing can be a password, not even one that was mistyped
    r"([A-Za-z][A-Za-z0-9+.-]*://)?[A-Za-z0-9.-]*(:[0-9]+)?(/[A-Za-z0-9._/-]*)?"
)


class Obstacle(Enum):
    """What kept a request from an answer."""

    DISTRUST = auto()  # of the server's certificate
    NAME = auto()  # that does not resolve
    REFUSAL = auto()  # of the connection
    NO_WAY = auto()  # to the server: nothing came back
    SILENCE = auto()  # once there was a connection
    BREAK = auto()  # of the connection, or no TLS


class Exchange(NamedTuple):
    """What one request took, its repetitions and the waits between them included; unwell: no answer, 429 or 5xx."""

    milliseconds: float
    unwell: bool


class Opened(NamedTuple):
    """A session that knows who we are, and what its requests' paths are appended to."""

    session: requests.Session
    root: str


class Transport:
    """Requests to one server, through one session that threads may share.

    server: what it is called in errors. opened(refresh) makes a session; with refresh=True our credentials must be read
    afresh for it. Raises unavailable for what passes by itself, rejected for a certificate that is not trusted, and
    what opened raises.
    """

    def __init__(
        self,
        server: str,
        opened: Callable[[bool], Opened],
        unavailable: type[RollcallError],
        rejected: type[RollcallError],
    ) -> None:
        self._server = server
        self._open = opened
        self._unavailable = unavailable
        self._rejected = rejected
        self._opened: Opened | None = None
        self._opening = Lock()
        self._deadline = float("inf")
        self._silent: RollcallError | None = None
        self._distrusted = False
        self._exchanges: list[Exchange] = []

    def exchanges(self) -> list[Exchange]:
        """What the requests since the last call of this took."""
        known, self._exchanges = self._exchanges, []
        return known

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation; requests beyond that fail.

        So do all that follow one which the server did not answer, or kept turning away: hooks wait for a heartbeat.
        """
        self._exchanges = []
        self._deadline = time.monotonic() + seconds - DEADLINE_MARGIN
        self._silent = None

    def send_no_more(self, why: RollcallError) -> None:
        """Fail with this for the rest of the invocation: each further request would cost seconds, and end the same."""
        if self._deadline < float("inf"):
            self._silent = why

    def send(self, method: str, path: str, body: Json | None = None, query: Query = ()) -> requests.Response:
        """One request and its answer, whatever its status; once more if our credentials may have been rotated."""
        known = self._connected()
        answer = self._exchange(known, method, path, body, query)
        if answer.status_code == UNAUTHORIZED:
            answer = self._exchange(self._connected(refused=known), method, path, body, query)
        return answer

    def _exchange(self, known: Opened, method: str, path: str, body: Json | None, query: Query) -> requests.Response:
        if self._silent:
            raise self._silent
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._unavailable(f"no time left in this invocation to request {path} from {self._server}")
        began = time.monotonic()
        unwell = True
        try:
            answer = known.session.request(
                method,
                known.root + path,
                json=body,
                params=query,
                timeout=(min(CONNECT_TIMEOUT, left / TRIES), min(READ_TIMEOUT, left / TRIES)),
                allow_redirects=False,
            )
            unwell = answer.status_code == TOO_MANY_REQUESTS or answer.status_code >= SERVER_ERROR
        except requests.RequestException as error:
            if any(words in str(error) for words in DISTRUST):
                self._distrusted = True
                raise self._rejected(
                    f"{self._server}'s certificate at {known.root} is not trusted: put its CA into the secret, as "
                    f"ca_bundle ({error})"
                ) from error
            unavailable = self._unavailable(f"{self._server} at {known.root} cannot be reached for {path}: {error}")
            if isinstance(error, requests.Timeout):
                self.send_no_more(unavailable)
            raise unavailable from error
        except ValueError as error:  # requests takes a redirect's Location apart, even one that is not followed
            raise self._unavailable(f"{self._server} answered {path} with headers that cannot be read") from error
        finally:
            self._exchanges.append(Exchange(1000 * (time.monotonic() - began), unwell))
        if answer.status_code in TOO_BUSY and answer.raw.retries and not answer.raw.retries.total:
            self.send_no_more(
                self._unavailable(f"{self._server} keeps refusing requests as too many, with {answer.status_code}")
            )
        return answer

    def _connected(self, refused: Opened | None = None) -> Opened:
        """The session; a new one, with the credentials read afresh, if they or the CA were not right.

        Threads share it.
        """
        with self._opening:
            stale = self._distrusted or (refused is not None and refused is self._opened)
            if self._opened is None or stale:
                self._opened = self._open(stale)
                self._distrusted = False
            return self._opened


class Repeating(Retry):
    """Repeats every call that a server was too busy for, and none that got no answer in time: it will get none soon."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        return status_code in TOO_BUSY or super().is_retry(method, status_code, has_retry_after)

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """None, as without the header, for one that cannot be read: a busy server is tried again all the same."""
        try:
            return super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


def ca_bundle_in(secret: str, value: object) -> str | None:
    """What a secret holds as ca_bundle, None where it has none. Raises BadSettings for what is no PEM certificates."""
    if not isinstance(value, str | None):
        raise BadSettings(f"the ca_bundle in secret {secret} is no PEM text with certificates")
    if value is not None:
        try:
            ssl.create_default_context(cadata=value)
        except (ssl.SSLError, TypeError, ValueError) as error:
            raise BadSettings(f"the ca_bundle in secret {secret} is no PEM text with certificates: {error}") from error
    return value


def trust(session: requests.Session, ca_bundle: str) -> None:
    """Hold servers to these certificate authorities (PEM) instead of the public ones."""
    file = Path(tempfile.gettempdir()) / f"ca-{sha256(ca_bundle.encode()).hexdigest()}.pem"
    file.write_text(ca_bundle)
    session.verify = str(file)


def adapter(kind: type[Repeating] = Repeating, repeatable: Sequence[str] = ("GET",)) -> HTTPAdapter:
    """What tries a session's calls again. repeatable: the methods that may be, once they were perhaps worked on."""
    retry = kind(
        total=BUSY_TRIES - 1,
        connect=TRIES - 1,
        read=TRIES - 1,
        other=0,  # TLS errors, which urllib3 would take for safe to repeat whatever the method
        status_forcelist=BROKEN_OFF,
        allowed_methods=repeatable,
        backoff_factor=0.25,
        backoff_jitter=0.5,
        retry_after_max=RETRY_AFTER_MAX,
        raise_on_status=False,
    )
    return HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=retry)


def obstacle_of(error: RollcallError) -> Obstacle | None:
    """What is behind an error that Transport raised; None if there was an answer, or the request was never made."""
    failure = error.__cause__
    if not isinstance(failure, requests.RequestException):
        return None
    causes = list(_causes(failure))
    if any(words in str(failure) for words in DISTRUST):  # OpenSSL has it in words alone
        return Obstacle.DISTRUST
    if any(isinstance(each, NameResolutionError) for each in causes):
        return Obstacle.NAME
    if any(isinstance(each, ReadTimeoutError) for each in causes):
        return Obstacle.SILENCE
    if any(isinstance(each, ConnectionRefusedError) for each in causes):
        return Obstacle.REFUSAL
    if any(isinstance(each, NewConnectionError | ConnectTimeoutError) for each in causes):
        return Obstacle.NO_WAY
    return Obstacle.BREAK


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it wraps, as requests and urllib3 do it: in arguments, in reasons, as a cause."""
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException):
            yield each
            waiting += [*each.args, getattr(each, "reason", None), each.__cause__]


def may_hold_a_password(url: str) -> bool:
    """Whether a URL has a user or a password before its host, however it is written or mistyped: it is not to be shown.

    Python splits URLs at a fullwidth @ too, and what is percent-encoded was meant to be decoded.
    """
    return "@" in normalize("NFKC", unquote(url))


def shown_url(url: str) -> str:
    """A URL from a parameter or a secret, quoted, behind a blank; nothing where a part of it could be a password."""
    return f" {url!r}" if SHOWABLE.fullmatch(url) else ""


def bare_url(url: str) -> str:
    """A URL with nothing but scheme, host and path: what may be shown of one that a server names."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(not a URL)"
    shown = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    return "(not shown)" if may_hold_a_password(shown) else shown


def object_of(answer: requests.Response) -> Json | None:
    """The answer's JSON object, None if it is something else."""
    try:
        value = json.loads(text_of(answer))
    except (ValueError, RecursionError):  # the latter for what is nested too deeply
        return None
    return value if isinstance(value, dict) else None


def words_of(answer: requests.Response) -> str:
    """The server's own words, in one line of bounded length."""
    return " ".join(text_of(answer).split())[:500] or "(no words)"


def text_of(answer: requests.Response) -> str:
    """The answer's body. It is UTF-8, as the APIs' JSON is; what cannot be read of it becomes U+FFFD.

    Response.text would decode it by the header Content-Type, and fail where that names no charset for text.
    """
    return answer.content.decode(errors="replace")
