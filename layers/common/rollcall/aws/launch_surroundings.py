"""What else decides whether a group can launch instances now: its subnets, alarms, and how its last launches went.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from .auto_scaling import TERMINATING
from .client import aws_errors
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection

    from mypy_boto3_autoscaling.type_defs import ActivityTypeDef

ACTIVITIES_READ = 100  # of a group, the newest ones: one call
SUCCESSFUL, FAILED = "Successful", "Failed"
# One that failed before there was an instance names none (user guide, "Verify a scaling activity").
LAUNCH = re.compile(r"Launching a new EC2 instance(?! into)(?:[^:]*: (?P<id>i-[0-9a-z]+))?")


class Subnet(NamedTuple):
    """A subnet: its Availability Zone, and how many addresses are free in it."""

    zone: str
    free: int


class PastActivity(NamedTuple):
    """A launch or a termination of a group. Times in epoch seconds, ended None while it goes on.

    instance_id: empty for a launch that came to none. words: of AWS, why it failed.
    """

    is_launch: bool
    instance_id: str
    began: float
    ended: float | None
    status: str
    words: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took; None for one that goes on, or did not go well."""
        return None if self.ended is None or self.status != SUCCESSFUL else self.ended - self.began


class LaunchSurroundings(RegionalClients):
    """Subnets, alarms and scaling activities of one account and Region."""

    def subnets(self, subnet_ids: Collection[str]) -> dict[str, Subnet]:
        """Subnets by id; those EC2 does not know are left out (a list of ids would fail on them)."""
        if not subnet_ids:
            return {}
        with aws_errors("DescribeSubnets"):
            found = self._ec2.describe_subnets(Filters=[{"Name": "subnet-id", "Values": sorted(subnet_ids)}])["Subnets"]
        return {raw["SubnetId"]: Subnet(raw["AvailabilityZone"], raw["AvailableIpAddressCount"]) for raw in found}

    def alarm_states(self, names: Collection[str]) -> dict[str, str]:
        """The states of CloudWatch alarms by name (OK, ALARM, INSUFFICIENT_DATA); one that is not there is left out."""
        if not names:
            return {}
        with aws_errors("DescribeAlarms"):
            answer = self._cloudwatch.describe_alarms(
                AlarmNames=sorted(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
            )
        alarms = (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ()))
        return {raw["AlarmName"]: raw["StateValue"] for raw in alarms}

    def past_activities(self, group: str) -> list[PastActivity]:
        """A group's latest launches, those out of its warm pool included, and terminations; the newest first."""
        with aws_errors(f"DescribeScalingActivities of group {group}"):
            try:
                answer = self._autoscaling.describe_scaling_activities(
                    AutoScalingGroupName=group, MaxRecords=ACTIVITIES_READ
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "ValidationError":  # the group was deleted a moment ago
                    return []
                raise
        found = (_activity(raw) for raw in answer["Activities"])
        return sorted(filter(None, found), key=lambda each: each.began, reverse=True)


def _activity(raw: ActivityTypeDef) -> PastActivity | None:
    launch = LAUNCH.match(raw["Description"])
    named = launch or TERMINATING.match(raw["Description"])
    if named is None:
        return None
    ended = raw.get("EndTime")
    return PastActivity(
        launch is not None,
        named["id"] or "",
        raw["StartTime"].timestamp(),
        ended.timestamp() if ended else None,
        raw["StatusCode"],
        raw.get("StatusMessage", ""),
    )
