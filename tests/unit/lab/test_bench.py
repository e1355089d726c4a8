"""The bench's own arithmetic: percentiles, prices, goals, and the exit code that follows from them."""

from __future__ import annotations

import json
import time
from collections import Counter
from copy import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session

from bench.baking import (
    BOOT,
    CHECKS,
    IMAGE,
    IMAGES,
    KEPT,
    SCALE,
    VERSIONS,
    Baked,
    Retained,
    bake_figures,
    instance_seconds,
    more_versions,
    retention_figures,
    wrong_bake,
    wrong_retention,
)
from bench.baking import CALL as BAKE_CALL
from bench.bench import conclude, main
from bench.counted import counted
from bench.cycling import (
    BATCH,
    DRAINING,
    HEALTH_INTERVAL,
    INSTANCES,
    RATE,
    WARM_UP,
    Cycled,
    cycle_figures,
    entered_states,
    invocations,
    least_seconds,
    wrong_cycle,
)
from bench.drifted import GROUP_SIZE, INVENTORY, Drift, drifted
from bench.figures import (
    Findings,
    Period,
    call_figures,
    percentile,
    waits_for_continue,
    wrong_jobs,
    wrong_services,
    wrong_sizes,
)
from bench.how_made import how_made
from bench.own_code import cpu_ms_per_batch_100
from bench.per_instance import AT_ONCE, EIGHT_WIDE, SEQUENTIAL
from bench.places import JOB_SPREAD, JOB_TIME
from bench.prepared_aws import CALL, GROUPS_PER_PAGE, INSTANCE, PER_INSTANCE, PreparedAws
from bench.price import (
    INSTANCE_HOUR,
    LAMBDA_GB_SECOND,
    LAMBDA_LINES_BYTES,
    LAMBDA_REQUEST,
    Usage,
    Work,
    bake_price,
    cycle_price,
    memory_size,
    price_figures,
    reconcile_in_lambda,
    retention_in_lambda,
    sqs_requests,
    standing_price,
    state_transitions,
    usage_of,
)
from bench.progress import View
from bench.reconciling import (
    COMPARED,
    PAGE_SIZE,
    PAGES,
    SIZES,
    Run,
    complaints,
    reconcile_figures,
    tower_of,
    wrong_hosts,
)
from bench.table import BAKES, GOALS, RECONCILED, RETENTION_SECONDS, Goal, markdown, missed_goals, tables
from lab.aws.embedded import Invocation, Transition
from lab.tower.embedded import JobRecord
from rollcall.bake.retiring import TIME_NEEDED
from unit.project.template import TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, float | str] = {
    "server": "model",
    "ms_per_instance_100": 60.0,
    "speedup_vs_eight_wide": 8.0,
    "ms_per_instance_1000": 60.0,
    "tower_calls_per_instance_1000": 1.1,
    "speedup_vs_real_eight_wide": 5.9,
    "speedup_from_first_launch": 6.0,
    "aws_calls_to_work_per_instance_1000": 1.09,
    "poll_lag_5min_p95_s": 4.0,
    "jobs_1000": 11,
    "result_to_continue_p95_s": 3.0,
    "polls_5min_job": 12,
    "cold_start_compiled_ratio_max": 1.2,
    "usd_per_1000_lifecycles": 0.01,
    "cycle_failed_requests": 0,
    "cycle_overhead": 1.15,
    "retention_s_in_lambda": 280.0,
    "retention_mb": 150.0,
    "bake_memory_mb": 192,
    "cpu_ms_per_batch_100": 199.0,
    "reconcile_10000_s": 10.0,
    "reconcile_10000_mb": 512.0,
    "reconcile_speedup_vs_list": 50.0,
    "reconcile_growth_20000_over_5000": 4.4,
    **{f"memory_size_mb_{name}": 192 for name in ("register", "gate", "cleanup")},
}
CHEAPEST = {f"cheapest_memory_mb_{name}": 192 for name in ("register", "gate", "cleanup")}
GOOD |= CHEAPEST
GIVEN = {*CHEAPEST, "bake_memory_mb"}  # what goals are compared with
BAD: dict[str, float | str] = {
    "ms_per_instance_100": 71.0,
    "speedup_vs_eight_wide": 4.9,
    "ms_per_instance_1000": 61.0,
    "tower_calls_per_instance_1000": 1.3,
    "speedup_vs_real_eight_wide": 4.9,
    "speedup_from_first_launch": 4.9,
    "aws_calls_to_work_per_instance_1000": 1.11,
    "poll_lag_5min_p95_s": 5.1,
    "jobs_1000": 21,
    "result_to_continue_p95_s": 5.1,
    "polls_5min_job": 13,
    "cold_start_compiled_ratio_max": 1.3,
    "usd_per_1000_lifecycles": 0.021,
    "cycle_failed_requests": 1,
    "cycle_overhead": 1.16,
    "retention_s_in_lambda": 281.0,
    "retention_mb": 193.0,
    "cpu_ms_per_batch_100": 200.0,
    "reconcile_10000_s": 10.1,
    "reconcile_10000_mb": 513.0,
    "reconcile_speedup_vs_list": 49.0,
    "reconcile_growth_20000_over_5000": 4.5,
    **{f"memory_size_mb_{name}": 256 for name in ("register", "gate", "cleanup")},
}
WORK = Work(
    invocations=10,
    seconds=20,
    cpu_seconds=5,
    cold_starts=0,
    cold_cpu_seconds=1,
    peak_mb=60,
    memory_mb=512,
)


