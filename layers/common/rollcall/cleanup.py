"""Terminating instances -> their hosts out of every inventory, their nodes out of Chef -> their hooks completed.

Nothing is asked of AWS for the hosts: whether the group still exists, or still carries its tags, makes no difference to
a host whose instance goes. Chef comes after Tower, so that nothing that is wrong there keeps a host.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from .chef_removal import NodesStruckOff, strike_nodes_off, waited_long_enough
from .model import Result, Transition
from .removal import strike_off
from .reports import Report, failing, going

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .chef import Chef
    from .errors import RollcallError
    from .fleet import Fleets
    from .model import LifecycleAction
    from .tower import DeleteRefused, Tower

CALLS_AT_ONCE = 8


class Cleanup:
    """Strikes terminating instances off, in batches. chef: None where there is none. now: in epoch seconds."""

    def __init__(
        self, tower: Tower, fleets: Fleets, chef: Chef | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._tower = tower
        self._fleets = fleets
        self._chef = chef
        self._now = now

    def clean_up(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action.

        A hook is completed only once no inventory holds the instance's host, and its node and client are gone from Chef
        or were waited for long enough.
        """
        reports: list[Report] = []
        distinct = going(actions, Transition.TERMINATING, reports)
        ids = {action.instance_id for action in distinct}
        with failing(distinct, reports):
            hosts = self._tower.hosts_of(ids) if self._chef else []  # soon nobody can ask what they tell of the nodes
            refusals = strike_off(self._tower, ids)
            nodes = NodesStruckOff()
            if self._chef:
                free = [action for action in distinct if action.instance_id not in refusals]
                nodes = strike_nodes_off(self._chef, self._fleets, free, hosts)
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(partial(self._complete, reports, refusals, nodes), distinct))
        return reports

    def _complete(
        self,
        reports: list[Report],
        refusals: Mapping[str, DeleteRefused],
        nodes: NodesStruckOff,
        action: LifecycleAction,
    ) -> None:
        with failing([action], reports):
            if refusal := refusals.get(action.instance_id):
                raise refusal
            trouble = nodes.troubles.get(action.instance_id)
            if trouble and not waited_long_enough(self._fleets, action, self._now()):
                raise trouble
            if action.hook:
                self._fleets.of(action).complete(action, Result.CONTINUE)
            reports.append(_report(action, nodes.names.get(action.instance_id), trouble))


def _report(action: LifecycleAction, node: str | None, trouble: RollcallError | None) -> Report:
    if trouble:
        alert = f"the termination goes on, and its node and client may be left in Chef: {trouble}"
        return Report(action, "struck off, but not from Chef", alert=alert)
    return Report(action, f"struck off, and from Chef as {node}" if node else "struck off")
