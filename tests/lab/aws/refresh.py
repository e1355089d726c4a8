"""An instance refresh as data: what it was asked for, how far it is, and how the API describes it.

Source: Amazon EC2 Auto Scaling API reference (InstanceRefresh, RefreshPreferences, RollbackDetails) and user guide
("Monitor an instance refresh", "Understand the default values for an instance refresh").
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lab.aws.notifications import timestamp

if TYPE_CHECKING:
    from lab.aws.ministack import Record, Scope

PENDING, IN_PROGRESS, BAKING = "Pending", "InProgress", "Baking"
CANCELLING, CANCELLED = "Cancelling", "Cancelled"
SUCCESSFUL, FAILED = "Successful", "Failed"
ROLLING_BACK, ROLLED_BACK, ROLLBACK_FAILED = "RollbackInProgress", "RollbackSuccessful", "RollbackFailed"
ACTIVE = frozenset({PENDING, IN_PROGRESS, BAKING, CANCELLING, ROLLING_BACK})
"""The statuses in which a group takes no second one."""
FORWARD = frozenset({PENDING, IN_PROGRESS, BAKING})
"""The statuses in which the group is on its way to the new configuration, and may be rolled back."""
CHECKPOINT_DELAY = 3600
"""Seconds to wait after a checkpoint unless something else is asked for."""
LEAST_HEALTHY = 90
"""The minimum healthy percentage where neither the refresh nor the group's maintenance policy says one."""
ALL = 100
"""Percent."""
REASON_LENGTH = 1023
"""The most characters of a StatusReason."""


@dataclass(frozen=True)
class Rules:
    """What AWS does not say, and what takes it too long for a test.

    minimum_rounding, maximum_rounding: "up" or "down", of the two percentages. retry_seconds: for how long a refresh
    tries before it fails. pending_on_rollback: whether instances of the new configuration that are on their way when a
    rollback begins are terminated at once ("terminate"), or when they are in service ("wait"). slow_launches_fail:
    whether a launch that takes longer than retry_seconds without failing fails the refresh. awaits_terminations:
    whether a refresh ends only when the last old instance is gone rather than going.
    """

    minimum_rounding: str = "up"
    maximum_rounding: str = "down"
    retry_seconds: float = 3600
    pending_on_rollback: str = "terminate"
    slow_launches_fail: bool = False
    awaits_terminations: bool = False


class Preferences(NamedTuple):
    """What a refresh was asked for; None where it was not, and percentages as they hold for its group."""

    minimum: int
    maximum: int | None
    warmup: int | None
    checkpoints: tuple[int, ...]
    checkpoint_delay: int
    skip_matching: bool
    auto_rollback: bool
    protected: str
    standby: str
    alarms: tuple[str, ...]
    bake: int

    def described(self) -> Record:
        """Return them as the API shows them."""
        shown: dict[str, Any] = {"MinHealthyPercentage": self.minimum}
        if self.maximum is not None:
            shown["MaxHealthyPercentage"] = self.maximum
        if self.warmup is not None:
            shown["InstanceWarmup"] = self.warmup
        if self.checkpoints:
            shown |= {"CheckpointPercentages": list(self.checkpoints), "CheckpointDelay": self.checkpoint_delay}
        shown |= {
            "SkipMatching": self.skip_matching,
            "AutoRollback": self.auto_rollback,
            "ScaleInProtectedInstances": self.protected,
            "StandbyInstances": self.standby,
        }
        if self.alarms:
            shown["AlarmSpecification"] = {"Alarms": list(self.alarms)}
        if self.bake:
            shown["BakeTime"] = self.bake
        return shown


def read_preferences(asked: Record, group: Record) -> Preferences:
    """Return the preferences of a request, in the query protocol's strings, for a group."""
    policy = group.get("InstanceMaintenancePolicy") or {}
    minimum = asked.get("MinHealthyPercentage", policy.get("MinHealthyPercentage", LEAST_HEALTHY))
    maximum = asked.get("MaxHealthyPercentage", policy.get("MaxHealthyPercentage"))
    warmup = asked.get("InstanceWarmup")
    return Preferences(
        minimum=int(minimum),
        maximum=None if maximum is None else int(maximum),
        warmup=None if warmup is None else int(warmup),
        checkpoints=tuple(int(each) for each in asked.get("CheckpointPercentages") or []),
        checkpoint_delay=int(asked.get("CheckpointDelay", CHECKPOINT_DELAY)),
        skip_matching=asked.get("SkipMatching") == "true",
        auto_rollback=asked.get("AutoRollback") == "true",
        protected=asked.get("ScaleInProtectedInstances", "Wait"),
        standby=asked.get("StandbyInstances", "Wait"),
        alarms=tuple((asked.get("AlarmSpecification") or {}).get("Alarms") or []),
        bake=int(asked.get("BakeTime", 0)),
    )


