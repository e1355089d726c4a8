"""Terminating instances whose hosts are gone or disabled: their hooks completed, and what became of them reported."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain import timing
from rollcall.domain.actions import Result
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.reports import NO_LONGER_WAITING, Event, Note, Report, gone, notes_on_kept
from rollcall.domain.shell_commands import command
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, parted
from rollcall.domain.timing import UNANSWERED_LIFE
from rollcall.hosts.removal import unreadable_inventories

from .destinations import Destination
from .hook_answers import HookAnswer, hook_answers, not_visible
from .terminate_messages import keep_node_name, try_again_unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Never

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .termination_removal import Removed


class TerminationCompletion:
    """Completes the hooks of one fleet's terminating instances. clock() is this machine's, in epoch seconds."""

    def __init__(
        self, settings: Settings, tower: Tower, fleet: Fleet, queues: Queues, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._clock = clock

    def complete(self, removed: Sequence[Removed]) -> Stage[Never]:
        """Complete the hooks of those whose hosts and nodes are gone. None goes on: cleanup is done with them."""
        return (
            # Errors: Tower keeps the host; Chef keeps the node, unless its hook has waited for long enough.
            each_apart(removed, action_of, self._released)
            # Errors: a host may be left in an inventory that cannot be read.
            .then(self._without_unread)
            # Errors: AWS does not complete the hook.
            .then(self._answered)
            # Errors, and later done: Auto Scaling holds the instance, and AWS does not find its action.
            .then(self._without_unanswered)
            # Done: all others.
            .apart(lambda each: each.item.action, _report)
        )

    def _released(self, removed: Removed) -> Removed | Report:
        """One that neither a host nor a node keeps from being completed. Raises the error that Tower keeps a host for.

        Where a hook waits it is published when that is answered. Otherwise now: the next try finds no host.
        """
        if removed.refusal:
            raise removed.refusal
        action, error = removed.action, removed.node_error
        if error is None:
            return removed
        is_last_sight = removed.had_host and not action.held_by_hook
        meanwhile, notes = (Event.RETIRED, _retained(removed)) if is_last_sight else (None, ())
        if removed.has_host_facts:
            kept = keep_node_name(self._settings, self._fleet, self._queues, action, error, meanwhile)
            return replace(kept, notes=(*kept.notes, *notes))
        if not self._waited_long_enough(action):
            return Report(action, error=error, event=meanwhile, notes=notes)
        return removed

    def _waited_long_enough(self, action: LifecycleAction) -> bool:
        """Whether a termination goes on without Chef. Where nothing waits there is no haste."""
        if not action.held_by_hook:
            return False
        groups = self._fleet.groups({action.group})
        return self._clock() - action.received_at >= timing.patience_with_chef(groups, action)

    def _without_unread(self, removed: Sequence[Removed]) -> Stage[Removed]:
        """Where a hook waits, and no host was found, one may be left in an inventory that cannot be read."""
        doubtful = [each for each in removed if each.action.held_by_hook and not each.host_was_found]
        return parted(removed, action_of, all_together(doubtful, action_of, self._read).left)

    def _read(self, doubtful: Sequence[Removed]) -> Stage[Removed]:
        """Those whose group's inventory can be read, and those that no hook waits for any more."""
        errors = unreadable_inventories(self._tower, self._fleet, [each.action for each in doubtful])
        hidden = [each for each in doubtful if each.action.instance_id in errors]
        answers = hook_answers(hidden, action_of, self._fleet.heartbeat)
        waiting = [each.item.action for each in answers.going_on if each.is_open]
        read = [each for each in doubtful if each.action.instance_id not in errors]
        gone_on = [each.item for each in answers.going_on if not each.is_open]
        reports = [Report(each, error=errors[each.instance_id]) for each in waiting]
        return Stage([*read, *gone_on], [*answers.left, *reports])

    def _answered(self, removed: Sequence[Removed]) -> Stage[HookAnswer[Removed]]:
        """The hooks completed; is_open: a hook waited until now."""
        return hook_answers(removed, action_of, self._complete)

    def _complete(self, action: LifecycleAction) -> bool:
        return action.held_by_hook and self._fleet.complete(action, Result.CONTINUE)

    def _without_unanswered(self, answers: Sequence[HookAnswer[Removed]]) -> Stage[HookAnswer[Removed]]:
        unfound = [each.item for each in answers if each.item.action.held_by_hook and not each.is_open]
        left = all_together(unfound, action_of, self._not_held).left
        return parted(answers, lambda each: each.item.action, left)

    def _not_held(self, unfound: Sequence[Removed]) -> Stage[Removed]:
        held = self._fleet.held([each.action for each in unfound])
        return each_apart(unfound, action_of, lambda each: self._unanswered(each) if each.action in held else each)

    def _unanswered(self, removed: Removed) -> Report:
        """Of an action that AWS does not find, though Auto Scaling holds its instance: no success, and tried again.

        At first a message that has since when takes the place of its own. Raises ActionNotVisible for two minutes.
        """
        action = removed.action
        if action.unanswered_since is None:
            return try_again_unanswered(self._settings, self._queues, action, self._clock())
        if self._clock() - action.unanswered_since < UNANSWERED_LIFE:
            raise not_visible(action)
        notes = tuple(notes_on_kept(removed.batch.hosts, action.instance_id))
        return Report(action, NO_LONGER_WAITING, notes=notes)


def _report(answer: HookAnswer[Removed]) -> Report:
    """What became of an instance. Where no hook waited until now, nothing goes on that did not before."""
    removed, was_open = answer
    action = removed.action
    published = was_open or removed.had_host
    # Of any other an earlier message reported what an inventory keeps, or reconcile does.
    removal = removed.batch.hosts if published else replace(removed.batch.hosts, left_in=EMPTY_MAPPING)
    notes = _retained(removed)
    if error := removed.node_error:
        words = f"the termination goes on, and its node and client may be left in Chef: {error}"
        in_chef = (Note(words, alert=True),) if was_open else ()
        outcome = "removed from every inventory, but not from Chef"
        return gone(action, outcome, removal, published=published, notes=(*notes, *in_chef))
    alerted_before = False if action.retire_job_over else None
    return gone(
        action, _outcome(removed, published), removal, published=published, notes=notes, alerted_before=alerted_before
    )


def _outcome(removed: Removed, published: bool) -> str:
    if removed.action.held_by_hook and not published and not removed.node:
        return NO_LONGER_WAITING
    if removed.departure.destination == Destination.RESTING:
        return f"its host is disabled: {removed.departure.description}"
    if removed.node:
        return f"removed from every inventory, and from Chef as {removed.node}"
    return "removed from every inventory"


def _retained(removed: Removed) -> tuple[Note, ...]:
    """What an operator is to know of an instance that its group keeps running; nothing once its host is gone."""
    action, departure = removed.action, removed.departure
    if departure.destination != Destination.RETAINED or not removed.had_host:
        return ()
    terminate = ("aws", "autoscaling", "terminate-instance-in-auto-scaling-group", "--instance-id", action.instance_id)
    words = (
        f"{departure.description}: its group's lifecycle policy keeps it running, and it is billed until it is "
        f"terminated: examine it, and then: {command(*terminate, '--no-should-decrement-desired-capacity')}"
    )
    return (Note(words, alert=True),)
