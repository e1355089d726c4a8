"""Messages that take the place of a terminate action's own, with what that does not hold."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain import timing
from rollcall.domain.message_format import write_action
from rollcall.domain.reports import Note, Report
from rollcall.domain.timing import UNANSWERED_RETRY

if TYPE_CHECKING:
    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.errors import RollcallError
    from rollcall.domain.reports import Event
    from rollcall.domain.settings import Settings

SENT_AGAIN = "tried again: AWS does not find its action, though Auto Scaling holds the instance"


def keep_node_name(
    settings: Settings,
    fleet: Fleet,
    queues: Queues,
    action: LifecycleAction,
    error: RollcallError,
    event: Event | None = None,
) -> Report:
    """Send a message with what the host's variables said of its node: once the host is gone they cannot be read.

    error: why it is tried again. event: what is published of the instance meanwhile. Raises why the queue did not take
    it, and what AWS answers to the heartbeat.
    """
    queues.send(settings.terminate_queue_url, [(write_action(action), timing.KEPT_RETRY)])
    if action.held_by_hook:
        fleet.heartbeat(action)
    return Report(
        action, "tried again with what its host's variables said of its node", event=event, notes=(Note(str(error)),)
    )


def try_again_unanswered(settings: Settings, queues: Queues, action: LifecycleAction, now: float) -> Report:
    """Send a message that has since when AWS does not find the action, though Auto Scaling holds its instance.

    now in epoch seconds. Raises why the queue did not take it.
    """
    body = write_action(replace(action, unanswered_since=now))
    queues.send(settings.terminate_queue_url, [(body, UNANSWERED_RETRY)])
    return Report(action, SENT_AGAIN)
