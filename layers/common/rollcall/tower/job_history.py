"""The jobs that ran before: what is usual, and what other jobs of a kind show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.cache import Expiring
from rollcall.domain.jobs import Job, JobKind, JobStatus, PastJob

from .connection import Connection, TowerPart, reads_answers
from .parsing import limit_words, names_only_instances, read_job
from .queries import iso_time, marker_text, of_kind

if TYPE_CHECKING:
    from rollcall.domain.jobs import JobTemplate

DURATIONS_TTL = 60.0  # seconds that usual durations are remembered
PAST_JOBS = 10  # how many of them doctor estimates by


@reads_answers
class JobHistory(TowerPart):
    """Jobs of a kind, by what became of them."""

    def __init__(self, http: Connection) -> None:
        super().__init__(http)
        self._durations: Expiring[JobKind, tuple[float, ...] | None] = Expiring(DURATIONS_TTL)

    def has_reached(self, kind: JobKind, since: float, newest: int) -> bool:
        """Whether jobs of a kind reached any host: created since then (epoch seconds), and up to the job id newest.

        An unreachable host that the playbook ignores counts as ignored in a job's summaries, and not as unreachable. So
        does a failure on a host that was reached: a host of which something was ignored tells nothing here. Conditions
        on related rows are about one and the same row, unless they are chained (AWX's manual, filtering).
        """
        reached = [("job_host_summaries__dark", "0"), ("job_host_summaries__ignored", "0")]
        of_jobs = [("created__gte", iso_time(since)), ("id__lte", str(newest)), ("page_size", "1")]
        query = [*of_kind(kind), *reached, *of_jobs]
        return bool(self._http.get(f"job_templates/{kind.template_id}/jobs/", query)["count"])

    def jobs_unreached(self, kind: JobKind, since: float, count: int) -> list[Job]:
        """The jobs of a kind, created since then, that ended and may not have reached a host.

        First those with a host that was not reached, the newest first, at most count. Then as many in which something
        was ignored: that a host was not reached, perhaps.
        """
        ended = [*of_kind(kind), ("created__gte", iso_time(since)), ("status__in", "successful,failed")]
        found: dict[int, Job] = {}
        for what in ("dark", "ignored"):
            query = [*ended, (f"job_host_summaries__{what}__gte", "1")]
            for job in self._newest_jobs(kind.template_id, query, count):
                found.setdefault(job.id, job)
        return list(found.values())

    def jobs_of_group_before(self, job: Job, group: str, count: int) -> list[Job]:
        """The ended jobs of a job's kind before it that may say something about an Auto Scaling group.

        Those that ran on hosts of the group, and those that failed on hosts that are gone by now, whosever they were.
        The newest first, at most count.
        """
        before = [*of_kind(job.kind), ("id__lt", str(job.id))]
        of_the_group = [
            ("status__in", "successful,failed"),
            ("job_host_summaries__host__variables__contains", marker_text(group)),
        ]
        of_gone_hosts = [("status", "failed"), ("job_host_summaries__host__isnull", "true")]
        found = {
            each.id: each
            for some in (of_the_group, of_gone_hosts)
            for each in self._newest_jobs(job.template_id, [*before, *some], count)
        }
        return [found[each] for each in sorted(found, reverse=True)][:count]

    def good_jobs(self, job: Job, count: int) -> list[Job]:
        """The newest successful jobs of a job's kind that ran the same playbook of the same revision, at most count."""
        query = [
            *of_kind(job.kind),
            ("status", "successful"),
            ("playbook", job.playbook),
            ("scm_revision", job.scm_revision),
        ]
        return self._newest_jobs(job.template_id, query, count)

    def last_good_job(self, job: Job) -> Job | None:
        """The newest successful job of a job's kind that ran the same playbook, whatever its revision; None without."""
        query = [*of_kind(job.kind), ("status", "successful"), ("playbook", job.playbook)]
        return next(iter(self._newest_jobs(job.template_id, query, 1)), None)

    def active_after(self, job: Job, count: int) -> list[Job]:
        """The newest jobs of a job's kind that were created after it and have not ended, at most count."""
        active = ",".join(each for each in JobStatus if not each.final)
        query = [*of_kind(job.kind), ("id__gt", str(job.id)), ("status__in", active)]
        return self._newest_jobs(job.template_id, query, count)

    def _newest_jobs(self, template_id: int, query: list[tuple[str, str]], count: int) -> list[Job]:
        path = f"job_templates/{template_id}/jobs/"
        found = self._http.get(path, [*query, ("order_by", "-id"), ("page_size", str(count))])["results"]
        return [read_job(raw) for raw in found]

    def usual_durations(self, kind: JobKind) -> tuple[float, ...]:
        """Seconds that the last successful jobs of a kind took, the shortest first.

        Remembered for a minute; a kind without any is asked for again.
        """
        return self._durations.get(kind, lambda: self._usual_durations(kind)) or ()

    def _usual_durations(self, kind: JobKind) -> tuple[float, ...] | None:
        query = [*of_kind(kind), ("status", "successful"), ("order_by", "-finished"), ("page_size", "5")]
        jobs = self._http.get(f"job_templates/{kind.template_id}/jobs/", query)["results"]
        return tuple(sorted(raw["elapsed"] for raw in jobs)) or None

    def past_jobs(self, template: JobTemplate) -> tuple[PastJob, ...]:
        """A template's last successful jobs that ran all of it on hosts whose number is known: limited to instances."""
        query = {"status": "successful", "job_type": "run", "order_by": "-finished", "page_size": str(PAST_JOBS)}
        jobs = self._http.get(f"job_templates/{template.id}/jobs/", query)["results"]
        return tuple(
            PastJob(len(set(limit_words(raw["limit"]))), raw.get("forks") or 0, raw["elapsed"])
            for raw in jobs
            if names_only_instances(raw["limit"]) and not (raw["job_tags"] or raw["skip_tags"])
        )
