"""Terminating instances -> their hosts out of every inventory, their nodes out of Chef -> their hooks completed.

Cleanup._clean_up() is the way of a batch: each stage says who leaves it there. Auto Scaling is asked first what becomes
of each instance: one that goes for good is removed, one that goes to a warm pool or gets a new root volume has its
hosts disabled, and one that stays is left alone, whatever the message says. That the group is gone, or lost its tags,
keeps no host. Chef comes after Tower, so that nothing that is wrong there keeps a host.
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
from rollcall.domain.settings import asks_to_retire
from rollcall.domain.stages import Stage, action_of, all_together, grouped, itself, joined

from .batch_admission import by_fleet
from .destinations import Fate, fates
from .hook_answers import hook_answers
from .termination_completion import TerminationCompletion
from .termination_removal import Leaving, TerminationRemoval
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

SETTLING_TIME = 120.0  # seconds from a message in which EC2 may come to agree that its instance is terminated


class Cleanup:
    """Removes terminating instances, in batches.

    clock() is this machine's, in epoch seconds. share: the fraction of an inventory's managed hosts that may go on the
    word of messages alone. chef: None where there is none.
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
            # Who leaves here:
            all_together(actions, itself, partial(_with_fates, fleet))  # whom AWS refuses
            .then(partial(self._without_staying, fleet))  # that stay, or of which AWS does not agree with itself
            .then(partial(self._within_limit, fleet))  # unknown to AWS, and too many such
            .then(partial(self._without_retiring, fleet))  # that are to be retired by a job first
            .then(_as_aws_says)  # none
            .together(action_of, removal.with_node_names)  # none
            .together(action_of, removal.remove)  # none, unless Tower fails
            .then(completion.complete)  # all others
        )

    def _without_staying(self, fleet: Fleet, leaving: Sequence[Leaving]) -> Stage[Leaving]:
        """Those that stay leave with nothing done.

        Of one that seems to, a hook that waits shows that AWS does not agree with itself. Where no hook waits, and no
        group has it, EC2 may only be late to say that it is terminated.
        """
        staying = [each for each in leaving if each.known.fate == Fate.STAYING]
        answers = hook_answers([each for each in staying if each.action.held_by_hook], action_of, fleet.heartbeat)
        waiting = {each.item.action for each in answers.going_on if each.is_open}
        failed = {report.action for report in answers.left}
        now = self._clock()
        reports = [_staying(each, each.action in waiting, now) for each in staying if each.action not in failed]
        going = [each for each in leaving if each.known.fate != Fate.STAYING]
        return Stage(going, [*answers.left, *reports])

    def _within_limit(self, fleet: Fleet, leaving: Sequence[Leaving]) -> Stage[Leaving]:
        """Of those that nothing but a message speaks for, as many as the removal limit lets pass."""
        unknown = {each.action.instance_id for each in leaving if each.known.unknown}
        return within_removal_limit(self._tower, fleet, leaving, action_of, unknown, self._share)

    def _without_retiring(self, fleet: Fleet, leaving: Sequence[Leaving]) -> Stage[Leaving]:
        """Those that a hook holds and whose group retires its instances are handed to the gate, unless it did that."""
        if not self._settings.retire_jobs:
            return Stage(leaving)
        held = [each for each in leaving if each.action.held_by_hook and not each.action.retired]
        handed_over = all_together(held, action_of, partial(self._hand_over_retiring, fleet))
        left = {report.action for report in handed_over.left}
        return Stage([each for each in leaving if each.action not in left], handed_over.left)

    def _hand_over_retiring(self, fleet: Fleet, held: Sequence[Leaving]) -> Stage[Leaving]:
        groups = fleet.groups({each.action.group for each in held})
        retiring = {name for name, group in groups.items() if asks_to_retire(group)}
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


def _with_fates(fleet: Fleet, actions: Sequence[LifecycleAction]) -> Stage[Leaving]:
    """The actions with what AWS says of their instances. Raises Throttled, AwsDenied, InstancesRefused."""
    known = fates(fleet, {action.instance_id for action in actions})
    return Stage([Leaving(action, known[action.instance_id]) for action in actions])


def _as_aws_says(leaving: Sequence[Leaving]) -> Stage[Leaving]:
    """All of them: whether an instance goes to a warm pool is what AWS says, not what its message said."""
    return Stage([each._replace(action=replace(each.action, to_warm_pool=each.known.pooled)) for each in leaving])


def _staying(leaving: Leaving, hook_waits: bool, now: float) -> Report:
    """Of an instance that stays, as AWS says. now: this machine's clock, in epoch seconds."""
    action, known = leaving.action, leaving.known
    if hook_waits:
        error = f"{action.instance_id}: its hook {action.hook!r} waits, and yet {known.words}"
        return Report(action, error=InstanceNotVisible(error))
    if not action.held_by_hook and not known.listed and now - action.received_at < SETTLING_TIME:
        error = f"{action.instance_id}: its group says that it is terminated, and yet {known.words}"
        return Report(action, error=InstanceNotVisible(error))
    return Report(action, f"{NO_LONGER_WAITING}: {known.words}")
