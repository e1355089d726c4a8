"""Jobs that were launched for instances and do not count for them: what is reported, and how long the next one waits.

Pure. A Tower that was just restored would get a job at every round if the next one were launched at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain import timing

if TYPE_CHECKING:
    from rollcall.domain.jobs import Job, JobKind
    from rollcall.domain.messages import GateMessage, RetireMessage


class Loss(NamedTuple):
    """A job that was launched for an instance, and does not count for it.

    words: what is reported. times: how often in a row this happened. pause: seconds until another job is launched.
    holds: whether the job that has this id holds the instance all the same; runs: likewise, and it is not over.
    found_job: that job's id, None if Tower has none of this id any more.
    """

    words: str
    times: int
    pause: float
    holds: bool
    runs: bool
    found_job: int | None = None


def loss_of(message: GateMessage | RetireMessage, job: Job | None, instance_id: str, kind: JobKind) -> Loss:
    """What to say of a message's job that does not count for one of its instances.

    job: what Tower has under its id, None if nothing. kind: what the job would have to be of.
    """
    holds = job is not None and instance_id in job.hosts
    times = message.lost_jobs + 1
    return Loss(
        f"job {message.job_id}, which was launched for it, {_became(job, kind, holds=holds)}",
        times,
        timing.held_relaunch_delay(times),
        holds,
        runs=holds and job is not None and not job.status.final,
        found_job=job.id if job else None,
    )


def _became(job: Job | None, kind: JobKind, *, holds: bool) -> str:
    if job is None:
        return (
            "is not found in Tower any more: was Tower restored, the job deleted, or a role taken from the token's "
            "user?"
        )
    if not holds:
        return "is a job on other hosts by now: was Tower restored, so that its ids come again?"
    if job.kind != kind:
        return (
            "is of another job template or inventory than the tags of its group name now: was a tag changed, or Tower "
            "restored?"
        )
    return "is no whole run of its present stint: was Tower restored, or did the instance come back meanwhile?"
