"""What is logged and counted: a line for each outcome, and metrics. The events: test_event_details.py."""

from __future__ import annotations

import json
import math
from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import BadSettings, DeleteRefused, Throttled, TowerUnavailable
from rollcall.domain.findings import breaks, warns
from rollcall.domain.message_format import Record
from rollcall.domain.reports import Event, Note, Report
from rollcall.domain.verdicts import Decision, Grounds
from rollcall.http.transport import Exchange
from rollcall.lifecycle.target_watch import TargetHealthChange
from rollcall.reconcile.result import RunOutcome
from rollcall.telemetry.announcer import METRICS, NAMED_MAX
from rollcall.telemetry.event_details import error_cause
from unit.emitted import emitted_metrics
from unit.fakes import REGION

if TYPE_CHECKING:
    from rollcall.domain.actions import LifecycleAction
    from unit.audience import Audience, Metric
    from unit.world import World

RECORD = Record("m0", "{}", REGION, 3, 0.0, "handle")
NOW = 1_795_255_300.0
GROUP, SERVICE = {"group": "web"}, {"service": "unit"}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)


def since(action: LifecycleAction, seconds: float) -> LifecycleAction:
    """The same, of which Auto Scaling announced so long ago."""
    return replace(action, at=NOW - seconds)


# Lines


def test_an_outcome_is_one_line_with_the_group_the_instance_and_the_action(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(world.launching("i-a"), "registered, job 7", left_out=("evil",))])
    [line] = audience.lines()
    assert (line["message"], line["level"]) == ("registered, job 7", "INFO")
    assert (line["group"], line["instance_id"], line["action"]) == ("web", "i-a", "launching")
    assert line["tags_left_out"] == ["evil"]


def test_what_an_operator_should_look_at_is_an_alert_beside_the_outcome(world: World, audience: Audience) -> None:
    note = Note("its retire job 7 failed on it", alert=True)
    audience.announcer.announce([Report(world.terminating("i-a"), "removed from every inventory", notes=(note,))])
    outcome, alert = audience.lines()
    assert (outcome["message"], outcome["level"]) == ("removed from every inventory", "INFO")
    assert (alert["message"], alert["level"], alert["alert"]) == ("its retire job 7 failed on it", "ERROR", True)
    assert (alert["group"], alert["instance_id"], alert["action"]) == ("web", "i-a", "terminating")
    assert audience.counted() == {"Alerts": 1}


def test_a_decision_against_an_instance_is_logged_with_what_it_rests_on(world: World, audience: Audience) -> None:
    held = Note("held", alert=True, grounds=Grounds(Decision.HOLD, ("ec2", "http:80")))
    abandoned = Grounds(Decision.ABANDON)
    audience.announcer.announce(
        [
            Report(world.launching("i-a"), "abandoned", event=Event.ABANDONED, job=7, grounds=abandoned),
            Report(world.launching("i-b"), "", job=8, notes=(held,)),
        ]
    )
    lines = audience.lines()
    assert [(line["decision"], line["checks"], line["job"]) for line in lines] == [
        ("abandon", [], 7),
        ("hold", ["ec2", "http:80"], 8),
    ]


def test_of_one_that_goes_on_waiting_only_the_alert_is_a_line(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(world.launching("i-a"), "", notes=(Note("held", alert=True),))])
    [line] = audience.lines()
    assert (line["message"], line["alert"]) == ("held", True)


def test_what_an_operator_should_know_is_a_warning_and_no_alert(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(world.launching("i-a"), "registered", notes=(Note("mind this"),))])
    _, warning = audience.lines()
    assert (warning["message"], warning["level"]) == ("mind this", "WARNING")
    assert "alert" not in warning
    assert audience.counted() == {}


