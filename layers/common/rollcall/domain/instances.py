"""EC2 instances, and what they ask for by their user data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .empty_mapping import EMPTY_MAPPING
from .groups import AddressKind


class Parameters(NamedTuple):
    """What an instance asks for by its user data: variables of its host, and inventory groups beside its group's.

    warning: why that is not followed, or not all of it; without anything that stands in it but names of variables.
    """

    variables: Mapping[str, object] = EMPTY_MAPPING
    groups: tuple[str, ...] = ()
    warning: str = ""


class Instance(NamedTuple):
    """An EC2 instance as far as Tower is told of it. launched_at in epoch seconds."""

    instance_id: str
    state: str
    launched_at: float
    addresses: Mapping[AddressKind, str]
    facts: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def living(self) -> bool:
        """Neither terminated nor on its way there."""
        return self.state not in ("shutting-down", "terminated")
