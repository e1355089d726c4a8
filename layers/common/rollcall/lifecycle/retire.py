"""Instances on their way out -> their retire job -> their hosts out of every inventory -> their hooks completed.

evaluate() takes messages that cleanup, or an earlier round, sent to the gate's queue: it gathers what AWS and Tower
show about each instance, judge() decides, and what is decided is applied. A retire job may delay that the hosts go,
never prevent it: whatever becomes of the job, and whether there can be one at all, they go, and only then their hooks
do. Those of an instance that only rests are disabled instead.
"""

from __future__ import annotations

import math
from collections import defaultdict
from copy import replace
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.domain import timing
from rollcall.domain.actions import Result
from rollcall.domain.errors import InstanceNotVisible, Permanent, RollcallError
from rollcall.domain.inventories import RemovalResult
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.message_format import write_action
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, failing, notes_on_kept
from rollcall.domain.settings import CHEF_TAG
from rollcall.evidence.stuck_jobs import LIMITED_TO_MORE
from rollcall.hosts.jobs import find_in_tower, find_retire_template, launch_alone
from rollcall.hosts.ownership import marker_of
from rollcall.hosts.removal import remove_from_every_inventory, unread_inventories
from rollcall.hosts.resting import Rested, rest
from rollcall.hosts.stint import stint_of
from rollcall.hosts.unmatched import passed_over
from rollcall.hosts.variables import is_resting

from .destinations import Fate, fates
from .gate_round import rounds_with_heartbeats
from .hook_answers import RETRY_IN, UNANSWERED_LIFE, each_apart
from .lost_jobs import Loss, loss_of
from .successors import Successors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.instances import Instance
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.domain.jobs import Job, JobTemplate
    from rollcall.domain.messages import RetireMessage
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .destinations import Known
    from .gate_round import Round

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
    PAUSE = "pause"
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
    which does not know who works on it already. loss: a job that was launched for it and does not count for it; pause:
    seconds for which no other one is launched.
    """

    left: float
    obstacle: str = ""
    trouble: str = ""
    job: Job | None = None
    age: float = 0
    outcome: Outcome | None = None
    requeued: bool = False
    loss: Loss | None = None
    pause: float = 0


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
    if job is None and seen.pause > 0:
        return Verdict(Move.PAUSE, "its retire job is lost, and the next one is launched later")
    if job is None:
        return Verdict(Move.LAUNCH, "it has no retire job yet")
    if seen.requeued and not job.status.final and seen.age > timing.RETRY_MAX:
        return Verdict(Move.LEAVE, f"its retire job {job.id} is at work, and somebody waits for it")
    return Verdict(Move.WAIT, f"its retire job {job.id} is at work")


def _without_its_job(trouble: str) -> Verdict:
    return Verdict(Move.GO, f"no retire job could be run: {trouble}", alert=True)


class Retire:
    """Works on messages of instances on their way out.

    clock() is this machine's, in epoch seconds; seconds_left: of this invocation.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        evidence: Evidence,
        fleets: Fleets,
        queues: Queues,
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._evidence = evidence
        self._fleets = fleets
        self._queues = queues
        self._clock = clock
        self._seconds_left = seconds_left

    def evaluate(self, messages: Sequence[RetireMessage]) -> list[Round[RetireMessage]]:
        """One round for each message: those that need wait no longer let go; the others are in what goes on, still to
        be sent.
        """

        def keep_alive(message: RetireMessage) -> _Evaluation:
            fleet = self._fleets.of(message.retiring[0])
            clients = (self._tower, self._evidence, fleet, self._queues)
            return _Evaluation(message, self._settings, *clients, self._clock())

        return rounds_with_heartbeats(messages, keep_alive, self._tower, self._seconds_left)


@dataclass(frozen=True)
class _Source:
    """What a job for instances of the group is launched from; older ones count from since on (epoch seconds)."""

    template: JobTemplate
    inventory: Inventory
    since: float