def test_what_load_balancers_say_is_a_line_each_and_the_first_yes_is_measured(world: World, audience: Audience) -> None:
    action = world.launching("i-a")
    audience.announcer.announce_target_health(
        [
            TargetHealthChange(action, True, 65.04, "every target group calls it healthy", first=True),
            TargetHealthChange(action, False, 90, "target group web: unhealthy", first=False),
            TargetHealthChange(action, True, 120, "every target group calls it healthy", first=False),
        ]
    )
    assert [(line["message"], line["level"], line["seconds"]) for line in audience.lines()] == [
        ("serving: every target group calls it healthy", "INFO", 65.0),
        ("not serving: target group web: unhealthy", "WARNING", 90),
        ("serving: every target group calls it healthy", "INFO", 120),
    ]
    assert {(line["group"], line["instance_id"]) for line in audience.lines()} == {("web", "i-a")}
    [measured] = audience.metrics()
    assert (measured.name, measured.unit, measured.values) == ("TimeToServing", "Seconds", (65.04,))
    assert measured.dimensions == GROUP


@pytest.mark.parametrize(
    ("error", "level"),
    [(TowerUnavailable("away"), "WARNING"), (BadSettings("fix it"), "ERROR"), (KeyError("x"), "ERROR")],
)
def test_a_failure_is_one_line_that_names_it(world: World, audience: Audience, error: Exception, level: str) -> None:
    audience.announcer.message_failed(RECORD, [world.launching("i-a")], error)
    [line] = audience.lines()
    assert (line["level"], line["error"], line["message"]) == (level, type(error).__name__, str(error))
    assert (line["instance_id"], line["tries"], line["message_id"]) == ("i-a", 3, "m0")


def test_a_message_that_could_not_be_read_is_published_without_an_action(audience: Audience) -> None:
    audience.announcer.message_failed(RECORD, [], BadSettings("fix it"))
    audience.announcer.message_dead_lettered(RECORD, [], BadSettings("fix it"))
    assert [line["message_id"] for line in audience.lines()] == ["m0", "m0"]


def test_a_secret_token_of_an_action_is_not_published(world: World, audience: Audience) -> None:
    action = world.launching("i-a")
    error = TowerUnavailable("away")
    audience.announcer.announce([Report(action, "ready", event=Event.READY, notes=(Note("check it", alert=True),))])
    audience.announcer.announce([Report(action, error=error)])
    audience.announcer.message_failed(RECORD, [action], error)
    audience.announcer.message_retried(RECORD, [action], error, 15)
    audience.announcer.message_finished(RECORD, [action])
    audience.announcer.message_dead_lettered(RECORD, [action], BadSettings("fix it"))
    audience.announcer.call_failed(action, error)
    audience.announcer.message_not_settled(RECORD, error)
    audience.announcer.announce_target_health([TargetHealthChange(action, True, 1, "all", first=True)])
    announced = json.dumps([audience.end(), audience.lines()])
    assert action.token
    assert action.instance_id in announced
    assert action.token not in announced


def test_the_errors_of_a_batch_come_in_the_order_of_its_actions(world: World, audience: Audience) -> None:
    error = TowerUnavailable("away")
    first, second = world.launching("i-a"), world.launching("i-b")
    reports = [Report(second, error=error), Report(first, "ready")]
    assert audience.announcer.announce_results([first, second, first], reports) == [None, error, None]


# Metrics of instances


def of(metrics: list[Metric], name: str) -> list[tuple[dict[str, str], tuple[float, ...]]]:
    return [(dict(each.dimensions), each.values) for each in metrics if each.name == name]


@pytest.mark.parametrize("event", list(Event))
def test_an_outcome_is_counted_by_its_event_for_its_group_and_in_all(
    world: World, audience: Audience, event: Event
) -> None:
    reports = [Report(world.launching(f"i-{number}"), "words", event=event) for number in range(3)]
    reports.append(Report(world.launching("i-db", "db"), "words", event=event))
    audience.announcer.announce(reports)
    metrics = audience.metrics()
    counted, _ = METRICS[event]
    assert sorted(of(metrics, counted), key=str) == [
        ({"group": "db"}, (1,)),
        (GROUP, (3,)),
        (SERVICE, (1,)),
        (SERVICE, (3,)),
    ]
    assert {each.name for each in metrics if any(each.values)} == {counted}


