"""Launched instances -> hosts in Tower and provisioning jobs: one per template, inventory and MaxHostsPerJob hosts.

Register._register() lists the stages of a batch in order, each with the actions that leave the batch there. An error
takes the actions it concerns out of the batch; the others go on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import InstanceNotVisible
from rollcall.domain.reports import NO_LONGER_WAITING, Report, removed_at_launch
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, itself, joined
from rollcall.hosts.removal import remove_from_every_inventory

from .batch_admission import by_fleet
from .former_jobs import FormerJobs
from .hook_answers import require_visible
from .host_groups import put_into_groups
from .host_registration import HostRegistration
from .launch_classification import (
    EntersWarmPool,
    Gone,
    NotOptedIn,
    NotPending,
    ToBeRegistered,
    classify,
    read_aws_state,
)
from .new_instances import find_new_instances, with_parameters
from .provisioning import Provisioning
from .unknown_instances import within_removal_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Never

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .launch_classification import Launch


class Register:
    """Registers batches of launch actions.

    clock() is this machine's, in epoch seconds. evidence() makes the reader of what jobs showed, and is called only if
    a job from before the present stint hangs. share: the largest fraction of an inventory's managed hosts that may be
    removed when only a message says that their instances are gone.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleets: Fleets,
        queues: Queues,
        clock: Callable[[], float],
        evidence: Callable[[], Evidence],
        *,
        share: float,
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock
        self._share = share
        self._former_jobs = FormerJobs(tower, evidence)

    def register(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action: handed to the gate, done with, or failed.

        Also of each stale host at the address of a new instance, which was removed first.
        """
        batches = by_fleet(actions, Transition.LAUNCHING, self._fleets)
        return [*batches.left, *joined(self._register(*each) for each in batches.going_on).left]

    def _register(self, fleet: Fleet, actions: Sequence[LifecycleAction]) -> Stage[Never]:
        hosts = HostRegistration(self._settings, self._tower, fleet, self._clock)
        jobs = Provisioning(self._settings, self._tower, fleet, self._queues, self._former_jobs)
        return (
            # Errors: what AWS does not show yet, a group whose tags cannot be read, a hook of ours where none opted in.
            all_together(actions, itself, partial(self._classified, fleet))
            # Done: a group that did not opt in, a launch into the warm pool, an instance that is not pending any more.
            .apart(action_of, partial(self._answered, fleet))
            # Done: an instance that is gone, and its hosts; or left to reconcile, if too many such are unknown to AWS.
            .then(partial(self._without_gone, fleet))
            # Errors: tags that cannot be followed, an instance without the address that its group wants.
            .then(partial(find_new_instances, self._tower, self._settings))
            .then(partial(with_parameters, fleet, self._tower, self._settings))
            # Done: in service for too long, of a former stint. Errors: a host that is renamed, not ours or not made.
            .then(hosts.register)
            # Errors: a group that Tower does not make, or does not put the host into.
            .then(partial(put_into_groups, self._tower))
            # Done: handed to the gate, with another message, gone meanwhile. Errors: no job yet, or no launch of one.
            .then(jobs.hand_over)
        )

    def _classified(self, fleet: Fleet, actions: Sequence[LifecycleAction]) -> Stage[Launch]:
        aws = read_aws_state(fleet, actions)
        return each_apart(actions, itself, lambda action: classify(action, aws, self._settings.hook_prefix))

    def _answered(self, fleet: Fleet, launch: Launch) -> Gone | ToBeRegistered | Report:
        match launch:
            case NotOptedIn(action):
                return Report(action, "passed over: the group did not opt in")
            case EntersWarmPool(action):
                return self._let_into_warm_pool(fleet, action)
            case NotPending(action, state):
                return _not_pending(fleet, action, state)
            case Gone() | ToBeRegistered():
                return launch

    def _let_into_warm_pool(self, fleet: Fleet, action: LifecycleAction) -> Report:
        """A launch that ends in the warm pool needs no host and no job. Raises ActionNotVisible."""
        if fleet.complete(action, Result.CONTINUE):
            return Report(action, "let into the warm pool")
        require_visible(fleet, [action], self._clock())
        return Report(action, NO_LONGER_WAITING)

    def _without_gone(self, fleet: Fleet, launches: Sequence[Gone | ToBeRegistered]) -> Stage[ToBeRegistered]:
        """Those that are gone leave: their hosts are removed, of those that AWS does not know as many as may go."""
        gone = [each for each in launches if isinstance(each, Gone)]
        unknown = {each.action.instance_id for each in gone if each.unknown}
        removed = within_removal_limit(self._tower, fleet, gone, action_of, unknown, self._share).together(
            action_of, partial(self._removed, fleet)
        )
        return Stage([each for each in launches if isinstance(each, ToBeRegistered)], removed.left)

    def _removed(self, fleet: Fleet, gone: Sequence[Gone]) -> Stage[Never]:
        removal = remove_from_every_inventory(self._tower, fleet, {each.action.instance_id for each in gone})
        return Stage((), [removed_at_launch(each.action, "already gone", removal) for each in gone])


def _not_pending(fleet: Fleet, action: LifecycleAction, state: str) -> Report:
    """Of an instance that is not on its way into service. Raises InstanceNotVisible if its hook waits all the same."""
    if action.held_by_hook and fleet.heartbeat(action):
        raise InstanceNotVisible(f"{action.instance_id}: its hook {action.hook!r} waits, and yet it is {state}")
    return Report(action, f"no longer pending: {state}")
