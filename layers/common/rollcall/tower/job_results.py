"""What a job shows of its hosts: its summaries, and its events. What that proves is decided in rollcall.evidence.

Numbers in brackets: recorded exchanges, see tests/contract/recordings.
"""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.jobs import HostSummary

from .connection import PAGE_SIZE, TowerPart, reads_answers
from .parsing import read_event
from .queries import NAMES_PER_QUERY, events_query

if TYPE_CHECKING:
    from collections.abc import Collection

    from rollcall.domain.jobs import Job, JobEvent

    from .connection import Connection


@reads_answers
class JobResults(TowerPart):
    """The results of one job."""

    def has_all_events(self, job_id: int) -> bool:
        """Whether Tower has processed the events of a job, which takes it up to a minute after its end [802, 625]."""
        return bool(self._http.get(f"jobs/{job_id}/")["event_processing_finished"])

    def summaries(self, job_id: int, names: Collection[str]) -> dict[str, HostSummary]:
        """What became of those of these hosts that a job ran on, by name. To list them takes Tower 16 ms a host."""
        return summaries_of(self._http, job_id, names)

    def count_well(self, job_id: int, names: Collection[str], *, ignoring: bool) -> int:
        """On how many of these hosts a job met no failure and reached them; counted, and not listed.

        ignoring: also those on which it met what its playbook ignores.
        """
        well = {"failed": "false", "dark": "0", "page_size": "1"} | ({} if ignoring else {"ignored": "0"})
        return sum(
            self._http.get(f"jobs/{job_id}/job_host_summaries/", well | {"host_name__in": ",".join(chunk)})["count"]
            for chunk in batched(sorted(names), NAMES_PER_QUERY)
        )

    def ran_on_some(self, job_id: int) -> bool:
        """Whether a job has a summary of any host: its limit matched one, and Ansible itself came to an end [813]."""
        return bool(self._http.get(f"jobs/{job_id}/job_host_summaries/", {"page_size": "1"})["count"])

    def events(
        self, job_id: int, kinds: Collection[str], at_most: int, hosts: Collection[str] = ()
    ) -> list[JobEvent] | None:
        """A job's events of these kinds, of these hosts or of all; None where there are more than at_most."""
        found: list[JobEvent] = []
        for query in events_query(kinds, hosts):
            path, number = f"jobs/{job_id}/job_events/", 1
            while True:
                page = self._http.get(path, [*query, ("page_size", str(PAGE_SIZE)), ("page", str(number))])
                if len(found) + page["count"] - PAGE_SIZE * (number - 1) > at_most:
                    return None
                found += map(read_event, page["results"])
                if not page["next"]:
                    break
                number += 1
        return found

    def last_events(
        self, job_id: int, count: int, kinds: Collection[str] = (), hosts: Collection[str] = ()
    ) -> list[JobEvent]:
        """A job's newest events, the newest first, at most count (200) for each 150 hosts."""
        return [
            read_event(raw)
            for query in events_query(kinds, hosts, "-counter")
            for raw in self._http.get(f"jobs/{job_id}/job_events/", [*query, ("page_size", str(count))])["results"]
        ]

    def names_without_host(self, job: Job) -> frozenset[str]:
        """The names of a job's hosts that are not in Tower any more: their summaries stay [810, 811]."""
        found = self._http.pages(f"jobs/{job.id}/job_host_summaries/", {"host__isnull": "true"})
        return frozenset(str(raw["host_name"]) for raw in found)


def summaries_of(http: Connection, job_id: int, names: Collection[str]) -> dict[str, HostSummary]:
    """See JobResults.summaries."""
    return {
        str(raw["host_name"]): HostSummary(int(raw["failures"]), int(raw["dark"]), int(raw.get("ignored", 0)))
        for chunk in batched(sorted(names), NAMES_PER_QUERY)
        for raw in http.pages(f"jobs/{job_id}/job_host_summaries/", {"host_name__in": ",".join(chunk)})
    }
