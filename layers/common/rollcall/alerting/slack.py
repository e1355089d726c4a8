"""Slack, as much of it as we use: messages through an incoming webhook.

200 is success; 400, 403, 404 and 410 (invalid_payload, action_prohibited, no_service, channel_is_archived …) will not
do however often they are sent; 429 and 5xx pass by.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .channel import Keyed, Poster, checked_url, read_fields, utc
from .incident import IncidentSeverity, NotificationKind
from .wording import some_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.http.transport import Json

    from .incident import Notification

NAME_MAX, REASON_MAX, EXTENT_MAX = 150, 1500, 600  # characters, escaped; Slack takes 3,000 in a section
LINK_MAX = 2900  # characters; one that is longer is left out
ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
SIGNS = {
    IncidentSeverity.CRITICAL: ":red_circle:",
    IncidentSeverity.ERROR: ":large_orange_circle:",
    IncidentSeverity.WARNING: ":warning:",
}
OVER = ":white_check_mark:"


@dataclass(frozen=True)
class Webhook:
    """Where messages go; anyone who knows the URL can post there."""

    url: str = field(repr=False)


def read_webhook(text: str, secret: str) -> Webhook:
    """The webhook's URL, bare, or JSON with webhook_url. Raises BadSettings."""
    return Webhook(checked_url(read_fields(text, "webhook_url", secret)["webhook_url"], "webhook_url", secret))


class Slack:
    """One channel of Slack's. text(refresh): what its secret holds."""

    def __init__(self, text: Callable[[bool], str], secret: str) -> None:
        self._keyed = Keyed(lambda refresh: read_webhook(text(refresh), secret))
        self._poster = Poster("Slack")

    def send(self, notification: Notification, seconds: float) -> None:
        """Write a message about an incident, or its end.

        Raises ChannelUnavailable, ChannelRefused, BadSettings, AwsUnavailable, AwsDenied or AwsRejected.
        """
        until = time.monotonic() + seconds
        self._keyed.use(
            lambda webhook: self._poster.post(webhook.url, message(notification), until - time.monotonic(), webhook.url)
        )


def message(notification: Notification) -> Json:
    """The body of a request."""
    stack, extent = escape(notification.stack, NAME_MAX), escape(notification.extent, EXTENT_MAX)
    if notification.kind == NotificationKind.RESOLVE:
        head = f"{OVER} *{stack}, over:* {escape(notification.reason, REASON_MAX)}"
        tail = f"It was reported {extent}, the last time {utc(notification.last_at)}."
    else:
        named = f" ({escape(some_of(notification.subjects), EXTENT_MAX)})" if notification.subjects else ""
        severity = notification.severity
        head = f"{SIGNS[severity]} *{stack}, {severity}:* {escape(notification.reason, REASON_MAX)}"
        tail = f"Reported {extent}{named}, since {utc(notification.since)}."
    links = [f"<{escape(link.url.replace('|', '%7C'), LINK_MAX)}|{link.text}>" for link in notification.links]
    elements = [{"type": "mrkdwn", "text": each} for each in links if len(each) < LINK_MAX]
    section: Json = {"type": "section", "text": {"type": "mrkdwn", "text": f"{head}\n{tail}"}}
    blocks = [section, {"type": "context", "elements": elements}] if elements else [section]
    return {"text": head, "blocks": blocks, "unfurl_links": False}


def escape(text: str, most: int) -> str:
    """Text as Slack shows it, with the three signs that it takes for its own escaped; at most so many characters."""
    room, kept = most - 1, 0
    for character in text:
        room -= len(ESCAPED.get(character, character))
        if room < 0:
            break
        kept += 1
    escaped = "".join(ESCAPED.get(each, each) for each in text[:kept])
    return escaped if kept == len(text) else f"{escaped}…"
