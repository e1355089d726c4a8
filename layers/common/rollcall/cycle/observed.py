"""What AWS shows of a group while a cycle runs. Frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rollcall.domain.lifecycle_states import Phase as LifecyclePhase
from rollcall.domain.lifecycle_states import phase_of


class Member(NamedTuple):
    """An instance of a group or of its warm pool.

    version: the number of its launch template's version, of template_id; both empty where Auto Scaling shows none.
    began: when Auto Scaling began to launch it (or took it out of the pool), or to terminate it where it is leaving, in
    epoch seconds; None where its activities do not say.
    """

    instance_id: str
    state: str
    version: str = ""
    template_id: str = ""
    began: float | None = None
    launched: float | None = None
    protected: bool = False

    @property
    def lifecycle_phase(self) -> LifecyclePhase:
        """Where it is between its launch and its end."""
        return phase_of(self.state)

    @property
    def in_service(self) -> bool:
        """Whether it counts as one that serves."""
        return self.state == "InService"


class GroupNow(NamedTuple):
    """A group as Auto Scaling shows it. health: by target group's ARN, the state of each target by instance id."""

    desired: int
    members: tuple[Member, ...]
    health: Mapping[str, Mapping[str, str]]
