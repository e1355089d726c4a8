"""The embedded Tower's job engine: what a launched job goes through, and what it does on each host.

There is no background thread. Every access to the Tower first calls `JobEngine.advance`, which carries out,
in order, all that had to happen up to now. Nothing can change between two accesses, so the outcome is the same
as if each step had been carried out at its own time.

A job goes pending -> waiting -> running -> final [801, 802, 813]. Its hosts are those the limit matches when it
starts. `event_processing_finished` appears `event_lag` seconds after it finished, its host summaries shortly before
[802, 803, 623-625].
"""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Callable
from copy import replace
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count

from lab.tower.plays import UNREACHED, Playbook, PlaybookRun, run_playbook
from lab.tower.world import RECENT_JOBS, Host, Inventory, Job, JobTemplate, Summary, User, WorkflowJob, World

PENDING_TIME = 0.1  # seconds from the launch to the task manager's round
WAITING_TIME = 0.1  # seconds from "waiting" to "running"; 0.1 to 0.3 in the recordings [801, 803]
SUMMARIES_AFTER = 0.6  # of the event lag; they come before event_processing_finished [802, 623-625]
CANCEL_TIME = 0.5  # seconds a running job takes to end once canceled; 2 in the recordings [369]
TIMED_OUT = "Job terminated due to timeout"
GOLDEN = (5**0.5 - 1) / 2  # the fractions of its multiples are spread evenly over [0, 1), however many one takes

FAILURES = {"runner_on_failed": "non-zero return code", "runner_on_unreachable": UNREACHED}

HostMatch = Callable[[Host], bool]


@dataclass(frozen=True)
class Launch:
    """What a job is launched with. What is None, and a timeout (seconds) of 0, is as the template has it."""

    template: JobTemplate
    inventory: Inventory | None
    limit: str
    extra_vars: str
    user: User
    timeout: int = 0
    job_type: str | None = None
    job_tags: str | None = None
    skip_tags: str | None = None


@dataclass(slots=True)
class Behaviour:
    """How playbook runs end. Templates are named by id or name; a host's rule is asked when a job starts."""

    boot_time: float
    boot_times: list[tuple[HostMatch, float]] = field(default_factory=list)  # the last match counts
    failing: list[HostMatch] = field(default_factory=list)
    dark: list[HostMatch] = field(default_factory=list)
    fatal_hosts: list[tuple[HostMatch, int]] = field(default_factory=list)  # and the events a cut leaves
    fatal_templates: dict[int | str, int] = field(default_factory=dict)
    broken: dict[int | str, str] = field(default_factory=dict)  # template -> "failed" (on every host) or a job status
    job_times: dict[int | str, float] = field(default_factory=dict)
    playbooks: dict[int | str, Playbook] = field(default_factory=dict)
    hanging: list[HostMatch] = field(default_factory=list)
    next_ends: deque[tuple[str, str]] = field(default_factory=deque)

    def boot_time_of(self, host: Host) -> float:
        for matches, seconds in reversed(self.boot_times):
            if matches(host):
                return seconds
        return self.boot_time

    def result_on(self, host: Host, template: JobTemplate, now: float) -> str:
        if now < host.created + self.boot_time_of(host) or any(matches(host) for matches in self.dark):
            return "dark"
        if template_value(self.broken, template) or any(matches(host) for matches in self.failing):
            return "failed"
        return "ok"

    def cut_short_events(self, template: JobTemplate, removal: list[Host]) -> int | None:
        """How many events tell that the failure on these hosts ended the play for all; None where it did not."""
        events = template_value(self.fatal_templates, template)
        if events is not None:
            return events if removal else None
        return next((events for matches, events in self.fatal_hosts if any(map(matches, removal))), None)


def template_value[T](table: dict[int | str, T], template: JobTemplate) -> T | None:
    found = table.get(template.id)
    return table.get(template.name) if found is None else found


