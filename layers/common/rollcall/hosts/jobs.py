"""The provisioning and retire jobs of instances: launched for no other hosts and never twice, and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import TowerDenied, TowerRejected, TowerUnavailable
from rollcall.domain.jobs import JobStatus

from .removal import remove_from_every_inventory

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.inventories import Inventory, RemovalResult
    from rollcall.domain.jobs import Job, JobTemplate
    from rollcall.tower.client import Tower

CLOCK_STEP = 5.0  # seconds by which a job may seem too old: Tower's nodes have clocks of their own, in whole seconds


class Launched(NamedTuple):
    """What became of the instances a job was wanted for.

    jobs: by instance id, the job that runs on each of those that stay. departed: the ids of those that are gone or on
    their way out; removal: what came of removing their hosts. The rest need no job any more.
    """

    jobs: Mapping[str, int]
    departed: tuple[str, ...]
    removal: RemovalResult


def launch(
    tower: Tower,
    fleet: Fleet,
    template: JobTemplate,
    inventory: Inventory,
    instance_ids: Collection[str],
    not_held: Collection[str],
    *,
    older_since: float | None = None,
) -> Launched:
    """Launch one job limited to those of the instances that are still pending.

    not_held: those that may as well be in service already, for no hook of ours holds them. older_since: another message
    may have launched jobs on the same instances since then (epoch seconds by Tower's clock), and such a job is adopted;
    None where the making of the hosts has kept every other message out.
    Their hosts exist already: a termination from now on finds the host, and an earlier one is found here.
    """
    memberships = fleet.memberships(instance_ids)
    ordered = sorted(set(instance_ids))
    known_departed = fleet.departed(ordered, memberships)
    departed = tuple(each for each in ordered if each in known_departed)
    staying = tuple(
        each
        for each in ordered
        if (known := memberships.get(each)) and (known.entering or (known.serving and each in not_held))
    )
    removal = remove_from_every_inventory(tower, fleet, departed)
    if staying and older_since is not None:
        return Launched(launch_or_adopt(tower, template, inventory, staying, older_since), departed, removal)
    jobs = dict.fromkeys(staying, launch_once(tower, template, inventory, staying)) if staying else {}
    return Launched(jobs, departed, removal)


def launch_once(tower: Tower, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
    """Launch one job limited to exactly these instances; its id.

    A launch that got no proper answer is repeated only once Tower lists no such job.
    """
    began = tower.now()
    try:
        return tower.launch(template, inventory, instance_ids)
    except TowerUnavailable:
        jobs = tower.jobs_holding(template.on(inventory), instance_ids, began - CLOCK_STEP)
        launched = [job.id for job in jobs if job.hosts == set(instance_ids)]
        return max(launched) if launched else tower.launch(template, inventory, instance_ids)


def launch_or_adopt(
    tower: Tower, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str], since: float
) -> dict[str, int]:
    """The job that runs on each of these instances: one launched for them, or an older one of another process.

    Nothing in Tower keeps two processes that read its jobs at the same moment from both finding none. So:
    1. Launch a job, and only then read the jobs: of two processes the later one finds the job of the earlier one.
    2. Where no older job is active the new one stays. Otherwise each instance of an older job waits for that one.
    3. The new job is cancelled, and launched again without these instances. Where Tower refuses to cancel it, it stays
       for the others.
    since: jobs created before are not considered, in epoch seconds by Tower's clock.
    """
    job_of_instance: dict[str, int] = {}
    without_job = list(instance_ids)
    while without_job:
        launched = launch_once(tower, template, inventory, without_job)
        adopted = _older_jobs(tower, template, inventory, without_job, since, launched)
        job_of_instance |= adopted
        without_job = [each for each in without_job if each not in adopted]
        if not adopted or not _is_cancelled(tower, launched):
            return job_of_instance | dict.fromkeys(without_job, launched)
    return job_of_instance


def _older_jobs(
    tower: Tower, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str], since: float, launched: int
) -> dict[str, int]:
    """By instance id, the oldest of the active jobs that are older than the one just launched, where there is one."""
    jobs = tower.jobs_holding(template.on(inventory), instance_ids, since)
    older = [job for job in jobs if job.id < launched and not job.status.final]
    holding = {each: [job.id for job in older if each in job.hosts] for each in instance_ids}
    return {each: min(job_ids) for each, job_ids in holding.items() if job_ids}


def _is_cancelled(tower: Tower, job_id: int) -> bool:
    """Cancel a job; False where Tower refuses that, and it runs on."""
    try:
        tower.cancel(job_id)
    except (TowerDenied, TowerRejected):
        return False
    return True


def deciding_job(instance_id: str, jobs: Collection[Job], since: float) -> Job | None:
    """The job that decides about an instance: an active one, or the newest; None if none holds it.

    since: when the instance's present stint began, in epoch seconds by Tower's clock; what was tried before is of a
    former one.
    """
    holding = [job for job in jobs if instance_id in job.hosts and job.created_at >= since]
    return max(holding, key=lambda job: (not job.status.final, job.id), default=None)


def deciding_retire_job(instance_id: str, jobs: Collection[Job], since: float) -> Job | None:
    """The retire job that decides about an instance: the first since then, in epoch seconds by Tower's clock.

    Unlike with provisioning a second one would run on a host that is retired already. One that was cancelled decides
    only where there is no other; None if no job holds the instance.
    """
    holding = [job for job in jobs if instance_id in job.hosts and job.created_at >= since]
    return min(holding, key=lambda job: (job.status == JobStatus.CANCELED, job.id), default=None)