def test_what_is_no_event_is_not_counted(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(world.launching("i-a"), "ready to go")])
    assert audience.metrics() == []


def test_each_outcome_is_timed_from_the_event_on(world: World, audience: Audience) -> None:
    launch, leave = since(world.launching("i-a"), 42.5), since(world.terminating("i-b"), 7.25)
    audience.announcer.announce(
        [
            Report(launch, "registered", event=Event.REGISTERED),
            Report(launch, "ready", event=Event.READY, provisioned_at=NOW - 10),
            Report(leave, "removed from every inventory", event=Event.RETIRED),
        ]
    )
    metrics = audience.metrics()
    took = {each.name: each for each in metrics if each.dimensions == GROUP and each.unit == "Seconds"}
    assert {name: each.values for name, each in took.items()} == {
        "SecondsToRegistered": (42.5,),
        "SecondsToReady": (42.5,),
        "SecondsToProvisioned": (32.5,),
        "SecondsToRetired": (7.25,),
    }
    assert {each.name for each in metrics if each.dimensions == SERVICE} >= took.keys()


def test_what_no_one_knows_the_begin_of_is_counted_and_not_timed(world: World, audience: Audience) -> None:
    action = replace(world.launching("i-a"), at=math.inf)
    audience.announcer.announce([Report(action, "ready", event=Event.READY, provisioned_at=NOW)])
    assert {each.name for each in audience.metrics()} == {"Ready"}


def test_a_clock_behind_auto_scalings_measures_nothing_below_zero(world: World, audience: Audience) -> None:
    report = Report(since(world.launching("i-a"), -5), "ready", event=Event.READY, provisioned_at=NOW - 10)
    audience.announcer.announce([report])
    assert [each.values for each in audience.metrics() if each.unit == "Seconds"] == [(0,)] * 4


def test_who_is_removed_at_its_launch_is_no_measure_of_terminations(world: World, audience: Audience) -> None:
    action = since(world.launching("i-a"), 5)
    audience.announcer.announce([Report(action, "removed from every inventory: already gone", event=Event.RETIRED)])
    assert {each.name for each in audience.metrics()} == {"Retired"}


def test_an_eviction_is_counted_for_the_group_of_the_evicted(world: World, audience: Audience) -> None:
    action, evicted = world.launching("i-new"), replace(world.terminating("i-old", "db"), hook=None, at=math.inf)
    reports = [
        Report(evicted, "evicted: i-new has its address", event=Event.RETIRED, evicted=True),
        Report(action, error=TowerUnavailable("away")),
    ]
    assert audience.announcer.announce_results([action], reports) == [reports[1].error]
    [line] = audience.lines()
    assert (line["group"], line["instance_id"], line["action"]) == ("db", "i-old", "terminating")
    assert audience.counted(group="db") == {"Evicted": 1, "Retired": 1}


def test_every_value_of_a_large_scale_out_is_kept(world: World, audience: Audience) -> None:
    actions = [since(world.launching(f"i-{number}"), number) for number in range(250)]
    audience.announcer.announce([Report(each, "ready", event=Event.READY) for each in actions])
    metrics = audience.metrics()
    assert sum(map(sum, (values for _, values in of(metrics, "Ready")))) == 2 * 250
    values = [value for dimensions, own in of(metrics, "SecondsToReady") if dimensions == GROUP for value in own]
    assert sorted(values) == list(range(250))


def test_exactly_as_many_values_as_fit_are_written_once(world: World, audience: Audience) -> None:
    audience.announcer.metrics.milliseconds("TowerLatency", [1.0] * 100)
    assert [(each.name, len(each.values)) for each in audience.metrics()] == [("TowerLatency", 100)]
    assert audience.metrics() == []


