"""Jobs that hang: what that is, and how they are ended.

A playbook whose machine vanished may wait for it for hours, with every other machine of the job. That is no evidence
against any of them. Such a job is reported once, and cancelled after as long again; but only a job of our own that is
limited to our own hosts. Once all its instances have left, a job so limited is of no more use, and is cancelled no
matter who launched it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import TowerDenied

if TYPE_CHECKING:
    from rollcall.domain.jobs import Job
    from rollcall.tower.client import Tower

    from .job_reader import Evidence


LIMITED_TO_MORE = "its limit names more than instance ids"


class Stuck(NamedTuple):
    """How a job hangs, in words, and for how many seconds it was silent.

    overdue: it is to be cancelled; foreign: why it is not ours to cancel, empty if it is.
    """

    words: str
    silence: float
    overdue: bool
    foreign: str


def how_stuck(job: Job, silence: float, patience: float, foreign: str) -> Stuck | None:
    """Whether a running job hangs. Pure.

    silence: seconds since its newest event. patience: seconds for which a job may say nothing, the longest timeout of
    its groups, or as long as its longest task takes in a good run, if that is longer. foreign: why it is not to be
    cancelled by us, empty if it is.
    """
    if silence <= patience:
        return None
    becomes = (
        f"it is not cancelled, for {foreign}: cancel it in Tower unless it goes on"
        if foreign
        else f"at {2 * patience:.0f} s it is cancelled, and the hosts that answer get another job without the others"
    )
    words = f"job {job.id} is stuck: no new event for {silence:.0f} s, longer than its longest task takes: {becomes}"
    return Stuck(words, silence, overdue=silence > 2 * patience and not foreign, foreign=foreign)


class StuckJobs:
    """Finds jobs that hang, and ends them. timeout: the longest of a job's groups, in seconds."""

    def __init__(self, tower: Tower, evidence: Evidence) -> None:
        self._tower = tower
        self._evidence = evidence
        self._found: dict[tuple[int, float, str], Stuck | None] = {}

    def find(self, job: Job, timeout: float, unsure: str = "") -> Stuck | None:
        """How a running job hangs; None if it does not. Its events are read once it has run for the timeout.

        unsure: why it is not to be cancelled even if it is ours, empty if it is.
        """
        key = (job.id, timeout, unsure)
        if key not in self._found:
            self._found[key] = self._find(job, timeout, unsure)
        return self._found[key]

    def _find(self, job: Job, timeout: float, unsure: str) -> Stuck | None:
        now = self._tower.now()
        if job.started_at is None or now - job.started_at <= timeout:
            return None
        silence = self._evidence.silence(job, now)
        if silence <= timeout:
            return None
        longest = self._evidence.longest_task(job) or 0.0
        if longest == math.inf:  # it may be at work
            words = (
                f"job {job.id} may be stuck: no new event for {silence:.0f} s. How long its longest task takes is not "
                "known, for its last good run has too many; it is not cancelled: cancel it in Tower unless it goes on"
            )
            return Stuck(words, silence, overdue=False, foreign=self._why_foreign(job))
        return how_stuck(job, silence, max(timeout, longest), self._why_foreign(job) or unsure)

    def end(self, job: Job) -> str:
        """Cancel a job that is limited to instance ids, no matter who launched it; why it was not, empty if it was.

        Raises what Tower raises, but for TowerDenied: another user's job takes the role Admin on its template.
        """
        if not job.is_limited_to_ids:
            return f"job {job.id} is not cancelled, for {LIMITED_TO_MORE}"
        try:
            self._tower.cancel(job.id)
        except TowerDenied as error:
            return str(error)
        return ""

    def _why_foreign(self, job: Job) -> str:
        if not job.is_limited_to_ids:
            return LIMITED_TO_MORE
        if job.launched_by != (user := self._tower.user().name):
            return f"{job.launched_by!r} launched it, and the token is {user!r}'s"
        return ""
