"""Waiting instances -> job result for each host, and checks -> their hooks completed.

look() takes one message: it gathers what Tower shows about each instance, judge() decides, and what is decided is
applied. What is still undecided goes on as new messages; what fails goes on in a message of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Any

from . import traffic
from . import waiting as timing
from .errors import BadSettings
from .events import write_gate_message
from .health import failing_checks
from .looking import Round, each_apart, take_looks
from .model import CheckKind, Decision, OnFailure, Outcome, Result, Verdict, Watched, WatchMessage
from .provisioning import JOBS_FROM, find_in_tower, job_of, launch, require_limitable
from .removal import strike_off
from .reports import Event, Note, Report, failing, gone
from .settings import read_group_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from .fleet import Fleet, Fleets
    from .model import GateMessage, Group, GroupSettings, Inventory, Job, JobTemplate, Waiting
    from .queues import Queues
    from .removal import StruckOff
    from .settings import Settings
    from .tower import Tower

BRAKE_JOBS = 3  # in a row that provisioned nobody: it is the playbook that is suspected
JOBS_LOOKED_BACK = 100  # for those of the group among the template's, which other groups may share
JOBS_AT_ONCE = 10
EVENTS_TOO_LONG = 600.0  # seconds; Tower processes a job's events within a minute [625]
PENDING_TOO_LONG = 600.0  # seconds until somebody is told that a job does not start
CUT_SHORT_TOO_OFTEN = 3  # jobs of one instance


@dataclass(frozen=True)
class Seen:
    """What is known about one waiting instance.

    outcome: of the job that decides, ended at job_ended_at. attempts: jobs so far that held it. age: seconds since the
    first of them started (without jobs: since it was registered). failing: the checks that do not pass, as sentences.
    braked: its group's last jobs provisioned nobody. blocked: why a check does not pass that says nothing against it.
    awaited: a hook holds it; otherwise it serves already.
    """

    outcome: Outcome
    job_ended_at: float
    attempts: int
    age: float
    failing: tuple[str, ...] = ()
    braked: bool = False
    blocked: tuple[str, ...] = ()
    awaited: bool = True


def judge(settings: GroupSettings, seen: Seen, now: float) -> Verdict:
    """What becomes of an instance. Pure; now in epoch seconds by Tower's clock."""
    if seen.awaited:
        return _judge(settings, seen, now)
    verdict = _judge(replace(settings, on_failure=OnFailure.ABANDON), seen, now)  # nobody can hold it
    against = verdict.decision in (Decision.ABANDON, Decision.HOLD)
    if against or (verdict.decision != Decision.READY and seen.age >= settings.timeout):
        return Verdict(Decision.LEAVE, f"{verdict.reason}; it serves all the same, for no hook holds it", alert=True)
    return verdict


def _judge(settings: GroupSettings, seen: Seen, now: float) -> Verdict:
    match seen.outcome:
        case Outcome.OK:
            return _judge_checks(settings, seen)
        case Outcome.FAILED if seen.braked:
            delay = seen.job_ended_at + timing.braked_relaunch_delay(seen.attempts) - now
            reason = f"its job failed, as did the last {BRAKE_JOBS} of its group for everybody: mend the playbook"
            return _relaunch_after(delay, Decision.HOLD, reason, alert=True)
        case Outcome.FAILED:
            return _against(settings, "its job failed")
        case Outcome.UNREACHABLE if seen.age >= settings.timeout:
            return _against(settings, f"unreachable for {seen.age:.0f} s")
        case Outcome.UNREACHABLE:
            return _relaunch_after(_until_next_try(seen, now), Decision.WAIT, "unreachable: perhaps still booting")
        case Outcome.CUT_SHORT:
            delay = _until_next_try(seen, now) if seen.attempts > 1 else 0
            reason = "the play was cut short before it was done"
            return _relaunch_after(delay, Decision.WAIT, reason, alert=seen.attempts >= CUT_SHORT_TOO_OFTEN)
        case Outcome.UNPROVEN:
            reason = "its job proved nothing: look at the job in Tower"
            return _relaunch_after(_until_next_try(seen, now), Decision.WAIT, reason, alert=True)


