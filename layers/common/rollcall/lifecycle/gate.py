"""Waiting instances -> job result for each host, and checks -> their hooks completed.

evaluate() takes messages: a round gathers what Tower shows about each instance in its present stint, judge() decides,
and what is decided is applied. What is still undecided goes on as new messages; what fails goes on in a message of its
own.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.aws.fleet import holds
from rollcall.checks import load_balancers as traffic
from rollcall.checks.evaluation import evaluate
from rollcall.checks.probes import Probes
from rollcall.checks.protocol import Context, Fail, Inconclusive, Pass, Subject
from rollcall.checks.registry import read_check, read_group_settings
from rollcall.domain import timing
from rollcall.domain.actions import Result
from rollcall.domain.errors import BadSettings, InstanceNotVisible
from rollcall.domain.groups import JOB_CHECK
from rollcall.domain.inventories import Inventory
from rollcall.domain.inventory_text import INSTANCE_ID
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.message_format import written
from rollcall.domain.messages import Watched, WatchMessage
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, failing, gone, notes_on_kept
from rollcall.domain.verdicts import Decision
from rollcall.evidence.host_outcomes import counts_for, proves_nothing
from rollcall.evidence.stuck_jobs import StuckJobs
from rollcall.hosts.job_templates import find_inventory_and_template, require_limitable
from rollcall.hosts.jobs import deciding_job, launch
from rollcall.hosts.removal import remove_from_every_inventory
from rollcall.hosts.stint import stint_of
from rollcall.hosts.unmatched_hosts import unmatched_hosts

from .circuit_breaker import CircuitBreaker
from .destinations import Destination, departures
from .gate_decision import Seen, hangs_on_circuit_breaker, judge
from .gate_round import Round, rounds_with_heartbeats
from .hook_answers import RETRY_IN, UNANSWERED_LIFE, each_apart
from .lost_jobs import loss_of
from .successors import Successors
from .unknown_instances import without_too_many_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rollcall.aws.fleet import Fleet, Fleets, Membership
    from rollcall.aws.queues import Queues
    from rollcall.checks.evaluation import Answers
    from rollcall.checks.protocol import Check
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.inventories import RemovalResult
    from rollcall.domain.jobs import Job, JobKind, JobTemplate
    from rollcall.domain.messages import GateMessage, Waiting
    from rollcall.domain.settings import Settings
    from rollcall.domain.verdicts import Verdict
    from rollcall.evidence.job_reader import Evidence
    from rollcall.evidence.stuck_jobs import Stuck
    from rollcall.tower.client import Tower

EARLIER_EXAMINED = 3  # jobs of an instance, to find out since when it is not reached
EVENTS_TOO_LONG = 600.0  # seconds; Tower processes a job's events within a minute [625]
ENDED_BY_AWS = "ended by Auto Scaling"
PENDING_TOO_LONG = 600.0  # seconds after which an alert says that a job does not start


class _Source(NamedTuple):
    """What jobs for a group's instances are launched from."""

    settings: GroupSettings
    inventory: Inventory
    template: JobTemplate | None


