"""Auto Scaling groups, their hooks, and what they ask for by their tags."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from .actions import Result, Transition
from .chef_nodes import NodePattern


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


class CheckKind(StrEnum):
    """A check that a gate can ask for."""

    JOB = "job"
    EC2 = "ec2"
    ELB = "elb"
    TCP = "tcp"
    HTTP = "http"


class Check(NamedTuple):
    """One check of a gate; port and path only where the kind has them."""

    kind: CheckKind
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        match self.kind:
            case CheckKind.TCP:
                return f"tcp:{self.port}"
            case CheckKind.HTTP:
                return f"http:{self.port}{self.path}"
            case _:
                return str(self.kind)


class GroupSettings(NamedTuple):
    """What a group asks for by its tags.

    timeout in seconds; watch likewise, 0 for none. user_data: its instances ask for more by theirs. nodes: None if its
    instances are not in Chef. released_at: when an operator released the group from the provisioning circuit breaker,
    in epoch seconds, 0 if never.
    """

    group: str
    inventory: str
    inventory_groups: tuple[str, ...]
    job_template: str | None
    gate: tuple[Check, ...]
    timeout: int
    on_failure: OnFailure
    address: AddressKind
    watch: int = 0
    user_data: bool = False
    nodes: NodePattern | None = None
    retire_job_template: str | None = None
    released_at: float = 0.0

    def asks(self, kind: CheckKind) -> bool:
        """Whether its gate holds a check of this kind."""
        return any(check.kind == kind for check in self.gate)
