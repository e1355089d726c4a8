"""An incident in words, for a notification. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.event_fields import OF_A_BAKE, OF_A_CYCLE

from .console_links import alarm_url, log_query, log_query_url
from .incident import SUBJECTS_KEPT, Link, Notification
from .store import incident_key

if TYPE_CHECKING:
    from .incident import Incident, NotificationKind
    from .settings import AlertSettings

BEFORE = 600  # seconds of the log before the first of it that the query shows
AFTER = 3600  # seconds of it after the latest of it: operators come later
NAMED = 5  # groups and subjects that a text names
OF_A_GROUP = ": group "
OF_AN_ALARM = "alarm: "


def notification_of(incident: Incident, kind: NotificationKind, settings: AlertSettings) -> Notification:
    """What a channel is sent of an incident."""
    return Notification(
        kind=kind,
        key=incident_key(settings.stack, incident.cause),
        stack=settings.stack_name,
        source=settings.stack,
        cause=incident.cause,
        reason=incident.reason,
        extent=extent(incident),
        severity=incident.severity,
        function=incident.function,
        groups=incident.groups,
        subjects=incident.subjects,
        count=incident.count,
        since=incident.since,
        last_at=incident.last_at,
        links=tuple(_links(incident, settings)),
    )


def extent(incident: Incident) -> str:
    """How often, for how long and with which subjects: "12 times in 9 min, 200 of groups web, db"."""
    seconds = incident.last_at - incident.since
    often = "once" if incident.count == 1 else f"{incident.count:,} times"
    parts = [f"{often} in {duration(seconds)}" if seconds >= 1 else often]
    if len(incident.subjects) > 1:
        parts.append(f"{number_of(incident.subjects)} {'instances' if incident.groups else 'hosts'}")
    if incident.groups:
        parts.append(f"{'group' if len(incident.groups) == 1 else 'groups'} {some_of(incident.groups)}")
    return ", ".join(parts)


def number_of(subjects: tuple[str, ...]) -> str:
    """How many subjects, in words; at least as many where no more are kept."""
    return f"{'at least ' if len(subjects) >= SUBJECTS_KEPT else ''}{len(subjects):,}"


def some_of(names: tuple[str, ...]) -> str:
    """The first few, and how many more."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def duration(seconds: float) -> str:
    """Seconds in words: "45 s", "12 min", "3 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _links(incident: Incident, settings: AlertSettings) -> list[Link]:
    links = [Link("Job in Tower", incident.job_url)] if incident.job_url else []
    if incident.cause.startswith(OF_AN_ALARM):
        links.append(Link("Alarm", alarm_url(settings.region, incident.cause.removeprefix(OF_AN_ALARM))))
    url = log_query_url(
        settings.region, settings.log_groups, _query(incident), incident.since - BEFORE, incident.last_at + AFTER
    )
    return [*links, Link("Logs", url)]


def _query(incident: Incident) -> str:
    """The query for its log lines: those of its instance, its group, or its error, as narrow as the cause is."""
    if len(incident.subjects) == 1 and incident.groups and incident.subjects != incident.groups:
        return log_query(instance_id=incident.subjects[0].rpartition("/")[2])
    for workflow in (OF_A_CYCLE, OF_A_BAKE):
        if incident.cause.startswith(workflow):
            return log_query(group=incident.cause.removeprefix(workflow))
    what, of_group, group = incident.cause.partition(OF_A_GROUP)
    if of_group:
        return log_query(group=group, error=what) if _is_error(what) else log_query(group=group)
    return log_query(error=what) if _is_error(what) else log_query()


def _is_error(what: str) -> bool:
    """Whether a cause is the name of an error, as it stands in the log lines about it."""
    return what.isidentifier() and what[0].isupper()