def hosts_in_limit(inventory: Inventory, limit: str) -> list[Host]:
    """The enabled hosts a limit matches: host names, group names and wildcards, separated by commas or colons.

    An empty limit and `all` are every host [852]. Exclusions and intersections (`!a`, `&a`) are not understood.
    """
    enabled = [host for host in inventory.hosts.values() if host.enabled]
    patterns = [word for word in re.split(r"[,:]", limit.replace(" ", "")) if word]
    if not patterns or "all" in patterns or "*" in patterns:
        return enabled
    wanted: set[int] = set()
    for pattern in patterns:
        if pattern in inventory.hosts:
            wanted.add(inventory.hosts[pattern].id)
        if pattern in inventory.groups:
            wanted.update(inventory.groups[pattern].hosts)
        if "*" in pattern or "?" in pattern:
            wanted.update(host.id for host in enabled if fnmatchcase(host.name, pattern))
            groups = (group for name, group in inventory.groups.items() if fnmatchcase(name, pattern))
            wanted.update(host_id for group in groups for host_id in group.hosts)
    return [host for host in enabled if host.id in wanted]


class JobEngine:
    """Runs the jobs of one world.

    job_time: seconds a playbook run takes; job_spread: see `Tower.set_job_spread`; capacity: jobs waiting or running
    at once, others stay pending; event_lag: seconds between a job's end and its host summaries.
    """

    def __init__(self, world: World, behaviour: Behaviour, job_time: float, capacity: int, event_lag: float) -> None:
        self._world = world
        self._behaviour = behaviour
        self.job_time = job_time
        self.job_spread = 0.0
        self.capacity = capacity
        self.event_lag = event_lag
        self.open: dict[int, Job] = {}  # active, or its events still being processed
        self._pending: dict[int, Job] = {}
        self._occupied: dict[int, Job] = {}  # waiting or running
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._advancing = False

    def advance(self) -> float:
        """Carries out all that is due. Returns the time now."""
        now = self._world.now()
        if self._advancing:  # a step asked a rule of a test's, and that asked the Tower
            return now
        self._advancing = True
        try:
            while self._agenda and self._agenda[0][0] <= now:
                due, _, step = heapq.heappop(self._agenda)
                step(due)
        finally:
            self._advancing = False
        return now

    def later(self, due: float, step: Callable[[float], None]) -> None:
        """Has `step` called with its due time once that has come (epoch seconds)."""
        heapq.heappush(self._agenda, (due, next(self._order), step))

    def reap(self, job: Job) -> None:
        """The node of a running job dies."""
        now = self._world.now()
        self._occupied.pop(job.id, None)
        self.open.pop(job.id, None)
        job.reap(now)
        self._schedule(now)

    def forget(self) -> None:
        """Lets go of every job, as if none had been launched."""
        for table in (self.open, self._pending, self._occupied):
            table.clear()
        self._agenda.clear()

    def look_again(self) -> None:
        """Lets pending jobs start that a change has made room for."""
        self._schedule(self._world.now())

    def launch(self, launch: Launch) -> Job | WorkflowJob:
        """Queues a job; for a sliced template a workflow job with one job a slice.

        Like AWX, never more slices than the inventory has hosts: over one host a sliced template makes a plain job.
        """
        now = self._world.now()
        template, inventory = launch.template, launch.inventory
        slices = min(template.job_slice_count, len(inventory.hosts) if inventory else 1)
        if slices <= 1:
            return self._queue(launch, now)
        job_id = self._world.next_id("job")
        whole = WorkflowJob(job_id, template, inventory, launch.limit, launch.extra_vars, now, launch.user)
        self._world.workflow_jobs[whole.id] = whole
        template.workflow_jobs.append(whole)
        for number in range(1, slices + 1):
            job = self._queue(launch, now)
            job.slice_number, job.slice_count, job.workflow = number, slices, whole
            whole.jobs.append(job)
        return whole

    def _queue(self, launch: Launch, now: float) -> Job:
        template = launch.template
        job = Job(
            self._world.next_id("job"),
            template,
            launch.inventory,
            launch.limit,
            launch.extra_vars,
            created=now,
            modified=now,
            launched_by=launch.user,
            timeout=launch.timeout or template.timeout,
            job_type=template.job_type if launch.job_type is None else launch.job_type,
            job_tags=template.job_tags if launch.job_tags is None else launch.job_tags,
            skip_tags=template.skip_tags if launch.skip_tags is None else launch.skip_tags,
        )
        self._world.jobs[job.id] = self.open[job.id] = self._pending[job.id] = job
        template.jobs.append(job)
        self.later(now + PENDING_TIME, self._schedule)
        return job

    def _schedule(self, now: float) -> None:
        """What AWX's task manager does: pending jobs in their order, as far as capacity and their templates allow."""
        running = {job.template.id for job in self._occupied.values() if job.workflow is None}
        for job in list(self._pending.values()):
            if len(self._occupied) >= self.capacity:
                return
            if job.created + PENDING_TIME > now + 1e-6:
                continue
            blocked = job.template.id in running and job.workflow is None
            running.add(job.template.id)
            if blocked and not job.template.allow_simultaneous:
                continue
            del self._pending[job.id]
            self._occupied[job.id] = job
            job.status, job.modified = "waiting", now
            self.later(now + WAITING_TIME, lambda due, job=job: self._start(job, due))  # type: ignore[misc]

    def _start(self, job: Job, now: float) -> None:
        if job.status != "waiting":
            return
        job.status, job.started = "running", now
        self._take_hosts(job)
        behaviour, template = self._behaviour, job.template
        job_time = template_value(behaviour.job_times, template)
        job.duration = self._spread(self.job_time if job_time is None else job_time, job)
        job.event_lag = self.event_lag
        outcome = {host.name: behaviour.result_on(host, template, now) for host in job.hosts}
        removal = [host for host in job.hosts if outcome[host.name] != "ok"]
        events = behaviour.cut_short_events(template, removal)
        shape = template_value(behaviour.playbooks, template) or Playbook()
        job.playbook = shape if events is None else replace(shape, fatal=True)
        hung = {host.name for host in job.hosts if any(matches(host) for matches in behaviour.hanging)}
        seconds = self._plan_end(job, outcome, run_playbook(job.playbook, outcome, events or 0, hung), hung=bool(hung))
        if seconds is not None:
            self.later(now + seconds, lambda due: self._finish(job, due))

    def _take_hosts(self, job: Job) -> None:
        """Gives a job its hosts as they are now, and its project's revision."""
        hosts = hosts_in_limit(job.inventory, job.limit) if job.inventory else []
        if job.slice_number:
            hosts = hosts[job.slice_number - 1 :: job.slice_count]
        job.hosts = hosts
        job.addresses = {host.name: host.address for host in hosts}
        job.scm_revision = job.template.project.scm_revision if job.template.project else ""

    def _plan_end(self, job: Job, outcome: dict[str, str], run: PlaybookRun, *, hung: bool) -> float | None:
        """Decides how a job ends, and what it then did. Returns the seconds until then; None if it never ends."""
        broken = template_value(self._behaviour.broken, job.template)
        if self._behaviour.next_ends:
            job.planned_end = self._behaviour.next_ends.popleft()
            return job.duration
        if broken and broken != "failed":
            job.planned_end = (broken, "")
            return job.duration
        job.run = run
        if job.timeout and (hung or job.timeout < job.duration):
            job.planned_end = ("failed", TIMED_OUT)
            return float(job.timeout)
        job.results = outcome
        return None if hung else job.duration

    def _spread(self, seconds: float, job: Job) -> float:
        return seconds * (1 + self.job_spread * (2 * (job.id * GOLDEN % 1) - 1))

    def _finish(self, job: Job, now: float) -> None:
        if job.status != "running":
            return
        if job.planned_end:
            status, job.explanation = job.planned_end
            if status == "canceled" and job.canceled_on is None:
                job.canceled_on = now
        else:
            well = {"ok", "dark"} if job.playbook.ignores else {"ok"}
            status = "successful" if job.results and well.issuperset(job.results.values()) else "failed"
        self._end(job, status, now)

    def cancel(self, job: Job) -> None:
        """Ends an active job as canceled, without host summaries [369]; a running one a little later."""
        now = self._world.now()
        job.results, job.canceled_on = {}, now
        if job.status == "running":
            job.planned_end = ("canceled", "")
            self.later(now + CANCEL_TIME, lambda due: self._finish(job, due))
        else:
            self._end(job, "canceled", now)

    def _end(self, job: Job, status: str, now: float) -> None:
        job.status, job.finished = status, now
        self._pending.pop(job.id, None)
        self._occupied.pop(job.id, None)
        lag = self.event_lag if job.started is not None else 0.0
        job.events_done = now + lag
        self.later(now + lag * SUMMARIES_AFTER, lambda due: self._summarize(job, due))
        self.later(job.events_done, lambda _: self._close(job))
        self._schedule(now)

    def _close(self, job: Job) -> None:
        self.open.pop(job.id, None)

    def _summarize(self, job: Job, now: float) -> None:
        begun = job.run.begun if job.run else ()
        for host, (name, result) in zip(job.hosts, job.results.items(), strict=False):
            if name not in begun:
                continue
            summary = _summary(self._world.next_id("summary"), job, host, name, result, now)
            job.summaries.append(summary)
            if host.deleted:
                continue
            host.inventory.failing += summary.failed - host.failing
            host.last_summary = summary
            host.recent_jobs = [job, *host.recent_jobs[: RECENT_JOBS - 1]]


