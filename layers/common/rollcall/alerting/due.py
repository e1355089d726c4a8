"""Which notifications of an incident are due, and what its channels know once they were sent. Pure.

A notification is sent at once, unless the problem passes by itself: then only once it has lasted for a while. Further
ones follow when it has grown. It is over when nothing that it is about still has to end, and nothing was reported for
as long as it would have been reported again.
"""

from __future__ import annotations

from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.errors import Permanent, RollcallError

from .history import is_over
from .incident import Incident, NotificationKind, Notified

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

GROWN = 10  # times as large as when it was sent last: then it is sent again
NEWS_EVERY = 600.0  # seconds at least between two of the subjects that were added: one or two in a large scale-out
REFUSED_FOR = 3600.0  # seconds after which a channel that refused is tried again: its key may have been corrected


@dataclass(frozen=True)
class Delivery:
    """What came of sending a notification to a channel. incident: as it was then."""

    channel: str
    kind: NotificationKind
    incident: Incident
    error: RollcallError | None = None

    @property
    def is_to_be_repeated(self) -> bool:
        """Whether a later sweep sends it: the channel could not be reached."""
        return self.error is not None and not isinstance(self.error, Permanent)


def notifications_due(
    known: Incident, now: float, alert_after: float, channels: Iterable[str]
) -> dict[str, NotificationKind]:
    """What each channel is to be sent now.

    alert_after: seconds that a problem which passes by itself may last before it is worth a notification.
    """
    if is_over(known, now):
        return {each: NotificationKind.RESOLVE for each in channels if each in known.notified}
    if known.transient and known.last_at - known.since < alert_after:
        return {}
    return {
        each: NotificationKind.UPDATE if each in known.notified else NotificationKind.OPEN
        for each in channels
        if _is_news(known, each, now) and not _refuses(known, each, now)
    }


def _is_news(known: Incident, channel: str, now: float) -> bool:
    """Whether a channel does not know of an incident, or not how bad it is by now.

    What does not pass by itself needs an operator, and another instance that fails an hour later may fail for another
    reason.
    """
    before = known.notified.get(channel)
    if before is None:
        return True
    if known.finding:
        return known.size > before.size
    has_more_subjects = not known.transient and len(known.subjects) > before.subjects
    return (has_more_subjects and now >= before.at + NEWS_EVERY) or known.size >= GROWN * before.size


def _refuses(known: Incident, channel: str, now: float) -> bool:
    return channel in known.refused and now < known.refused[channel] + REFUSED_FOR


def is_notification_due(
    known: Incident, now: float, alert_after: float, channels: Iterable[str], unreachable: Collection[str]
) -> bool:
    """Whether something is to be done about an incident now: a notification is due, or it is over and is to be ended.

    unreachable: channels that are not tried again in this invocation.
    """
    if not known.count or now < known.claimed_until:
        return False
    due = notifications_due(known, now, alert_after, channels)
    return bool(due.keys() - set(unreachable)) or (is_over(known, now) and not due)


def after_deliveries(
    known: Incident, deliveries: Sequence[Delivery], now: float, channels: Collection[str]
) -> Incident:
    """The incident once notifications were sent, by the invocation that had claimed it.

    One that is over, and whose end is to be sent to no channel any more, has ended. channels: those that there are;
    others that knew of it were taken away since.
    """
    known = replace(
        known,
        notified=_notified(known.notified, deliveries, now, channels),
        refused={**known.refused, **_refusals(deliveries, now)},
        claimed_until=0.0,
    )
    if known.notified or not is_over(known, now):
        return known
    return Incident(known.cause, endings=known.endings, event_ids=known.event_ids, ended_at=now)


def _notified(
    before: Mapping[str, Notified], deliveries: Iterable[Delivery], now: float, channels: Collection[str]
) -> dict[str, Notified]:
    """By channel, what it knows. A resolution that is refused for good is given up."""
    notified = {channel: each for channel, each in before.items() if channel in channels}
    for each in deliveries:
        if each.is_to_be_repeated:
            continue
        if each.kind == NotificationKind.RESOLVE:
            notified.pop(each.channel, None)
        elif each.error is None:
            notified[each.channel] = Notified(each.incident.size, len(each.incident.subjects), now)
    return notified


def _refusals(deliveries: Iterable[Delivery], now: float) -> dict[str, float]:
    """By channel that refused to open or update, when it did: now."""
    return {
        each.channel: now
        for each in deliveries
        if isinstance(each.error, Permanent) and each.kind != NotificationKind.RESOLVE
    }
