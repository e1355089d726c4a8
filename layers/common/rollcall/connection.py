"""One kept-alive connection to the Tower API: token, timeouts, retries, pages, and answers turned into our errors."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Retry

from .errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

type Json = dict[str, Any]
type Query = Mapping[str, str] | Sequence[tuple[str, str]]

DEFAULT_API_ROOT = "/api/v2/"  # AWX, Tower 3.x and AAP up to 2.4; AAP 2.5+ has /api/controller/v2/
CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 20.0  # seconds; a bulk delete of 250 hosts takes about five on a small server
TRIES = 3  # of a call that found no connection
BUSY_TRIES = 5  # of a call that Tower, or a gateway before it, was too busy for: waits of 0, 0.5, 1 and 2 s
RETRY_AFTER_MAX = 3  # seconds; beyond that the queue waits better than a running function
DEADLINE_MARGIN = 15.0  # seconds kept back at the end of an invocation for heartbeats and put-offs
PAGE_SIZE = 200  # the server's maximum
CONNECTIONS = 8  # kept alive per invocation
HTTP_OK = range(200, 300)
HTTP_REDIRECT = range(300, 400)
MOVED_FOR_A_WHILE = (302, 303, 307)
DISTRUST = ("CERTIFICATE_VERIFY_FAILED", "[X509")  # OpenSSL's words; other TLS trouble passes by itself
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 401, 403, 404, 429, 500
TOO_BUSY = (TOO_MANY_REQUESTS, 503)
BROKEN_OFF = (502, 504)
LAUNCHES = "job_templates/"  # below here every POST has an effect; elsewhere a second one finds what the first did


@dataclass(frozen=True)
class Credentials:
    """A bearer token, and the certificate authorities (PEM) to trust instead of the public ones, if any."""

    token: str = field(repr=False)
    ca_bundle: str | None = None


def api_root(url: str) -> str:
    """The API root of a Tower URL, ending in a slash; a URL without a path gets the usual one.

    Raises BadSettings for anything but https (plain http is allowed to this machine only).
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadSettings(f"Tower URL {url!r} is not a URL: {error}") from error
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise BadSettings(f"Tower URL {url!r} is not a URL: use https://HOST or https://HOST/api/controller/v2/")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise BadSettings(f"Tower URL {url!r} would send the token in clear text: use https://")
    path = parts.path.strip("/")
    return f"{parts.scheme}://{parts.netloc}/{path}/" if path else f"{parts.scheme}://{parts.netloc}{DEFAULT_API_ROOT}"


