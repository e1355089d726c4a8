"""Terminate actions -> hosts and nodes removed, hooks completed. The decisions are in rollcall.lifecycle.cleanup."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.domain.message_format import read_action
from rollcall.domain.settings import read_removal_share
from rollcall.lifecycle.cleanup import Cleanup
from rollcall.runtime.installation import chef, installation
from rollcall.telemetry.announcer import Announcer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.domain.actions import LifecycleAction
    from rollcall.domain.errors import RollcallError

announcer = Announcer("cleanup")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A batch of terminate actions in, Lambda's partial batch response out."""
    here = installation(context)
    cleanup = Cleanup(
        here.settings,
        here.tower,
        here.fleets,
        here.queues,
        time.time,
        share=read_removal_share(os.environ),
        chef=chef(context),
    )

    def work(actions: list[LifecycleAction]) -> list[RollcallError | None]:
        return announcer.announce_results(actions, cleanup.clean_up(actions))

    with announcer.publishing(here.settings, here.tower, context):
        return here.processor(announcer).take(event, read_action, lambda action: [action], work)
