"""The dashboard shows what is measured, all of it, each in its place, and CloudWatch takes it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from generators import sample_hours
from unit.emitted import emitted_metrics
from unit.project.template import (
    ALARMS,
    DAY,
    FUNCTIONS,
    HEALTH_ALARM,
    LOG_GROUPS,
    PARAMETERS,
    QUEUES,
    REPOSITORY,
    RESOURCES,
    STATE_MACHINES,
    WORK_QUEUES,
    Json,
    alarms_on_queues,
    of_type,
    target,
    timeout_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

COLUMNS = 24  # CloudWatch API reference, "Dashboard body structure and syntax"
HEIGHT_MAX = 1000  # the same
WIDGETS_MAX = 500  # the same
ALARMS_MAX = 100  # of an alarm widget: the same; and of a composite alarm: API reference, PutCompositeAlarm
RULE_MAX = 10_240  # characters of its rule: the same
METRICS_OF_WIDGET = 500  # CloudWatch user guide, "CloudWatch service quotas"
METRICS_OF_DASHBOARD = 2500  # the same
SEARCH_MAX = 1024  # characters; CloudWatch user guide, "CloudWatch search expression syntax"
GROUPS = 100  # Auto Scaling groups that the quotas have to hold for
OTHER_VALUES = 8  # of any other dimension: functions, channels, severities
LOG_GROUPS_MAX = 50  # of a query; CloudWatch Logs user guide, "CloudWatch Logs quotas"

# Dimensions of what AWS emits. SQS developer guide, "Available CloudWatch metrics for Amazon SQS"; Lambda developer
# guide, "Types of metrics for Lambda functions".
AWS_METRICS = {
    **dict.fromkeys(
        (
            ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
            ("AWS/SQS", "ApproximateNumberOfMessagesDelayed"),
            ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"),
            ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ),
        "QueueName",
    ),
    **dict.fromkeys(
        (
            ("AWS/Lambda", "ConcurrentExecutions"),
            ("AWS/Lambda", "Duration"),
            ("AWS/Lambda", "Errors"),
            ("AWS/Lambda", "Throttles"),
        ),
        "FunctionName",
    ),
    **dict.fromkeys(  # Step Functions developer guide, "Monitoring Step Functions metrics using Amazon CloudWatch"
        (
            ("AWS/States", "ExecutionsAborted"),
            ("AWS/States", "ExecutionsFailed"),
            ("AWS/States", "ExecutionsTimedOut"),
        ),
        "StateMachineArn",
    ),
}
NOT_SHOWN = {  # what is emitted and not on the dashboard, and why
    **dict.fromkeys(
        (
            ("Evicted", "group"),
            ("SecondsToRegistered", "group"),
            ("SecondsToProvisioned", "group"),
        ),
        "in all it is shown; by group it is for those who look into one",
    ),
    **dict.fromkeys(
        (
            ("CyclesStarted", "group"),
            ("CyclesSucceeded", "group"),
            ("CyclesFailed", "group"),
            ("CyclesRolledBack", "group"),
            ("CyclesCancelled", "group"),
        ),
        "in all it is shown; a group is cycled now and then",
    ),
    **dict.fromkeys(
        (("CycleSeconds", "service"), ("CycleInstancesReplaced", "service"), ("CycleTargetDips", "service")),
        "by group it is shown; groups differ",
    ),
    **dict.fromkeys(
        (("ImagesBaked", "group"), ("ImagesFailed", "group"), ("ImagesRetired", "group")),
        "in all it is shown; a group is baked now and then",
    ),
    ("BakeSeconds", "service"): "by group it is shown; groups differ",
    **dict.fromkeys((("AlertsSent", "service"), ("AlertsLost", "service")), "an alarm's; by channel it is shown"),
}
OPTIONAL = ("HasAlerts", "RunsCycles", "RunsBakes")  # conditions under which the dashboard shows more
OF_MACHINES = {"CycleStateMachineLogGroup", "BakeStateMachineLogGroup"}  # whose lines are of another form
SEARCH = re.compile(
    r"SEARCH\('\{(?P<namespace>[\w/]+),(?P<dimensions>[\w,]+)\} "
    r"MetricName=\"(?P<name>\w+)\"', '(?P<stat>\w+)', (?P<period>\d+)\)"
)


@dataclass(frozen=True)
class Shown:
    """A metric in a widget. dimensions: names, with values but for those that are searched for."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str | None], ...]
    stat: str
    period: int
    visible: bool = True

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.dimensions)