def _summary(summary_id: int, job: Job, host: Host, name: str, result: str, now: float) -> Summary:
    """The counts of the recorded play: two tasks, the second one failing where it is meant to [822, 832, 842].

    A play that is cut short leaves the hosts not at fault with `ok: 1, skipped: 1, failed: false` [832], and so does
    one that ran to its end [842]: the summaries alone do not tell.
    """
    row = Summary(summary_id, job, host, name, created=now)
    match result:
        case "dark" if job.playbook.ignores:
            row.ok = row.ignored = 1
        case "dark":
            row.dark = 1
        case "failed":
            row.ok = row.failures = 1
        case _:
            row.ok = row.skipped = 1
    return row


@dataclass(slots=True, eq=False)
class JobEvent:
    """One event of a playbook run, as /jobs/N/job_events/ lists it."""

    id: int
    job: Job
    counter: int
    event: str
    display: str
    task: str
    created: float
    host: Host | None = None
    host_name: str = ""
    failed: bool = False
    message: str = ""
    play: int = 0
    is_handler: bool = False


def events_of(job: Job, now: float) -> list[JobEvent]:
    """The events of a job that Tower has processed: spread evenly over its run, each processed a little later.

    A play in which one host failed and the others ran on has no `playbook_on_no_hosts_remaining` [843], and neither has
    one whose every host failed or was unreachable (ansible-core 2.15 to 2.18). How often it is there when the play was
    cut short: see `Tower.cut_short`.
    """
    if job.run is None or job.started is None:
        return []
    events: list[JobEvent] = []
    until = min(now - job.event_lag, now if job.finished is None else job.finished)
    hosts = {host.name: host for host in job.hosts}
    step = job.duration / max(1, len(job.run.events) - 1)
    for number, each in enumerate(job.run.events, 1):
        created = job.started + (number - 1) * step
        if created > until + 1e-6:
            break
        row = JobEvent(job.id * 100_000 + number, job, number, each.kind, each.display, each.task, created)
        row.play, row.is_handler = each.play, each.is_handler
        row.host, row.host_name = hosts.get(each.host), each.host
        row.failed = each.kind in FAILURES
        row.message = FAILURES.get(each.kind, "")
        events.append(row)
    return events
