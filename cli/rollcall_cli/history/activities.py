"""Auto Scaling's activities: what a group did with its instances in the last six weeks, and the states that shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from rollcall.aws.client import CLIENT_CONFIG, aws_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KEPT = 42 * 86400  # seconds: "all activities for the past six weeks" (API reference, DescribeScalingActivities)
PAGE = 100  # that call's maximum
DESCRIPTION = re.compile(r"(?P<what>[A-Z][^:]*?): (?P<id>i-[0-9a-z]+)")
NOT_DONE = ("Failed", "Cancelled")  # of a launch: it was abandoned, or its instance never came up
TIMEOUT = "Heartbeat Timeout"  # in the reason of a launch whose hook got no answer (AWS re:Post, "lifecycle actions")
# What an activity is called, and the states that its instance is in when it begins and once it has succeeded. Amazon
# EC2 Auto Scaling user guide: "Verify a scaling activity"; in a warm pool: recordings of the API's answers.
STATES = {
    "Launching a new EC2 instance": ("Pending", "InService"),
    "Launching a new EC2 instance into warm pool": ("Warmed:Pending", "Warmed:Stopped"),
    "Launching a new EC2 instance from warm pool": ("Pending", "InService"),
    "Attaching an existing EC2 instance": ("Pending", "InService"),
    "Scaling in EC2 instance into warm pool": ("Warmed:Pending", "Warmed:Stopped"),
    "Moving EC2 instance to Standby": ("EnteringStandby", "Standby"),
    "Moving EC2 instance out of Standby": ("Pending", "InService"),
    "Detaching EC2 instance": ("Detaching", "Detached"),
    "Terminating EC2 instance": ("Terminating", "Terminated"),
    "Terminating EC2 instance from warm pool": ("Terminating", "Terminated"),
}
LAUNCHES = ("Launching a new EC2 instance", "Launching a new EC2 instance into warm pool")


@dataclass(frozen=True)
class Activity:
    """One activity about an instance. Times in epoch seconds, ended None while it goes on. reason: why it failed."""

    group: str
    instance_id: str
    what: str
    began: float
    ended: float | None
    status: str
    reason: str = ""

    @property
    def is_launch(self) -> bool:
        return self.what in LAUNCHES

    @property
    def timed_out(self) -> bool:
        """Whether it failed, for no answer came to a hook."""
        return self.status in NOT_DONE and TIMEOUT in self.reason

    def states(self) -> Iterator[tuple[float, str]]:
        """The lifecycle states that its instance entered by it; none for one that is not known here."""
        if self.what not in STATES:
            return
        first, last = STATES[self.what]
        yield self.began, first
        if self.ended is None:
            return
        if self.status not in NOT_DONE:
            yield self.ended, last
        elif self.is_launch:
            yield self.ended, "Terminating"


def read_activity(raw: Any) -> Activity | None:
    """An activity as AWS describes it; None for one that names no instance, as a launch that AWS refused."""
    named = DESCRIPTION.match(raw["Description"])
    if named is None:
        return None
    began, ended = raw["StartTime"].timestamp(), raw.get("EndTime")
    return Activity(
        group=raw["AutoScalingGroupName"],
        instance_id=named["id"],
        what=named["what"],
        began=began,
        ended=max(ended.timestamp(), began) if ended else None,  # AWS gives ends in whole seconds, and starts exactly
        status=raw["StatusCode"],
        reason=raw.get("StatusMessage") or raw["Description"],
    )


class Activities:
    """The activities of the groups of one account and Region. Methods raise RollcallError for what AWS refuses."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        with aws_errors("the activities of Auto Scaling"):
            self._autoscaling = boto3.client("autoscaling", config=CLIENT_CONFIG)

    def of_group(self, group: str, since: float) -> list[Activity]:
        """Those of a group that began since then (epoch seconds), the newest first; also of one that was deleted."""
        return list(self._read({"AutoScalingGroupName": group}, since, f"reading the activities of {group}"))

    def of_instance(self, instance_id: str, group: str, since: float) -> list[Activity]:
        """Those of an instance of a group back to its launch, or since then, the newest first."""
        found = []
        for each in self._read({"AutoScalingGroupName": group}, since, f"looking for {instance_id} in {group}"):
            if each.instance_id == instance_id:
                found.append(each)
                if each.is_launch:
                    break
        return found

    def group_of(self, instance_id: str, since: float) -> str | None:
        """The group of an instance that is not in it any more; None if no activity since then names it."""
        words = f"looking for {instance_id} in the activities of all groups"
        return next((each.group for each in self._read({}, since, words) if each.instance_id == instance_id), None)

    def _read(self, which: dict[str, str], since: float, words: str) -> Iterator[Activity]:
        pages = self._autoscaling.get_paginator("describe_scaling_activities").paginate(
            **which,
            IncludeDeletedGroups=True,
            Filters=[
                {
                    "Name": "StartTimeLowerBound",
                    "Values": [datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")],
                }
            ],
            PaginationConfig={"PageSize": PAGE},
        )
        count = 0
        self._progress(words)
        with aws_errors("DescribeScalingActivities"):
            for page in pages:
                count += len(page["Activities"])
                self._progress(f"{words}: {count:,}")
                yield from filter(None, map(read_activity, page["Activities"]))


def states_of(activities: Iterable[Activity]) -> list[tuple[float, str]]:
    """The states that an instance entered by these, in order."""
    oldest_first = sorted(activities, key=lambda each: each.began)
    return sorted((state for each in oldest_first for state in each.states()), key=lambda state: state[0])
