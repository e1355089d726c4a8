"""What the embedded AWS and its client agree on, beyond AWS's own APIs."""

from dataclasses import dataclass

CONTROL = "/_lab/"
"""Paths below this one are ours.

Which there are the tables of `lab.aws.server` say; `lab.aws.embedded` says what each does.
"""
TRANSITIONS = "transitions/"
"""The path, with how many its client knows already, that shows the transitions that came after these."""


@dataclass(frozen=True)
class Transition:
    """An instance entered a lifecycle state."""

    time: float
    """Seconds since the epoch."""
    group: str
    instance_id: str
    address: str
    """The private IPv4 address that the instance has or had."""
    state: str
    """The state entered, 'Pending' … 'InService' … 'Terminated'; one of a warm pool begins with 'Warmed:'."""


@dataclass(frozen=True)
class Timeout:
    """A hook's wait was ended by its timeout, without an answer."""

    time: float
    """Seconds since the epoch."""
    group: str
    instance_id: str
    hook: str


@dataclass(frozen=True)
class TargetEvent:
    """Something happened to a target of a load balancer's target group."""

    time: float
    """Seconds since the epoch."""
    target_group: str
    """Its ARN."""
    instance_id: str
    what: str
    """'registered', 'deregistered', or 'healthy' when the target group first said so."""


@dataclass(frozen=True)
class Machine:
    """An instance as EC2 has it: what its service and its load balancer have to know."""

    instance_id: str
    group: str
    """Its Auto Scaling group; empty for one that is none's, or no longer one's."""
    state: str
    """Its state in EC2: 'pending', 'running', 'stopped' …"""
    started: float
    """When it was launched, or started last: seconds since the epoch, to the second for a launch."""


@dataclass(frozen=True)
class TargetRecord:
    """A target of a target group. Times in seconds since the epoch."""

    target_group: str
    """Its ARN."""
    instance_id: str
    registered: float
    deregistered: float | None
    """When it began to drain; None while it is to get requests."""
    drained: float | None
    """When its deregistration delay is over, once it drains."""


@dataclass(frozen=True)
class FoundTarget:
    """What a load balancer finds of a target that was registered at that time."""

    instance_id: str
    registered: float
    state: str
    reason: str
    description: str


@dataclass(frozen=True)
class Invocation:
    """A function was invoked by an event source mapping."""

    function: str
    """The function's name."""
    started: float
    """Seconds since the epoch."""
    ended: float
    """Seconds since the epoch."""
    messages: int
    """Records that were handed over."""
    failed: bool
    """The function ended in an error or its timeout, or was throttled; messages that it gave back do not count."""


@dataclass(frozen=True)
class Pace:
    """What images and instances outside of groups take, in seconds."""

    image: float = 0.2
    """From CreateImage until an image is no longer pending."""
    boot: float = 0.1
    """From a launch until an instance is running."""
    checks: float = 0.2
    """From then until its status checks have a result."""
    shutdown: float = 0.1
    """From a stop until an instance is stopped, from a termination until it is terminated."""


@dataclass(frozen=True)
class Use:
    """What a call of a function needed: an action on a resource, and the Sid of the statement that decided."""

    action: str
    resource: str
    allowed: bool
    sid: str


@dataclass(frozen=True)
class Grant:
    """An action that a statement of a function's role allows, with the statement's Sid; it may be a pattern."""

    sid: str
    action: str
