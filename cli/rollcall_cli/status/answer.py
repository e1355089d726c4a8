"""A status as JSON. Times in epoch seconds, durations in seconds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .words import needs_operator, summary

if TYPE_CHECKING:
    from rollcall.alerting.incident import Incident

    from .reading import Status
    from .surroundings import SeenQueue
    from .waits import SeenJob, Wait

type Json = dict[str, Any]


def answer_of(status: Status) -> Json:
    """All of it. What is computed and not read says so; what could not be read is null, and stands in missing."""
    return {
        "stack": status.stack,
        "region": status.region,
        "at": status.at,
        "summary": summary(status),
        "well": not needs_operator(status),
        "groups": list(status.groups),
        "in_emergency": list(status.in_emergency),
        "cycles": None if status.cycles is None else [each._asdict() for each in status.cycles],
        "bakes": None if status.bakes is None else [each._asdict() for each in status.bakes],
        "last_ended": [each._asdict() for each in status.ends],
        "next_due": [each._asdict() for each in status.due],
        "mixed_versions": [each._asdict() for each in status.mixed],
        "pins": [{"group": each.group, "tag": each.value, "cycle_runs": each.runs} for each in status.pins],
        "instances": [_instance(each) for each in status.waits],
        "queues": None if status.queues is None else [_queue(each) for each in status.queues],
        "alarms": None if status.alarms is None else [each._asdict() for each in status.alarms],
        "incidents": None if status.incidents is None else [_incident(each) for each in status.incidents],
        "has_alert": status.has_alert,
        "last_run": None if status.last_run is None else status.last_run._asdict(),
        "missing": [each._asdict() for each in status.gaps],
    }


def _instance(wait: Wait) -> Json:
    shown = wait.shown
    return {
        "group": wait.group,
        "instance": wait.instance_id,
        "state": wait.state,
        "step": shown.step.name.lower(),
        "in_words": str(shown.step),
        "reason": shown.reason,
        "since": wait.since,
        "hooks": list(wait.hooks),
        "job": _job(shown.job) if shown.job else None,
        "tries": shown.tries,
        "checks": [
            {"check": each.check, "answer": each.answer.name.lower(), "reason": each.reason} for each in shown.checks
        ],
        "next": None if shown.next_at is None else {"at": shown.next_at, "what": shown.next_is, "computed": True},
        "ends": None if wait.ends_at is None else {"at": wait.ends_at, "with": wait.ends_with, "computed": True},
    }


def _queue(queue: SeenQueue) -> Json:
    return {
        "queue": queue.name,
        "dead_letters": queue.is_dead_letters,
        "waiting": queue.waiting,
        "worked_on": queue.worked_on,
        "put_off": queue.put_off,
        "oldest": queue.oldest,
    }


def _incident(incident: Incident) -> Json:
    return {
        "cause": incident.cause,
        "reason": incident.reason,
        "severity": str(incident.severity),
        "since": incident.since,
        "last_at": incident.last_at,
        "count": incident.count,
        "groups": list(incident.groups),
        "subjects": list(incident.subjects),
        "job_url": incident.job_url,
    }


def _job(job: SeenJob) -> Json:
    return {**job._asdict(), "usual": list(job.usual)}
