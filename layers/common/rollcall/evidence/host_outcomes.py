"""What an ended job proves about each of its hosts. Pure: summaries and events in, outcomes out.

A job that succeeded proves that a host without failures is done, unless its playbook ignored that it was not reached.
A job that failed does not: a play that was cut short for everybody (any_errors_fatal, max_fail_percentage, run_once,
a serial batch that failed wholly) leaves clean summaries, and goes on into always, rescue and handlers. So there a host
is done only if it has results of its own for every task for which hosts of its kind have results in a good run of the
same playbook, the comparator. Held against ansible-core 2.16 and the newest by tests/truth, and against jobs recorded
on AWX; older ones report the same events by their documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import JobStatus, Outcome

from .playbook_trace import traced

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rollcall.domain.jobs import HostSummary, Job, JobEvent, JobKind

    from .playbook_trace import Task, Trace


def counts_for(job: Job | None, kind: JobKind, instance_id: str, since: float) -> bool:
    """Whether a job that is known by its id was launched for an instance since then (epoch seconds).

    A job's id may be another job's by now: ids come again after Tower was restored.
    """
    return (
        job is not None
        and (job.kind, job.is_whole) == (kind, True)
        and instance_id in job.hosts
        and job.created_at >= since
    )


def proves_nothing(job: Job) -> bool:
    """Whether an ended job says nothing about any host, whatever its events: it is not its playbook that ended it.

    It was cancelled, or ended by its own timeout or by trouble of Tower's. One whose node died is "failed" with an
    explanation, and its events are never all processed.
    """
    return job.status in (JobStatus.ERROR, JobStatus.CANCELED) or bool(job.explanation)


def of_good_job(
    names: Iterable[str], summaries: Mapping[str, HostSummary], events: Sequence[JobEvent] | None
) -> dict[str, Outcome]:
    """What a job that succeeded shows.

    events: all of the hosts that were not always reached, None if these are too many to read. Then it is not known of a
    host for which the playbook ignored something whether that was a failure, or that it was not reached.
    """
    trace = traced(events) if events is not None else None
    return {name: _in_good_job(name, summaries.get(name), trace) for name in names}


def _in_good_job(name: str, summary: HostSummary | None, trace: Trace | None) -> Outcome:
    if summary is None:  # in no play of the playbook, or no host that the limit matches
        return Outcome.UNPROVEN
    if summary.failures:
        return Outcome.FAILED
    if trace is None:
        doubtful = Outcome.CUT_SHORT if summary.ignored else Outcome.OK
        return Outcome.UNREACHABLE if summary.unreachable else doubtful
    lost = name in trace.lost or (summary.unreachable and name not in trace.dark)
    return Outcome.UNREACHABLE if lost else Outcome.OK


class Comparator(NamedTuple):
    """A good run of the same playbook, of the same revision.

    like: by the name of a host that is asked about, the run's hosts of its kind.
    """

    events: Sequence[JobEvent]
    like: Mapping[str, Collection[str]]


def of_failed_host(summary: HostSummary | None) -> Outcome:
    """What a job that failed shows of a host by its summary alone. It has none if its batch never began."""
    if summary is None:
        return Outcome.CUT_SHORT
    if summary.failures:
        return Outcome.FAILED
    return Outcome.UNREACHABLE if summary.unreachable else Outcome.CUT_SHORT


def of_failed_job(
    names: Iterable[str], summaries: Mapping[str, HostSummary], events: Sequence[JobEvent], comparator: Comparator
) -> dict[str, Outcome]:
    """What a job shows that failed by what its playbook met, with all its events."""
    trace, good = traced(events), traced(comparator.events)
    demands: dict[frozenset[str], _Demands] = {}

    def demands_on(name: str) -> _Demands:
        kin = frozenset(comparator.like.get(name, ())) & good.ends.keys() - good.dark
        return demands.setdefault(kin, _Demands(good, kin))

    return {name: _in_failed_job(name, summaries.get(name), trace, demands_on(name)) for name in names}


def _in_failed_job(name: str, summary: HostSummary | None, trace: Trace, demands: _Demands) -> Outcome:
    outcome = of_failed_host(summary)
    if outcome == Outcome.CUT_SHORT and name in trace.lost:  # which the playbook ignores, and the summary does not show
        return Outcome.UNREACHABLE
    done = demands.kin and not trace.notified.get(name) and demands.are_met(name, trace)
    return Outcome.OK if outcome == Outcome.CUT_SHORT and done else outcome


class _Demands:
    """What a good run demands of a host: all that hosts of its kind (kin) did in it, as often as any of them did it.

    Of handlers only those that ran on them all: others ran where something changed. Ansible reports a notification only
    when it comes to the handler, which in a play that was cut short it may never do.
    """

    def __init__(self, good: Trace, kin: frozenset[str]) -> None:
        self.kin = kin
        self._good = good
        self._branches = {task for host in kin for task in good.ends[host] if good.branched(host, task)}
        runs = [run for run in good.plays.values() if run.hosts & kin]
        self._handlers = set.intersection(*(good.handled.get(host, set()) for host in kin)) if kin else set()
        self._once = {task for run in runs for task in run.tasks if self._is_once(task)}
        self._often: dict[Task, int] = {}
        for host in kin:
            for task, ends in good.ends[host].items():
                if task not in self._once:
                    self._often[task] = max(len(ends), self._often.get(task, 0))

    def are_met(self, name: str, trace: Trace) -> bool:
        """Whether a host of another run did it all."""
        ends = trace.ends[name]
        if ends.keys() - self._good.order.keys():
            return False  # it did what nobody did in the good run, so that nothing shows what was to come there
        if any(len(own) > self._often.get(task, len(own)) for task, own in ends.items()):
            return False  # as above: an include in a loop may have had more rounds to come
        if any(trace.branched(name, task) and task not in self._branches for task in ends):
            return False  # it went where none of its kind went, so that nothing shows what was to come there
        if not self._handlers <= trace.handled.get(name, set()):
            return False
        if not all(trace.ran_once_for(name, task) for task in self._once):
            return False
        return all(
            len(ends.get(task, ())) >= often or self._is_excused(name, trace, task)
            for task, often in self._often.items()
        )

    def _is_once(self, task: Task) -> bool:
        """Whether one host does a task for all of its play (run_once), and not by what became of another task there."""
        runs = [run for run in self._good.plays.values() if task in run.tasks]
        alone = all(len(run.had(task)) == 1 for run in runs) and any(len(run.hosts) > 1 for run in runs)
        return alone and not self._deciding(task, {host for run in runs for host in run.hosts})

    def _is_excused(self, name: str, trace: Trace, task: Task) -> bool:
        """Whether a host need not have done a task: what led some of its kind there did not lead it there.

        Where several tasks may have led there, which of them did is not known: none of them may have led it there.
        """
        deciding = self._deciding(task, self.kin)
        return bool(deciding) and not any(trace.branched(name, each) for each in deciding)

    def _deciding(self, task: Task, hosts: Collection[str]) -> list[Task]:
        """The earlier tasks that led those of the hosts, and only those, to a task that had it.

        A task that all of them had was not decided by any: where all took a branch, it may as well come after that.
        """
        good = self._good
        if all(task in good.ends[host] for host in hosts):
            return []
        return [
            each
            for each in self._branches_of(hosts)
            if good.order[each] < good.order[task]
            and good.may_lead_to(each, task)
            and all(good.branched(host, each) == (task in good.ends[host]) for host in hosts)
        ]

    def _branches_of(self, hosts: Collection[str]) -> set[Task]:
        return {task for host in hosts for task in self._good.ends[host] if self._good.branched(host, task)}