def text_of(value: str | Json, holding: Collection[str]) -> str:
    """What CloudFormation makes of a value, where these conditions hold and no others."""
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return named(name)
        case {"Fn::If": [condition, there, elsewhere]}:
            assert condition in OPTIONAL
            return text_of(there if condition in holding else elsewhere, holding)
        case {"Fn::Join": [str(separator), parts]}:
            return separator.join(text_of(each, holding) for each in parts)
        case {"Fn::Sub": [str(text), dict(own)]}:
            assert set(own) <= set(re.findall(r"\$\{(\w+)\}", text)), "a variable that is not used"
            return substituted(text, {name: text_of(each, holding) for name, each in own.items()})
        case {"Fn::Sub": str(text)}:
            return substituted(text, {})
    pytest.fail(f"a function that this test does not know: {value}")


def substituted(text: str, own: dict[str, str]) -> str:
    """The text of Fn::Sub, its own variables and the template's names replaced; ${!Name} is ${Name} as it stands."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("!"):
            return f"${{{name[1:]}}}"
        return own[name] if name in own else named(name)

    return re.sub(r"\$\{([^}]+)\}", value, text)


def named(name: str) -> str:
    """What a name of the template stands for: a parameter's default, an alarm's ARN, or a resource's logical id."""
    logical, _, attribute = name.partition(".")
    if logical in PARAMETERS:
        return str(PARAMETERS[logical]["Default"])
    assert logical in RESOURCES or name in ("AWS::StackName", "AWS::Region"), name
    if attribute == "Arn":
        return f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{logical}"
    assert attribute in ("", "QueueName")
    return logical


def body(holding: Collection[str] = OPTIONAL) -> Json:
    parsed: Json = json.loads(text_of(of_type("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"], holding))
    return parsed


BODY = body()
WIDGETS: list[Json] = BODY["widgets"]
METRIC_WIDGETS = {each["properties"]["title"]: each["properties"] for each in WIDGETS if each["type"] == "metric"}


def shown_by(properties: Json) -> Iterator[Shown]:
    """Every metric of a widget, also those that a search finds."""
    for *plain, options in properties["metrics"]:
        if plain:
            namespace, name, *dimensions = plain
            pairs = tuple(zip(dimensions[::2], dimensions[1::2], strict=True))
            stat, period = options.get("stat", properties.get("stat")), properties["period"]
            yield Shown(namespace, name, pairs, stat, period, options.get("visible", True))
            continue
        expression = options["expression"]
        searches = list(SEARCH.finditer(expression))
        assert len(searches) == expression.count("SEARCH("), f"a search that is not understood: {expression}"
        for each in searches:
            assert len(each[0]) <= SEARCH_MAX
            dimensions_found = tuple((name, None) for name in each["dimensions"].split(","))
            yield Shown(each["namespace"], each["name"], dimensions_found, each["stat"], int(each["period"]))


SHOWN = [(title, each) for title, properties in METRIC_WIDGETS.items() for each in shown_by(properties)]
ALARMED = [
    (name, metric["Namespace"], metric["MetricName"], metric["Dimensions"])
    for name, alarm in ALARMS.items()
    for metric in (
        [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]
        if "Metrics" in alarm
        else [alarm]
    )
]


