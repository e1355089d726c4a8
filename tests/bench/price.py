"""What AWS charges for 1,000 lifecycles, for a cycle and for a bake, by its list prices, from what was measured. Pure.

Left out: what does not depend on the load (standing_price), network traffic, and what the instances of groups cost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.figures import Period
    from lab.aws.embedded import Invocation

LIFECYCLES = 1000
SECRET_READ = "secretsmanager:GetSecretValue"

# us-east-1, without the free tier, in USD; from the price page of each service
LAMBDA_GB_SECOND = 0.0000133334  # aws.amazon.com/lambda/pricing: arm64
LAMBDA_REQUEST = 0.20 / 1_000_000  # the same
SQS_REQUEST = 0.40 / 1_000_000  # aws.amazon.com/sqs/pricing: standard queues; each 64 kB of a message is one
LOG_GB = 0.50  # aws.amazon.com/cloudwatch/pricing: ingestion of logs
SECRET_CALL = 0.05 / 10_000  # aws.amazon.com/secrets-manager/pricing
CUSTOM_EVENT = 1.00 / 1_000_000  # aws.amazon.com/eventbridge/pricing: of up to 64 kB, on the default bus
STATE_TRANSITION = 0.025 / 1000  # aws.amazon.com/step-functions/pricing: standard workflows
INSTANCE_HOUR = 0.0168  # aws.amazon.com/ec2/pricing/on-demand: t4g.small, Linux
VOLUME_GB_MONTH = 0.08  # aws.amazon.com/ebs/pricing: gp3
SNAPSHOT_GB_MONTH = 0.05  # the same: the standard tier, of what is written; an image's size is the most
ALARM_MONTH = 0.10  # aws.amazon.com/cloudwatch/pricing: standard resolution, for each metric that an alarm watches
COMPOSITE_ALARM_MONTH = 0.50  # the same, for each
DASHBOARD_MONTH = 3.00  # the same; an account's first three are free if they show no more than 50 metrics
METRIC_MONTH = 0.30  # the same: the first 10,000 custom metrics

MB_OF_ONE_CPU = 1769  # Lambda developer guide, "Configure Lambda function memory": memory that comes with one vCPU
MEMORY_SIZES = (128, 192, 256, 384, 512, 1024, 1769)  # MB that prices are compared at
MEMORY_TO_SPARE = 2  # times the measured peak, which is the process's alone; Lambda counts its runtime's, too
MB_PER_GB = 1024
BYTES_PER_GB = 1024**3
LOG_LINE_OVERHEAD = 26  # bytes that CloudWatch Logs adds to each event: its user guide, "PutLogEvents"
LAMBDA_LINES = 3  # that Lambda itself writes for an invocation: START, END, REPORT
LAMBDA_LINES_BYTES = 90 + 55 + 160  # their usual lengths
MESSAGES_A_CALL = 10  # the most of ReceiveMessage and DeleteMessageBatch
POLLERS = 5  # of an event source while its queue is empty: Lambda developer guide, "Using Lambda with Amazon SQS"
LONG_POLL = 20  # seconds that a receive on an empty queue waits
MONTH = 30 * 86_400  # seconds
EVENTS_OF_A_LIFECYCLE = 3  # Instance Registered, Ready and Retired
CUSTOM_METRICS = 38 + 12  # register's 8, gate's 11, cleanup's 7, reconcile's 8; FailedActions and FailingFor of two
# classes; and those of one group. A metric costs only in the hours in which it is published, so this is the most.


@dataclass(frozen=True)
class Work:
    """What one function did for some lifecycles.

    seconds: of all its invocations, as measured; cpu_seconds: what of that it computed, at one vCPU. cold_starts, and
    cold_cpu_seconds of each. peak_mb: memory. memory_mb: what the template gives it.
    """

    invocations: float
    seconds: float
    cpu_seconds: float
    cold_starts: int
    cold_cpu_seconds: float
    peak_mb: float
    memory_mb: int

    def billed_seconds(self, memory_mb: int) -> float:
        """With that much memory, and the share of a vCPU that comes with it. Waiting takes as long as ever.

        AWS bills the initialization of a cold start, too.
        """
        waiting = max(0.0, self.seconds - self.cpu_seconds)
        computing = self.cpu_seconds + self.cold_starts * self.cold_cpu_seconds
        return waiting + computing * max(1.0, MB_OF_ONE_CPU / memory_mb)

    def price(self, memory_mb: int) -> float:
        """USD for duration and requests."""
        gb_seconds = self.billed_seconds(memory_mb) * memory_mb / MB_PER_GB
        return gb_seconds * LAMBDA_GB_SECOND + self.invocations * LAMBDA_REQUEST

    def fits(self, memory_mb: int) -> bool:
        """Whether the measured peak leaves enough to spare."""
        return memory_mb >= self.peak_mb * MEMORY_TO_SPARE

    def cheapest(self) -> int:
        """The memory, of those compared, that costs least among those that fit."""
        fitting = [size for size in MEMORY_SIZES if self.fits(size)] or [MEMORY_SIZES[-1]]
        return min(fitting, key=self.price)


@dataclass(frozen=True)
class Usage:
    """What 1,000 lifecycles use: works by function, requests to SQS, bytes of logs as billed, calls for the secret.

    events: that are put on the event bus.
    """

    works: Mapping[str, Work]
    sqs_requests: float
    log_bytes: float
    secret_calls: float
    events: float

    def price(self) -> dict[str, float]:
        """USD by service."""
        return {
            "lambda": sum(work.price(work.memory_mb) for work in self.works.values()),
            "sqs": self.sqs_requests * SQS_REQUEST,
            "logs": self.log_bytes / BYTES_PER_GB * LOG_GB,
            "secrets": self.secret_calls * SECRET_CALL,
            "events": self.events * CUSTOM_EVENT,
        }


def usage_of(
    launching: Period, removal: Period, figures: Mapping[str, float], memory: Mapping[str, int], at_once: int
) -> Usage:
    """What 1,000 launches and as many terminations use.

    launching: of 1,000 instances; removal: of figures["terminated_instances"]. memory: MB by function; at_once: the
    batches that each function works on side by side, every one of which begins with a cold start.
    """
    share = LIFECYCLES / figures["terminated_instances"]
    cpu_ms = {
        "register": figures["cpu_ms_register_100"] * _messages(launching.invocations["register"]) / 100,
        "gate": figures["cpu_ms_gate_100"] * LIFECYCLES / 100
        + figures["cpu_ms_poll_100"] * (_messages(launching.invocations["gate"]) - figures["jobs_1000"]),
        "cleanup": figures["cpu_ms_cleanup_100"] * _messages(removal.invocations["cleanup"]) / 100,
    }
    works = {}
    for name, period, part in (("register", launching, 1.0), ("gate", launching, 1.0), ("cleanup", removal, share)):
        invocations = period.invocations[name]
        works[name] = Work(
            invocations=part * len(invocations),
            seconds=part * sum(each.ended - each.started for each in invocations),
            cpu_seconds=part * cpu_ms[name] / 1000,
            cold_starts=at_once,
            cold_cpu_seconds=figures[f"cpu_ms_cold_{name}"] / 1000,
            # The largest of all: the ec2 client, which makes the difference, is made by the others on rare paths.
            peak_mb=max(figures[f"memory_mb_{each}"] for each in memory),
            memory_mb=memory[name],
        )
    parts = ((launching, 1.0), (removal, share))
    return Usage(
        works=works,
        sqs_requests=sum(part * sqs_requests(period) for period, part in parts),
        log_bytes=sum(part * log_bytes(period) for period, part in parts),
        secret_calls=sum(part * period.aws_calls[SECRET_READ] for period, part in parts) + len(works) * at_once,
        events=LIFECYCLES * EVENTS_OF_A_LIFECYCLE,
    )


def _messages(invocations: Iterable[Invocation]) -> int:
    return sum(each.messages for each in invocations)


def sqs_requests(period: Period) -> int:
    """Requests to SQS.

    EventBridge sends an event by one request. Events are small: ten are received, and ten deleted, by one. The gate's
    messages, of up to 100 instances and 64 kB, count singly.
    """
    events = [each.messages for name in ("register", "cleanup") for each in period.invocations[name]]
    waiting = _messages(period.invocations["gate"])
    own = sum(count for action, count in period.aws_calls.items() if action.startswith("sqs:"))
    return sum(events) + sum(2 * math.ceil(size / MESSAGES_A_CALL) for size in events) + 2 * waiting + own


def log_bytes(period: Period) -> int:
    """What CloudWatch Logs bills for the functions' lines and Lambda's own."""
    lines = [line for each in period.log_lines.values() for line in each]
    invocations = sum(len(each) for each in period.invocations.values())
    own = sum(len(line.encode()) + LOG_LINE_OVERHEAD for line in lines)
    return own + invocations * (LAMBDA_LINES_BYTES + LAMBDA_LINES * LOG_LINE_OVERHEAD)


def price_figures(usage: Usage) -> dict[str, float]:
    """USD of 1,000 lifecycles, in all and by service, and the cheapest memory of each function."""
    prices = usage.price()
    return {
        "usd_per_1000_lifecycles": sum(prices.values()),
        **{f"usd_{service}_per_1000_lifecycles": price for service, price in prices.items()},
        **{f"memory_size_mb_{name}": work.memory_mb for name, work in usage.works.items()},
        **{f"cheapest_memory_mb_{name}": work.cheapest() for name, work in usage.works.items()},
        **{
            f"usd_{name}_at_{size}_mb": work.price(size)
            for name, work in usage.works.items()
            for size in MEMORY_SIZES
            if work.fits(size)
        },
    }


def in_lambda(figures: Mapping[str, float], memory: Mapping[str, int], at_once: int) -> dict[str, float]:
    """What the figures come to where functions compute with the share of a vCPU that comes with their memory.

    Here they had a core. memory: MB by function, below that of one vCPU; at_once: batches side by side. The cold starts
    are those of lifecycles that come one at a time, one of each function.
    """
    slower = {name: max(1.0, MB_OF_ONE_CPU / size) - 1 for name, size in memory.items()}
    registering = figures["cpu_ms_register_100"] / 100 * slower["register"] / at_once  # for one instance
    completing = figures["cpu_ms_gate_100"] / 1000 * slower["gate"]
    cold = sum(figures[f"cpu_ms_cold_{name}"] for name in memory) / 1000 * MB_OF_ONE_CPU / MB_PER_GB
    return {
        "usd_cold_starts_of_1000": LIFECYCLES * cold * LAMBDA_GB_SECOND,
        "ms_per_instance_100_in_lambda": figures["ms_per_instance_100"] + registering,
        "ms_per_instance_1000_in_lambda": figures["ms_per_instance_1000"] + registering,
        "result_to_continue_p95_s_in_lambda": figures["result_to_continue_p95_s"] + completing,
    }


def reconcile_in_lambda(figures: Mapping[str, float], memory_mb: int, every: int) -> dict[str, float]:
    """What runs over 10,000 hosts come to with the share of a vCPU that comes with that memory.

    every: minutes from one run to the next; each is priced as if it were the first of its process.
    """
    slower = max(1.0, MB_OF_ONE_CPU / memory_mb) - 1
    seconds, described = (
        figures[f"{run}_with_cold_start_s"] + figures[f"{run}_cpu_s"] * slower
        for run in ("reconcile_10000", "reconcile_10000_described")
    )
    price = seconds * memory_mb / MB_PER_GB * LAMBDA_GB_SECOND + LAMBDA_REQUEST
    return {
        "reconcile_10000_s_in_lambda": seconds,
        "reconcile_10000_described_s_in_lambda": described,
        "usd_reconcile_10000_per_month": price * MONTH / (every * 60),
    }


def retention_in_lambda(figures: Mapping[str, float], memory_mb: int) -> dict[str, float]:
    """What a run of retention comes to with the share of a vCPU that comes with that memory."""
    slower = max(1.0, MB_OF_ONE_CPU / memory_mb) - 1
    return {"retention_s_in_lambda": figures["retention_s"] + figures["retention_cpu_s"] * slower}


def state_transitions(states: Counter[str]) -> int:
    """What Step Functions counts of an execution, by how often each state was entered: its end is one, too."""
    return states.total() + 1


def cycle_price(period: Period, transitions: int, events: int, memory_mb: int) -> dict[str, float]:
    """USD of a cycle: in all, and of that for state transitions. period: what CycleFunction did; events: it published.

    All of its time counts as computing, which it was not: the most that it can be.
    """
    steps = transitions * STATE_TRANSITION
    return {
        "usd_per_cycle": steps + _function_price(period, "cycle", events, memory_mb),
        "usd_state_transitions_per_cycle": steps,
    }


def _function_price(period: Period, name: str, events: int, memory_mb: int) -> float:
    """USD of what the function of a state machine took, logged and published; all of its time as computing."""
    invocations = period.invocations[name]
    seconds = sum(each.ended - each.started for each in invocations)
    work = Work(
        invocations=len(invocations),
        seconds=seconds,
        cpu_seconds=seconds,
        cold_starts=0,  # the first one's is in its time
        cold_cpu_seconds=0.0,
        peak_mb=0.0,
        memory_mb=memory_mb,
    )
    return work.price(memory_mb) + log_bytes(period) / BYTES_PER_GB * LOG_GB + events * CUSTOM_EVENT


def bake_price(
    period: Period, transitions: int, events: int, memory_mb: int, instance_hours: float, image_gb: float
) -> dict[str, float]:
    """USD of a bake without its roll-out: in all, of that for state transitions and for instances with their volumes.

    period: what BakeFunction did. instance_hours: of builder and smoke instance together. image_gb: what an image's
    snapshots hold at most; their storage is given for a month, and not in the price.
    """
    steps = transitions * STATE_TRANSITION
    volumes = image_gb * VOLUME_GB_MONTH * 3600 / MONTH
    instances = instance_hours * (INSTANCE_HOUR + volumes)
    return {
        "usd_per_bake": steps + instances + _function_price(period, "bake", events, memory_mb),
        "usd_state_transitions_per_bake": steps,
        "usd_instances_per_bake": instances,
        "usd_image_per_month": image_gb * SNAPSHOT_GB_MONTH,
    }


def standing_price(template: Mapping[str, Any]) -> float:
    """USD a month that a deployed template costs whatever the load: polling, alarms, dashboards, metrics."""
    resources = template["Resources"].values()
    polling = len(event_sources(template)) * POLLERS * MONTH / LONG_POLL * SQS_REQUEST
    alarms = [each.get("Properties", {}) for each in resources if each["Type"] == "AWS::CloudWatch::Alarm"]
    alarmed = sum(sum("MetricStat" in each for each in alarm.get("Metrics", [])) or 1 for alarm in alarms)
    kinds = Counter(each["Type"] for each in resources)
    dashboards = kinds["AWS::CloudWatch::Dashboard"] * DASHBOARD_MONTH
    composites = kinds["AWS::CloudWatch::CompositeAlarm"] * COMPOSITE_ALARM_MONTH
    return polling + alarmed * ALARM_MONTH + composites + dashboards + CUSTOM_METRICS * METRIC_MONTH


def event_sources(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The SQS event sources of a template's functions."""
    return [
        event["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    ]


def memory_size(template: Mapping[str, Any], function: str) -> int:
    """MB that a template gives a function, by its logical id."""
    common = template.get("Globals", {}).get("Function", {})
    own = template["Resources"][function]["Properties"]
    return int({**common, **own}["MemorySize"])
