"""What PagerDuty and Slack have in common: one POST that may be repeated, and addresses and keys that are secret.

A webhook's URL is its key, so an error names the service, never the URL; nor do requests and urllib3 log it.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from rollcall.domain.errors import BadSettings, ChannelRefused, ChannelUnavailable, NoTimeLeft
from rollcall.http.transport import BUSY_TRIES, HTTP_OK, SERVER_ERROR, TOO_MANY_REQUESTS, adapter, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.http.transport import Json

CONNECT_TIMEOUT = 5.0  # seconds
READ_TIMEOUT = 10.0  # seconds
PAUSES = 10.0  # seconds at most between the tries of one call
REQUEST_TIMEOUT = 408
LOCAL = [("http", host) for host in ("127.0.0.1", "localhost", "::1")]

logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings hold the URLs of what it repeats


class Poster:
    """Posts to one service. name: what it is called in errors."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", adapter(repeatable=("POST",)))
        self._session.mount("http://", adapter(repeatable=("POST",)))

    def post(self, url: str, body: Json, seconds: float, secret: str) -> None:
        """Post within about so many seconds. secret: what no error may repeat.

        Tried again by itself: what found no connection, what was broken off, and what the service is too busy for. A
        second one changes nothing in PagerDuty, and in Slack readers recognize it. Raises NoTimeLeft,
        ChannelUnavailable, or ChannelRefused for what the service says is wrong with the request itself.
        """
        share = (seconds - PAUSES) / BUSY_TRIES
        if share <= 0:
            raise NoTimeLeft(f"{self._name} was not tried: no time is left; a later sweep does it")
        try:
            answer = self._session.post(
                url,
                json=body,
                timeout=(min(CONNECT_TIMEOUT, share), min(READ_TIMEOUT, share)),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            why = getattr(error.args[0] if error.args else None, "reason", None) or error
            raise ChannelUnavailable(
                f"{self._name} at {urlsplit(url).hostname} cannot be reached: {type(why).__name__}; if the functions "
                "are new, do they have a way to the internet?"
            ) from None  # its words hold the URL
        except ValueError:  # requests takes a redirect's Location apart, even one that is not followed
            raise ChannelUnavailable(f"{self._name} answered with headers that cannot be read") from None
        if answer.status_code in HTTP_OK:
            return
        words = f"{self._name} answered {answer.status_code}: {_hushed(words_of(answer), secret)}"
        if answer.status_code in (REQUEST_TIMEOUT, TOO_MANY_REQUESTS) or answer.status_code >= SERVER_ERROR:
            raise ChannelUnavailable(words)
        raise ChannelRefused(words)


def _hushed(words: str, secret: str) -> str:
    """A server's words without our key, or the path that is the key, should it repeat them."""
    for each in (secret, urlsplit(secret).path.strip("/")):
        words = words.replace(each, "…") if each else words
    return words


class Keyed[K]:
    """A key from a secret, read afresh once it is refused: it may have been rotated.

    read(refresh) raises BadSettings, AwsUnavailable, AwsDenied or AwsRejected.
    """

    def __init__(self, read: Callable[[bool], K]) -> None:
        self._read = read

    def use(self, post: Callable[[K], None]) -> None:
        """Post with the key; once more if it was refused and is another one by now."""
        key = self._read(False)
        try:
            post(key)
        except ChannelRefused:
            fresh = self._read(True)
            if fresh == key:
                raise
            post(fresh)


def read_fields(text: str, field: str, secret: str) -> Json:
    """What a secret holds: the bare value of a field, or a JSON object with it. Raises BadSettings."""
    text = text.strip()
    if not text.startswith("{"):
        return {field: text}
    try:
        fields: Json = json.loads(text)
    except ValueError:
        fields = {}
    if not isinstance(fields.get(field), str):
        raise BadSettings(f'secret {secret} is neither bare nor JSON like {{"{field}": "…"}}')
    return fields


def checked_url(url: object, field: str, secret: str) -> str:
    """A URL that secrets may be sent to: https, or this machine. Raises BadSettings, which does not repeat it."""
    wrong = BadSettings(f"the {field} in secret {secret} is no URL that begins with https://")
    if not isinstance(url, str):
        raise wrong
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise wrong from None
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme, parts.hostname) in LOCAL):
        raise wrong
    return url.strip()


def clip(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def utc(seconds: float) -> str:
    """Epoch seconds as readers and PagerDuty take them: 2026-11-21T10:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
