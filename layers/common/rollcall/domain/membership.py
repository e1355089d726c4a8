"""What Auto Scaling knows of an instance: its group, and where in its lifecycle it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .actions import Transition
from .groups import Group
from .lifecycle_states import RESTING_PHASES, Phase, held_next, is_held, phase_of

if TYPE_CHECKING:
    from collections.abc import Mapping

POOL_ENTRY = "Warmed:Pending:Wait"


class Membership(NamedTuple):
    """The group of an instance, and its lifecycle state."""

    group: str
    state: str

    @property
    def entering(self) -> bool:
        """On its way into service."""
        return phase_of(self.state) == Phase.ENTERING

    @property
    def serving(self) -> bool:
        """In service, or in Standby."""
        return phase_of(self.state) == Phase.SERVING

    @property
    def leaving(self) -> bool:
        """On its way out for good."""
        return phase_of(self.state) == Phase.LEAVING

    @property
    def resting(self) -> bool:
        """In a warm pool, or having its root volume replaced: it may come back, with the id that it has."""
        return phase_of(self.state) in RESTING_PHASES

    @property
    def pooled(self) -> bool:
        """In a warm pool, or on its way into it."""
        return phase_of(self.state) == Phase.POOLED

    @property
    def retained(self) -> bool:
        """Terminated by its group, and kept running by its lifecycle policy."""
        return phase_of(self.state) == Phase.RETAINED

    @property
    def held(self) -> bool:
        """Held by lifecycle hooks until they are answered."""
        return is_held(self.state)


class OptedIn(NamedTuple):
    """A group that carries a tag, and its instances by id. Its hooks are not read."""

    group: Group
    members: Mapping[str, Membership]


def holds(membership: Membership | None, transition: Transition) -> bool:
    """Whether hooks of a transition hold an instance. Both ways into a warm pool, and back, are one state."""
    if membership is None or not membership.held:
        return False
    if membership.state == POOL_ENTRY:
        return True
    return membership.entering == (transition == Transition.LAUNCHING)


def will_hold(membership: Membership, transition: Transition) -> bool:
    """Whether hooks of a transition hold an instance, or will in a moment: it has not passed them yet."""
    state = held_next(membership.state)
    return state is not None and holds(Membership(membership.group, state), transition)
