"""The processes of a group that may be suspended, and whether they are.

What the lab heeds: Launch, Terminate, AddToLoadBalancer, HealthCheck, ReplaceUnhealthy and InstanceRefresh. The others
it stores and shows.

Source: Amazon EC2 Auto Scaling API reference (SuspendProcesses) and user guide ("Suspend and resume processes").
"""

from collections.abc import Iterable

from lab.aws.ministack import Record
from lab.aws.notifications import timestamp

LAUNCH, TERMINATE, REFRESH = "Launch", "Terminate", "InstanceRefresh"
ADD_TO_LOAD_BALANCER, HEALTH_CHECK, REPLACE_UNHEALTHY = "AddToLoadBalancer", "HealthCheck", "ReplaceUnhealthy"
PROCESSES = (
    *(LAUNCH, TERMINATE, ADD_TO_LOAD_BALANCER, "AlarmNotification", "AZRebalance", HEALTH_CHECK, REFRESH),
    *(REPLACE_UNHEALTHY, "ScheduledActions"),
)
STORED = "SuspendedProcesses"
"""Where a group's record has them: why each is suspended, by its name."""


def suspend(group: Record, names: Iterable[str], now: float) -> None:
    """Let a group's processes rest; those that do already keep their reason."""
    suspended = group.setdefault(STORED, {})
    for name in names:
        suspended.setdefault(name, f"User suspended at {timestamp(int(now))}")


def resume(group: Record, names: Iterable[str]) -> None:
    """Let a group's processes go on."""
    for name in names:
        group.get(STORED, {}).pop(name, None)


def is_suspended(group: Record, name: str) -> bool:
    """Whether a process of a group rests."""
    return name in group.get(STORED, {})


def described(group: Record) -> list[Record]:
    """Return what the API shows of a group's suspended processes."""
    suspended = group.get(STORED, {})
    return [{"ProcessName": name, "SuspensionReason": reason} for name, reason in suspended.items()]
