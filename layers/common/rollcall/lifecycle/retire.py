"""Instances on their way out -> their retire job -> their hosts out of every inventory -> their hooks completed.

evaluate() takes messages that cleanup, or an earlier round, sent to the gate's queue. A round sends heartbeats,
observes the instances (retire_observer.py), decides about each (retire_decision.py), and does what was decided. A
retire job may delay the removal of the hosts, never prevent it: whatever becomes of the job, and whether there can be
one at all, the hosts are removed, and only then the hooks are completed (retire_completion.py). The hosts of an
instance that only rests are disabled instead.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain import timing
from rollcall.domain.errors import Permanent
from rollcall.domain.reports import Note, Report
from rollcall.domain.timing import UNANSWERED_LIFE, UNANSWERED_RETRY
from rollcall.hosts.jobs import launch_or_adopt

from .gate_round import rounds_with_heartbeats
from .hook_answers import answers_by_action
from .retire_completion import Leaving, RetireCompletion
from .retire_decision import NextStep, decide_retirement, without_job
from .retire_observer import RetireObserver
from .successors import Successors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.jobs import Job
    from rollcall.domain.messages import RetireMessage
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .gate_round import Round, RoundResources
    from .lost_jobs import Loss
    from .retire_decision import RetireDecision, RetireObservation
    from .retire_observer import LaunchSource


class Retire:
    """Works on messages of instances on their way out."""

    def __init__(self, resources: RoundResources) -> None:
        self._resources = resources

    def evaluate(self, messages: Sequence[RetireMessage]) -> list[Round[RetireMessage]]:
        """One round for each message: instances that need not wait any longer are let go; the others are in what goes
        on, still to be sent.
        """
        own = self._resources

        def keep_alive(message: RetireMessage) -> _Evaluation:
            fleet = own.fleets.of(message.retiring[0])
            return _Evaluation(message, own.settings, own.tower, own.evidence, fleet, own.queues, own.clock())

        return rounds_with_heartbeats(messages, keep_alive, own.tower, own.seconds_left)


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
        self.completed: list[Report] = []
        self._tower = tower
        self._fleet = fleet
        self._now = now
        groups = fleet.groups({action.group for action in message.retiring})
        group = groups.get(message.retiring[0].group)
        longest = timing.longest_wait(groups, message.retiring)
        # In the first round heartbeats are due, too: no job is launched for a hook that is over.
        due = now - message.heartbeat_at >= longest / 2 or message.unanswered_since is not None
        due = due and not (group and group.in_emergency)
        is_open, self._without_heartbeat = answers_by_action(message.retiring, fleet.heartbeat) if due else ({}, [])
        self._closed = {action for action, answer in is_open.items() if not answer}
        self._successors: Successors[RetireMessage, LifecycleAction] = Successors(
            message, now if due else message.heartbeat_at, min(longest, timing.RETIRE_POLL_MAX)
        )
        self._observer = RetireObserver(message, group, settings.account, tower, evidence, fleet, self._closed, now)
        self._completion = RetireCompletion(
            message,
            group,
            settings,
            tower,
            fleet,
            queues,
            self._closed,
            self._put_unanswered_off,
            self.completed.extend,
        )

    def run(self, jobs: Mapping[int, Job]) -> Round[RetireMessage]:
        """Decide about each instance, and do what was decided. jobs: those known by their ids, with the message's."""
        unanswered = self._put_unanswered_off(self._closed)
        out = unanswered | {report.action for report in self._without_heartbeat}
        actions = [action for action in self.message.retiring if action not in out]
        observed, source = self._observer.observe(actions, jobs.get(self.message.job_id or 0))
        decisions = {action: decide_retirement(observation) for action, observation in observed.items()}
        wanting = [action for action, decision in decisions.items() if decision.step == NextStep.LAUNCH_JOB]
        decisions |= self._launch(wanting, source) if source else {}
        waiting = [report for each, decision in decisions.items() for report in self._wait(each, decision, observed)]
        leaving = [
            Leaving(action, decision.reason, decision.alert, observed[action].job)
            for action, decision in decisions.items()
            if decision.step == NextStep.LET_GO
        ]
        return self._successors.closed([*self._without_heartbeat, *waiting, *self._completion.let_go(leaving)])

    def _put_unanswered_off(self, actions: Collection[LifecycleAction]) -> set[LifecycleAction]:
        """Those whose action AWS does not find now, though Auto Scaling holds their instances: these still wait."""
        since = self._now if self.message.unanswered_since is None else self.message.unanswered_since
        if not actions or self._now - since >= UNANSWERED_LIFE:
            return set()
        held = self._fleet.held(actions)
        for action in held:
            self._put_off(action, self.message.job_id, UNANSWERED_RETRY, since)
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
        observation = observed[action]
        match decision.step:
            case NextStep.LEAVE_TO_OTHER_MESSAGE:
                return [Report(action, decision.reason)]
            case NextStep.WAIT_FOR_JOB if observation.job:
                self._put_off(
                    action, observation.job.id, min(self._poll_delay(observation.job), observation.seconds_left)
                )
            case NextStep.LAUNCH_LATER:
                return self._launch_later(action, observation)
        return []

    def _launch_later(self, action: LifecycleAction, observation: RetireObservation) -> list[Report]:
        """Launch another job after a pause, and not beside one that runs on the instance. A loss is reported once."""
        loss = observation.loss
        if loss and loss.runs:
            self._put_off(action, self.message.job_id, min(timing.RETIRE_POLL_MAX, observation.seconds_left))
            return []
        self._put_off(
            replace(action, failed_before=True), None, min(observation.launch_in, observation.seconds_left), loss=loss
        )
        return [Report(action, "", notes=(Note(loss.words, alert=True),))] if loss and loss.times == 1 else []

    def _poll_delay(self, job: Job) -> float:
        """Seconds until a job that has no result yet is evaluated again."""
        if job.status.final:
            return timing.events_delay(job.seconds_since_end(self._tower.now()))
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
