"""Every metric that our functions really emit, found by letting an announcer say all it can say.

For whoever shows or watches them: a metric that is never emitted is an empty graph, and an alarm that never sounds.
"""

from __future__ import annotations

from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from io import StringIO
from types import SimpleNamespace
from typing import Any

from rollcall.announce import Announcer
from rollcall.errors import Throttled
from rollcall.events import Record
from rollcall.measures import Measures
from rollcall.outcome import Fix, RunOutcome
from rollcall.reports import Event, Note, Report
from rollcall.transport import Exchange
from rollcall.watch import Sight

from .audience import read_metrics
from .fakes import ACCOUNT, REGION, FakeBus
from .world import World


@cache
def emitted_metrics() -> frozenset[tuple[str, frozenset[str]]]:
    """By name, each with the names of its dimensions: one entry for every set of them."""
    output = StringIO()
    with redirect_stdout(output):
        _say_everything()
    return frozenset((each.name, frozenset(each.dimensions)) for each in read_metrics(output.getvalue()))


def _say_everything() -> None:
    world = World()
    world.group("web")
    bus = FakeBus()
    bus.failing["put"] = Throttled("slow down")
    announcer = Announcer("unit", bus)
    launch, leave = replace(world.launching("i-a"), at=1.0), replace(world.terminating("i-b"), at=1.0)
    error = Throttled("slow down")
    record = Record("m0", "{}", REGION, 2, 1.0, "handle")
    look = (Note("look", alert=True),)
    world.tower.asked = [Exchange(1.0, unwell=True)]
    here: Any = SimpleNamespace(tower=world.tower, settings=SimpleNamespace(account=ACCOUNT, stack="rollcall"))
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    with announcer.telling(here, context):
        announcer.reports([Report(launch, each.value, event=each, provisioned_at=2.0) for each in Event])
        announcer.reports([Report(leave, "struck off", event=Event.RETIRED, evicted=True, notes=look)])
        announcer.reports([Report(launch, error=error)])
        announcer.failed(record, [launch], error)
        announcer.tried_again(record, [launch], error, 15)
        announcer.set_aside(record, [launch], error)
        announcer.seen([Sight(launch, True, 1.0, "healthy", first=True)])
        outcome = RunOutcome(fixes=[Fix("removed", world.inventory, "i-a", "it is gone", "web")])
        announcer.fixed(outcome)
        announcer.reconciled(outcome, 300.0)
        announcer.examined([])
    alert = Measures("alert")
    for name in ("AlertsSent", "AlertsLost"):
        alert.count_of_channel(name, "slack")
    alert.write()