def test_where_there_is_nothing_to_say_nothing_is_written(
    world: World, audience: Audience, capsys: pytest.CaptureFixture[str]
) -> None:
    audience.announcer.announce([Report(world.launching("i-a"), "no longer pending")])
    assert audience.end() == []
    assert capsys.readouterr().out == ""


# Metrics of failures


def test_a_failed_message_is_counted_and_timed_by_its_class(world: World, audience: Audience) -> None:
    record = replace(RECORD, first_received_at=NOW - 90)
    actions = [world.launching("i-a"), world.launching("i-b")]
    audience.announcer.message_failed(record, actions, TowerUnavailable("away"))
    assert audience.counted(**{"class": "Transient"}) == {"FailedActions": 2, "FailingFor": 90}


def test_what_comes_again_is_counted_for_the_group_whose_hook_waits(world: World, audience: Audience) -> None:
    ours, anybodys = world.terminating("i-a"), replace(world.terminating("i-b", "foreign"), hook=None)
    error = TowerUnavailable("away")
    audience.announcer.message_retried(RECORD, [ours, anybodys], error, 15)
    audience.announcer.message_retried(RECORD, [], error, 15)
    audience.announcer.announce([Report(world.launching("i-c"), error=error)])
    metrics = of(audience.metrics(), "Retries")
    assert sum(values[0] for dimensions, values in metrics if dimensions == SERVICE) == 4
    assert [(dimensions, values) for dimensions, values in metrics if dimensions != SERVICE] == [(GROUP, (2,))]


# The end of an invocation


def test_what_tower_took_and_refused_is_measured_at_the_end(world: World, audience: Audience) -> None:
    world.tower.asked = [Exchange(12.5, unwell=False), Exchange(20_000, unwell=True)]
    audience.end()
    errors, latency = audience.metrics()
    assert (latency.name, latency.unit, latency.values, latency.dimensions) == (
        "TowerLatency",
        "Milliseconds",
        (12.5, 20_000),
        SERVICE,
    )
    assert (errors.name, errors.values, errors.dimensions) == ("TowerErrors", (1,), SERVICE)


def test_what_is_asked_well_counts_no_error(world: World, audience: Audience) -> None:
    world.tower.asked = [Exchange(12.5, unwell=False)]
    audience.end()
    assert audience.counted()["TowerErrors"] == 0


def test_an_invocation_that_ends_in_an_error_publishes_what_it_has_done(world: World, audience: Audience) -> None:
    def work() -> None:
        action = replace(world.launching("i-a"), at=math.inf)
        audience.announcer.announce([Report(action, "ready", event=Event.READY)])
        assert not audience.bus.published, "what instances wait for comes first"
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        audience.end(work)
    assert [kind for kind, _ in audience.bus.published] == ["Instance Ready"]
    assert audience.counted(group="web") == {"Ready": 1}


def test_what_the_bus_does_not_take_is_a_warning_and_counted_and_not_published_again(
    world: World, audience: Audience
) -> None:
    audience.bus.failing["put"] = Throttled("slow down")
    reports = [Report(world.launching(f"i-{number}"), "ready", event=Event.READY) for number in range(NAMED_MAX + 1)]
    audience.announcer.announce(reports)
    assert audience.end() == []
    line = audience.lines()[-1]
    assert (line["level"], line["error"]) == ("WARNING", "Throttled")
    assert line["message"] == f"{NAMED_MAX + 1} events were not taken by the event bus: slow down"
    assert len(line["events"]) == NAMED_MAX
    assert line["events"][0] == {"event": "Instance Ready", "group": "web", "instance_id": "i-0", "cause": None}
    assert audience.counted()["EventsLost"] == NAMED_MAX + 1
    del audience.bus.failing["put"]
    assert audience.end() == []


