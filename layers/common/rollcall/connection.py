"""The connection to the Tower API: token, clock, pages, and answers turned into our errors."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from .errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from .transport import (
    FORBIDDEN,
    HTTP_OK,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Opened,
    Repeating,
    Transport,
    adapter,
    object_of,
    trust,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .transport import Exchange, Json, Query

DEFAULT_API_ROOT = "/api/v2/"  # AWX, Tower 3.x and AAP up to 2.4; AAP 2.5+ has /api/controller/v2/
PLATFORM_PATH = "/api/controller/"
PAGE_SIZE = 200  # the server's maximum
HTTP_REDIRECT = range(300, 400)
MOVED_FOR_A_WHILE = (302, 303, 307)
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


def job_page(root: str, job_id: int) -> str:
    """Where people look at a job in a browser, by the API root: AAP since 2.5 has a user interface of its own."""
    parts = urlsplit(root)
    ui = "execution" if parts.path.startswith(PLATFORM_PATH) else "#"
    return f"{parts.scheme}://{parts.netloc}/{ui}/jobs/playbook/{job_id}/output"


class Connection:
    """Speaks to one Tower, through one session that threads may share.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. Raises TowerUnavailable, TowerDenied
    or TowerRejected.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        self.root = api_root(url)
        self._transport = Transport(
            "Tower", lambda refresh: _opened(credentials(refresh), self.root), TowerUnavailable, TowerRejected
        )
        self._clock_offset = 0.0

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation: see Transport.finish_within."""
        self._transport.finish_within(seconds)

    def exchanges(self) -> list[Exchange]:
        """What the requests took of which this was not told yet: see Transport.exchanges."""
        return self._transport.exchanges()

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
        answer = self._transport.send(method, path, body, query)
        if date := answer.headers.get("Date"):
            self._clock_offset = parsedate_to_datetime(date).timestamp() - time.time()
        return answer

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


class _LaunchRetry(Repeating):
    """Repeats a launch only where it was certainly not worked on."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if method == "POST":
            return status_code == TOO_MANY_REQUESTS
        return super().is_retry(method, status_code, has_retry_after)


def _opened(credentials: Credentials, root: str) -> Opened:
    session = requests.Session()
    session.trust_env = False  # else a .netrc could replace the token
    session.headers["Authorization"] = f"Bearer {credentials.token}"
    session.headers["Accept"] = "application/json"
    if credentials.ca_bundle:
        trust(session, credentials.ca_bundle)
    session.mount("https://", adapter())
    session.mount("http://", adapter())
    session.mount(root + LAUNCHES, adapter(_LaunchRetry))
    return Opened(session, root)
