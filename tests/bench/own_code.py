"""The CPU that our own code takes for a batch of 100 instances, without boto3, the network, and requests' part in it.

The real handlers work on real events, in this process. Where they would go out there are prepared answers: for AWS
dictionaries as boto3's clients return them, for Tower what the embedded one answered when the same batch was worked on
before. Decoding an answer's JSON counts as ours, as do log lines and metrics.

`python -m bench.own_code` prints the figures as JSON; cpu_ms_per_batch_100() asks for them in a process of its own,
in which nothing else runs and no other heap is swept.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests
from requests.structures import CaseInsensitiveDict

from lab.clock import StillClock
from lab.cloud import ACCOUNT, HOOK_PREFIX, REGION, REPOSITORY, SECRET
from lab.runtime import QUEUES, batch, variables
from lab.tower.embedded import Tower

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lab.runtime import Json

    Handler = Callable[[Json, object], Json]

BATCH = 100  # instances
UNCOUNTED = 4  # the first, in which the embedded Tower answers, and some until all is warm
RUNS = UNCOUNTED + 15
TIMEOUT = 120  # seconds
JOB_TIME = 2.0  # seconds of Tower's clock
HEARTBEAT_TIMEOUT = 3600  # seconds
GROUP = "bench"
TOWER_URL = "https://tower.example.com"
DONE: Json = {"batchItemFailures": []}
DETAIL_TYPES = {
    "LAUNCHING": "EC2 Instance-launch Lifecycle Action",
    "TERMINATING": "EC2 Instance-terminate Lifecycle Action",
}


def cpu_ms_per_batch_100() -> dict[str, float]:
    """Milliseconds of CPU, median: own_cpu_ms_NAME_100 for register, gate (a job that is done) and cleanup.

    cpu_ms_per_batch_100 is the largest of the three.
    """
    path = os.pathsep.join(str(REPOSITORY / each) for each in ("tests", "layers/common"))
    ended = subprocess.run(
        [sys.executable, "-m", "bench.own_code"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
        check=True,
    )
    return dict(json.loads(ended.stdout))


@dataclass
class PreparedAws:
    """boto3's clients of one group with its instances: their methods return what botocore would make of an answer."""

    instance_ids: Sequence[str]
    state: str = "Pending:Wait"
    sent: list[str] = field(default_factory=list)
    completed: int = 0

    def __post_init__(self) -> None:
        self._instances = [_instance(number, each) for number, each in enumerate(self.instance_ids)]

    def client(self, service: str, **_: object) -> PreparedAws:
        """Every service's client at once."""
        return self

    def get_paginator(self, operation: str) -> PreparedPages:
        return PreparedPages(getattr(self, operation))

    def describe_auto_scaling_groups(self) -> Json:
        tags = {"rollcall:inventory": "fleet", "rollcall:job-template": "provision"}
        return {
            "AutoScalingGroups": [
                {"AutoScalingGroupName": GROUP, "Tags": [{"Key": key, "Value": text} for key, text in tags.items()]}
            ]
        }

    def describe_lifecycle_hooks(self, **_: object) -> Json:
        return {
            "LifecycleHooks": [
                {"LifecycleHookName": _hook(transition), "HeartbeatTimeout": HEARTBEAT_TIMEOUT}
                for transition in DETAIL_TYPES
            ]
        }

    def describe_auto_scaling_instances(self, *, InstanceIds: Sequence[str]) -> Json:  # noqa: N803 - boto3's name
        return {
            "AutoScalingInstances": [
                {"InstanceId": each, "AutoScalingGroupName": GROUP, "LifecycleState": self.state}
                for each in InstanceIds
            ]
        }

    def put_events(self, *, Entries: Sequence[Json]) -> Json:  # noqa: N803 - likewise
        return {"FailedEntryCount": 0, "Entries": [{} for _ in Entries]}

    def describe_instances(self) -> Json:
        return {"Reservations": [{"Instances": [each]} for each in self._instances]}

    def complete_lifecycle_action(self, **_: object) -> Json:
        self.completed += 1
        return {}

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Json]) -> Json:  # noqa: N803 - boto3's names
        self.sent += [each["MessageBody"] for each in Entries]
        return {"Successful": [{"Id": each["Id"]} for each in Entries]}


@dataclass(frozen=True)
class PreparedPages:
    """A paginator with a single page."""

    only: Callable[[], Json]

    def paginate(self, **_: object) -> Iterator[Json]:
        yield self.only()


def _instance(number: int, instance_id: str) -> Json:
    address = f"10.0.{number // 250}.{number % 250 + 1}"
    return {
        "InstanceId": instance_id,
        "State": {"Code": 16, "Name": "running"},
        "LaunchTime": datetime.now(UTC),
        "PrivateIpAddress": address,
        "PrivateDnsName": f"ip-{address.replace('.', '-')}.ec2.internal",
        "PublicDnsName": "",
        "InstanceType": "t4g.small",
        "ImageId": "ami-0abcdef1234567890",
        "Placement": {"AvailabilityZone": f"{REGION}a", "Tenancy": "default"},
        "VpcId": "vpc-00000001",
        "SubnetId": "subnet-00000001",
        "Tags": [{"Key": "aws:autoscaling:groupName", "Value": GROUP}, {"Key": "Name", "Value": "web"}],
    }


