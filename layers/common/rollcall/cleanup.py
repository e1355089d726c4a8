"""Terminating instances -> their hosts out of every inventory, their nodes out of Chef -> their hooks completed.

Where jobs may retire instances, AWS is asked whether a waiting one's group wants that before it goes. Then it is
handed to the gate. That the group is gone, or lost its tags, keeps no host. Chef comes after Tower, so that nothing
that is wrong there keeps a host. What only the host could tell of the node is then kept in a message of our own, until
Chef is done with it.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

from . import waiting as timing
from .errors import RollcallError
from .events import write_action, write_gate_message
from .model import Result, RetireMessage, Transition
from .removal import strike_off
from .reports import Event, Note, Report, failing, going, gone
from .settings import asks_to_retire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .chef import Chef
    from .chef_removal import NodesStruckOff
    from .fleet import Fleet, Fleets
    from .model import LifecycleAction
    from .queues import Queues
    from .removal import StruckOff
    from .settings import Settings
    from .tower import Tower

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
        if self._settings.retire_jobs:
            self._hand_to_the_gate(distinct, reports)
        settled = {report.action for report in reports}
        leaving = [action for action in distinct if action not in settled]
        ids = {action.instance_id for action in leaving}
        with failing(leaving, reports):
            told = self._with_told(leaving, ids)
            news = {each for each, before in zip(told, leaving, strict=True) if _tells_more(each, before)}
            try:
                struck = strike_off(self._tower, ids)
            except RollcallError as error:  # some of the hosts may be gone by now
                for action in news:
                    self._keep_told(action, error, reports)
                raise
            nodes = self._strike_nodes_off([each for each in told if each.instance_id not in struck.refusals])
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(partial(self._complete, reports, struck, nodes, news), told))
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

    def _with_told(self, actions: Sequence[LifecycleAction], ids: Collection[str]) -> Sequence[LifecycleAction]:
        """The actions with what the hosts tell of the nodes: soon nobody can ask them any more."""
        if not self._chef:
            return actions
        from .chef_removal import with_told  # only those pay for it in a cold start who use it

        return with_told(actions, self._tower.hosts_of(ids))

    def _strike_nodes_off(self, actions: Sequence[LifecycleAction]) -> NodesStruckOff | None:
        if not self._chef:
            return None
        from .chef_removal import strike_nodes_off  # likewise

        return strike_nodes_off(self._chef, self._fleets, actions)

    def _keep_told(
        self, action: LifecycleAction, error: RollcallError, reports: list[Report], event: Event | None = None
    ) -> None:
        """A message that has what its host told takes the place of the action's own, which cannot learn it any more."""
        with failing([action], reports):
            self._queues.send(self._settings.terminate_queue_url, [(write_action(action), timing.KEPT_RETRY)])
            if action.awaited:
                self._fleets.of(action).heartbeat(action)
            outcome = "tried again with what its host told of its node"
            reports.append(Report(action, outcome, event=event, notes=(Note(str(error)),)))

    def _complete(
        self,
        reports: list[Report],
        struck: StruckOff,
        nodes: NodesStruckOff | None,
        news: Collection[LifecycleAction],
        action: LifecycleAction,
    ) -> None:
        with failing([action], reports):
            if refusal := struck.refusals.get(action.instance_id):
                raise refusal
            trouble = nodes.troubles.get(action.instance_id) if nodes else None
            removed = action.instance_id in struck.removed
            # Where a hook waits it is told when that is answered. Otherwise now: the next try finds no host to tell of.
            meanwhile = Event.RETIRED if removed and not action.awaited else None
            if trouble and action in news:
                self._keep_told(action, trouble, reports, meanwhile)
                return
            if trouble and not self._waited_long_enough(action):
                reports.append(Report(action, error=trouble, event=meanwhile))
                return
            was_open = action.awaited and self._fleets.of(action).complete(action, Result.CONTINUE)
            node = nodes.names.get(action.instance_id) if nodes else None
            reports.append(_report(action, node, trouble, was_open=was_open, removed=removed))

    def _waited_long_enough(self, action: LifecycleAction) -> bool:
        """Whether a termination goes on without Chef. Where nothing waits there is no haste."""
        if not action.hook:
            return False
        groups = self._fleets.of(action).groups({action.group})
        return self._clock() - action.received_at >= timing.patience_with_chef(groups, action)


def _tells_more(told: LifecycleAction, before: LifecycleAction) -> bool:
    """Whether a host told of its node what the message did not."""
    more = (told.node_pattern, told.private_dns) != (before.node_pattern, before.private_dns)
    return more and not told.to_warm_pool


def _report(
    action: LifecycleAction, node: str | None, trouble: RollcallError | None, *, was_open: bool, removed: bool
) -> Report:
    """was_open: a hook waited until now. Where none did, nothing goes on that did not before."""
    told = was_open or removed
    if trouble:
        words = f"the termination goes on, and its node and client may be left in Chef: {trouble}"
        notes = (Note(words, alert=True),) if was_open else ()
        return gone(action, "struck off, but not from Chef", None, told=told, notes=notes)
    outcome = f"struck off, and from Chef as {node}" if node else "struck off"
    return gone(action, outcome, None, told=told, troubled=False if action.retired else None)
