"""The steps of a bake, each a task of its state machine: read, decide, do.

Every step may be repeated, and may have died anywhere before: what it does it does so that doing it again changes
nothing, and what it needs to know of an earlier try it reads from AWS and Tower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.bake_settings import BakeSettings
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .answer import StepAnswer

STEPS = (  # of the state machine Bake, in their order
    "preflight",
    "launch",
    "register",
    "provision",
    "image",
    "terminate",
    "smoke",
    "version",  # answers "roll_out" with cycle_name and cycle_input, or "record"
    "record",  # after the nested cycle, however it ended
    "retain",
    "put_back",  # answers "succeeded" or "failed"
)


class BakeRun:
    """Takes the steps of bakes. clock: epoch seconds. seconds_left: of this invocation."""

    def __init__(
        self,
        settings: Settings,
        bake: BakeSettings,
        tower: Tower,
        fleet: Fleet,
        *,
        chef: Chef | None,
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
        evidence: Evidence | None = None,
    ) -> None:
        self._settings = settings
        self._bake = bake
        self._tower = tower
        self._fleet = fleet
        self._chef = chef
        self._clock = clock
        self._seconds_left = seconds_left
        self._evidence = evidence

    def step(self, name: str, event: Mapping[str, Any]) -> StepAnswer:
        """Take a step. event: {"request" | "bake", "execution": {"id", "name", "started"}, "error"}."""
        raise NotImplementedError

    def settle(self, detail: Mapping[str, Any]) -> StepAnswer:
        """Put back what a bake left whose execution was stopped, ran out of time, or failed. detail: of the event."""
        raise NotImplementedError
