"""Once a day, or by hand: what is set up wrongly, where, and the remedy. The decisions are in rollcall.doctor."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from rollcall.announce import Announcer, origin_of
from rollcall.bus import Bus
from rollcall.doctor import answer, diagnose, event_details, news
from rollcall.events import read_examination_request
from rollcall.examining import Examination
from rollcall.inspector import Inspector
from rollcall.known_findings import KnownFindings
from rollcall.settings import read_stack_names
from rollcall.telling import Told
from rollcall.wiring import chef, installation_afresh, tower_afresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.findings import Finding

announcer = Announcer("doctor")
bus = Bus()
inspector = Inspector()


@announcer.logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """What to look at in, what is wrong out: see rollcall.doctor.answer."""
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
        here.fleets.in_region(os.environ["AWS_REGION"]),
        inspector,
        chef=chef(context, afresh=True),
        tower_at=lambda url: tower_afresh(url, context),
        seconds_left=seconds_left,
    )
    with announcer.telling(here, context):
        diagnosis = diagnose(examination, request, here.settings)
        announcer.diagnosed(diagnosis.findings)
        if request.announce:
            announcer.examined(diagnosis.findings)
            tell(KnownFindings(names.told_table), diagnosis.findings, origin_of(here.settings, "doctor"), seconds_left)
    return answer(diagnosis, time.monotonic() - began)


def tell(
    known: KnownFindings, findings: tuple[Finding, ...], origin: dict[str, str], seconds_left: Callable[[], float]
) -> None:
    """Announce what is new and what is mended. What the bus did not take is not known, and told with the next run."""
    changed = news(findings, known.read())
    events = [
        *(Told("Misconfiguration Found", each) for each in event_details(changed.found, origin)),
        *(Told("Misconfiguration Mended", each) for each in event_details(changed.mended, origin)),
    ]
    for _, error in bus.put(events, seconds_left):
        raise error
    known.write(changed.known)
