"""Terminating instances -> their hosts out of every inventory -> their hooks completed.

Nothing is asked of AWS: whether the group still exists, or still carries its tags, makes no difference to a host whose
instance goes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from .model import Result, Transition
from .removal import strike_off
from .reports import Report, failing, going

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .fleet import Fleets
    from .model import LifecycleAction
    from .tower import DeleteRefused, Tower

CALLS_AT_ONCE = 8


class Cleanup:
    """Strikes terminating instances off, in batches."""

    def __init__(self, tower: Tower, fleets: Fleets) -> None:
        self._tower = tower
        self._fleets = fleets

    def clean_up(self, actions: Collection[LifecycleAction]) -> list[Report]:
        """What became of each action. A hook is completed only once no inventory holds the instance's host."""
        reports: list[Report] = []
        distinct = going(actions, Transition.TERMINATING, reports)
        with failing(distinct, reports):
            refusals = strike_off(self._tower, {action.instance_id for action in distinct})
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                list(pool.map(partial(self._complete, reports, refusals), distinct))
        return reports

    def _complete(self, reports: list[Report], refusals: Mapping[str, DeleteRefused], action: LifecycleAction) -> None:
        with failing([action], reports):
            if refusal := refusals.get(action.instance_id):
                raise refusal
            if action.awaited:
                self._fleets.of(action).complete(action, Result.CONTINUE)
            reports.append(Report(action, "struck off"))
