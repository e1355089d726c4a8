"""Waiting instances -> job results and checks -> hooks completed; and a while after that, whether they serve.

Instances on their way out wait here too, for their retire job. The decisions are in rollcall.gate, rollcall.watch and
rollcall.retire.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.model import GateMessage, RetireMessage, WatchMessage
from rollcall.wiring import installation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.model import LifecycleAction
    from rollcall.wiring import Installation

announcer = Announcer("gate")


@announcer.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)

    def work(messages: list[GateMessage | WatchMessage | RetireMessage]) -> list[Exception | None]:
        errors = {
            GateMessage: _guarded(partial(_wait, here), GateMessage, messages),
            RetireMessage: _guarded(partial(_see_out, here), RetireMessage, messages),
            WatchMessage: _guarded(partial(_watch, here), WatchMessage, messages),
        }
        return [next(errors[type(each)]) for each in messages]

    with announcer.telling(here, context):
        return here.intake(announcer).take(event, read_gate_message, _waited_for, work)


def _guarded[M](
    look: Callable[[list[M]], Sequence[Exception | None]], kind: type[M], messages: Sequence[object]
) -> Iterator[Exception | None]:
    """What each message of a kind failed with, or None.

    An error that nobody foresaw fails them all, and none of another kind: those may have gone on as new messages, and
    would go on twice if they came again.
    """
    own = [each for each in messages if isinstance(each, kind)]
    try:
        return iter(look(own) if own else ())
    except Exception as error:  # noqa: BLE001 - ours to mend; the intake logs it, and has them come again
        return repeat(error)


def _wait(here: Installation, messages: list[GateMessage]) -> list[Exception | None]:
    rounds = Gate(here.settings, here.tower, here.fleets, here.queues, time.time).look(messages)
    announcer.reports([report for each in rounds for report in each.reports])
    return [each.error for each in rounds]


def _see_out(here: Installation, messages: list[RetireMessage]) -> Sequence[Exception | None]:
    from rollcall.retire import Retire  # only those pay for it in a cold start who use it

    partings = Retire(here.settings, here.tower, here.fleets, here.queues, time.time).look(messages)
    announcer.reports([report for each in partings for report in each.reports])
    return [each.error for each in partings]


def _watch(here: Installation, messages: list[WatchMessage]) -> list[Exception | None]:
    from rollcall.watch import Watch  # likewise

    sightings = Watch(here.settings, here.fleets, here.queues, time.time).look(messages)
    announcer.seen(sight for each in sightings for sight in each.sights)
    return [each.error for each in sightings]


def _waited_for(message: GateMessage | WatchMessage | RetireMessage) -> list[LifecycleAction]:
    """The actions whose hooks are open; nobody waits for those who are watched."""
    match message:
        case GateMessage():
            return [each.action for each in message.waiting]
        case RetireMessage():
            return list(message.retiring)
        case WatchMessage():
            return []
