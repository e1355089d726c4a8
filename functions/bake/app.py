"""A step of a bake for its state machine, or an execution that was stopped -> what has happened, and what is next.

The steps are rollcall.bake.run, the machine is statemachines/bake.asl.json. Reconcile sends what it may not do itself:
instances whose time is over are terminated, images and versions beyond those that are kept removed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.bake.invocation import ENDED_BEFORE, RETIRE, RETIRE_OTHERS, SWEEP, read_invocation
from rollcall.bake.run import BakeRun
from rollcall.bake.versioning import roll_out
from rollcall.domain.bake_settings import read_bake_settings
from rollcall.runtime.installation import chef, installation
from rollcall.telemetry.bake_announcer import BakeAnnouncer
from rollcall.workflow.answer import machine_state

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.bake.news import BakeAnswer
    from rollcall.workflow.invocation import Invocation

announcer = BakeAnnouncer("bake")


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """A step's name and the bake's state in, its new state out; or an event about an execution that was stopped in.

    Errors are raised: the state machine tries a step again, and Lambda an event.
    """
    invoked = read_invocation(event)
    here = installation(context)
    run = BakeRun(
        here.settings,
        read_bake_settings(os.environ),
        here.tower,
        here.fleets.own,
        chef=chef(context),
        clock=time.time,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    with announcer.publishing(here.settings, here.tower, context):
        if invoked.step == SWEEP:
            swept = run.sweep()
            announcer.announce_swept(swept)
            if swept.error:
                raise swept.error
            return {"swept": [*(each.state.reason for each in swept.news), *swept.hosts]}
        if invoked.step == RETIRE:
            for each in run.record_late(invoked.fields["group"], invoked.fields.get(ENDED_BEFORE)):
                announcer.announce_retired(each)
            answer = _retired(run, invoked.fields)
            announcer.announce_retired(answer)
            return _as_state(answer)
        if invoked.step == RETIRE_OTHERS:
            answers = run.retire_others(invoked.fields.get(ENDED_BEFORE))
            for each in answers:
                announcer.announce_retired(each)
            return {"groups": {each.state.group: each.state.to_json() for each in answers}}
        answer = _answer(run, invoked)
        announcer.announce_bake(answer)
    return _as_state(answer)


def _retired(run: BakeRun, fields: dict[str, Any]) -> BakeAnswer:
    return run.retire(fields["group"], dry_run=fields.get("dry_run") is True, force=fields.get("force") is True)


def _answer(run: BakeRun, invoked: Invocation) -> BakeAnswer:
    fields = invoked.fields
    return run.step(invoked.step, fields) if invoked.step else run.settle(fields)


def _as_state(answer: BakeAnswer) -> dict[str, Any]:
    return machine_state("bake", answer) | roll_out(answer)
