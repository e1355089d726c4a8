"""What the events of one playbook run show of each host: how its tasks ended there, and what was yet to come.

Pure. The events are ansible-runner's, as Tower lists them: see jobs.JobEvent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollcall.domain.jobs import JobEvent

OK = "runner_on_ok"
FAILED = "runner_on_failed"
SKIPPED = "runner_on_skipped"
UNREACHABLE = "runner_on_unreachable"
STARTED = "runner_on_start"
TASK_STARTED = "playbook_on_task_start"
NOTIFIED = "playbook_on_notify"
PLAYBOOK_ENDED = "playbook_on_stats"
TASK_RESULTS = (OK, FAILED, SKIPPED, UNREACHABLE)  # of a task on a host
TRACED_EVENTS = (*TASK_RESULTS, TASK_STARTED, NOTIFIED)
INCLUDES = frozenset({"include", "include_role", "include_tasks"})
# Actions that do not connect to their host: _requires_connection is False in ansible-core's plugins/action, or they are
# carried out before there is a connection.
UNCONNECTED = INCLUDES | {
    *("add_host", "assert", "debug", "fail", "group_by", "import_role", "import_tasks", "include_vars", "meta"),
    *("pause", "set_fact", "set_stats", "validate_argument_spec"),
}
BATCH = re.compile(r"_\d+$")  # what ansible-runner adds to the id of a play that begins again, with its next batch

Task = tuple[str, str]  # the file and line that it stands in, and its name


@dataclass
class PlayRun:
    """One run of a play: a serial play has a run for each batch.

    hosts: those with a result in it. succeeded_on, failed_on: by task, the hosts on which it had such a result.
    """

    hosts: set[str] = field(default_factory=set)
    succeeded_on: defaultdict[Task, set[str]] = field(default_factory=lambda: defaultdict(set))
    failed_on: defaultdict[Task, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def tasks(self) -> set[Task]:
        """Those that ended on any host."""
        return {*self.succeeded_on, *self.failed_on}

    def ended_on(self, task: Task) -> set[str]:
        """The hosts on which a task ended, whatever its result."""
        return self.succeeded_on.get(task, set()) | self.failed_on.get(task, set())


@dataclass
class Trace:
    """What a run's events show.

    results: by host and task, the kind of each result it had there; without handlers, which only run where a change
    notified them. first_ended: by task, the counter of its first result anywhere. includes: the tasks that include
    others. play_runs: by the ids of plays. handlers_run: by host, the handlers that ran there; handlers_pending: the
    names of those that were notified and have not run. ever_unreachable: hosts that were not reached at some time;
    unreachable_at_end: those of them that were not reached later either.
    """

    results: defaultdict[str, defaultdict[Task, list[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    first_ended: dict[Task, int] = field(default_factory=dict)
    includes: set[Task] = field(default_factory=set)
    play_runs: defaultdict[str, PlayRun] = field(default_factory=lambda: defaultdict(PlayRun))
    handlers_run: defaultdict[str, set[Task]] = field(default_factory=lambda: defaultdict(set))
    handlers_pending: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    ever_unreachable: set[str] = field(default_factory=set)
    unreachable_at_end: set[str] = field(default_factory=set)

    def branched(self, host: str, task: Task) -> bool:
        """Whether a task led a host to tasks that others need not have: an include that held, a rescued failure."""
        return (OK if task in self.includes else FAILED) in self.results[host].get(task, ())

    def may_lead_to(self, branch: Task, task: Task) -> bool:
        """Whether a branch can have led to a task: an include leads to tasks of another file."""
        return branch not in self.includes or _file(branch) != _file(task)

    def ran_once_for(self, host: str, task: Task) -> bool:
        """Whether a task that one host does for all of its play succeeded in a play run of this host.

        Otherwise it counts as done for this host only if it succeeded in another play altogether, and failed nowhere:
        in another batch of the host's own play it was not done for this host.
        """
        own = {play for play, run in self.play_runs.items() if host in run.hosts}
        succeeded = {play for play, run in self.play_runs.items() if task in run.succeeded_on}
        if own & succeeded:
            return True
        failed = any(task in run.failed_on for run in self.play_runs.values())
        return bool(succeeded) and not failed and not _without_batches(own) & _without_batches(succeeded)


def _without_batches(plays: set[str]) -> set[str]:
    """The ids of plays as they are without the numbers of their batches."""
    return {BATCH.sub("", each) for each in plays}


def _file(task: Task) -> str:
    return task[0].rpartition(":")[0]


def trace_of(events: Iterable[JobEvent]) -> Trace:
    """What these events of one run show, in whatever order they come."""
    trace = Trace()
    handler_task_ids: set[str] = set()
    for event in sorted(events, key=lambda each: each.counter):
        if event.kind == TASK_STARTED and event.is_handler:
            handler_task_ids.add(event.task_id)
        elif event.kind == NOTIFIED:
            trace.handlers_pending[event.host].add(event.handler)
        elif event.kind in TASK_RESULTS:
            _note_reachability(trace, event)
            if event.task_id in handler_task_ids:
                _note_handler(trace, event)
            elif event.action != "meta":
                _note_result(trace, event)
    return trace


def _note_reachability(trace: Trace, event: JobEvent) -> None:
    if event.kind == UNREACHABLE:
        trace.ever_unreachable.add(event.host)
        trace.unreachable_at_end.add(event.host)
    elif event.kind == OK and event.action not in UNCONNECTED and not event.delegated:
        trace.unreachable_at_end.discard(event.host)


def _note_handler(trace: Trace, event: JobEvent) -> None:
    """A notification names a handler with its role, or with a template in its name, or (in a cut recording) not."""
    trace.handlers_run[event.host].add((event.path, event.task))
    trace.handlers_pending[event.host] = {
        each
        for each in trace.handlers_pending[event.host]
        if not (each in (event.task, "") or each.endswith(f": {event.task}") or "{{" in each)
    }


def _note_result(trace: Trace, event: JobEvent) -> None:
    run = trace.play_runs[event.play]
    run.hosts.add(event.host)
    if event.kind == UNREACHABLE:
        return
    task = (event.path, event.task)
    trace.first_ended.setdefault(task, event.counter)
    if event.action in INCLUDES:
        trace.includes.add(task)
    if event.kind == FAILED and not event.ignored:
        run.failed_on[task].add(event.host)
        trace.results[event.host][task].append(FAILED)
    else:
        run.succeeded_on[task].add(event.host)
        trace.results[event.host][task].append(OK if event.kind == FAILED else event.kind)
