"""The figures of a scale-out, computed from what the embedded cloud recorded. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter

    from lab.aws.embedded import Invocation, Transition
    from lab.tower.embedded import JobRecord, RequestRecord

COMPLETION = "autoscaling:CompleteLifecycleAction"
HEARTBEAT = "autoscaling:RecordLifecycleActionHeartbeat"
ANNOUNCEMENT = "events:PutEvents"
CONTINUED = ("Pending:Proceed", "InService")


@dataclass(frozen=True)
class Findings:
    """What a bench found: figures by key, and what was wrong, as sentences."""

    figures: Mapping[str, float | str]
    wrong: Sequence[str]


@dataclass(frozen=True)
class Period:
    """What was recorded from one moment to another.

    began: epoch seconds. requests: what Tower answered, if it is the embedded one. aws_calls: what functions asked of
    AWS, by API action. invocations and log_lines: by function; those that ended in it.
    """

    began: float
    requests: Sequence[RequestRecord]
    aws_calls: Counter[str]
    invocations: Mapping[str, Sequence[Invocation]]
    log_lines: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class ScaleOut:
    """What was recorded of a scale-out until its last instance was handed to the gate. Times are epoch seconds.

    first_waiting, last_waiting: its instances entered Pending:Wait.
    """

    size: int
    instances: frozenset[str]
    first_waiting: float
    last_waiting: float
    jobs: int
    period: Period

    @property
    def register(self) -> Sequence[Invocation]:
        """The invocations that registered its instances."""
        return self.period.invocations["register"]

    @property
    def ms_per_instance(self) -> float:
        """From the start of its first register invocation to the end of the last one, by its size."""
        began = min(each.started for each in self.register)
        return 1000 * (max(each.ended for each in self.register) - began) / self.size


def percentile(values: Collection[float], share: float) -> float:
    """The smallest of the values that this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def scale_out_figures(scale_out: ScaleOut) -> dict[str, float]:
    """What the scale-out shows whatever Tower it ran against."""
    size = scale_out.size
    return {
        f"ms_per_instance_{size}": scale_out.ms_per_instance,
        f"arrival_s_{size}": scale_out.last_waiting - scale_out.first_waiting,
        f"handed_on_s_{size}": max(each.ended for each in scale_out.register) - scale_out.first_waiting,
        f"register_invocations_{size}": len(scale_out.register),
        f"jobs_{size}": scale_out.jobs,
        f"aws_calls_to_launch_per_instance_{size}": scale_out.period.aws_calls.total() / size,
    }


def tower_figures(scale_out: ScaleOut) -> dict[str, float]:
    """What the embedded Tower recorded of a scale-out's registration."""
    own = scale_out.period.requests
    associated = [each.ended for each in own if is_associate(each)]
    launched = [each.ended for each in own if is_launch(each)]
    return {
        f"registered_s_{scale_out.size}": max(associated) - scale_out.first_waiting,
        f"launched_s_{scale_out.size}": max(launched) - scale_out.first_waiting,
        f"tower_calls_to_launch_per_instance_{scale_out.size}": len(own) / scale_out.size,
    }


def is_associate(request: RequestRecord) -> bool:
    """Whether it put a host into a group."""
    return request.method == "POST" and "/groups/" in request.path and request.path.endswith("/hosts/")


def is_launch(request: RequestRecord) -> bool:
    """Whether it launched a job."""
    return request.method == "POST" and request.path.endswith("/launch/")


def waits_for_continue(
    jobs: Iterable[JobRecord], transitions: Iterable[Transition], event_lag: float
) -> dict[str, float]:
    """By instance, seconds from its job's result being readable to its CONTINUE. Those without either are left out.

    A result is readable event_lag seconds after the job's end, when Tower has processed its events.
    """
    continued: dict[str, float] = {}
    for each in transitions:
        if each.state in CONTINUED:
            continued.setdefault(each.instance_id, each.time)
    return {
        host: continued[host] - job.finished - event_lag
        for job in jobs
        if job.finished is not None
        for host in job.hosts
        if host in continued
    }


def wait_figures(name: str, waits: Collection[float]) -> dict[str, float]:
    """p50, p95 and the longest of these waits, in seconds."""
    return {
        f"result_to_continue_p50_s{name}": percentile(waits, 0.5),
        f"result_to_continue_p95_s{name}": percentile(waits, 0.95),
        f"result_to_continue_max_s{name}": max(waits),
    }


def call_figures(calls: Counter[str], size: int) -> dict[str, float]:
    """What functions asked of AWS for each instance of a scale-out, from its begin until all are in service.

    to_work: without heartbeats and events, which nothing waits for.
    """
    return {
        f"aws_calls_per_instance_{size}": calls.total() / size,
        f"completions_per_instance_{size}": calls[COMPLETION] / size,
        f"heartbeats_per_instance_{size}": calls[HEARTBEAT] / size,
        f"announcements_per_instance_{size}": calls[ANNOUNCEMENT] / size,
        f"aws_calls_to_work_per_instance_{size}": (calls.total() - calls[HEARTBEAT] - calls[ANNOUNCEMENT]) / size,
    }


def removal_figures(removal: Period, transitions: Iterable[Transition]) -> dict[str, float]:
    """What the removal of all instances took, from the first cleanup invocation to the last answered hook."""
    proceeded = [
        each.time for each in transitions if each.state == "Terminating:Proceed" and each.time >= removal.began
    ]
    size = len(proceeded)
    began = min(each.started for each in removal.invocations["cleanup"])
    return {
        "terminated_instances": size,
        "ms_per_terminated_instance": 1000 * (max(proceeded) - began) / size,
        "tower_calls_per_terminated_instance": len(removal.requests) / size,
        "aws_calls_per_terminated_instance": removal.aws_calls.total() / size,
    }


def wrong_sizes(scale_outs: Iterable[ScaleOut]) -> list[str]:
    """The scale-outs that had more or fewer instances than they should, as sentences."""
    return [
        f"the scale-out of {each.size} had {len(each.instances)} instances"
        for each in scale_outs
        if each.size != len(each.instances)
    ]


def wrong_jobs(instances: Collection[str], limits: Iterable[frozenset[str]]) -> list[str]:
    """The instances that are not in exactly one job, as sentences."""
    held: dict[str, int] = dict.fromkeys(instances, 0)
    for limit in limits:
        for name in limit & held.keys():
            held[name] += 1
    return [f"{name} is in {count} jobs" for name, count in held.items() if count != 1]


def wrong_services(instances: Collection[str], transitions: Iterable[Transition]) -> list[str]:
    """The instances that did not enter service exactly once, as sentences."""
    entered: dict[str, int] = dict.fromkeys(instances, 0)
    for each in transitions:
        if each.state == "InService":
            entered[each.instance_id] = entered.get(each.instance_id, 0) + 1
    return [f"{name} entered service {count} times" for name, count in entered.items() if count != 1]


def rounded(figures: Mapping[str, float | str]) -> dict[str, float | str]:
    """The same with four significant digits, and what is whole as whole numbers."""

    def short(value: float | str) -> float | str:
        if isinstance(value, str) or value == int(value):
            return value if isinstance(value, str) else int(value)
        return float(f"{value:.4g}")

    return {key: short(value) for key, value in figures.items()}
