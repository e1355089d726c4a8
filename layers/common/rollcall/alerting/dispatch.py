"""What people are told of trouble: once, when it is worth it, and again when it is over. Decisions, and their doing.

Trouble of one cause is one incident, however many suffer from it. It is told at once, unless it passes by itself: then
only once it has lasted for a while. It is over when nobody is awaited any more and nothing was told of it for as long
as it would have been told again. What was told of is kept before anybody is told: a channel that is away is told with a
later sweep, and nothing is lost.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from rollcall.domain.errors import ChannelUnavailable, Permanent, RollcallError
from rollcall.domain.event_fields import OF_AN_INSTANCE

from .incident import GROUPS_KEPT, SEEN_KEPT, SUBJECTS_KEPT, Deed, Ending, Incident, Occurrence, Severity
from .wording import notice_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from .incident import Notice
    from .settings import AlertSettings
    from .store import Incidents

GROWN = 10  # times as large as when it was told last: then it is told again
NEWS_EVERY = 600.0  # seconds at least between two tellings of who suffers too: a storm is one or two, not hundreds
REFUSED_FOR = 3600.0  # seconds after which a channel that refused is asked again: somebody may have mended it
CLAIM = 120.0  # seconds; longer than an invocation can last
TIME_TO_TELL = 30.0  # seconds that an invocation must have left to begin telling one more
FROM_WORST = tuple(Severity)


class Channel(Protocol):
    """Where people are told."""

    def send(self, notice: Notice, seconds: float) -> None:
        """Tell within so many seconds. Raises ChannelUnavailable, or what is Permanent."""


@dataclass(frozen=True)
class Telling:
    """What came of telling a channel."""

    channel: str
    deed: Deed
    incident: Incident
    error: RollcallError | None = None


def noted(known: Incident, told: Occurrence) -> Incident:
    """The incident with one more occurrence.

    Without it, if it was counted already or is older than what ended it: events come twice, late, and in no order.
    """
    before = known.left.get(told.awaits) if told.awaits else known.ended_at
    if told.id in known.seen or (before is not None and told.at <= before):
        return known
    if is_over(known, told.at):  # whoever was not told that it is over goes on with this one
        known = Incident(
            known.cause,
            left=known.left,
            seen=known.seen,
            told=dict.fromkeys(known.told, 1),
            told_subjects=dict.fromkeys(known.told, int(told.subject in known.subjects)),
            told_at=known.told_at,
            claimed_until=known.claimed_until,
            ended_at=known.ended_at,
        )
    began = max(told.began, known.ended_at)  # a relapse has not lasted since the first time
    newer = told.at >= known.last_at
    awaited = dict(known.awaited)
    if told.awaits and (told.awaits in awaited or len(awaited) < SUBJECTS_KEPT):
        at, until = awaited.get(told.awaits, (0.0, 0.0))
        awaited[told.awaits] = (max(at, told.at), max(until, told.forgotten_at))
    return replace(
        known,
        reason=told.reason if newer else known.reason,
        severity=min(known.severity, told.severity, key=FROM_WORST.index),
        transient=known.transient and told.transient,
        finding=told.finding,
        count=known.count + 1,
        since=min(known.since, began) if known.count else began,
        last_at=max(known.last_at, told.at),
        quiet_at=max(known.quiet_at, told.again_by or 0.0),
        awaited=awaited,
        subjects=_with(known.subjects, told.subject, SUBJECTS_KEPT),
        groups=_with(known.groups, told.group, GROUPS_KEPT),
        function=told.function if newer else known.function,
        job_url=told.job_url or known.job_url if newer else known.job_url,
        seen=(*known.seen, told.id)[-SEEN_KEPT:],
    )


def _with(known: tuple[str, ...], new: str, most: int) -> tuple[str, ...]:
    return known if not new or new in known or len(known) >= most else (*known, new)


def ended(known: Incident, ending: Ending) -> Incident:
    """The incident without what a subject had to do with it."""
    left = dict(known.left)
    left[ending.subject] = max(left.get(ending.subject, 0.0), ending.at)
    latest = sorted(left.items(), key=lambda each: each[1])[-SUBJECTS_KEPT:]
    at, _ = known.awaited.get(ending.subject, (0.0, 0.0))
    awaited = {subject: each for subject, each in known.awaited.items() if subject != ending.subject or at > ending.at}
    own = known.cause == OF_AN_INSTANCE + ending.subject and known.last_at <= ending.at
    quiet_at = 0.0 if own else known.quiet_at
    return replace(known, awaited=awaited, left=dict(latest), quiet_at=quiet_at)


def concerns(ending: Ending, known: Incident) -> bool:
    """Whether an incident, open or not, is to know of an ending."""
    return known.cause in (ending.home, OF_AN_INSTANCE + ending.subject) or ending.subject in known.awaited


def is_over(known: Incident, now: float) -> bool:
    """Whether nothing is left of an incident at a time (epoch seconds)."""
    return known.quiet_at <= now and all(until <= now for _, until in known.awaited.values())


def judge(known: Incident, now: float, patience: float, channels: Iterable[str]) -> dict[str, Deed]:
    """What each channel is to be told now.

    patience: seconds that trouble which passes by itself may last before somebody is told.
    """
    if is_over(known, now):
        return {each: Deed.END for each in channels if each in known.told}
    if known.transient and known.last_at - known.since < patience:
        return {}
    return {each: Deed.OPEN for each in channels if _is_news(known, each, now) and not _refuses(known, each, now)}


def _is_news(known: Incident, channel: str, now: float) -> bool:
    """Whether a channel does not know of an incident, or not how bad it is by now.

    What does not pass by itself is for a person, and a machine that fails an hour later may fail for another reason.
    """
    if channel not in known.told:
        return True
    if known.finding:
        return known.size > known.told[channel]
    others = not known.transient and len(known.subjects) > known.told_subjects.get(channel, 0)
    again = others and now >= known.told_at.get(channel, 0.0) + NEWS_EVERY
    return again or known.size >= GROWN * known.told[channel]


def _refuses(known: Incident, channel: str, now: float) -> bool:
    return channel in known.refused and now < known.refused[channel] + REFUSED_FOR


def settled(known: Incident, tellings: Sequence[Telling], now: float, channels: Collection[str]) -> Incident:
    """The incident once its channels were told, by whoever had claimed it. One that is over and of which nobody is
    left to be told has ended.

    channels: those that there are; others that know of it were taken away since.
    """
    told, refused = {each: size for each, size in known.told.items() if each in channels}, dict(known.refused)
    told_subjects, told_at = dict(known.told_subjects), dict(known.told_at)
    for each in tellings:
        passing = each.error is not None and not isinstance(each.error, Permanent)
        if passing:
            continue
        if each.deed == Deed.END:
            told.pop(each.channel, None)
        elif each.error:
            refused[each.channel] = now
        else:
            told[each.channel] = each.incident.size
            told_subjects[each.channel] = len(each.incident.subjects)
            told_at[each.channel] = now
    known = replace(known, told=told, told_subjects=told_subjects, told_at=told_at, refused=refused, claimed_until=0.0)
    if told or not is_over(known, now):
        return known
    return Incident(known.cause, left=known.left, seen=known.seen, ended_at=now)


class Alert:
    """One invocation's work. seconds_left: of the invocation."""

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
        self._away: dict[str, RollcallError] = {}
        self.tellings: list[Telling] = []
        self.troubles: list[RollcallError] = []

    def take(self, messages: Sequence[Occurrence | Ending]) -> list[RollcallError | None]:
        """Keep what was told, then tell people. For each message the error for which it could not be kept, or None.

        What cannot be told now is among `tellings` and `troubles`, and left to the next sweep.
        """
        errors: dict[int, RollcallError] = {}
        by_cause = self._by_cause(messages, errors)
        kept = []
        for cause, numbers in by_cause.items():
            own = sorted((messages[each] for each in numbers), key=attrgetter("at"))
            try:
                kept.append(self._incidents.update(cause, partial(_with_all, messages=own)))
            except RollcallError as error:
                errors |= dict.fromkeys(numbers, error)
        self._tell_all(kept)
        return [errors.get(number) for number in range(len(messages))]

    def sweep(self) -> None:
        """Tell what is due by now. Raises Throttled or AwsDenied if what is open cannot be read."""
        self._tell_all(self._incidents.open())

    def _by_cause(
        self, messages: Sequence[Occurrence | Ending], errors: dict[int, RollcallError]
    ) -> dict[str, list[int]]:
        """The messages' numbers by the causes of the incidents that they belong to."""
        open_by_now: list[Incident] = []
        endings = [number for number, each in enumerate(messages) if isinstance(each, Ending)]
        if endings:
            try:
                open_by_now = self._incidents.open()
            except RollcallError as error:
                errors |= dict.fromkeys(endings, error)
        by_cause: defaultdict[str, list[int]] = defaultdict(list)
        for number, each in enumerate(messages):
            if isinstance(each, Occurrence):
                by_cause[each.cause].append(number)
            elif number not in errors:
                causes = {known.cause for known in open_by_now if concerns(each, known)}
                causes |= {other.cause for other in messages if isinstance(other, Occurrence) and _meets(other, each)}
                for cause in causes | {each.home}:
                    by_cause[cause].append(number)
        return by_cause

    def _tell_all(self, incidents: Iterable[Incident]) -> None:
        for known in incidents:
            if self._seconds_left() < TIME_TO_TELL:
                return
            try:
                self._tell(known)
            except RollcallError as error:
                self.troubles.append(error)

    def _tell(self, known: Incident) -> None:
        """Tell each channel what is due, unless another invocation is at it. Raises Throttled or AwsDenied."""
        now = self._clock()
        if not self._is_due(known, now):
            return
        claimed = False

        def claim(fresh: Incident) -> Incident:
            nonlocal claimed
            claimed = self._is_due(fresh, now)
            return replace(fresh, claimed_until=now + CLAIM) if claimed else fresh

        mine = self._incidents.update(known.cause, claim)
        if claimed:
            deeds = judge(mine, now, self._settings.alert_after, self._channels)
            tellings = [self._send(channel, deed, mine) for channel, deed in deeds.items()]
            self.tellings += tellings
            self._incidents.update(known.cause, lambda fresh: settled(fresh, tellings, now, self._channels))

    def _is_due(self, known: Incident, now: float) -> bool:
        if not known.count or now < known.claimed_until:
            return False
        deeds = judge(known, now, self._settings.alert_after, self._channels)
        return bool(deeds.keys() - self._away.keys()) or (is_over(known, now) and not deeds)

    def _send(self, channel: str, deed: Deed, known: Incident) -> Telling:
        """A channel that is away is asked once an invocation: each further call would cost time, and end the same."""
        if channel in self._away:
            return Telling(channel, deed, known, self._away[channel])
        try:
            if self._seconds_left() < TIME_TO_TELL:
                raise ChannelUnavailable("no time is left in this invocation; a later sweep tells it")
            self._channels[channel].send(notice_of(known, deed, self._settings), self._seconds_left())
        except RollcallError as error:
            if not isinstance(error, Permanent):
                self._away[channel] = error
            return Telling(channel, deed, known, error)
        return Telling(channel, deed, known)


def _with_all(known: Incident, messages: Iterable[Occurrence | Ending]) -> Incident:
    for each in messages:
        known = noted(known, each) if isinstance(each, Occurrence) else ended(known, each)
    return known


def _meets(told: Occurrence, ending: Ending) -> bool:
    return told.awaits == ending.subject or told.cause == OF_AN_INSTANCE + ending.subject
