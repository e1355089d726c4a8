"""What becomes of an instance on its way out now, from what is known about its retire job. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall.domain import timing
from rollcall.domain.jobs import Outcome

if TYPE_CHECKING:
    from rollcall.domain.jobs import Job

    from .lost_jobs import Loss

# An instance goes whatever its retire job showed: this is the reason, behind "its retire job N (status)".
WITHOUT_SUCCESS = {
    Outcome.FAILED: "failed on it",
    Outcome.UNREACHABLE: "could not reach it",
    Outcome.CUT_SHORT: "was cut short before it was done with it",
    Outcome.UNPROVEN: "proved nothing about it",
}


class NextStep(StrEnum):
    """What is done next about an instance on its way out."""

    LAUNCH_JOB = "its retire job is launched"
    LAUNCH_LATER = "its retire job is launched after a pause"
    WAIT_FOR_JOB = "another round evaluates its retire job"
    LEAVE_TO_OTHER_MESSAGE = "this message ends, for another one waits for the same job"
    LET_GO = "its hosts are removed or disabled, and its hook is completed"


@dataclass(frozen=True)
class RetireDecision:
    """A step and its reason. alert: whether an operator should act on it."""

    step: NextStep
    reason: str
    alert: bool = False


@dataclass(frozen=True)
class RetireObservation:
    """What is known about one instance on its way out.

    seconds_left: for which its job may still be waited for. not_needed: why a job could do nothing on it, or need not,
    empty if one should run; not_possible: what an operator has to fix before one can be launched, empty if one can.
    job: its retire job, created job_age seconds ago; outcome: what the job showed of it, None while that is not known.
    requeued: a run of reconcile queued the action, which does not know whether another message waits for it. loss: the
    job that was launched for it and does not count for it; launch_in: seconds until another one may be launched.
    """

    seconds_left: float
    not_needed: str = ""
    not_possible: str = ""
    job: Job | None = None
    job_age: float = 0
    outcome: Outcome | None = None
    requeued: bool = False
    loss: Loss | None = None
    launch_in: float = 0


def decide_retirement(observation: RetireObservation) -> RetireDecision:
    """What becomes of an instance on its way out: the first rule that holds decides.

    1. Its job has a result: it goes, whatever the result is.
    2. No job is needed, or none is possible: it goes. 3. No time is left: it goes.
    4. It has no job: one is launched, at once or later. 5. It waits for its job.
    """
    job = observation.job
    if job and observation.outcome == Outcome.OK:
        return RetireDecision(NextStep.LET_GO, f"retired by job {job.id}")
    if job and observation.outcome:
        reason = f"its retire job {job.id} ({job.status}) {WITHOUT_SUCCESS[observation.outcome]}"
        return RetireDecision(NextStep.LET_GO, reason, alert=True)
    if observation.not_needed:
        job_words = f"its retire job {job.id} is not waited for" if job else "no retire job"
        return RetireDecision(NextStep.LET_GO, f"{job_words}: {observation.not_needed}")
    if observation.not_possible:
        return without_job(observation.not_possible)
    if observation.seconds_left <= 0:
        late = f"its retire job {job.id} was not done in time" if job else "no time was left for its retire job"
        return RetireDecision(NextStep.LET_GO, late, alert=True)
    if job is None and observation.launch_in > 0:
        return RetireDecision(NextStep.LAUNCH_LATER, "its retire job is lost, and the next one is launched later")
    if job is None:
        return RetireDecision(NextStep.LAUNCH_JOB, "it has no retire job yet")
    if observation.requeued and not job.status.final and observation.job_age > timing.RETRY_MAX:
        return RetireDecision(
            NextStep.LEAVE_TO_OTHER_MESSAGE, f"its retire job {job.id} is running, and another message waits for it"
        )
    return RetireDecision(NextStep.WAIT_FOR_JOB, f"its retire job {job.id} is running")


def without_job(problem: str) -> RetireDecision:
    """What becomes of an instance whose job cannot be launched."""
    return RetireDecision(NextStep.LET_GO, f"no retire job could be run: {problem}", alert=True)
