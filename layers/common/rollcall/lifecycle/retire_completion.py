"""Letting instances go that need not wait any longer: their hosts removed or disabled, then their hooks completed."""

from __future__ import annotations

import math
from copy import replace
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.actions import Result
from rollcall.domain.errors import InstanceNotVisible, RollcallError
from rollcall.domain.message_format import write_action
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, notes_on_kept
from rollcall.domain.settings import CHEF_TAG
from rollcall.domain.stages import Stage, all_together, each_apart
from rollcall.evidence.stuck_jobs import LIMITED_TO_MORE
from rollcall.hosts.removal import remove_from_every_inventory, unreadable_inventories
from rollcall.hosts.resting import disable_hosts

from .destinations import Destination, departures
from .hook_answers import answers_by_action

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.groups import Group
    from rollcall.domain.jobs import Job
    from rollcall.domain.messages import RetireMessage
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower


@dataclass(frozen=True)
class Leaving:
    """An instance that is let go: why, whether an operator should act on that, and its retire job, if it has one."""

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
            alerted_before=False,  # an alert is published only of what does not wait any more
        )


class _Removed(NamedTuple):
    """An instance without a host in use. outcome: in words; had_host: it had one until now; notes: on hosts kept."""

    leaving: Leaving
    outcome: str
    had_host: bool
    notes: Sequence[Note]


def _action_of(each: Leaving) -> LifecycleAction:
    return each.action


def _action_of_removed(each: _Removed) -> LifecycleAction:
    return each.leaving.action


class RetireCompletion:
    """Lets the instances of one message go that need not wait any longer.

    group: None if it does not exist any more. closed: actions of which AWS says that their hook does not wait.
    put_unanswered_off: takes actions that AWS does not find; those whose instances Auto Scaling holds all the same go
    on to another round, and are returned. keep_completed: takes the reports of hooks as soon as they are completed.
    """

    def __init__(
        self,
        message: RetireMessage,
        group: Group | None,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        queues: Queues,
        closed: Collection[LifecycleAction],
        put_unanswered_off: Callable[[Collection[LifecycleAction]], set[LifecycleAction]],
        keep_completed: Callable[[Sequence[Report]], None],
    ) -> None:
        self._message = message
        self._group = group
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._closed = closed
        self._put_unanswered_off = put_unanswered_off
        self._keep_completed = keep_completed

    def let_go(self, leaving: Sequence[Leaving]) -> Sequence[Report]:
        """Remove or disable their hosts, then complete their hooks; what became of each.

        Those in Chef go back to cleanup instead. They keep their hosts until then, for these hold how their nodes are
        named: cleanup removes both at once.
        """
        if not leaving:
            return []
        leaving = self._with_ended_jobs(leaving)
        if self._may_be_in_chef():
            return each_apart(leaving, _action_of, self._hand_back).left
        return (
            Stage(leaving)
            .then(lambda items: all_together(items, _action_of, self._without_staying))
            .then(lambda items: all_together(items, _action_of, self._remove_hosts))
            .then(lambda items: all_together(items, _action_of_removed, self._complete))
            .left
        )

    def _with_ended_jobs(self, leaving: Sequence[Leaving]) -> list[Leaving]:
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

    def _hand_back(self, each: Leaving) -> Report:
        """To cleanup, which publishes what becomes of it.

        When its message was received is forgotten, for cleanup waits for Chef as long after that, and a job came first.
        """
        is_closed = each.action in self._closed
        since = self._message.unanswered_since if is_closed else None
        body = write_action(replace(each.action, retire_job_over=True, received_at=math.inf, unanswered_since=since))
        self._queues.send(self._settings.terminate_queue_url, [(body, 0)])
        return each.reported(f"retired: {each.reason}", alert=each.alert and not is_closed)

    def _without_staying(self, leaving: Sequence[Leaving]) -> Stage[Leaving]:
        """Those that leave, and whether they rest; an instance may have come back since its message was sent."""
        known = departures(self._fleet, {each.action.instance_id for each in leaving})

        def destined(each: Leaving) -> Leaving | Report:
            departure = known[each.action.instance_id]
            if departure.destination != Destination.STAYING:
                return replace(each, is_resting=departure.destination == Destination.RESTING)
            if each.action in self._closed:
                return Report(each.action, f"{NO_LONGER_WAITING}: {departure.description}")
            raise InstanceNotVisible(
                f"{each.action.instance_id}: its hook {each.action.hook!r} waits, and yet {departure.description}"
            )

        return each_apart(leaving, _action_of, destined)

    def _remove_hosts(self, leaving: Sequence[Leaving]) -> Stage[_Removed]:
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

        def removed(each: Leaving) -> _Removed:
            instance_id = each.action.instance_id
            if instance_id in errors:
                raise errors[instance_id]
            outcome = "its host is disabled" if each.is_resting else "removed from every inventory"
            notes = tuple(notes_on_kept(removal, instance_id))
            return _Removed(each, f"{outcome}: {each.reason}", instance_id in had_host, notes)

        return each_apart(leaving, _action_of, removed)

    def _complete(self, removed: Sequence[_Removed]) -> Stage[_Removed]:
        """Complete their hooks. Those whose action AWS does not find, though it holds them, wait on for a while."""
        actions = [each.leaving.action for each in removed]
        completed, failed = answers_by_action(actions, partial(self._fleet.complete, result=Result.CONTINUE))
        self._keep_completed(
            [self._report(each, was_open=True, is_held=False) for each in removed if completed.get(each.leaving.action)]
        )
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
