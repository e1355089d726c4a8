"""Waiting instances -> job result for each host, and checks -> their hooks completed.

evaluate() takes messages. A round of one reads what Tower and the checks show of each instance (gate_observer.py: its
jobs; gate_checks.py: its checks), gate_decision.py decides, and gate_actions.py does what is decided; running_jobs.py
waits for jobs that are not over, and gate_departures.py ends the wait of instances that left. What is still undecided
goes on as new messages; what fails goes on in a message of its own (successors.py).
"""

from __future__ import annotations

from copy import replace
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.load_balancers import require_askable
from rollcall.checks.probes import Probes
from rollcall.checks.registry import read_group_settings
from rollcall.domain import timing
from rollcall.domain.errors import BadSettings
from rollcall.domain.groups import JOB_CHECK
from rollcall.domain.reports import Report
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, grouped, joined
from rollcall.evidence.stuck_jobs import StuckJobs
from rollcall.hosts.job_templates import find_inventory_and_template

from .gate_actions import Decided, GateActions
from .gate_checks import with_checks
from .gate_context import Alerts, GateContext, GoingOn, JobSource, Relaunch, action_of_waiting, by_held
from .gate_decision import decide
from .gate_departures import GateDepartures
from .gate_observer import AtWork, EventsPending, GateObserver, Observed, WithoutJob
from .gate_round import rounds_with_heartbeats
from .hook_answers import hook_answers
from .running_jobs import JobCancellations, RunningJobs
from .successors import Successors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.domain.groups import Group, GroupSettings
    from rollcall.domain.jobs import Job, JobTemplate
    from rollcall.domain.messages import GateMessage, Waiting

    from .gate_observer import Found
    from .gate_round import Round, RoundResources


class Gate:
    """Works on messages of waiting instances.

    share: the largest fraction of an inventory's managed hosts that may be removed when only a message says that their
    instances are gone.
    """

    def __init__(self, resources: RoundResources, *, share: float) -> None:
        self._resources = resources
        self._share = share

    def evaluate(self, messages: Sequence[GateMessage]) -> list[Round[GateMessage]]:
        """One round for each message: decided instances completed; the others are in what goes on, still to be sent."""
        tower, seconds_left = self._resources.tower, self._resources.seconds_left
        probes = Probes()
        try:
            return rounds_with_heartbeats(messages, partial(self._kept_alive, probes), tower, seconds_left)
        finally:
            probes.close()

    def _kept_alive(self, probes: Probes, message: GateMessage) -> _Evaluation:
        own = self._resources
        fleet, now = own.fleets.of(message.waiting[0].action), own.clock()
        groups = fleet.groups({each.action.group for each in message.waiting})
        clients = (own.tower, own.evidence, fleet, own.queues, probes)
        return _Evaluation(GateContext(message, now, groups, own.settings, *clients, self._share))


