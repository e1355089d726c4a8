"""The hosts of terminating instances, out of every inventory or disabled; and their nodes, out of Chef.

What only a host's variables say of its node is read before the host goes. Should Tower or Chef fail then, it is kept in
a message of cleanup's own, until its node is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import RollcallError
from rollcall.domain.reports import Report
from rollcall.domain.stages import Stage, each_apart, itself
from rollcall.hosts.removal import remove_from_every_inventory
from rollcall.hosts.resting import disable_hosts

from .destinations import Destination
from .terminate_messages import keep_node_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    from rollcall.aws.fleet import Fleet, Fleets
    from rollcall.aws.queues import Queues
    from rollcall.chef.client import Chef
    from rollcall.chef.removal import NodeRemovalResult
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.inventories import RemovalResult
    from rollcall.domain.settings import Settings
    from rollcall.hosts.resting import DisabledHosts
    from rollcall.tower.client import Tower

    from .destinations import Departure


class Terminating(NamedTuple):
    """A terminating instance: its action, and what AWS shows of it.

    has_host_facts: the action has facts of its node in Chef that its host's variables hold and its message did not.
    """

    action: LifecycleAction
    departure: Departure
    has_host_facts: bool = False


class BatchRemoval(NamedTuple):
    """What came of removing the hosts of a batch, of disabling those of resting instances, and of removing the nodes.

    nodes: None where there is no Chef.
    """

    hosts: RemovalResult
    rested: DisabledHosts
    nodes: NodeRemovalResult | None


class Removed(NamedTuple):
    """A terminating instance, and what came of removing its host and its node with those of its batch."""

    action: LifecycleAction
    departure: Departure
    has_host_facts: bool
    batch: BatchRemoval

    @property
    def had_host(self) -> bool:
        """Whether the instance had a host until now."""
        return self.action.instance_id in self.batch.hosts.removed or (
            self.action.instance_id in self.batch.rested.instance_ids
        )

    @property
    def host_was_found(self) -> bool:
        """Whether the instance had a host until now, or has one that an inventory keeps."""
        return self.had_host or self.action.instance_id in self.batch.hosts.left_in

    @property
    def refusal(self) -> RollcallError | None:
        """Why Tower keeps a host of it, or does not disable it; None if it does neither."""
        instance_id = self.action.instance_id
        return self.batch.hosts.refusals.get(instance_id) or self.batch.rested.errors.get(instance_id)

    @property
    def node(self) -> str | None:
        """The name of its node that is gone from Chef, None if there is none."""
        return self.batch.nodes.names.get(self.action.instance_id) if self.batch.nodes else None

    @property
    def node_error(self) -> RollcallError | None:
        """Why its node is still in Chef, None if nothing kept it."""
        return self.batch.nodes.errors.get(self.action.instance_id) if self.batch.nodes else None


class TerminationRemoval:
    """Removes the hosts and nodes of one fleet's terminating instances. chef: None where there is none."""

    def __init__(
        self, settings: Settings, tower: Tower, fleets: Fleets, fleet: Fleet, queues: Queues, chef: Chef | None
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._fleet = fleet
        self._queues = queues
        self._chef = chef

    def with_node_names(self, terminating: Sequence[Terminating]) -> Stage[Terminating]:
        """All of them, with what their hosts' variables say of their nodes. Raises what Tower.hosts_of raises."""
        if not self._chef:
            return Stage(terminating)
        from rollcall.chef.removal import with_facts_of_hosts  # imported where used: it slows a cold start

        actions = [each.action for each in terminating]
        completed = with_facts_of_hosts(actions, self._tower.hosts_of({action.instance_id for action in actions}))
        return Stage(
            [
                each._replace(action=action, has_host_facts=_says_more(action, each.action))
                for each, action in zip(terminating, completed, strict=True)
            ]
        )

    def remove(self, terminating: Sequence[Terminating]) -> Stage[Removed]:
        """All of them, after their hosts and nodes were removed, or the hosts of the resting disabled.

        What Tower or Chef keeps of one of them is in the result. Raises what Tower answers instead of hosts.
        """
        ids = {each.action.instance_id for each in terminating}
        resting = {each.action.instance_id for each in terminating if each.departure.destination == Destination.RESTING}
        try:
            removal = remove_from_every_inventory(self._tower, self._fleet, ids - resting)
        except RollcallError as error:  # some of the hosts may be gone by now
            return self._failed(terminating, error)
        rested = disable_hosts(self._tower, resting, self._settings.account, self._fleet.region)
        kept = removal.refusals.keys() | rested.errors.keys()
        nodes = self._remove_nodes([each.action for each in terminating if each.action.instance_id not in kept])
        batch = BatchRemoval(removal, rested, nodes)
        return Stage([Removed(*each, batch) for each in terminating])

    def _failed(self, terminating: Sequence[Terminating], error: RollcallError) -> Stage[Removed]:
        """All of them fail; but what the host of one said of its node is kept, should that host be gone by now."""
        kept: Stage[Never] = each_apart(
            [each.action for each in terminating if each.has_host_facts],
            itself,
            lambda action: keep_node_name(self._settings, self._fleet, self._queues, action, error),
        )
        return Stage(
            (), [*kept.left, *(Report(each.action, error=error) for each in terminating if not each.has_host_facts)]
        )

    def _remove_nodes(self, actions: Sequence[LifecycleAction]) -> NodeRemovalResult | None:
        if not self._chef:
            return None
        from rollcall.chef.removal import remove_nodes  # likewise

        return remove_nodes(self._chef, self._fleets, actions)


def _says_more(completed: LifecycleAction, before: LifecycleAction) -> bool:
    """Whether the action has facts of its node from its host's variables that its message did not have."""
    more = (completed.node_pattern, completed.private_dns) != (before.node_pattern, before.private_dns)
    return more and not completed.to_warm_pool
