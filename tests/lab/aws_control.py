"""What the embedded AWS and its client agree on, beyond AWS's own APIs."""

from dataclasses import dataclass

CONTROL = "/_lab/"
"""Paths below this one are ours: GET transitions, GET timeouts, PUT dropped-events."""


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
    """The state entered, 'Pending' … 'InService' … 'Terminated'."""


@dataclass(frozen=True)
class Timeout:
    """A hook's wait was ended by its timeout, for nobody answered it."""

    time: float
    """Seconds since the epoch."""
    group: str
    instance_id: str
    hook: str
