"""Auto Scaling groups with certain tags: what they launch, and what their instances run.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.groups import Group

from .auto_scaling import other_traffic_of, target_groups_of
from .client import aws_errors
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection

GROUPS_PER_PAGE = 100  # DescribeAutoScalingGroups' maximum


class RunningGroup(NamedTuple):
    """A group and what its instances run.

    created: epoch seconds. configuration: its LaunchTemplate or MixedInstancesPolicy, under that key. running: of each
    instance that has one, the id and the version's number of its launch template.
    """

    group: Group
    created: float
    configuration: Mapping[str, Any]
    running: frozenset[tuple[str, str]]


class TaggedGroups(RegionalClients):
    """The groups with certain tags of one account and Region, read afresh."""

    def tagged(self, keys: Collection[str]) -> list[RunningGroup]:
        """Every group with one of these tags, whatever its value."""
        with aws_errors("DescribeAutoScalingGroups"):
            pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
            return [
                _running(raw)
                for page in pages.paginate(
                    Filters=[{"Name": "tag-key", "Values": list(keys)}], PaginationConfig={"PageSize": GROUPS_PER_PAGE}
                )
                for raw in page["AutoScalingGroups"]
            ]


def _running(raw: Any) -> RunningGroup:
    kinds = ("LaunchTemplate", "MixedInstancesPolicy")
    templates = [each["LaunchTemplate"] for each in raw.get("Instances", ()) if each.get("LaunchTemplate")]
    return RunningGroup(
        group=Group(
            raw["AutoScalingGroupName"],
            {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
            {},
            target_groups_of(raw),
            other_traffic_of(raw),
        ),
        created=raw["CreatedTime"].timestamp(),
        configuration={kind: raw[kind] for kind in kinds if raw.get(kind)},
        running=frozenset((each.get("LaunchTemplateId", ""), each.get("Version", "")) for each in templates),
    )
