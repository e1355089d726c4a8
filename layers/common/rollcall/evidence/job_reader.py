"""Reads from Tower what an ended job proves about its hosts, and what becomes of one that does not end.

What is read is decided by evidence: events cost calls, so they are read only of jobs that failed, and of those hosts of
a good one that were not always reached; and never more of them than EVENTS_MAX of a job.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import JobStatus, Outcome

from . import host_outcomes as evidence
from .host_outcomes import Comparator
from .playbook_trace import ENDED, ENDS, STARTED, TASK_STARTED, TRACED, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.domain.inventories import Host
    from rollcall.domain.jobs import Job, JobEvent, JobKind
    from rollcall.tower.client import Tower

EVENTS_MAX = 5000  # of a job: 25 pages, and 50 tasks on 100 hosts
COMPARATORS_MAX = 3  # good jobs that are looked through for hosts like those in question
TASKS_MAX = 1000  # starts of tasks by which the longest of a job is known
NEWEST_EVENTS = 200  # among which a job's latest starts are looked for; a page


class Evidence(Protocol):
    """What ended jobs prove about hosts."""

    def outcomes(self, job: Job, names: Collection[str], group: str) -> Mapping[str, Outcome] | None:
        """What an ended job showed about these hosts, all of one group; None while Tower processes its events."""

    def is_comparing(self, job: Job, name: str, now: float) -> bool:
        """Whether a job under way may soon show what one that was cut short for a host has to be compared with."""

    def silence(self, job: Job, now: float) -> float:
        """Seconds since a running job's newest event, or since its start if it has none; 0 before that.

        now: epoch seconds by Tower's clock.
        """

    def longest_task(self, job: Job) -> float | None:
        """Seconds that the longest task took in the newest good job of the same kind and playbook.

        None without such a job; infinity if it has too many tasks to tell.
        """

    def unanswered(self, job: Job) -> frozenset[str]:
        """The hosts of a job on which a task has started and not ended."""


class JobEvidence(Evidence):
    """Reads it, and remembers it: make one for each invocation. The methods raise what Tower's raise."""

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._complete: set[int] = set()
        self._events: dict[int, list[JobEvent] | None] = {}
        self._good_jobs: dict[tuple[JobKind, str, str], list[Job]] = {}
        self._active: dict[int, bool] = {}
        self._hosts: dict[tuple[int, str], Host | None] = {}
        self._uncompared: set[tuple[int, str]] = set()

    # Jobs that have ended

    def outcomes(self, job: Job, names: Collection[str], group: str) -> Mapping[str, Outcome] | None:
        """See Evidence. group: the Auto Scaling group whose hosts these are."""
        if evidence.proves_nothing(job):  # also one whose events are never processed, for its node died
            return dict.fromkeys(names, Outcome.UNPROVEN)
        if not self._has_all_events(job):
            return None
        if job.status == JobStatus.SUCCESSFUL:
            return self._of_good_job(job, names)
        return self._of_failed_job(job, names, group)

    def _has_all_events(self, job: Job) -> bool:
        if job.id not in self._complete and self._tower.has_all_events(job.id):
            self._complete.add(job.id)
        return job.id in self._complete

    def _of_good_job(self, job: Job, names: Collection[str]) -> dict[str, Outcome]:
        if self._tower.count_well(job.id, names, ignoring=False) == len(names):
            return dict.fromkeys(names, Outcome.OK)
        unreached = self._tower.events(job.id, (UNREACHABLE,), EVENTS_MAX)
        if unreached == [] and self._tower.count_well(job.id, names, ignoring=True) == len(names):
            return dict.fromkeys(names, Outcome.OK)
        events = unreached
        if dark := {event.host for event in unreached or ()} & set(names):
            events = self._tower.events(job.id, ENDS, EVENTS_MAX, dark)
        return evidence.of_good_job(names, self._tower.summaries(job.id, names), events)

    def _of_failed_job(self, job: Job, names: Collection[str], group: str) -> dict[str, Outcome]:
        summaries = self._tower.summaries(job.id, names)
        if not summaries and not self._tower.ran_on_some(job.id):
            return dict.fromkeys(names, Outcome.UNPROVEN)
        outcomes = {name: evidence.of_failed_host(summaries.get(name)) for name in names}
        clean = {name for name in summaries if outcomes[name] == Outcome.CUT_SHORT}
        if not job.scm_revision:  # a project without any may have been edited since a good run, so that none is alike
            return outcomes
        self._uncompared |= {(job.id, name) for name in clean}
        for good in self._comparators(job) if clean else ():
            like = self._like(good, clean, group)
            if like and (events := self._traced(job)) is not None and (compared := self._traced(good)) is not None:
                comparator = Comparator(compared, like)
                outcomes |= evidence.of_failed_job(like, summaries, events, comparator)
                self._uncompared -= {(job.id, name) for name in like}
                clean -= like.keys()
            if not clean:
                break
        return outcomes

    def _traced(self, job: Job) -> Sequence[JobEvent] | None:
        if job.id not in self._events:
            self._events[job.id] = self._tower.events(job.id, TRACED, EVENTS_MAX)
        return self._events[job.id]

    def _comparators(self, job: Job) -> list[Job]:
        key = (job.kind, job.playbook, job.scm_revision)
        if key not in self._good_jobs:
            self._good_jobs[key] = self._tower.good_jobs(job, COMPARATORS_MAX)
        return self._good_jobs[key]

    def _like(self, good: Job, names: Collection[str], group: str) -> dict[str, frozenset[str]]:
        """By name, the hosts of a good job that are of the same group as a host, and in the same inventory groups.

        Whose a host is its marker says, as long as it is in Tower. Hosts without any of its kind in there are left out.
        """
        known = self._known(good.inventory_id, {*good.hosts, *names})
        kinds = {name: _kind(host) for name, host in known.items()}
        like = {
            name: frozenset(each for each in good.hosts if kinds.get(each) == kinds[name])
            for name in names
            if name in kinds and kinds[name][0] == group
        }
        return {name: own for name, own in like.items() if own}

    def _known(self, inventory_id: int | None, names: Collection[str]) -> dict[str, Host]:
        """The hosts of these names; none if the inventory itself is gone."""
        if inventory_id is None:
            return {}
        if unread := [name for name in names if (inventory_id, name) not in self._hosts]:
            found = {host.name: host for host in self._tower.hosts_named(Inventory(inventory_id, ""), unread)}
            self._hosts |= {(inventory_id, name): found.get(name) for name in unread}
        return {name: host for name in names if (host := self._hosts[inventory_id, name])}

    def is_comparing(self, job: Job, name: str, now: float) -> bool:
        """See Evidence. now: epoch seconds by Tower's clock.

        Then the host is better not run again yet: it may turn out to be done. It is so only as long after the job's end
        as the job took.
        """
        if (job.id, name) not in self._uncompared or job.started_at is None or job.finished_at is None:
            return False
        if now - job.finished_at > job.finished_at - job.started_at:
            return False
        if job.id not in self._active:
            self._active[job.id] = bool(self._tower.active_after(job, 1))
        return self._active[job.id]

    # Jobs that do not end

    def silence(self, job: Job, now: float) -> float:
        """See Evidence."""
        newest = self._tower.last_events(job.id, 1)
        since = newest[0].at if newest else job.started_at
        return max(0.0, now - since) if since is not None else 0.0

    def longest_task(self, job: Job) -> float | None:
        """See Evidence. Over all hosts, from a task's start to the start of the next: none of its events is later."""
        good = self._tower.last_good_job(job)
        if good is None:
            return None
        events = self._tower.events(good.id, (TASK_STARTED, ENDED), TASKS_MAX)
        if events is None:
            return math.inf
        times = sorted(event.at for event in events)
        return max((after - before for before, after in pairwise(times)), default=None)

    def unanswered(self, job: Job) -> frozenset[str]:
        """See Evidence."""
        kinds = (STARTED, *ENDS)
        newest = self._tower.last_events(job.id, NEWEST_EVENTS, kinds)
        silent = job.hosts - {event.host for event in newest}
        if silent:  # strategy free: the others may have gone on for long
            newest += self._tower.last_events(job.id, NEWEST_EVENTS, kinds, silent)
        last: dict[str, JobEvent] = {}
        for event in newest:
            if event.host not in last or event.counter > last[event.host].counter:
                last[event.host] = event
        return frozenset(host for host, event in last.items() if event.kind == STARTED)


def _kind(host: Host) -> tuple[object, ...]:
    """What hosts have in common on which a playbook does the same: their group, and their groups in the inventory."""
    owner = host.owner or {}
    return (owner.get("group"), owner.get("account"), owner.get("region"), host.group_ids)
