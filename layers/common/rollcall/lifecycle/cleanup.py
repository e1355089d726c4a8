"""Terminating instances -> their hosts out of every inventory, their nodes out of Chef -> their hooks completed.

Auto Scaling is asked first what becomes of each: one that goes for good is removed, one that goes to a warm pool or
gets a new root volume has its hosts disabled, and one that stays is left alone, whatever the message says. Where jobs
may retire instances, a waiting one whose group wants that is handed to the gate. That the group is gone, or lost its
tags, keeps no host. Chef comes after Tower, so that nothing that is wrong there keeps a host. What only the host could
say of the node is then kept in a message of our own, until Chef is done with it.
"""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain import timing
from rollcall.domain.actions import Result, Transition
from rollcall.domain.empty import EMPTY
from rollcall.domain.errors import InstanceNotVisible, RollcallError
from rollcall.domain.message_format import write_action, written
from rollcall.domain.messages import RetireMessage
from rollcall.domain.reports import (
    NO_LONGER_WAITING,
    Event,
    Note,
    Report,
    failing,
    going,
    gone,
    notes_on_kept,
    without_refused,
)
from rollcall.domain.settings import asks_to_retire
from rollcall.domain.shell_commands import command
from rollcall.hosts.removal import remove_from_every_inventory, unreadable_inventories
from rollcall.hosts.resting import disable_hosts

from .destinations import Destination, departures
from .hook_answers import RETRY_IN, UNANSWERED_LIFE, each_apart, not_visible
from .unknown_instances import without_too_many_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

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

SETTLING_TIME = 120.0  # seconds from a message in which EC2 may come to agree that its instance is terminated
SENT_AGAIN = "tried again: AWS does not find its action, though Auto Scaling holds the instance"