class Connection:
    """Speaks to one Tower, through one session that threads may share.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. Raises TowerUnavailable, TowerDenied
    or TowerRejected.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        self.root = api_root(url)
        self._credentials = credentials
        self._session: requests.Session | None = None
        self._connecting = Lock()
        self._clock_offset = 0.0
        self._deadline = float("inf")
        self._silent: TowerUnavailable | None = None
        self._distrusted = False

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation; calls beyond that raise TowerUnavailable.

        So do all that follow one which Tower did not answer, or kept turning away: hooks wait for a sign of life.
        """
        self._deadline = time.monotonic() + seconds - DEADLINE_MARGIN
        self._silent = None

    def now(self) -> float:
        """Tower's own clock, in epoch seconds: the Date of its latest answer, carried on."""
        return time.time() + self._clock_offset

    def pages(self, path: str, query: Query) -> Iterator[Json]:
        """Every result of a list, page by page in the order of the ids, so that none is missed."""
        items = list(query.items()) if isinstance(query, dict) else list(query)
        number = 1
        while True:
            page = self.get(path, [*items, ("order_by", "id"), ("page_size", str(PAGE_SIZE)), ("page", str(number))])
            yield from page["results"]
            if not page["next"]:
                return
            number += 1

    def get(self, path: str, query: Query = ()) -> Json:
        """The object at a path below the API root."""
        return self.read(self.send("GET", path, query=query))

    def send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Query = (),
    ) -> requests.Response:
        """One request and its answer, whatever its status.

        Tried again by itself: what found no connection; what Tower was too busy for (429, and 503 unless it is a
        launch, which a gateway may have passed on); and a GET that was broken off (502, 504).
        """
        answer = self._exchange(method, path, body, query)
        if answer.status_code == UNAUTHORIZED:  # perhaps the token was rotated
            answer = self._exchange(method, path, body, query, refused=answer.request.headers["Authorization"])
        if date := answer.headers.get("Date"):
            self._clock_offset = parsedate_to_datetime(date).timestamp() - time.time()
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        body: Json | None,
        query: Query,
        *,
        refused: str | None = None,
    ) -> requests.Response:
        if self._silent:
            raise self._silent
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TowerUnavailable(f"no time left in this invocation to ask Tower for {path}")
        session = self._connected(refused)
        try:
            answer = session.request(
                method,
                self.root + path,
                json=body,
                params=query,
                timeout=(min(CONNECT_TIMEOUT, left / TRIES), min(READ_TIMEOUT, left / TRIES)),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            if any(words in str(error) for words in DISTRUST):
                self._distrusted = True
                raise TowerRejected(
                    f"Tower's certificate at {self.root} is not trusted: put its CA into the secret, as ca_bundle "
                    f"({error})"
                ) from error
            unavailable = TowerUnavailable(f"Tower at {self.root} cannot be reached for {path}: {error}")
            if isinstance(error, requests.Timeout):
                self._ask_no_more(unavailable)
            raise unavailable from error
        if answer.status_code in TOO_BUSY and answer.raw.retries and not answer.raw.retries.total:
            self._ask_no_more(TowerUnavailable(f"Tower keeps turning us away, with {answer.status_code}"))
        return answer

    def _ask_no_more(self, why: TowerUnavailable) -> None:
        """For the rest of this invocation; each further call would cost seconds too."""
        if self._deadline < float("inf"):
            self._silent = why

    def _connected(self, refused: str | None) -> requests.Session:
        """The session; a new one, with the secret read afresh, if the present one's token or CA was not right.

        Threads share it.
        """
        with self._connecting:
            stale = self._distrusted or (
                self._session is not None and refused == self._session.headers["Authorization"]
            )
            if self._session is None or stale:
                self._session = _session(self._credentials(stale), self.root)
                self._distrusted = False
            return self._session

    def read(self, answer: requests.Response) -> Json:
        """The answer's object. Raises the taxonomy's error for anything but a success."""
        status = answer.status_code
        what = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
        if status in HTTP_REDIRECT:
            where = f"{what} was redirected to {answer.headers.get('Location')}"
            if status in MOVED_FOR_A_WHILE:
                raise TowerUnavailable(f"{where}: Tower may be upgrading, or the Tower URL is not the API itself")
            raise TowerRejected(f"{where}: the Tower URL is not the API itself")
        if status == TOO_MANY_REQUESTS or status >= SERVER_ERROR:
            raise TowerUnavailable(f"Tower answered {what} with {status}: {words_of(answer)}")
        if status in (UNAUTHORIZED, FORBIDDEN):
            if "still processing events" in answer.text:  # of a job that just ended; passes within a minute [625]
                raise TowerUnavailable(f"Tower answered {what} with {status}: {words_of(answer)}")
            raise TowerDenied(self.denied(answer))
        if not answer.content and status in HTTP_OK:
            return {}
        value = object_of(answer)
        if value is None:
            raise TowerRejected(
                f"Tower answered {what} with {status} and something that is not the API's JSON: {words_of(answer)}; "
                f"is {self.root} the API root?"
            )
        if status not in HTTP_OK:
            raise TowerRejected(f"Tower answered {what} with {status}: {words_of(answer)}")
        return value

    def denied(self, answer: requests.Response) -> str:
        """What was refused, in the server's words, and the remedy."""
        remedy = (
            "put a valid token into the secret that TowerSecretArn names"
            if answer.status_code == UNAUTHORIZED
            else "grant the token's user the role it lacks"
        )
        what = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
        return f"Tower refused {what} with {answer.status_code}: {words_of(answer)}; {remedy}"


class _Retry(Retry):
    """Repeats every call that Tower was too busy for, and none that got no answer in time: that will not be at once."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        return status_code in TOO_BUSY or super().is_retry(method, status_code, has_retry_after)

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


class _LaunchRetry(_Retry):
    """Repeats a launch only where it was certainly not worked on."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if method == "POST":
            return status_code == TOO_MANY_REQUESTS
        return super().is_retry(method, status_code, has_retry_after)


def _session(credentials: Credentials, root: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # else a .netrc could replace the token
    session.headers["Authorization"] = f"Bearer {credentials.token}"
    session.headers["Accept"] = "application/json"
    if credentials.ca_bundle:
        trust(session, credentials.ca_bundle)
    session.mount("https://", adapter())
    session.mount("http://", adapter())
    session.mount(root + LAUNCHES, adapter(_LaunchRetry))
    return session


def trust(session: requests.Session, ca_bundle: str) -> None:
    """Hold servers to these certificate authorities (PEM) instead of the public ones."""
    file = Path(tempfile.gettempdir()) / f"ca-{sha256(ca_bundle.encode()).hexdigest()}.pem"
    file.write_text(ca_bundle)
    session.verify = str(file)


def adapter(kind: type[_Retry] = _Retry, repeatable: Sequence[str] = ("GET",)) -> HTTPAdapter:
    """What tries a session's calls again. repeatable: the methods that may be, once they were perhaps worked on."""
    retry = kind(
        total=BUSY_TRIES - 1,
        connect=TRIES - 1,
        read=TRIES - 1,
        other=0,  # TLS trouble, which urllib3 would take for safe to repeat whatever the method
        status_forcelist=BROKEN_OFF,
        allowed_methods=repeatable,
        backoff_factor=0.25,
        backoff_jitter=0.5,
        retry_after_max=RETRY_AFTER_MAX,
        raise_on_status=False,
    )
    return HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=retry)


def object_of(answer: requests.Response) -> Json | None:
    """The answer's JSON object, None if it is something else."""
    try:
        value = answer.json()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def words_of(answer: requests.Response) -> str:
    """The server's own words, in one line of bounded length."""
    return " ".join(answer.text.split())[:500] or "(no words)"
