"""Auto Scaling groups, their hooks, and the settings in their tags."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from .actions import Result, Transition
from .chef_nodes import NodePattern

EMERGENCY_TAG = "rollcall:emergency"  # set and read by the command `rollcall offboard --emergency`; docs/operate


class Hook(NamedTuple):
    """A lifecycle hook of a group; target is the ARN that it notifies, empty for EventBridge.

    default_result: what ends its wait when it is not answered; heartbeat_timeout: after so many seconds without a
    heartbeat. Where they are not given they are as PutLifecycleHook has them.
    """

    name: str
    transition: Transition
    target: str
    default_result: Result = Result.ABANDON
    heartbeat_timeout: int = 3600


class Group(NamedTuple):
    """An Auto Scaling group: its tags, and the heartbeat timeout (seconds) of each of its hooks.

    target_groups: the ARNs of the target groups of load balancers that it is attached to. other_traffic: what else
    sends it traffic, in words: classic load balancers, VPC Lattice.
    """

    name: str
    tags: Mapping[str, str]
    heartbeat_timeouts: Mapping[str, int]
    target_groups: tuple[str, ...] = ()
    other_traffic: tuple[str, ...] = ()

    @property
    def in_emergency(self) -> bool:
        """Whether nothing may hold its instances, for an operator lets everything through. Any value says so."""
        return EMERGENCY_TAG in self.tags


class OnFailure(StrEnum):
    """What becomes of an instance against which there is evidence."""

    ABANDON = "abandon"
    HOLD = "hold"


class AddressKind(StrEnum):
    """Which of an instance's addresses Tower connects to."""

    PRIVATE = "private"
    PUBLIC = "public"
    PRIVATE_DNS = "private-dns"
    PUBLIC_DNS = "public-dns"


JOB_CHECK = "job"  # the check of a gate that its provisioning job has to go well


class GroupSettings(NamedTuple):
    """A group's settings, from its tags.

    gate: the checks that its gate has, each spelled as in the tag (checks/registry.py knows them). timeout in seconds;
    watch likewise, 0 for none. user_data: its instances may request more by their user data. nodes: None if its
    instances are not in Chef. released_at: when an operator released the group from the provisioning circuit breaker,
    in epoch seconds, 0 if never. in_emergency: see Group.
    """

    group: str
    inventory: str
    inventory_groups: tuple[str, ...]
    job_template: str | None
    gate: tuple[str, ...]
    timeout: int
    on_failure: OnFailure
    address: AddressKind
    watch: int = 0
    user_data: bool = False
    nodes: NodePattern | None = None
    retire_job_template: str | None = None
    released_at: float = 0.0
    in_emergency: bool = False

    def asks(self, kind: str) -> bool:
        """Whether its gate has a check of this kind, by its word in the tag."""
        return any(check.partition(":")[0] == kind for check in self.gate)


def base_template(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """The launch template and version in a configuration, of a mixed policy the base one; empty without any."""
    policy = configuration.get("MixedInstancesPolicy")
    found = policy["LaunchTemplate"]["LaunchTemplateSpecification"] if policy else configuration.get("LaunchTemplate")
    return found or {}
