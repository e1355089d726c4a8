"""The lifecycle of an instance in an Auto Scaling group as data: its states, its passages, and what holds it.

A passage leads an instance from one place to another past the hooks of one transition. In the words of its first
state it is `Pending`, then `Pending:Wait` while hooks hold it, then `Pending:Proceed`.

Source: the Amazon EC2 Auto Scaling user guide ("Amazon EC2 Auto Scaling lifecycle hooks", "Warm pool instance
lifecycle", "Warm pool example events and patterns", "Manage retained instances", "Replace root volumes during instance
refresh", "Instance refresh example events and patterns"). That every lifecycle action names its Action, and what is
said of an instance that dies in a warm pool, is from published recordings of the events (2026); the guide gives only
ReplaceRootVolume and leaves the other case out.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.session import Session

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from lab.aws.ministack import Record, Scope

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
GLOBAL_LIMIT = 48 * 3600
"""Seconds an instance may stay in a wait state; 100 heartbeat timeouts if that is less."""
EC2, GROUP, POOL = "EC2", "AutoScalingGroup", "WarmPool"
"""The places that a passage leads from and to: Origin and Destination of its events."""
WARMED = "Warmed:"
"""What the states of the members of a warm pool begin with."""


@dataclass(frozen=True)
class Passage:
    """A way past the hooks of a transition; "" for one that no hook sees.

    begins: the first state where that is not `state` itself.
    """

    state: str
    transition: str
    origin: str
    destination: str
    action: str
    begins: str = ""

    @property
    def first(self) -> str:
        return self.begins or self.state

    @property
    def waiting(self) -> str:
        return f"{self.state}:Wait"

    @property
    def proceeding(self) -> str:
        return f"{self.state}:Proceed"

    @property
    def retained(self) -> str:
        return f"{self.state}:Retained"


COLD = Passage("Pending", LAUNCHING, EC2, GROUP, "Launch")
INTO_POOL = Passage("Warmed:Pending", LAUNCHING, EC2, POOL, "Launch")
OUT_OF_POOL = Passage("Pending", LAUNCHING, POOL, GROUP, "Launch")
BACK_TO_POOL = Passage("Warmed:Pending", TERMINATING, GROUP, POOL, "Terminate")
TERMINATION = Passage("Terminating", TERMINATING, GROUP, EC2, "Terminate")
DEATH_IN_POOL = Passage("Warmed:Terminating", TERMINATING, POOL, EC2, "Terminate")
VOLUME_REPLACEMENT = Passage("ReplacingRootVolume", TERMINATING, GROUP, GROUP, "ReplaceRootVolume")
VOLUME_REPLACED = Passage("Pending", LAUNCHING, GROUP, GROUP, "ReplaceRootVolume", begins="RootVolumeReplaced")
OUT_OF_STANDBY = Passage("Pending", "", GROUP, GROUP, "")
PASSAGES = (
    COLD,
    INTO_POOL,
    OUT_OF_POOL,
    BACK_TO_POOL,
    TERMINATION,
    DEATH_IN_POOL,
    VOLUME_REPLACEMENT,
    VOLUME_REPLACED,
    OUT_OF_STANDBY,
)

COUNTED = frozenset(
    {
        *("Pending", "Pending:Wait", "Pending:Proceed", "InService"),
        *("ReplacingRootVolume", "ReplacingRootVolume:Wait", "ReplacingRootVolume:Proceed", "RootVolumeReplaced"),
    }
)
"""The states that count towards the desired capacity."""
READY = frozenset({"Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated"})
"""The states in which a member of a warm pool may be taken into the group."""
PREPARED = READY | {INTO_POOL.state, INTO_POOL.waiting, INTO_POOL.proceeding}
"""The states that count towards the size of the warm pool; who was retained or is going does not."""
ENDED = frozenset({"Terminated", "Warmed:Terminated", "Detached"})
"""The states after which an instance is its group's no more."""


@cache
def states() -> tuple[str, ...]:
    """Return all lifecycle states of the API, from botocore's service model."""
    shape: Any = Session().get_service_model("autoscaling").shape_for("LifecycleState")
    return tuple(shape.enum)


def in_pool(state: str) -> bool:
    """Whether an instance in this state is a member of the warm pool rather than of the group beside it."""
    return state.startswith(WARMED)


def is_retained(state: str) -> bool:
    """Whether an instance in this state is kept because its terminate hook was abandoned."""
    return state.endswith(":Retained")


@dataclass
class Action:
    """A lifecycle action in progress: one hook holding one instance."""

    instance_id: str
    hook: Record
    started: float
    deadline: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: str | None = None
    timed_out: bool = False

    @property
    def limit(self) -> float:
        """When the action ends whatever its heartbeats, in seconds since the epoch."""
        return self.started + global_timeout(self.hook)

    def extend(self, now: float) -> None:
        """Restart the heartbeat timeout."""
        self.deadline = now + int(self.hook["HeartbeatTimeout"])


@dataclass
class Instance:
    """An instance that a group has launched.

    public_address: None where the addresses have run out, and while it is stopped. former_public: what it had before it
    was stopped; None unless it is. passage: what it is on, None while it stays where it is. abandoned: its last hooks
    ended in ABANDON. forced: the state that a test lets the API show instead of its own. generation: the instance
    refresh, or its rollback, that went on when it was launched; "" without one. in_service_since: epoch seconds, None
    until it first is. override, image, weight: what the mixed instances policy that it was launched from says of it.
    """

    instance_id: str
    scope: Scope
    group: str
    group_arn: str
    address: IPv4Address
    public_address: IPv4Address | None
    zone: str
    subnet: str
    launch_template: dict[str, str]
    protected: bool
    launched: float
    cause: str
    passage: Passage | None
    state: str = ""
    forced: str | None = None
    health: str = "Healthy"
    former_public: IPv4Address | None = None
    abandoned: bool = False
    addresses_held: bool = True
    generation: str = ""
    in_service_since: float | None = None
    override: int | None = None
    image: str = ""
    weight: int | None = None
    target_groups: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    drained: float = 0.0
    """When the target groups that it left last have let its connections go: seconds since the epoch."""

    @property
    def shown(self) -> str:
        """The lifecycle state that the API shows."""
        return self.forced or self.state


def global_timeout(hook: Record) -> int:
    """Return the seconds for which a hook may hold an instance, whatever its heartbeats."""
    return min(GLOBAL_LIMIT, 100 * int(hook["HeartbeatTimeout"]))