class _Evaluation:
    """One round of one message: heartbeats when it is made, and all else in run(), in whose order its methods stand."""

    def __init__(self, context: GateContext) -> None:
        """Heartbeats, where they are due, or where AWS did not find the action."""
        self.message = message = context.message
        self.completed: list[Report] = []
        self._context = context
        held_by_hook, serving = by_held(message.waiting)
        in_emergency = [each for each in held_by_hook if _is_in_emergency(context.groups.get(each.action.group))]
        held_by_hook = [each for each in held_by_hook if each not in in_emergency]
        longest = timing.longest_wait(context.groups, [each.action for each in held_by_hook])
        due = context.now - message.heartbeat_at >= longest / 2
        wanting = [each for each in held_by_hook if due or each.unanswered_since is not None]
        answers = hook_answers(wanting, action_of, context.fleet.heartbeat)
        found = [replace(each.item, unanswered_since=None) for each in answers.going_on if each.is_open]
        self._open = [*serving, *in_emergency, *(each for each in held_by_hook if each not in wanting), *found]
        self._unfound = [each.item for each in answers.going_on if not each.is_open]
        self._without_heartbeat = answers.left
        sent = due and not in_emergency  # theirs are due at once when the emergency is over
        self._successors: Successors[GateMessage, Waiting] = Successors(
            message, context.now if sent else message.heartbeat_at, longest
        )

    def run(self, jobs: Mapping[int, Job]) -> Round[GateMessage]:
        """Decide about those that are still open, and do what was decided. jobs: those that are known, by id."""
        context = self._context
        message_job = jobs.get(self.message.job_id or 0)
        stuck_jobs = StuckJobs(context.tower, context.evidence)
        cancellations = JobCancellations(stuck_jobs)
        departures = GateDepartures(context, message_job, cancellations)
        without_group = [each for each in self._open if each.action.group not in context.groups]
        unfound = departures.settle_unfound([*self._unfound, *without_group])
        with_group = [each for each in self._open if each not in without_group]
        following = each_apart(with_group, action_of, self._with_settings)
        settings = {each.settings.group: each.settings for each in following.going_on}
        instance_ids = {each.waiting.action.instance_id for each in following.going_on}
        actions = GateActions(context, departures, self.completed.extend)
        group = _GroupEvaluation(
            context,
            GateObserver(context.message, context.tower, context.evidence, message_job),
            RunningJobs(context, message_job, settings, instance_ids, stuck_jobs, cancellations),
            departures,
            actions,
        )
        evaluated = joined(
            group.evaluate(own, [each.waiting for each in members])
            for own, members in grouped(following.going_on, lambda each: each.settings).items()
        )
        relaunched = self._relaunched(actions, [each for each in evaluated.going_on if isinstance(each, Relaunch)])
        going_on = [each for each in evaluated.going_on if isinstance(each, GoingOn)]
        left = [*self._without_heartbeat, *unfound.left, *following.left, *evaluated.left, *relaunched.left]
        return self._closed(Stage([*unfound.going_on, *going_on, *relaunched.going_on], left))

    def _with_settings(self, waiting: Waiting) -> _Following:
        """An instance with the settings of its group. Raises BadSettings where these cannot be followed."""
        group, installation = self._context.groups[waiting.action.group], self._context.installation
        settings = read_group_settings(group)
        if settings is None:
            raise BadSettings(
                f"group {group.name!r} lost the tag rollcall:inventory while instances of it wait: put it back"
            )
        require_askable(settings, group, load_balancers=installation.load_balancers)
        return _Following(waiting, settings)

    def _relaunched(self, actions: GateActions, relaunches: Sequence[Relaunch]) -> Stage[GoingOn]:
        """One job for as many instances as one may hold.

        Apart by what the last job showed: a job of those that were cut short is to go well, for others to be compared
        with; and those on which it hung would make another one hang.
        """
        alike = grouped(relaunches, lambda each: (each.template, each.inventory, each.outcome, each.hung))
        return joined(
            all_together(batch, action_of_waiting, actions.launch)
            for members in alike.values()
            for batch in batched(members, self._context.installation.max_hosts_per_job)
        )

    def _closed(self, ended: Stage[GoingOn]) -> Round[GateMessage]:
        """What goes on, with what is to be known of it. Of what failed only the error is reported, at every try."""
        for each in ended.going_on:
            self._successors.put_off(
                each.waiting,
                each.job_id,
                each.delay,
                alerted=each.alerts.alerted,
                lost_jobs=each.lost_jobs,
                relaunch_at=each.relaunch_at,
                cancel_at=each.cancel_at,
                stuck_job=each.stuck_job,
            )
        closed = self._successors.closed(ended.left)
        notes = [
            Report(each.waiting.action, "", job=job_id, notes=(note,))
            for each in ended.going_on
            for job_id, note in each.alerts.notes
        ]
        return replace(closed, reports=[*closed.reports, *notes])


def _is_in_emergency(group: Group | None) -> bool:
    return group is not None and group.in_emergency


class _Following(NamedTuple):
    """A waiting instance whose group's tags can be followed."""

    waiting: Waiting
    settings: GroupSettings


