"""Jobs from before the present stint of an instance that still run on its host: waited for; cancelled if they hang."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import JobStillLanding
from rollcall.domain.reports import Note
from rollcall.domain.timing import POLL_MAX
from rollcall.evidence.stuck_jobs import StuckJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall.domain.jobs import Job
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .new_instances import NewInstance


class FormerJobs:
    """Ends what hangs, each job once a batch. evidence() is what jobs show, made only where one from before runs."""

    def __init__(self, tower: Tower, evidence: Callable[[], Evidence]) -> None:
        self._tower = tower
        self._evidence = evidence
        self._stuck_jobs: StuckJobs | None = None
        self._not_cancelled: dict[int, str] = {}

    def pass_by(self, new_instance: NewInstance, jobs: Sequence[Job]) -> tuple[Note, ...]:
        """Notes on jobs from before the present stint that hung on the host of an instance.

        jobs: of its template, the present ones not among those that run. Raises JobStillLanding while one runs on the
        host that does not hang, or that is to be cancelled later.
        """
        instance_id = new_instance.instance.instance_id
        running = [job for job in jobs if instance_id in job.hosts and not job.status.final]
        return tuple(self._pass_by(job, instance_id, new_instance.settings.timeout) for job in running)

    def _pass_by(self, job: Job, instance_id: str, timeout: int) -> Note:
        which = f"job {job.id}, launched before the present stint of {instance_id},"
        stuck = self._stuck().find(job, timeout)
        if stuck is None or not (stuck.overdue or stuck.foreign):
            raise JobStillLanding(f"{which} still runs on it", retry_in=POLL_MAX)
        why_not = f"job {job.id} is not cancelled, for {stuck.foreign}" if stuck.foreign else self._end(job)
        if why_not:
            return Note(f"{which} hangs, and another is launched beside it: {why_not}", alert=True)
        return Note(f"{which} hung, and was cancelled")

    def _stuck(self) -> StuckJobs:
        if self._stuck_jobs is None:
            self._stuck_jobs = StuckJobs(self._tower, self._evidence())
        return self._stuck_jobs

    def _end(self, job: Job) -> str:
        """Cancels a job, once a batch; why that could not be, nothing if it was."""
        if job.id not in self._not_cancelled:
            self._not_cancelled[job.id] = self._stuck().end(job)
        return self._not_cancelled[job.id]
