"""What AWS answers, in its own fields, and the action that tests complete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import AwsDenied, Throttled
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    pass

TOKEN = "87654321-4321-4321-4321-210987654321"
ACTION = LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, "web", "i-a", "rollcall-launch", TOKEN)
ARGUMENTS = {"AutoScalingGroupName": "web", "LifecycleHookName": "rollcall-launch", "LifecycleActionToken": TOKEN}
COMPLETE, HEARTBEAT = "complete_lifecycle_action", "record_lifecycle_action_heartbeat"
REFUSALS = pytest.mark.parametrize(("code", "error"), [("Throttling", Throttled), ("AccessDenied", AwsDenied)])


def hook(name: str, timeout: int) -> dict[str, Any]:
    return {"LifecycleHookName": name, "HeartbeatTimeout": timeout}


def raw_group(name: str, **tags: str) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": name,
        "MinSize": 0,
        "MaxSize": 1,
        "DesiredCapacity": 1,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["us-east-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": datetime(2026, 11, 21, tzinfo=UTC),
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def source(identifier: str, kind: str) -> dict[str, str]:
    return {"Identifier": identifier, "Type": kind}


def raw_membership(instance_id: str, state: str = "Pending:Wait") -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "AutoScalingGroupName": "web",
        "AvailabilityZone": "us-east-1a",
        "LifecycleState": state,
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
    }


def raw_instance(instance_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "State": {"Code": 16, "Name": "running"},
        "LaunchTime": datetime(2026, 11, 21, 10, 0, tzinfo=UTC),
    } | changes
