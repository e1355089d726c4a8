"""What an occurrence or an ending makes of an incident. Pure: events come twice, late, and in no order."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain.event_fields import OF_AN_INSTANCE

from .incident import (
    EVENT_IDS_KEPT,
    GROUPS_KEPT,
    SUBJECTS_KEPT,
    AwaitingEnd,
    Ending,
    Incident,
    IncidentSeverity,
    Notified,
    Occurrence,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

FROM_WORST = tuple(IncidentSeverity)


def with_messages(known: Incident, messages: Iterable[Occurrence | Ending]) -> Incident:
    """The incident after these occurrences and endings, in their order."""
    for each in messages:
        known = with_occurrence(known, each) if isinstance(each, Occurrence) else with_ending(known, each)
    return known


def with_occurrence(known: Incident, occurrence: Occurrence) -> Incident:
    """The incident with one more occurrence; as it is if that was counted already, or is older than what ended it."""
    if occurrence.id in known.event_ids or _has_ended(known, occurrence):
        return known
    if is_over(known, occurrence.at):
        known = _begun_anew(known, occurrence)
    return _counted(_lasting(_described(known, occurrence), occurrence), occurrence)


def _has_ended(known: Incident, occurrence: Occurrence) -> bool:
    """Whether what an occurrence reports has ended since: its subject, or where no Ending is to come the incident."""
    if not occurrence.ended_by:
        return occurrence.at <= known.ended_at
    return occurrence.ended_by in known.endings and occurrence.at <= known.endings[occurrence.ended_by]


def _begun_anew(known: Incident, occurrence: Occurrence) -> Incident:
    """An incident of the same cause after one that is over, for the channels that do not know that it is."""
    is_known_subject = int(occurrence.subject in known.subjects)
    return Incident(
        known.cause,
        endings=known.endings,
        event_ids=known.event_ids,
        notified={
            channel: Notified(size=1, subjects=is_known_subject, at=before.at)
            for channel, before in known.notified.items()
        },
        claimed_until=known.claimed_until,
        ended_at=known.ended_at,
    )


def _described(known: Incident, occurrence: Occurrence) -> Incident:
    """What is wrong, in the words of the latest occurrence; how bad it is, by the worst."""
    known = replace(
        known,
        severity=min(known.severity, occurrence.severity, key=FROM_WORST.index),
        transient=known.transient and occurrence.transient,
        finding=occurrence.finding,
    )
    if occurrence.at < known.last_at:
        return known
    return replace(
        known,
        reason=occurrence.reason,
        function=occurrence.function,
        job_url=occurrence.job_url or known.job_url,
    )


def _lasting(known: Incident, occurrence: Occurrence) -> Incident:
    """Until when it lasts: for as long as it would be reported again, and until all ends that it awaits."""
    known = replace(known, quiet_at=max(known.quiet_at, occurrence.repeated_until or 0.0))
    awaiting, subject = dict(known.awaiting_end), occurrence.ended_by
    if not subject or (subject not in awaiting and len(awaiting) >= SUBJECTS_KEPT):
        return known
    before = awaiting.get(subject, AwaitingEnd(0.0, 0.0))
    awaiting[subject] = AwaitingEnd(
        max(before.last_at, occurrence.at), max(before.forgotten_at, occurrence.forgotten_at)
    )
    return replace(known, awaiting_end=awaiting)


def _counted(known: Incident, occurrence: Occurrence) -> Incident:
    """One more: how often, since when, and for which subjects and groups."""
    began = max(occurrence.began, known.ended_at)  # a relapse has not lasted since the first time
    return replace(
        known,
        count=known.count + 1,
        since=min(known.since, began) if known.count else began,
        last_at=max(known.last_at, occurrence.at),
        subjects=_with(known.subjects, occurrence.subject, SUBJECTS_KEPT),
        groups=_with(known.groups, occurrence.group, GROUPS_KEPT),
        event_ids=(*known.event_ids, occurrence.id)[-EVENT_IDS_KEPT:],
    )


def _with(known: tuple[str, ...], new: str, most: int) -> tuple[str, ...]:
    return known if not new or new in known or len(known) >= most else (*known, new)


def with_ending(known: Incident, ending: Ending) -> Incident:
    """The incident without the problem of a subject."""
    endings = dict(known.endings)
    endings[ending.subject] = max(endings.get(ending.subject, 0.0), ending.at)
    latest = sorted(endings.items(), key=lambda each: each[1])[-SUBJECTS_KEPT:]
    awaiting = {
        subject: each
        for subject, each in known.awaiting_end.items()
        if subject != ending.subject or each.last_at > ending.at
    }
    is_its_own = known.cause == OF_AN_INSTANCE + ending.subject and known.last_at <= ending.at
    quiet_at = 0.0 if is_its_own else known.quiet_at
    return replace(known, awaiting_end=awaiting, endings=dict(latest), quiet_at=quiet_at)


def concerns(ending: Ending, known: Incident) -> bool:
    """Whether an ending changes an incident, open or not."""
    return known.cause in (ending.cause, OF_AN_INSTANCE + ending.subject) or ending.subject in known.awaiting_end


def ends(ending: Ending, occurrence: Occurrence) -> bool:
    """Whether an ending changes the incident that an occurrence belongs to."""
    return ending.subject == occurrence.ended_by or occurrence.cause == OF_AN_INSTANCE + ending.subject


def is_over(known: Incident, now: float) -> bool:
    """Whether nothing is left of an incident at a time (epoch seconds)."""
    return known.quiet_at <= now and all(each.forgotten_at <= now for each in known.awaiting_end.values())
