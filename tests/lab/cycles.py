"""Cycles of groups on the embedded cloud: started as the command and reconcile start them, followed by their state."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import count, groupby
from typing import TYPE_CHECKING, Any

from lab.cloud import eventually
from rollcall.cycle.names import execution_name

if TYPE_CHECKING:
    from lab.cloud import Cloud, Group, Json
    from lab.tower.embedded import HostRecord

KEYS = count(1)
CYCLE_TIMEOUT = 120.0  # seconds
WARM_SOON: dict[str, Any] = {"DefaultInstanceWarmup": 1}  # second; else the grace period of 300 s
AT_ONE = {**WARM_SOON, "version": "1"}  # of a group on a number
DRAINING = 1  # seconds that a target drains
TARGET_GROUP_NAME = 32  # characters


@dataclass(frozen=True)
class Cycle:
    """An execution of the state machine. arn: the execution's."""

    cloud: Cloud
    arn: str

    @property
    def status(self) -> str:
        """RUNNING, SUCCEEDED, FAILED, ABORTED or TIMED_OUT."""
        answer = self.cloud.aws.client("stepfunctions").describe_execution(executionArn=self.arn)
        return str(answer["status"])

    def outputs(self) -> list[Json]:
        """The state after each task, the newest first."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        return [
            json.loads(event["stateExitedEventDetails"]["output"])
            for page in pages.paginate(executionArn=self.arn, reverseOrder=True)
            for event in page["events"]
            if event["type"] == "TaskStateExited"
        ]

    @property
    def state(self) -> Json:
        """The cycle's state after the last task; empty before the first has ended."""
        return next((each["cycle"] for each in self.outputs()), {})

    def waited(self, timeout: float = CYCLE_TIMEOUT) -> Json:
        """The state at the end of the execution, waited for."""
        try:
            eventually(lambda: self.status != "RUNNING", f"{self.arn} ends", timeout)
        except TimeoutError as error:
            error.add_note(f"it is {self._in_words()}")
            raise
        return self.state

    def failures(self, step: str) -> int:
        """How often a step, by the name of its state in the machine, has failed so far, and was tried again or not."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        inside, failed = "", 0
        for event in (event for page in pages.paginate(executionArn=self.arn) for event in page["events"]):
            inside = event.get("stateEnteredEventDetails", {}).get("name", inside)
            failed += inside == step and event["type"] in ("TaskFailed", "LambdaFunctionFailed")
        return failed

    def reaches(self, phase: str, timeout: float = CYCLE_TIMEOUT) -> Json:
        """The state once it is in this phase."""
        return dict(eventually(lambda: (own := self.state).get("phase") == phase and own, phase, timeout))

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]

    def seen(self, what: Callable[[Json], bool], words: str, timeout: float = CYCLE_TIMEOUT) -> Json:
        """The state once this holds of it. words: what is waited for."""
        return dict(eventually(lambda: (own := self.state) and what(own) and own, words, timeout))

    def phases(self) -> list[str]:
        """The phases that the cycle went through so far, in order, as its tasks left it."""
        return [phase for phase, _ in groupby(each["cycle"]["phase"] for each in reversed(self.outputs()))]

    def history(self) -> list[str]:
        """The types of the execution's events, the oldest first."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        return [event["type"] for page in pages.paginate(executionArn=self.arn) for event in page["events"]]

    def stop(self) -> None:
        """Stop the execution by hand."""
        self.cloud.aws.client("stepfunctions").stop_execution(executionArn=self.arn)

    def time_out(self) -> None:
        """Let the execution run out of time, as one of two weeks does."""
        self.cloud.aws.time_out_execution(self.arn)

    def age(self, group: Group, seconds: float) -> None:
        """Let the execution, the group and its refreshes be so many seconds older than they are."""
        self.cloud.aws.age_execution(self.arn, seconds)
        self.cloud.aws.age_group(group.name, seconds)

    def _in_words(self) -> str:
        known = self.state
        return json.dumps({name: known.get(name) for name in ("phase", "result", "reason", "objections")})


def start_cycle(group: Group, key: str = "", **request: Any) -> Cycle:
    """Start a cycle of a group. key: names it, as for the command. request: as the state machine's input names it."""
    client = group.cloud.aws.client("stepfunctions")
    answer = client.start_execution(
        stateMachineArn=group.cloud.physical_id("CycleStateMachine"),
        name=execution_name(group.name, key or f"cycle-{next(KEYS)}"),
        input=json.dumps({"group": group.name, **request}),
    )
    return Cycle(group.cloud, answer["executionArn"])


def cycle_named(group: Group, key: str) -> Cycle:
    """The group's cycle with this key, as the command and reconcile name it; whether or not it is there."""
    machine = group.cloud.physical_id("CycleStateMachine")
    return Cycle(group.cloud, f"{machine.replace(':stateMachine:', ':execution:')}:{execution_name(group.name, key)}")


def at_size(group: Group, size: int) -> set[str]:
    """The group's instances once it has this size, and all are in service."""
    group.scale(size)
    eventually(lambda: len(group.states()) == len(group.in_service()) == size, f"{size} in service", 90)
    return group.in_service()


def with_versions(group: Group, size: int) -> set[str]:
    """The group's instances once it has this size, all of version 1; its launch template has a version 2, too, then."""
    old = at_size(group, size)
    group.new_version(InstanceType="t4g.medium")
    return old


def versions(group: Group) -> list[str]:
    """The version of each instance in service, in order."""
    return sorted(group.version_of(each) for each in group.in_service())


def draining_target_group(cloud: Cloud, name: str) -> str:
    """A target group whose targets drain for a while, and its ARN."""
    arn = cloud.create_target_group(
        "".join(each for each in name if each.isalnum() or each == "-")[-TARGET_GROUP_NAME:].strip("-")
    )
    cloud.set_deregistration_delay(arn, DRAINING)
    return arn


def new_hosts(inventory: str, old: Collection[str]) -> Callable[[HostRecord], bool]:
    """Matches the hosts in an inventory that are none of these instances': what Tower's faults take."""
    return lambda host: host.inventory == inventory and host.name not in old


def first_new_host(inventory: str, old: Collection[str]) -> Callable[[HostRecord], bool]:
    """Matches the first such host that is asked about, and no other."""
    is_new, first = new_hosts(inventory, old), set[str]()

    def matches(host: HostRecord) -> bool:
        if not first and is_new(host):
            first.add(host.name)
        return host.name in first

    return matches


def hosts_of_version(group: Group, version: str) -> Callable[[HostRecord], bool]:
    """Matches the hosts of a group's instances that were launched from this version of its template."""
    known: dict[str, bool] = {}

    def matches(host: HostRecord) -> bool:
        if host.name in group.states() and host.name not in known:
            known[host.name] = group.version_of(host.name) == version
        return known.get(host.name, False)

    return matches
