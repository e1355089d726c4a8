"""Once a day, or by hand: what is set up wrongly, where, and the remedy. The decisions are in rollcall.doctor."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from rollcall.doctor.aws_reader import Inspector
from rollcall.doctor.diagnosis import answer, diagnose, news
from rollcall.doctor.examination import Examination
from rollcall.doctor.store import KnownFindings
from rollcall.domain.message_format import read_examination_request
from rollcall.domain.settings import read_stack_names
from rollcall.runtime.installation import chef, installation_afresh, tower_afresh
from rollcall.telemetry.doctor_announcer import FindingsAnnouncer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

announcer = FindingsAnnouncer("doctor")
inspector = Inspector()


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """What to look at in, what is wrong out: see rollcall.doctor.diagnosis.answer."""
    began = time.monotonic()
    request = read_examination_request(event)
    here = installation_afresh(context)
    names = read_stack_names(os.environ)

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    examination = Examination(
        here.settings,
        names,
        here.tower,
        here.fleets.own,
        inspector,
        chef=chef(context, afresh=True),
        tower_at=lambda url: tower_afresh(url, context),
        seconds_left=seconds_left,
    )
    with announcer.telling(here.settings, here.tower, context):
        diagnosis = diagnose(examination, request, here.settings)
        announcer.diagnosed(diagnosis.findings)
        if request.announce:
            announcer.examined(diagnosis.findings)
            known = KnownFindings(names.known_findings_table)
            changed = news(diagnosis.findings, known.read())
            announcer.misconfigured(here.settings, here.tower.root, changed.found, changed.mended, seconds_left)
            known.write(changed.known)  # what the bus did not take is not known, and told with the next run
    return answer(diagnosis, time.monotonic() - began)
