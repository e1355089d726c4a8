"""The instance refresh of a cycle: started once, and found again.

StartInstanceRefresh has no client token. So before it is called, and after AWS says that one is in progress, the
group's refreshes are read: one is this cycle's if it has what was sent and began after the execution did. AWS allows
one at a time of a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .preferences import same_as

if TYPE_CHECKING:
    from rollcall.aws.instance_refreshes import InstanceRefreshes, Refresh

    from .state import CycleState

CLOCKS_DIFFER = 2.0  # seconds that Step Functions' clock may be ahead of Auto Scaling's


class RefreshStarter:
    """Starts the refreshes of cycles."""

    def __init__(self, refreshes: InstanceRefreshes) -> None:
        self._refreshes = refreshes

    def start(self, state: CycleState, now: float) -> tuple[str | None, float]:
        """The id of the cycle's refresh and since when it runs (epoch seconds); no id if another one is active.

        now: epoch seconds. Raises what InstanceRefreshes.start does.
        """
        if found := self.find(state):
            return found.id, found.began or now
        if started := self._refreshes.start(state.sent):
            return started, now
        found = self.find(state)
        return (found.id, found.began or now) if found else (None, now)

    def find(self, state: CycleState) -> Refresh | None:
        """The newest refresh of the group that this cycle has started, if it has."""
        since = state.execution_started - CLOCKS_DIFFER
        for each in self._refreshes.describe(state.group):
            if each.began is not None and each.began < since:
                continue
            if same_as(state.sent, each.desired_configuration, each.preferences):
                return each
        return None
