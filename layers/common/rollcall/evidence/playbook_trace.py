"""What the events of one playbook run show of each host: how its tasks ended there, and what was yet to come.

Pure. The events are ansible-runner's, as Tower lists them: see model.JobEvent.
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
ENDED = "playbook_on_stats"
ENDS = (OK, FAILED, SKIPPED, UNREACHABLE)  # of a task on a host
TRACED = (*ENDS, TASK_STARTED, NOTIFIED)
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
    """One run of a play: of a serial one there is a run for each batch. By task, on whom it went well and failed."""

    hosts: set[str] = field(default_factory=set)
    well: defaultdict[Task, set[str]] = field(default_factory=lambda: defaultdict(set))
    badly: defaultdict[Task, set[str]] = field(default_factory=lambda: defaultdict(set))

    @property
    def tasks(self) -> set[Task]:
        """Those that ended on any host."""
        return {*self.well, *self.badly}

    def had(self, task: Task) -> set[str]:
        """The hosts on which the task ended, well or badly."""
        return self.well.get(task, set()) | self.badly.get(task, set())


@dataclass
class Trace:
    """What a run's events show.

    ends: by host and task how often it ended there, and how; without handlers, which only run where a change notified
    them. order: by task, when it first ended anywhere. includes: the tasks that include others. plays: the runs of
    plays by their id. handled: by host, the handlers that ran; notified: those that were yet to run, by name. dark:
    hosts that were not reached at some time; lost: those of them that were not reached later either.
    """

    ends: defaultdict[str, defaultdict[Task, list[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    order: dict[Task, int] = field(default_factory=dict)
    includes: set[Task] = field(default_factory=set)
    plays: defaultdict[str, PlayRun] = field(default_factory=lambda: defaultdict(PlayRun))
    handled: defaultdict[str, set[Task]] = field(default_factory=lambda: defaultdict(set))
    notified: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    dark: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    def branched(self, host: str, task: Task) -> bool:
        """Whether a task led a host to tasks that others need not have: an include that held, a rescued failure."""
        return (OK if task in self.includes else FAILED) in self.ends[host].get(task, ())

    def may_lead_to(self, branch: Task, task: Task) -> bool:
        """Whether a branch can have led to a task: an include leads to tasks of another file."""
        return branch not in self.includes or _file(branch) != _file(task)

    def ran_once_for(self, host: str, task: Task) -> bool:
        """Whether a task that one host does for all of its play went well in a host's play.

        In another batch of the same play, or in one of them badly, it did not do it for this host.
        """
        own = {play for play, run in self.plays.items() if host in run.hosts}
        well = {play for play, run in self.plays.items() if task in run.well}
        if own & well:
            return True
        badly = any(task in run.badly for run in self.plays.values())
        return (
            bool(well)
            and not badly
            and not {BATCH.sub("", each) for each in own & self.plays.keys()} & {BATCH.sub("", each) for each in well}
        )


def _file(task: Task) -> str:
    return task[0].rpartition(":")[0]


def traced(events: Iterable[JobEvent]) -> Trace:
    """What these events of one run show, in whatever order they come."""
    trace = Trace()
    handlers: set[str] = set()
    for event in sorted(events, key=lambda each: each.counter):
        if event.kind == TASK_STARTED:
            handlers.update([event.task_id] if event.is_handler else ())
        elif event.kind == NOTIFIED:
            trace.notified[event.host].add(event.handler)
        elif event.kind in ENDS:
            _see_reached(trace, event)
            if event.task_id in handlers:
                trace.handled[event.host].add((event.path, event.task))
                _see_handler(trace.notified[event.host], event.task)
            elif event.action != "meta":
                _see_end(trace, event)
    return trace


def _see_reached(trace: Trace, event: JobEvent) -> None:
    if event.kind == UNREACHABLE:
        trace.dark.add(event.host)
        trace.lost.add(event.host)
    elif event.kind == OK and event.action not in UNCONNECTED and not event.delegated:
        trace.lost.discard(event.host)


def _see_handler(notified: set[str], name: str) -> None:
    """A notification names a handler with its role, or with a template in its name, or (in a cut recording) not."""
    ran = {each for each in notified if each in (name, "") or each.endswith(f": {name}") or "{{" in each}
    notified -= ran


def _see_end(trace: Trace, event: JobEvent) -> None:
    run = trace.plays[event.play]
    run.hosts.add(event.host)
    if event.kind == UNREACHABLE:
        return
    task = (event.path, event.task)
    trace.order.setdefault(task, event.counter)
    if event.action in INCLUDES:
        trace.includes.add(task)
    badly = event.kind == FAILED and not event.ignored
    (run.badly if badly else run.well)[task].add(event.host)
    trace.ends[event.host][task].append(event.kind if badly or event.kind != FAILED else OK)
