"""What an operator reads: the dashboard, and the alarms."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.bakes import PLACED, let_bake, start_bake
from lab.cloud import REGION, STACK, Cloud, Group, eventually
from lab.cycles import WARM_SOON, start_cycle
from lab.tower.embedded import Tower

type Json = dict[str, Any]

FUNCTIONS = ("register", "gate", "cleanup", "reconcile", "cycle", "bake")
IN_TROUBLE = {  # what no function emits as long as all goes well
    ("Abandoned", "gate"),
    ("Alerts", "gate"),
    ("CyclesCancelled", "cycle"),
    ("CyclesFailed", "cycle"),
    ("CyclesRolledBack", "cycle"),
    ("ImagesFailed", "bake"),
    ("ImagesRetired", "bake"),
    ("Retired", "gate"),
    ("Retired", "register"),
    ("SecondsToRetired", "gate"),
}


@pytest.fixture(scope="module")
def dashboard(cloud: Cloud) -> Json:
    """The body of the dashboard that was deployed."""
    answer = cloud.aws.client("cloudwatch").get_dashboard(DashboardName=f"{STACK}-{REGION}")
    body: Json = json.loads(answer["DashboardBody"])
    return body


@pytest.fixture(scope="module")
def resources(cloud: Cloud) -> list[Json]:
    """What the stack consists of."""
    pages = cloud.aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def physical(resources: list[Json], kind: str) -> set[str]:
    return {each["PhysicalResourceId"] for each in resources if each["ResourceType"] == kind}


def metrics(dashboard: Json) -> Iterator[list[str]]:
    for widget in dashboard["widgets"]:
        for *metric, _ in widget["properties"].get("metrics", []):
            yield metric


@pytest.mark.story
def test_the_dashboard_names_what_was_deployed(dashboard: Json, resources: list[Json]) -> None:
    by_dimension = {
        name: {value for *_, dimension, value in filter(None, metrics(dashboard)) if dimension == name}
        for name in ("QueueName", "FunctionName")
    }
    queues = {url.rpartition("/")[2] for url in physical(resources, "AWS::SQS::Queue")}
    assert by_dimension["QueueName"] == queues
    assert by_dimension["FunctionName"] == physical(resources, "AWS::Lambda::Function")
    assert "${" not in json.dumps(dashboard).replace("${PROP(", "")
    assert {widget["properties"].get("region", REGION) for widget in dashboard["widgets"]} == {REGION}


def test_the_dashboard_shows_every_alarm(cloud: Cloud, dashboard: Json, resources: list[Json]) -> None:
    described = cloud.aws.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{STACK}-")["MetricAlarms"]
    assert {each["AlarmName"] for each in described} == physical(resources, "AWS::CloudWatch::Alarm")
    [_, shown] = [each["properties"]["alarms"] for each in dashboard["widgets"] if each["type"] == "alarm"]
    assert sorted(shown) == sorted(each["AlarmArn"] for each in described)


def test_the_first_line_of_the_dashboard_is_red_while_one_alarm_is(
    cloud: Cloud, dashboard: Json, resources: list[Json]
) -> None:
    cloudwatch = cloud.aws.client("cloudwatch")
    [name] = physical(resources, "AWS::CloudWatch::CompositeAlarm")
    [first, _] = [each["properties"]["alarms"] for each in dashboard["widgets"] if each["type"] == "alarm"]
    assert [arn.rpartition(":")[2] for arn in first] == [name]

    def states() -> tuple[str, set[str]]:
        """Of the line, and of all alarms: others on this stack may go off by what other tests do."""
        described = cloudwatch.describe_alarms(
            AlarmNamePrefix=f"{STACK}-", AlarmTypes=["CompositeAlarm", "MetricAlarm"]
        )
        [line] = [each["StateValue"] for each in described["CompositeAlarms"] if each["AlarmName"] == name]
        return str(line), {each["StateValue"] for each in described["MetricAlarms"]}

    one = min(physical(resources, "AWS::CloudWatch::Alarm"))
    cloudwatch.set_alarm_state(AlarmName=one, StateValue="ALARM", StateReason="a test")
    assert states()[0] == "ALARM"
    cloudwatch.set_alarm_state(AlarmName=one, StateValue="OK", StateReason="a test")
    line, alarms = states()
    assert (line == "ALARM") == ("ALARM" in alarms)


def test_the_dashboard_reads_the_logs_of_the_functions(cloud: Cloud, dashboard: Json, resources: list[Json]) -> None:
    """And so all of the stack's but those of the state machines, whose lines have no level."""
    [query] = [each["properties"]["query"] for each in dashboard["widgets"] if each["type"] == "log"]
    functions = cloud.aws.client("lambda")
    logs = {
        functions.get_function_configuration(FunctionName=each)["LoggingConfig"]["LogGroup"]
        for each in physical(resources, "AWS::Lambda::Function")
    }
    for group in logs:
        assert f"SOURCE '{group}'" in query
    others = physical(resources, "AWS::Logs::LogGroup") - logs
    assert others == {f"/aws/vendedlogs/states/{STACK}-{each}" for each in ("bake", "cycle")}


def test_who_the_dashboard_says_emits_a_metric_does(
    make_group: Callable[..., Group], cloud: Cloud, tower: Tower, dashboard: Json, name: str
) -> None:
    group = make_group(size=2, traffic={**WARM_SOON, **PLACED})
    group.use_version("1")
    let_bake(group, tower)
    bake = start_bake(group, roll_out=False, smoke="off")
    eventually(lambda: len(group.in_service()) == 2, "two instances in service")
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "one is gone")
    assert bake.waited()["result"] == "baked"  # while it runs a cycle is refused
    assert start_cycle(group).waited()["result"] == "succeeded"
    cloud.reconcile(groups=[group.name])
    shown = {
        (metric, value)
        for namespace, metric, dimension, value in filter(None, metrics(dashboard))
        if (namespace, dimension) == ("Rollcall", "service")
    }
    assert len(shown) > len(IN_TROUBLE)

    # Each by itself, so that the one that is missing has a name when the time is up.
    for metric, service in sorted(shown - IN_TROUBLE):
        eventually(lambda: (metric, service) in emitted(cloud), f"{service} emits {metric}")  # noqa: B023 - at once


def emitted(cloud: Cloud) -> set[tuple[str, str]]:
    """Every metric that the functions wrote for the dimension service, with its value."""
    return {
        (metric["Name"], entry["service"])
        for function in FUNCTIONS
        for entry in cloud.metrics(function)
        for each in entry["_aws"]["CloudWatchMetrics"]
        if ["service"] in each["Dimensions"]
        for metric in each["Metrics"]
    }


def test_doctor_of_a_stack_without_a_channel_looks_for_none_and_says_that_no_one_is_notified(cloud: Cloud) -> None:
    checked = cloud.doctor(groups=["none"])["checked"]
    assert "3 rules, 6 queues, 3 event source mappings, 1 schedule" in checked
    assert (
        "who is notified of incidents: no one, for AlarmTopicArn, PagerDutySecretArn and SlackSecretArn are empty"
        in checked
    )