class Gate:
    """Works on messages of waiting instances.

    clock() is this machine's, in epoch seconds; seconds_left: of this invocation. share: the fraction of an inventory's
    managed hosts that may go on the word of messages alone.
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
        *,
        share: float,
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._evidence = evidence
        self._fleets = fleets
        self._queues = queues
        self._clock = clock
        self._seconds_left = seconds_left
        self._share = share

    def evaluate(self, messages: Sequence[GateMessage]) -> list[Round[GateMessage]]:
        """One round for each message: decided instances completed; the others are in what goes on, still to be sent."""
        probes = Probes()

        def keep_alive(message: GateMessage) -> _Evaluation:
            fleet = self._fleets.of(message.waiting[0].action)
            clients = (self._tower, self._evidence, fleet, self._queues, probes)
            return _Evaluation(message, *clients, self._settings, self._share, self._clock())

        try:
            return rounds_with_heartbeats(messages, keep_alive, self._tower, self._seconds_left)
        finally:
            probes.close()


class _Evaluation:
    """One round of one message, its heartbeats sent: run(), in whose order its methods stand."""

    def __init__(
        self,
        message: GateMessage,
        tower: Tower,
        evidence: Evidence,
        fleet: Fleet,
        queues: Queues,
        probes: Probes,
        installation: Settings,
        share: float,
        now: float,
    ) -> None:
        self.message = message
        self._reports: list[Report] = []
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._queues = queues
        self._installation = installation
        self._share = share
        self._probes = probes
        self._now = now
        self._groups = fleet.groups({each.action.group for each in message.waiting})
        self._known: Job | None = None
        self._settings: dict[str, GroupSettings] = {}
        self._breakers: dict[str, CircuitBreaker] = {}
        self._stuck_jobs = StuckJobs(tower, evidence)
        self._timeouts: dict[int, tuple[float, str]] = {}
        self._ended_jobs: set[int] = set()
        self._not_cancelled: set[int] = set()
        self._hanging: set[str] = set()
        self._outcomes: dict[tuple[int, str], Mapping[str, Outcome] | None] = {}
        self._unreached: dict[Waiting, list[Job]] = {}
        self._usual: dict[JobKind, Sequence[float]] = {}
        self._lost_jobs: dict[Waiting, int] = {}
        self._admitted: set[LifecycleAction] = set()
        self._alerted = {each.action for each in message.waiting} if message.alerted else set()
        self._notes: list[tuple[LifecycleAction, int | None, Note]] = []
        self._provisioned: dict[LifecycleAction, float] = {}
        # Apart by what the last job showed: a job of those that were cut short is to go well, for others to be
        # compared with; and those on which it hung would make another one hang.
        self._relaunches: defaultdict[tuple[JobTemplate, Inventory, Outcome | None, bool], list[Waiting]] = defaultdict(
            list
        )
        self._successors = self._keep_alive()

    def _keep_alive(self) -> Successors[GateMessage, Waiting]:
        """Heartbeats, where they are due, or AWS did not find the action."""
        longest = timing.longest_wait(self._groups, [each.action for each in self.message.waiting])
        due = self._now - self.message.heartbeat_at >= longest / 2
        held_by_hook, serving = _by_held(self.message.waiting)
        asked = [each for each in held_by_hook if due or each.unanswered_since is not None]
        alive = self._each(asked, lambda each: self._fleet.heartbeat(each.action))
        unasked = [each for each in held_by_hook if each not in asked]
        found = [replace(each, unanswered_since=None) for each in asked if alive.get(each)]
        self._open = [*serving, *unasked, *found]
        self._unfound = [each for each in asked if alive.get(each) is False]
        return Successors(self.message, self._now if due else self.message.heartbeat_at, longest)

    def run(self, jobs: Mapping[int, Job]) -> Round[GateMessage]:
        """Judge those that are still open, and do what was decided."""
        self._known = jobs.get(self.message.job_id or 0)
        self._settle_unfound(self._unfound)
        by_settings: defaultdict[GroupSettings, list[Waiting]] = defaultdict(list)
        for each in self._read_settings(self._open):
            by_settings[self._settings[each.action.group]].append(each)
        for settings, members in by_settings.items():
            with self._failing(members):
                self._decide(settings, members)
        for (template, inventory, *_), members in self._relaunches.items():
            for batch in batched(members, self._installation.max_hosts_per_job):
                with self._failing(batch):
                    self._relaunch(template, inventory, batch)
        return self._closed()

    def _failing(self, members: Iterable[Waiting]) -> AbstractContextManager[None]:
        return failing([each.action for each in members], self._reports)

    def _each(self, waiting: Sequence[Waiting], call: Callable[[Waiting], bool]) -> dict[Waiting, bool]:
        return each_apart(waiting, lambda each: each.action, call, self._reports)

    # Those whose action is over, or whose instance is gone

    def _settle_unfound(self, members: Sequence[Waiting]) -> None:
        """AWS does not find their actions: over, or not visible right now while Auto Scaling holds the instance."""
        if not members:
            return
        with self._failing(members):
            memberships = self._fleet.memberships({each.action.instance_id for each in members})
            left = self._remove_departed(members, memberships)
            for each in members:
                since = self._now if each.unanswered_since is None else each.unanswered_since
                is_held = holds(memberships.get(each.action.instance_id), each.action.transition)
                if each in left:
                    continue
                if is_held and self._now - since < UNANSWERED_LIFE:
                    self._put_off(
                        replace(each, unanswered_since=since),
                        self.message.job_id,
                        RETRY_IN,
                        lost_jobs=self.message.lost_jobs,
                        relaunch_at=self.message.relaunch_at,
                    )
                elif limit := self._passed_limit(each):
                    words = f"{limit}, and its default result lets it serve, though it is not known to be provisioned"
                    ended = self._ended(each, f"{ENDED_BY_AWS}: {limit}", None, self.message.job_id)
                    self._reports.append(replace(ended, notes=(Note(words, alert=True),)))
                else:
                    self._reports.append(Report(each.action, NO_LONGER_WAITING))

    def _remove_departed(
        self, members: Sequence[Waiting], memberships: Mapping[str, Membership] | None = None
    ) -> list[Waiting]:
        """Those whose instance is gone or going: their hosts go too, and their wait is over.

        Reconcile sees to the hosts of those that are too many to go with nothing but the message to speak for it.
        """
        ids = {each.action.instance_id for each in members}
        if not ids:
            return []
        known = departures(self._fleet, ids, memberships)
        departed = {each for each, own in known.items() if own.destination == Destination.FOR_GOOD}
        left = [each for each in members if each.action.instance_id in departed]
        unknown = {each for each, own in known.items() if own.unknown}
        actions = [each.action for each in left]
        going = without_too_many_unknown(self._tower, self._fleet, actions, unknown, self._share, self._reports)
        removed = [each for each in left if each.action in going]
        self._withdraw(removed)
        removal = remove_from_every_inventory(self._tower, self._fleet, {each.action.instance_id for each in removed})
        self._reports += [self._left_meanwhile(each, removal) for each in removed]
        self._cancel_if_all_left(departed, left)
        return left

    def _left_meanwhile(self, waiting: Waiting, removal: RemovalResult) -> Report:
        report = gone(
            waiting.action,
            "struck off: left meanwhile",
            removal,
            told=waiting.action.instance_id in removal.removed,
            troubled=waiting.action in self._alerted,
        )
        limit = self._passed_limit(waiting)
        if report.error or not limit:
            return report
        alert = Note(f"{ENDED_BY_AWS}: {limit}", alert=True)
        event = report.event and Event.ABANDONED  # whoever removed its host published one already
        return replace(report, outcome=alert.words, event=event, notes=(alert, *report.notes))

    def _passed_limit(self, waiting: Waiting) -> str:
        """Why Auto Scaling ended an instance's wait by itself; empty if something else did, or no hook held it."""
        group = self._groups.get(waiting.action.group)
        if group is None or not waiting.action.held_by_hook:
            return ""
        life = timing.hook_life(group, waiting.action)
        if self._now - waiting.action.at < life - timing.CLOCKS_APART:
            return ""
        return f"its hook {waiting.action.hook!r} had waited for {life:.0f} s, which is its limit"

    def _cancel_if_all_left(self, departed: Collection[str], left: Sequence[Waiting]) -> None:
        """Ends the known job if it runs, and none of its hosts' instances is there any more."""
        job = self._known
        if not departed or job is None or job.status.final or not job.hosts & set(departed):
            return
        others = job.hosts - set(departed)
        if not all(map(INSTANCE_ID.fullmatch, others)):  # a person's job, on hosts that are no instances
            return
        if others and not others <= self._fleet.departed(others, self._fleet.memberships(others)):
            return
        if trouble := self._end(job):
            self._reports += [Report(each.action, "", job=job.id, notes=(Note(trouble),)) for each in left[:1]]

    def _withdraw(self, members: Sequence[Waiting]) -> None:
        """Take them out of the target groups of their group, whether or not its tags still ask for elb.

        What serves without a hook was registered by Auto Scaling, and is its to take out.
        """
        if self._installation.load_balancers:
            by_group: defaultdict[str, set[str]] = defaultdict(set)
            held_by_hook, _ = _by_held(members)
            for each in held_by_hook:
                by_group[each.action.group].add(each.action.instance_id)
            for name, ids in by_group.items():
                if (group := self._groups.get(name)) and group.target_groups:
                    traffic.withdraw(self._fleet.targets, group, ids)

    def _read_settings(self, waiting: list[Waiting]) -> list[Waiting]:
        for each in waiting:
            with self._failing([each]):
                name = each.action.group
                if name not in self._groups:
                    self._settle_unfound([each])
                elif name not in self._settings:
                    self._settings[name] = _opted_in(self._groups[name], self._installation)
        reported = {report.action for report in self._reports}
        put_off = self._successors.actions
        return [each for each in waiting if each.action not in reported | put_off]

    # What is known

    def _decide(self, settings: GroupSettings, members: list[Waiting]) -> None:
        """Gather what is known about each, judge, and do what was decided."""
        source = _Source(settings, *find_inventory_and_template(self._tower, settings))
        if source.template and settings.asks(JOB_CHECK):
            seen = self._see_jobs(source, source.template, members)
        else:
            seen = self._see_without_job(source, members)
        seen = self._see_checks(settings, seen)
        verdicts = {
            each: (job, one.outcome, judge(settings, one, self._tower.now())) for each, (job, one) in seen.items()
        }
        self._apply(source, verdicts)

    def _see_without_job(self, source: _Source, members: list[Waiting]) -> dict[Waiting, tuple[int | None, Seen]]:
        """Those of a group that has no job: what is against them counts since they came, but from no former stint."""
        now = self._tower.now()
        if now - self.message.since >= source.settings.timeout:  # nothing is final before
            members = self._with_stints(source.inventory, members)
        ages = {each: now - max(self.message.since, each.stint_since or 0.0) for each in members}
        return {
            each: (
                self.message.job_id,
                Seen(Outcome.OK, 0, 0, age, checked_for=age, held_by_hook=each.action.held_by_hook),
            )
            for each, age in ages.items()
        }

    def _see_jobs(
        self, source: _Source, template: JobTemplate, members: list[Waiting]
    ) -> dict[Waiting, tuple[int | None, Seen]]:
        """What the deciding jobs showed. Those whose job is active are put off, those without one get one."""
        members = self._with_stints(source.inventory, members)
        kind = template.on(source.inventory)
        at_work = [each for each in members if self._is_at_work(each)]
        left = self._remove_departed(at_work) if self._known and self._is_late(self._known) else []
        for each in at_work:
            if each not in left:
                self._wait_for_known(kind, each)
        rest = [each for each in members if each not in at_work]
        if not rest:
            return {}
        ids = {each.action.instance_id for each in rest}
        jobs = self._tower.jobs_holding(kind, ids, min(_since(each) for each in rest))
        deciding = {each: deciding_job(each.action.instance_id, jobs, _since(each)) for each in rest}
        held = {
            each: [job for job in jobs if counts_for(job, kind, each.action.instance_id, _since(each))] for each in rest
        }
        self._read_outcomes(source.settings.group, deciding)
        self._read_unreached(source.settings, deciding, held)
        seen: dict[Waiting, tuple[int | None, Seen]] = {}
        for each, job in deciding.items():
            if job is None:
                self._without_job(template, source.inventory, kind, each)
            elif not job.status.final:
                self._wait_for(job, each)
            elif (outcome := self._outcome_of(job, each)) is None:
                ended_at = job.finished_at or self._tower.now()
                self._put_off(each, job.id, timing.landing_delay(self._tower.now() - ended_at))
            else:
                seen[each] = (job.id, self._seen_of(source, job, held[each], each, outcome))
        return self._see_passed_over(source.inventory, jobs, seen)

    def _with_stints(self, inventory: Inventory, members: list[Waiting]) -> list[Waiting]:
        """Each with the beginning of its present stint.

        A message without a token may be of a former one, and so the host is asked, not the message. The same for a
        message from before an upgrade.
        """
        unsure = [each for each in members if each.stint_since is None or not each.action.token]
        if not unsure:
            return members
        found = self._tower.hosts_named(inventory, {each.action.instance_id for each in unsure})
        stints = {host.name: stint_of(host) for host in found}
        known = {
            each: replace(each, stint_since=stint.since if stint else each.stint_since or self.message.since)
            for each in unsure
            for stint in [stints.get(each.action.instance_id)]
        }
        return [known.get(each, each) for each in members]

    def _is_at_work(self, waiting: Waiting) -> bool:
        """Whether the job that the message names runs on an instance; whatever it is, no other one runs beside it."""
        job = self._known
        return job is not None and not job.status.final and waiting.action.instance_id in job.hosts

    def _is_late(self, job: Job) -> bool:
        """Whether a running job takes longer than usual ones: then it may wait for a machine that is gone."""
        if job.started_at is None:
            return False
        usual = self._usual_durations(job.kind)
        return self._tower.now() - job.started_at > (usual[-1] if usual else self._patience())

    def _usual_durations(self, kind: JobKind) -> Sequence[float]:
        if kind not in self._usual:
            self._usual[kind] = self._tower.usual_durations(kind)
        return self._usual[kind]

    def _patience(self) -> float:
        """Seconds: the longest timeout of the groups in this message."""
        return max(float(each.timeout) for each in self._settings.values())

    def _wait_for_known(self, kind: JobKind, waiting: Waiting) -> None:
        """The message's job runs on the instance, and counts for it if it is one of this kind and its present stint."""
        job = self._known
        assert job  # noqa: S101 - a caller's mistake
        if counts_for(job, kind, waiting.action.instance_id, _since(waiting)):
            self._wait_for(job, waiting)
            return
        loss = loss_of(self.message, job, waiting.action.instance_id, kind)
        self._alert(f"{loss.words} It runs, so the next one waits for its end", job.id, waiting)
        self._wait_for(job, waiting, self.message.lost_jobs)

    def _wait_for(self, job: Job, waiting: Waiting, lost_jobs: int = 0) -> None:
        """The job is not over: look again when it may be."""
        if job.started_at is None and self._tower.now() - job.created_at > PENDING_TOO_LONG:
            reason = f"job {job.id} has not started for {PENDING_TOO_LONG:.0f} s: look at Tower's capacity"
            self._alert(reason, job.id, waiting)
        cancel_at = 0.0
        if stuck := self._how_stuck(job):
            cancel_at = self._cancel_overdue(job, stuck, waiting)
            if self.message.stuck_job != job.id and job.id not in self._ended_jobs - self._not_cancelled:
                self._alert(stuck.words, job.id, waiting, again=True)
        stuck_job = job.id if stuck else None
        self._put_off(
            waiting, job.id, self._poll_delay(job), lost_jobs=lost_jobs, cancel_at=cancel_at, stuck_job=stuck_job
        )

    def _cancel_overdue(self, job: Job, stuck: Stuck, waiting: Waiting) -> float:
        """Cancels a job that hangs for too long; until when that is not tried again, 0 unless Tower refused it.

        A refusal is noted once. It is tried again when the job has been silent for twice as long: a role may have been
        granted.
        """
        cancel_at = self.message.cancel_at if job.id == self.message.job_id else 0.0
        if not stuck.overdue or cancel_at > self._now:
            return cancel_at
        if (trouble := self._end(job)) and not cancel_at:
            self._notes.append((waiting.action, job.id, Note(trouble)))
        if job.id in self._not_cancelled:
            return self._now + stuck.silence
        reason = f"job {job.id} was stuck, and is cancelled: the hosts that answer get another job"
        self._alert(reason, job.id, waiting, again=True)
        return 0.0

    def _how_stuck(self, job: Job) -> Stuck | None:
        """Whether a running job hangs, by the longest timeout of the groups of all its hosts.

        Whose these are is asked only once it would be stuck by the timeouts of this message's groups.
        """
        stuck = self._stuck_jobs.find(job, self._patience())
        if not stuck:
            return None
        if job.id not in self._timeouts:
            self._timeouts[job.id] = self._timeouts_of(job)
        longest, unsure = self._timeouts[job.id]
        return self._stuck_jobs.find(job, longest, unsure)

    def _timeouts_of(self, job: Job) -> tuple[float, str]:
        """The longest timeout of the groups of a job's hosts, and why there may be a longer one, empty if not."""
        others = job.hosts - {each.action.instance_id for each in self._open if each.action.group in self._settings}
        if not others or job.inventory_id is None:
            return self._patience(), ""
        found = self._tower.hosts_named(Inventory(job.inventory_id, ""), others)
        names = {str(host.owner.get("group", "")) for host in found if host.owner} - self._settings.keys()
        groups = self._fleet.groups(names) if names else {}
        known = {name: _readable(groups.get(name)) for name in sorted(names)}
        unread = [name for name, settings in known.items() if settings is None]
        unsure = f"the rollcall:timeout of its group {unread[0]!r} is not known" if unread else ""
        return max([self._patience(), *(float(each.timeout) for each in known.values() if each)]), unsure

    def _end(self, job: Job) -> str:
        """Cancels a job, once a round; why that could not be, said once, and nothing if it was."""
        if job.id in self._ended_jobs:
            return ""
        self._ended_jobs.add(job.id)
        trouble = self._stuck_jobs.end(job)
        if trouble:
            self._not_cancelled.add(job.id)
        return trouble

    def _poll_delay(self, job: Job) -> float:
        elapsed = self._tower.now() - job.started_at if job.started_at else 0.0
        polls = self.message.polls if job.id == self.message.job_id else 0
        return timing.poll_delay(elapsed, self._usual_durations(job.kind), polls)

    def _without_job(self, template: JobTemplate, inventory: Inventory, kind: JobKind, waiting: Waiting) -> None:
        """No job of its stint holds an instance: it gets one, but not at once if one was launched and is gone.

        At once after one that is there and over, and does not count: its tag was changed meanwhile. Only the first time
        in a row, for if none ever counts each would be followed by the next.
        """
        lost_jobs, pause = self.message.lost_jobs, self.message.relaunch_at - self._now
        if self.message.job_id is not None:
            loss = loss_of(self.message, self._known, waiting.action.instance_id, kind)
            self._alert(loss.words, self._known and self._known.id, waiting)
            lost_jobs, pause = loss.times, 0 if loss.holds and loss.times == 1 else loss.pause
        if pause > 0:
            self._put_off(waiting, None, pause, lost_jobs=lost_jobs, relaunch_at=self._now + pause)
        else:
            self._lost_jobs[waiting] = lost_jobs
            self._relaunches[template, inventory, None, False].append(waiting)

    def _seen_of(self, source: _Source, job: Job, held: Sequence[Job], waiting: Waiting, outcome: Outcome) -> Seen:
        ended_at = job.finished_at or self._tower.now()
        first = min(held, key=lambda one: one.id)
        unreached = self._unreached.get(waiting, [])
        if outcome == Outcome.OK and job.finished_at is not None:
            self._provisioned[waiting.action] = job.finished_at
        seen = Seen(
            outcome=outcome,
            job_ended_at=ended_at,
            attempts=len(held),
            age=self._tower.now() - _began(first),
            checked_for=self._tower.now() - ended_at,
            comparing=outcome == Outcome.CUT_SHORT
            and self._evidence.is_good_run_expected(job, waiting.action.instance_id, self._tower.now()),
            held_by_hook=waiting.action.held_by_hook,
            unreached=len(unreached),
            unreached_for=self._tower.now() - _began(unreached[0]) if unreached else 0.0,
        )
        if not hangs_on_circuit_breaker(source.settings, seen):
            return seen
        why = self._breaker(source).why_held(job, outcome, waiting.action.instance_id, _since(waiting))
        return replace(seen, breaker=why)

    def _breaker(self, source: _Source) -> CircuitBreaker:
        group = source.settings.group
        if group not in self._breakers:
            self._breakers[group] = CircuitBreaker(
                self._tower, source.settings, source.inventory, lambda job, names: self._outcomes_of(job, names, group)
            )
        return self._breakers[group]

    def _outcomes_of(self, job: Job, names: Collection[str], group: str) -> Mapping[str, Outcome] | None:
        """What an ended job showed about these hosts of a group, and perhaps others."""
        known = self._outcomes.get((job.id, group), {})
        if known is not None and (unknown := set(names) - known.keys()):
            shown = self._evidence.outcomes(job, unknown, group)
            known = None if shown is None else {**known, **shown}
        self._outcomes[job.id, group] = known
        return known

    def _read_outcomes(self, group: str, deciding: Mapping[Waiting, Job | None]) -> None:
        """What the ended ones of the deciding jobs showed, each of all its hosts that are decided about."""
        names: defaultdict[Job, set[str]] = defaultdict(set)
        for each, job in deciding.items():
            if job and job.status.final:
                names[job].add(each.action.instance_id)
        for job, own in names.items():
            self._outcomes_of(job, own, group)
            if proves_nothing(job):
                self._hanging |= self._evidence.hosts_without_result(job) & own

    def _read_unreached(
        self, settings: GroupSettings, deciding: Mapping[Waiting, Job | None], held: Mapping[Waiting, Sequence[Job]]
    ) -> None:
        """Which jobs did not reach those that the deciding one did not reach, the oldest first.

        Others were no try: they were cancelled or ended in error, or an instance's batch never began in them.
        """
        unreached = {
            each: job
            for each, job in deciding.items()
            if job and job.status.final and self._outcome_of(job, each) == Outcome.UNREACHABLE
        }
        before = self._tower.now() - settings.timeout
        earlier = {each: _some_earlier(job, held[each], before) for each, job in unreached.items()}
        names: defaultdict[Job, set[str]] = defaultdict(set)
        for each, jobs in earlier.items():
            for job in jobs:
                names[job].add(each.action.instance_id)
        shown = {job: self._outcomes_of(job, own, settings.group) or {} for job, own in names.items()}
        for each, last in unreached.items():
            dark = [job for job in earlier[each] if shown[job].get(each.action.instance_id) == Outcome.UNREACHABLE]
            self._unreached[each] = [*dark, last]

    def _outcome_of(self, job: Job, waiting: Waiting) -> Outcome | None:
        """What an ended job showed about one instance; None while its events are being processed.

        Events that are not processed for long never will be: then the job proves nothing.
        """
        outcomes = self._outcomes[job.id, waiting.action.group]
        if outcomes is not None:
            return outcomes[waiting.action.instance_id]
        since = self._tower.now() - (job.finished_at or self._tower.now())
        return Outcome.UNPROVEN if since > EVENTS_TOO_LONG else None

    def _see_passed_over(
        self, inventory: Inventory, jobs: Collection[Job], seen: dict[Waiting, tuple[int | None, Seen]]
    ) -> dict[Waiting, tuple[int | None, Seen]]:
        """The same, with why a job that ended proved nothing of a host that it passed over."""
        ran = {job.id for job in jobs if job.status in (JobStatus.SUCCESSFUL, JobStatus.FAILED)}
        doubtful = {
            each.action.instance_id
            for each, (job_id, one) in seen.items()
            if one.outcome in (Outcome.UNPROVEN, Outcome.CUT_SHORT) and job_id in ran
        }
        if not doubtful:
            return seen
        reasons = unmatched_hosts(self._tower, inventory, doubtful)
        return {
            each: (job_id, replace(one, passed_over=reason.reason))
            if (reason := reasons.get(each.action.instance_id))
            else (job_id, one)
            for each, (job_id, one) in seen.items()
        }

    def _see_checks(
        self, settings: GroupSettings, seen: Mapping[Waiting, tuple[int | None, Seen]]
    ) -> dict[Waiting, tuple[int | None, Seen]]:
        """The same, with the checks of those that were provisioned; those that let traffic in, of who passes all else.

        Whoever such a check was asked about stays in its target groups as long as only that check is in doubt.
        """
        checks = [read_check(word) for word in dict.fromkeys(settings.gate)]
        provisioned = [each for each, (_, one) in seen.items() if one.outcome == Outcome.OK and not one.passed_over]
        answers = self._answers(settings, [check for kind, check in checks if not kind.lets_traffic_in], provisioned)
        last = [check for kind, check in checks if kind.lets_traffic_in]
        if last:
            passing = [each for each in provisioned if _all_pass(answers[each.action.instance_id])]
            self._admitted |= {each.action for each in passing}
            for instance_id, own in self._answers(settings, last, passing).items():
                answers[instance_id] = {**answers[instance_id], **own}
        return {
            _with_states(each, own) if own else each: (
                job_id,
                replace(one, failing=_failing(own), blocked=_inconclusive(own)),
            )
            for each, (job_id, one) in seen.items()
            for own in [answers.get(each.action.instance_id, {})]
        }

    def _answers(
        self, settings: GroupSettings, checks: Sequence[Check], members: Sequence[Waiting]
    ) -> dict[str, Answers]:
        subjects = [Subject(each.action.instance_id, each.address, each.action.held_by_hook) for each in members]
        states = {each.action.instance_id: dict(each.check_states) for each in members}
        return evaluate(checks, subjects, states, Context(self._fleet, self._groups[settings.group]), self._probes)

    # What is done

    def _apply(self, source: _Source, verdicts: Mapping[Waiting, tuple[int | None, Outcome, Verdict]]) -> None:
        by_decision: defaultdict[Decision, list[Waiting]] = defaultdict(list)
        for each, (_, _, verdict) in verdicts.items():
            by_decision[verdict.decision].append(each)
        ready, serving = _by_held(by_decision[Decision.READY])
        with self._failing([*ready, *serving]):
            self._begin_watch([*ready, *serving])
            self._complete(ready, Result.CONTINUE, lambda each: self._ready(each, verdicts[each][0]))
        abandoned = by_decision[Decision.ABANDON]
        with self._failing(abandoned):
            self._abandon(abandoned, verdicts)
        # Of these no completed hook says whether the instance is still there.
        undecided = [*by_decision[Decision.HOLD], *by_decision[Decision.WAIT]]
        unanswered = [*serving, *by_decision[Decision.LEAVE], *undecided]
        with self._failing(unanswered):
            left = self._remove_departed(unanswered)
            self._withdraw([each for each in by_decision[Decision.HOLD] if self._is_no_longer_to_serve(each)])
            for each in unanswered:
                if each not in left:
                    job_id, _, verdict = verdicts[each]
                    self._leave_or_put_off(each, job_id, verdict)
        for each in by_decision[Decision.RELAUNCH]:
            job_id, outcome, verdict = verdicts[each]
            self._alert_if_due(job_id, verdict, each)
            if source.template:
                hangs = each.action.instance_id in self._hanging
                self._relaunches[source.template, source.inventory, outcome, hangs].append(each)

    def _abandon(
        self, members: Sequence[Waiting], verdicts: Mapping[Waiting, tuple[int | None, Outcome, Verdict]]
    ) -> None:
        """Their hosts first: once the hook is answered their addresses are soon others'."""
        members = self._held_for_launch(members)
        self._withdraw(members)
        removal = remove_from_every_inventory(self._tower, self._fleet, {each.action.instance_id for each in members})
        kept = [each for each in members if each.action.instance_id in removal.refusals]
        self._reports += [Report(each.action, error=removal.refusals[each.action.instance_id]) for each in kept]
        removed = [each for each in members if each not in kept]

        def abandoned(each: Waiting) -> Report:
            job_id, _, verdict = verdicts[each]
            report = self._ended(each, f"abandoned: {verdict.reason}", Event.ABANDONED, job_id)
            return replace(report, notes=tuple(notes_on_kept(removal, each.action.instance_id)))

        self._complete(removed, Result.ABANDON, abandoned)

    def _held_for_launch(self, members: Sequence[Waiting]) -> list[Waiting]:
        """Those that Auto Scaling still holds on their way into service; what becomes of the others is settled.

        A person may have completed the hook since the last heartbeat: such an instance serves, or rests in a warm pool.
        """
        if not members:
            return []
        known = self._fleet.memberships({each.action.instance_id for each in members})
        held = [each for each in members if (own := known.get(each.action.instance_id)) and own.entering and own.held]
        others = [each for each in members if each not in held]
        is_open = self._each(others, lambda each: self._fleet.heartbeat(each.action))
        self._reports += [Report(each.action, error=_not_shown_as_held(each)) for each in others if is_open.get(each)]
        self._settle_unfound([each for each in others if is_open.get(each) is False])
        return held

    def _is_no_longer_to_serve(self, waiting: Waiting) -> bool:
        """Whether something other than its load balancers speaks against an instance that may have been a target."""
        return self._settings[waiting.action.group].asks(traffic.ELB_CHECK) and waiting.action not in self._admitted

    def _begin_watch(self, ready: Sequence[Waiting]) -> None:
        """Before CONTINUE: whatever becomes of this round, none goes unwatched; at worst one is watched twice."""
        watch = self._settings[ready[0].action.group].watch if ready else 0
        if watch:
            watched = tuple(Watched(each.action, each.launched_at) for each in ready)
            message = WatchMessage(watched, since=self._now, until=self._now + watch)
            self._queues.send(self._installation.gate_queue_url, [(text, 0) for _, text in written(message)])

    def _complete(self, members: Sequence[Waiting], result: Result, report: Callable[[Waiting], Report]) -> None:
        completed = self._each(members, lambda each: self._fleet.complete(each.action, result))
        self._reports += [report(each) for each, was_open in completed.items() if was_open]
        self._settle_unfound([each for each, was_open in completed.items() if not was_open])

    def _ready(self, waiting: Waiting, job_id: int | None) -> Report:
        return self._ended(waiting, "ready", Event.READY, job_id)

    def _ended(self, waiting: Waiting, outcome: str, event: Event | None, job_id: int | None) -> Report:
        return Report(
            waiting.action,
            outcome,
            event=event,
            job=job_id,
            provisioned_at=self._provisioned.get(waiting.action),
            troubled=waiting.action in self._alerted,
        )

    def _leave_or_put_off(self, each: Waiting, job_id: int | None, verdict: Verdict) -> None:
        match verdict.decision:
            case Decision.READY:
                self._reports.append(self._ready(each, job_id))
            case Decision.LEAVE:  # said at the end, whatever was said before
                left = self._ended(each, f"left in service: {verdict.reason}", None, job_id)
                self._reports.append(replace(left, notes=(Note(verdict.reason, alert=True),)))
            case _:
                self._alert_if_due(job_id, verdict, each)
                self._put_off(each, job_id, verdict.delay)

    def _relaunch(self, template: JobTemplate, inventory: Inventory, members: Sequence[Waiting]) -> None:
        for each in members:
            require_limitable(template, inventory, self._settings[each.action.group])
        held_by_hook, serving = ([each.action.instance_id for each in some] for some in _by_held(members))
        launched = launch(self._tower, self._fleet, template, inventory, [*held_by_hook, *serving], serving)
        self._withdraw([each for each in members if each.action.instance_id in launched.departed])
        for each in members:
            instance_id = each.action.instance_id
            if instance_id in launched.jobs:
                lost_jobs = self._lost_jobs.get(each, 0)
                self._put_off(each, launched.jobs[instance_id], timing.FIRST_POLL, lost_jobs=lost_jobs)
            elif instance_id in launched.departed:
                self._reports.append(self._left_meanwhile(each, launched.removal))
            else:
                self._reports.append(Report(each.action, NO_LONGER_WAITING))

    def _alert_if_due(self, job_id: int | None, verdict: Verdict, waiting: Waiting) -> None:
        if verdict.alert:
            self._alert(verdict.reason, job_id, waiting)

    def _alert(self, reason: str, job_id: int | None, waiting: Waiting, *, again: bool = False) -> None:
        """Once for each instance, but for what is to be known whatever was alerted before (again)."""
        if again or waiting.action not in self._alerted:
            self._alerted.add(waiting.action)
            self._notes.append((waiting.action, job_id, Note(reason, alert=True)))

    # What goes on

    def _put_off(self, waiting: Waiting, job_id: int | None, delay: float, **changes: Any) -> None:
        """It waits for a job, or for something else; delay in seconds. changes: of what its message says, by field."""
        nothing = {"lost_jobs": 0, "relaunch_at": 0.0, "cancel_at": 0.0, "stuck_job": None}
        alerted = waiting.action in self._alerted
        self._successors.put_off(waiting, job_id, delay, alerted=alerted, **nothing | changes)

    def _closed(self) -> Round[GateMessage]:
        """What goes on, with what is to be known of it. Of what failed only the error is reported, at every try."""
        closed = self._successors.closed(self._reports)
        put_off = self._successors.actions
        notes = [Report(each, "", job=job_id, notes=(note,)) for each, job_id, note in self._notes if each in put_off]
        return replace(closed, reports=[*closed.reports, *notes])


