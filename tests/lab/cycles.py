"""Cycles of groups on the embedded cloud: started as the command and reconcile start them, followed by their state."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.cloud import eventually
from lab.executions import Execution

if TYPE_CHECKING:
    from lab.cloud import Cloud, Group
    from lab.tower.embedded import HostRecord

WARM_SOON: dict[str, Any] = {"DefaultInstanceWarmup": 1}  # second; else the grace period of 300 s
AT_ONE = {**WARM_SOON, "version": "1"}  # of a group on a number
DRAINING = 1  # seconds that a target drains
TARGET_GROUP_NAME = 32  # characters


@dataclass(frozen=True)
class Cycle(Execution):
    """An execution of the state machine of cycles."""

    kind = "cycle"
    machine = "CycleStateMachine"

    def time_out(self) -> None:
        """Let the execution run out of time, as one of two weeks does."""
        self.cloud.aws.time_out_execution(self.arn)

    def age(self, group: Group, seconds: float) -> None:
        """Let the execution, the group and its refreshes be so many seconds older than they are."""
        self.cloud.aws.age_execution(self.arn, seconds)
        self.cloud.aws.age_group(group.name, seconds)


def start_cycle(group: Group, key: str = "", **request: Any) -> Cycle:
    """Start a cycle of a group. key: names it, as for the command. request: as the state machine's input names it."""
    return Cycle.started(group, key, request)


def cycle_named(group: Group, key: str) -> Cycle:
    """The group's cycle with this key, as the command and reconcile name it; whether or not it is there."""
    return Cycle.named(group, key)


def at_size(group: Group, size: int) -> set[str]:
    """The group's instances once it has this size, and all are in service."""
    group.scale(size)
    eventually(lambda: len(group.states()) == len(group.in_service()) == size, f"{size} in service")
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