# Percentiles


@pytest.mark.parametrize(("share", "expected"), [(0.5, 3), (0.95, 5), (0, 1), (1, 5), (0.2, 1), (0.21, 2)])
def test_a_percentile_is_the_value_of_the_nearest_rank(share: float, expected: float) -> None:
    assert percentile([5, 1, 4, 2, 3], share) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.95) == 7


# Waits, and what is wrong


def ended(*hosts: str, finished: float | None) -> JobRecord:
    return JobRecord(
        id=1,
        template="provision",
        inventory="fleet",
        limit=",".join(hosts),
        status="successful",
        created=0,
        started=1,
        finished=finished,
        hosts=dict.fromkeys(hosts, "ok"),
        addresses={},
        cut_short=False,
        explanation="",
        extra_vars="",
        launched_by="admin",
        events_processed=True,
    )


def entered(instance_id: str, state: str, time: float) -> Transition:
    return Transition(time=time, group="web", instance_id=instance_id, address="10.0.0.1", state=state)


def test_an_instance_waits_from_its_readable_result_to_its_first_step_on() -> None:
    transitions = [
        entered("i-a", "Pending:Wait", 5),
        entered("i-a", "Pending:Proceed", 14),
        entered("i-a", "InService", 15),
    ]
    assert waits_for_continue([ended("i-a", finished=10)], transitions, event_lag=1) == {"i-a": 3}


def test_who_has_no_result_or_has_not_gone_on_does_not_count_as_waiting() -> None:
    transitions = [entered("i-a", "InService", 14)]
    assert not waits_for_continue([ended("i-a", finished=None)], transitions, event_lag=1)
    assert not waits_for_continue([ended("i-b", finished=10)], transitions, event_lag=1)


def test_signs_of_life_and_announcements_are_counted_apart_from_the_work() -> None:
    calls = Counter(
        {
            "autoscaling:CompleteLifecycleAction": 100,
            "autoscaling:RecordLifecycleActionHeartbeat": 50,
            "events:PutEvents": 20,
            "ec2:DescribeInstances": 5,
        }
    )
    figures = call_figures(calls, 100)
    assert figures["aws_calls_per_instance_100"] == 1.75
    assert figures["announcements_per_instance_100"] == 0.2
    assert figures["heartbeats_per_instance_100"] == 0.5
    assert figures["aws_calls_to_work_per_instance_100"] == 1.05


def test_an_instance_in_no_job_or_in_two_is_wrong() -> None:
    limits = [frozenset({"i-a", "i-b"}), frozenset({"i-b", "other"})]
    assert wrong_jobs(["i-a", "i-b", "i-c"], limits) == ["i-b is in 2 jobs", "i-c is in 0 jobs"]


def test_an_instance_that_served_never_or_twice_is_wrong() -> None:
    transitions = [entered(each, "InService", 1) for each in ("i-a", "i-b", "i-b")]
    assert wrong_services(["i-a", "i-b", "i-c"], transitions) == [
        "i-b entered service 2 times",
        "i-c entered service 0 times",
    ]


def test_nothing_is_wrong_with_no_scale_out() -> None:
    assert not wrong_sizes([])


# Prices


def test_waiting_is_billed_by_memory_and_time() -> None:
    waiting = replace(WORK, cpu_seconds=0)
    assert waiting.billed_seconds(128) == waiting.billed_seconds(1769) == 20
    assert waiting.price(512) == pytest.approx(20 * 0.5 * LAMBDA_GB_SECOND + 10 * LAMBDA_REQUEST)
    assert waiting.cheapest() == 128