def services() -> set[str]:
    return {name.removesuffix("Function").lower() for name in FUNCTIONS}


# What is shown is measured, and what is measured is shown


def test_every_metric_of_ours_on_the_dashboard_is_emitted_with_these_dimensions() -> None:
    emitted = emitted_metrics()
    ours = [(title, each) for title, each in SHOWN if each.namespace == "Rollcall"]
    assert len(ours) > 30
    for title, each in ours:
        assert (each.name, each.names) in emitted, f"{title}: nothing emits {each.name} by {sorted(each.names)}"


def test_every_metric_of_ours_that_an_alarm_watches_is_emitted_with_these_dimensions() -> None:
    emitted = emitted_metrics()
    for alarm, namespace, name, dimensions in ALARMED:
        if namespace == "Rollcall":
            names = frozenset(each["Name"] for each in dimensions)
            assert (name, names) in emitted, f"{alarm}: nothing emits {name} by {sorted(names)}"


def test_everything_that_is_emitted_is_shown() -> None:
    shown = {(each.name, each.names) for _, each in SHOWN if each.namespace == "Rollcall"}
    left_out = {(name, frozenset({dimension})) for name, dimension in NOT_SHOWN}
    assert emitted_metrics() - shown == left_out


def test_the_values_of_dimensions_are_those_that_there_are() -> None:
    alarmed = [(alarm, each["Name"], each["Value"]) for alarm, _, _, dimensions in ALARMED for each in dimensions]
    shown = [(title, name, value) for title, each in SHOWN for name, value in each.dimensions if value is not None]
    known = {
        "service": services(),
        "class": {"Permanent", "Transient"},
        "QueueName": set(QUEUES),
        "FunctionName": set(FUNCTIONS),
        "StateMachineArn": set(STATE_MACHINES),
    }
    for where, name, value in [*shown, *alarmed]:
        assert (target(value) if isinstance(value, dict) else value) in known[name], f"{where}: {name} {value}"


def test_every_metric_of_aws_is_one_that_aws_documents() -> None:
    alarmed = [(where, namespace, name, {each["Name"] for each in its}) for where, namespace, name, its in ALARMED]
    shown = [(title, each.namespace, each.name, set(each.names)) for title, each in SHOWN]
    for where, namespace, name, dimensions in [*alarmed, *shown]:
        if namespace != "Rollcall":
            assert dimensions == {AWS_METRICS[namespace, name]}, where


@pytest.mark.parametrize(
    ("metric", "resources"),
    [
        ("ApproximateAgeOfOldestMessage", set(WORK_QUEUES)),
        ("ApproximateNumberOfMessagesVisible", set(QUEUES)),
        ("ApproximateNumberOfMessagesNotVisible", set(WORK_QUEUES)),
        ("Errors", set(FUNCTIONS)),
        ("Duration", set(FUNCTIONS)),
        ("Throttles", set(FUNCTIONS)),
        ("ConcurrentExecutions", set(FUNCTIONS)),
    ],
)
def test_no_queue_and_no_function_is_forgotten(metric: str, resources: set[str]) -> None:
    assert {each.dimensions[0][1] for _, each in SHOWN if each.name == metric} == resources


@pytest.mark.parametrize(
    "metric", ["SecondsToRegistered", "SecondsToProvisioned", "SecondsToReady", "SecondsToRetired"]
)
def test_waits_are_shown_as_percentiles(metric: str) -> None:
    stats = Counter(each.stat for _, each in SHOWN if each.name == metric and each.names == {"service"})
    assert stats.keys() == {"p50", "p95", "p99"}


def test_counts_are_summed_and_nothing_else_is() -> None:
    lasting = {"FailingFor", "Findings", "TowerLatency", "TimeToServing", "CycleSeconds", "BakeSeconds"}
    for title, each in SHOWN:
        if each.namespace == "Rollcall":
            timed = each.name in lasting or each.name.startswith("SecondsTo")
            assert (each.stat == "Sum") != timed, f"{title}: {each.name} by {each.stat}"


