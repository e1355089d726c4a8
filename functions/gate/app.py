"""Waiting instances -> job results and checks -> hooks completed. The decisions are in rollcall.gate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.wiring import installation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.errors import RollcallError
    from rollcall.model import GateMessage

announcer = Announcer("gate")


@announcer.logger.inject_lambda_context
@announcer.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(context)
    gate = Gate(here.settings, here.tower, here.fleets, here.queues, time.time)

    def work(messages: list[GateMessage]) -> list[RollcallError | None]:
        rounds = gate.look(messages)
        announcer.reports([report for each in rounds for report in each.reports])
        for each in rounds:
            for alert in each.alerts:
                announcer.alert(alert.reason, alert.action)
        return [each.error for each in rounds]

    intake = here.intake(announcer)
    return intake.take(event, read_gate_message, lambda message: [each.action for each in message.waiting], work)