def test_computing_takes_longer_with_less_than_one_cpu_and_not_shorter_with_more() -> None:
    assert WORK.billed_seconds(1769) == 20
    assert WORK.billed_seconds(3538) == 20
    assert WORK.billed_seconds(128) == pytest.approx(15 + 5 * 1769 / 128)


def test_every_cold_start_is_billed() -> None:
    assert replace(WORK, cold_starts=2).billed_seconds(1769) == 22


def test_more_memory_than_the_peak_has_to_be_left() -> None:
    assert WORK.fits(120)
    assert not WORK.fits(119)
    assert replace(WORK, peak_mb=65).cheapest() == 192


def test_no_memory_fits_a_function_that_is_larger_than_all() -> None:
    assert replace(WORK, peak_mb=5000).cheapest() == 1769


def test_the_price_is_the_sum_over_the_services() -> None:
    usage = Usage({"register": WORK}, sqs_requests=1_000_000, log_bytes=1024**3, secret_calls=10_000, events=1_000_000)
    prices = usage.price()
    assert (prices["sqs"], prices["logs"], prices["secrets"]) == pytest.approx((0.40, 0.50, 0.05))
    assert prices["events"] == pytest.approx(1.00)
    figures = price_figures(usage)
    assert figures["usd_per_1000_lifecycles"] == pytest.approx(sum(prices.values()))
    assert figures["memory_size_mb_register"] == 512
    assert "usd_register_at_128_mb" in figures


def period(register: tuple[int, ...] = (), gate: tuple[int, ...] = (), cleanup: tuple[int, ...] = ()) -> Period:
    """One in which functions took batches of these sizes, each for a second."""
    by_name = {"register": register, "gate": gate, "cleanup": cleanup}
    return Period(
        began=0,
        requests=[],
        aws_calls=Counter({"sqs:SendMessageBatch": 2, "secretsmanager:GetSecretValue": 1}),
        invocations={
            name: [Invocation(name, 1, 2, messages, failed=False) for messages in sizes]
            for name, sizes in by_name.items()
        },
        log_lines={"register": ["x" * 74]},
    )


def test_events_travel_by_tens_and_the_gates_messages_singly() -> None:
    assert sqs_requests(period(register=(25,))) == 25 + 3 + 3 + 2
    assert sqs_requests(period(gate=(3, 1))) == 8 + 2


def test_terminations_count_as_if_they_were_a_thousand() -> None:
    figures = {
        "terminated_instances": 2000.0,
        "jobs_1000": 1.0,
        **{f"cpu_ms_{name}_100": 100.0 for name in ("register", "gate", "poll", "cleanup")},
        **{f"cpu_ms_cold_{name}": 500.0 for name in ("register", "gate", "cleanup")},
        **{f"memory_mb_{name}": 90.0 for name in ("register", "gate", "cleanup")},
    }
    memory = dict.fromkeys(("register", "gate", "cleanup"), 256)
    launching = period(register=(500, 500), gate=(1, 2))
    usage = usage_of(launching, period(cleanup=(2000, 2000)), figures, memory, at_once=2)
    register, gate, cleanup = usage.works["register"], usage.works["gate"], usage.works["cleanup"]
    assert (register.seconds, register.cpu_seconds) == (2, 1)
    assert gate.cpu_seconds == pytest.approx(1 + 0.2)  # a thousand let in, and two looks that found a job running
    assert (cleanup.invocations, cleanup.seconds, cleanup.cpu_seconds) == (1, 1, 2)
    assert usage.secret_calls == 1 + 0.5 + 6
    assert usage.events == 3000  # of each instance: registered, ready, retired


def test_the_standing_price_counts_event_sources_alarms_and_metrics() -> None:
    bare = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm"}}}
    assert standing_price(TEMPLATE) > standing_price(bare) > standing_price({"Resources": {}}) > 0