class _Done(NamedTuple):
    """What was done about the instances of a batch.

    actions: theirs, with what their hosts said of their nodes; news: those that say more than their messages did.
    """

    actions: Sequence[LifecycleAction]
    news: Collection[LifecycleAction]
    departures: Mapping[str, Departure]
    removal: RemovalResult
    rested: DisabledHosts
    nodes: NodeRemovalResult | None

    def had_host(self, action: LifecycleAction) -> bool:
        """Whether an instance had a host until now."""
        return action.instance_id in self.removal.removed | self.rested.instance_ids

    def saw_host(self, action: LifecycleAction) -> bool:
        """Whether an instance had a host until now, or has one that an inventory keeps."""
        return self.had_host(action) or action.instance_id in self.removal.left_in


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
        reports: list[Report] = []
        by_fleet: defaultdict[Fleet, list[LifecycleAction]] = defaultdict(list)
        for action in going(actions, Transition.TERMINATING, reports):
            with failing([action], reports):
                by_fleet[self._fleets.of(action)].append(action)
        for fleet, own in by_fleet.items():
            with failing(own, reports):
                without_refused(own, reports, partial(self._clean_up, fleet, reports=reports))
        return reports

    def _clean_up(self, fleet: Fleet, actions: Sequence[LifecycleAction], reports: list[Report]) -> None:
        known = departures(fleet, {action.instance_id for action in actions})
        leaving = self._without_staying(fleet, actions, known, reports)
        unknown = {each for each, own in known.items() if own.unknown}
        leaving = without_too_many_unknown(self._tower, fleet, leaving, unknown, self._share, reports)
        if self._settings.retire_jobs:
            leaving = self._without_retiring(fleet, leaving, reports)
        leaving = [replace(each, to_warm_pool=known[each.instance_id].to_warm_pool) for each in leaving]
        with failing(leaving, reports):
            done = self._remove(fleet, leaving, known, reports)
            self._complete(fleet, done, reports)

    # Who goes

    def _without_staying(
        self,
        fleet: Fleet,
        actions: Sequence[LifecycleAction],
        known: Mapping[str, Departure],
        reports: list[Report],
    ) -> list[LifecycleAction]:
        """Those that do not stay.

        Of one that seems to, a hook that waits shows that AWS does not agree with itself. Where no hook waits, and no
        group has it, EC2 may only be late to say that it is terminated.
        """
        staying = [action for action in actions if known[action.instance_id].destination == Destination.STAYING]
        hooked = [action for action in staying if action.hook]
        is_open = each_apart(hooked, lambda each: each, fleet.heartbeat, reports)
        for action in staying:
            words, listed = known[action.instance_id].description, known[action.instance_id].listed
            if not action.held_by_hook and not listed and self._clock() - action.received_at < SETTLING_TIME:
                error = InstanceNotVisible(
                    f"{action.instance_id}: its group says that it is terminated, and yet {words}"
                )
                reports.append(Report(action, error=error))
            elif is_open.get(action):
                error = InstanceNotVisible(f"{action.instance_id}: its hook {action.hook!r} waits, and yet {words}")
                reports.append(Report(action, error=error))
            elif action.hook is None or action in is_open:
                reports.append(Report(action, f"{NO_LONGER_WAITING}: {words}"))
        return [action for action in actions if action not in staying]

    def _without_retiring(
        self, fleet: Fleet, actions: Sequence[LifecycleAction], reports: list[Report]
    ) -> list[LifecycleAction]:
        """Those whose group wants no job before they go; the others are handed to the gate."""
        waiting = [action for action in actions if action.held_by_hook and not action.retired]
        with failing(waiting, reports):
            groups = fleet.groups({action.group for action in waiting})
            by_group: defaultdict[str, list[LifecycleAction]] = defaultdict(list)
            for action in waiting:
                if action.group in groups and asks_to_retire(groups[action.group]):
                    by_group[action.group].append(action)
            for retiring in by_group.values():
                reports += self._handed_over(retiring)
        settled = {report.action for report in reports}
        return [action for action in actions if action not in settled]

    def _handed_over(self, retiring: Sequence[LifecycleAction]) -> Iterator[Report]:
        """One message for as many of a group as one job may hold; the queue may take one and not another."""
        messages = [
            part
            for batch in batched(retiring, self._settings.max_hosts_per_job)
            for part in written(RetireMessage(retiring=batch, job_id=None, since=self._clock(), heartbeat_at=0))
        ]
        errors = self._queues.send_each(self._settings.gate_queue_url, [(text, 0) for _, text in messages])
        for (message, _), error in zip(messages, errors, strict=True):
            for action in message.retiring:
                outcome = "handed to the gate: its group retires instances"
                yield Report(action, error=error) if error else Report(action, outcome)

    # Their hosts and nodes

    def _remove(
        self, fleet: Fleet, actions: Sequence[LifecycleAction], known: Mapping[str, Departure], reports: list[Report]
    ) -> _Done:
        ids = {action.instance_id for action in actions}
        resting = {each for each in ids if known[each].destination == Destination.RESTING}
        informed = self._with_node_names(actions, ids)
        news = {each for each, before in zip(informed, actions, strict=True) if _says_more(each, before)}
        try:
            removal = remove_from_every_inventory(self._tower, fleet, ids - resting)
        except RollcallError as error:  # some of the hosts may be gone by now
            for action in news:
                self._keep_node_name(fleet, action, error, reports)
            raise
        rested = disable_hosts(self._tower, resting, self._settings.account, fleet.region)
        kept = removal.refusals.keys() | rested.errors.keys()
        nodes = self._remove_nodes([each for each in informed if each.instance_id not in kept])
        return _Done(informed, news, known, removal, rested, nodes)

    def _with_node_names(self, actions: Sequence[LifecycleAction], ids: Collection[str]) -> Sequence[LifecycleAction]:
        """The actions with what the hosts say of the nodes: soon they cannot be asked any more."""
        if not self._chef:
            return actions
        from rollcall.chef.removal import with_told  # only those pay for it in a cold start who use it

        return with_told(actions, self._tower.hosts_of(ids))

    def _remove_nodes(self, actions: Sequence[LifecycleAction]) -> NodeRemovalResult | None:
        if not self._chef:
            return None
        from rollcall.chef.removal import remove_nodes  # likewise

        return remove_nodes(self._chef, self._fleets, actions)

    def _keep_node_name(
        self,
        fleet: Fleet,
        action: LifecycleAction,
        error: RollcallError,
        reports: list[Report],
        event: Event | None = None,
    ) -> None:
        """A message that has what its host said takes the place of the action's own, which cannot learn it any more."""
        with failing([action], reports):
            self._queues.send(self._settings.terminate_queue_url, [(write_action(action), timing.KEPT_RETRY)])
            if action.held_by_hook:
                fleet.heartbeat(action)
            outcome = "tried again with what its host told of its node"
            reports.append(Report(action, outcome, event=event, notes=(Note(str(error)),)))

    # Their hooks

    def _complete(self, fleet: Fleet, done: _Done, reports: list[Report]) -> None:
        free = [action for action in done.actions if self._is_free(fleet, action, done, reports)]
        free = self._without_unread(fleet, free, done, reports)
        hooked = [action for action in free if action.held_by_hook]
        open_until_now = each_apart(
            hooked, lambda each: each, lambda each: fleet.complete(each, Result.CONTINUE), reports
        )
        unfound = [action for action, was_open in open_until_now.items() if not was_open]
        with failing(unfound, reports):
            for action in fleet.held(unfound):
                with failing([action], reports):
                    reports.append(self._unanswered(action, done.removal))
        reported = {report.action for report in reports}
        reports += [
            self._report(action, done, was_open=open_until_now.get(action, False))
            for action in free
            if action not in reported
        ]

    def _without_unread(
        self, fleet: Fleet, actions: Sequence[LifecycleAction], done: _Done, reports: list[Report]
    ) -> list[LifecycleAction]:
        """Those that a hook does not hold, or of which a host would have been seen."""
        doubtful = [each for each in actions if each.held_by_hook and not done.saw_host(each)]
        with failing(doubtful, reports):
            errors = unreadable_inventories(self._tower, fleet, doubtful)
            hidden = [each for each in doubtful if each.instance_id in errors]
            is_open = each_apart(hidden, lambda each: each, fleet.heartbeat, reports)
            reports += [Report(each, error=errors[each.instance_id]) for each in hidden if is_open.get(each)]
        reported = {report.action for report in reports}
        return [each for each in actions if each not in reported]

    def _unanswered(self, action: LifecycleAction, removal: RemovalResult) -> Report:
        """Of an action that AWS does not find, though Auto Scaling holds its instance: no success, and tried again.

        At first a message that says since when takes the place of its own. Raises ActionNotVisible for two minutes.
        """
        if action.unanswered_since is None:
            body = write_action(replace(action, unanswered_since=self._clock()))
            self._queues.send(self._settings.terminate_queue_url, [(body, RETRY_IN)])
            return Report(action, SENT_AGAIN)
        if self._clock() - action.unanswered_since < UNANSWERED_LIFE:
            raise not_visible(action)
        return Report(action, NO_LONGER_WAITING, notes=tuple(notes_on_kept(removal, action.instance_id)))

    def _is_free(self, fleet: Fleet, action: LifecycleAction, done: _Done, reports: list[Report]) -> bool:
        """Whether nothing keeps an action from being completed; if something does, that is reported."""
        before = len(reports)
        with failing([action], reports):
            if error := done.removal.refusals.get(action.instance_id) or done.rested.errors.get(action.instance_id):
                raise error
            trouble = done.nodes.troubles.get(action.instance_id) if done.nodes else None
            # Where a hook waits it is published when that is answered. Otherwise now: the next try finds no host.
            meanwhile = Event.RETIRED if done.had_host(action) and not action.held_by_hook else None
            if trouble and action in done.news:
                self._keep_node_name(fleet, action, trouble, reports, meanwhile)
            elif trouble and not self._waited_long_enough(fleet, action):
                reports.append(Report(action, error=trouble, event=meanwhile))
        return len(reports) == before

    def _waited_long_enough(self, fleet: Fleet, action: LifecycleAction) -> bool:
        """Whether a termination goes on without Chef. Where nothing waits there is no haste."""
        if not action.hook:
            return False
        groups = fleet.groups({action.group})
        return self._clock() - action.received_at >= timing.patience_with_chef(groups, action)

    def _report(self, action: LifecycleAction, done: _Done, *, was_open: bool) -> Report:
        """was_open: a hook waited until now. Where none did, nothing goes on that did not before."""
        known = done.departures[action.instance_id]
        told = was_open or done.had_host(action)
        # Of any other an earlier message reported what an inventory keeps, or reconcile does.
        removal = done.removal if told else replace(done.removal, left_in=EMPTY)
        trouble = done.nodes.troubles.get(action.instance_id) if done.nodes else None
        node = done.nodes.names.get(action.instance_id) if done.nodes else None
        if trouble:
            words = f"the termination goes on, and its node and client may be left in Chef: {trouble}"
            notes = (Note(words, alert=True),) if was_open else ()
            return gone(action, "struck off, but not from Chef", removal, told=told, notes=notes)
        outcome = f"struck off, and from Chef as {node}" if node else "struck off"
        if action.held_by_hook and not told and not node:
            outcome = NO_LONGER_WAITING
        elif known.destination == Destination.RESTING:
            outcome = f"its host is disabled: {known.description}"
        notes = (
            (_retained(action, known),) if known.destination == Destination.RETAINED and done.had_host(action) else ()
        )
        troubled = False if action.retired else None
        return gone(action, outcome, removal, told=told, notes=notes, troubled=troubled)


def _retained(action: LifecycleAction, known: Departure) -> Note:
    terminate = ("aws", "autoscaling", "terminate-instance-in-auto-scaling-group", "--instance-id", action.instance_id)
    words = (
        f"{known.description}: its group's lifecycle policy keeps it running, and it is billed until it is terminated: "
        f"look at it, and then: {command(*terminate, '--no-should-decrement-desired-capacity')}"
    )
    return Note(words, alert=True)


def _says_more(informed: LifecycleAction, before: LifecycleAction) -> bool:
    """Whether a host said of its node what the message did not."""
    more = (informed.node_pattern, informed.private_dns) != (before.node_pattern, before.private_dns)
    return more and not informed.to_warm_pool