def _since(waiting: Waiting) -> float:
    """When its present stint began."""
    assert waiting.stint_since is not None  # noqa: S101 - it was looked up
    return waiting.stint_since


def _not_shown_as_held(waiting: Waiting) -> InstanceNotVisible:
    action = waiting.action
    return InstanceNotVisible(
        f"{action.instance_id}: its hook {action.hook!r} waits, and yet Auto Scaling does not show it as held"
    )


def _readable(group: Group | None) -> GroupSettings | None:
    """A group's settings; None if there is no such group, it did not opt in, or a tag of it cannot be read."""
    try:
        return read_group_settings(group) if group else None
    except BadSettings:
        return None


def _began(job: Job) -> float:
    return job.started_at or job.created_at


def _some_earlier(last: Job, held: Iterable[Job], before: float) -> list[Job]:
    """Of an instance's jobs that started before then (epoch seconds) and may have tried it: the first, and the latest.

    A later start does not make it final that the instance is not reached. Without the latest ones an instance would
    wait for ever whose first jobs came to nothing.
    """
    tried = [job for job in held if job.id != last.id and _began(job) <= before and not proves_nothing(job)]
    tried.sort(key=lambda job: job.id)
    return [*tried[:1], *tried[1:][1 - EARLIER_EXAMINED :]]


