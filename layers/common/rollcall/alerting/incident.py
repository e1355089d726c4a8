"""What the alert function speaks of: trouble that occurs and ends, the incidents it makes, what people are told of it.

A subject is who or what suffers: an instance ("web/i-0123456789abcdef0"), a finding's host ("fleet/db-1"), an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


SUBJECTS_KEPT = 300  # of an incident, as many that are awaited and as many endings; DynamoDB takes 400 kB
GROUPS_KEPT = 50  # likewise; more than anybody is named
SEEN_KEPT = 1000  # ids of events: two batches of 500, which two invocations may have and which may come again


class Severity(StrEnum):
    """How bad it is, the worst first. PagerDuty's own words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"


class Deed(StrEnum):
    """What a channel is asked to do about an incident."""

    OPEN = "open"
    END = "end"


@dataclass(frozen=True)
class Occurrence:
    """Trouble that was told of once. Times in epoch seconds.

    id: of the event that told it. cause: the same for all who suffer from the same. began: when it began for this
    subject. transient: it passes by itself. again_by: until when it is told again if it lasts; None where it is told
    once. Then it lasts until an Ending with the subject `awaits`, or until it is `forgotten_at`. finding: a state of
    things that is told with each run; every new subject of it is news, that it is told again is not.
    """

    id: str
    at: float
    cause: str
    reason: str
    severity: Severity
    began: float
    transient: bool = False
    subject: str = ""
    group: str = ""
    function: str = ""
    job_url: str = ""
    again_by: float | None = None
    awaits: str = ""
    forgotten_at: float = 0.0
    finding: bool = False


@dataclass(frozen=True)
class Ending:
    """Something that was awaited: all is well with a subject since then (epoch seconds), or it is gone.

    home: the cause of the trouble that it usually ends. What was told of that before, and comes later, is old.
    """

    id: str
    at: float
    subject: str
    home: str


@dataclass(frozen=True)
class Incident:
    """All trouble of one cause from its beginning to its end. Times in epoch seconds; count is 0 once it has ended.

    since: when it began. quiet_at: when it is over if nothing more is told of it. awaited: by subject, when it was
    last told of and when it is forgotten. left: by subject, its latest ending. subjects: those who suffer, as far
    as they are kept. seen: the ids of the latest events. told: by channel that knows of it, its size then;
    told_subjects: how many suffered then; told_at: when. refused: by channel that would not take it, when.
    claimed_until: until then another invocation is at telling it. ended_at: when what was there before it ended.
    """

    cause: str
    reason: str = ""
    severity: Severity = Severity.WARNING
    transient: bool = True
    finding: bool = False
    count: int = 0
    since: float = 0.0
    last_at: float = 0.0
    quiet_at: float = 0.0
    awaited: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    left: Mapping[str, float] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    function: str = ""
    job_url: str = ""
    seen: tuple[str, ...] = ()
    told: Mapping[str, int] = field(default_factory=dict)
    told_subjects: Mapping[str, int] = field(default_factory=dict)
    told_at: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, float] = field(default_factory=dict)
    claimed_until: float = 0.0
    ended_at: float = 0.0

    @property
    def size(self) -> int:
        """How often it occurred; of a finding, on how many subjects."""
        return len(self.subjects) if self.finding else self.count


@dataclass(frozen=True)
class Link:
    """Where to look further."""

    text: str
    url: str


@dataclass(frozen=True)
class Notice:
    """What a channel is to tell people. Times in epoch seconds.

    key: the incident's, at most 255 characters. reason: what is wrong, and the remedy. extent: how often and with whom,
    in words.
    """

    deed: Deed
    key: str
    stack: str
    source: str
    cause: str
    reason: str
    extent: str
    severity: Severity
    function: str
    groups: tuple[str, ...]
    subjects: tuple[str, ...]
    count: int
    since: float
    last_at: float
    links: tuple[Link, ...]