def _judge_checks(settings: GroupSettings, seen: Seen) -> Verdict:
    if not seen.failing and not seen.blocked:
        return Verdict(Decision.READY, "provisioned and every check passed")
    trouble = "; ".join([*seen.failing, *seen.blocked])
    if seen.age >= settings.timeout:
        if seen.failing:
            return _against(settings, f"after {seen.age:.0f} s a check of it fails: {trouble}")
        reason = f"after {seen.age:.0f} s a check of it does not pass, and nothing speaks against it: {trouble}"
        return Verdict(Decision.HOLD, reason, timing.HOLD_INTERVAL, alert=True)
    return Verdict(Decision.WAIT, f"a check does not pass yet: {trouble}", delay=timing.CHECK_INTERVAL)


def _against(settings: GroupSettings, evidence: str) -> Verdict:
    if settings.on_failure == OnFailure.HOLD:
        return Verdict(Decision.HOLD, f"{evidence}; held for somebody to look", timing.HOLD_INTERVAL, alert=True)
    return Verdict(Decision.ABANDON, evidence)


def _until_next_try(seen: Seen, now: float) -> float:
    return seen.job_ended_at + timing.relaunch_delay(seen.attempts) - now


def _relaunch_after(delay: float, meanwhile: Decision, reason: str, *, alert: bool = False) -> Verdict:
    if delay <= 0:
        return Verdict(Decision.RELAUNCH, reason, alert=alert)
    return Verdict(meanwhile, reason, delay=delay, alert=alert)


