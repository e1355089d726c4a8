"""EC2 instances, and the parameters in their user data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .empty_mapping import EMPTY_MAPPING
from .groups import AddressKind

TERMINATED = "terminated"  # the last state of an instance (API reference, InstanceState)


class UserDataParameters(NamedTuple):
    """The parameters in an instance's user data: variables of its host, and inventory groups beside its group's.

    warning: why they are not followed, or not all of them; of the user data it holds nothing but names of variables.
    """

    variables: Mapping[str, object] = EMPTY_MAPPING
    groups: tuple[str, ...] = ()
    warning: str = ""


class Instance(NamedTuple):
    """An EC2 instance, with all of it that becomes a host. launched_at in epoch seconds.

    state_reason: why it is in its state, in EC2's words; empty where it gives none.
    """

    instance_id: str
    state: str
    launched_at: float
    addresses: Mapping[AddressKind, str]
    facts: Mapping[str, str]
    tags: Mapping[str, str]
    state_reason: str = ""

    @property
    def living(self) -> bool:
        """Neither terminated nor on its way there."""
        return self.state not in ("shutting-down", TERMINATED)

    @property
    def in_words(self) -> str:
        """Its state, with why it is in it."""
        return f"{self.state} ({self.state_reason})" if self.state_reason else self.state

    @property
    def gone(self) -> bool:
        """Terminated."""
        return self.state == TERMINATED
