"""What the alert function works with: problems that occur and end, the incidents they make, the notifications of these.

A subject is what has the problem: an instance ("web/i-0123456789abcdef0"), a finding's host ("fleet/db-1"), an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


SUBJECTS_KEPT = 300  # of an incident, as many that await their end and as many endings; DynamoDB takes 400 kB
GROUPS_KEPT = 50  # likewise; more than any notification names
EVENT_IDS_KEPT = 1000  # two batches of 500, which two invocations may have and which may come again


class IncidentSeverity(StrEnum):
    """How bad it is, the worst first. PagerDuty's own words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"


class NotificationKind(StrEnum):
    """What a notification does with an incident in a channel: update one that the channel knows and that has grown."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


@dataclass(frozen=True)
class Occurrence:
    """A problem that was reported once. Times in epoch seconds.

    id: of the event that reported it. cause: the same for all subjects that have the same problem. began: when it began
    for this subject. transient: it passes by itself. repeated_until: until when it is reported again if it lasts; None
    where it is reported once. Then it lasts until an Ending with the subject `ended_by`, or until it is `forgotten_at`.
    finding: a state that every run reports; a new subject of it is news, that it is reported again is not.
    """

    id: str
    at: float
    cause: str
    reason: str
    severity: IncidentSeverity
    began: float
    transient: bool = False
    subject: str = ""
    group: str = ""
    function: str = ""
    job_url: str = ""
    repeated_until: float | None = None
    ended_by: str = ""
    forgotten_at: float = 0.0
    finding: bool = False


@dataclass(frozen=True)
class Ending:
    """A subject has no problem any more since then (epoch seconds), or it is gone.

    cause: of the incident that it usually belongs to. What was reported of it before, and comes later, is old.
    """

    id: str
    at: float
    subject: str
    cause: str


class AwaitingEnd(NamedTuple):
    """What an Ending is to end: when it was last reported, and when it is forgotten, in epoch seconds."""

    last_at: float
    forgotten_at: float


class Notified(NamedTuple):
    """What a channel knows of an incident: its size, number of subjects and the time (epoch seconds) when last sent."""

    size: int
    subjects: int = 0
    at: float = 0.0


@dataclass(frozen=True)
class Incident:
    """All problems of one cause from the first to their end. Times in epoch seconds; count is 0 once it has ended.

    since: when it began. quiet_at: when it is over if nothing more is reported. awaiting_end: by the Ending's subject.
    endings: by subject, when its latest one was. subjects: all that have or had the problem, as far as they are kept.
    event_ids: the latest. notified: by channel that knows of it. refused: by channel that would not take it, when.
    claimed_until: until then another invocation notifies of it. ended_at: when the incident before it ended.
    """

    cause: str
    reason: str = ""
    severity: IncidentSeverity = IncidentSeverity.WARNING
    transient: bool = True
    finding: bool = False
    count: int = 0
    since: float = 0.0
    last_at: float = 0.0
    quiet_at: float = 0.0
    awaiting_end: Mapping[str, AwaitingEnd] = field(default_factory=dict)
    endings: Mapping[str, float] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    function: str = ""
    job_url: str = ""
    event_ids: tuple[str, ...] = ()
    notified: Mapping[str, Notified] = field(default_factory=dict)
    refused: Mapping[str, float] = field(default_factory=dict)
    claimed_until: float = 0.0
    ended_at: float = 0.0

    @property
    def size(self) -> int:
        """How often it was reported; of a finding, for how many subjects."""
        return len(self.subjects) if self.finding else self.count


@dataclass(frozen=True)
class Link:
    """Where to look further."""

    text: str
    url: str


@dataclass(frozen=True)
class Notification:
    """What a channel is sent. Times in epoch seconds.

    key: the incident's, at most 255 characters. reason: what is wrong, and the remedy. extent: how often and with which
    subjects, in words.
    """

    kind: NotificationKind
    key: str
    stack: str
    source: str
    cause: str
    reason: str
    extent: str
    severity: IncidentSeverity
    function: str
    groups: tuple[str, ...]
    subjects: tuple[str, ...]
    count: int
    since: float
    last_at: float
    links: tuple[Link, ...]