class Gate:
    """Looks at messages of waiting instances. clock() is this machine's, in epoch seconds."""

    def __init__(
        self, settings: Settings, tower: Tower, fleets: Fleets, queues: Queues, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock

    def look(self, messages: Sequence[GateMessage]) -> list[Round[GateMessage]]:
        """One round for each message: decided instances completed, the others sent on."""

        def look_at(message: GateMessage, result: Round[GateMessage]) -> _Look:
            fleet = self._fleets.of(message.waiting[0].action)
            return _Look(message, self._tower, fleet, self._queues, self._settings, result)

        return take_looks(messages, look_at, self._tower, self._queues, self._settings.gate_queue_url, self._clock)


class _Look:
    """One look at one message: keep_alive() first, then run(), in whose order its methods stand."""

    def __init__(
        self,
        message: GateMessage,
        tower: Tower,
        fleet: Fleet,
        queues: Queues,
        installation: Settings,
        result: Round[GateMessage],
    ) -> None:
        self.message = message
        self.round = result
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._installation = installation
        self._now = 0.0
        self._groups: Mapping[str, Group] = {}
        self._open = list(message.waiting)
        self._stale: list[Waiting] = []
        self._longest = 0.0
        self._heartbeat_at = message.heartbeat_at
        self._settings: dict[str, GroupSettings] = {}
        self._outcomes: dict[int, Mapping[str, Outcome] | None] = {}
        self._poll_delays: dict[int, float] = {}
        self._braked: dict[tuple[int, str], bool] = {}
        self._admitted: set[Waiting] = set()
        self._alerted: set[Waiting] = set(message.waiting if message.alerted else ())
        self._alerts: dict[Waiting, tuple[int | None, Note]] = {}
        self._provisioned: dict[Waiting, float] = {}
        self._later: defaultdict[tuple[int | None, float, bool], list[Waiting]] = defaultdict(list)
        self._relaunches: defaultdict[tuple[JobTemplate, Inventory], list[Waiting]] = defaultdict(list)

    def keep_alive(self, now: float) -> None:
        """Heartbeats, where they are due. now in epoch seconds by this machine's clock."""
        self._now = now
        actions = [each.action for each in self.message.waiting]
        self._groups = self._fleet.groups({action.group for action in actions})
        self._longest = timing.longest_wait(self._groups, actions)
        if now - self.message.heartbeat_at < self._longest / 2:
            return
        self._heartbeat_at = now
        awaited, serving = _by_awaited(self.message.waiting)
        alive = self._each(awaited, lambda each: self._fleet.heartbeat(each.action))
        self._open = [*serving, *(each for each in awaited if alive.get(each))]
        self._stale = [each for each in awaited if alive.get(each) is False]

    def run(self, jobs: Mapping[int, Job]) -> None:
        """Judge those that are still open, and do what was decided."""
        self._finish(self._stale)
        waiting = self._read_settings(self._open)
        job = jobs.get(self.message.job_id or 0)
        by_settings: defaultdict[GroupSettings, list[Waiting]] = defaultdict(list)
        for each in waiting:
            settings = self._settings[each.action.group]
            if job and not job.status.final and settings.asks(CheckKind.JOB):
                self._wait_for(job, each)
            else:
                by_settings[settings].append(each)
        for settings, members in by_settings.items():
            with self._failing(members):
                self._decide(settings, members)
        for (template, inventory), members in self._relaunches.items():
            for batch in batched(members, self._installation.max_hosts_per_job):
                with self._failing(batch):
                    self._relaunch(template, inventory, batch)
        self._send_on()

    def _failing(self, members: Iterable[Waiting]) -> AbstractContextManager[None]:
        return failing([each.action for each in members], self.round.reports)

    def _each(self, waiting: Sequence[Waiting], call: Callable[[Waiting], bool]) -> dict[Waiting, bool]:
        return each_apart(waiting, lambda each: each.action, call, self.round.reports)

    def _finish(self, stale: Sequence[Waiting]) -> None:
        """Nobody waits for these any more."""
        if stale:
            with self._failing(stale):
                left = self._strike_off_departed(stale)
                self.round.reports += [Report(each.action, "finished elsewhere") for each in stale if each not in left]

    def _strike_off_departed(self, members: Sequence[Waiting]) -> list[Waiting]:
        """Those whose instance is gone or going: their hosts go too, and their wait is over."""
        ids = {each.action.instance_id for each in members}
        departed = self._fleet.departed(ids, self._fleet.memberships(ids)) if ids else set()
        left = [each for each in members if each.action.instance_id in departed]
        self._withdraw(left)
        struck = strike_off(self._tower, departed)
        self.round.reports += [self._left_meanwhile(each, struck) for each in left]
        return left

    def _left_meanwhile(self, waiting: Waiting, struck: StruckOff) -> Report:
        instance_id = waiting.action.instance_id
        return gone(
            waiting.action,
            "struck off: left meanwhile",
            struck.refusals.get(instance_id),
            told=instance_id in struck.removed,
            troubled=waiting in self._alerted,
        )

    def _withdraw(self, members: Sequence[Waiting]) -> None:
        """Take them out of the target groups of their group, whether or not its tags still ask for elb.

        Who serves without a hook was registered by Auto Scaling, and is its to take out.
        """
        if self._installation.load_balancers:
            by_group: defaultdict[str, set[str]] = defaultdict(set)
            awaited, _ = _by_awaited(members)
            for each in awaited:
                by_group[each.action.group].add(each.action.instance_id)
            for name, ids in by_group.items():
                if (group := self._groups.get(name)) and group.target_groups:
                    traffic.withdraw(self._fleet.targets, group, ids)

    def _read_settings(self, waiting: list[Waiting]) -> list[Waiting]:
        for each in waiting:
            with self._failing([each]):
                name = each.action.group
                if name not in self._groups:
                    self._finish([each])
                elif name not in self._settings:
                    self._settings[name] = _opted_in(self._groups[name], self._installation)
        reported = {report.action for report in self.round.reports}
        return [each for each in waiting if each.action not in reported]

    # Evidence

    def _wait_for(self, job: Job, waiting: Waiting) -> None:
        """The job is not over: look again when it may be."""
        if job.started_at is None and self._tower.now() - job.created_at > PENDING_TOO_LONG:
            reason = f"job {job.id} has not started for {PENDING_TOO_LONG:.0f} s: look at Tower's capacity"
            self._alert(reason, job.id, waiting)
        self._put_off(waiting, job.id, self._poll_delay(job))

    def _poll_delay(self, job: Job) -> float:
        if job.id not in self._poll_delays:
            elapsed = self._tower.now() - job.started_at if job.started_at else 0.0
            polls = self.message.polls if job.id == self.message.job_id else 0
            usual = self._tower.usual_durations(job.template_id)
            self._poll_delays[job.id] = timing.poll_delay(elapsed, usual, polls)
        return self._poll_delays[job.id]

    def _decide(self, settings: GroupSettings, members: list[Waiting]) -> None:
        """Gather what is known about each, judge, and do what was decided."""
        inventory, template = find_in_tower(self._tower, settings)
        if template and settings.asks(CheckKind.JOB):
            seen = self._see_jobs(settings, template, inventory, members)
        else:
            age = self._tower.now() - self.message.since
            seen = {
                each: (self.message.job_id, Seen(Outcome.OK, 0, 0, age, awaited=each.action.awaited))
                for each in members
            }
        seen = self._see_traffic(settings, self._see_checks(settings, seen))
        verdicts = {each: (job, judge(settings, one, self._tower.now())) for each, (job, one) in seen.items()}
        self._apply(template, inventory, verdicts)

    def _see_jobs(
        self, settings: GroupSettings, template: JobTemplate, inventory: Inventory, members: list[Waiting]
    ) -> dict[Waiting, tuple[int | None, Seen]]:
        """What the deciding jobs showed. Those whose job is active are put off, those without one get one."""
        jobs = self._tower.jobs_holding(
            template.id,
            {each.action.instance_id for each in members},
            min(each.launched_at for each in members) - JOBS_FROM,
        )
        seen: dict[Waiting, tuple[int | None, Seen]] = {}
        for each in members:
            held = [job for job in jobs if each.action.instance_id in job.hosts]
            job = job_of(each.action.instance_id, held)
            if job is None:
                self._relaunches[template, inventory].append(each)
            elif not job.status.final:
                self._wait_for(job, each)
            elif (outcome := self._outcome_of(job, each)) is None:
                ended_at = job.finished_at or self._tower.now()
                self._put_off(each, job.id, timing.landing_delay(self._tower.now() - ended_at))
            else:
                first = min(held, key=lambda one: one.id)
                if outcome == Outcome.OK and job.finished_at is not None:
                    self._provisioned[each] = job.finished_at
                seen[each] = (
                    job.id,
                    Seen(
                        outcome=outcome,
                        job_ended_at=job.finished_at or self._tower.now(),
                        attempts=len(held),
                        age=self._tower.now() - (first.started_at or first.created_at),
                        braked=outcome == Outcome.FAILED and self._is_braked(job, settings.group, inventory),
                        awaited=each.action.awaited,
                    ),
                )
        return seen

    def _outcome_of(self, job: Job, waiting: Waiting) -> Outcome | None:
        """What an ended job showed about one instance; None while its events are being processed.

        Events that are not processed for long never will be: then the job proves nothing.
        """
        outcomes = self._outcomes_of(job)
        if outcomes is not None:
            return outcomes[waiting.action.instance_id]
        since = self._tower.now() - (job.finished_at or self._tower.now())
        return Outcome.UNPROVEN if since > EVENTS_TOO_LONG else None

    def _outcomes_of(self, job: Job) -> Mapping[str, Outcome] | None:
        if job.id not in self._outcomes:
            self._outcomes[job.id] = self._tower.outcomes(job)
        return self._outcomes[job.id]

    def _is_braked(self, job: Job, group: str, inventory: Inventory) -> bool:
        if (job.id, group) not in self._braked:
            self._braked[job.id, group] = self._provisioned_nobody(job, group, inventory)
        return self._braked[job.id, group]

    def _provisioned_nobody(self, job: Job, group: str, inventory: Inventory) -> bool:
        """Whether this job and the two before it in which the group's playbook failed provisioned nobody of the group.

        A job names hosts, not groups. A host still in Tower says by its marker whose it is. One that is gone may have
        been the group's: its failure counts, its success does not, for a group in doubt is held rather than churned.
        Jobs that proved nothing, or found machines unreachable, do not count.
        """
        failed, jobs = 0, [job]
        for step in range(JOBS_LOOKED_BACK // JOBS_AT_ONCE + 1):
            if step:
                jobs = self._tower.jobs_before(jobs[-1], inventory.id, JOBS_AT_ONCE)
            if not jobs:
                break
            hosts = self._tower.hosts_named(inventory, {name for each in jobs for name in each.hosts})
            groups = {host.name: host.owner.get("group") for host in hosts if host.owner}
            for each in jobs:
                names = {name for name in each.hosts if groups.get(name, group) == group}
                outcomes = (self._outcomes_of(each) if names else None) or {}
                if any(outcomes.get(name) == Outcome.OK and name in groups for name in names):
                    return False
                failed += any(outcomes.get(name) == Outcome.FAILED for name in names)
                if failed == BRAKE_JOBS:
                    return True
        return False

    def _see_checks(
        self, settings: GroupSettings, seen: Mapping[Waiting, tuple[int | None, Seen]]
    ) -> dict[Waiting, tuple[int | None, Seen]]:
        """The same, with the checks of those that were provisioned."""
        provisioned = {each.action.instance_id: each for each, (_, one) in seen.items() if one.outcome == Outcome.OK}
        failing_by_id = failing_checks(
            self._fleet,
            dict.fromkeys(provisioned, settings.gate),
            {instance_id: each.address for instance_id, each in provisioned.items()},
        )
        return {
            each: (job_id, replace(one, failing=tuple(failing_by_id.get(each.action.instance_id, ()))))
            for each, (job_id, one) in seen.items()
        }

    def _see_traffic(
        self, settings: GroupSettings, seen: Mapping[Waiting, tuple[int | None, Seen]]
    ) -> dict[Waiting, tuple[int | None, Seen]]:
        """The same, with what load balancers say of those that pass all else.

        Of these whoever a hook still holds is let at their traffic, and nobody else: Auto Scaling takes out again who
        serves already, when it goes to Standby, is detached or terminates.
        """
        if not settings.asks(CheckKind.ELB):
            return dict(seen)
        passing = {each for each, (_, one) in seen.items() if one.outcome == Outcome.OK and not one.failing}
        self._admitted |= passing
        group = self._groups[settings.group]
        awaited, serving = ({each.action.instance_id for each in some} for some in _by_awaited(passing))
        doubts: dict[str, list[traffic.Doubt]] = {}
        if serving:
            doubts |= traffic.doubts_about(self._fleet.targets, group, serving)
        if awaited:
            doubts |= traffic.admit(self._fleet.targets, group, awaited, self._pending)
        return {
            each: (job_id, _doubted(one, doubts.get(each.action.instance_id, ())))
            for each, (job_id, one) in seen.items()
        }

    def _pending(self, instance_ids: Collection[str]) -> list[str]:
        return [each for each, known in self._fleet.memberships(instance_ids).items() if known.pending]

    # Deeds

    def _apply(
        self,
        template: JobTemplate | None,
        inventory: Inventory,
        verdicts: Mapping[Waiting, tuple[int | None, Verdict]],
    ) -> None:
        by_decision: defaultdict[Decision, list[Waiting]] = defaultdict(list)
        for each, (_, verdict) in verdicts.items():
            by_decision[verdict.decision].append(each)
        ready, serving = _by_awaited(by_decision[Decision.READY])
        with self._failing([*ready, *serving]):
            self._begin_watch([*ready, *serving])
            self._complete(ready, Result.CONTINUE, lambda each: self._ready(each, verdicts[each][0]))
        abandoned = by_decision[Decision.ABANDON]
        with self._failing(abandoned):
            self._withdraw(abandoned)
            ids = {each.action.instance_id for each in abandoned}
            refusals = strike_off(self._tower, ids).refusals
            kept = [each for each in abandoned if each.action.instance_id in refusals]
            self.round.reports += [Report(each.action, error=refusals[each.action.instance_id]) for each in kept]
            removed = [each for each in abandoned if each not in kept]
            self._complete(removed, Result.ABANDON, lambda each: self._abandoned(each, *verdicts[each]))
        # Of these no completed hook tells whether the instance is still there.
        undecided = [*by_decision[Decision.HOLD], *by_decision[Decision.WAIT]]
        unanswered = [*serving, *by_decision[Decision.LEAVE], *undecided]
        with self._failing(unanswered):
            left = self._strike_off_departed(unanswered)
            self._withdraw([each for each in by_decision[Decision.HOLD] if self._is_no_longer_to_serve(each)])
            for each in unanswered:
                if each not in left:
                    self._leave_or_put_off(each, *verdicts[each])
        for each in by_decision[Decision.RELAUNCH]:
            self._alert_if_due(*verdicts[each], each)
            if template:
                self._relaunches[template, inventory].append(each)

    def _is_no_longer_to_serve(self, waiting: Waiting) -> bool:
        """Whether something other than its load balancers speaks against an instance that may have been a target."""
        return self._settings[waiting.action.group].asks(CheckKind.ELB) and waiting not in self._admitted

    def _begin_watch(self, ready: Sequence[Waiting]) -> None:
        """Before CONTINUE: whatever becomes of this look, nobody goes unwatched; at worst somebody is watched twice."""
        watch = self._settings[ready[0].action.group].watch if ready else 0
        if watch:
            watched = tuple(Watched(each.action, each.launched_at) for each in ready)
            message = WatchMessage(watched, since=self._now, until=self._now + watch)
            self._queues.send(self._installation.gate_queue_url, [(write_gate_message(message), 0)])

    def _complete(self, members: Sequence[Waiting], result: Result, report: Callable[[Waiting], Report]) -> None:
        completed = self._each(members, lambda each: self._fleet.complete(each.action, result))
        self._finish([each for each, was_open in completed.items() if not was_open])
        self.round.reports += [report(each) for each, was_open in completed.items() if was_open]

    def _ready(self, waiting: Waiting, job_id: int | None) -> Report:
        return self._ended(waiting, "ready", Event.READY, job_id)

    def _abandoned(self, waiting: Waiting, job_id: int | None, verdict: Verdict) -> Report:
        return self._ended(waiting, f"abandoned: {verdict.reason}", Event.ABANDONED, job_id)

    def _ended(self, waiting: Waiting, outcome: str, event: Event | None, job_id: int | None) -> Report:
        return Report(
            waiting.action,
            outcome,
            event=event,
            job=job_id,
            provisioned_at=self._provisioned.get(waiting),
            troubled=waiting in self._alerted,
        )

    def _leave_or_put_off(self, each: Waiting, job_id: int | None, verdict: Verdict) -> None:
        match verdict.decision:
            case Decision.READY:
                self.round.reports.append(self._ready(each, job_id))
            case Decision.LEAVE:  # said at the end, whatever was said before
                left = self._ended(each, f"left in service: {verdict.reason}", None, job_id)
                self.round.reports.append(replace(left, notes=(Note(verdict.reason, alert=True),)))
            case _:
                self._alert_if_due(job_id, verdict, each)
                self._put_off(each, job_id, verdict.delay)

    def _relaunch(self, template: JobTemplate, inventory: Inventory, members: Sequence[Waiting]) -> None:
        for each in members:
            require_limitable(template, inventory, self._settings[each.action.group])
        awaited, serving = ([each.action.instance_id for each in some] for some in _by_awaited(members))
        launched = launch(self._tower, self._fleet, template, inventory, [*awaited, *serving], serving)
        self._withdraw([each for each in members if each.action.instance_id in launched.left])
        for each in members:
            instance_id = each.action.instance_id
            if instance_id in launched.staying:
                self._put_off(each, launched.job_id, timing.FIRST_POLL)
            elif instance_id in launched.left:
                self.round.reports.append(self._left_meanwhile(each, launched.struck))
            else:
                self.round.reports.append(Report(each.action, "finished elsewhere"))

    def _alert_if_due(self, job_id: int | None, verdict: Verdict, waiting: Waiting) -> None:
        if verdict.alert:
            self._alert(verdict.reason, job_id, waiting)

    def _alert(self, reason: str, job_id: int | None, waiting: Waiting) -> None:
        if waiting not in self._alerted:
            self._alerted.add(waiting)
            self._alerts[waiting] = (job_id, Note(reason, alert=True))

    # What goes on

    def _put_off(self, waiting: Waiting, job_id: int | None, delay: float) -> None:
        capped = max(1.0, min(math.ceil(delay), self._longest))
        self._later[job_id, capped, waiting in self._alerted].append(waiting)

    def _send_on(self) -> None:
        """The undecided, by what they wait for; and the failing, by what failed, unless that is the whole message."""
        for (job_id, delay, alerted), members in self._later.items():
            polls = self.message.polls + 1 if job_id == self.message.job_id else 0
            self._send(members, delay, job_id=job_id, polls=polls, alerted=alerted)
        # What was put off before something failed goes on once, not twice: messages would double at every failure.
        sent = {each.action for members in self._later.values() for each in members}
        self.round.reports = [report for report in self.round.reports if report.action not in sent]
        for failed in self.round.failed_apart(self.message.waiting, lambda each: each.action):
            troubled = [replace(each, action=replace(each.action, troubled=True)) for each in failed]
            self._send(troubled, min(timing.FIRST_RETRY, self._longest))
        self.round.reports += [
            Report(each.action, "", job=job_id, notes=(note,))
            for each, (job_id, note) in self._alerts.items()
            if each.action in sent  # of who failed the error is told, at every try, and of who left meanwhile that
        ]

    def _send(self, members: Sequence[Waiting], delay: float, **changes: Any) -> None:
        message = replace(self.message, waiting=tuple(members), heartbeat_at=self._heartbeat_at, **changes)
        self.round.next.append((message, delay))


def _by_awaited(waiting: Iterable[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """Those that a hook holds, and those that serve already."""
    awaited: list[Waiting] = []
    serving: list[Waiting] = []
    for each in waiting:
        (awaited if each.action.awaited else serving).append(each)
    return awaited, serving


def _doubted(seen: Seen, doubts: Sequence[traffic.Doubt]) -> Seen:
    """The same, with what its target groups have against it, and what keeps them from saying."""
    against = tuple(f"elb: {each.words}" for each in doubts if each.against)
    blocked = tuple(f"elb: {each.words}" for each in doubts if not each.against)
    return replace(seen, failing=seen.failing + against, blocked=blocked)


def _opted_in(group: Group, installation: Settings) -> GroupSettings:
    settings = read_group_settings(group)
    if settings is None:
        raise BadSettings(
            f"group {group.name!r} lost the tag rollcall:inventory while instances of it wait: put it back"
        )
    traffic.require_askable(settings, group, load_balancers=installation.load_balancers)
    return settings
