"""By schedule, or by hand: EC2 and Tower made to agree. The run is rollcall.reconcile.run, its decisions plan."""

from __future__ import annotations

import gc
import os
import time
from copy import replace
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.domain.message_format import read_run_request
from rollcall.domain.settings import read_removal_share
from rollcall.reconcile.answer import run_answer
from rollcall.reconcile.run import Reconcile
from rollcall.runtime.installation import chef, installation
from rollcall.telemetry.reconcile_announcer import RunAnnouncer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

announcer = RunAnnouncer("reconcile")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """What is requested of a run in, what came of it out: see rollcall.reconcile.answer."""
    began = time.monotonic()
    request = read_run_request(event)
    here = installation(context)
    run = Reconcile(
        here.settings,
        here.tower,
        here.fleets.own,
        here.queues,
        chef=chef(context),
        share=read_removal_share(os.environ),
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    options = replace(request.options, adopt=here.settings.adopt_by_instance_id)
    gc.disable()  # a large fleet is millions of small objects without cycles; searching them takes a third of the CPU
    with announcer.publishing(here.settings, here.tower, context):
        try:
            outcome = run.run(options, dry_run=request.dry_run, force=request.force)
        except Exception as error:
            if not request.dry_run:
                announcer.run_failed(error, options.every)
            raise
        finally:
            gc.enable()
            announcer.announce_fixes(run.outcome)
        if not request.dry_run:
            announcer.announce_run(outcome, options.every)
    return run_answer(outcome, dry_run=request.dry_run, seconds=time.monotonic() - began)
