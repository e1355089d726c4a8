"""The connection to the Tower API: token, clock, pages, and answers turned into our errors.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import wraps
from types import FunctionType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from rollcall.domain.errors import (
    BadSettings,
    HostLimitReached,
    RollcallError,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.job_limit import BadLimit
from rollcall.http.transport import (
    FORBIDDEN,
    HTTP_OK,
    SERVER_ERROR,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Opened,
    Repeating,
    Transport,
    adapter,
    bare_url,
    may_hold_a_password,
    object_of,
    shown_url,
    text_of,
    trust,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollcall.http.transport import Exchange, Json, Query

DEFAULT_API_ROOT = "/api/v2/"  # AWX, Tower 3.x and AAP up to 2.4; AAP 2.5+ has /api/controller/v2/
PLATFORM_PATH = "/api/controller/"
TOWER_CALLS_AT_ONCE = 4  # of one function, beside those of the others at work
PAGE_SIZE = 200  # the server's maximum
CLOCK_JUMP = 60.0  # seconds; a Date has whole ones, and what NTP corrects is less
HTTP_REDIRECT = range(300, 400)
MOVED_FOR_A_WHILE = (302, 303, 307)
HOST_LIMITS = (  # AWX 24.6.1, with 403: [434]; awx/main/access.py, check_license; awx/api/serializers.py, bulk create
    *("reached the maximum number of", "Host count exceeds available instances", "License count of"),
)
HOST_NAME = re.compile(r"[\w.-]+|[0-9a-f:.]+")  # the latter of an IPv6 address
LAUNCHES = "job_templates/"  # below here every POST has an effect; elsewhere a second one finds what the first did


@dataclass(frozen=True)
class Credentials:
    """A bearer token, and the certificate authorities (PEM) to trust instead of the public ones, if any."""

    token: str = field(repr=False)
    ca_bundle: str | None = None


def api_root(url: str) -> str:
    """The API root of a Tower URL, ending in a slash; a URL without a path gets the usual one.

    Raises BadSettings for anything but https (plain http is allowed to this machine only), and for one with a user or a
    password, which is not shown: every link, event and error carries the root.
    """
    if may_hold_a_password(url):
        raise BadSettings(
            "the Tower URL has an @, as before which a user and a password stand, and it is logged: use https://HOST, "
            "and put a token into the secret that TowerSecretArn names"
        )
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and parts.port != 0
        is_url = is_url and bool(HOST_NAME.fullmatch(parts.hostname or ""))
    except ValueError:
        is_url = False
    if not is_url:
        raise BadSettings(
            f"Tower URL{shown_url(url)} is not a URL: use https://HOST or https://HOST/api/controller/v2/"
        )
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise BadSettings(f"Tower URL{shown_url(url)} would send the token in clear text: use https://")
    path = parts.path.strip("/")
    return f"{parts.scheme}://{parts.netloc}/{path}/" if path else f"{parts.scheme}://{parts.netloc}{DEFAULT_API_ROOT}"


def job_page(root: str, job_id: int) -> str:
    """The page of a job in a browser, by the API root: AAP since 2.5 has a user interface of its own."""
    parts = urlsplit(root)
    ui = "execution" if parts.path.startswith(PLATFORM_PATH) else "#"
    return f"{parts.scheme}://{parts.netloc}/{ui}/jobs/playbook/{job_id}/output"


class Connection:
    """Requests to one Tower, through one session that threads may share.

    credentials(refresh) gives the token; with refresh=True it must be read afresh. Raises TowerUnavailable, TowerDenied
    or TowerRejected.
    """

    def __init__(self, url: str, credentials: Callable[[bool], Credentials]) -> None:
        self.root = api_root(url)
        self._transport = Transport(
            "Tower", lambda refresh: _opened(credentials(refresh), self.root), TowerUnavailable, TowerRejected
        )
        self._clock_ahead: float | None = None
        self._unconfirmed: float | None = None

    def finish_within(self, seconds: float) -> None:
        """Bound what follows to the seconds left in this invocation: see Transport.finish_within."""
        self._transport.finish_within(seconds)

    def exchanges(self) -> list[Exchange]:
        """What the requests since the last call of this took: see Transport.exchanges."""
        return self._transport.exchanges()

    def now(self) -> float:
        """Tower's own clock, in epoch seconds: the Date of its answers, carried on; this machine's before the first.

        A Date that cannot be read changes nothing. Neither does one that is more than CLOCK_JUMP from the others and
        farther from this machine's clock than they are, until the next answer confirms it: a proxy may answer in
        Tower's place, or from its cache, and what is decided by the time may get an instance abandoned.
        """
        return time.time() + (self._clock_ahead or 0.0)

    def pages(self, path: str, query: Query) -> Iterator[Json]:
        """Every result of a list, page by page in the order of the ids, so that none is missed."""
        items = list(query.items()) if isinstance(query, dict) else list(query)
        number = 1
        while True:
            page = self.get(path, [*items, ("order_by", "id"), ("page_size", str(PAGE_SIZE)), ("page", str(number))])
            yield from page["results"]
            if not page["next"] or not page["results"]:
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
        self._note_time(answer.headers.get("Date", ""))
        return answer

    def _note_time(self, date: str) -> None:
        try:
            moment = parsedate_to_datetime(date)
            ahead = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return
        known = [each for each in (self._clock_ahead, self._unconfirmed) if each is not None]
        is_expected = not known or any(abs(ahead - each) <= CLOCK_JUMP for each in known)
        if is_expected or abs(ahead) < abs(self._clock_ahead or 0.0):
            self._clock_ahead, self._unconfirmed = ahead, None
        else:
            self._unconfirmed = ahead

    def read(self, answer: requests.Response) -> Json:
        """The answer's object. Raises the taxonomy's error for anything but a success."""
        status = answer.status_code
        what = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
        if status in HTTP_REDIRECT:
            where = f"{what} was redirected to {bare_url(answer.headers.get('Location', ''))}"
            if status in MOVED_FOR_A_WHILE:
                raise TowerUnavailable(f"{where}: Tower may be upgrading, or the Tower URL is not the API itself")
            raise TowerRejected(f"{where}: the Tower URL is not the API itself")
        if status == TOO_MANY_REQUESTS or status >= SERVER_ERROR:
            raise TowerUnavailable(f"Tower answered {what} with {status}: {words_of(answer)}")
        if status == FORBIDDEN and any(words in text_of(answer) for words in HOST_LIMITS):
            raise HostLimitReached(f"{words_of(answer)}; {_room(text_of(answer))}")
        if status == TOO_LARGE:
            raise TowerRejected(
                f"Tower, or a proxy before it, does not take what {what} brings, for its size ({status}): let it take "
                "larger requests (nginx: client_max_body_size), or make what tags and user data bring smaller"
            )
        if status in (UNAUTHORIZED, FORBIDDEN):
            if "still processing events" in text_of(answer):  # of a job that just ended; passes within a minute [625]
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

    def error(self, answer: requests.Response) -> RollcallError:
        """The taxonomy's error for an answer that is no success."""
        try:
            self.read(answer)
        except RollcallError as error:
            return error
        raise AssertionError("a success is no error")

    def denied(self, answer: requests.Response) -> str:
        """What was refused, in the server's words, and the remedy."""
        remedy = "grant the token's user the role it lacks"
        if answer.status_code == UNAUTHORIZED:
            remedy = "put a valid token into the secret that TowerSecretArn names"
        elif "License is missing" in text_of(answer) or "License has expired" in text_of(answer):  # awx/main/access.py
            remedy = "apply a valid licence (Tower: Settings, Subscription)"
        what = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
        return f"Tower refused {what} with {answer.status_code}: {words_of(answer)}; {remedy}"


def _room(words: str) -> str:
    """How there is room for more hosts again."""
    if "organization" in words:
        return "raise its Max hosts (Tower: Organizations, as a system administrator), or remove hosts it does not need"
    return "extend the licence (Tower: Settings, Subscription), or remove hosts that are not needed"


def reads_answers[C: type](client: C) -> C:
    """Class decorator: an answer that lacks what a method reads in it is an error of the taxonomy, like a refusal."""
    for name, method in list(vars(client).items()):
        if isinstance(method, FunctionType) and not name.startswith("_"):
            setattr(client, name, _reading(method))
    return client


class TowerPart:
    """A part of Tower's API, over the connection that all parts of a client share."""

    def __init__(self, http: Connection) -> None:
        self._http = http


def _reading[**P, R](method: Callable[P, R]) -> Callable[P, R]:
    @wraps(method)
    def read(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except BadLimit:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise TowerRejected(
                f"Tower answered with something else than its API gives ({method.__name__}: {type(error).__name__}: "
                f"{str(error)[:200]}): is TowerUrl its API root, and does no proxy before it change its answers?"
            ) from error

    return read


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
