"""The schedules in tags of groups, as in every=sun-03:00@Europe/Berlin, and when one is due. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = "every"  # the word of a tag
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAILY = "daily"
SCHEDULE_FORM = "daily-03:00 or a day of the week like sun-03:00, with a time zone like @Europe/Berlin or in UTC"
SCHEDULE = re.compile(rf"(?P<day>{DAILY}|{'|'.join(DAYS)})-(?P<hour>\d\d):(?P<minute>\d\d)(?:@(?P<zone>.+))?", re.ASCII)
LATE_MAX = 7200.0  # seconds; 3 in the morning does not mean noon, not even where reconcile did not run in between
RUNS_LATE = 2  # runs of reconcile, where these are further apart than that: one may be lost
NEXT_LATE = 600.0  # seconds that the next run may be late by: it takes minutes itself, and one of a few may be lost


class Schedule(NamedTuple):
    """A time of day, daily or on one day of the week. weekday: 0 for Monday, None for daily. zone: an IANA name."""

    weekday: int | None
    hour: int
    minute: int
    zone: str = "UTC"

    def last_before(self, now: float) -> datetime:
        """Its latest moment up to now (epoch seconds), in its time zone.

        A wall clock time that the change to summer time leaves out is that much later on that day; of one that comes
        twice the first counts (PEP 495). So there is one on each of its days.
        """
        moments = self._moments(now, range(0, -9, -1))  # this day a week ago may be needed, and is enough
        return next(each for each in moments if each.timestamp() <= now)

    def next_after(self, now: float) -> datetime:
        """Its first moment after now (epoch seconds), in its time zone."""
        return next(each for each in self._moments(now, range(9)) if each.timestamp() > now)

    def due(self, created: float, now: float, every: float | None) -> datetime | None:
        """Its latest moment, if what it starts is due since then; None if it is too late for that, or nothing was.

        created: when the group was, which is not made up for what came before; epoch seconds, as now. every: seconds
        between two runs of reconcile, None by hand.
        """
        moment = self.last_before(now)
        late = now - moment.timestamp()
        return None if late > _late_max(every) or created > moment.timestamp() else moment

    def is_last(self, now: float, every: float | None) -> bool:
        """Whether the next run of reconcile may find it too late for what is due now. The arguments are those of due().

        A run by hand is never the last.
        """
        late = now - self.last_before(now).timestamp()
        return every is not None and late + every + NEXT_LATE > _late_max(every)

    def _moments(self, now: float, days: range) -> Iterator[datetime]:
        """Its moments on these days, counted from today."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        on = (today + timedelta(days=each) for each in days)
        return (self._on(day, zone) for day in on if self.weekday in (None, day.weekday()))

    def _on(self, day: date, zone: ZoneInfo) -> datetime:
        return datetime(day.year, day.month, day.day, self.hour, self.minute, tzinfo=zone)


def _late_max(every: float | None) -> float:
    return max(LATE_MAX, RUNS_LATE * (every or 0.0))


def in_words(moment: datetime) -> str:
    """A moment of a schedule as operators read it: "Sun 2026-12-06 02:00 UTC (03:00 Europe/Berlin)"."""
    in_utc = moment.astimezone(UTC)
    words = f"{DAYS[in_utc.weekday()].capitalize()} {in_utc:%Y-%m-%d %H:%M} UTC"
    zone = str(moment.tzinfo)
    return words if zone == "UTC" else f"{words} ({moment:%H:%M} {zone})"


class Scheduled(Protocol):
    """What a group's tags say of when something is due. never: it is not allowed. every: None without a schedule."""

    @property
    def never(self) -> bool: ...
    @property
    def every(self) -> Schedule | None: ...


def next_by_schedule(tag: Scheduled | None, now: float) -> str:
    """When what a tag asks for is due next, in words; empty where it never is. tag: None for a group without one."""
    return "" if tag is None or tag.never or tag.every is None else in_words(tag.every.next_after(now))


def parse_schedule(text: str) -> Schedule:
    """A schedule as tags have it. Raises ValueError with what is wrong, or allowed."""
    match = SCHEDULE.fullmatch(text)
    if not match or int(match["hour"]) > 23 or int(match["minute"]) > 59:
        raise ValueError(f"allowed: {SCHEDULE_FORM}")
    zone = match["zone"] or "UTC"
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError) as error:  # no such name; a path; ZoneInfoNotFoundError
        raise ValueError(f"no such time zone: {zone}; for example Europe/Berlin") from error
    weekday = None if match["day"] == DAILY else DAYS.index(match["day"])
    return Schedule(weekday, int(match["hour"]), int(match["minute"]), zone)
