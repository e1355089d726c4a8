"""PagerDuty, as much of it as we use: alerts that open and resolve (Events API v2).

A second trigger with the key of an open alert adds to it and notifies no one anew; a resolve that comes twice, or for
what is not open, does nothing. So all that is sent may be sent again. 202 is success, 400 is a request, or a routing
key, that will not do; 429 and 5xx pass by.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings

from .channel import Keyed, Poster, checked_url, clip, read_fields, utc
from .incident import NotificationKind
from .wording import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.http.transport import Json

    from .incident import Notification

DEFAULT_URL = "https://events.pagerduty.com"  # accounts of its EU region have https://events.eu.pagerduty.com
PATH = "/v2/enqueue"
SUMMARY_MAX = 1024  # characters
EXTENT_MAX = 300  # of them, at the end; names of groups may be long
LISTED = 50  # subjects; an event has at most 512 kB
ROUTING_KEY = re.compile("[0-9A-Za-z]{32}")


@dataclass(frozen=True)
class Account:
    """Where alerts go."""

    routing_key: str = field(repr=False)
    url: str = DEFAULT_URL


def read_account(text: str, secret: str) -> Account:
    """The routing key, bare, or JSON with routing_key and, if need be, url. Raises BadSettings."""
    fields = read_fields(text, "routing_key", secret)
    key = fields["routing_key"].strip()
    if not ROUTING_KEY.fullmatch(key):
        raise BadSettings(f"the routing_key in secret {secret} is not 32 letters and digits: use an Events API v2 key")
    return Account(key, checked_url(fields.get("url", DEFAULT_URL), "url", secret).rstrip("/"))


class PagerDuty:
    """One service of PagerDuty's. text(refresh): what its secret holds."""

    def __init__(self, text: Callable[[bool], str], secret: str) -> None:
        self._keyed = Keyed(lambda refresh: read_account(text(refresh), secret))
        self._poster = Poster("PagerDuty")

    def send(self, notification: Notification, seconds: float) -> None:
        """Open, or add to, the alert with the notification's key, or resolve it.

        Raises ChannelUnavailable, ChannelRefused, BadSettings, AwsUnavailable, AwsDenied or AwsRejected.
        """
        until = time.monotonic() + seconds
        self._keyed.use(
            lambda account: self._poster.post(
                account.url + PATH,
                event(notification, account.routing_key),
                until - time.monotonic(),
                account.routing_key,
            )
        )


def event(notification: Notification, routing_key: str) -> Json:
    """The body of a request."""
    body: Json = {"routing_key": routing_key, "dedup_key": notification.key}
    if notification.kind == NotificationKind.RESOLVE:
        return body | {"event_action": "resolve"}
    extent = f" ({clip(notification.extent, EXTENT_MAX)})"
    payload: Json = {
        "summary": clip(f"{notification.stack}: {notification.reason}", SUMMARY_MAX - len(extent)) + extent,
        "source": notification.source,
        "severity": notification.severity,
        "timestamp": utc(notification.since),
        "class": notification.cause,
        "custom_details": {
            "reason": notification.reason,
            "extent": notification.extent,
            "count": notification.count,
            "since": utc(notification.since),
            "last": utc(notification.last_at),
            "groups": list(notification.groups[:LISTED]),
            "subjects": list(notification.subjects[:LISTED]),
            "subjects in all": number_of(notification.subjects),
        },
    }
    if notification.function:
        payload["component"] = notification.function
    if notification.groups:
        payload["group"] = ", ".join(notification.groups[:LISTED])
    return body | {
        "event_action": "trigger",
        "client": "Rollcall",
        "payload": payload,
        "links": [{"href": link.url, "text": link.text} for link in notification.links],
    }
