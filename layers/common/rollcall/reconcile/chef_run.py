"""Chef and EC2 made to agree: nodes whose instances are gone are removed with their clients, after Tower's hosts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rollcall.chef.removal import CALLS_AT_ONCE, NamedNode, remove_node
from rollcall.domain.errors import RollcallError
from rollcall.hosts.removal_limit import is_too_many

from .chef_plan import plan_nodes
from .chef_reader import patterns_of, read_nodes
from .steps import NodePlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.messages import RunOptions

    from .result import RunOutcome
    from .snapshot import Snapshot
    from .steps import NodeRemoval


class ChefReconcile:
    """The part of a run that is about Chef. outcome takes what comes of it, and what goes wrong."""

    def __init__(self, chef: Chef, fleet: Fleet, outcome: RunOutcome, in_time: Callable[[], bool]) -> None:
        self._chef = chef
        self._fleet = fleet
        self._outcome = outcome
        self._in_time = in_time

    def run(self, seen: Snapshot, options: RunOptions, share: float, *, dry_run: bool) -> None:
        """Nothing is done, nor asked, where no group's nodes are in Chef. share: of our nodes that may go at once."""
        patterns = patterns_of(seen, options)
        if not patterns:
            return
        nodes = self._outcome.nodes
        with self._telling("nodes in Chef"):
            nodes.plan = plan_nodes(read_nodes(self._chef, self._fleet, seen, patterns, options))
            if is_too_many(len(nodes.plan.removals), nodes.plan.ours, share):
                nodes.plan, nodes.stopped = NodePlan(nodes.plan.ours), nodes.plan.removals
        if not dry_run:
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(self._remove, nodes.plan.removals))

    def _remove(self, removal: NodeRemoval) -> None:
        if not self._in_time():
            self._outcome.left += 1
            return
        with self._telling(f"node {removal.node} in Chef"):
            if remove_node(self._chef, NamedNode(removal.node, removal.instance_id, removal.certain)):
                self._outcome.nodes.removed.append(removal)

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except RollcallError as error:
            self._outcome.troubles[what] = error
