"""What the built functions cost: their cold starts beside the floor, and CPU and memory for a batch of 100.

The functions run under Lambda's own runtime (lab.runtime), against an embedded AWS on which nothing is deployed, so
that nothing else takes their messages, and an embedded Tower without latency. Every event is a real one: a rule sends
what Auto Scaling tells to the queues, and from there it is handed to a function by hand.

CPU is that of the function's whole process: Lambda's runtime client, boto3 and requests included.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from lab.clock import StillClock
from lab.cloud import HOOK_PREFIX, REPOSITORY, Cloud, Group, eventually
from lab.runtime import (
    FUNCTIONS,
    Runtime,
    batch,
    delete,
    environment,
    link_what_lambda_has,
    make_queues,
    queue_arn,
    receive,
)
from lab.tower.embedded import Tower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lab.runtime import Json

FLOOR = REPOSITORY / "tests" / "bench" / "floor" / "app.py"
COLD_RUNS = 9  # of each function and of its floor
WARM_RUNS = 3  # batches that count; one more goes before them
BATCH = 100  # instances
JOB_TIME = 2.0  # seconds of Tower's clock
HEARTBEAT_TIMEOUT = 3600  # seconds; no wait may end while something is measured
ADDRESS_POOL = "10.0.0.0/23"
NAMES = {"RegisterFunction": "register", "GateFunction": "gate", "CleanupFunction": "cleanup"}
CLIENTS = {  # that the function makes on the path that is measured
    "RegisterFunction": "secretsmanager autoscaling ec2 sqs events",
    "GateFunction": "secretsmanager autoscaling sqs",
    "CleanupFunction": "secretsmanager autoscaling events",
}
RULES = {
    "LaunchQueue": "EC2 Instance-launch Lifecycle Action",
    "TerminateQueue": "EC2 Instance-terminate Lifecycle Action",
}


class BenchError(RuntimeError):
    """A function did not do what was to be measured."""


@dataclass(frozen=True)
class Cold:
    """A cold start, from the event until its answer: milliseconds by the wall clock, and of CPU."""

    wall_ms: float
    cpu_ms: float


def measure_functions(built: Path, directory: Path, progress: Callable[[str], None]) -> dict[str, float]:
    """The figures, by key; NAME is register, gate or cleanup.

    built: what lab.cloud.sam_build made. directory: takes logs, and is empty. progress is called with what comes
    next. Raises BenchError when a function does not do what is measured. Cold starts are the least of several, for
    noise only adds to them; what a batch costs is a median, and so are the ratios of pairs. The figures:

    cold_start_ms_NAME, cold_start_floor_ms_NAME: from the start of the process until the answer to its first event, by
        the wall clock. register: of an instance that waits, until its job is launched; gate: of an instance whose job
        runs, until it is put off; cleanup: of a termination, until its hook is completed.
    cpu_ms_cold_NAME, cpu_ms_cold_floor_NAME: the CPU that this took.
    cold_start_ratio_NAME, cold_start_cpu_ratio_NAME: of function and floor, which are started one after the other so
        that a slow minute of the machine hits both alike; cold_start_ratio_max, cold_start_cpu_ratio_max: the largest.
        The floor is as sam build alone makes it.
    cold_start_compiled_floor_ms_NAME, cold_start_compiled_ratio_NAME, cold_start_compiled_ratio_max: the same for a
        floor whose layer is compiled like ours.
    cpu_ms_NAME_100: CPU of a warm function for 100 instances: registered, let into service, removed.
    cpu_ms_poll_100: CPU of the gate for a look at 100 instances whose job still runs.
    memory_mb_NAME: the most memory that was resident, after all of that.
    """
    clock = StillClock(time.time())
    tower = Tower(boot_time=0, job_time=JOB_TIME, event_lag=0, clock=clock)
    tower.add_inventory("fleet")
    tower.add_job_template("provision", "fleet")
    with Cloud(directory / "cloud", address_pool=ADDRESS_POOL, tower=tower) as cloud:
        make_queues(cloud)
        for queue, detail_type in RULES.items():
            _send_events(cloud, queue, detail_type)
        group = cloud.create_group(
            "bench",
            {"inventory": "fleet", "job-template": "provision"},
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
        )
        bench = _Bench(built, directory, cloud, clock, group)
        progress("cold starts")
        figures = bench.cold_starts()
        progress(f"batches of {BATCH}")
        return figures | bench.warm_batches()


def _send_events(cloud: Cloud, queue: str, detail_type: str) -> None:
    events = cloud.aws.client("events")
    pattern = {
        "source": ["aws.autoscaling"],
        "detail-type": [detail_type],
        "detail": {"LifecycleHookName": [{"prefix": HOOK_PREFIX}]},
    }
    events.put_rule(Name=queue, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=queue, Targets=[{"Id": queue, "Arn": queue_arn(cloud, queue)}])


class _Bench:
    def __init__(self, built: Path, directory: Path, cloud: Cloud, clock: StillClock, group: Group) -> None:
        self._built = built
        self._directory = directory
        self._cloud = cloud
        self._clock = clock
        self._group = group
        self._given = link_what_lambda_has(directory / "runtime")
        self._floor = directory / "floor"
        self._floor.mkdir()
        # A copy, for a cold start must not find bytecode that an import of the original has left beside it.
        (self._floor / "app.py").write_text(FLOOR.read_text())
        self._layer = built / "CommonLayer" / "python"
        self._uncompiled = directory / "uncompiled"
        shutil.copytree(self._layer, self._uncompiled, ignore=shutil.ignore_patterns("__pycache__"))

    def cold_starts(self) -> dict[str, float]:
        """Every function's cold starts and those of its floor, in turn."""
        figures: dict[str, float] = {}
        self._group.scale(COLD_RUNS)
        for name in FUNCTIONS:
            if name == "CleanupFunction":
                self._group.scale(0)
            function: list[Cold] = []
            floor: list[Cold] = []
            compiled: list[Cold] = []
            for message in self._take(FUNCTIONS[name], COLD_RUNS):
                function.append(self._cold_start(self._function(name), [message]))
                floor.append(self._cold_start(self._floor_of(name, self._uncompiled), [message]))
                compiled.append(self._cold_start(self._floor_of(name, self._layer), [message]))
            self._clock.now += JOB_TIME / 2  # jobs run, and are not done
            figures |= _cold_figures(NAMES[name], function, floor, compiled)
        self._require(len(self._take("GateQueue", COLD_RUNS)) == COLD_RUNS, "the gate sends on what waits for its job")
        self._require(len(self._cloud.tower.jobs()) == COLD_RUNS, "every launch gets a job")
        self._wait_until_gone()
        return figures | {
            f"{ratio}_max": max(figures[f"{ratio}_{name}"] for name in NAMES.values())
            for ratio in ("cold_start_ratio", "cold_start_cpu_ratio", "cold_start_compiled_ratio")
        }

    def _cold_start(self, function: Runtime, messages: Sequence[Json]) -> Cold:
        with function:
            before = time.perf_counter()
            self._invoke(function, messages)
            return Cold((time.perf_counter() - before) * 1000, function.cpu_ms())

    def warm_batches(self) -> dict[str, float]:
        """Batches through one process of each function, of which the first does not count."""
        cpu: defaultdict[str, list[float]] = defaultdict(list)
        with ExitStack() as running:
            register, gate, cleanup = (running.enter_context(self._function(name)) for name in FUNCTIONS)
            for _ in range(1 + WARM_RUNS):
                self._group.scale(BATCH)
                cpu["register"].append(self._cpu_ms(register, self._take("LaunchQueue", BATCH)))
                self._clock.now += JOB_TIME / 2
                cpu["poll"].append(self._cpu_ms(gate, self._take("GateQueue", 1)))
                self._clock.now += JOB_TIME
                cpu["gate"].append(self._cpu_ms(gate, self._take("GateQueue", 1)))
                eventually(lambda: len(self._group.in_service()) == BATCH, "all of a batch are in service")
                self._group.scale(0)
                cpu["cleanup"].append(self._cpu_ms(cleanup, self._take("TerminateQueue", BATCH)))
                self._wait_until_gone()
            memory = {
                f"memory_mb_{NAMES[name]}": each.peak_memory_mb()
                for name, each in zip(FUNCTIONS, (register, gate, cleanup), strict=True)
            }
        return {f"cpu_ms_{name}_{BATCH}": median(each[1:]) for name, each in cpu.items()} | memory

    def _cpu_ms(self, function: Runtime, messages: Sequence[Json]) -> float:
        before = function.cpu_ms()
        self._invoke(function, messages)
        return function.cpu_ms() - before

    def _function(self, name: str) -> Runtime:
        return self._runtime(name, self._built / name, self._layer, environment(self._cloud, name))

    def _floor_of(self, name: str, layer: Path) -> Runtime:
        return self._runtime(name, self._floor, layer, self._cloud.aws.environment | {"CLIENTS": CLIENTS[name]})

    def _runtime(self, name: str, code: Path, layer: Path, variables: dict[str, str]) -> Runtime:
        path = [code, layer, self._given]
        return Runtime(code, path, variables, self._directory / f"{NAMES[name]}-{code.name}.log")

    def _invoke(self, function: Runtime, messages: Sequence[Json]) -> None:
        answer = function.invoke(batch(messages))
        self._require(answer == {"batchItemFailures": []}, f"a batch is done, and not answered with {answer}")

    def _take(self, queue: str, count: int) -> list[Json]:
        """So many messages out of a queue, waited for."""
        taken: list[Json] = []

        def enough() -> bool:
            messages = receive(self._cloud, queue)
            delete(self._cloud, queue, messages)
            taken.extend(messages)
            return len(taken) >= count

        eventually(enough, f"{count} messages in {queue}")
        self._require(len(taken) == count, f"{queue} has {count} messages, and not {len(taken)}")
        return taken

    def _wait_until_gone(self) -> None:
        eventually(lambda: not self._group.states(), "all instances are gone")
        self._require(not self._cloud.tower.hosts(), "all hosts are removed")

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise BenchError(f"this was to be so: {what}; logs are in {self._directory}")


def _cold_figures(
    name: str, function: Sequence[Cold], floor: Sequence[Cold], compiled: Sequence[Cold]
) -> dict[str, float]:
    wall, wall_floor = (min(each.wall_ms for each in runs) for runs in (function, floor))
    cpu, cpu_floor = (min(each.cpu_ms for each in runs) for runs in (function, floor))
    pairs = list(zip(function, floor, strict=True))
    beside = zip(function, compiled, strict=True)
    return {
        f"cold_start_compiled_floor_ms_{name}": min(each.wall_ms for each in compiled),
        f"cold_start_compiled_ratio_{name}": median(a.wall_ms / b.wall_ms for a, b in beside),
        f"cold_start_ms_{name}": wall,
        f"cold_start_floor_ms_{name}": wall_floor,
        f"cold_start_ratio_{name}": median(a.wall_ms / b.wall_ms for a, b in pairs),
        f"cpu_ms_cold_{name}": cpu,
        f"cpu_ms_cold_floor_{name}": cpu_floor,
        f"cold_start_cpu_ratio_{name}": median(a.cpu_ms / b.cpu_ms for a, b in pairs),
    }
