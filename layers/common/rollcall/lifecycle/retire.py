"""Instances on their way out -> their retire job -> their hosts out of every inventory -> their hooks completed.

evaluate() takes messages that cleanup, or an earlier round, sent to the gate's queue. A round sends heartbeats,
observes the instances (retire_observer.py), decides about each (retire_decision.py), and does what was decided. A
retire job may delay the removal of the hosts, never prevent it: whatever becomes of the job, and whether there can be
one at all, the hosts are removed, and only then the hooks are completed. The hosts of an instance that only rests are
disabled instead.
"""

from __future__ import annotations

import math
from copy import replace
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain import timing
from rollcall.domain.actions import Result
from rollcall.domain.errors import InstanceNotVisible, Permanent, RollcallError
from rollcall.domain.message_format import write_action
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, notes_on_kept
from rollcall.domain.settings import CHEF_TAG
from rollcall.domain.stages import Stage, all_together
from rollcall.domain.stages import each_apart as each_item_apart
from rollcall.evidence.stuck_jobs import LIMITED_TO_MORE
from rollcall.hosts.jobs import launch_or_adopt
from rollcall.hosts.removal import remove_from_every_inventory, unreadable_inventories
from rollcall.hosts.resting import disable_hosts

from .destinations import Destination, departures
from .gate_round import rounds_with_heartbeats
from .hook_answers import RETRY_IN, UNANSWERED_LIFE, each_apart
from .retire_decision import NextStep, decide_retirement, without_job
from .retire_observer import RetireObserver, seconds_since_end
from .successors import Successors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.jobs import Job
    from rollcall.domain.messages import RetireMessage
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .gate_round import Round
    from .lost_jobs import Loss
    from .retire_decision import RetireDecision, RetireObservation
    from .retire_observer import LaunchSource


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
        """One round for each message: instances that need not wait any longer are let go; the others are in what goes
        on, still to be sent.
        """

        def keep_alive(message: RetireMessage) -> _Evaluation:
            fleet = self._fleets.of(message.retiring[0])
            clients = (self._tower, self._evidence, fleet, self._queues)
            return _Evaluation(message, self._settings, *clients, self._clock())

        return rounds_with_heartbeats(messages, keep_alive, self._tower, self._seconds_left)


@dataclass(frozen=True)
class _Leaving:
    """An instance that is let go: why, whether an operator should look at that, and its retire job, if it has one."""

    action: LifecycleAction
    reason: str
    alert: bool
    job: Job | None
    is_resting: bool = False

    def reported(self, outcome: str, *, alert: bool, event: Event | None = None, notes: Sequence[Note] = ()) -> Report:
        """What became of it. alert: whether an operator is alerted of its reason."""
        own = [Note(f"{self.reason}; the termination goes on all the same", alert=True)] if alert else []
        return Report(
            self.action,
            outcome,
            event=event,
            job=self.job.id if self.job else None,
            notes=(*own, *notes),
            troubled=False,  # an alert is published only of what does not wait any more
        )


class _Removed(NamedTuple):
    """An instance without a host in use. outcome: in words; had_host: it had one until now; notes: on hosts kept."""

    leaving: _Leaving
    outcome: str
    had_host: bool
    notes: Sequence[Note]


def _action_of(each: _Leaving) -> LifecycleAction:
    return each.action


