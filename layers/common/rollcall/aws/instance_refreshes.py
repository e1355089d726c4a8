"""Instance refreshes of Auto Scaling groups, and the two things that a cycle changes about a group beside them.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest. Statuses, fields and
errors are those of the Auto Scaling API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rollcall.domain.empty_mapping import EMPTY_MAPPING

from .client import aws_errors
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIVE = frozenset({"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"})
ENDING = frozenset({"Cancelling", "RollbackInProgress"})  # of them, those that end by themselves
SHOWN_MAX = 100  # refreshes of a group that one call shows: the newest ones
IN_PROGRESS = "InstanceRefreshInProgress"
NONE_ACTIVE = "ActiveInstanceRefreshNotFound"
IRREVERSIBLE = "IrreversibleInstanceRefresh"


@dataclass(frozen=True)
class Refresh:
    """An instance refresh.

    reason: of its status, free text of AWS. began, ended: epoch seconds, None while it did not. percent: of instances
    replaced, which goes back in a rollback; to_update: those left. desired_configuration, preferences: as AWS shows
    them, the first None if it has none. live_percent, warm_percent: of the group itself and of its warm pool, None
    without one. rollback_reason: why it is or was rolled back.
    """

    id: str
    status: str
    reason: str = ""
    began: float | None = None
    ended: float | None = None
    percent: int = 0
    to_update: int | None = None
    desired_configuration: Mapping[str, Any] | None = None
    preferences: Mapping[str, Any] = EMPTY_MAPPING
    live_percent: int | None = None
    warm_percent: int | None = None
    rollback_reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it goes on: AWS starts no other one of its group."""
        return self.status in ACTIVE


class Ending(StrEnum):
    """What became of a request to end a refresh by cancelling it, or by rolling it back."""

    BEGUN = "begun"
    NONE_ACTIVE = "no refresh is active"
    IRREVERSIBLE = "this refresh cannot be rolled back"


class InstanceRefreshes(RegionalClients):
    """The instance refreshes of one account and Region."""

    def describe(self, group: str, most: int = SHOWN_MAX) -> list[Refresh]:
        """A group's refreshes of the last six weeks, the newest first; none of a group that does not exist."""
        with aws_errors(f"DescribeInstanceRefreshes of group {group}"):
            try:
                answer = self._autoscaling.describe_instance_refreshes(AutoScalingGroupName=group, MaxRecords=most)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ValidationError":  # the group was deleted a moment ago
                    return []
                raise
        return [refresh_of(raw) for raw in answer["InstanceRefreshes"]]

    def active(self, group: str) -> Refresh | None:
        """The one refresh of a group that goes on; None without."""
        return next((each for each in self.describe(group) if each.active), None)

    def find(self, group: str, refresh_id: str) -> Refresh | None:
        """One refresh of a group by its id; None if AWS does not show it, or not any more."""
        with aws_errors(f"DescribeInstanceRefreshes {refresh_id} of group {group}"):
            try:
                answer = self._autoscaling.describe_instance_refreshes(
                    AutoScalingGroupName=group, InstanceRefreshIds=[refresh_id]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "ValidationError":
                    return None
                raise
        return next(map(refresh_of, answer["InstanceRefreshes"]), None)

    def start(self, parameters: Mapping[str, Any]) -> str | None:
        """Start a refresh with the parameters of StartInstanceRefresh; its id. None if one is active already.

        There is no client token: a call whose answer was lost may have started one.
        """
        with aws_errors(f"StartInstanceRefresh of group {parameters['AutoScalingGroupName']}"):
            try:
                return self._autoscaling.start_instance_refresh(**parameters)["InstanceRefreshId"]
            except ClientError as error:
                if error.response["Error"]["Code"] != IN_PROGRESS:
                    raise
        return None

    def cancel(self, group: str) -> Ending:
        """Cancel the active refresh: what was replaced stays replaced, and what is under way goes on by itself.

        AWS would else wait for instances that are launching (API reference, WaitForTransitioningInstances), and so for
        one that a hook holds, as long as it is held.
        """
        with aws_errors(f"CancelInstanceRefresh of group {group}"):
            try:
                self._autoscaling.cancel_instance_refresh(
                    AutoScalingGroupName=group, WaitForTransitioningInstances=False
                )
            except ClientError as error:
                return _ending(error)
        return Ending.BEGUN

    def rollback(self, group: str) -> Ending:
        """Roll the active refresh back: what was replaced is replaced again, with the configuration from before."""
        with aws_errors(f"RollbackInstanceRefresh of group {group}"):
            try:
                self._autoscaling.rollback_instance_refresh(AutoScalingGroupName=group)
            except ClientError as error:
                return _ending(error)
        return Ending.BEGUN

    def set_launch_template(self, group: str, configuration: Mapping[str, Any]) -> None:
        """Give a group another version of its launch template, without replacing anything.

        configuration: LaunchTemplate or MixedInstancesPolicy under that key, as in a desired configuration.
        """
        with aws_errors(f"UpdateAutoScalingGroup {group}"):
            self._autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, **configuration)

    def set_tag(self, group: str, key: str, value: str) -> None:
        """Give a group a tag that its instances do not get, or change it."""
        with aws_errors(f"CreateOrUpdateTags {key} of group {group}"):
            self._autoscaling.create_or_update_tags(
                Tags=[
                    {
                        "ResourceId": group,
                        "ResourceType": "auto-scaling-group",
                        "Key": key,
                        "Value": value,
                        "PropagateAtLaunch": False,
                    }
                ]
            )

    def remove_tag(self, group: str, key: str) -> None:
        """Take a tag from a group; one that it has not is left so."""
        with aws_errors(f"DeleteTags {key} of group {group}"):
            self._autoscaling.delete_tags(
                Tags=[{"ResourceId": group, "ResourceType": "auto-scaling-group", "Key": key}]
            )


def _ending(error: ClientError) -> Ending:
    code = error.response["Error"]["Code"]
    if code == NONE_ACTIVE:
        return Ending.NONE_ACTIVE
    if code == IRREVERSIBLE:
        return Ending.IRREVERSIBLE
    raise error


def refresh_of(raw: Any) -> Refresh:
    """A refresh as DescribeInstanceRefreshes answers it."""
    progress = raw.get("ProgressDetails") or {}
    return Refresh(
        id=raw["InstanceRefreshId"],
        status=raw["Status"],
        reason=raw.get("StatusReason", ""),
        began=_moment(raw.get("StartTime")),
        ended=_moment(raw.get("EndTime")),
        percent=raw.get("PercentageComplete", 0),
        to_update=raw.get("InstancesToUpdate"),
        desired_configuration=raw.get("DesiredConfiguration") or None,
        preferences=raw.get("Preferences") or {},
        live_percent=(progress.get("LivePoolProgress") or {}).get("PercentageComplete"),
        warm_percent=(progress.get("WarmPoolProgress") or {}).get("PercentageComplete"),
        rollback_reason=(raw.get("RollbackDetails") or {}).get("RollbackReason", ""),
    )


def _moment(time: Any) -> float | None:
    return time.timestamp() if time else None
