"""What is decided about waiting instances, done: a method for each decision (see domain/verdicts.py)."""

from __future__ import annotations

from copy import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.checks.registry import read_check
from rollcall.domain import timing
from rollcall.domain.actions import Result
from rollcall.domain.errors import InstanceNotVisible
from rollcall.domain.message_format import written
from rollcall.domain.messages import Watched, WatchMessage
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, notes_on_kept
from rollcall.domain.stages import Stage, all_together, grouped, joined
from rollcall.domain.verdicts import Decision, Grounds
from rollcall.hosts.job_templates import require_limitable
from rollcall.hosts.jobs import launch
from rollcall.hosts.removal import remove_from_every_inventory

from .gate_context import Alerts, GoingOn, Relaunch, action_of_waiting, by_held, instance_ids
from .hook_answers import hook_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollcall.domain.messages import Waiting
    from rollcall.domain.verdicts import Verdict

    from .gate_context import GateContext, JobSource
    from .gate_departures import GateDepartures
    from .gate_observer import Observed

GROUNDS_LOGGED_FOR = 3 * timing.HOLD_INTERVAL  # seconds, so in a few rounds, though an alert was sent before


class Decided(NamedTuple):
    """A waiting instance, with what is known of it and what is decided about it."""

    observed: Observed
    verdict: Verdict

    @property
    def waiting(self) -> Waiting:
        """The waiting instance."""
        return self.observed.waiting

    @property
    def grounds(self) -> Grounds | None:
        """What a decision against it rests on; None where there is no evidence against it."""
        return Grounds(self.verdict.decision, self.observed.failed_checks) if self.verdict.against else None


