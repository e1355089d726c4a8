"""Terminating instances -> their hosts out of every inventory -> their hooks completed.

Only one thing is asked of AWS: whether a waiting instance's group wants a job to run on it before it goes. Then it is
handed to the gate, which does the rest. That the group is gone, or lost its tags, keeps no host.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from .events import write_gate_message
from .model import Result, RetireMessage, Transition
from .removal import strike_off
from .reports import Report, failing, going
from .settings import asks_to_retire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .fleet import Fleet, Fleets
    from .model import LifecycleAction
    from .queues import Queues
    from .settings import Settings
    from .tower import DeleteRefused, Tower

CALLS_AT_ONCE = 8


class Cleanup:
    """Strikes terminating instances off, in batches. clock() is this machine's, in epoch seconds."""

    def __init__(
        self, settings: Settings, tower: Tower, fleets: Fleets, queues: Queues, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleets = fleets
        self._queues = queues
        self._clock = clock

    def clean_up(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action. A hook is completed only once no inventory holds the instance's host."""
        reports: list[Report] = []
        distinct = going(actions, Transition.TERMINATING, reports)
        self._hand_to_the_gate(distinct, reports)
        settled = {report.action for report in reports}
        leaving = [action for action in distinct if action not in settled]
        with failing(leaving, reports):
            refusals = strike_off(self._tower, {action.instance_id for action in leaving})
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(partial(self._complete, reports, refusals), leaving))
        return reports

    def _hand_to_the_gate(self, actions: Sequence[LifecycleAction], reports: list[Report]) -> None:
        """Those whose group wants a job before they go; one message for as many of a group as one job may hold."""
        by_fleet: defaultdict[Fleet, list[LifecycleAction]] = defaultdict(list)
        for action in actions:
            with failing([action], reports):
                if action.hook:
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

    def _complete(self, reports: list[Report], refusals: Mapping[str, DeleteRefused], action: LifecycleAction) -> None:
        with failing([action], reports):
            if refusal := refusals.get(action.instance_id):
                raise refusal
            if action.hook:
                self._fleets.of(action).complete(action, Result.CONTINUE)
            reports.append(Report(action, "struck off"))