def test_a_mistake_in_publishing_does_not_have_the_work_done_again(
    world: World, audience: Audience, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(audience.bus, "put", fail)
    audience.announcer.announce([Report(world.launching("i-a"), "ready", event=Event.READY)])
    audience.end()
    line = audience.lines()[-1]
    assert (line["error"], line["level"], len(line["events"])) == ("KeyError", "WARNING", 1)
    assert "exception" in line
    assert audience.counted()["EventsLost"] == 1


# Runs of reconcile


def test_a_run_of_reconcile_is_published_step_by_step_and_counted(world: World, audience: Audience) -> None:
    world.host_of("i-gone", "10.0.0.1")
    world.serving("i-new", "10.0.0.2")
    outcome = world.reconcile()
    audience.announcer.announce_fixes(outcome)
    audience.announcer.announce_run(outcome, 300)
    removed, added, summary = audience.lines()
    assert (removed["instance_id"], removed["inventory"]) == ("i-gone", "prod")
    assert "neither EC2 nor Auto Scaling knows it" in removed["message"]
    assert (added["instance_id"], added["level"]) == ("i-new", "INFO")
    assert (summary["message"], summary["inventory"], summary["removed"], summary["added"]) == (
        "reconciled",
        "prod",
        1,
        1,
    )
    metrics = audience.metrics()
    assert {each.name: sum(each.values) for each in metrics if each.dimensions == GROUP} == {"DriftFixed": 2}
    whole: dict[str, float] = {}
    for each in metrics:
        if each.dimensions == SERVICE:
            whole[each.name] = whole.get(each.name, 0) + sum(each.values)
    assert whole == {
        "DriftFound": 2,
        "DriftFixed": 2,
        "BreakerTripped": 0,
        "ReconcileTroubles": 0,
        "ReconcileRuns": 1,
    }


def test_a_run_that_finds_nothing_says_so_in_numbers(audience: Audience) -> None:
    audience.announcer.announce_fixes(RunOutcome())
    assert audience.metrics() == []
    audience.announcer.announce_run(RunOutcome(), 300)
    assert audience.counted() == {
        "DriftFound": 0,
        "DriftFixed": 0,
        "BreakerTripped": 0,
        "ReconcileTroubles": 0,
        "ReconcileRuns": 1,
    }


def test_where_all_are_abandoned_the_rate_has_a_value(world: World, audience: Audience) -> None:
    audience.announcer.announce([Report(world.launching("i-a"), "abandoned: its job failed", event=Event.ABANDONED)])
    assert audience.counted() == {"Abandoned": 1, "Ready": 0}


def test_a_run_that_published_its_error_is_missed_by_no_one(audience: Audience) -> None:
    """The alarm ReconcileSilent would report the same trouble once more."""
    audience.announcer.run_failed(TowerUnavailable("away"), 300)
    assert audience.counted() == {"ReconcileRuns": 1}


def test_what_is_published_in_every_run_is_one_line_however_many_hosts_it_is_about(
    world: World, audience: Audience
) -> None:
    world.group("web", tags={})
    for number in range(NAMED_MAX + 1):
        world.serving(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        world.host_of(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
    audience.announcer.announce_run(world.reconcile(), 300)
    finding, _ = audience.lines()
    assert (finding["level"], finding["count"], len(finding["hosts"])) == ("WARNING", NAMED_MAX + 1, NAMED_MAX)
    assert "forget" in finding["message"]
    assert audience.counted()["DriftFound"] == 0


def test_a_removal_limit_that_was_exceeded_is_an_alert_with_the_list(world: World, audience: Audience) -> None:
    for number in range(6):
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    audience.announcer.announce_run(world.reconcile(), 300)
    tripped, _ = audience.lines()
    assert (tripped["level"], tripped["alert"], tripped["inventory"]) == ("ERROR", True, "prod")
    assert "6 of the 6 managed hosts of inventory 'prod'" in tripped["message"]
    assert "rollcall reconcile --force --group web" in tripped["message"]
    assert set(tripped["hosts"]) == {f"i-{number}" for number in range(6)}
    counted = audience.counted()
    assert (counted["DriftFound"], counted["DriftFixed"], counted["BreakerTripped"]) == (6, 0, 1)


def test_what_reconcile_could_not_read_or_change_is_published_and_counted(world: World, audience: Audience) -> None:
    world.group("db", inventory="misspelt")
    audience.announcer.announce_run(world.reconcile(), 300)
    trouble, _ = audience.lines()
    assert (trouble["level"], trouble["error"]) == ("ERROR", "BadSettings")
    assert "misspelt" in trouble["message"]
    assert audience.counted()["ReconcileTroubles"] == 1


# Doctor


def test_findings_are_counted_by_severity_and_none_counts_too(audience: Audience) -> None:
    audience.announcer.count_findings([warns("group web", "odd", "why", "how")] * 2)
    counted = {(each.name, each.dimensions["severity"]): each.values for each in audience.metrics()}
    assert counted == {("Findings", "breaks launches"): (0.0,), ("Findings", "warning"): (2.0,)}


def test_a_finding_is_a_line_with_its_remedy(audience: Audience) -> None:
    found = [breaks("Tower", "token", "why", "how"), warns("group web", "odd", "why", "how")]
    audience.announcer.log_findings(found)
    first, second = audience.lines()
    assert (first["level"], first["message"], first["key"]) == ("ERROR", "Tower: why: how", "Tower: token")
    assert (second["level"], second["severity"]) == ("WARNING", "warning")


# All of them


BY_GROUP_AND_IN_ALL = (
    "Registered",
    "Ready",
    "Abandoned",
    "Retired",
    "Evicted",
    "Retries",
    "SecondsToRegistered",
    "SecondsToProvisioned",
    "SecondsToReady",
    "SecondsToRetired",
    "DriftFixed",
    "CyclesStarted",
    "CyclesSucceeded",
    "CyclesFailed",
    "CyclesRolledBack",
    "CyclesCancelled",
    "CycleSeconds",
    "CycleInstancesReplaced",
    "CycleTargetDips",
    "ImagesBaked",
    "ImagesFailed",
    "ImagesRetired",
    "BakeSeconds",
)
IN_ALL = (
    "DriftFound",
    "BreakerTripped",
    "ReconcileTroubles",
    "ReconcileRuns",
    "Alerts",
    "TowerLatency",
    "TowerErrors",
    "EventsLost",
)


def test_all_metrics_that_there_are() -> None:
    service, group, kind = frozenset({"service"}), frozenset({"group"}), frozenset({"class"})
    assert emitted_metrics() == {
        *((name, each) for name in BY_GROUP_AND_IN_ALL for each in (service, group)),
        *((name, service) for name in IN_ALL),
        ("FailedActions", kind),
        ("FailingFor", kind),
        ("TimeToServing", group),
        *((name, each) for name in ("AlertsSent", "AlertsLost") for each in (service, frozenset({"channel"}))),
        ("Findings", frozenset({"severity"})),
    }


def test_nothing_that_grows_without_bounds_is_ever_a_dimension() -> None:
    """Instances, jobs, inventories and errors are in log lines and events; each value here is a metric of its own."""
    assert {name for _, names in emitted_metrics() for name in names} == {
        "service",
        "group",
        "class",
        "channel",
        "severity",
    }


def test_a_log_line_names_an_error_as_its_event_does_so_that_an_alerts_link_finds_it(
    world: World, audience: Audience
) -> None:
    error = DeleteRefused("no role", frozenset({"prod"}))
    action = world.terminating("i-a")
    audience.announcer.announce([Report(action, error=error)])
    [line] = [each for each in audience.lines() if "error" in each]
    assert line["error"] == error_cause(error, None) == "TowerDenied"
