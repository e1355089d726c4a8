"""What every lifecycle state of the Auto Scaling API means here: its phase. Pure.

The states are those of the shape LifecycleState in botocore's service model of Auto Scaling, which a test compares with
this table. What they mean is from the Amazon EC2 Auto Scaling user guide ("Instance lifecycle", "Lifecycle state
transitions for instances in a warm pool", "Replace root volume", "Instance lifecycle policies").
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Phase(StrEnum):
    """Where an instance is between its launch and its end."""

    ENTERING = "on its way into service"
    SERVING = "in service, or in Standby"
    POOLED = "in a warm pool, or on its way into it: it keeps its id and may come back"
    REIMAGED = "its root volume is being replaced: it keeps its id and its address, and comes back"
    LEAVING = "on its way out for good"
    RETAINED = (
        "terminated by its group and kept by its lifecycle policy: it runs, and is billed, until it is terminated"
    )
    DETACHED = "on its way out of its group, and alive"
    UNKNOWN = "a state that no documentation explains: no decision is based on it"


PHASES: Mapping[str, Phase] = {
    "Pending": Phase.ENTERING,
    "Pending:Wait": Phase.ENTERING,
    "Pending:Proceed": Phase.ENTERING,
    "Quarantined": Phase.UNKNOWN,
    "InService": Phase.SERVING,
    "EnteringStandby": Phase.SERVING,
    "Standby": Phase.SERVING,
    "Detaching": Phase.DETACHED,
    "Detached": Phase.DETACHED,
    "Terminating": Phase.LEAVING,
    "Terminating:Wait": Phase.LEAVING,
    "Terminating:Proceed": Phase.LEAVING,
    "Terminating:Retained": Phase.RETAINED,
    "Terminated": Phase.LEAVING,
    "ReplacingRootVolume": Phase.REIMAGED,
    "ReplacingRootVolume:Wait": Phase.REIMAGED,
    "ReplacingRootVolume:Proceed": Phase.REIMAGED,
    "RootVolumeReplaced": Phase.REIMAGED,
    "Warmed:Pending": Phase.POOLED,
    "Warmed:Pending:Wait": Phase.POOLED,
    "Warmed:Pending:Proceed": Phase.POOLED,
    "Warmed:Pending:Retained": Phase.RETAINED,
    "Warmed:Terminating": Phase.LEAVING,
    "Warmed:Terminating:Wait": Phase.LEAVING,
    "Warmed:Terminating:Proceed": Phase.LEAVING,
    "Warmed:Terminating:Retained": Phase.RETAINED,
    "Warmed:Terminated": Phase.LEAVING,
    "Warmed:Stopped": Phase.POOLED,
    "Warmed:Running": Phase.POOLED,
    "Warmed:Hibernated": Phase.POOLED,
}
RESTING_PHASES = (Phase.POOLED, Phase.REIMAGED)  # their hosts are kept, and disabled


def phase_of(state: str) -> Phase:
    """The phase of a lifecycle state; UNKNOWN for one that is not in the table."""
    return PHASES.get(state, Phase.UNKNOWN)


HELD = ":Wait"


def is_held(state: str) -> bool:
    """Whether lifecycle hooks hold an instance in this state until they are answered."""
    return state.endswith(HELD)


def held_next(state: str) -> str | None:
    """The state in which hooks hold an instance in this one now, or will in a moment; None where they do not."""
    held = state if is_held(state) else state + HELD
    return held if held in PHASES else None
