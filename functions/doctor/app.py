"""Once a day, or by hand: what is set up wrongly, where, and the remedy. The decisions are in rollcall.doctor."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import rollcall.runtime.garbage  # noqa: F401 - before what it is for

from rollcall.doctor.answer import answer
from rollcall.doctor.aws_reader import AwsReader
from rollcall.doctor.diagnosis import diagnose
from rollcall.doctor.findings_store import KnownFindings
from rollcall.doctor.news import news
from rollcall.doctor.observer import Observer
from rollcall.domain.message_format import read_examination_request
from rollcall.domain.settings import read_stack_names
from rollcall.runtime.installation import chef, installation_afresh, tower_afresh
from rollcall.telemetry.doctor_announcer import FindingsAnnouncer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rollcall.doctor.observations import BakeDefaults, CycleDefaults
    from rollcall.domain.groups import Group

announcer = FindingsAnnouncer("doctor")
aws = AwsReader()


@announcer.logger.inject_lambda_context
def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Which groups to examine in, what is wrong out: see rollcall.doctor.answer."""
    began = time.monotonic()
    request = read_examination_request(event)
    here = installation_afresh(context)
    names = read_stack_names(os.environ)

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    observer = Observer(
        here.settings,
        names,
        here.tower,
        here.fleets.own,
        aws,
        chef=chef(context, afresh=True),
        tower_at=lambda url: tower_afresh(url, context),
        seconds_left=seconds_left,
        cycle_defaults=_cycle_defaults,
        bake_defaults=_bake_defaults,
    )
    with announcer.publishing(here.settings, here.tower, context):
        observed = observer.observe(request.groups)
        diagnosis = diagnose(observed, here.settings)
        announcer.log_findings(diagnosis.findings)
        if request.announce:
            announcer.count_findings(diagnosis.findings)
            known = KnownFindings(names.known_findings_table)
            changed = news(diagnosis.findings, known.read())
            announcer.publish_changes(here.settings, here.tower.root, changed.found, changed.fixed, seconds_left)
            known.write(changed.known)  # what the bus did not take is not known, and published with the next run
    return answer(diagnosis, time.monotonic() - began)


def _cycle_defaults(group: Group) -> CycleDefaults | None:
    from rollcall.cycle.request import cycle_defaults  # only installations with cycles need it

    return cycle_defaults(group)


def _bake_defaults(group: Group) -> BakeDefaults | None:
    from rollcall.bake.defaults import bake_defaults  # only installations with bakes need it

    return bake_defaults(group)
