"""Terminating instances -> their hosts out of every inventory, their nodes out of Chef -> their hooks completed.

AWS is asked for one thing only: whether a waiting instance's group wants a job to run on it before it goes. Then it is
handed to the gate. That the group is gone, or lost its tags, keeps no host. Chef comes after Tower, so that nothing
that is wrong there keeps a host.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from . import waiting as timing
from .events import write_gate_message
from .model import Result, RetireMessage, Transition
from .removal import strike_off
from .reports import Report, failing, going
from .settings import asks_to_retire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .chef import Chef
    from .chef_removal import NodesStruckOff
    from .errors import RollcallError
    from .fleet import Fleet, Fleets
    from .model import Host, LifecycleAction
    from .queues import Queues
    from .settings import Settings
    from .tower import DeleteRefused, Tower

CALLS_AT_ONCE = 8


class Cleanup:
    """Strikes terminating instances off, in batches.

    clock() is this machine's, in epoch seconds. chef: None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleets: Fleets,
        queues: Queues,
        clock: Callable[[], float],
        chef: Chef | None = None,
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock
        self._chef = chef

    def clean_up(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action.

        A hook is completed only once no inventory holds the instance's host, and its node and client are gone from Chef
        or were waited for long enough.
        """
        reports: list[Report] = []
        distinct = going(actions, Transition.TERMINATING, reports)
        self._hand_to_the_gate(distinct, reports)
        settled = {report.action for report in reports}
        leaving = [action for action in distinct if action not in settled]
        ids = {action.instance_id for action in leaving}
        with failing(leaving, reports):
            hosts = self._tower.hosts_of(ids) if self._chef else []  # soon nobody can ask what they tell of the nodes
            refusals = strike_off(self._tower, ids)
            nodes = self._strike_nodes_off([each for each in leaving if each.instance_id not in refusals], hosts)
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(partial(self._complete, reports, refusals, nodes), leaving))
        return reports

    def _hand_to_the_gate(self, actions: Sequence[LifecycleAction], reports: list[Report]) -> None:
        """Those whose group wants a job before they go; one message for as many of a group as one job may hold."""
        by_fleet: defaultdict[Fleet, list[LifecycleAction]] = defaultdict(list)
        for action in actions:
            with failing([action], reports):
                if action.awaited and not action.retired:
                    by_fleet[self._fleets.of(action)].append(action)
        for fleet, own in by_fleet.items():
            with failing(own, reports):
                groups = fleet.groups({action.group for action in own})
                by_group: defaultdict[str, list[LifecycleAction]] = defaultdict(list)
                for action in own:
                    if action.group in groups and asks_to_retire(groups[action.group]):
                        by_group[action.group].append(action)
                for retiring in by_group.values():
                    self._send(retiring)
                    reports += [
                        Report(action, "handed to the gate: its group retires instances") for action in retiring
                    ]

    def _send(self, retiring: Sequence[LifecycleAction]) -> None:
        messages = [
            RetireMessage(retiring=batch, job_id=None, since=self._clock(), heartbeat_at=0)
            for batch in batched(retiring, self._settings.max_hosts_per_job)
        ]
        self._queues.send(self._settings.gate_queue_url, [(write_gate_message(each), 0) for each in messages])

    def _strike_nodes_off(self, actions: Sequence[LifecycleAction], hosts: Sequence[Host]) -> NodesStruckOff | None:
        if not self._chef:
            return None
        from .chef_removal import strike_nodes_off  # only those pay for it in a cold start who use it

        return strike_nodes_off(self._chef, self._fleets, actions, hosts)

    def _complete(
        self,
        reports: list[Report],
        refusals: Mapping[str, DeleteRefused],
        nodes: NodesStruckOff | None,
        action: LifecycleAction,
    ) -> None:
        with failing([action], reports):
            if refusal := refusals.get(action.instance_id):
                raise refusal
            trouble = nodes.troubles.get(action.instance_id) if nodes else None
            if trouble and not self._waited_long_enough(action):
                raise trouble
            if action.awaited:
                self._fleets.of(action).complete(action, Result.CONTINUE)
            reports.append(_report(action, nodes.names.get(action.instance_id) if nodes else None, trouble))

    def _waited_long_enough(self, action: LifecycleAction) -> bool:
        """Whether a termination goes on without Chef. Where nothing waits there is no haste."""
        if not action.hook:
            return False
        groups = self._fleets.of(action).groups({action.group})
        return self._clock() - action.received_at >= timing.patience_with_chef(groups, action)


def _report(action: LifecycleAction, node: str | None, trouble: RollcallError | None) -> Report:
    if trouble:
        alert = f"the termination goes on, and its node and client may be left in Chef: {trouble}"
        return Report(action, "struck off, but not from Chef", alert=alert)
    return Report(action, f"struck off, and from Chef as {node}" if node else "struck off")
