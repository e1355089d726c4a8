"""Instances on their way out -> their retire job -> their hosts out of every inventory -> their hooks completed.

look() takes messages that cleanup, or an earlier look, sent to the gate's queue: it gathers what AWS and Tower show
about each instance, judge() decides, and what is decided is applied. A retire job may delay that the hosts go, never
prevent it: whatever becomes of the job, and whether there can be one at all, they go, and only then their hooks do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from . import waiting as timing
from .errors import Permanent, RollcallError
from .events import write_action
from .identity import marker_of
from .looking import Round, each_apart, take_looks
from .model import JobStatus, Outcome, Result
from .provisioning import find_in_tower, find_retire_template, launch_alone
from .removal import StruckOff, strike_off
from .reports import Event, Note, Report, failing
from .settings import CHEF_TAG, read_group_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .fleet import Fleet, Fleets
    from .model import (
        Group,
        GroupSettings,
        Host,
        Instance,
        Inventory,
        Job,
        JobTemplate,
        LifecycleAction,
        RetireMessage,
    )
    from .queues import Queues
    from .settings import Settings
    from .tower import Tower

EVENTS_TOO_LONG = 120.0  # seconds; Tower processes a job's events within a minute [625]
WORDS = {
    Outcome.FAILED: "failed on it",
    Outcome.UNREACHABLE: "could not reach it",
    Outcome.CUT_SHORT: "was cut short before it was done with it",
    Outcome.UNPROVEN: "proved nothing about it",
}


class Move(StrEnum):
    """What becomes of an instance on its way out now."""

    LAUNCH = "launch"
    WAIT = "wait"
    LEAVE = "leave"
    GO = "go"


@dataclass(frozen=True)
class Verdict:
    """A move and its reason; alert: whether somebody should be told."""

    move: Move
    reason: str
    alert: bool = False


@dataclass(frozen=True)
class Seen:
    """What is known about one instance on its way out.

    left: seconds for which its job may still be waited for. obstacle: why no job can do anything on it, or need not;
    trouble: what a person has to mend before one could be launched. job: its retire job, launched age seconds ago;
    outcome: what the job showed of it, None while nobody knows. requeued: the action comes from a run of reconcile,
    which does not know who works on it already.
    """

    left: float
    obstacle: str = ""
    trouble: str = ""
    job: Job | None = None
    age: float = 0
    outcome: Outcome | None = None
    requeued: bool = False


def judge(seen: Seen) -> Verdict:
    """What becomes of an instance on its way out. Pure."""
    job = seen.job
    if job and seen.outcome == Outcome.OK:
        return Verdict(Move.GO, f"retired by job {job.id}")
    if job and seen.outcome:
        return Verdict(Move.GO, f"its retire job {job.id} ({job.status}) {WORDS[seen.outcome]}", alert=True)
    if seen.obstacle:
        waited = f"its retire job {job.id} is not waited for" if job else "no retire job"
        return Verdict(Move.GO, f"{waited}: {seen.obstacle}")
    if seen.trouble:
        return _without_its_job(seen.trouble)
    if seen.left <= 0:
        late = f"its retire job {job.id} was not done in time" if job else "no time was left for its retire job"
        return Verdict(Move.GO, late, alert=True)
    if job is None:
        return Verdict(Move.LAUNCH, "it has no retire job yet")
    if seen.requeued and not job.status.final and seen.age > timing.RETRY_MAX:
        return Verdict(Move.LEAVE, f"its retire job {job.id} is at work, and somebody waits for it")
    return Verdict(Move.WAIT, f"its retire job {job.id} is at work")


def _without_its_job(trouble: str) -> Verdict:
    return Verdict(Move.GO, f"no retire job could be run: {trouble}", alert=True)


class Retire:
    """Looks at messages of instances on their way out. clock() is this machine's, in epoch seconds."""

    def __init__(
        self, settings: Settings, tower: Tower, fleets: Fleets, queues: Queues, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock

    def look(self, messages: Sequence[RetireMessage]) -> list[Round[RetireMessage]]:
        """One round for each message: those that need wait no longer struck off and let go, the others sent on."""

        def look_at(message: RetireMessage, result: Round[RetireMessage]) -> _Look:
            fleet = self._fleets.of(message.retiring[0])
            return _Look(message, self._settings, self._tower, fleet, self._queues, result)

        return take_looks(messages, look_at, self._tower, self._queues, self._settings.gate_queue_url, self._clock)


@dataclass(frozen=True)
class _Source:
    """What a job for instances of the group is launched from; older ones count from since on (epoch seconds)."""

    template: JobTemplate
    inventory: Inventory
    since: float


class _Look:
    """One look at one message: keep_alive() first, then run(), in whose order its methods stand."""

    def __init__(
        self,
        message: RetireMessage,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        queues: Queues,
        result: Round[RetireMessage],
    ) -> None:
        self.message = message
        self.round = result
        self._settings = settings
        self._queues = queues
        self._tower = tower
        self._fleet = fleet
        self._now = 0.0
        self._group: Group | None = None
        self._longest = 0.0
        self._heartbeat_at = message.heartbeat_at
        self._closed: set[LifecycleAction] = set()
        self._source: _Source | None = None
        self._outcomes: dict[int, Mapping[str, Outcome] | None] = {}
        self._later: defaultdict[tuple[int, float], list[LifecycleAction]] = defaultdict(list)

    def keep_alive(self, now: float) -> None:
        """Heartbeats, where they are due. At the first look they are: no job runs on whom nobody waits for.

        now: epoch seconds by this machine's clock.
        """
        self._now = now
        actions = self.message.retiring
        groups = self._fleet.groups({action.group for action in actions})
        self._group = groups.get(actions[0].group)
        self._longest = timing.longest_wait(groups, actions)
        if self._now - self.message.heartbeat_at < self._longest / 2:
            return
        self._heartbeat_at = self._now
        alive = self._each(actions, self._fleet.heartbeat)
        self._closed = {action for action, is_open in alive.items() if not is_open}

    def run(self, jobs: Mapping[int, Job]) -> None:
        """Judge each, and do what was decided."""
        failed = {report.action for report in self.round.reports}
        actions = [action for action in self.message.retiring if action not in failed]
        seen = self._see(actions, jobs.get(self.message.job_id or 0))
        verdicts = {action: judge(one) for action, one in seen.items()}
        verdicts |= self._launch([action for action, verdict in verdicts.items() if verdict.move == Move.LAUNCH])
        for action, verdict in verdicts.items():
            if verdict.move == Move.LEAVE:
                self.round.reports.append(Report(action, verdict.reason))
            elif verdict.move == Move.WAIT and (job := seen[action].job):
                self._put_off(action, job.id, min(self._delay(job), seen[action].left))
        going = {action: verdict for action, verdict in verdicts.items() if verdict.move == Move.GO}
        with failing(going, self.round.reports):
            self._let_go(going, seen)
        self._send_on()

    def _each(
        self, actions: Collection[LifecycleAction], call: Callable[[LifecycleAction], bool]
    ) -> dict[LifecycleAction, bool]:
        return each_apart(actions, lambda each: each, call, self.round.reports)

    # What is known

    def _see(self, actions: Sequence[LifecycleAction], known: Job | None) -> dict[LifecycleAction, Seen]:
        """What is known of each. known: the message's job, which holds them all."""
        instances = self._fleet.instances({action.instance_id for action in actions})
        obstacles = {
            action.instance_id: obstacle
            for action in actions
            if (obstacle := self._unreachable(action, instances.get(action.instance_id)))
        }
        ids = {action.instance_id for action in actions}
        jobs = dict.fromkeys(ids, known) if known else {}
        timeout, trouble = 0.0, ""
        try:
            settings = read_group_settings(self._group) if self._group else None
            if not settings or not settings.retire_job_template:
                obstacles = dict.fromkeys(ids, "its group does not ask for one any more") | obstacles
            else:
                timeout = settings.timeout
                if not known and (able := ids - obstacles.keys()):
                    jobs |= self._find(settings, settings.retire_job_template, able, obstacles)
        except Permanent as error:
            trouble = str(error)
        return {
            action: self._seen(action, jobs.get(action.instance_id), obstacles, trouble, timeout) for action in actions
        }

    def _unreachable(self, action: LifecycleAction, instance: Instance | None) -> str:
        """Why no job can reach an instance; nothing if one can, or where a hook does not wait for one."""
        if action in self._closed:
            return "nobody waits for it any more"
        if instance is None:
            return "EC2 does not know it"
        return "" if instance.state == "running" else f"EC2 says that it is {instance.state}"

    def _find(
        self, settings: GroupSettings, reference: str, ids: set[str], obstacles: dict[str, str]
    ) -> dict[str, Job]:
        """The retire jobs that hold these instances; and why there is to be none for others of them."""
        inventory, provisioning = find_in_tower(self._tower, settings)
        template = find_retire_template(self._tower, settings, reference, inventory, provisioning)
        found = self._tower.hosts_named(inventory, ids)
        hosts = {host.name: host for host in found if self._is_ours(host)}
        for instance_id in ids - hosts.keys():
            obstacles[instance_id] = f"inventory {inventory.name!r} has no host of ours for it"
        if not hosts:
            return {}
        since = {name: max(host.created_at, self._tower.now() - self._life()) for name, host in hosts.items()}
        self._source = _Source(template, inventory, min(since.values()))
        held = self._tower.jobs_holding(template.id, hosts, self._source.since)
        jobs = {name: job for name in hosts if (job := _deciding(name, held, since[name]))}
        idle = [host for name, host in hosts.items() if name not in jobs]
        obstacles |= {host.name: "its host is disabled, and jobs pass over it" for host in idle if not host.enabled}
        if provisioning and idle:
            obstacles |= self._being_provisioned(provisioning, idle)
        return jobs

    def _is_ours(self, host: Host) -> bool:
        marker = marker_of(host, self._settings.account, self._fleet.region)
        return marker is not None and marker.instance_id == host.name

    def _being_provisioned(self, provisioning: JobTemplate, hosts: Sequence[Host]) -> dict[str, str]:
        """Those of the hosts that a provisioning job still works on: they have not served."""
        names = {host.name for host in hosts}
        jobs = self._tower.jobs_holding(provisioning.id, names, min(host.created_at for host in hosts))
        return {
            name: f"its provisioning job {job.id} is not over, so it never served"
            for job in jobs
            if not job.status.final
            for name in job.hosts & names
        }

    def _life(self) -> float:
        """Seconds that the longest of the hooks can wait."""
        assert self._group  # noqa: S101 - it asks for a job
        return max(timing.hook_life(self._group, action) for action in self.message.retiring)

    def _seen(
        self,
        action: LifecycleAction,
        job: Job | None,
        obstacles: Mapping[str, str],
        trouble: str,
        timeout: float,
    ) -> Seen:
        life = timing.hook_life(self._group, action) if self._group else 0.0
        left = self.message.since + life / timing.RETIRE_SHARE - self._now
        age = self._tower.now() - job.created_at if job else 0.0
        return Seen(
            left=min(left, timeout - age) if job else left,
            obstacle=obstacles.get(action.instance_id, ""),
            trouble=trouble,
            job=job,
            age=age,
            outcome=self._outcome(job, action.instance_id) if job else None,
            requeued=action.token is None and self.message.job_id is None,
        )

    def _outcome(self, job: Job, instance_id: str) -> Outcome | None:
        """What an ended job showed about an instance; None while it runs, or its events are being processed."""
        if not job.status.final:
            return None
        if job.status in (JobStatus.ERROR, JobStatus.CANCELED):
            return Outcome.UNPROVEN
        if job.id not in self._outcomes:
            self._outcomes[job.id] = self._tower.outcomes(job)
        outcomes = self._outcomes[job.id]
        if outcomes is None:
            return Outcome.UNPROVEN if self._since_end(job) > EVENTS_TOO_LONG else None
        return outcomes.get(instance_id, Outcome.UNPROVEN)

    def _since_end(self, job: Job) -> float:
        return self._tower.now() - (job.finished_at or self._tower.now())

    # Deeds

    def _launch(self, wanting: Sequence[LifecycleAction]) -> dict[LifecycleAction, Verdict]:
        """One job for all that want one; of those that can have none, what becomes of them now."""
        if not wanting or not self._source:
            return {}
        template, inventory = self._source.template, self._source.inventory
        ids = sorted({action.instance_id for action in wanting})
        try:
            jobs = launch_alone(self._tower, template, inventory, ids, self._source.since)
        except Permanent as error:
            return dict.fromkeys(wanting, _without_its_job(str(error)))
        delay = timing.poll_delay(0, self._tower.usual_durations(template.id), 0)
        for action in wanting:
            self._put_off(action, jobs[action.instance_id], delay)
        return {}

    def _delay(self, job: Job) -> float:
        """Seconds until a job that showed nothing yet is worth another look."""
        if job.status.final:
            return timing.landing_delay(self._since_end(job))
        elapsed = self._tower.now() - job.started_at if job.started_at else 0.0
        polls = self.message.polls if job.id == self.message.job_id else 0
        return timing.poll_delay(elapsed, self._tower.usual_durations(job.template_id), polls)

    def _let_go(self, going: Mapping[LifecycleAction, Verdict], seen: Mapping[LifecycleAction, Seen]) -> None:
        """Their hosts out of every inventory, and then their hooks completed; those in Chef go back to cleanup.

        Those keep their hosts until then, for these tell how their nodes are named: cleanup removes both at once.
        """
        ids = {action.instance_id for action in going}
        if not ids:
            return
        overdue = {one.job for action, verdict in going.items() if (one := seen[action]).job and verdict.alert}
        left_alone = {job for action in going if (job := seen[action].job) and job.hosts <= ids}
        ends = {job.id: self._cancel(job) for job in overdue | left_alone if job and not job.status.final}
        back = self._may_be_in_chef()
        struck = StruckOff() if back else strike_off(self._tower, ids)
        free = [action for action in going if action.instance_id not in struck.refusals]
        kept = [action for action in going if action.instance_id in struck.refusals]
        self.round.reports += [Report(action, error=struck.refusals[action.instance_id]) for action in kept]
        completed = self._each(free, self._hand_back if back else self._continue)
        for action, was_open in completed.items():
            job = seen[action].job
            reason = going[action].reason + (ends.get(job.id, "") if job else "")
            alerts = going[action].alert and was_open
            done = f"retired: {reason}" if back else f"struck off: {reason}"
            self.round.reports.append(
                Report(
                    action,
                    done if was_open or back else "finished elsewhere",
                    # Cleanup tells of those that go back to it.
                    event=Event.RETIRED if not back and (was_open or action.instance_id in struck.removed) else None,
                    job=job.id if job else None,
                    notes=(Note(f"{reason}; it goes all the same", alert=True),) if alerts else (),
                    troubled=False,  # nobody is alerted about who still waits
                )
            )

    def _may_be_in_chef(self) -> bool:
        """Also where the group is gone: its hosts told how its nodes were named."""
        return self._group is None or CHEF_TAG in self._group.tags

    def _hand_back(self, action: LifecycleAction) -> bool:
        """Whether its hook is open, as far as one knows. That its message came is forgotten: it waited for a job."""
        body = write_action(replace(action, retired=True, received_at=math.inf))
        self._queues.send(self._settings.terminate_queue_url, [(body, 0)])
        return action not in self._closed

    def _continue(self, action: LifecycleAction) -> bool:
        return self._fleet.complete(action, Result.CONTINUE)

    def _cancel(self, job: Job) -> str:
        """Ends a job that nobody waits for: its hosts' addresses will be others'. Says whether that was possible."""
        try:
            self._tower.cancel(job.id)
        except RollcallError as error:
            return f"; job {job.id} COULD NOT BE CANCELLED ({error})"
        return f"; job {job.id} was cancelled"

    # What goes on

    def _put_off(self, action: LifecycleAction, job_id: int, delay: float) -> None:
        delay = min(math.ceil(delay), self._longest, timing.RETIRE_POLL_MAX)
        self._later[job_id, max(1.0, delay)].append(action)

    def _send_on(self) -> None:
        """Those that wait, by their job; and the failing, by what failed, unless that is the whole message."""
        for (job_id, delay), actions in self._later.items():
            polls = self.message.polls + 1 if job_id == self.message.job_id else 0
            self._send(actions, delay, job_id=job_id, polls=polls)
        for failed in self.round.failed_apart(self.message.retiring, lambda each: each):
            troubled = [replace(action, troubled=True) for action in failed]
            self._send(troubled, min(timing.FIRST_RETRY, self._longest))

    def _send(self, actions: Sequence[LifecycleAction], delay: float, **changes: Any) -> None:
        message = replace(self.message, retiring=tuple(actions), heartbeat_at=self._heartbeat_at, **changes)
        self.round.next.append((message, delay))


def _deciding(instance_id: str, jobs: Collection[Job], since: float) -> Job | None:
    """The first job since then that holds an instance; one that was cancelled only where there is no other."""
    holding = [job for job in jobs if instance_id in job.hosts and job.created_at >= since]
    return min(holding, key=lambda job: (job.status == JobStatus.CANCELED, job.id), default=None)