@pytest.mark.parametrize(
    ("resource", "price"),
    [
        ({"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}}, 0.10),
        (
            {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {"Metrics": [{"Expression": "a / b"}, {"MetricStat": {}}, {"MetricStat": {}}]},
            },
            0.20,
        ),
        ({"Type": "AWS::CloudWatch::CompositeAlarm"}, 0.50),
        ({"Type": "AWS::CloudWatch::Dashboard"}, 3.00),
        ({"Type": "AWS::SQS::Queue"}, 0),
    ],
)
def test_an_alarm_costs_for_each_metric_and_a_dashboard_as_a_whole(resource: dict[str, Any], price: float) -> None:
    assert standing_price({"Resources": {"It": resource}}) - standing_price({"Resources": {}}) == pytest.approx(price)


@pytest.mark.parametrize("function", ["RegisterFunction", "GateFunction", "CleanupFunction"])
def test_the_memory_is_the_templates(function: str) -> None:
    assert memory_size(TEMPLATE, function) >= 128


def test_a_run_in_lambda_computes_with_its_memorys_share_of_a_cpu() -> None:
    measured = {"reconcile_10000_with_cold_start_s": 9.0, "reconcile_10000_cpu_s": 4.0}
    measured |= {"reconcile_10000_described_with_cold_start_s": 30.0, "reconcile_10000_described_cpu_s": 20.0}
    figures = reconcile_in_lambda(measured, memory_mb=1769 // 2, every=5)
    assert figures["reconcile_10000_s_in_lambda"] == pytest.approx(9 + 4, rel=0.01)
    assert figures["reconcile_10000_described_s_in_lambda"] == pytest.approx(30 + 20, rel=0.01)
    monthly = 30 * 24 * 12 * (13 * 884 / 1024 * LAMBDA_GB_SECOND + LAMBDA_REQUEST)
    assert figures["usd_reconcile_10000_per_month"] == pytest.approx(monthly, rel=0.01)
    assert reconcile_in_lambda(measured, 3538, every=5)["reconcile_10000_s_in_lambda"] == 9


# A cycle


def happened(kind: str, at: float, name: str = "") -> dict[str, Any]:
    """An event of an execution's history."""
    event: dict[str, Any] = {"type": kind, "timestamp": datetime.fromtimestamp(at, UTC)}
    return event | ({"stateEnteredEventDetails": {"name": name}} if kind.endswith("Entered") else {})


HISTORY = [
    happened("ExecutionStarted", 0),
    happened("PassStateEntered", 0, "Begin"),
    happened("PassStateExited", 0),
    happened("TaskStateEntered", 1, "Follow"),
    happened("TaskScheduled", 1),
    happened("TaskStateExited", 3),
    happened("WaitStateEntered", 3, "Wait"),
    happened("WaitStateExited", 18),
    happened("TaskStateEntered", 18, "Follow"),
    happened("TaskStateExited", 18.5),
    happened("SucceedStateEntered", 19, "Succeeded"),
]


def cycled(**changes: Any) -> Cycled:
    """A cycle that was just in time."""
    facts: dict[str, Any] = {
        "seconds": least_seconds(INSTANCES, BATCH) * 1.15,
        "asked": 1000,
        "failed": 0,
        "states": entered_states(HISTORY),
        "period": replace(
            period(), invocations={"cycle": invocations(HISTORY, "cycle")}, log_lines={"cycle": ["x" * 74]}
        ),
        "events": 2,
        "wrong": (),
    }
    return Cycled(**(facts | changes))


def test_the_states_of_an_execution_are_counted_and_its_end_as_one_more_transition() -> None:
    assert entered_states(HISTORY) == {"Begin": 1, "Follow": 2, "Wait": 1, "Succeeded": 1}
    assert state_transitions(entered_states(HISTORY)) == 6


def test_an_invocation_of_a_cycle_lasts_from_its_tasks_begin_to_its_end() -> None:
    assert [(each.started, each.ended) for each in invocations(HISTORY, "cycle")] == [(1, 3), (18, 18.5)]


def test_the_least_that_a_cycle_can_take_is_batch_after_batch() -> None:
    a_batch = JOB_TIME + HEALTH_INTERVAL + WARM_UP
    assert least_seconds(100, 25) == 4 * a_batch + DRAINING
    assert least_seconds(101, 25) == 5 * a_batch + DRAINING
    assert least_seconds(10, 25, job=10) == 10 + HEALTH_INTERVAL + WARM_UP + DRAINING


def test_the_overhead_is_the_time_over_the_least_and_a_lost_request_misses_the_goal() -> None:
    assert cycle_figures(cycled())["cycle_overhead"] == pytest.approx(1.15)
    figures = GOOD | cycle_figures(cycled(failed=1)) | {"cycle_overhead": 1.0}
    assert missed_goals(figures) == [
        "requests lost in a cycle of 100 instances: 1, and the goal is <= 0",
    ]


def test_a_cycle_costs_transitions_and_what_its_function_takes_logs_and_publishes() -> None:
    about = cycled()
    prices = cycle_price(about.period, 1_000_000, about.events, 1769)
    assert prices["usd_state_transitions_per_cycle"] == pytest.approx(25)
    work = 2.5 * 1769 / 1024 * LAMBDA_GB_SECOND + 2 * LAMBDA_REQUEST
    logs = (100 + 2 * (LAMBDA_LINES_BYTES + 3 * 26)) / 1024**3 * 0.5
    assert prices["usd_per_cycle"] == pytest.approx(25 + work + logs + 2 * 1e-6)


def test_less_memory_than_a_cpus_makes_all_of_a_cycles_time_longer() -> None:
    with_half, with_all = (cycle_price(cycled().period, 0, 0, size)["usd_per_cycle"] for size in (1769 // 2, 1769))
    assert with_half == pytest.approx(with_all, rel=0.01)  # twice as long with half of it


@pytest.mark.parametrize(
    ("changes", "serving", "words"),
    [
        ({}, range(INSTANCES), ""),
        ({"result": "failed", "reason": "AWS gave up"}, range(INSTANCES), "the cycle failed: AWS gave up"),
        ({"batch": 1}, range(INSTANCES), f"the cycle took batches of 1, and was to take those of {BATCH}"),
        ({"dips": [{}]}, range(INSTANCES), "the cycle saw 1 dips of healthy targets"),
        ({}, range(-1, INSTANCES - 1), "1 old instances still serve after the cycle"),
        ({}, range(INSTANCES - 1), f"{INSTANCES - 1} instances serve after the cycle, and {INSTANCES} should"),
    ],
)
def test_a_cycle_that_did_not_come_out_is_wrong(changes: dict[str, Any], serving: range, words: str) -> None:
    state = {"result": "succeeded", "reason": "", "dips": [], "batch": BATCH, **changes}
    assert wrong_cycle(state, ["i--1"], [f"i-{number}" for number in serving]) == ([words] if words else [])


# Reconcile


def test_the_figures_of_runs_compare_them_with_the_list_and_with_each_other() -> None:
    runs = {
        hosts: Run(hosts / 1000, hosts / 1000 + 1, 1.0, hosts / 5000, hosts / 10_000, 200.0, 50, 20) for hosts in SIZES
    }
    figures = reconcile_figures(runs, described=Run(30.0, 31.0, 20.0, 2.0, 1.0, 300.0, 50, 70), walk=250.0)
    assert (figures["reconcile_20000_s"], figures["reconcile_growth_20000_over_5000"]) == (20, 4)
    assert (figures["reconcile_speedup_vs_list"], figures["reconcile_run_speedup_vs_list"]) == (125, 25)
    assert (figures["reconcile_10000_s"], figures["reconcile_10000_described_s"]) == (10, 30)


def test_one_host_in_a_hundred_is_drifted() -> None:
    world = drifted(2 * len(Drift))
    instances = [each for own in world.members.values() for each in own]
    assert len(world.rows) == len(instances) == 2 * len(Drift) * GROUP_SIZE
    there = {row.name: row for row in world.rows}
    right = {row.name: row for row in world.right_rows()}
    differing = [name for name in there.keys() | right.keys() if there.get(name) != right.get(name)]
    assert len(differing) == 2 * len(Drift)
    assert wrong_hosts(world, tower_of(world)) != []


def test_a_recycled_address_is_that_of_an_instance_without_a_host() -> None:
    world = drifted(len(Drift))
    hosted = {row.name for row in world.rows}
    unhosted = {each.address for own in world.members.values() for each in own if each.instance_id not in hosted}
    recycled = [row for row in world.rows if row.variables["ansible_host"] in unhosted]
    assert [row.name for row in recycled] == [world.terminated[1].instance_id]


def test_a_host_too_many_is_wrong_until_it_is_gone() -> None:
    world = drifted(1)
    tower = tower_of(world)
    [former] = world.terminated
    [sentence] = wrong_hosts(world, tower)
    assert former.instance_id in sentence
    tower.remove_host(former.instance_id, INVENTORY)
    assert wrong_hosts(world, tower) == []


def parsed(service: str, operation: str, aws: PreparedAws, **asked: str) -> Any:
    """What botocore makes of an answer."""
    service_model = get_session().get_service_model(service)
    body = aws.answer("", urlencode({"Action": operation, **asked})).encode()
    parser = create_parser(service_model.metadata["protocol"])
    shape = service_model.operation_model(operation).output_shape
    assert shape
    return parser.parse({"body": body, "headers": {}, "status_code": 200}, shape)


def test_botocore_reads_what_the_prepared_aws_writes() -> None:
    world = drifted(1)
    [machine, *_], [former] = world.members["web-000"], world.terminated
    aws = PreparedAws(world, "token")
    asked = {f"Filter.1.Value.{n}": each for n, each in enumerate([machine.instance_id, former.instance_id, "i-0"], 1)}
    found = parsed("ec2", "DescribeInstances", aws, **asked)["Reservations"]
    first, second = (each["Instances"][0] for each in found)
    assert (first["InstanceId"], first["PrivateIpAddress"]) == (machine.instance_id, machine.address)
    assert (first["State"]["Name"], second["State"]["Name"]) == ("running", "terminated")
    assert {"Key": "aws:autoscaling:groupName", "Value": "web-000"} in first["Tags"]
    members = parsed(
        "autoscaling", "DescribeAutoScalingInstances", aws, **{"InstanceIds.member.1": machine.instance_id}
    )
    assert members["AutoScalingInstances"][0]["AutoScalingGroupName"] == "web-000"
    assert aws.calls == {"DescribeInstances": 1, "DescribeAutoScalingInstances": 1}


def test_the_prepared_auto_scaling_lists_groups_by_pages_with_or_without_instances() -> None:
    aws = PreparedAws(drifted(GROUPS_PER_PAGE + 1), "token")
    first = parsed("autoscaling", "DescribeAutoScalingGroups", aws)
    second = parsed("autoscaling", "DescribeAutoScalingGroups", aws, NextToken=first["NextToken"])
    groups = [*first["AutoScalingGroups"], *second["AutoScalingGroups"]]
    assert [len(each["Instances"]) for each in groups] == [GROUP_SIZE] * (GROUPS_PER_PAGE + 1)
    assert {"rollcall:inventory": INVENTORY}.items() <= {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}.items()
    alone = parsed("autoscaling", "DescribeAutoScalingGroups", aws, IncludeInstances="false")
    assert not any(each.get("Instances") for each in alone["AutoScalingGroups"])


def test_an_instance_is_described_as_long_windedly_as_ec2_does() -> None:
    assert 9_000 <= len(INSTANCE) <= 10_000


def test_what_a_run_should_not_have_to_say_is_wrong() -> None:
    quiet = {"findings": [], "stopped": [], "troubles": [], "left": 0, "steps": [{"step": "removed"}]}
    assert complaints(quiet) == []
    assert complaints(quiet | {"troubles": [{"what": "group web"}], "left": 2}) == [
        "{'what': 'group web'}",
        "steps left to the next run: 2",
    ]


# A bake, and retention

BAKE = {
    "result": "baked",
    "reason": "",
    "image_id": "ami-b",
    "ended": 100.0,
    "builder_since": 10.0,
    "smoke_since": 60.0,
}
MADE = {"ImageId": "ami-b", "BlockDeviceMappings": [{"Ebs": {"SnapshotId": "snap-1", "VolumeSize": 8}}]}


def baked() -> Baked:
    about = replace(period(), invocations={"bake": invocations(HISTORY, "bake")}, log_lines={})
    return Baked(
        seconds=900,
        instance_seconds=1800,
        image_gb=8,
        states=entered_states(HISTORY),
        period=about,
        tower_calls=12,
        events=1,
        wrong=(),
    )


def test_the_figures_of_a_bake_are_calls_transitions_and_instance_hours() -> None:
    figures = bake_figures(baked())
    assert (figures["bake_aws_calls"], figures["bake_tower_calls"], figures["bake_invocations"]) == (3, 12, 2)
    assert (figures["bake_state_transitions"], figures["bake_instance_hours"]) == (6, 0.5)
    assert instance_seconds(BAKE) == 90 + 40


def test_a_bake_costs_its_instances_too_and_its_image_by_the_month() -> None:
    price = bake_price(baked().period, 1_000_000, 0, 192, instance_hours=2, image_gb=0)
    assert price["usd_instances_per_bake"] == pytest.approx(2 * INSTANCE_HOUR)
    with_function = price["usd_per_bake"] - price["usd_instances_per_bake"] - price["usd_state_transitions_per_bake"]
    assert price["usd_state_transitions_per_bake"] == pytest.approx(25)
    assert 0 < with_function < 0.001
    with_image = bake_price(baked().period, 0, 0, 192, instance_hours=1, image_gb=100)
    assert with_image["usd_image_per_month"] == pytest.approx(5)
    assert with_image["usd_instances_per_bake"] > INSTANCE_HOUR


@pytest.mark.parametrize(
    ("state", "made", "versions", "wrong"),
    [
        (BAKE, [MADE], {"2": "ami-b"}, []),
        (BAKE | {"result": "failed", "reason": "why"}, [MADE], {"2": "ami-b"}, ["the bake failed: why"]),
        (BAKE, [MADE, MADE], {"2": "ami-b"}, ["the bake made 2 images"]),
        (BAKE, [MADE], {}, ["the bake made 0 versions"]),
        (BAKE, [MADE | {"BlockDeviceMappings": []}], {"2": "ami-b"}, ["an image of the bake has no snapshot"]),
    ],
)
def test_a_bake_that_made_too_much_or_too_little_is_wrong(
    state: dict[str, Any], made: list[dict[str, Any]], versions: dict[str, str], wrong: list[str]
) -> None:
    assert wrong_bake(state, made, versions) == wrong


def test_retention_has_so_many_images_and_versions_and_each_is_of_its_own_bake() -> None:
    ids = [f"ami-{number}" for number in range(IMAGES)]
    more = more_versions(ids)
    assert len(more) + IMAGES + 1 == VERSIONS
    assert more[0] == more[IMAGES] == ("ami-0", "rollcall bake 000000000000 ami-0")


def test_what_retention_leaves_or_takes_too_much_of_is_wrong() -> None:
    ids = [f"ami-{number}" for number in range(KEPT + 1)]
    states = {each: "disabled" if each == "ami-0" else "available" for each in ids}
    versions = {str(number): each for number, each in enumerate(ids[1:])}
    assert wrong_retention({"warnings": []}, ids, states, versions) == []
    assert len(wrong_retention({"warnings": []}, ids, states | {"ami-0": "available"}, versions)) == 1
    assert len(wrong_retention({"warnings": []}, ids, states | {"ami-1": "disabled"}, versions)) == 1
    assert len(wrong_retention({"warnings": []}, ids, states, versions | {"0": "ami-0"})) == 1
    assert wrong_retention({"warnings": ["no time"]}, ids, states, versions) == ["no time"]


def test_the_figures_of_retention_are_its_calls_and_what_its_process_took() -> None:
    figures = retention_figures(Retained(20.0, 8.0, 150.0, Counter({"ec2:DisableImage": 995, "ec2:CreateTags": 5}), ()))
    assert (figures["retention_s"], figures["retention_cpu_s"]) == (20, 8)
    assert (figures["retention_aws_calls"], figures["retention_mb"]) == (1000, 150)
    assert retention_in_lambda(figures, 1769 // 4)["retention_s_in_lambda"] == pytest.approx(20 + 3 * 8, rel=0.01)
    assert retention_in_lambda(figures, 3538)["retention_s_in_lambda"] == 20


@pytest.fixture
def listen() -> None:
    """Sockets are open for a test that has this."""


@pytest.mark.usefixtures("listen")
def test_calls_are_counted_by_their_action_and_passed_on_and_take_a_while() -> None:
    aws = PreparedAws(drifted(1), "token")
    with aws.serve() as variables, counted(variables["AWS_ENDPOINT_URL"], 0.2) as (url, calls):
        session = get_session()
        session.set_credentials("a", "b")
        client: Any = session.create_client("autoscaling", region_name="us-east-1", endpoint_url=url)
        began = time.monotonic()
        assert client.describe_auto_scaling_groups()["AutoScalingGroups"]
        assert time.monotonic() - began >= 0.2
        client.close()
    assert calls == {"autoscaling:DescribeAutoScalingGroups": 1}


def test_a_run_of_retention_may_take_what_its_function_has_time_for() -> None:
    assert TEMPLATE["Resources"]["BakeFunction"]["Properties"]["Timeout"] - TIME_NEEDED == RETENTION_SECONDS


def test_bakes_are_measured_alone_only_by_their_own_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "cycles"])
    monkeypatch.setattr("bench.bench.until_interrupted", lambda run: run())
    assert main() == 1
    assert "measured by itself: bakes" in capsys.readouterr().out


# Goals


def test_figures_on_their_goals_meet_them() -> None:
    assert not missed_goals(GOOD)
    assert {goal.key for goal in GOALS} == GOOD.keys() - {"server", *GIVEN}


@pytest.mark.parametrize("key", BAD)
def test_each_figure_beyond_its_goal_is_a_miss(key: str) -> None:
    assert len(missed_goals(GOOD | {key: BAD[key]})) >= 1
    assert any(goal.key == key and goal.met(GOOD | {key: BAD[key]}) is False for goal in GOALS)


@pytest.mark.parametrize("key", BAD)
def test_what_was_not_measured_is_missed_on_the_model_and_left_out_on_a_real_server(key: str) -> None:
    less = {other: value for other, value in GOOD.items() if other != key}
    assert len(missed_goals(less)) >= 1
    assert not missed_goals(less | {"server": "24.6.1"})
    assert Goal("one", "one", at_most="other").met({"one": 5}) is None


RATIOS = {
    *("speedup_vs_eight_wide", "speedup_from_first_launch", "ms_per_instance_1000", "cold_start_compiled_ratio_max"),
    *("reconcile_speedup_vs_list", "reconcile_growth_20000_over_5000"),
}


@pytest.mark.parametrize("key", BAD)
def test_on_a_real_server_only_ratios_are_missed(key: str) -> None:
    figures = GOOD | {key: BAD[key], "server": "24.6.1"}
    assert len(missed_goals(figures)) == int(key in RATIOS)
    verdicts = {row[0]: row[3] for row in tables(figures)[0].rows}
    assert {verdicts[goal.words] for goal in GOALS if goal.key == key} == {"NO" if key in RATIOS else "-"}


def test_memory_below_the_cheapest_that_fits_is_a_miss_too() -> None:
    assert len(missed_goals(GOOD | {"memory_size_mb_gate": 128})) == 1


def test_the_words_about_how_it_was_made_are_true() -> None:
    words = " ".join(how_made(GOOD).split())
    assert f"A job takes {JOB_TIME:.0f} s, {JOB_SPREAD:.0%}".replace("%", " %") in words
    assert f"one instance at a time ({SEQUENTIAL}) or eight side by side ({EIGHT_WIDE})" in words
    assert AT_ONCE == 8
    assert f"groups of {GROUP_SIZE} instances" in words
    assert f"{CALL * 1000:.0f} ms after each call and {PER_INSTANCE * 1000:.0f} ms more for each instance" in words
    assert f"{PAGES} of the {COMPARED // PAGE_SIZE} pages" in words
    assert f"{COMPARED:,} hosts, {PAGE_SIZE} a page" in words
    assert RECONCILED == SIZES
    assert f"{INSTANCES} instances in four batches of {BATCH}" in words
    assert INSTANCES == 4 * BATCH
    assert f"sends {RATE:.0f} requests a second" in words
    assert f"the job of {JOB_TIME:.0f} s" in words
    assert f"health check of the load balancer ({HEALTH_INTERVAL:.0f} s) and the warm-up ({WARM_UP} s)" in words
    assert f"draining of the old targets ({DRAINING} s)" in words
    assert f"{BOOT:.0f} s until an instance runs, {CHECKS:.0f} s for its status checks and {IMAGE:.0f} s for" in words
    assert SCALE == 0.1
    assert f"over {IMAGES:,} images of a group" in words
    assert f"{VERSIONS:,} versions" in words
    assert f"after {BAKE_CALL * 1000:.0f} ms at least" in words
    assert KEPT == 5
    assert how_made({}) in how_made(GOOD)


def test_no_two_figures_of_bakes_have_the_same_name_on_a_page() -> None:
    """Else one is taken for the other when the page is brought up to date."""
    names = [words.strip() for words, _ in BAKES]
    assert len(names) == len(set(names))


def test_tables_show_what_was_measured_and_leave_out_the_rest() -> None:
    goals = tables({"server": "24.6.1", "speedup_vs_eight_wide": 4.5})[0]
    assert [row[:4] for row in goals.rows] == [("times faster than eight-wide, same run", "4.5", ">= 5", "NO")]
    assert "| 4.5 | >= 5 | NO |" in markdown(goals)


@pytest.mark.parametrize(
    ("figures", "wrong", "exit_code"),
    [
        (GOOD, [], 0),
        (GOOD | {"jobs_1000": 21}, [], 1),
        (GOOD, ["i-a is in 2 jobs"], 1),
        ({"server": "24.6.1", "ms_per_instance_100": 60.0}, [], 0),
        ({"server": "24.6.1", "ms_per_instance_100": 600.0, "speedup_vs_eight_wide": 5.0}, [], 0),
        ({"server": "24.6.1", "ms_per_instance_100": 60.0, "speedup_vs_eight_wide": 4.9}, [], 1),
    ],
)
def test_a_missed_goal_and_a_wrong_result_fail_the_bench(
    figures: dict[str, float | str],
    wrong: list[str],
    exit_code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert conclude(View(), tmp_path / "bench", Findings(figures, wrong)) == exit_code
    assert json.loads((tmp_path / "bench.json").read_text()) == {**figures, "wrong_results": len(wrong)}
    assert (tmp_path / "bench.md").exists()
    said = capsys.readouterr().out
    missed = "Goal missed: jobs for 1,000 launches: 21, and the goal is <= 20"
    assert (missed in said) == (figures.get("jobs_1000") == 21)
    assert all(sentence in said for sentence in wrong)


@pytest.mark.thorough
def test_the_cpu_of_our_own_code_is_measured_for_each_function() -> None:
    figures = cpu_ms_per_batch_100()
    own = {figures[f"own_cpu_ms_{name}_100"] for name in ("register", "gate", "cleanup")}
    assert min(own) > 0
    assert figures["cpu_ms_per_batch_100"] == max(own)
