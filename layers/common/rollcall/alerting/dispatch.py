"""Problems are kept as incidents, and channels are notified: once, when it is worth it, and again when it is over.

All problems of one cause are one incident, however many subjects have it. An incident is stored before a notification
is sent: what a channel that cannot be reached does not take is sent by a later sweep, and nothing is lost. What happens
to an incident is decided in history.py, what is sent and when in due.py.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from rollcall.domain.errors import NoTimeLeft, Permanent, RollcallError

from .due import Delivery, after_deliveries, is_notification_due, notifications_due
from .history import concerns, ends, with_messages
from .incident import Ending, Incident, Occurrence
from .wording import notification_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .incident import Notification, NotificationKind
    from .settings import AlertSettings
    from .store import Incidents

CLAIM = 120.0  # seconds; longer than an invocation can last
SENDING_TIME = 30.0  # seconds that an invocation must have left to begin sending one more


class Channel(Protocol):
    """Where notifications go."""

    def send(self, notification: Notification, seconds: float) -> None:
        """Send within so many seconds. Raises ChannelUnavailable, or what is Permanent."""


class Dispatcher:
    """One invocation's work. seconds_left: of the invocation.

    deliveries: what came of each notification. errors: why incidents could not be claimed, whose notifications are left
    to a later sweep.
    """

    def __init__(
        self,
        settings: AlertSettings,
        incidents: Incidents,
        channels: Mapping[str, Channel],
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._incidents = incidents
        self._channels = channels
        self._clock = clock
        self._seconds_left = seconds_left
        self._unreachable: dict[str, RollcallError] = {}
        self.deliveries: list[Delivery] = []
        self.errors: list[RollcallError] = []

    def take(self, messages: Sequence[Occurrence | Ending]) -> list[RollcallError | None]:
        """Store what happened, then notify. For each message the error for which it could not be stored, or None.

        What cannot be sent now is among `deliveries` and `errors`, and left to a later sweep.
        """
        open_by_now, failed = self._open_incidents(messages)
        by_cause: defaultdict[str, list[int]] = defaultdict(list)
        for number, each in enumerate(messages):
            if number not in failed:
                for cause in _causes(each, messages, open_by_now):
                    by_cause[cause].append(number)
        stored = []
        for cause, numbers in by_cause.items():
            own = sorted((messages[number] for number in numbers), key=attrgetter("at"))
            try:
                stored.append(self._incidents.update(cause, partial(with_messages, messages=own)))
            except RollcallError as error:
                failed |= dict.fromkeys(numbers, error)
        self._notify_of_all(stored)
        return [failed.get(number) for number in range(len(messages))]

    def sweep(self) -> None:
        """Send what is due by now. Raises what Incidents.open does if the open incidents cannot be read."""
        self._notify_of_all(self._incidents.open())

    def _open_incidents(
        self, messages: Sequence[Occurrence | Ending]
    ) -> tuple[list[Incident], dict[int, RollcallError]]:
        """The incidents that endings may concern, where there are endings; by their numbers, why they are not known."""
        endings = [number for number, each in enumerate(messages) if isinstance(each, Ending)]
        if not endings:
            return [], {}
        try:
            return self._incidents.open(), {}
        except RollcallError as error:
            return [], dict.fromkeys(endings, error)

    def _notify_of_all(self, incidents: Iterable[Incident]) -> None:
        for known in incidents:
            if self._seconds_left() < SENDING_TIME:
                return
            try:
                self._notify_of(known)
            except RollcallError as error:
                self.errors.append(error)

    def _notify_of(self, known: Incident) -> None:
        """Send each channel what is due, unless another invocation does. Raises what Incidents.update does."""
        now = self._clock()
        if not self._is_due(known, now):
            return
        claimed = self._claim(known.cause, now)
        if claimed is None:
            return
        due = notifications_due(claimed, now, self._settings.alert_after, self._channels)
        deliveries = [self._send(channel, kind, claimed) for channel, kind in due.items()]
        self.deliveries += deliveries
        self._incidents.update(known.cause, lambda fresh: after_deliveries(fresh, deliveries, now, self._channels))

    def _claim(self, cause: str, now: float) -> Incident | None:
        """The incident as it is stored, claimed by this invocation; None where nothing is due any more."""
        is_claimed = False

        def claim(fresh: Incident) -> Incident:
            nonlocal is_claimed
            is_claimed = self._is_due(fresh, now)
            return replace(fresh, claimed_until=now + CLAIM) if is_claimed else fresh

        stored = self._incidents.update(cause, claim)
        return stored if is_claimed else None

    def _is_due(self, known: Incident, now: float) -> bool:
        return is_notification_due(known, now, self._settings.alert_after, self._channels, self._unreachable)

    def _send(self, channel: str, kind: NotificationKind, known: Incident) -> Delivery:
        """A channel that cannot be reached is tried once an invocation: each further try would end the same, later."""
        if channel in self._unreachable:
            return Delivery(channel, kind, known, self._unreachable[channel])
        try:
            if self._seconds_left() < SENDING_TIME:
                raise NoTimeLeft("no time is left in this invocation; a later sweep sends it")
            self._channels[channel].send(notification_of(known, kind, self._settings), self._seconds_left())
        except RollcallError as error:
            if not isinstance(error, Permanent):
                self._unreachable[channel] = error
            return Delivery(channel, kind, known, error)
        return Delivery(channel, kind, known)


def _causes(
    message: Occurrence | Ending, batch: Iterable[Occurrence | Ending], open_by_now: Iterable[Incident]
) -> set[str]:
    """The causes of the incidents that a message belongs to: an ending to all that it concerns, stored or new."""
    if isinstance(message, Occurrence):
        return {message.cause}
    stored = {known.cause for known in open_by_now if concerns(message, known)}
    new = {other.cause for other in batch if isinstance(other, Occurrence) and ends(message, other)}
    return stored | new | {message.cause}
