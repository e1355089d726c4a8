"""What an ended job proves about each of its hosts. Pure: summaries and events in, outcomes out.

A job that succeeded proves that a host without failures is done, unless its playbook ignored that it was not reached.
A job that failed does not: a play that was cut short for all hosts (any_errors_fatal, max_fail_percentage, run_once,
a serial batch that failed wholly) leaves clean summaries, and goes on into always, rescue and handlers. So there a host
is done only if it has results of its own for every task for which similar hosts have results in a good run of the same
playbook. Held against ansible-core 2.16 and the newest by tests/truth, and against jobs recorded on AWX; older ones
report the same events by their documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.jobs import JobStatus, Outcome

from .playbook_trace import trace_of

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

    It was cancelled, or ended by its own timeout or by a problem of Tower's. One whose node died is "failed" with an
    explanation, and its events are never all processed.
    """
    return job.status in (JobStatus.ERROR, JobStatus.CANCELED) or bool(job.explanation)


# Jobs that succeeded


def outcomes_of_good_job(
    names: Iterable[str], summaries: Mapping[str, HostSummary], events: Sequence[JobEvent] | None
) -> dict[str, Outcome]:
    """What a job that succeeded shows.

    events: all of the hosts that were not always reached, None if these are too many to read. Then it is not known of a
    host for which the playbook ignored something whether that was a failure, or that it was not reached.
    """
    trace = trace_of(events) if events is not None else None
    return {name: _in_good_job(name, summaries.get(name), trace) for name in names}


def _in_good_job(name: str, summary: HostSummary | None, trace: Trace | None) -> Outcome:
    if summary is None:  # in no play of the playbook, or no host that the limit matches
        return Outcome.UNPROVEN
    if summary.failures:
        return Outcome.FAILED
    if trace is None:
        if summary.unreachable:
            return Outcome.UNREACHABLE
        return Outcome.CUT_SHORT if summary.ignored else Outcome.OK
    unexplained = summary.unreachable and name not in trace.ever_unreachable
    return Outcome.UNREACHABLE if name in trace.unreachable_at_end or unexplained else Outcome.OK


# Jobs that failed


class GoodRun(NamedTuple):
    """A good run of the same playbook, of the same revision.

    similar: by the name of a host in question, the run's hosts on which the playbook does the same.
    """

    events: Sequence[JobEvent]
    similar: Mapping[str, Collection[str]]


def outcome_by_summary(summary: HostSummary | None) -> Outcome:
    """What a job that failed shows of a host by its summary alone. It has none if its batch never began."""
    if summary is None:
        return Outcome.CUT_SHORT
    if summary.failures:
        return Outcome.FAILED
    return Outcome.UNREACHABLE if summary.unreachable else Outcome.CUT_SHORT


def outcomes_of_failed_job(
    names: Iterable[str], summaries: Mapping[str, HostSummary], events: Sequence[JobEvent], good_run: GoodRun
) -> dict[str, Outcome]:
    """What a job shows that its playbook let fail, with all its events, beside a good run of the same playbook."""
    trace, good = trace_of(events), trace_of(good_run.events)
    requirements: dict[frozenset[str], _Requirements] = {}  # by the similar hosts: most hosts share them

    def requirements_for(name: str) -> _Requirements:
        always_reached = good.results.keys() - good.ever_unreachable
        similar = frozenset(good_run.similar.get(name, ())) & always_reached
        return requirements.setdefault(similar, _Requirements(good, similar))

    return {name: _in_failed_job(name, summaries.get(name), trace, requirements_for(name)) for name in names}


def _in_failed_job(name: str, summary: HostSummary | None, trace: Trace, required: _Requirements) -> Outcome:
    outcome = outcome_by_summary(summary)
    if outcome != Outcome.CUT_SHORT:
        return outcome
    if name in trace.unreachable_at_end:  # which the playbook ignores, and the summary does not show
        return Outcome.UNREACHABLE
    is_done = not trace.handlers_pending.get(name) and required.are_met_by(name, trace)
    return Outcome.OK if is_done else Outcome.CUT_SHORT


