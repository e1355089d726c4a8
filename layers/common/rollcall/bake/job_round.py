"""What the jobs of a bake's instance say of it: go on, wait, launch one (again), or that it failed. Pure.

A bake has one instance, and an image of what did not run wholly is worth nothing. So a job that Tower calls failed is
one, whatever it did on the host; only what Tower itself ended, and what was not reached while it may still boot, is
tried again.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.settings import DEFAULT_TIMEOUT
from rollcall.domain.timing import EVENTS_TOO_LONG, events_delay, relaunch_delay
from rollcall.evidence.host_outcomes import proves_nothing
from rollcall.workflow.waiting import next_wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.domain.jobs import Job

UNREACHED_FOR = float(DEFAULT_TIMEOUT)  # seconds from the first job on, as a gate gives an instance by default
TRIES_UNREACHABLE = 2  # jobs, before it counts as unreachable: the first may have come before it booted
TRIES_ENDED_BY_TOWER = 3  # jobs


class Next(Enum):
    """What to do about an instance's job."""

    LAUNCH = auto()
    WAIT = auto()
    DONE = auto()
    FAILED = auto()


class JobDecision(NamedTuple):
    """What to do, and when. wait: seconds. reason: of a failure, as what became of the job."""

    next: Next
    wait: float = 0.0
    reason: str = ""


def decide_job(jobs: Sequence[Job], outcome: Outcome | None, now: float) -> JobDecision:
    """What to do about an instance that these jobs hold, all of its own. now: epoch seconds by Tower's clock.

    jobs: the newest first. outcome: what the newest showed of the instance; None while it runs, or Tower processes its
    events.
    """
    if not jobs:
        return JobDecision(Next.LAUNCH)
    job = jobs[0]
    if not job.status.final:
        return JobDecision(Next.WAIT, next_wait(now - job.created_at))
    age = job.seconds_since_end(now)
    if job.status == JobStatus.CANCELED:
        return JobDecision(Next.FAILED, reason="was cancelled")
    if proves_nothing(job):
        ended = sum(proves_nothing(each) for each in jobs)
        why = job.explanation or "Tower ended it"
        return _again(jobs, now, ended < TRIES_ENDED_BY_TOWER, f"proved nothing, {ended} times: {why}")
    if outcome is None:
        if age > EVENTS_TOO_LONG:
            return JobDecision(Next.FAILED, reason="has ended, and Tower has not processed its events")
        return JobDecision(Next.WAIT, events_delay(age))
    if outcome == Outcome.UNREACHABLE:
        unreached_for = now - min(each.created_at for each in jobs)
        waits = unreached_for < UNREACHED_FOR or len(jobs) < TRIES_UNREACHABLE
        return _again(jobs, now, waits, f"did not reach it, for {unreached_for:.0f} s, nor did those before")
    if job.status == JobStatus.SUCCESSFUL and outcome == Outcome.OK:
        return JobDecision(Next.DONE)
    if job.status == JobStatus.SUCCESSFUL and outcome == Outcome.UNPROVEN:
        return JobDecision(Next.FAILED, reason="ran no play on it: let the playbook's hosts match it")
    return JobDecision(Next.FAILED, reason="failed")


def _again(jobs: Sequence[Job], now: float, may: bool, reason: str) -> JobDecision:
    if not may:
        return JobDecision(Next.FAILED, reason=reason)
    left = relaunch_delay(len(jobs)) - jobs[0].seconds_since_end(now)
    return JobDecision(Next.LAUNCH) if left <= 0 else JobDecision(Next.WAIT, left)
