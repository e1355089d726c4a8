"""Launch actions -> hosts in Tower and provisioning jobs, one per template, inventory and MaxHostsPerJob hosts.

Decisions: rollcall.lifecycle.register.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.domain.message_format import read_action
from rollcall.domain.settings import read_removal_share
from rollcall.lifecycle.register import Register
from rollcall.runtime.installation import installation
from rollcall.telemetry.announcer import Announcer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.errors import RollcallError
    from rollcall.evidence.job_reader import Evidence

announcer = Announcer("register")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A batch of launch actions in, Lambda's partial batch response out."""
    here = installation(context)
    share = read_removal_share(os.environ)

    def evidence() -> Evidence:
        from rollcall.evidence.job_reader import JobEvidence  # only where a job hangs

        return JobEvidence(here.tower)

    register = Register(here.settings, here.tower, here.fleets, here.queues, time.time, evidence, share=share)

    def work(actions: list[LifecycleAction]) -> list[RollcallError | None]:
        return announcer.announce_results(actions, register.register(actions))

    with announcer.publishing(here.settings, here.tower, context):
        return here.processor(announcer).take(event, read_action, lambda action: [action], work)