class _Requirements:
    """What a host of another run must have done to be done: all that any of the similar hosts did in a good run.

    Each task counts as often as the similar host that did it most often. Of handlers only those count that ran on all
    similar hosts: others ran where something changed. Ansible reports a notification only when it comes to the handler,
    which in a play that was cut short it may never do.
    """

    def __init__(self, good: Trace, similar: frozenset[str]) -> None:
        self._good = good
        self._similar = similar
        self._branches = self._branches_of(similar)
        play_runs = [run for run in good.play_runs.values() if run.hosts & similar]
        self._handlers = (
            set.intersection(*(good.handlers_run.get(host, set()) for host in similar)) if similar else set()
        )
        self._run_once = {task for run in play_runs for task in run.tasks if self._is_run_once(task)}
        self._times: dict[Task, int] = {}
        for host in similar:
            for task, results in good.results[host].items():
                if task not in self._run_once:
                    self._times[task] = max(len(results), self._times.get(task, 0))

    def are_met_by(self, name: str, trace: Trace) -> bool:
        """Whether a host of another run, with this trace, did it all. Without similar hosts nothing shows that."""
        results = trace.results[name]
        return (
            bool(self._similar)
            and not self._is_incomparable(name, trace)
            and self._handlers <= trace.handlers_run.get(name, set())
            and all(trace.ran_once_for(name, task) for task in self._run_once)
            and all(
                len(results.get(task, ())) >= times or self._is_excused(name, trace, task)
                for task, times in self._times.items()
            )
        )

    def _is_incomparable(self, name: str, trace: Trace) -> bool:
        """Whether a host did what no similar host did, so that the good run does not show what was to come there.

        It did a task that no host had in the good run, or one more often (an include in a loop may have had more rounds
        to come), or took a branch that no similar host took.
        """
        results = trace.results[name]
        is_new = bool(results.keys() - self._good.first_ended.keys())
        is_more = any(len(own) > self._times.get(task, len(own)) for task, own in results.items())
        took_another_branch = any(trace.branched(name, task) and task not in self._branches for task in results)
        return is_new or is_more or took_another_branch

    def _is_run_once(self, task: Task) -> bool:
        """Whether one host does a task for all of its play (run_once), and not by what became of another task there."""
        runs = [run for run in self._good.play_runs.values() if task in run.tasks]
        on_one_host = all(len(run.ended_on(task)) == 1 for run in runs) and any(len(run.hosts) > 1 for run in runs)
        return on_one_host and not self._deciding_tasks(task, {host for run in runs for host in run.hosts})

    def _is_excused(self, name: str, trace: Trace, task: Task) -> bool:
        """Whether a host need not have done a task: what led some similar hosts there did not lead it there.

        Where several tasks may have led there, which of them did is not known: none of them may have led it there.
        """
        deciding = self._deciding_tasks(task, self._similar)
        return bool(deciding) and not any(trace.branched(name, each) for each in deciding)

    def _deciding_tasks(self, task: Task, hosts: Collection[str]) -> list[Task]:
        """The earlier tasks that led those of the hosts, and only those, to a task that had it.

        A task that all of them had was not decided by any: where all took a branch, it may as well come after that.
        """
        good = self._good
        if all(task in good.results[host] for host in hosts):
            return []
        return [
            each
            for each in self._branches_of(hosts)
            if good.first_ended[each] < good.first_ended[task]
            and good.may_lead_to(each, task)
            and all(good.branched(host, each) == (task in good.results[host]) for host in hosts)
        ]

    def _branches_of(self, hosts: Collection[str]) -> set[Task]:
        """The tasks that led one of the hosts to others."""
        return {task for host in hosts for task in self._good.results[host] if self._good.branched(host, task)}
