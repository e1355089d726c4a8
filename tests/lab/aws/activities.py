"""Scaling activities: what the groups did with their instances, from its beginning to its end.

Source: Amazon EC2 Auto Scaling API reference (DescribeScalingActivities, Activity) and user guide ("Verify a scaling
activity"); how the launch of an abandoned instance ends is from AWS re:Post ("lifecycle actions"). A start is told to
the millisecond and an end to the second, as in the CLI reference's example. That activities in progress come first, and
the others by their start, is from the reference of an older SDK.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lab.aws.notifications import timestamp

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lab.aws.lifecycle import Instance
    from lab.aws.ministack import Record, Scope

KEPT = 20_000  # activities; AWS keeps those of six weeks
ABANDONED = (
    "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {token} was abandoned: {reason}"
)
TIMEOUT, ANSWER = "Heartbeat Timeout", "Lifecycle Action Completed with ABANDON Result"


def moment_of(written: str) -> float:
    """Return a moment that AWS writes or is given, in seconds since the epoch; without an offset it is in UTC."""
    read = datetime.fromisoformat(written)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


@dataclass
class _Kept:
    """An activity, and whose it is."""

    scope: Scope
    group_arn: str
    instance_id: str
    record: Record


class Activities:
    """The activities of all groups, those of deleted ones too."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque(maxlen=KEPT)
        self._open: dict[str, Record] = {}  # by instance, the one that goes on

    def begin(self, instance: Instance, words: str, now: float) -> Record:
        """Begin one, and return it, or the one like it that goes on; another one is broken off. words: what it is."""
        description = f"{words}: {instance.instance_id}"
        record = self._open.get(instance.instance_id)
        if record and record["Description"] == description:
            return record
        self.end(instance, now, "Cancelled")
        record = {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": instance.group,
            "AutoScalingGroupARN": instance.group_arn,
            "Description": description,
            "Cause": f"At {timestamp(now)} {instance.cause}",
            "StartTime": timestamp(now),
            "StatusCode": "InProgress",
            "Progress": 0,
        }
        self._kept.append(_Kept(instance.scope, instance.group_arn, instance.instance_id, record))
        self._open[instance.instance_id] = record
        return record

    def end(self, instance: Instance, now: float, status: str = "Successful", reason: str = "") -> None:
        """End what goes on with an instance, if anything does."""
        record = self._open.pop(instance.instance_id, None)
        if record is None:
            return
        record |= {"StatusCode": status, "Progress": 100, "EndTime": timestamp(int(now))}
        if reason:
            record["StatusMessage"] = reason
            record["Description"] += f". Status Reason: {reason}"

    def abandon(self, instance: Instance, now: float, token: str, *, timed_out: bool) -> None:
        """End a launch that the hook with this token has abandoned."""
        self.end(instance, now, "Failed", ABANDONED.format(token=token, reason=TIMEOUT if timed_out else ANSWER))

    def fail_launch(self, scope: Scope, group: Record, words: str, cause: str, now: float) -> None:
        """Note that a group could launch no instance. words: why not."""
        record = {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": group["AutoScalingGroupName"],
            "AutoScalingGroupARN": group["AutoScalingGroupARN"],
            "Description": f"Launching a new EC2 instance. Status Reason: {words}",
            "Cause": f"At {timestamp(now)} {cause}",
            "StartTime": timestamp(now),
            "EndTime": timestamp(int(now)),
            "StatusCode": "Failed",
            "StatusMessage": words,
            "Progress": 100,
        }
        self._kept.append(_Kept(scope, group["AutoScalingGroupARN"], "", record))

    def of(
        self, scope: Scope, group: str | None, since: float, until: float, among: Collection[str] | None
    ) -> list[Record]:
        """Those that began in this time, of a group or of all: those in progress first, then the newest.

        among: the ARNs of the groups that count, None for all that there ever were.
        """
        found = [
            each.record
            for each in self._kept
            if each.scope == scope
            and group in (None, each.record["AutoScalingGroupName"])
            and (among is None or each.group_arn in among)
            and since <= moment_of(each.record["StartTime"]) <= until
        ]
        found.sort(key=lambda each: str(each["StartTime"]), reverse=True)
        found.sort(key=lambda each: "EndTime" in each)
        return found

    def age(self, instance_ids: Iterable[str], seconds: float) -> None:
        """Let what these instances did have begun so many seconds earlier."""
        aged = set(instance_ids)
        for each in self._kept:
            if each.instance_id in aged:
                began = datetime.fromisoformat(each.record["StartTime"]) - timedelta(seconds=seconds)
                each.record["StartTime"] = timestamp(began.timestamp())