class _Evaluation:
    """One round of one message, its heartbeats sent: run(), in whose order its methods stand.

    now: epoch seconds by this machine's clock.
    """

    def __init__(
        self,
        message: RetireMessage,
        settings: Settings,
        tower: Tower,
        evidence: Evidence,
        fleet: Fleet,
        queues: Queues,
        now: float,
    ) -> None:
        self.message = message
        self._reports: list[Report] = []
        self._settings = settings
        self._queues = queues
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._now = now
        groups = self._fleet.groups({action.group for action in message.retiring})
        self._group = groups.get(message.retiring[0].group)
        self._closed: set[LifecycleAction] = set()
        self._source: _Source | None = None
        self._successors = self._keep_alive(timing.longest_wait(groups, message.retiring))

    def _keep_alive(self, longest: float) -> Successors[RetireMessage, LifecycleAction]:
        """Heartbeats, where they are due. In the first round they are: no job runs for a hook that is over.

        longest: seconds that none may be left without one.
        """
        heartbeat_at = self.message.heartbeat_at
        if self._now - heartbeat_at >= longest / 2 or self.message.unanswered_since is not None:
            heartbeat_at = self._now
            alive = self._each(self.message.retiring, self._fleet.heartbeat)
            self._closed = {action for action, is_open in alive.items() if not is_open}
        return Successors(self.message, heartbeat_at, min(longest, timing.RETIRE_POLL_MAX))

    def run(self, jobs: Mapping[int, Job]) -> Round[RetireMessage]:
        """Judge each, and do what was decided."""
        failed = {report.action for report in self._reports}
        unfound = self._put_unfound_off(self._closed)
        actions = [action for action in self.message.retiring if action not in failed | unfound]
        seen = self._see(actions, jobs.get(self.message.job_id or 0))
        verdicts = {action: judge(one) for action, one in seen.items()}
        verdicts |= self._launch([action for action, verdict in verdicts.items() if verdict.move == Move.LAUNCH])
        for action, verdict in verdicts.items():
            if verdict.move == Move.LEAVE:
                self._reports.append(Report(action, verdict.reason))
            elif verdict.move == Move.WAIT and (job := seen[action].job):
                self._put_off(action, job.id, min(self._delay(job), seen[action].left))
            elif verdict.move == Move.PAUSE:
                self._pause(action, seen[action])
        going = {action: verdict for action, verdict in verdicts.items() if verdict.move == Move.GO}
        with failing(going, self._reports):
            if going:
                self._let_go(going, seen)
        return self._successors.closed(self._reports)

    def _put_unfound_off(self, actions: Collection[LifecycleAction]) -> set[LifecycleAction]:
        """Those whose action AWS does not find right now, though Auto Scaling holds their instances."""
        since = self._now if self.message.unanswered_since is None else self.message.unanswered_since
        if not actions or self._now - since >= UNANSWERED_LIFE:
            return set()
        held = self._fleet.held(actions)
        for action in held:
            self._put_off(action, self.message.job_id, RETRY_IN, since)
        return held

    def _each(
        self, actions: Collection[LifecycleAction], call: Callable[[LifecycleAction], bool]
    ) -> dict[LifecycleAction, bool]:
        return each_apart(actions, lambda each: each, call, self._reports)

    # What is known

    def _see(self, actions: Sequence[LifecycleAction], known: Job | None) -> dict[LifecycleAction, Seen]:
        """What is known of each. known: the job that has the id of the message's."""
        instances = self._fleet.instances({action.instance_id for action in actions})
        obstacles = {
            action.instance_id: obstacle
            for action in actions
            if (obstacle := self._unreachable(action, instances.get(action.instance_id)))
        }
        ids = {action.instance_id for action in actions}
        jobs = dict.fromkeys(ids, known) if known and self._is_for_these(known) else {}
        timeout = 0.0
        troubles: dict[str, str] = {}
        try:
            settings = read_group_settings(self._group) if self._group else None
            if not settings or not settings.retire_job_template:
                obstacles = dict.fromkeys(ids, "its group does not ask for one any more") | obstacles
            else:
                timeout = settings.timeout
                inventory, provisioning = find_in_tower(self._tower, settings)
                template = find_retire_template(
                    self._tower, settings, settings.retire_job_template, inventory, provisioning
                )
                if known and known.template_id != template.id:
                    jobs = {}
                if not jobs and (able := ids - obstacles.keys()):
                    jobs |= self._find(template, inventory, provisioning, able, obstacles, troubles)
        except Permanent as error:
            troubles = dict.fromkeys(ids, str(error))
        outcomes = self._outcomes(actions, jobs)
        return {
            action: self._seen(action, known, jobs.get(action.instance_id), outcomes, obstacles, troubles, timeout)
            for action in actions
        }

    def _unreachable(self, action: LifecycleAction, instance: Instance | None) -> str:
        """Why no job can reach an instance; nothing if one can, or where a hook does not wait for one."""
        if action in self._closed:
            return "its hook is over"
        if instance is None:
            return "EC2 does not know it"
        return "" if instance.state == "running" else f"EC2 says that it is {instance.state}"

    def _is_for_these(self, job: Job) -> bool:
        """Whether the job with the message's id was launched on these instances for this retirement.

        Tower's job ids come again, after it was restored for one.
        """
        ids = {action.instance_id for action in self.message.retiring}
        launched_for_it = job.created_at >= self.message.since - timing.CLOCKS_APART
        return job.is_limited_to_ids and job.hosts >= ids and launched_for_it

    def _find(
        self,
        template: JobTemplate,
        inventory: Inventory,
        provisioning: JobTemplate | None,
        ids: set[str],
        obstacles: dict[str, str],
        troubles: dict[str, str],
    ) -> dict[str, Job]:
        """The retire jobs that hold these instances; and why there is, or can be, none for others of them."""
        found = self._tower.hosts_named(inventory, ids)
        hosts = {host.name: host for host in found if self._is_host_of(host.name, host)}
        self._explain(inventory, ids - hosts.keys(), obstacles, troubles)
        if not hosts:
            return {}
        since = {name: max(stint_of(host).since, self._tower.now() - self._life()) for name, host in hosts.items()}
        self._source = _Source(template, inventory, min(since.values()))
        held = self._tower.jobs_holding(template.on(inventory), hosts, self._source.since)
        jobs = {name: job for name in hosts if (job := _deciding(name, held, since[name]))}
        idle = [host for name, host in hosts.items() if name not in jobs]
        self._explain(inventory, {host.name for host in idle if not host.enabled}, obstacles, troubles)
        if provisioning and idle:
            obstacles |= self._being_provisioned(provisioning, inventory, idle)
        return jobs

    def _explain(
        self, inventory: Inventory, ids: set[str], obstacles: dict[str, str], troubles: dict[str, str]
    ) -> None:
        """Why no job reaches these: what is as it should be is an obstacle, and what a person has to fix a trouble."""
        reasons = passed_over(self._tower, inventory, ids) if ids else {}
        for instance_id in ids:
            reason = reasons.get(instance_id)
            if reason is None or reason.host is None or not self._is_host_of(instance_id, reason.host):
                obstacles[instance_id] = f"inventory {inventory.name!r} has no host of ours for it"
            elif is_resting(reason.host.variables):
                obstacles[instance_id] = "its host rests, and is disabled for that"
            else:
                troubles[instance_id] = reason.words

    def _is_host_of(self, instance_id: str, host: Host) -> bool:
        """Whether a host, whatever its name, is the one of ours that was made for an instance."""
        marker = marker_of(host, self._settings.account, self._fleet.region)
        return marker is not None and marker.instance_id == instance_id

    def _being_provisioned(
        self, provisioning: JobTemplate, inventory: Inventory, hosts: Sequence[Host]
    ) -> dict[str, str]:
        """Those of the hosts that a provisioning job still works on: they have not served."""
        names = {host.name for host in hosts}
        since = {host.name: stint_of(host).since for host in hosts}
        jobs = self._tower.jobs_holding(provisioning.on(inventory), names, min(since.values()))
        return {
            name: f"its provisioning job {job.id} is not over, so it never served"
            for job in jobs
            if not job.status.final
            for name in job.hosts & names
            if job.created_at >= since[name]
        }

    def _life(self) -> float:
        """Seconds that the longest of the hooks can wait."""
        assert self._group  # noqa: S101 - it asks for a job
        return max(timing.hook_life(self._group, action) for action in self.message.retiring)

    def _seen(
        self,
        action: LifecycleAction,
        known: Job | None,
        job: Job | None,
        outcomes: Mapping[str, Outcome],
        obstacles: Mapping[str, str],
        troubles: Mapping[str, str],
        timeout: float,
    ) -> Seen:
        life = timing.hook_life(self._group, action) if self._group else 0.0
        left = self.message.since + life / timing.RETIRE_SHARE - self._now
        age = self._tower.now() - job.created_at if job else 0.0
        loss = None if job else self._loss(action.instance_id, known)
        return Seen(
            left=min(left, timeout - age) if job else left,
            obstacle=obstacles.get(action.instance_id, ""),
            trouble=troubles.get(action.instance_id, ""),
            job=job,
            age=age,
            outcome=outcomes.get(action.instance_id),
            requeued=action.token is None and self.message.job_id is None and not self.message.lost_jobs,
            loss=loss,
            pause=loss.pause if loss else self.message.relaunch_at - self._now,
        )

    def _loss(self, instance_id: str, known: Job | None) -> Loss | None:
        """What became of the message's job, which does not count for an instance; None if there was none."""
        if self.message.job_id is None or self._source is None:
            return None
        return loss_of(self.message, known, instance_id, self._source.template.on(self._source.inventory))

    def _outcomes(self, actions: Sequence[LifecycleAction], jobs: Mapping[str, Job]) -> dict[str, Outcome]:
        """What their ended jobs showed about instances; those are left out whose job runs, or has yet to show it."""
        ended: defaultdict[Job, set[str]] = defaultdict(set)
        for name, job in jobs.items():
            if job.status.final:
                ended[job].add(name)
        outcomes: dict[str, Outcome] = {}
        for job, names in ended.items():
            shown = self._evidence.outcomes(job, names, actions[0].group)
            if shown is not None or self._since_end(job) > EVENTS_TOO_LONG:
                outcomes |= shown or dict.fromkeys(names, Outcome.UNPROVEN)
        return outcomes

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
        delay = timing.poll_delay(0, self._tower.usual_durations(template.on(inventory)), 0)
        for action in wanting:
            self._put_off(action, jobs[action.instance_id], delay)
        return {}

    def _pause(self, action: LifecycleAction, seen: Seen) -> None:
        """Another job is launched later, and not beside one that runs on the instance. A loss is reported once."""
        loss = seen.loss
        if loss and loss.runs:
            self._put_off(action, self.message.job_id, min(timing.RETIRE_POLL_MAX, seen.left))
            return
        if loss and loss.times == 1:
            self._reports.append(Report(action, "", notes=(Note(loss.words, alert=True),)))
        self._put_off(replace(action, failed_before=True), None, min(seen.pause, seen.left), loss=loss)

    def _delay(self, job: Job) -> float:
        """Seconds until a job that showed nothing yet is worth another look."""
        if job.status.final:
            return timing.landing_delay(self._since_end(job))
        elapsed = self._tower.now() - job.started_at if job.started_at else 0.0
        polls = self.message.polls if job.id == self.message.job_id else 0
        return timing.poll_delay(elapsed, self._tower.usual_durations(job.kind), polls)

    def _let_go(self, going: Mapping[LifecycleAction, Verdict], seen: Mapping[LifecycleAction, Seen]) -> None:
        """Their hosts out of every inventory, or disabled, and then their hooks completed.

        Those in Chef go back to cleanup. They keep their hosts until then, for these say how their nodes are named:
        cleanup removes both at once.
        """
        ends = self._end_jobs(going, seen)
        reasons = {
            action: verdict.reason + (ends.get(job.id, "") if (job := seen[action].job) else "")
            for action, verdict in going.items()
        }
        if self._may_be_in_chef():
            self._hand_back(going, seen, reasons)
        else:
            self._remove(going, seen, reasons)

    def _end_jobs(
        self, going: Mapping[LifecycleAction, Verdict], seen: Mapping[LifecycleAction, Seen]
    ) -> dict[int, str]:
        """Cancels the jobs that nothing waits for any more; by their ids, what came of that, in words."""
        ids = {action.instance_id for action in going}
        overdue = {one.job for action, verdict in going.items() if (one := seen[action]).job and verdict.alert}
        left_alone = {job for action in going if (job := seen[action].job) and job.hosts <= ids}
        return {job.id: self._cancel(job) for job in overdue | left_alone if job and not job.status.final}

    def _hand_back(
        self,
        going: Mapping[LifecycleAction, Verdict],
        seen: Mapping[LifecycleAction, Seen],
        reasons: Mapping[LifecycleAction, str],
    ) -> None:
        """Cleanup publishes what becomes of these. That their messages came is forgotten: they waited for a job."""
        for action, verdict in going.items():
            with failing([action], self._reports):
                since = self.message.unanswered_since if action in self._closed else None
                body = write_action(replace(action, retired=True, received_at=math.inf, unanswered_since=since))
                self._queues.send(self._settings.terminate_queue_url, [(body, 0)])
                alerts = verdict.alert and action not in self._closed
                self._reports.append(self._report(action, f"retired: {reasons[action]}", seen, alerts, reasons))

    def _remove(
        self,
        going: Mapping[LifecycleAction, Verdict],
        seen: Mapping[LifecycleAction, Seen],
        reasons: Mapping[LifecycleAction, str],
    ) -> None:
        known = fates(self._fleet, {action.instance_id for action in going})
        going = self._without_staying(going, known)
        resting = {each for each, own in known.items() if own.fate == Fate.RESTING}
        removal = remove_from_every_inventory(
            self._tower, self._fleet, {action.instance_id for action in going} - resting
        )
        rested = rest(self._tower, resting, self._settings.account, self._fleet.region)
        seen_hosts = removal.removed | rested.hosts | removal.left_in.keys()
        unseen = [each for each in going if each not in self._closed and each.instance_id not in seen_hosts]
        errors = {**unread_inventories(self._tower, self._fleet, unseen), **removal.refusals, **rested.troubles}
        self._reports += [
            Report(action, error=errors[action.instance_id]) for action in going if action.instance_id in errors
        ]
        free = [action for action in going if action.instance_id not in errors]
        completed = self._each(free, lambda action: self._fleet.complete(action, Result.CONTINUE))
        unfound = [action for action, was_open in completed.items() if not was_open]
        put_off = self._put_unfound_off(unfound)
        given_up = self._fleet.held([action for action in unfound if action not in put_off])
        for action, was_open in completed.items():
            if action in put_off:
                continue
            what = "its host is disabled" if action.instance_id in resting else "removed from every inventory"
            done = f"{what}: {reasons[action]}" if was_open else NO_LONGER_WAITING
            report = self._report(action, done, seen, going[action].alert and was_open, reasons)
            kept = tuple(notes_on_kept(removal, action.instance_id))
            is_over = was_open or (action not in given_up and _had_host(action, removal, rested))
            event = Event.RETIRED if is_over else None
            self._reports.append(replace(report, event=event, notes=(*report.notes, *kept)))

    def _without_staying(
        self, going: Mapping[LifecycleAction, Verdict], known: Mapping[str, Known]
    ) -> dict[LifecycleAction, Verdict]:
        """Those that do not stay after all: an instance may have come back since its message was sent."""
        staying = {action: own for action in going if (own := known[action.instance_id]).fate == Fate.STAYING}
        for action, own in staying.items():
            if action in self._closed:
                self._reports.append(Report(action, f"{NO_LONGER_WAITING}: {own.words}"))
            else:
                error = InstanceNotVisible(f"{action.instance_id}: its hook {action.hook!r} waits, and yet {own.words}")
                self._reports.append(Report(action, error=error))
        return {action: verdict for action, verdict in going.items() if action not in staying}

    def _report(
        self,
        action: LifecycleAction,
        outcome: str,
        seen: Mapping[LifecycleAction, Seen],
        alerts: bool,
        reasons: Mapping[LifecycleAction, str],
    ) -> Report:
        job = seen[action].job
        return Report(
            action,
            outcome,
            job=job.id if job else None,
            notes=(Note(f"{reasons[action]}; it goes all the same", alert=True),) if alerts else (),
            troubled=False,  # an alert is published only of what does not wait any more
        )

    def _may_be_in_chef(self) -> bool:
        """Also where the group is gone: its hosts told how its nodes were named."""
        return self._group is None or CHEF_TAG in self._group.tags

    def _cancel(self, job: Job) -> str:
        """Ends a job whose hosts' addresses will be others'; in words whether that was possible.

        One whose limit names more than instance ids goes on: it is no retire job of ours.
        """
        if not job.is_limited_to_ids:
            return f"; job {job.id} is not cancelled, for {LIMITED_TO_MORE}"
        try:
            self._tower.cancel(job.id)
        except RollcallError as error:
            return f"; job {job.id} COULD NOT BE CANCELLED ({error})"
        return f"; job {job.id} was cancelled"

    # What goes on

    def _put_off(
        self,
        action: LifecycleAction,
        job_id: int | None,
        delay: float,
        unanswered_since: float | None = None,
        loss: Loss | None = None,
    ) -> None:
        self._successors.put_off(
            action,
            job_id,
            delay,
            unanswered_since=unanswered_since,
            lost_jobs=loss.times if loss else self.message.lost_jobs,
            relaunch_at=self._now + loss.pause if loss else self.message.relaunch_at,
        )


def _had_host(action: LifecycleAction, removal: RemovalResult, rested: Rested) -> bool:
    return action.instance_id in removal.removed | rested.hosts


def _deciding(instance_id: str, jobs: Collection[Job], since: float) -> Job | None:
    """The first job since then that holds an instance; one that was cancelled only where there is no other."""
    holding = [job for job in jobs if instance_id in job.hosts and job.created_at >= since]
    return min(holding, key=lambda job: (job.status == JobStatus.CANCELED, job.id), default=None)
