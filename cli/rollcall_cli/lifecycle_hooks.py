"""The lifecycle hooks of a group as operators' commands read and put them: whole.

PutLifecycleHook with a field left out may leave or reset it, so that every field that DescribeLifecycleHooks shows is
sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollcall.domain.actions import Result, Transition

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class LifecycleHook:
    """A lifecycle hook with all its fields. target, role, metadata: None where it has none."""

    name: str
    transition: Transition
    heartbeat_timeout: int
    default_result: Result
    target: str | None = None
    role: str | None = None
    metadata: str | None = None

    @property
    def launching(self) -> bool:
        """Whether it holds instances on their way into service."""
        return self.transition == Transition.LAUNCHING

    def arguments(self) -> dict[str, Any]:
        """All of it as PutLifecycleHook names it, without the group."""
        own = {"NotificationTargetARN": self.target, "RoleARN": self.role, "NotificationMetadata": self.metadata}
        return {
            "LifecycleHookName": self.name,
            "LifecycleTransition": str(self.transition),
            "HeartbeatTimeout": self.heartbeat_timeout,
            "DefaultResult": str(self.default_result),
            **{key: value for key, value in own.items() if value is not None},
        }


def read_hook(raw: Mapping[str, Any]) -> LifecycleHook:
    """A hook as DescribeLifecycleHooks shows it."""
    return LifecycleHook(
        raw["LifecycleHookName"],
        Transition(raw["LifecycleTransition"]),
        raw["HeartbeatTimeout"],
        Result(raw["DefaultResult"]),
        raw.get("NotificationTargetARN") or None,
        raw.get("RoleARN") or None,
        raw.get("NotificationMetadata") or None,
    )
