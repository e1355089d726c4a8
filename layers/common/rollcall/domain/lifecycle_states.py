"""What every lifecycle state of the Auto Scaling API means to us. Pure.

The states are those of the shape LifecycleState in botocore's service model of Auto Scaling, which a test compares with
this table. What they mean is from the Amazon EC2 Auto Scaling user guide ("Instance lifecycle", "Lifecycle state
transitions for instances in a warm pool", "Replace root volume", "Instance lifecycle policies").
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Standing(StrEnum):
    """Where an instance stands between its launch and its end."""

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


STANDINGS: Mapping[str, Standing] = {
    "Pending": Standing.ENTERING,
    "Pending:Wait": Standing.ENTERING,
    "Pending:Proceed": Standing.ENTERING,
    "Quarantined": Standing.UNKNOWN,
    "InService": Standing.SERVING,
    "EnteringStandby": Standing.SERVING,
    "Standby": Standing.SERVING,
    "Detaching": Standing.DETACHED,
    "Detached": Standing.DETACHED,
    "Terminating": Standing.LEAVING,
    "Terminating:Wait": Standing.LEAVING,
    "Terminating:Proceed": Standing.LEAVING,
    "Terminating:Retained": Standing.RETAINED,
    "Terminated": Standing.LEAVING,
    "ReplacingRootVolume": Standing.REIMAGED,
    "ReplacingRootVolume:Wait": Standing.REIMAGED,
    "ReplacingRootVolume:Proceed": Standing.REIMAGED,
    "RootVolumeReplaced": Standing.REIMAGED,
    "Warmed:Pending": Standing.POOLED,
    "Warmed:Pending:Wait": Standing.POOLED,
    "Warmed:Pending:Proceed": Standing.POOLED,
    "Warmed:Pending:Retained": Standing.RETAINED,
    "Warmed:Terminating": Standing.LEAVING,
    "Warmed:Terminating:Wait": Standing.LEAVING,
    "Warmed:Terminating:Proceed": Standing.LEAVING,
    "Warmed:Terminating:Retained": Standing.RETAINED,
    "Warmed:Terminated": Standing.LEAVING,
    "Warmed:Stopped": Standing.POOLED,
    "Warmed:Running": Standing.POOLED,
    "Warmed:Hibernated": Standing.POOLED,
}
RESTING = (Standing.POOLED, Standing.REIMAGED)  # their hosts are kept, and disabled


def standing_of(state: str) -> Standing:
    """What a lifecycle state means; UNKNOWN for one that is not in the table."""
    return STANDINGS.get(state, Standing.UNKNOWN)


def is_held(state: str) -> bool:
    """Whether lifecycle hooks hold an instance in this state until they are answered."""
    return state.endswith(":Wait")