@dataclass
class PreparedTower:
    """In the place of requests' session: what the embedded Tower answers is kept, and given again once replaying."""

    tower: Tower
    headers: Mapping[str, str]
    clock: StillClock
    kept: defaultdict[tuple[str, str], list[requests.Response]] = field(default_factory=lambda: defaultdict(list))
    next: dict[tuple[str, str], Iterator[requests.Response]] | None = None

    def replay(self) -> None:
        """From now on each request is answered as it was the first time, from the beginning."""
        self.next = {key: iter(answers) for key, answers in self.kept.items()}

    def request(self, method: str, url: str, **given: Any) -> requests.Response:
        if self.next is not None:
            return next(self.next[method, url])
        asked = requests.Request(
            method, url, headers=self.headers, json=given["json"], params=given["params"]
        ).prepare()
        path, _, query = asked.path_url.partition("?")
        headers = {name.lower(): text for name, text in asked.headers.items()}
        body = asked.body.encode() if isinstance(asked.body, str) else asked.body or b""
        raw = self.tower.answer(method, path, query, headers, body)
        answer = requests.Response()
        answer.status_code = raw.status
        answer.headers = CaseInsensitiveDict({**raw.headers, "Date": formatdate(self.clock.now, usegmt=True)})
        answer.encoding = requests.utils.get_encoding_from_headers(answer.headers)
        answer.request = asked
        answer._content = raw.body
        self.kept[method, url].append(answer)
        return answer


@dataclass(frozen=True)
class Context:
    """What Lambda tells a function of its invocation."""

    function_name: str
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:bench"
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 110_000


def measure() -> dict[str, float]:
    """The figures of cpu_ms_per_batch_100, from this process."""
    clock = StillClock(time.time())
    tower = Tower(boot_time=0, job_time=JOB_TIME, event_lag=0, clock=clock)
    tower.add_inventory("fleet")
    tower.add_job_template("provision", "fleet")
    aws = PreparedAws([f"i-{number:017x}" for number in range(BATCH)])
    figures = {"register": _measure("RegisterFunction", _actions(aws, "LAUNCHING"), aws, tower, clock)}
    _require(len(tower.hosts("fleet")) == BATCH, "every instance is registered")
    clock.now += 2 * JOB_TIME
    figures["gate"] = _measure("GateFunction", _event(aws.sent[:1]), aws, tower, clock)
    _require(aws.completed == RUNS * BATCH, "every instance is let into service")
    aws.state = "Terminating:Wait"
    figures["cleanup"] = _measure("CleanupFunction", _actions(aws, "TERMINATING"), aws, tower, clock)
    _require(aws.completed == 2 * RUNS * BATCH and not tower.hosts("fleet"), "every instance is removed")
    return {"cpu_ms_per_batch_100": max(figures.values())} | {
        f"own_cpu_ms_{name}_{BATCH}": figure for name, figure in figures.items()
    }


def _measure(function: str, event: Json, aws: PreparedAws, tower: Tower, clock: StillClock) -> float:
    """Milliseconds of CPU, of all threads, that a handler takes for an event: the median."""
    from rollcall.http.transport import Opened
    from rollcall.runtime import installation
    from rollcall.tower.connection import Credentials

    session: Any = PreparedTower(tower, {"Authorization": f"Bearer {tower.token}"}, clock)
    queues = {name: f"https://queue.example.com/{name}" for name in QUEUES}
    taken: list[float] = []
    with (
        patch.dict(os.environ, variables(function, TOWER_URL, SECRET, queues) | {"AWS_REGION": REGION}),
        patch("boto3.client", aws.client),
        patch("rollcall.tower.connection._opened", lambda credentials, root: Opened(session, root)),
        patch("rollcall.runtime.installation._credentials", lambda secret, refresh: Credentials(tower.token)),
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
    ):
        handler = _handler(function)
        for _ in range(RUNS):
            installation._installation.cache_clear()  # nothing is remembered from the last time
            gc.collect()
            before = time.process_time()
            answer = handler(event, Context(function))
            taken.append((time.process_time() - before) * 1000)
            _require(answer == DONE, f"{function} works on a batch, and does not answer {answer}")
            session.replay()
    return median(taken[UNCOUNTED:])


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"this was to be so: {what}")


def _handler(function: str) -> Handler:
    name = function.removesuffix("Function").lower()
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "functions" / name / "app.py")
    assert spec
    assert spec.loader
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    handler: Handler = app.handler
    return handler


def _actions(aws: PreparedAws, transition: str) -> Json:
    """A batch of lifecycle actions, one of each instance, as they come from EventBridge."""
    began = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return _event(
        [
            json.dumps(
                {
                    "version": "0",
                    "id": f"12345678-1234-1234-1234-{number:012d}",
                    "detail-type": DETAIL_TYPES[transition],
                    "source": "aws.autoscaling",
                    "account": ACCOUNT,
                    "time": began,
                    "region": REGION,
                    "resources": [
                        f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/{GROUP}"
                    ],
                    "detail": {
                        "LifecycleActionToken": f"87654321-4321-4321-4321-{number:012d}",
                        "AutoScalingGroupName": GROUP,
                        "LifecycleHookName": _hook(transition),
                        "EC2InstanceId": instance_id,
                        "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{transition}",
                    },
                }
            )
            for number, instance_id in enumerate(aws.instance_ids)
        ]
    )


def _event(bodies: Sequence[str]) -> Json:
    now = str(int(time.time() * 1000))
    numbers = count(1)
    return batch(
        [
            {
                "MessageId": f"19dd0b57-b21e-4ac1-bd88-{next(numbers):012d}",
                "ReceiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a==",
                "Body": body,
                "Attributes": {"ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": now},
            }
            for body in bodies
        ]
    )


def _hook(transition: str) -> str:
    return f"{HOOK_PREFIX}-{transition.lower()}"


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
