"""Jobs: launched, cancelled, and found by the hosts that they hold.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

import math
import re
from copy import replace
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.errors import CancelRefused, RollcallError, TowerRejected
from rollcall.domain.job_limit import limit_to
from rollcall.domain.jobs import LaunchTerms
from rollcall.http.transport import FORBIDDEN

from .connection import TowerPart, reads_answers
from .job_results import summaries_of
from .parsing import WHOLE_RUN, has_capability, names_only_instances, owner_of, read_job
from .queries import NAMES_PER_QUERY, iso_time, of_kind
from .server import user_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.domain.inventories import Inventory
    from rollcall.domain.jobs import Job, JobKind, JobTemplate
    from rollcall.http.transport import Json

NEEDLES_PER_QUERY = 100  # ends of instance ids: under 4 kB of URL with those that summaries have
NEEDLE = 8  # last characters of an instance id: enough to find few others, short enough for many in a query
NOT_ALLOWED = 405
LIMITS_RESOLVED = 5  # jobs with other limits than ids whose hosts one call reads at least
SUMMARY_CALLS = 50  # that one call reads the hosts of jobs with at most; the gate's invocation has 110 s


@reads_answers
class Jobs(TowerPart):
    """Jobs of a template on given hosts."""

    def launch_terms(self, template: JobTemplate) -> LaunchTerms:
        """How a template may be launched."""
        raw = self._http.get(f"job_templates/{template.id}/")
        startable, simultaneous = has_capability(raw, "start"), bool(raw.get("allow_simultaneous"))
        timeout, forks = raw.get("timeout") or 0, raw.get("forks") or 0
        if not startable:
            return LaunchTerms(startable, simultaneous, timeout=timeout, forks=forks)
        launch = self._http.get(f"job_templates/{template.id}/launch/")
        needed = [
            *(f"an answer to the survey's question {each!r}" for each in launch.get("variables_needed_to_start", ())),
            *(f"the password {each}" for each in launch.get("passwords_needed_to_start", ())),
            *(["a credential"] if launch.get("credential_needed_to_start") else []),
        ]
        return LaunchTerms(startable, simultaneous, tuple(needed), timeout, forks)

    def launch(self, template: JobTemplate, inventory: Inventory, instance_ids: Sequence[str]) -> int:
        """Launch a template on these hosts, as a run of the whole playbook where it lets us choose; the job's id.

        An answer that ignores a field, is no single job, or a job that is not as we wanted it, is cancelled at once and
        raises TowerRejected: such a job would run on other hosts too [320, 850], or prove nothing. BadLimit without
        a host, which Tower takes for every host [852], and for what is no instance's id.
        """
        wanted: Json = {"limit": limit_to(instance_ids), **WHOLE_RUN}
        prompted = {
            "limit": True,
            "job_type": template.asks_job_type,
            "job_tags": template.asks_tags,
            "skip_tags": template.asks_skip_tags,
        }
        body = {name: value for name, value in wanted.items() if prompted[name]}
        if template.asks_inventory:
            body["inventory"] = inventory.id
        launched = self._http.read(self._http.send("POST", f"job_templates/{template.id}/launch/", body))
        job = launched.get("job")
        wanted["inventory"] = inventory.id
        unlike = {name for name, value in wanted.items() if launched.get(name, value) != value}
        if job is None or launched.get("ignored_fields") or unlike - WHOLE_RUN.keys():
            ignored = sorted(launched.get("ignored_fields") or [])
            remedy = (
                f"ignored: {ignored}, other than wanted: {sorted(unlike)}): let it prompt for limit on launch, without "
                "slicing"
            )
            raise self._cancelled_at_once(template, launched, "did not keep to its limit", remedy)
        if unlike:
            remedy = f"other than wanted: {sorted(unlike)}): let it be of the job type 'Run', without tags"
            raise self._cancelled_at_once(template, launched, "did not run the whole of its playbook", remedy)
        return int(job)

    def _cancelled_at_once(self, template: JobTemplate, launched: Json, what: str, remedy: str) -> TowerRejected:
        """The error for a job that must not run, once it was cancelled if Tower lets it be."""
        kind = "jobs" if launched.get("type") == "job" else "workflow_jobs"
        try:
            self._http.read(self._http.send("POST", f"{kind}/{launched['id']}/cancel/", {}))
            cancelled = "was cancelled"
        except RollcallError as error:
            cancelled = f"COULD NOT BE CANCELLED ({error})"
        return TowerRejected(
            f"job template {template.name!r} {what} and {cancelled} ({kind} {launched['id']}, {remedy}"
        )

    def cancel(self, job_id: int) -> None:
        """Cancel a job; that it has ended already is no error.

        The user who launched one may do so, and every user with Admin on its template; CancelRefused names the user
        that it belongs to. Of an ended job superusers learn by a 405 [370], others by a 403, as of another's that is
        still active (AWX 24.6.1, awx/main/access.py, JobAccess.can_cancel); GET distinguishes these two [371].
        """
        answer = self._http.send("POST", f"jobs/{job_id}/cancel/", {})
        if answer.status_code == NOT_ALLOWED:
            return
        if answer.status_code == FORBIDDEN:
            if not self._http.get(f"jobs/{job_id}/cancel/")["can_cancel"]:
                return
            owner = owner_of(self._http.get(f"jobs/{job_id}/"))
            if owner != user_of(self._http).name:
                raise CancelRefused(job_id, owner)
        self._http.read(answer)

    def jobs(self, ids: Collection[int]) -> dict[int, Job]:
        """Jobs by id; those that Tower does not have are left out."""
        return {
            job.id: job
            for chunk in batched(sorted(ids), NAMES_PER_QUERY)
            for job in map(read_job, self._http.pages("jobs/", {"id__in": ",".join(map(str, chunk))}))
        }

    def jobs_holding(self, kind: JobKind, instance_ids: Collection[str], since: float) -> list[Job]:
        """The jobs of a kind created since then (epoch seconds) that hold one of these hosts, the newest first.

        A limit holds the ids in it; a job that has ended also the hosts that it ran on, whatever its limit. Jobs in
        check mode change nothing on a host and are left out, as are those under other tags or on another inventory.
        """
        wanted = frozenset(instance_ids)
        found: dict[int, Json] = {}
        for chunk in batched(sorted(wanted), NEEDLES_PER_QUERY):
            query = [
                *of_kind(kind),
                ("created__gte", iso_time(since)),
                ("or__limit__regex", "|".join(re.escape(each[-NEEDLE:]) for each in chunk)),
                ("or__job_host_summaries__host_name__in", ",".join(chunk)),
            ]
            found |= {raw["id"]: raw for raw in self._http.pages(f"job_templates/{kind.template_id}/jobs/", query)}
        jobs = self._with_hosts_they_ran_on(
            [read_job(found[each]) for each in sorted(found, reverse=True)], found, wanted
        )
        return [job for job in jobs if job.hosts & wanted]

    def _with_hosts_they_ran_on(self, jobs: list[Job], raw: Mapping[int, Json], wanted: frozenset[str]) -> list[Job]:
        """The same; those that ended and whose limits do not name each of their hosts with the wanted ones it ran on.

        It is the newest job that decides. So of the newest LIMITS_RESOLVED of them all wanted hosts are read; of older
        ones those for which no job that ended is known yet, as long as there are any, in SUMMARY_CALLS calls at most.
        What ran only in older ones than these counts as without a job.
        """
        known: list[Job] = []
        missing, resolved, calls = wanted, 0, 0
        for each in jobs:
            job = each
            if job.status.final and not names_only_instances(raw[job.id]["limit"]):
                names = wanted if resolved < LIMITS_RESOLVED else missing
                cost = math.ceil(len(names) / NAMES_PER_QUERY)
                if resolved < LIMITS_RESOLVED or calls + cost <= SUMMARY_CALLS:
                    job = replace(job, hosts=job.hosts | summaries_of(self._http, job.id, names).keys())
                    resolved, calls = resolved + 1, calls + cost
            if job.status.final:
                missing -= job.hosts
            known.append(job)
        return known
