"""What the world is told: a structured line for each outcome, and metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from logging import StreamHandler
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.announce import METRICS, NAMED_MAX, Announcer
from rollcall.errors import BadSettings, Throttled, TowerUnavailable
from rollcall.events import Record
from rollcall.reports import Report, failing
from rollcall.watch import Sight

from .fakes import REGION

if TYPE_CHECKING:
    from .world import World

RECORD = Record("m0", "{}", REGION, 3, 0.0, "handle")


@pytest.fixture
def output() -> StringIO:
    """Where the log lines go."""
    return StringIO()


@pytest.fixture
def announcer(output: StringIO) -> Announcer:
    made = Announcer("unit")
    handler = made.logger.registered_handler
    assert isinstance(handler, StreamHandler)
    handler.setStream(output)
    made.metrics.clear_metrics()
    return made


def lines(output: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_an_outcome_is_one_line_with_the_group_the_instance_and_the_action(
    world: World, announcer: Announcer, output: StringIO
) -> None:
    announcer.reports([Report(world.launching("i-a"), "registered, job 7", left_out=("evil",))])
    [line] = lines(output)
    assert (line["message"], line["level"]) == ("registered, job 7", "INFO")
    assert (line["group"], line["instance_id"], line["action"]) == ("web", "i-a", "launching")
    assert line["tags_left_out"] == ["evil"]


def test_what_a_person_should_know_of_an_action_that_ended_is_an_alert_beside_its_outcome(
    world: World, announcer: Announcer, output: StringIO
) -> None:
    announcer.reports([Report(world.terminating("i-a"), "struck off", alert="its retire job 7 failed on it")])
    outcome, alert = lines(output)
    assert (outcome["message"], outcome["level"]) == ("struck off", "INFO")
    assert (alert["message"], alert["level"], alert["alert"]) == ("its retire job 7 failed on it", "ERROR", True)
    assert (alert["group"], alert["instance_id"], alert["action"]) == ("web", "i-a", "terminating")


@pytest.mark.parametrize(
    "outcome",
    [
        "registered",
        "registered, job 7",
        "ready",
        "abandoned: its job failed",
        "struck off: already gone",
        "evicted: EC2 says that it is terminated, and i-new has its address",
    ],
)
def test_an_outcome_counts_by_its_first_word(world: World, announcer: Announcer, outcome: str) -> None:
    announcer.reports([Report(world.launching("i-a"), outcome)])
    assert set(announcer.metrics.metric_set) <= set(METRICS.values())
    assert len(announcer.metrics.metric_set) == 1


def test_an_outcome_of_one_that_is_not_of_the_batch_is_told_too(
    world: World, announcer: Announcer, output: StringIO
) -> None:
    action, evicted = world.launching("i-new"), replace(world.terminating("i-old", "db"), hook=None)
    reports = [Report(evicted, "evicted: i-new has its address"), Report(action, error=TowerUnavailable("away"))]
    assert announcer.outcomes([action], reports) == [reports[1].error]
    [line] = lines(output)
    assert (line["group"], line["instance_id"], line["action"]) == ("db", "i-old", "terminating")
    assert announcer.metrics.metric_set["Evicted"]["Value"] == [1]


def test_a_batch_counts_all_its_outcomes(world: World, announcer: Announcer) -> None:
    announcer.reports([Report(world.launching(f"i-{number}"), "ready") for number in range(100)])
    assert announcer.metrics.metric_set["Ready"]["Value"] == [100]


def test_what_load_balancers_say_is_a_line_each_and_the_first_yes_is_measured(
    world: World, announcer: Announcer, output: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    action = world.launching("i-a")
    announcer.seen(
        [
            Sight(action, True, 65.04, "every target group calls it healthy", first=True),
            Sight(action, False, 90, "target group web: unhealthy", first=False),
            Sight(action, True, 120, "every target group calls it healthy", first=False),
        ]
    )
    assert [(line["message"], line["level"], line["seconds"]) for line in lines(output)] == [
        ("serving: every target group calls it healthy", "INFO", 65.0),
        ("not serving: target group web: unhealthy", "WARNING", 90),
        ("serving: every target group calls it healthy", "INFO", 120),
    ]
    assert {(line["group"], line["instance_id"]) for line in lines(output)} == {("web", "i-a")}
    [measured] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (measured["TimeToServing"], measured["group"]) == ([65.04], "web")
    [metrics] = measured["_aws"]["CloudWatchMetrics"]
    assert [(each["Name"], each["Unit"]) for each in metrics["Metrics"]] == [("TimeToServing", "Seconds")]
    assert metrics["Namespace"] == "Rollcall"


@pytest.mark.parametrize(
    ("error", "level"),
    [(TowerUnavailable("away"), "WARNING"), (BadSettings("mend"), "ERROR"), (KeyError("x"), "ERROR")],
)
def test_a_failure_is_one_line_that_names_it(
    world: World, announcer: Announcer, output: StringIO, error: Exception, level: str
) -> None:
    announcer.failed(RECORD, [world.launching("i-a")], error)
    [line] = lines(output)
    assert (line["level"], line["error"], line["message"]) == (level, type(error).__name__, str(error))
    assert (line["instance_id"], line["tries"], line["message_id"]) == ("i-a", 3, "m0")


def test_a_message_that_could_not_be_read_is_told_without_an_action(announcer: Announcer, output: StringIO) -> None:
    announcer.failed(RECORD, [], BadSettings("mend"))
    announcer.set_aside(RECORD, [], BadSettings("mend"))
    assert [line["message_id"] for line in lines(output)] == ["m0", "m0"]


def test_a_secret_token_of_an_action_is_not_told(world: World, announcer: Announcer, output: StringIO) -> None:
    action = world.launching("i-a")
    announcer.reports([Report(action, "ready")])
    announcer.failed(RECORD, [action], TowerUnavailable("away"))
    announcer.let_go(RECORD, [action])
    announcer.set_aside(RECORD, [action], BadSettings("mend"))
    announcer.no_heartbeat(action, TowerUnavailable("away"))
    announcer.not_put_off(RECORD, TowerUnavailable("away"))
    announcer.alert("look", action)
    assert action.token
    assert output.getvalue()
    assert action.token not in output.getvalue()


def test_the_errors_of_a_batch_come_in_the_order_of_its_actions(world: World, announcer: Announcer) -> None:
    error = TowerUnavailable("away")
    first, second = world.launching("i-a"), world.launching("i-b")
    reports = [Report(second, error=error), Report(first, "ready")]
    assert announcer.outcomes([first, second, first], reports) == [None, error, None]


def test_an_error_fails_only_what_nothing_was_reported_of(world: World) -> None:
    done, open_ = world.launching("i-a"), world.launching("i-b")
    reports = [Report(done, "ready")]
    with failing([done, open_], reports):
        raise TowerUnavailable("away")
    assert [(report.action, bool(report.error)) for report in reports] == [(done, False), (open_, True)]


def test_a_mistake_of_ours_is_not_swallowed(world: World) -> None:
    with pytest.raises(KeyError), failing([world.launching("i-a")], []):
        raise KeyError("a mistake of ours")


def test_what_a_person_should_look_at_all_the_same_is_an_alert(
    world: World, announcer: Announcer, output: StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    announcer.reports([Report(world.terminating("i-a"), "struck off, but not from Chef", alert="left in Chef")])
    outcome, alert = lines(output)
    assert (outcome["level"], outcome["message"]) == ("INFO", "struck off, but not from Chef")
    assert (alert["level"], alert["alert"], alert["message"]) == ("ERROR", True, "left in Chef")
    assert metrics_of(announcer) == {"StruckOff": 1}
    assert '"Alerts"' in capsys.readouterr().out


# Runs of reconcile


def metrics_of(announcer: Announcer) -> dict[str, float]:
    """The metrics that wait to be written, without their dimensions."""
    return {name: sum(metric["Value"]) for name, metric in announcer.metrics.metric_set.items()}


def test_a_run_of_reconcile_is_told_step_by_step_and_counted(
    world: World, announcer: Announcer, output: StringIO
) -> None:
    world.host_of("i-gone", "10.0.0.1")
    world.serving("i-new", "10.0.0.2")
    outcome = world.reconcile()
    announcer.fixed(outcome.fixes)
    announcer.reconciled(outcome)
    removed, added, summary = lines(output)
    assert (removed["instance_id"], removed["inventory"]) == ("i-gone", "prod")
    assert "neither EC2 nor Auto Scaling knows it" in removed["message"]
    assert (added["instance_id"], added["level"]) == ("i-new", "INFO")
    assert (summary["message"], summary["inventory"], summary["removed"], summary["added"]) == (
        "reconciled",
        "prod",
        1,
        1,
    )
    assert metrics_of(announcer) == {"DriftFound": 2, "DriftFixed": 2, "BreakerTripped": 0, "ReconcileTroubles": 0}


def test_what_is_told_in_every_run_is_one_line_however_many_hosts_it_is_about(
    world: World, announcer: Announcer, output: StringIO
) -> None:
    world.group("web", tags={})
    for number in range(NAMED_MAX + 1):
        world.serving(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
        world.host_of(f"i-{number}", f"10.0.{number // 250}.{number % 250}")
    announcer.reconciled(world.reconcile())
    finding, _ = lines(output)
    assert (finding["level"], finding["count"], len(finding["hosts"])) == ("WARNING", NAMED_MAX + 1, NAMED_MAX)
    assert "forget" in finding["message"]
    assert metrics_of(announcer)["DriftFound"] == 0


def test_events_that_the_bus_did_not_take_are_told_and_counted(announcer: Announcer, output: StringIO) -> None:
    announcer.no_events("events on the event bus", Throttled("slow down"))
    [line] = lines(output)
    assert (line["level"], line["message"], line["error"]) == (
        "WARNING",
        "events on the event bus: slow down",
        "Throttled",
    )
    assert metrics_of(announcer) == {"ReconcileTroubles": 1}


def test_a_breaker_that_tripped_is_an_alert_with_the_list(world: World, announcer: Announcer, output: StringIO) -> None:
    for number in range(6):
        world.host_of(f"i-{number}", f"10.0.0.{number}")
    announcer.reconciled(world.reconcile())
    tripped, _ = lines(output)
    assert (tripped["level"], tripped["alert"], tripped["inventory"]) == ("ERROR", True, "prod")
    assert "6 of the 6 managed hosts of inventory 'prod'" in tripped["message"]
    assert "force" in tripped["message"]
    assert set(tripped["hosts"]) == {f"i-{number}" for number in range(6)}
    assert metrics_of(announcer) == {"DriftFound": 6, "DriftFixed": 0, "BreakerTripped": 1, "ReconcileTroubles": 0}


def test_what_reconcile_could_not_read_or_change_is_told_and_counted(
    world: World, announcer: Announcer, output: StringIO
) -> None:
    world.group("db", inventory="misspelt")
    announcer.reconciled(world.reconcile())
    trouble, _ = lines(output)
    assert (trouble["level"], trouble["error"]) == ("ERROR", "BadSettings")
    assert "misspelt" in trouble["message"]
    assert metrics_of(announcer)["ReconcileTroubles"] == 1