def _action_of_removed(each: _Removed) -> LifecycleAction:
    return each.leaving.action


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
        self._settings = settings
        self._queues = queues
        self._tower = tower
        self._evidence = evidence
        self._fleet = fleet
        self._now = now
        groups = self._fleet.groups({action.group for action in message.retiring})
        self._group = groups.get(message.retiring[0].group)
        longest = timing.longest_wait(groups, message.retiring)
        # In the first round heartbeats are due, too: no job is launched for a hook that is over.
        due = now - message.heartbeat_at >= longest / 2 or message.unanswered_since is not None
        is_open, self._without_heartbeat = self._answers(message.retiring, fleet.heartbeat) if due else ({}, [])
        self._closed = {action for action, answer in is_open.items() if not answer}
        heartbeat_at = now if due else message.heartbeat_at
        self._successors: Successors[RetireMessage, LifecycleAction] = Successors(
            message, heartbeat_at, min(longest, timing.RETIRE_POLL_MAX)
        )

    def _answers(
        self, actions: Collection[LifecycleAction], call: Callable[[LifecycleAction], bool]
    ) -> tuple[dict[LifecycleAction, bool], list[Report]]:
        """What AWS answered about each action, and the reports of those of which the call failed."""
        failed: list[Report] = []
        answers = each_apart(actions, lambda each: each, call, failed)
        return answers, failed

    def run(self, jobs: Mapping[int, Job]) -> Round[RetireMessage]:
        """Decide about each instance, and do what was decided. jobs: those known by their ids, with the message's."""
        unanswered = self._put_unanswered_off(self._closed)
        out = unanswered | {report.action for report in self._without_heartbeat}
        actions = [action for action in self.message.retiring if action not in out]
        observer = RetireObserver(
            self.message,
            self._group,
            self._settings.account,
            self._tower,
            self._evidence,
            self._fleet,
            self._closed,
            self._now,
        )
        observed, source = observer.observe(actions, jobs.get(self.message.job_id or 0))
        decisions = {action: decide_retirement(seen) for action, seen in observed.items()}
        wanting = [action for action, decision in decisions.items() if decision.step == NextStep.LAUNCH_JOB]
        decisions |= self._launch(wanting, source) if source else {}
        waiting = [report for each, decision in decisions.items() for report in self._wait(each, decision, observed)]
        leaving = [
            _Leaving(action, decision.reason, decision.alert, observed[action].job)
            for action, decision in decisions.items()
            if decision.step == NextStep.LET_GO
        ]
        return self._successors.closed([*self._without_heartbeat, *waiting, *self._let_go(leaving)])

    def _put_unanswered_off(self, actions: Collection[LifecycleAction]) -> set[LifecycleAction]:
        """Those whose action AWS does not find right now, though Auto Scaling holds their instances: they wait on."""
        since = self._now if self.message.unanswered_since is None else self.message.unanswered_since
        if not actions or self._now - since >= UNANSWERED_LIFE:
            return set()
        held = self._fleet.held(actions)
        for action in held:
            self._put_off(action, self.message.job_id, RETRY_IN, since)
        return held

    # Those that wait

    def _launch(
        self, actions: Sequence[LifecycleAction], source: LaunchSource
    ) -> dict[LifecycleAction, RetireDecision]:
        """One job for all of these, who wait for it then; if none can be launched, what becomes of them instead."""
        if not actions:
            return {}
        ids = sorted({action.instance_id for action in actions})
        try:
            jobs = launch_or_adopt(self._tower, source.template, source.inventory, ids, source.since)
        except Permanent as error:
            return dict.fromkeys(actions, without_job(str(error)))
        delay = timing.poll_delay(0, self._tower.usual_durations(source.kind), 0)
        for action in actions:
            self._put_off(action, jobs[action.instance_id], delay)
        return {}

    def _wait(
        self, action: LifecycleAction, decision: RetireDecision, observed: Mapping[LifecycleAction, RetireObservation]
    ) -> list[Report]:
        """Put off an instance that waits on; what is reported of it, also where another message waits for it."""
        seen = observed[action]
        match decision.step:
            case NextStep.LEAVE_TO_OTHER_MESSAGE:
                return [Report(action, decision.reason)]
            case NextStep.WAIT_FOR_JOB if seen.job:
                self._put_off(action, seen.job.id, min(self._poll_delay(seen.job), seen.seconds_left))
            case NextStep.LAUNCH_LATER:
                return self._launch_later(action, seen)
        return []

    def _launch_later(self, action: LifecycleAction, seen: RetireObservation) -> list[Report]:
        """Launch another job after a pause, and not beside one that runs on the instance. A loss is reported once."""
        loss = seen.loss
        if loss and loss.runs:
            self._put_off(action, self.message.job_id, min(timing.RETIRE_POLL_MAX, seen.seconds_left))
            return []
        self._put_off(replace(action, troubled=True), None, min(seen.launch_in, seen.seconds_left), loss=loss)
        return [Report(action, "", notes=(Note(loss.words, alert=True),))] if loss and loss.times == 1 else []

    def _poll_delay(self, job: Job) -> float:
        """Seconds until a job that has no result yet is evaluated again."""
        if job.status.final:
            return timing.landing_delay(seconds_since_end(job, self._tower.now()))
        elapsed = self._tower.now() - job.started_at if job.started_at else 0.0
        polls = self.message.polls if job.id == self.message.job_id else 0
        return timing.poll_delay(elapsed, self._tower.usual_durations(job.kind), polls)

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

    # Those that are let go

    def _let_go(self, leaving: Sequence[_Leaving]) -> Sequence[Report]:
        """Remove or disable their hosts, then complete their hooks; what became of each.

        Those in Chef go back to cleanup instead. They keep their hosts until then, for these hold how their nodes are
        named: cleanup removes both at once.
        """
        if not leaving:
            return []
        leaving = self._with_ended_jobs(leaving)
        if self._may_be_in_chef():
            return each_item_apart(leaving, _action_of, self._hand_back).left
        return (
            Stage(leaving)
            .then(lambda items: all_together(items, _action_of, self._without_staying))
            .then(lambda items: all_together(items, _action_of, self._remove_hosts))
            .then(lambda items: all_together(items, _action_of_removed, self._complete))
            .left
        )

    def _with_ended_jobs(self, leaving: Sequence[_Leaving]) -> list[_Leaving]:
        """The same, the jobs cancelled that are overdue, or that run only on instances of these; that is in the reason.

        Their hosts' addresses will be other instances' soon.
        """
        ids = {each.action.instance_id for each in leaving}
        unwanted = {each.job for each in leaving if each.job and (each.alert or each.job.hosts <= ids)}
        cancelled = {job.id: self._cancel(job) for job in unwanted if not job.status.final}
        return [
            replace(each, reason=each.reason + cancelled.get(each.job.id, "")) if each.job else each for each in leaving
        ]

    def _cancel(self, job: Job) -> str:
        """Cancel a job; what came of that, to be added to a reason.

        One whose limit names more than instance ids runs on: it is no retire job of ours.
        """
        if not job.is_limited_to_ids:
            return f"; job {job.id} is not cancelled, for {LIMITED_TO_MORE}"
        try:
            self._tower.cancel(job.id)
        except RollcallError as error:
            return f"; job {job.id} COULD NOT BE CANCELLED ({error})"
        return f"; job {job.id} was cancelled"

    def _may_be_in_chef(self) -> bool:
        """Also where the group is gone: its hosts hold how its nodes were named."""
        return self._group is None or CHEF_TAG in self._group.tags

    def _hand_back(self, each: _Leaving) -> Report:
        """To cleanup, which publishes what becomes of it.

        When its message was received is forgotten, for cleanup waits for Chef as long after that, and a job came first.
        """
        is_closed = each.action in self._closed
        since = self.message.unanswered_since if is_closed else None
        body = write_action(replace(each.action, retired=True, received_at=math.inf, unanswered_since=since))
        self._queues.send(self._settings.terminate_queue_url, [(body, 0)])
        return each.reported(f"retired: {each.reason}", alert=each.alert and not is_closed)

    def _without_staying(self, leaving: Sequence[_Leaving]) -> Stage[_Leaving]:
        """Those that leave, and whether they rest; an instance may have come back since its message was sent."""
        known = departures(self._fleet, {each.action.instance_id for each in leaving})

        def destined(each: _Leaving) -> _Leaving | Report:
            departure = known[each.action.instance_id]
            if departure.destination != Destination.STAYING:
                return replace(each, is_resting=departure.destination == Destination.RESTING)
            if each.action in self._closed:
                return Report(each.action, f"{NO_LONGER_WAITING}: {departure.description}")
            raise InstanceNotVisible(
                f"{each.action.instance_id}: its hook {each.action.hook!r} waits, and yet {departure.description}"
            )

        return each_item_apart(leaving, _action_of, destined)

    def _remove_hosts(self, leaving: Sequence[_Leaving]) -> Stage[_Removed]:
        """Remove their hosts from every inventory, or disable those of resting ones; where one is kept that fails."""
        resting = {each.action.instance_id for each in leaving if each.is_resting}
        ids = {each.action.instance_id for each in leaving}
        removal = remove_from_every_inventory(self._tower, self._fleet, ids - resting)
        disabled = disable_hosts(self._tower, resting, self._settings.account, self._fleet.region)
        had_host = removal.removed | disabled.instance_ids
        unseen = [
            each.action
            for each in leaving
            if each.action not in self._closed and each.action.instance_id not in had_host | removal.left_in.keys()
        ]
        hidden = unreadable_inventories(self._tower, self._fleet, unseen)
        errors: dict[str, RollcallError] = {**hidden, **removal.refusals, **disabled.errors}

        def removed(each: _Leaving) -> _Removed:
            instance_id = each.action.instance_id
            if instance_id in errors:
                raise errors[instance_id]
            outcome = "its host is disabled" if each.is_resting else "removed from every inventory"
            notes = tuple(notes_on_kept(removal, instance_id))
            return _Removed(each, f"{outcome}: {each.reason}", instance_id in had_host, notes)

        return each_item_apart(leaving, _action_of, removed)

    def _complete(self, removed: Sequence[_Removed]) -> Stage[_Removed]:
        """Complete their hooks. Those whose action AWS does not find, though it holds them, wait on for a while."""
        actions = [each.leaving.action for each in removed]
        completed, failed = self._answers(actions, partial(self._fleet.complete, result=Result.CONTINUE))
        unanswered = [action for action, was_open in completed.items() if not was_open]
        put_off = self._put_unanswered_off(unanswered)
        still_held = self._fleet.held([action for action in unanswered if action not in put_off])
        reports = [
            self._report(each, was_open=completed[action], is_held=action in still_held)
            for each in removed
            if (action := each.leaving.action) in completed and action not in put_off
        ]
        return Stage((), [*failed, *reports])

    def _report(self, each: _Removed, *, was_open: bool, is_held: bool) -> Report:
        """What became of an instance. was_open: its hook waited until now; is_held: another hook holds it."""
        is_over = was_open or (each.had_host and not is_held)
        return each.leaving.reported(
            each.outcome if was_open else NO_LONGER_WAITING,
            alert=each.leaving.alert and was_open,
            event=Event.RETIRED if is_over else None,
            notes=each.notes,
        )
