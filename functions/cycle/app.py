"""A step of a cycle for its state machine, or an execution that was stopped -> what has happened, and what is next.

The steps are rollcall.cycle.run, the machine is statemachines/cycle.asl.json.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.cycle.ending import require_settled
from rollcall.cycle.run import STEPS, CycleRun
from rollcall.runtime.installation import chef, installation
from rollcall.telemetry.cycle_announcer import CycleAnnouncer
from rollcall.workflow.answer import machine_state
from rollcall.workflow.invocation import read_invocation

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

announcer = CycleAnnouncer("cycle")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A step's name and the cycle's state in, its new state out; or an event about an execution that was stopped in.

    Errors are raised: the state machine tries a step again, and Lambda an event.
    """
    invoked = read_invocation(event, STEPS)
    here = installation(context)
    run = CycleRun(
        here.settings,
        here.tower,
        here.fleets.own,
        chef=chef(context),
        bakes=os.environ.get("BAKE_MACHINE", ""),
        clock=time.time,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    with announcer.publishing(here.settings, here.tower, context):
        answer = run.step(invoked.step, invoked.fields) if invoked.step else run.settle(invoked.fields)
        announcer.announce_step(answer)
        if not invoked.step:
            require_settled(answer)
    return machine_state("cycle", answer)