class PoolProgress(NamedTuple):
    """How far the replacement of the instances of a group, or of its warm pool, is."""

    percent: int
    left: int

    def described(self) -> Record:
        """Return it as the API shows it."""
        return {"PercentageComplete": self.percent, "InstancesToUpdate": self.left}


class Progress(NamedTuple):
    """How far a refresh is: percent in all, instances left in all, and of each pool where the group has a warm one."""

    percent: int = 0
    left: int = 0
    live: PoolProgress | None = None
    warm: PoolProgress | None = None

    def details(self) -> Record | None:
        """Return the ProgressDetails of the API, None for a group without a warm pool."""
        if self.live is None or self.warm is None:
            return None
        return {"LivePoolProgress": self.live.described(), "WarmPoolProgress": self.warm.described()}


class Rollback(NamedTuple):
    """That a refresh is or was rolled back: why, since when (epoch seconds), and how far it was by then."""

    reason: str
    began: float
    progress: Progress

    def described(self) -> Record:
        """Return it as the API shows it."""
        details = self.progress.details()
        return {
            "RollbackReason": self.reason[:REASON_LENGTH],
            "RollbackStartTime": timestamp(self.began),
            "PercentageCompleteOnRollback": self.progress.percent,
            "InstancesToUpdateOnRollback": self.progress.left,
            **({"ProgressDetailsOnRollback": details} if details else {}),
        }


@dataclass
class Refresh:
    """One refresh of a group. Times in epoch seconds.

    asked: its DesiredConfiguration, empty without one. previous: what the group was configured with when it began.
    matching: ids of the instances that it skips, for they match already. progressed: when it last came closer to its
    end; marks: what that is judged by. trouble: why it cannot go on, "" while it can. checkpoints: how many of them
    are behind it. paused_until: the end of a checkpoint's delay. wanted: the capacity that it wants the group to have
    for now. settling: it has ended, and the group still has more instances than are desired.
    """

    scope: Scope
    group: str
    group_arn: str
    preferences: Preferences
    asked: Record
    previous: Record
    started: float
    refresh_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = PENDING
    reason: str = ""
    ended: float | None = None
    progress: Progress = field(default_factory=Progress)
    rollback: Rollback | None = None
    matching: frozenset[str] = frozenset()
    progressed: float = 0.0
    marks: tuple[int, int, int] = (0, 0, 0)
    trouble: str = ""
    checkpoints: int = 0
    paused_until: float | None = None
    bakes_until: float | None = None
    wanted: int | None = None
    settling: bool = False

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return self.status in ACTIVE

    @property
    def generation(self) -> str:
        """What instances that are launched now are marked with: the refresh, or its rollback."""
        return f"{self.refresh_id}:rollback" if self.rollback else self.refresh_id

    @property
    def configuration(self) -> Record | None:
        """What instances are launched from while it goes on; None: what the group says."""
        if not self.asked:
            return None
        return self.previous if self.rollback else self.asked

    def described(self) -> Record:
        """Return it as the API shows it."""
        details = self.progress.details()
        return {
            "InstanceRefreshId": self.refresh_id,
            "AutoScalingGroupName": self.group,
            "Status": self.status,
            **({"StatusReason": self.reason[:REASON_LENGTH]} if self.reason else {}),
            "StartTime": timestamp(self.started),
            **({} if self.ended is None else {"EndTime": timestamp(self.ended)}),
            "PercentageComplete": self.progress.percent,
            "InstancesToUpdate": self.progress.left,
            **({"ProgressDetails": details} if details else {}),
            "Preferences": self.preferences.described(),
            **({"DesiredConfiguration": self.asked} if self.asked else {}),
            **({"RollbackDetails": self.rollback.described()} if self.rollback else {}),
            "Strategy": "Rolling",
        }