class GateActions:
    """Applies the decisions of one round. keep_completed: takes the reports of hooks as soon as they are completed."""

    def __init__(
        self, context: GateContext, departures: GateDepartures, keep_completed: Callable[[Sequence[Report]], None]
    ) -> None:
        self._context = context
        self._keep_completed = keep_completed
        self._message = context.message
        self._departures = departures

    def apply(self, source: JobSource, decided: Sequence[Decided]) -> Stage[GoingOn | Relaunch]:
        """Do what was decided about instances of one group.

        READY comes first: every second counts until CONTINUE, and no error in what follows may keep it back. ABANDON
        next: its instances are replaced only after that. For these two the answered hook shows whether an instance is
        still there; for all others that has to be read, and so they come after. RELAUNCH is last, and only collected
        here: instances of several groups may share a job.
        """
        by_decision = grouped(decided, lambda each: each.verdict.decision)
        ready = self._continue(source, by_decision.get(Decision.READY, []))
        abandoned = self._abandon(by_decision.get(Decision.ABANDON, []))
        serving = [each for each in ready.going_on if isinstance(each, Decided)]
        left = by_decision.get(Decision.LEAVE, [])
        waiting = [*by_decision.get(Decision.HOLD, []), *by_decision.get(Decision.WAIT, [])]
        unanswered = self._settle_unanswered(source, [*serving, *left, *waiting])
        going_on = [each for each in ready.going_on if isinstance(each, GoingOn)]
        relaunches = [self._relaunch(source, each) for each in by_decision.get(Decision.RELAUNCH, [])]
        return Stage(
            [*going_on, *abandoned.going_on, *unanswered.going_on, *relaunches],
            [*ready.left, *abandoned.left, *unanswered.left],
        )

    # READY

    def _continue(self, source: JobSource, ready: Sequence[Decided]) -> Stage[Decided | GoingOn]:
        """CONTINUE for those that a hook holds. Those that serve already go on, for it to be read whether they do.

        In an emergency it is no matter who answered the hook: an instance that is let in is ready all the same.
        """
        watched = all_together(ready, action_of_waiting, partial(self._begin_watch, source))
        held = [each for each in watched.going_on if each.waiting.action.held_by_hook]
        serving = [each for each in watched.going_on if not each.waiting.action.held_by_hook]
        if source.settings.in_emergency:
            answers = hook_answers(
                held, action_of_waiting, partial(self._context.fleet.complete, result=Result.CONTINUE)
            )
            return Stage([*serving, *(each.item for each in answers.going_on)], [*watched.left, *answers.left])
        completed = self._complete(held, Result.CONTINUE, self._ready)
        return Stage([*serving, *completed.going_on], [*watched.left, *completed.left])

    def _begin_watch(self, source: JobSource, ready: Sequence[Decided]) -> Stage[Decided]:
        """Before CONTINUE: whatever becomes of this round, none goes unwatched; at worst one is watched twice."""
        if source.settings.watch:
            watched = tuple(Watched(each.waiting.action, each.waiting.launched_at) for each in ready)
            now = self._context.now
            message = WatchMessage(watched, since=now, until=now + source.settings.watch)
            queue_url = self._context.installation.gate_queue_url
            self._context.queues.send(queue_url, [(text, 0) for _, text in written(message)])
        return Stage(ready)

    def _ready(self, each: Decided) -> Report:
        return self._ended(each, "ready", Event.READY)

    # ABANDON

    def _abandon(self, members: Sequence[Decided]) -> Stage[GoingOn]:
        """ABANDON, their hosts first: once the hook is answered their addresses are soon others'."""
        held = all_together(members, action_of_waiting, self._only_held)
        unheld = [each for each in held.going_on if isinstance(each, GoingOn)]
        removed = all_together(
            [each for each in held.going_on if isinstance(each, Decided)], action_of_waiting, self._remove_abandoned
        )
        return joined([Stage(unheld, [*held.left, *removed.left]), Stage(removed.going_on)])

    def _only_held(self, members: Sequence[Decided]) -> Stage[Decided | GoingOn]:
        """Those that Auto Scaling still holds on their way into service; what becomes of the others is settled.

        An operator may have completed the hook since the last heartbeat: such an instance serves, or rests in a warm
        pool.
        """
        memberships = self._context.fleet.memberships(instance_ids(each.waiting for each in members))
        held = [
            each
            for each in members
            if (own := memberships.get(each.waiting.action.instance_id)) and own.entering and own.held
        ]
        others = [each.waiting for each in members if each not in held]
        answers = hook_answers(others, lambda each: each.action, self._context.fleet.heartbeat)
        inconsistent = [
            Report(each.item.action, error=_not_shown_as_held(each.item)) for each in answers.going_on if each.is_open
        ]
        unfound = self._departures.settle_unfound([each.item for each in answers.going_on if not each.is_open])
        return Stage([*held, *unfound.going_on], [*answers.left, *inconsistent, *unfound.left])

    def _remove_abandoned(self, members: Sequence[Decided]) -> Stage[GoingOn]:
        waiting = [each.waiting for each in members]
        self._departures.withdraw(waiting)
        removal = remove_from_every_inventory(self._context.tower, self._context.fleet, instance_ids(waiting))
        refusals = {each.action: removal.refusals.get(each.action.instance_id) for each in waiting}
        kept = [Report(action, error=error) for action, error in refusals.items() if error]
        removed = [each for each in members if not refusals[each.waiting.action]]

        def abandoned(each: Decided) -> Report:
            report = self._ended(each, f"abandoned: {each.verdict.reason}", Event.ABANDONED)
            notes = tuple(notes_on_kept(removal, each.waiting.action.instance_id))
            return replace(report, notes=notes, grounds=each.grounds)

        completed = self._complete(removed, Result.ABANDON, abandoned)
        return Stage(completed.going_on, [*kept, *completed.left])

    # READY of those that serve, LEAVE, HOLD, WAIT

    def _settle_unanswered(self, source: JobSource, members: Sequence[Decided]) -> Stage[GoingOn]:
        """Of these no completed hook shows whether the instance is still there. Those that are gone leave here."""
        staying = all_together(members, action_of_waiting, self._without_departed)
        withdrawn = staying.together(action_of_waiting, partial(self._withdraw_held, source))
        return withdrawn.apart(action_of_waiting, partial(self._leave_or_wait, source))

    def _without_departed(self, members: Sequence[Decided]) -> Stage[Decided]:
        staying = self._departures.remove_departed([each.waiting for each in members])
        return Stage([each for each in members if each.waiting in staying.going_on], staying.left)

    def _withdraw_held(self, source: JobSource, members: Sequence[Decided]) -> Stage[Decided]:
        """HOLD: what may be among its load balancers' targets is taken out, if more than they speak against it."""
        if any(read_check(check)[0].lets_traffic_in for check in source.settings.gate):
            held = [each for each in members if each.verdict.decision == Decision.HOLD]
            self._departures.withdraw([each.waiting for each in held if not each.observed.may_serve])
        return Stage(members)

    def _leave_or_wait(self, source: JobSource, each: Decided) -> GoingOn | Report:
        verdict = each.verdict
        if verdict.decision == Decision.READY:
            return self._ready(each)
        if verdict.decision == Decision.LEAVE:  # said at the end, whatever was said before
            left = self._ended(each, f"left in service: {verdict.reason}", None)
            return replace(left, notes=(Note(verdict.reason, alert=True),))
        return GoingOn(each.waiting, each.observed.job_id, verdict.delay, self._alerts(source, each))

    # RELAUNCH

    def _relaunch(self, source: JobSource, each: Decided) -> Relaunch:
        assert source.template  # noqa: S101 - without one no job can prove nothing
        outcome = each.observed.observation.outcome
        own = (source.template, source.inventory, source.settings, outcome, each.observed.hung)
        return Relaunch(each.waiting, *own, self._alerts(source, each))

    def launch(self, members: Sequence[Relaunch]) -> Stage[GoingOn]:
        """One job for all of these, of one template and inventory; for those that left meanwhile their wait is over."""
        template, inventory = members[0].template, members[0].inventory
        for each in members:
            require_limitable(template, inventory, each.settings)
        held_by_hook, serving = (
            [each.action.instance_id for each in some] for some in by_held(each.waiting for each in members)
        )
        context = self._context
        may_serve = [
            *serving,
            *(each.waiting.action.instance_id for each in members if each.settings.in_emergency),
        ]
        launched = launch(context.tower, context.fleet, template, inventory, [*held_by_hook, *serving], may_serve)
        self._departures.withdraw(
            [each.waiting for each in members if each.waiting.action.instance_id in launched.departed]
        )
        going_on: list[GoingOn] = []
        reports: list[Report] = []
        for each in members:
            instance_id = each.waiting.action.instance_id
            if job_id := launched.jobs.get(instance_id):
                waiting = replace(each.waiting, check_states=())  # which were about its last job
                going_on.append(GoingOn(waiting, job_id, timing.FIRST_POLL, each.alerts, each.lost_jobs))
            elif instance_id in launched.departed:
                alerted = each.alerts.alerted
                reports.append(self._departures.left_meanwhile(each.waiting, launched.removal, alerted=alerted))
            else:
                reports.append(Report(each.waiting.action, NO_LONGER_WAITING))
        return Stage(going_on, reports)

    # What several of them need

    def _complete(
        self, members: Sequence[Decided], result: Result, report: Callable[[Decided], Report]
    ) -> Stage[GoingOn]:
        """Answer their hooks. Those whose action AWS does not find go on, if Auto Scaling holds them."""
        complete = partial(self._context.fleet.complete, result=result)
        answers = hook_answers(members, action_of_waiting, complete)
        unfound = [each.item.waiting for each in answers.going_on if not each.is_open]
        done = [report(each.item) for each in answers.going_on if each.is_open]
        self._keep_completed(done)
        return joined([Stage((), [*answers.left, *done]), self._departures.settle_unfound(unfound)])

    def _ended(self, each: Decided, outcome: str, event: Event | None) -> Report:
        return Report(
            each.waiting.action,
            outcome,
            event=event,
            job=each.observed.job_id,
            provisioned_at=each.observed.provisioned_at,
            alerted_before=self._message.alerted,
        )

    def _alerts(self, source: JobSource, each: Decided) -> Alerts:
        """One alert for an instance, whatever for. Grounds are logged all the same: a cycle goes by them."""
        alerts = Alerts(self._message.alerted)
        if not each.verdict.alert:
            return alerts
        if alerts.alerted and each.grounds and self._held_for(source, each) < GROUNDS_LOGGED_FOR:
            return alerts.warn(each.verdict.reason, each.observed.job_id, each.grounds)
        return alerts.alert(each.verdict.reason, each.observed.job_id, each.grounds)

    def _held_for(self, source: JobSource, each: Decided) -> float:
        """Seconds since there were grounds: since its job ended, or since a check of it has failed for the timeout."""
        since_job = self._context.tower.now() - each.observed.observation.job_ended_at
        return since_job - source.settings.timeout if each.observed.failed_checks else since_job


def _not_shown_as_held(waiting: Waiting) -> InstanceNotVisible:
    action = waiting.action
    return InstanceNotVisible(
        f"{action.instance_id}: its hook {action.hook!r} waits, and yet Auto Scaling does not show it as held"
    )
