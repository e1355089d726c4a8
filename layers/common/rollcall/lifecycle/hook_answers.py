"""Answering lifecycle actions: a few at once, and what it means that AWS does not find one.

An action that is not found is finished work: the hook was answered, or its time was over. But right after an action
began it also happens while Auto Scaling still shows the instance as held, and passes by itself; or the hold is another
hook's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.client import AWS_CALLS_AT_ONCE
from rollcall.domain.errors import ActionNotVisible
from rollcall.domain.stages import each_apart, itself
from rollcall.domain.timing import UNANSWERED_LIFE, UNANSWERED_RETRY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from rollcall.aws.fleet import Fleet
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.reports import Report
    from rollcall.domain.stages import Stage


class HookAnswer[T](NamedTuple):
    """What AWS answered about the lifecycle action of an item. is_open: whether it found the action."""

    item: T
    is_open: bool


def hook_answers[T](
    items: Iterable[T],
    action_of: Callable[[T], LifecycleAction],
    call: Callable[[LifecycleAction], bool],
) -> Stage[HookAnswer[T]]:
    """Make one call for the action of each item, a few at once: Fleet.heartbeat, or Fleet.complete with a result.

    An item whose call fails leaves with the error.
    """
    return each_apart(items, action_of, lambda each: HookAnswer(each, call(action_of(each))), at_once=AWS_CALLS_AT_ONCE)


def answers_by_action(
    actions: Collection[LifecycleAction], call: Callable[[LifecycleAction], bool]
) -> tuple[dict[LifecycleAction, bool], Sequence[Report]]:
    """The same for actions alone: whether AWS found each, and the reports of those of which the call failed."""
    stage = hook_answers(actions, itself, call)
    return {each.item: each.is_open for each in stage.going_on}, stage.left


def require_visible(fleet: Fleet, actions: Sequence[LifecycleAction], now: float) -> None:
    """Raise ActionNotVisible if Auto Scaling still holds the instance of one of these actions that AWS did not find.

    Not for longer than two minutes after their message was first received. now in epoch seconds.
    """
    recent = [action for action in actions if now - action.received_at < UNANSWERED_LIFE]
    for action in fleet.held(recent):
        raise not_visible(action)


def not_visible(action: LifecycleAction) -> ActionNotVisible:
    """The error of an action that AWS does not find, though Auto Scaling holds its instance."""
    return ActionNotVisible(
        f"Auto Scaling holds {action.instance_id} of group {action.group!r}, and does not find the action of hook "
        f"{action.hook!r}: it is tried again for {UNANSWERED_LIFE:.0f} s",
        retry_in=UNANSWERED_RETRY,
    )
