"""Waiting instances -> job results and checks -> hooks completed. The decisions are in rollcall.gate."""

import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from rollcall.announce import Announcer
from rollcall.errors import RollcallError
from rollcall.events import read_gate_message
from rollcall.gate import Gate
from rollcall.model import GateMessage
from rollcall.wiring import installation

announcer = Announcer("gate")


@announcer.logger.inject_lambda_context
@announcer.metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A batch of gate messages in, Lambda's partial batch response out."""
    here = installation(announcer, context)
    gate = Gate(here.settings, here.tower, here.fleets, here.queues, time.time)

    def work(messages: list[GateMessage]) -> list[RollcallError | None]:
        rounds = gate.look(messages)
        for each in rounds:
            for report in each.reports:
                announcer.report(report)
            for alert in each.alerts:
                announcer.alert(alert.reason, alert.action)
        return [each.error for each in rounds]

    return here.intake.take(event, read_gate_message, lambda message: [each.action for each in message.waiting], work)