def _all_pass(answers: Answers) -> bool:
    return all(isinstance(each, Pass) for each in answers.values())


def _failing(answers: Answers) -> tuple[str, ...]:
    return tuple(f"{check}: {each.reason}" for check, each in answers.items() if isinstance(each, Fail))


def _inconclusive(answers: Answers) -> tuple[str, ...]:
    return tuple(f"{check}: {each.reason}" for check, each in answers.items() if isinstance(each, Inconclusive))


def _by_held(waiting: Iterable[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """Those that a hook holds, and those that serve already."""
    held_by_hook: list[Waiting] = []
    serving: list[Waiting] = []
    for each in waiting:
        (held_by_hook if each.action.held_by_hook else serving).append(each)
    return held_by_hook, serving


def _with_states(waiting: Waiting, answers: Answers) -> Waiting:
    """The same, with what its checks keep for the next round: those that were not evaluated what they kept before."""
    kept = {check: state for check, state in waiting.check_states if check not in answers}
    kept |= {check: each.state for check, each in answers.items() if each.state}
    return replace(waiting, check_states=tuple(kept.items()))


def _opted_in(group: Group, installation: Settings) -> GroupSettings:
    settings = read_group_settings(group)
    if settings is None:
        raise BadSettings(
            f"group {group.name!r} lost the tag rollcall:inventory while instances of it wait: put it back"
        )
    traffic.require_askable(settings, group, load_balancers=installation.load_balancers)
    return settings