def test_a_sum_over_functions_leaves_none_out() -> None:
    """Where it names them. A search finds them all."""
    retired = [each.dimensions[0][1] for _, each in SHOWN if each.name == "Retired" and each.dimensions[0][1]]
    assert sorted(map(str, retired)) == ["cleanup", "gate", "register"]
    options = [each[-1] for each in METRIC_WIDGETS["Instances, in the time shown"]["metrics"]]
    summed = [each["id"] for each in options if "id" in each]
    assert all("retired" in each for each in summed)
    assert [each["visible"] for each in options if "id" in each] == [False] * len(retired)
    assert [each["expression"] for each in options if "expression" in each] == ['SUM(METRICS("retired"))']


def test_what_a_group_is_called_is_the_label_of_its_line() -> None:
    for title, properties in METRIC_WIDGETS.items():
        for *plain, options in properties["metrics"]:
            if not plain and options["expression"].startswith("SEARCH("):
                found = SEARCH.match(options["expression"])
                assert found
                assert f"${{PROP('Dim.{found['dimensions']}')}}" in options["label"], title


# Alarms


@pytest.mark.parametrize("holding", [OPTIONAL, *((each,) for each in OPTIONAL), ()])
def test_every_alarm_that_the_stack_has_is_on_the_dashboard(holding: Collection[str]) -> None:
    [_, widget] = [each for each in body(holding)["widgets"] if each["type"] == "alarm"]
    shown = [arn.rpartition(":")[2] for arn in widget["properties"]["alarms"]]
    expected = {name for name in ALARMS if RESOURCES[name].get("Condition") in (None, *holding)}
    assert sorted(shown) == sorted(expected)
    assert len(shown) <= ALARMS_MAX
    assert widget["properties"]["sortBy"] == "stateUpdatedTimestamp"  # which shows those in alarm first


@pytest.mark.parametrize("holding", [OPTIONAL, *((each,) for each in OPTIONAL), ()])
def test_the_dashboard_opens_with_one_line_that_says_whether_all_is_well(holding: Collection[str]) -> None:
    first = min(body(holding)["widgets"], key=lambda each: (each["y"], each["x"]))
    assert (first["type"], first["width"]) == ("alarm", COLUMNS)
    assert first["properties"]["alarms"] == [named(f"{HEALTH_ALARM}.Arn")]
    rule = text_of(RESOURCES[HEALTH_ALARM]["Properties"]["AlarmRule"], holding)
    watched = [named(f"{name}.Arn") for name in ALARMS if RESOURCES[name].get("Condition") in (None, *holding)]
    assert sorted(each for each in rule.split(" OR ") if each != "FALSE") == sorted(
        f"ALARM({each})" for each in watched
    )
    assert len(rule) <= RULE_MAX
    assert len(watched) <= ALARMS_MAX


def lines(title: str) -> list[float]:
    """The thresholds drawn in a widget."""
    return [each["value"] for each in METRIC_WIDGETS[title]["annotations"]["horizontal"]]


def test_the_lines_are_where_alarms_sound() -> None:
    ages = {queue: each["Threshold"] for queue, each in alarms_on_queues("ApproximateAgeOfOldestMessage").items()}
    assert lines("Alert: age of the oldest message, s") == [ages.pop("AlertQueue")]
    assert set(lines("Age of the oldest message, s (good: minutes)")) == set(ages.values())
    assert ALARMS["TransientFailureAlarm"]["Threshold"] == {"Ref": "AlertAfter"}
    assert lines("Failing for, s (good: none)") == [PARAMETERS["AlertAfter"]["Default"]]


