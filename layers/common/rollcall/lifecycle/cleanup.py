"""Terminating instances -> their hosts out of every inventory, their nodes out of Chef -> their hooks completed.

Cleanup._clean_up() lists the stages of a batch in order, each with the actions that leave the batch there. What becomes
of an instance is read from Auto Scaling first: one that goes for good is removed, one that goes to a warm pool or gets
a new root volume has its hosts disabled, and one that stays is left alone, whatever the message says. That the group is
gone, or lost its tags, keeps no host. Chef comes after Tower, so that no error of Chef's keeps a host.
"""

from __future__ import annotations

from copy import replace
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from rollcall.domain.actions import Transition
from rollcall.domain.errors import InstanceNotVisible
from rollcall.domain.message_format import written
from rollcall.domain.messages import RetireMessage
from rollcall.domain.reports import NO_LONGER_WAITING, Report
from rollcall.domain.settings import names_retire_template
from rollcall.domain.stages import Stage, action_of, all_together, grouped, itself, joined, parted
from rollcall.domain.timing import SETTLING_TIME

from .batch_admission import by_fleet
from .destinations import Destination, departures
from .hook_answers import hook_answers
from .termination_completion import TerminationCompletion
from .termination_removal import Terminating, TerminationRemoval
from .unknown_instances import within_removal_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Never

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.aws.queues import Queues
    from rollcall.chef.client import Chef
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower


class Cleanup:
    """Removes terminating instances, in batches.

    clock() is this machine's, in epoch seconds. share: the largest fraction of an inventory's managed hosts that may be
    removed when only a message says that their instances are gone. chef: None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleets: Fleets,
        queues: Queues,
        clock: Callable[[], float],
        *,
        share: float,
        chef: Chef | None = None,
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock
        self._share = share
        self._chef = chef

    def clean_up(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action.

        A hook is completed only once no inventory holds the instance's host, or the host of a resting one is disabled;
        and its node and client are gone from Chef or were waited for long enough.
        """
        batches = by_fleet(actions, Transition.TERMINATING, self._fleets)
        return [*batches.left, *joined(self._clean_up(*each) for each in batches.going_on).left]

    def _clean_up(self, fleet: Fleet, actions: Sequence[LifecycleAction]) -> Stage[Never]:
        removal = TerminationRemoval(self._settings, self._tower, self._fleets, fleet, self._queues, self._chef)
        completion = TerminationCompletion(self._settings, self._tower, fleet, self._queues, self._clock)
        return (
            # Errors: what AWS refuses.
            all_together(actions, itself, partial(_with_departures, fleet))
            # Done: an instance that stays. Errors: one that seems to, while its hook waits or EC2 may be late.
            .then(partial(self._without_staying, fleet))
            # Done: left to reconcile, if too many are unknown to AWS.
            .then(partial(self._within_limit, fleet))
            # Done: handed to the gate, for its group retires its instances by a job.
            .then(partial(self._without_retiring, fleet))
            .then(_as_aws_shows)
            # Errors: Tower does not answer; what it keeps of one instance goes on as a result.
            .together(action_of, removal.with_node_names)
            .together(action_of, removal.remove)
            # Done: all that Tower and Chef let go, with their hooks. Errors: what one of them keeps.
            .then(completion.complete)
        )

    def _without_staying(self, fleet: Fleet, terminating: Sequence[Terminating]) -> Stage[Terminating]:
        """Those that stay in service leave here, with their hosts unchanged.

        Of one that seems to, a hook that waits shows that AWS is not consistent yet. Where no hook waits, and no
        group has it, EC2 may only be late to show that it is terminated.
        """
        staying = [each for each in terminating if each.departure.destination == Destination.STAYING]
        answers = hook_answers([each for each in staying if each.action.held_by_hook], action_of, fleet.heartbeat)
        waiting = {each.item.action for each in answers.going_on if each.is_open}
        failed = {report.action for report in answers.left}
        now = self._clock()
        reports = [_staying(each, each.action in waiting, now) for each in staying if each.action not in failed]
        going = [each for each in terminating if each.departure.destination != Destination.STAYING]
        return Stage(going, [*answers.left, *reports])

    def _within_limit(self, fleet: Fleet, terminating: Sequence[Terminating]) -> Stage[Terminating]:
        """Of those that nothing but a message speaks for, as many as the removal limit lets pass."""
        unknown = {each.action.instance_id for each in terminating if each.departure.unknown}
        return within_removal_limit(self._tower, fleet, terminating, action_of, unknown, self._share)

    def _without_retiring(self, fleet: Fleet, terminating: Sequence[Terminating]) -> Stage[Terminating]:
        """Those that a hook holds and whose group retires its instances are handed to the gate, unless it did that."""
        if not self._settings.retire_jobs:
            return Stage(terminating)
        held = [each for each in terminating if each.action.held_by_hook and not each.action.retire_job_over]
        handed_over = all_together(held, action_of, partial(self._hand_over_retiring, fleet))
        return parted(terminating, action_of, handed_over.left)

    def _hand_over_retiring(self, fleet: Fleet, held: Sequence[Terminating]) -> Stage[Terminating]:
        groups = fleet.groups({each.action.group for each in held})
        retiring = {name for name, group in groups.items() if names_retire_template(group) and not group.in_emergency}
        by_group = grouped([each.action for each in held if each.action.group in retiring], lambda each: each.group)
        return Stage(
            [each for each in held if each.action.group not in retiring],
            [report for own in by_group.values() for report in self._handed_over(own)],
        )

    def _handed_over(self, retiring: Sequence[LifecycleAction]) -> list[Report]:
        """One message for as many of a group as one job may hold; the queue may take one and not another."""
        messages = [
            part
            for batch in batched(retiring, self._settings.max_hosts_per_job)
            for part in written(RetireMessage(retiring=batch, job_id=None, since=self._clock(), heartbeat_at=0))
        ]
        errors = self._queues.send_each(self._settings.gate_queue_url, [(text, 0) for _, text in messages])
        outcome = "handed to the gate: its group retires instances"
        return [
            Report(action, error=error) if error else Report(action, outcome)
            for (message, _), error in zip(messages, errors, strict=True)
            for action in message.retiring
        ]


def _with_departures(fleet: Fleet, actions: Sequence[LifecycleAction]) -> Stage[Terminating]:
    """The actions with what AWS shows of their instances.

    Raises AwsUnavailable, AwsDenied, AwsRejected, and InstancesRefused for some of them.
    """
    known = departures(fleet, {action.instance_id for action in actions})
    return Stage([Terminating(action, known[action.instance_id]) for action in actions])


def _as_aws_shows(terminating: Sequence[Terminating]) -> Stage[Terminating]:
    """All of them: whether an instance goes to a warm pool is what AWS shows, not what its message said."""
    return Stage(
        [each._replace(action=replace(each.action, to_warm_pool=each.departure.to_warm_pool)) for each in terminating]
    )


def _staying(terminating: Terminating, hook_waits: bool, now: float) -> Report:
    """Of an instance that stays, as AWS shows. now: this machine's clock, in epoch seconds."""
    action, departure = terminating.action, terminating.departure
    if hook_waits:
        error = f"{action.instance_id}: its hook {action.hook!r} waits, and yet {departure.description}"
        return Report(action, error=InstanceNotVisible(error))
    if not action.held_by_hook and not departure.listed and now - action.received_at < SETTLING_TIME:
        error = f"{action.instance_id}: Auto Scaling published its termination, and yet {departure.description}"
        return Report(action, error=InstanceNotVisible(error))
    return Report(action, f"{NO_LONGER_WAITING}: {departure.description}")