class _GroupEvaluation:
    """A round of instances of one group: what is known is read, then decided, then done."""

    def __init__(
        self,
        context: GateContext,
        observer: GateObserver,
        running_jobs: RunningJobs,
        departures: GateDepartures,
        actions: GateActions,
    ) -> None:
        self._context = context
        self._observer = observer
        self._running_jobs = running_jobs
        self._departures = departures
        self._actions = actions

    def evaluate(self, settings: GroupSettings, members: Sequence[Waiting]) -> Stage[GoingOn | Relaunch]:
        """Those that wait, and those that get another job. What is ready, abandoned, gone or failed leaves here."""
        sourced = all_together(members, action_of, partial(self._with_source, settings))
        if not sourced.going_on:
            return Stage((), sourced.left)
        source = sourced.going_on[0].source
        waiting = [each.waiting for each in sourced.going_on]
        busy: Stage[GoingOn] = Stage(())
        if source.template and settings.asks(JOB_CHECK):
            busy = self._wait_for_message_job(source.template, source, waiting)
            idle = [each for each in waiting if not self._observer.is_at_work(each)]
            found = all_together(idle, action_of, partial(self._observer.read_jobs, source, source.template))
        else:
            found = all_together(waiting, action_of, partial(self._observer.without_job, source))
        undecided = self._wait_or_relaunch(source, found.going_on)
        decided = self._decide(source, [each for each in found.going_on if isinstance(each, Observed)])
        return Stage(
            [*busy.going_on, *undecided.going_on, *decided.going_on],
            [*sourced.left, *busy.left, *found.left, *undecided.left, *decided.left],
        )

    def _with_source(self, settings: GroupSettings, members: Sequence[Waiting]) -> Stage[_Sourced]:
        source = JobSource(settings, *find_inventory_and_template(self._context.tower, settings))
        if source.template and settings.asks(JOB_CHECK):
            members = self._observer.with_stints(source.inventory, members)
        return Stage([_Sourced(each, source) for each in members])

    def _wait_for_message_job(
        self, template: JobTemplate, source: JobSource, members: Sequence[Waiting]
    ) -> Stage[GoingOn]:
        """Those on which the job runs that the message names; where it is late some may have left."""
        busy = [each for each in members if self._observer.is_at_work(each)]
        staying = all_together(busy, action_of, self._without_departed)
        kind = template.on(source.inventory)
        return staying.together(
            action_of, lambda own: self._wait_for_jobs([self._observer.at_work(kind, each) for each in own])
        )

    def _without_departed(self, members: Sequence[Waiting]) -> Stage[Waiting]:
        return self._departures.remove_departed(members) if self._running_jobs.is_message_job_late() else Stage(members)

    def _wait_for_jobs(self, found: Sequence[AtWork]) -> Stage[GoingOn]:
        return Stage([self._running_jobs.wait_for(each) for each in found])

    def _wait_or_relaunch(self, source: JobSource, found: Sequence[Found]) -> Stage[GoingOn | Relaunch]:
        """Those about which nothing can be decided now. What fails for one job fails no instance of another."""
        by_job = grouped((each for each in found if isinstance(each, AtWork)), lambda each: each.job.id)
        at_work = joined(all_together(own, action_of_waiting, self._wait_for_jobs) for own in by_job.values())
        pending = [self._wait_for_events(each) for each in found if isinstance(each, EventsPending)]
        without_job = [self._without_job(source, each) for each in found if isinstance(each, WithoutJob)]
        return Stage([*at_work.going_on, *pending, *without_job], at_work.left)

    def _wait_for_events(self, found: EventsPending) -> GoingOn:
        now = self._context.tower.now()
        delay = timing.events_delay(found.job.seconds_since_end(now))
        return GoingOn(found.waiting, found.job.id, delay, Alerts(self._context.message.alerted))

    def _without_job(self, source: JobSource, found: WithoutJob) -> GoingOn | Relaunch:
        """It gets a job, but not at once if one was launched and is gone.

        At once after one that is there and over, and does not count: its tag was changed meanwhile. Only the first time
        in a row, for if none ever counts each would be followed by the next.
        """
        message, now, loss = self._context.message, self._context.now, found.loss
        alerts = Alerts(message.alerted)
        lost_jobs, pause = message.lost_jobs, message.relaunch_at - now
        if loss:
            alerts = alerts.alert(loss.words, loss.found_job)
            lost_jobs, pause = loss.times, 0.0 if loss.holds and loss.times == 1 else loss.pause
        if pause > 0:
            return GoingOn(found.waiting, None, pause, alerts, lost_jobs, relaunch_at=now + pause)
        assert source.template  # noqa: S101 - its jobs were read
        own = (source.template, source.inventory, source.settings)
        return Relaunch(found.waiting, *own, outcome=None, hung=False, alerts=alerts, lost_jobs=lost_jobs)

    def _decide(self, source: JobSource, observed: Sequence[Observed]) -> Stage[GoingOn | Relaunch]:
        """Decide about those of which enough is known, and do it."""
        matched = all_together(observed, action_of_waiting, partial(self._observer.with_unmatched, source.inventory))
        checked = matched.together(action_of_waiting, partial(with_checks, self._context, source.settings))
        now = self._context.tower.now()
        decided = [Decided(each, decide(source.settings, each.observation, now)) for each in checked.going_on]
        done = self._actions.apply(source, decided)
        return Stage(done.going_on, [*checked.left, *done.left])


class _Sourced(NamedTuple):
    """A waiting instance, with what its jobs are launched from."""

    waiting: Waiting
    source: JobSource
