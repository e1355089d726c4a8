"""Reads from Tower what an ended job proves about its hosts, and how a running job gets on.

host_outcomes decides what it proves. Events cost calls, so they are read only of jobs that failed, and of those hosts
of a good one that were not always reached; and never more of them than EVENTS_MAX of a job.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import JobStatus, Outcome

from .host_outcomes import GoodRun, outcome_by_summary, outcomes_of_failed_job, outcomes_of_good_job, proves_nothing
from .playbook_trace import PLAYBOOK_ENDED, STARTED, TASK_RESULTS, TASK_STARTED, TRACED_EVENTS, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.domain.inventories import Host
    from rollcall.domain.jobs import HostSummary, Job, JobEvent, JobKind
    from rollcall.tower.client import Tower

EVENTS_MAX = 5000  # of a job: 25 pages, and 50 tasks on 100 hosts
GOOD_RUNS_MAX = 3  # good jobs in which hosts similar to those in question are searched
TASKS_MAX = 1000  # starts of tasks that are read to know the longest task of a job
NEWEST_EVENTS = 200  # in which a job's last starts of tasks are searched; a page


class Evidence(Protocol):
    """What ended jobs prove about hosts."""

    def outcomes(self, job: Job, names: Collection[str], group: str) -> Mapping[str, Outcome] | None:
        """What an ended job showed about these hosts, all of one group; None while Tower processes its events."""

    def is_good_run_expected(self, job: Job, name: str, now: float) -> bool:
        """Whether a job under way may soon be the good run that one that was cut short for a host is compared with."""

    def silence(self, job: Job, now: float) -> float:
        """Seconds since a running job's newest event, or since its start if it has none; 0 if it has not started.

        now: epoch seconds by Tower's clock.
        """

    def longest_task(self, job: Job) -> float | None:
        """Seconds that the longest task took in the newest good job of the same kind and playbook.

        None without such a job; infinity if it has too many tasks to tell.
        """

    def hosts_without_result(self, job: Job) -> frozenset[str]:
        """The hosts of a running job on which a task has started and not ended."""


class JobEvidence(Evidence):
    """Reads it from Tower, and caches it: make one for each invocation. The methods raise what Tower's raise."""

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._processed: set[int] = set()  # ids of jobs of which Tower has processed all events
        self._events: dict[int, list[JobEvent] | None] = {}
        self._good_jobs: dict[tuple[JobKind, str, str], list[Job]] = {}
        self._has_active: dict[int, bool] = {}
        self._hosts: dict[tuple[int, str], Host | None] = {}
        self._not_compared: set[tuple[int, str]] = set()  # id of a failed job, name of a host without a failure there

    # Jobs that have ended

    def outcomes(self, job: Job, names: Collection[str], group: str) -> Mapping[str, Outcome] | None:
        """See Evidence. group: the Auto Scaling group whose hosts these are."""
        if proves_nothing(job):  # also one whose events are never processed, for its node died
            return dict.fromkeys(names, Outcome.UNPROVEN)
        if not self._has_all_events(job):
            return None
        if job.status == JobStatus.SUCCESSFUL:
            return self._of_good_job(job, names)
        return self._of_failed_job(job, names, group)

    def _has_all_events(self, job: Job) -> bool:
        if job.id not in self._processed and self._tower.has_all_events(job.id):
            self._processed.add(job.id)
        return job.id in self._processed

    def _of_good_job(self, job: Job, names: Collection[str]) -> dict[str, Outcome]:
        """One count is enough where all went well; one page of events where the playbook only ignored failures."""
        if self._tower.count_well(job.id, names, ignoring=False) == len(names):
            return dict.fromkeys(names, Outcome.OK)
        unreachable = self._tower.events(job.id, (UNREACHABLE,), EVENTS_MAX)
        if unreachable == [] and self._tower.count_well(job.id, names, ignoring=True) == len(names):
            return dict.fromkeys(names, Outcome.OK)
        ever_unreachable = {event.host for event in unreachable or ()} & set(names)
        events = unreachable
        if ever_unreachable:  # whether they were reached later their other results show
            events = self._tower.events(job.id, TASK_RESULTS, EVENTS_MAX, ever_unreachable)
        return outcomes_of_good_job(names, self._tower.summaries(job.id, names), events)

    def _of_failed_job(self, job: Job, names: Collection[str], group: str) -> dict[str, Outcome]:
        """By their summaries; those without a failure there are compared with similar hosts in good runs."""
        summaries = self._tower.summaries(job.id, names)
        if not summaries and not self._tower.ran_on_some(job.id):
            return dict.fromkeys(names, Outcome.UNPROVEN)
        outcomes = {name: outcome_by_summary(summaries.get(name)) for name in names}
        if not job.scm_revision:  # a project without any may have been edited since a good run, so that none is alike
            return outcomes
        clean = {name for name in summaries if outcomes[name] == Outcome.CUT_SHORT}
        return outcomes | self._compared(job, clean, summaries, group)

    def _compared(
        self, job: Job, clean: Collection[str], summaries: Mapping[str, HostSummary], group: str
    ) -> dict[str, Outcome]:
        """The outcomes of those hosts for which there is a good run with similar ones, each by the newest such run."""
        outcomes: dict[str, Outcome] = {}
        not_compared = set(clean)
        self._not_compared |= {(job.id, name) for name in clean}
        for good in self._good_jobs_like(job) if clean else ():
            similar = self._similar(good, not_compared, group)
            if not similar or (events := self._trace_events(job)) is None:
                continue
            if (good_events := self._trace_events(good)) is None:
                continue
            outcomes |= outcomes_of_failed_job(similar, summaries, events, GoodRun(good_events, similar))
            not_compared -= similar.keys()
            self._not_compared -= {(job.id, name) for name in similar}
            if not not_compared:
                break
        return outcomes

    def _trace_events(self, job: Job) -> Sequence[JobEvent] | None:
        """All events of a job that a trace is made of; None if there are too many."""
        if job.id not in self._events:
            self._events[job.id] = self._tower.events(job.id, TRACED_EVENTS, EVENTS_MAX)
        return self._events[job.id]

    def _good_jobs_like(self, job: Job) -> list[Job]:
        """The newest good jobs of the same kind, playbook and revision."""
        key = (job.kind, job.playbook, job.scm_revision)
        if key not in self._good_jobs:
            self._good_jobs[key] = self._tower.good_jobs(job, GOOD_RUNS_MAX)
        return self._good_jobs[key]

    def _similar(self, good: Job, names: Collection[str], group: str) -> dict[str, frozenset[str]]:
        """By name, the hosts of a good job that are of the same group as a host, and in the same inventory groups.

        The group stands in a host's marker, as long as it is in Tower. Hosts without similar ones there are left out.
        """
        hosts = self._hosts_named(good.inventory_id, {*good.hosts, *names})
        traits = {name: _traits(host) for name, host in hosts.items()}
        similar = {
            name: frozenset(each for each in good.hosts if traits.get(each) == traits[name])
            for name in names
            if name in traits and traits[name].group == group
        }
        return {name: own for name, own in similar.items() if own}

    def _hosts_named(self, inventory_id: int | None, names: Collection[str]) -> dict[str, Host]:
        """The hosts of these names; none if the inventory itself is gone."""
        if inventory_id is None:
            return {}
        if unread := [name for name in names if (inventory_id, name) not in self._hosts]:
            found = {host.name: host for host in self._tower.hosts_named(Inventory(inventory_id, ""), unread)}
            self._hosts |= {(inventory_id, name): found.get(name) for name in unread}
        return {name: host for name in names if (host := self._hosts[inventory_id, name])}

    def is_good_run_expected(self, job: Job, name: str, now: float) -> bool:
        """See Evidence. now: epoch seconds by Tower's clock.

        Then the host had better not run again yet: it may turn out to be done. It is so only as long after the job's
        end as the job took.
        """
        if (job.id, name) not in self._not_compared or job.started_at is None or job.finished_at is None:
            return False
        if now - job.finished_at > job.finished_at - job.started_at:
            return False
        if job.id not in self._has_active:
            self._has_active[job.id] = bool(self._tower.active_after(job, 1))
        return self._has_active[job.id]

    # Jobs that run

    def silence(self, job: Job, now: float) -> float:
        """See Evidence."""
        newest = self._tower.last_events(job.id, 1)
        since = newest[0].at if newest else job.started_at
        return max(0.0, now - since) if since is not None else 0.0

    def longest_task(self, job: Job) -> float | None:
        """See Evidence. From the start of a task to that of the next, over all hosts: its events lie between."""
        good = self._tower.last_good_job(job)
        if good is None:
            return None
        events = self._tower.events(good.id, (TASK_STARTED, PLAYBOOK_ENDED), TASKS_MAX)
        if events is None:
            return math.inf
        times = sorted(event.at for event in events)
        return max((after - before for before, after in pairwise(times)), default=None)

    def hosts_without_result(self, job: Job) -> frozenset[str]:
        """See Evidence."""
        kinds = (STARTED, *TASK_RESULTS)
        newest = self._tower.last_events(job.id, NEWEST_EVENTS, kinds)
        silent = job.hosts - {event.host for event in newest}
        if silent:  # strategy free: the others may have gone on for long
            newest += self._tower.last_events(job.id, NEWEST_EVENTS, kinds, silent)
        last: dict[str, JobEvent] = {}
        for event in newest:
            if event.host not in last or event.counter > last[event.host].counter:
                last[event.host] = event
        return frozenset(host for host, event in last.items() if event.kind == STARTED)


class _Traits(NamedTuple):
    """What hosts have in common on which a playbook does the same: whose they are, and their inventory groups."""

    group: object
    account: object
    region: object
    group_ids: frozenset[int] | None


def _traits(host: Host) -> _Traits:
    owner = host.marker or {}
    return _Traits(owner.get("group"), owner.get("account"), owner.get("region"), host.group_ids)
