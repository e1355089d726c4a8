"""Waiting instances -> job results and checks -> hooks completed; and a while after that, whether they serve.

The decisions are in rollcall.gate and rollcall.watch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer
from rollcall.bus import Bus
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.model import GateMessage, WatchMessage
from rollcall.watch import Watch
from rollcall.wiring import installation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.errors import RollcallError
    from rollcall.model import LifecycleAction

announcer = Announcer("gate")
bus = Bus()


@announcer.logger.inject_lambda_context
@announcer.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)
    gate = Gate(here.settings, here.tower, here.fleets, here.queues, time.time)
    watch = Watch(here.settings, here.fleets, here.queues, bus, time.time)

    def work(messages: list[GateMessage | WatchMessage]) -> list[RollcallError | None]:
        rounds = gate.look([each for each in messages if isinstance(each, GateMessage)])
        announcer.reports([report for each in rounds for report in each.reports])
        for each in rounds:
            for alert in each.alerts:
                announcer.alert(alert.reason, alert.action)
        sightings = watch.look([each for each in messages if isinstance(each, WatchMessage)])
        announcer.seen(sight for each in sightings for sight in each.sights)
        waiting, watched = (each.error for each in rounds), (each.error for each in sightings)
        return [next(waiting if isinstance(each, GateMessage) else watched) for each in messages]

    return here.intake(announcer).take(event, read_gate_message, _waited_for, work)


def _waited_for(message: GateMessage | WatchMessage) -> list[LifecycleAction]:
    """The actions whose hooks are open; nobody waits for those who are watched."""
    return [each.action for each in message.waiting] if isinstance(message, GateMessage) else []
