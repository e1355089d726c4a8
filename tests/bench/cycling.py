"""A cycle of a group under load on the deployed stack: requests lost, its time beside the least there is, its price.

The group has its instances before the clock starts. The playbook takes as long as elsewhere in the bench, and Step
Functions waits as long as its definition says, so that what Rollcall adds to a batch is in the same proportion as on
AWS. An embedded cloud of its own: what the scale-outs leave behind would slow this one down.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from bench.figures import Period
from bench.places import JOB_TIME, Model
from bench.price import state_transitions
from lab.aws.control import Invocation
from lab.cloud import Cloud, eventually
from lab.cycles import start_cycle
from lab.invariants import broken_invariants
from lab.traffic.health import HealthCheck
from lab.traffic.service import Start
from lab.traffic.traffic import Traffic
from rollcall.cycle.news import CycleEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from lab.cloud import Group, Json
    from lab.cycles import Cycle

INSTANCES = 100
BATCH = INSTANCES // 4  # of them at a time: the default
ADDRESS_POOL = "10.1.0.0/24"
FUNCTION = "CycleFunction"
FIRST_JOB_TIME = 1.0  # seconds, of the job that brings the group's instances into service before the cycle
HEARTBEAT_TIMEOUT = 600  # seconds
HEALTH_INTERVAL = 5.0  # seconds between two checks of a target, the shortest that a load balancer takes
START = Start(boot_seconds=0.0, start_seconds=0.0)  # of the service: the job waits for the boot, and starts it
WARM_UP = 1  # seconds that Auto Scaling waits for once an instance is in service
DRAINING = 1  # seconds
RATE = 20.0  # requests a second
SERVICE_PATIENCE = 120.0  # seconds until the instances before the cycle are in service
CYCLE_PATIENCE = 1200.0  # seconds until a cycle has to be over
NEW_TYPE = "t4g.medium"  # of the new version
TASK = "Task"  # how the types of events begin that are about a state that invokes the function


@dataclass(frozen=True)
class Cycled:
    """What was recorded of a cycle.

    seconds: from the start of its execution to its end. asked, failed: requests. states: how often each of the
    machine's was entered. period: what CycleFunction did meanwhile. events: that it put on the event bus. wrong: what
    was not as it should be, as sentences.
    """

    seconds: float
    asked: int
    failed: int
    states: Counter[str]
    period: Period
    events: int
    wrong: tuple[str, ...]


def measure_cycle(built: Path, directory: Path, tell: Callable[[str], None]) -> Cycled:
    """A cycle of a group, from its first instance on. built: what lab.cloud.sam_build made. directory: takes logs.

    tell is called with how far it is.
    """
    side = Model()
    side.tower.set_job_spread(0)  # so that it is known how long a job takes
    first = side.tower.add_job_template("first", side.place.inventory)
    side.tower.set_job_time(FIRST_JOB_TIME, first)
    with Cloud(directory, address_pool=ADDRESS_POOL, tower=side.tower) as cloud:
        tell("deploying")
        cloud.deploy(built, LoadBalancers="true", Cycles="true")
        target_group = cloud.create_target_group("web")
        cloud.set_deregistration_delay(target_group, DRAINING)
        group = cloud.create_group(
            "web",
            {"inventory": str(side.place.inventory), "job-template": str(first), "gate": "job elb"},
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            version="1",
            TargetGroupARNs=[target_group],
            DefaultInstanceWarmup=WARM_UP,
        )
        check = HealthCheck(interval=HEALTH_INTERVAL)
        url, jobs = cloud.aws.endpoint_url, side.tower.jobs
        with Traffic(url, group.name, target_group, jobs, rate=RATE, check=check, start=START) as traffic:
            tell(f"{INSTANCES} instances come into service")
            group.scale(INSTANCES)
            eventually(
                lambda: len(group.in_service()) == INSTANCES and not cloud.in_flight(),
                f"{INSTANCES} instances in service",
                SERVICE_PATIENCE,
            )
            group.tag({"job-template": str(side.place.template)})
            return _cycled(group, traffic, tell)


def _cycled(group: Group, traffic: Traffic, tell: Callable[[str], None]) -> Cycled:
    """The cycle itself, of a group whose instances serve."""
    cloud, old = group.cloud, group.in_service()
    version = group.new_version(InstanceType=NEW_TYPE)
    cycle = start_cycle(group, launch_template_version=version)

    def over() -> bool:
        tell(f"{cycle.state.get('new', 0)} of {INSTANCES} instances are new")
        return cycle.status != "RUNNING"

    eventually(over, "the cycle is over", CYCLE_PATIENCE)
    state, summary, history = cycle.state, traffic.summary(), _history(cycle)
    name = cloud.function_name(FUNCTION)
    period = Period(
        began=state["execution_started"],
        requests=[],
        aws_calls=Counter(),
        invocations={"cycle": invocations(history, name)},
        log_lines={"cycle": [line for line in cloud.aws.function_log(name).splitlines() if line.startswith("{")]},
    )
    return Cycled(
        seconds=state["ended"] - state["execution_started"],
        asked=summary.asked,
        failed=len(summary.failed),
        states=entered_states(history),
        period=period,
        events=sum(line.get("event") in tuple(CycleEvent) for line in cloud.log_lines("cycle")),
        wrong=(*wrong_cycle(state, old, group.in_service()), *broken_invariants(cloud, [group.name])),
    )


def _history(cycle: Cycle) -> list[Json]:
    """The events of its execution, the oldest first."""
    pages = cycle.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
    return [event for page in pages.paginate(executionArn=cycle.arn) for event in page["events"]]


def entered_states(history: Iterable[Json]) -> Counter[str]:
    """How often each state of a machine was entered."""
    return Counter(
        event["stateEnteredEventDetails"]["name"] for event in history if event["type"].endswith("StateEntered")
    )


def invocations(history: Iterable[Json], function: str) -> list[Invocation]:
    """The invocations of a function by the tasks of a machine, with a try that failed and its pause as one."""
    found, entered = [], 0.0
    for event in history:
        if event["type"] == f"{TASK}StateEntered":
            entered = event["timestamp"].timestamp()
        elif event["type"] == f"{TASK}StateExited":
            found.append(Invocation(function, entered, event["timestamp"].timestamp(), messages=1, failed=False))
    return found


def wrong_cycle(state: Json, old: Iterable[str], serving: Collection[str]) -> list[str]:
    """What did not come out as it should, as sentences. state: the cycle's last one; old: the instances before it."""
    wrong = []
    if state["result"] != "succeeded":
        wrong.append(f"the cycle {state['result']}: {state['reason']}")
    if state["batch"] != BATCH:
        wrong.append(f"the cycle took batches of {state['batch']}, and was to take those of {BATCH}")
    if state["dips"]:
        wrong.append(f"the cycle saw {len(state['dips'])} dips of healthy targets")
    if left := set(old) & set(serving):
        wrong.append(f"{len(left)} old instances still serve after the cycle")
    if len(serving) != INSTANCES:
        wrong.append(f"{len(serving)} instances serve after the cycle, and {INSTANCES} should")
    return wrong


def least_seconds(instances: int, batch: int, job: float = JOB_TIME) -> float:
    """The least that a cycle can take, by the lab's own times: batch after batch, and the last one's old targets.

    A batch is launched, provisioned by a job that waits for the boot, found healthy by one check of the load balancer,
    and warmed up. A launch takes the lab no time.
    """
    return ceil(instances / batch) * (job + HEALTH_INTERVAL + WARM_UP) + DRAINING


def cycle_figures(cycled: Cycled) -> dict[str, float]:
    """The figures of the cycle itself, by key."""
    least = least_seconds(INSTANCES, BATCH)
    return {
        "cycle_failed_requests": cycled.failed,
        "cycle_requests": cycled.asked,
        "cycle_s": cycled.seconds,
        "cycle_least_s": least,
        "cycle_overhead": cycled.seconds / least,
        "cycle_state_transitions": state_transitions(cycled.states),
    }
