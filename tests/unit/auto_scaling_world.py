"""The embedded Auto Scaling in this process, with a clock by hand: what the unit tests of the engine work with.

Its API is called through boto3, which so checks requests and reads answers as it does those of AWS; nothing goes over
a network. EC2 is MiniStack's.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from lab.aws import ministack as cloud
from lab.aws.autoscaling import Engine
from lab.aws.autoscaling_api import Api
from lab.aws.lifecycle import LAUNCHING, TERMINATING
from lab.aws.lifecycle_events import LifecycleEvents
from lab.aws.ministack import Record, Response, Scope
from lab.aws.permissions import Permissions
from lab.aws.stale_answers import StaleAnswers
from lab.aws.target_groups import TargetGroups

SCOPE = Scope("123456789012", "us-east-1")
BEGINNING = 1_700_000_000.0  # seconds since the epoch
HEARTBEAT_TIMEOUT = 300  # seconds
MANY_TICKS = 12  # more than any instance needs to get where it is going
NUMBERS = count(1)
ACTIONS: dict[str, Callable[[Record], Response]] = {}
"""Those of the API of the world that is there."""
CLOCK: list[Callable[[], float]] = []
"""Its clock, which its answers are dated by."""


class Heard(LifecycleEvents):
    """The events that would go to the bus: detail type and detail."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Record]] = []

    def put(self, detail_type: str, detail: Record, resources: list[str]) -> None:
        self.events.append((detail_type, detail))


class World:
    """One group without instances, and everything that happens to it. It ends the world before: all share one EC2.

    hooks: their names, which say when they run: `launch`, `launch-2`, `terminate` … sizes: of the group.
    """

    def __init__(self, *hooks: str, retain: bool = False, default: str = "ABANDON", **sizes: int) -> None:
        _clear()
        self.now = BEGINNING
        self.name = f"group-{next(NUMBERS)}"
        self.heard = Heard()
        self.stale = StaleAnswers()
        self.engine = Engine("10.0.0.0/24", TargetGroups(self.clock), self.heard, self.clock)
        ACTIONS.clear()
        ACTIONS.update(cloud.own_actions("PutLifecycleHook", "DeleteLifecycleHook", "CreateOrUpdateTags", "DeleteTags"))
        self.permissions = Permissions()
        self.api = Api(self.engine, self.stale, self.permissions)
        ACTIONS.update(self.api.actions())
        CLOCK[:] = [self.clock]
        self.client = _client()
        policy = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}} if retain else {}
        self.client.create_auto_scaling_group(
            AutoScalingGroupName=self.name,
            AvailabilityZones=["us-east-1a"],
            LifecycleHookSpecificationList=[_hook(name, default) for name in hooks],
            **({"InstanceLifecyclePolicy": policy} if policy else {}),
            **{"MinSize": 0, "MaxSize": 5, "DesiredCapacity": 0} | sizes,
        )

    def clock(self) -> float:
        return self.now

    def tick(self, times: int = MANY_TICKS) -> None:
        """Let the engine evaluate the group so often, a second apart."""
        for _ in range(times):
            self.now += 1
            self.engine.tick(self.now)

    def scale(self, desired: int) -> None:
        self.client.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=desired)
        self.tick()

    def put_pool(self, **settings: Any) -> None:
        self.client.put_warm_pool(AutoScalingGroupName=self.name, **settings)
        self.tick()

    def answer(self, hook: str, result: str = "CONTINUE", **action: str) -> None:
        """Complete the action of a hook: of an instance, or with a token."""
        self.client.complete_lifecycle_action(
            AutoScalingGroupName=self.name, LifecycleHookName=hook, LifecycleActionResult=result, **action
        )
        self.tick()

    def states(self) -> dict[str, str]:
        """The state of each instance of the group and its pool, the oldest first."""
        return self.engine.states().get(self.name, {})

    def ids(self, state: str) -> list[str]:
        return [instance_id for instance_id, each in self.states().items() if each == state]

    def one(self, state: str) -> str:
        """The one instance in this state."""
        (instance_id,) = self.ids(state)
        return instance_id

    def history(self, instance_id: str) -> list[str]:
        """The states that an instance has entered."""
        return [each.state for each in self.engine.transitions if each.instance_id == instance_id]

    def described(self) -> Record:
        """The group as DescribeAutoScalingGroups shows it."""
        answer = self.client.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        (group,) = answer["AutoScalingGroups"]
        return dict(group)

    def member(self, instance_id: str) -> Record:
        """An instance as DescribeAutoScalingInstances shows it."""
        (found,) = self.client.describe_auto_scaling_instances(InstanceIds=[instance_id])["AutoScalingInstances"]
        return dict(found)

    def power(self, instance_id: str) -> str:
        """The state of an instance in EC2."""
        with cloud.within(SCOPE):
            return cloud.instance_state(instance_id)

    def actions(self) -> list[tuple[str, ...]]:
        """The lifecycle actions that were reported: hook, kind of event, origin, destination, action."""
        return [
            (each["LifecycleHookName"], kind.split()[1], each["Origin"], each["Destination"], each["Action"])
            for kind, each in self.heard.events
            if kind.endswith("Lifecycle Action")
        ]

    def activities(self) -> list[tuple[str, str, str]]:
        """What else was reported: kind of event, origin and destination."""
        return [
            (kind.removeprefix("EC2 Instance "), each["Origin"], each["Destination"])
            for kind, each in self.heard.events
            if not kind.endswith("Lifecycle Action")
        ]


def _clear() -> None:
    for scope, group in cloud.groups():
        with cloud.within(scope):
            cloud.delete_group({"AutoScalingGroupName": group["AutoScalingGroupName"]})


def _hook(name: str, default: str) -> Record:
    return {
        "LifecycleHookName": name,
        "LifecycleTransition": LAUNCHING if name.startswith("launch") else TERMINATING,
        "HeartbeatTimeout": HEARTBEAT_TIMEOUT,
        "DefaultResult": default,
    }


class _Body:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Any:
        yield self._content


@cache
def _client() -> Any:
    """A boto3 client whose requests are answered here, by the API of the world that is there."""

    def serve(request: Any, **_: Any) -> AWSResponse:
        params = dict(parse_qsl(request.body, keep_blank_values=True))
        with cloud.within(SCOPE):
            status, headers, content = ACTIONS[params["Action"]](params)
        dated = {**headers, "date": formatdate(CLOCK[0](), usegmt=True)}
        return AWSResponse(request.url, status, HTTPHeaders.from_pairs(dated.items()), _Body(content))

    session: Any = boto3.Session(
        aws_access_key_id=SCOPE.account, aws_secret_access_key="embedded", region_name=SCOPE.region
    )
    client = session.client("autoscaling")
    client.meta.events.register("before-send.autoscaling.*", serve)
    return client


__all__ = ["HEARTBEAT_TIMEOUT", "SCOPE", "World"]