def test_the_lines_of_durations_are_where_functions_are_cut_off() -> None:
    assert lines("Functions: duration, p95, ms") == [1000 * timeout_of("RegisterFunction")]
    assert {timeout_of(name) for name in ("RegisterFunction", "GateFunction", "CleanupFunction")} == {110}
    assert lines("Reconcile: how long a run takes, ms") == [1000 * timeout_of("ReconcileFunction")]
    assert lines("Doctor: longest run, ms, two weeks") == [1000 * timeout_of("DoctorFunction")]
    assert lines("Functions: batches at once") == [PARAMETERS["BatchesAtOnce"]["Default"]]


# Its place in CloudWatch


def test_widgets_lie_within_the_grid_and_not_on_each_other() -> None:
    for each in WIDGETS:
        assert 0 <= each["x"] < each["x"] + each["width"] <= COLUMNS
        assert 0 < each["height"] <= HEIGHT_MAX
    for one, other in combinations(WIDGETS, 2):
        apart_across = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        apart_down = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert apart_across or apart_down, (one["properties"], other["properties"])


@pytest.mark.parametrize("holding", [OPTIONAL, *((each,) for each in OPTIONAL), ()])
def test_the_grid_has_no_holes(holding: Collection[str]) -> None:
    widgets = body(holding)["widgets"]
    covered = sum(each["width"] * each["height"] for each in widgets)
    assert covered == COLUMNS * max(each["y"] + each["height"] for each in widgets)


def test_the_quotas_allow_a_hundred_groups() -> None:
    sizes = Counter(title for title, each in SHOWN for _ in range(1 if each.dimensions[0][1] else found(each.names)))
    assert max(sizes.values()) <= METRICS_OF_WIDGET
    assert sizes.total() <= METRICS_OF_DASHBOARD
    assert len(WIDGETS) <= WIDGETS_MAX


def found(dimensions: frozenset[str]) -> int:
    """Metrics that a search finds at most."""
    return GROUPS if dimensions == {"group"} else OTHER_VALUES


def test_every_widget_is_of_this_region_with_a_title_of_its_own() -> None:
    drawn = [each["properties"] for each in WIDGETS if each["type"] in ("metric", "log")]
    assert {each["region"] for each in drawn} == {"AWS::Region"}
    titles = [each["properties"]["title"] for each in WIDGETS if each["type"] != "text"]
    assert all(titles)
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("title", METRIC_WIDGETS)
def test_a_widgets_period_is_one_that_its_metrics_are_kept_at(title: str) -> None:
    for each in shown_by(METRIC_WIDGETS[title]):
        assert each.period % 60 == 0
        assert each.period == METRIC_WIDGETS[title]["period"], each.name
        assert each.stat in ("Sum", "Maximum", "p50", "p95", "p99"), each.name


def test_what_is_shown_is_as_new_as_can_be_and_each_period_is_obeyed() -> None:
    assert BODY["periodOverride"] == "inherit"
    for title, properties in METRIC_WIDGETS.items():
        a_point_a_day = properties["period"] == DAY
        assert properties.get("liveData", False) != a_point_a_day, title
        assert ("start" in properties) == a_point_a_day, title  # six hours may have no such point


def test_numbers_are_of_the_time_shown() -> None:
    numbers = {title: each for title, each in METRIC_WIDGETS.items() if each.get("view") == "singleValue"}
    assert all(each["setPeriodToTimeRange"] for each in numbers.values())
    assert {each.stat for title, each in SHOWN if title in numbers} == {"Sum"}


@pytest.mark.parametrize("title", METRIC_WIDGETS)
def test_every_line_has_a_label_and_a_color_of_its_own(title: str) -> None:
    visible = [each[-1] for each in METRIC_WIDGETS[title]["metrics"] if each[-1].get("visible", True)]
    labels = [each["label"] for each in visible]
    colors = [each["color"] for each in visible if "color" in each]
    assert len(set(labels)) == len(labels)
    assert len(set(colors)) == len(colors)


