"""Every metric and event that our functions really emit, found by letting an announcer say all it can say.

For whoever shows or watches them: a metric that is never emitted is an empty graph, and an alarm that never sounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from copy import replace
from functools import cache
from io import StringIO
from types import SimpleNamespace
from typing import Any

from rollcall.cycle.news import CycleEvent
from rollcall.domain.errors import BadEvent, BadSettings, Throttled, TowerRejected
from rollcall.domain.findings import Finding as Diagnosed
from rollcall.domain.findings import Severity
from rollcall.domain.message_format import Record
from rollcall.domain.reports import Event, Note, Report
from rollcall.http.transport import Exchange
from rollcall.lifecycle.target_watch import TargetHealthChange
from rollcall.reconcile.result import Fix, RunOutcome, Summary
from rollcall.reconcile.steps import DriftFinding, DriftKind, NodeRemoval, Plan
from rollcall.telemetry.metrics import Metrics
from unit import bake_news, cycle_news
from unit.audience import EveryAnnouncer, Metric, read_metrics
from unit.cycle_news import answer_of
from unit.fakes import ACCOUNT, REGION, FakeBus
from unit.world import World


def emitted_metrics() -> frozenset[tuple[str, frozenset[str]]]:
    """By name, each with the names of its dimensions: one entry for every set of them."""
    return frozenset((each.name, frozenset(each.dimensions)) for each in _emitted())


def units_of_metrics() -> dict[str, str]:
    """The unit of each metric, by its name."""
    return {each.name: each.unit for each in _emitted()}


@cache
def _emitted() -> tuple[Metric, ...]:
    output = StringIO()
    with redirect_stdout(output):
        bus = FakeBus()
        bus.failing["put"] = Throttled("slow down")
        _say_everything(bus)
    return tuple(read_metrics(output.getvalue()))


def emitted_events() -> list[tuple[str, Mapping[str, Any]]]:
    """Every kind of event, and of each all that telling can put into it."""
    bus = FakeBus()
    with redirect_stdout(StringIO()):
        _say_everything(bus)
    return bus.published


def _say_everything(bus: FakeBus) -> None:
    world = World()
    world.group("web")
    announcer = EveryAnnouncer("unit", bus)
    launch, leave = replace(world.launching("i-a"), at=1.0), replace(world.terminating("i-b"), at=1.0)
    error = Throttled("slow down")
    record = Record("m0", "{}", REGION, 2, 1.0, "handle")
    note = (Note("check it", alert=True),)
    world.tower.asked = [Exchange(1.0, unwell=True)]
    here: Any = SimpleNamespace(
        tower=world.tower, settings=SimpleNamespace(account=ACCOUNT, region=REGION, stack="rollcall")
    )
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    with announcer.publishing(here.settings, here.tower, context):
        announcer.announce([Report(launch, each.value, event=each, provisioned_at=2.0) for each in Event])
        announcer.announce(
            [Report(leave, "removed from every inventory", event=Event.RETIRED, evicted=True, notes=note)]
        )
        announcer.announce([Report(launch, each.value, event=each, alerted_before=True) for each in Event])
        announcer.announce([Report(launch, error=error)])
        announcer.message_failed(record, [launch], error)
        announcer.message_retried(record, [launch], error, 15)
        announcer.message_dead_lettered(record, [launch], error)
        announcer.message_retried(record, [], BadEvent("no JSON"), 15)
        announcer.message_dead_lettered(record, [], BadEvent("no JSON"))
        announcer.announce_target_health(
            [TargetHealthChange(launch, serving, 1.0, "looked at", first=True) for serving in (True, False)]
        )
        outcome = RunOutcome(fixes=[Fix("removed", world.inventory, "i-a", "it is gone", "web")])
        outcome.plan = Plan(
            findings=tuple(DriftFinding(each, world.inventory, "i-a", "check it") for each in DriftKind)
        )
        outcome.by_inventory[world.inventory] = Summary(managed=6)
        outcome.stopped[world.inventory] = []
        outcome.nodes.stopped = (NodeRemoval("web-1", "i-a", "it is gone", certain=True),)
        outcome.errors |= {"group web": BadSettings("fix the tag"), "host i-a": TowerRejected("no"), "x": error}
        outcome.host_errors_in["host i-a"] = world.inventory
        announcer.announce_fixes(outcome)
        announcer.announce_run(outcome, 300.0)
        announcer.announce_run(outcome, None)
        announcer.run_failed(KeyError("bug"), 300.0)
        announcer.announce_step(answer_of(CycleEvent.STARTED))
        announcer.announce_step(answer_of(CycleEvent.PROGRESS))
        for kind in cycle_news.ENDED:
            announcer.announce_step(cycle_news.ended(kind))
        for ending in bake_news.ENDED:
            announcer.announce_bake(bake_news.bake_ended(ending))
        announcer.announce_bake(bake_news.RETIRED)
        announcer.count_findings([])
        findings = [Diagnosed("subject", "what", each, "reason", "remedy") for each in Severity]
        with suppress(Throttled):  # which it raises where the bus takes nothing
            announcer.publish_changes(here.settings, here.tower.root, findings, findings, lambda: 60.0)
    alert = Metrics("alert")
    for name in ("AlertsSent", "AlertsLost"):
        alert.count_of_channel(name, "slack")
    alert.write()
