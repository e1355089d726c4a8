"""Waiting instances -> job results and checks -> hooks completed; and a while after that, whether they serve.

Instances on their way out wait here too, for their retire job. The decisions are in rollcall.gate, rollcall.watch and
rollcall.retire.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer
from rollcall.bus import Bus
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.model import GateMessage, RetireMessage, WatchMessage
from rollcall.wiring import installation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.errors import RollcallError
    from rollcall.model import LifecycleAction
    from rollcall.retire import Round as Parting
    from rollcall.watch import Sighting
    from rollcall.wiring import Installation

announcer = Announcer("gate")
bus = Bus()


@announcer.logger.inject_lambda_context
@announcer.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)
    gate = Gate(here.settings, here.tower, here.fleets, here.queues, time.time)

    def work(messages: list[GateMessage | WatchMessage | RetireMessage]) -> list[RollcallError | None]:
        rounds = gate.look([each for each in messages if isinstance(each, GateMessage)])
        partings = _see_out(here, [each for each in messages if isinstance(each, RetireMessage)])
        announcer.reports([report for each in rounds for report in each.reports])
        announcer.reports([report for each in partings for report in each.reports])
        for each in rounds:
            for alert in each.alerts:
                announcer.alert(alert.reason, alert.action)
        sightings = _watch(here, [each for each in messages if isinstance(each, WatchMessage)])
        announcer.seen(sight for each in sightings for sight in each.sights)
        errors = {
            GateMessage: (each.error for each in rounds),
            RetireMessage: (each.error for each in partings),
            WatchMessage: (each.error for each in sightings),
        }
        return [next(errors[type(each)]) for each in messages]

    return here.intake(announcer).take(event, read_gate_message, _waited_for, work)


def _see_out(here: Installation, messages: list[RetireMessage]) -> list[Parting]:
    if not messages:
        return []
    from rollcall.retire import Retire  # only those pay for it in a cold start who use it

    return Retire(here.settings, here.tower, here.fleets, here.queues, time.time).look(messages)


def _watch(here: Installation, messages: list[WatchMessage]) -> list[Sighting]:
    if not messages:
        return []
    from rollcall.watch import Watch  # likewise

    return Watch(here.settings, here.fleets, here.queues, bus, time.time).look(messages)


def _waited_for(message: GateMessage | WatchMessage | RetireMessage) -> list[LifecycleAction]:
    """The actions whose hooks are open; nobody waits for those who are watched."""
    match message:
        case GateMessage():
            return [each.action for each in message.waiting]
        case RetireMessage():
            return list(message.retiring)
        case WatchMessage():
            return []
