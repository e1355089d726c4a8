"""The embedded AWS alone, without Rollcall: what the tests of the lab itself work with."""

import io
import json
import textwrap
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from lab.aws.embedded import ACCOUNT, OPEN_POLICY, REGION, EmbeddedAws

LONG = 3600
"""A heartbeat timeout in seconds that no test outlives."""
USER_DATA = "IyEvYmluL3NoCg=="
"""What instances are launched with, in base64."""
PATIENCE = 60
"""Seconds after which a condition that has not come true fails the test."""
PRELUDE = """
import json, os, time

def say(*values):
    print(json.dumps(values))

def handler(event, context):
"""
"""What the functions of these tests begin with."""
NUMBERS = count(1)
"""One for each test, to name its things by."""


def eventually[T](condition: Callable[[], T]) -> T:
    """Return the first true value of the condition."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)


@dataclass
class Group:
    """An Auto Scaling group, from outside."""

    aws: EmbeddedAws
    name: str

    def resize(self, desired: int) -> None:
        self.aws.client("autoscaling").set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=desired)

    def hook(self, name: str, transition: str, **settings: Any) -> None:
        self.aws.client("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=self.name,
            LifecycleHookName=name,
            LifecycleTransition=transition,
            **{"HeartbeatTimeout": LONG, "DefaultResult": "ABANDON", **settings},
        )

    def complete(self, hook: str, result: str, **action: str) -> None:
        self.aws.client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName=self.name, LifecycleHookName=hook, LifecycleActionResult=result, **action
        )

    def members(self, state: str) -> list[str]:
        """The ids of the instances in a lifecycle state, the oldest first."""
        answer = self.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])
        (group,) = answer["AutoScalingGroups"]
        return [one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == state]

    def await_members(self, state: str, count: int = 1) -> list[str]:
        eventually(lambda: len(self.members(state)) == count)
        return self.members(state)

    def history(self, instance_id: str) -> list[str]:
        """The lifecycle states that an instance has entered."""
        return [one.state for one in self.aws.transitions() if one.instance_id == instance_id]

    def await_history(self, instance_id: str, last: str) -> list[str]:
        eventually(lambda: self.history(instance_id)[-1] == last)
        return self.history(instance_id)

    def addresses(self) -> dict[str, str]:
        return {one.instance_id: one.address for one in self.aws.transitions() if one.group == self.name}


@dataclass
class Queue:
    """A queue with a dead-letter queue, from outside."""

    aws: EmbeddedAws
    url: str
    arn: str
    dead_url: str

    def send(self, *bodies: str) -> None:
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[start : start + 10])]
            self.aws.client("sqs").send_message_batch(QueueUrl=self.url, Entries=entries)

    def visible(self) -> int:
        name = "ApproximateNumberOfMessages"
        answer = self.aws.client("sqs").get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def receive(self) -> list[str]:
        return self._receive(self.url)

    def dead(self) -> list[str]:
        return self._receive(self.dead_url)

    def _receive(self, url: str) -> list[str]:
        answer = self.aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", [])]


@dataclass
class Function:
    """A Lambda function, as its output shows it."""

    aws: EmbeddedAws
    name: str

    def said(self) -> list[Any]:
        """What the function has said, a list of values each time."""
        lines = self.aws.function_log(self.name).splitlines()
        return [json.loads(line) for line in lines if line.startswith("[")]


@dataclass
class Lab:
    """Makes groups, queues and functions that a test leaves behind no trace of."""

    aws: EmbeddedAws
    name: str
    groups: list[Group] = field(default_factory=list)
    mappings: list[str] = field(default_factory=list)

    def group(self, desired: int = 0, **settings: Any) -> Group:
        name = f"{self.name}-{len(self.groups)}"
        self.aws.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=10,
            DesiredCapacity=desired,
            LaunchTemplate={"LaunchTemplateName": "template"},
            AvailabilityZones=[f"{REGION}a"],
            **settings,
        )
        self.groups.append(Group(self.aws, name))
        return self.groups[-1]

    def queue(
        self, name: str = "queue", receives: int = 10, policy: dict[str, Any] | None = OPEN_POLICY, **attributes: str
    ) -> Queue:
        """A queue with a dead-letter queue. policy: who may send to it beside its account, by default all."""
        sqs = self.aws.client("sqs")
        attributes |= {"Policy": json.dumps(policy)} if policy else {}
        dead_url = sqs.create_queue(QueueName=f"{self.name}-{name}-dead")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.name}-{name}"
        redrive = json.dumps({"deadLetterTargetArn": f"{arn}-dead", "maxReceiveCount": receives})
        url = sqs.create_queue(QueueName=f"{self.name}-{name}", Attributes={"RedrivePolicy": redrive, **attributes})
        return Queue(self.aws, url["QueueUrl"], arn, dead_url)

    def function(self, body: str, queue: Queue | None = None, timeout: int = 10, **mapping: Any) -> Function:
        """A function whose handler is `body`, fed by the queue."""
        code = PRELUDE + textwrap.indent(textwrap.dedent(body), "    ")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as files:
            files.writestr("app.py", code)
        self.aws.client("lambda").create_function(
            FunctionName=self.name,
            Runtime="python3.13",
            Handler="app.handler",
            Role=f"arn:aws:iam::{ACCOUNT}:role/any",
            Code={"ZipFile": archive.getvalue()},
            Timeout=timeout,
            Environment={"Variables": {"QUEUE": queue.url if queue else ""}},
        )
        if queue:
            created = self.aws.client("lambda").create_event_source_mapping(
                FunctionName=self.name, EventSourceArn=queue.arn, **mapping
            )
            self.mappings.append(created["UUID"])
        return Function(self.aws, self.name)

    def clear(self) -> None:
        self.aws.end_faults()
        for mapping in self.mappings:
            self.aws.client("lambda").delete_event_source_mapping(UUID=mapping)
        for group in self.groups:
            self.aws.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=group.name, ForceDelete=True)
        eventually(lambda: not any(self.aws.states(group.name) for group in self.groups))
