"""The job of a bake's instance: limited to it, launched once and found again, followed to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import JobStatus
from rollcall.hosts.jobs import CLOCK_STEP, launch_or_adopt

from .job_round import Next, decide_job

if TYPE_CHECKING:
    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import Job, JobTemplate, Outcome
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .job_round import JobDecision


class JobRound(NamedTuple):
    """What came of a round. job: the newest, None where none was launched; tries: how many there are."""

    decision: JobDecision
    job: int | None
    tries: int
    revision: str = ""


class BakeJobs:
    """Launches and follows the jobs of bakes."""

    def __init__(self, tower: Tower, evidence: Evidence) -> None:
        self._tower = tower
        self._evidence = evidence

    def follow(
        self, template: JobTemplate, inventory: Inventory, instance_id: str, group: str, since: float
    ) -> JobRound:
        """One round: the job is launched, or its end decides. group: as the host's marker names it.

        since: when the bake began, in epoch seconds; an instance's id comes never again, so all of its jobs are ours.
        """
        jobs = self._jobs(template, inventory, instance_id, since)
        newest = jobs[0] if jobs else None
        decision = decide_job(jobs, self._outcome(newest, instance_id, group), self._tower.now())
        if decision.next != Next.LAUNCH:
            return JobRound(decision, newest.id if newest else None, len(jobs), newest.scm_revision if newest else "")
        began = max([since - CLOCK_STEP, *(each.created_at for each in jobs)])
        launched = launch_or_adopt(self._tower, template, inventory, [instance_id], began)
        return JobRound(decision, launched[instance_id], len(jobs) + 1)

    def cancel(self, template: JobTemplate, inventory: Inventory, instance_id: str, since: float) -> list[int]:
        """Cancel whatever job still runs on an instance; the ids. Raises what Tower refuses."""
        active = [job.id for job in self._jobs(template, inventory, instance_id, since) if not job.status.final]
        for job in active:
            self._tower.cancel(job)
        return active

    def _jobs(self, template: JobTemplate, inventory: Inventory, instance_id: str, since: float) -> list[Job]:
        """Those on this instance, the newest first."""
        return self._tower.jobs_holding(template.on(inventory), [instance_id], since - CLOCK_STEP)

    def _outcome(self, job: Job | None, instance_id: str, group: str) -> Outcome | None:
        if job is None or not job.status.final or job.status in (JobStatus.ERROR, JobStatus.CANCELED):
            return None
        outcomes = self._evidence.outcomes(job, [instance_id], group)
        return None if outcomes is None else outcomes.get(instance_id)
