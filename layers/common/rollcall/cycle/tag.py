"""The tag rollcall:cycle of a group: its own defaults for a cycle, and when one is due. Pure.

Words separated by blanks: never, on-new-version, every=SCHEDULE, and KEY=VALUE for what the input of a cycle may say
(request.py knows those). Values of tags hold only letters, digits, blanks and + - = . _ : / @.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.errors import BadSettings
from rollcall.domain.settings import CYCLE_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.groups import Group

NEVER = "never"
ON_NEW_VERSION = "on-new-version"
EVERY = "every"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAILY = "daily"
SCHEDULE_FORM = "daily-03:00 or a day of the week like sun-03:00, with a time zone like @Europe/Berlin or in UTC"
SCHEDULE = re.compile(rf"(?P<day>{DAILY}|{'|'.join(DAYS)})-(?P<hour>\d\d):(?P<minute>\d\d)(?:@(?P<zone>.+))?", re.ASCII)
ALLOWED_WORDS = f"{NEVER}, {ON_NEW_VERSION}, {EVERY}={DAILY}-03:00, and KEY=VALUE as in batch=25percent"


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
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        days = (today - timedelta(days=back) for back in range(9))  # this day a week ago may be needed, and is enough
        moments = (self._on(day, zone) for day in days if self.weekday in (None, day.weekday()))
        return next(each for each in moments if each.timestamp() <= now)

    def _on(self, day: date, zone: ZoneInfo) -> datetime:
        return datetime(day.year, day.month, day.day, self.hour, self.minute, tzinfo=zone)


class CycleTag(NamedTuple):
    """What the tag says. never: no cycle is allowed. words: KEY=VALUE, unread.

    on_new_version: a cycle is due for each new version of the launch template; every: by this schedule, None for none.
    """

    never: bool = False
    words: Mapping[str, str] = EMPTY_MAPPING
    on_new_version: bool = False
    every: Schedule | None = None


def parse_cycle_tag(group: Group) -> CycleTag | None:
    """The tag of a group; None for a group without. Raises BadSettings naming the group, the tag, the word.

    The values of its words are read with a request: read_request and require_readable_tag in request.py.
    """
    if CYCLE_TAG not in group.tags:
        return None
    flags: set[str] = set()
    words: dict[str, str] = {}
    for word in group.tags[CYCLE_TAG].split():
        key, is_pair, value = word.partition("=")
        if word in flags or key in words:
            raise bad_tag(group.name, word, "each word once")
        if is_pair and key:
            words[key] = value
        elif word in (NEVER, ON_NEW_VERSION):
            flags.add(word)
        else:
            raise bad_tag(group.name, word, ALLOWED_WORDS)
    every = words.pop(EVERY, None)
    schedule = None if every is None else _schedule(group.name, every)
    return CycleTag(NEVER in flags, words, ON_NEW_VERSION in flags, schedule)


def bad_tag(group: str, word: str, allowed: str) -> BadSettings:
    """The error of a word in the tag that cannot be followed."""
    return BadSettings(f"group {group!r}: tag {CYCLE_TAG} has {word!r}; allowed: {allowed}", CYCLE_TAG)


def _schedule(group: str, text: str) -> Schedule:
    match = SCHEDULE.fullmatch(text)
    if not match or int(match["hour"]) > 23 or int(match["minute"]) > 59:
        raise bad_tag(group, f"{EVERY}={text}", SCHEDULE_FORM)
    zone = match["zone"] or "UTC"
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError) as error:  # no such name; a path; ZoneInfoNotFoundError
        raise bad_tag(group, f"{EVERY}={text}", f"a time zone of the IANA database, and not {zone!r}") from error
    weekday = None if match["day"] == DAILY else DAYS.index(match["day"])
    return Schedule(weekday, int(match["hour"]), int(match["minute"]), zone)
