"""By schedule, or by hand: EC2 and Tower made to agree. The run is rollcall.reconcile.run, its decisions plan."""

from __future__ import annotations

import gc
import os
import time
from copy import replace
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.domain.errors import RollcallError
from rollcall.domain.message_format import read_run_request
from rollcall.domain.settings import read_removal_share
from rollcall.reconcile.answer import run_answer
from rollcall.reconcile.run import Reconcile
from rollcall.runtime.installation import chef, installation
from rollcall.telemetry.reconcile_announcer import RunAnnouncer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.domain.messages import RunRequest
    from rollcall.runtime.installation import Installation
    from rollcall.workflow.running import Turns
    from rollcall.workflow.starting import Starter, StartOutcome

type Json = dict[str, Any]

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
        due = _start_due(here, request, context)
    return run_answer(outcome, due, dry_run=request.dry_run, seconds=time.monotonic() - began)


def _start_due(here: Installation, request: RunRequest, context: LambdaContext) -> list[Json]:
    """Bakes and cycles that are due by tags, where this installation runs them; in one about single instances none.

    The run is over: whether it failed does not depend on them. A dry run only finds out. Where both are due the bake
    begins, for it cycles the group.
    """
    named = (os.environ.get("BAKE_MACHINE", ""), os.environ.get("CYCLE_MACHINE", ""))
    if not any(named) or request.options.instances is not None:
        return []
    from rollcall.aws.executions import Executions  # these are imported where used: they slow a cold start
    from rollcall.aws.instance_refreshes import InstanceRefreshes
    from rollcall.workflow.running import Turns

    turns = Turns([Executions(each) for each in named if each], InstanceRefreshes(here.settings.region))
    return [
        *_start_bakes(here, request, turns, context),
        *_start_cycles(here, request, turns, context),
    ]


def _start_cycles(here: Installation, request: RunRequest, turns: Turns, context: LambdaContext) -> list[Json]:
    """Cycles that are due."""
    machine = os.environ.get("CYCLE_MACHINE", "")
    if not machine:
        return []
    from rollcall.cycle.starting import cycle_starter  # imported where used: it slows a cold start

    left = lambda: context.get_remaining_time_in_millis() / 1000  # noqa: E731
    starter = cycle_starter(here.settings.region, machine, os.environ["CYCLE_FUNCTION"], turns, left)
    return _run("cycle", starter, request, announcer.announce_cycles, announcer.cycles_failed)


def _start_bakes(here: Installation, request: RunRequest, turns: Turns, context: LambdaContext) -> list[Json]:
    """Bakes that are due, and what others left."""
    machine = os.environ.get("BAKE_MACHINE", "")
    if not machine:
        return []
    from rollcall.bake.starting import bake_starter  # imported where used: it slows a cold start

    left = lambda: context.get_remaining_time_in_millis() / 1000  # noqa: E731
    starter = bake_starter(here.settings.region, machine, os.environ["BAKE_FUNCTION"], turns, left)
    return _run("bake", starter, request, announcer.announce_bakes, announcer.bakes_failed)


def _run[O: StartOutcome[Any]](
    noun: str,
    starter: Starter[Any, O],
    request: RunRequest,
    announce: Callable[[O, float | None], None],
    announce_failed: Callable[[Exception, float | None], None],
) -> list[Json]:
    """What was started, or in a dry run would be."""
    from rollcall.workflow.due_entries import due_entries, failed_entry  # imported where used: it slows a cold start

    groups, every = request.options.groups, request.options.every
    failed = []
    if request.dry_run:
        try:
            starter.preview(groups, every)
        except RollcallError as error:
            failed = [failed_entry(noun, f"{noun}s that are due", error)]
    else:
        try:
            starter.run(groups, every)
        except Exception as error:  # noqa: BLE001 - published and logged, also a mistake of ours: the run went well
            announce_failed(error, every)
            failed = [failed_entry(noun, f"{noun}s that are due", error)]
        announce(starter.outcome, every)
    return [*due_entries(noun, starter.outcome, dry_run=request.dry_run), *failed]
