"""Waiting instances -> job results and checks -> hooks completed. The decisions are in rollcall.gate.

Instances on their way out wait here too, for their retire job: rollcall.retire.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer
from rollcall.events import read_from_gate_queue
from rollcall.gate import Gate
from rollcall.model import RetireMessage
from rollcall.retire import Retire
from rollcall.wiring import installation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.errors import RollcallError
    from rollcall.model import GateMessage, LifecycleAction

announcer = Announcer("gate")


@announcer.logger.inject_lambda_context
@announcer.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)
    gate = Gate(here.settings, here.tower, here.fleets, here.queues, time.time)
    retire = Retire(here.settings, here.tower, here.fleets, here.queues, time.time)

    def work(messages: list[GateMessage | RetireMessage]) -> list[RollcallError | None]:
        rounds = gate.look([each for each in messages if not isinstance(each, RetireMessage)])
        partings = retire.look([each for each in messages if isinstance(each, RetireMessage)])
        announcer.reports([report for each in rounds for report in each.reports])
        announcer.reports([report for each in partings for report in each.reports])
        for each in rounds:
            for alert in each.alerts:
                announcer.alert(alert.reason, alert.action)
        coming, leaving = iter([each.error for each in rounds]), iter([each.error for each in partings])
        return [next(leaving if isinstance(each, RetireMessage) else coming) for each in messages]

    return here.intake(announcer).take(event, read_from_gate_queue, _actions_of, work)


def _actions_of(message: GateMessage | RetireMessage) -> list[LifecycleAction]:
    if isinstance(message, RetireMessage):
        return list(message.retiring)
    return [each.action for each in message.waiting]
