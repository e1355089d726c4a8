"""What Tower knows of instances: their hosts, as far as they are there still, and the jobs that ran on them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.domain.errors import Permanent, RollcallError
from rollcall.domain.jobs import JobStatus
from rollcall.domain.settings import JOB_TAG, OPT_IN_TAG, RETIRE_TAG
from rollcall_cli.timeline.instances import OK, Run
from rollcall_cli.tower import remedy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from rollcall.domain.inventories import Host
    from rollcall.domain.jobs import HostSummary, Job
    from rollcall.tower.client import Tower

CLOCK_STEP = 60.0  # seconds by which Tower's clock may be behind AWS's


@dataclass
class TowerRecords:
    """Of each instance: its hosts that are there now, and its runs in order. gaps: what could not be read."""

    hosts: dict[str, list[Host]] = field(default_factory=dict)
    runs: dict[str, tuple[Run, ...]] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


def read_tower(
    tower: Tower,
    members: Mapping[str, Collection[str]],
    tags: Mapping[str, Mapping[str, str]],
    named: Mapping[int, Collection[str]],
    since: float,
    progress: Callable[[str], None],
) -> TowerRecords:
    """What Tower knows of these instances. What it does not answer is a gap; one group's tags hide no other group.

    members: by group, its instances. tags: of each group that is there. named: by the id of each job that the logs
    name, its instances. since: the first launch, in epoch seconds.
    """
    found = TowerRecords()
    everyone = {each for own in members.values() for each in own}
    try:
        progress(f"reading the hosts of {len(everyone):,} instances in Tower")
        found.hosts = _hosts(tower, everyone)
        jobs: dict[int, tuple[Job, set[str]]] = {}
        for job in tower.jobs(named).values():
            jobs[job.id] = job, set(named[job.id])
        for group, own in members.items():
            progress(f"reading the jobs of {group} in Tower")
            try:
                of_group = list(_jobs_of_group(tower, tags.get(group, {}), own, since - CLOCK_STEP))
            except Permanent as error:
                found.gaps.append(
                    _gap(f"What Tower would show of the jobs of {group}, but for those in the logs,", error)
                )
                continue
            for job in of_group:
                jobs.setdefault(job.id, (job, set()))[1].update(job.hosts & set(own))
        found.runs = _runs(tower, jobs.values(), progress)
    except RollcallError as error:
        found.gaps.append(_gap("What Tower would show of hosts and jobs", error))
    return found


def _gap(what: str, error: RollcallError) -> str:
    remedy = remedy_of(error)
    return f"{what} is missing: {error}{f': {remedy}' if remedy else ''}"


def _hosts(tower: Tower, instance_ids: Collection[str]) -> dict[str, list[Host]]:
    """The hosts of each instance with Rollcall's marker."""
    found: defaultdict[str, list[Host]] = defaultdict(list)
    for host in tower.hosts_of(sorted(instance_ids)):
        if host.marker is not None:
            found[host.instance_id or host.name].append(host)
    return dict(found)


def _jobs_of_group(tower: Tower, tags: Mapping[str, str], own: Collection[str], since: float) -> Iterable[Job]:
    """The jobs of a group's templates, as its tags are now, that held one of these instances."""
    reference = tags.get(OPT_IN_TAG, "").strip()
    templates = {tags.get(tag, "").strip() for tag in (JOB_TAG, RETIRE_TAG)} - {""}
    if not reference or not templates:
        return []
    inventory = tower.inventory(reference)
    kinds = [tower.job_template(each).on(inventory) for each in sorted(templates)]
    return [job for kind in kinds for job in tower.jobs_holding(kind, own, since)]


def _runs(
    tower: Tower, jobs: Collection[tuple[Job, set[str]]], progress: Callable[[str], None]
) -> dict[str, tuple[Run, ...]]:
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for number, (job, own) in enumerate(sorted(jobs, key=lambda each: each[0].id), start=1):
        progress(f"reading job {job.id} in Tower: {number:,} of {len(jobs):,}")
        summaries = tower.summaries(job.id, own) if job.status.final else {}
        for each in own:
            runs[each].append(Run(job.id, job.started_at, job.finished_at, result_of(job, summaries.get(each))))
    return {each: tuple(own) for each, own in runs.items()}


def result_of(job: Job, summary: HostSummary | None) -> str:
    """A host's own result in a job: ok, failed or unreachable; while it has none the job's status, as running."""
    if job.status not in (JobStatus.SUCCESSFUL, JobStatus.FAILED):
        return job.status.value
    if summary is None:
        return "not run"
    if summary.unreachable:
        return "unreachable"
    return "failed" if summary.failures else OK