def test_two_stacks_and_two_regions_have_dashboards_of_their_own() -> None:
    dashboard = of_type("AWS::CloudWatch::Dashboard")["Dashboard"]
    assert dashboard["DashboardName"] == {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}


# Logs


def test_the_newest_errors_are_of_every_function() -> None:
    [log] = [each["properties"] for each in WIDGETS if each["type"] == "log"]
    sources = re.findall(r"SOURCE '(\w+)'", log["query"])
    assert set(sources) == set(LOG_GROUPS) - OF_MACHINES
    assert len(sources) <= LOG_GROUPS_MAX
    assert "alert = 1" in log["query"]
    assert "sort @timestamp desc" in log["query"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("2026-11-21T10:00:00.000Z 4f0c Task timed out after 110.00 seconds", True),
        ("[ERROR] Runtime.ImportModuleError: Unable to import module 'app'", True),
        ("RequestId: 4f0c Error: Runtime exited with error: signal: killed", True),
        ("INIT_START Runtime Version: python:3.13.v51", False),
        ("REPORT RequestId: 4f0c Duration: 2.31 ms Billed Duration: 3 ms", False),
    ],
)
def test_what_lambda_itself_logs_of_a_function_that_broke_is_among_them(line: str, shown: bool) -> None:
    [log] = [each["properties"] for each in WIDGETS if each["type"] == "log"]
    [pattern] = re.findall(r"@message like /(.+?)/", log["query"])
    assert bool(re.search(pattern, line)) == shown


def test_the_text_leads_to_every_log() -> None:
    [text] = [each["properties"]["markdown"] for each in WIDGETS if each["type"] == "text"]
    assert set(re.findall(r"log-group/(\w+)\)", text)) == set(LOG_GROUPS) - OF_MACHINES


# The picture


class Titles(HTMLParser):
    """The titles of the widgets that were drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within = False
        self.cut: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        self._within = "title" in classes
        if "cut" in classes:
            self.cut.append("")

    def handle_data(self, data: str) -> None:
        if self._within:
            self.found.append(data)
            self._within = False


def test_the_picture_has_every_widget_and_no_title_that_does_not_fit(tmp_path: Path) -> None:
    out = tmp_path / "build" / "dashboard.html"
    done = subprocess.run(
        [sys.executable, "-m", "generators.dashboard", "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "docs")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    titles = Titles()
    titles.feed(out.read_text())
    assert titles.found == [each["properties"]["title"] for each in WIDGETS if each["type"] != "text"]
    assert titles.cut == []


def total(metric: str, of: str = "", stat: str = "Sum", period: int = 300) -> float:
    """The sum of a metric over the hours that the picture shows."""
    return sum(filter(None, sample_hours.values(metric, of, stat, period)))


def test_what_the_picture_shows_agrees_with_itself() -> None:
    for metric in ("Registered", "Ready", "Retired", "Retries", "Alerts"):
        by_group = sum(total(metric, group) for group in ("web", "api", "batch-eu", "canary"))
        assert total(metric) == total(metric, period=60) == (by_group if metric != "Alerts" else total(metric))
    assert total("Registered") - total("Ready") == total("Alerts") == 1  # the one that an alert is about
    assert total("DriftFound", "reconcile", period=900) == total("DriftFixed", "reconcile", period=900) > 0
    assert total("Abandoned") == total("Errors", "GateFunction") == 0
    assert (
        max(filter(None, sample_hours.values("FailingFor", "Transient", "Maximum", 300)))
        < (PARAMETERS["AlertAfter"]["Default"])
    )
    waits = [sample_hours.values(each, "", "p95", 300) for each in ("SecondsToRegistered", "SecondsToReady")]
    assert all(one < other for one, other in zip(*waits, strict=True) if one is not None and other is not None)
    assert set(sample_hours.RED) <= {*ALARMS, HEALTH_ALARM}
    assert HEALTH_ALARM in sample_hours.RED  # for another one is
