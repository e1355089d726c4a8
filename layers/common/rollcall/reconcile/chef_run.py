"""Chef and EC2 made to agree: nodes whose instances are gone are removed with their clients, after Tower's hosts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rollcall.chef.removal import CHEF_CALLS_AT_ONCE, NamedNode, remove_node
from rollcall.domain.errors import RollcallError
from rollcall.hosts.removal_limit import is_too_many

from .chef_plan import plan_nodes
from .chef_reader import patterns_of, read_nodes
from .result import Applied, NodesOutcome, StepError
from .steps import NodePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.messages import RunOptions

    from .snapshot import Snapshot
    from .steps import NodeRemoval


class ChefReconcile:
    """The part of a run that is about Chef: first plan(), then apply(). in_time: whether another node may be begun."""

    def __init__(self, chef: Chef, fleet: Fleet, in_time: Callable[[], bool]) -> None:
        self._chef = chef
        self._fleet = fleet
        self._in_time = in_time

    def plan(self, snapshot: Snapshot, options: RunOptions, share: float) -> NodesOutcome:
        """What is to be removed, within the removal limit. Nothing is read where no group's nodes are in Chef.

        share: the fraction of our nodes that may go at once. Raises what Chef or AWS did not answer.
        """
        patterns = patterns_of(snapshot, options)
        if not patterns:
            return NodesOutcome()
        planned = plan_nodes(read_nodes(self._chef, self._fleet, snapshot, patterns, options))
        if is_too_many(len(planned.removals), planned.ours, share):
            return NodesOutcome(NodePlan(planned.ours), stopped=planned.removals)
        return NodesOutcome(planned)

    def apply(self, removals: Iterable[NodeRemoval]) -> Iterator[Applied]:
        """What came of each removal."""
        with ThreadPoolExecutor(CHEF_CALLS_AT_ONCE) as pool:
            yield from pool.map(self._remove, removals)

    def _remove(self, removal: NodeRemoval) -> Applied:
        if not self._in_time():
            return Applied(left=1)
        try:
            is_removed = remove_node(self._chef, NamedNode(removal.node, removal.instance_id, removal.certain))
        except RollcallError as error:
            return Applied(errors=(StepError(f"node {removal.node} in Chef", error),))
        return Applied(nodes=(removal,) if is_removed else ())
