"""One Auto Scaling group in full: what its instances run, and what it would launch.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from rollcall.domain.groups import Group, base_template

from .auto_scaling import other_traffic_of, target_groups_of
from .client import aws_errors
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Iterable


class MemberDetails(NamedTuple):
    """An instance of a group or of its warm pool. template_id, version: of its launch template, empty without one."""

    instance_id: str
    state: str
    template_id: str = ""
    version: str = ""
    protected: bool = False
    weight: int = 0


class GroupDetails(NamedTuple):
    """A group as DescribeAutoScalingGroups shows it, with its warm pool.

    configuration: its LaunchTemplate or MixedInstancesPolicy, under that key; empty for a launch configuration.
    suspended: names of processes. default_warmup: seconds, None where the group has none. grace_period: of health
    checks, in seconds. service_role: the ARN of the role that Auto Scaling launches with.
    """

    group: Group
    minimum: int
    maximum: int
    desired: int
    configuration: Mapping[str, Any]
    members: tuple[MemberDetails, ...]
    pool: tuple[MemberDetails, ...]
    subnets: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    health_check_type: str = ""
    grace_period: int = 0
    suspended: frozenset[str] = frozenset()
    default_warmup: int | None = None
    service_role: str = ""

    @property
    def launch_template(self) -> Mapping[str, Any]:
        """Its launch template and version, of a mixed policy the base one; empty without any."""
        return base_template(self.configuration)

    @property
    def overrides(self) -> tuple[Mapping[str, Any], ...]:
        """Those of its mixed instances policy; none without one."""
        policy = self.configuration.get("MixedInstancesPolicy") or {}
        return tuple((policy.get("LaunchTemplate") or {}).get("Overrides") or ())

    @property
    def is_attribute_based(self) -> bool:
        """Whether AWS chooses its instance types by attributes."""
        return any("InstanceRequirements" in each for each in self.overrides)

    @property
    def largest_weight(self) -> int:
        """The most units of its desired capacity that one instance counts for; 1 where none has a weight."""
        weights = [int(each.get("WeightedCapacity") or 1) for each in self.overrides]
        return max([1, *weights, *(each.weight for each in self.members)])

    @property
    def warmup(self) -> int:
        """The seconds after which an instance refresh goes on once a new instance is in service.

        The default warm-up, else the grace period of health checks (API reference, InstanceWarmup).
        """
        return self.grace_period if self.default_warmup is None else self.default_warmup


class GroupReader(RegionalClients):
    """The groups of one account and Region, one at a time, read afresh."""

    def details(self, name: str) -> GroupDetails | None:
        """A group with its instances and those of its warm pool; None if there is none of this name."""
        with aws_errors(f"DescribeAutoScalingGroups of {name}"):
            found = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
            if not found:
                return None
            pool = self._pool(name) if "WarmPoolConfiguration" in found[0] else []
        return details_of(found[0], pool)

    def _pool(self, name: str) -> list[Any]:
        pages = self._autoscaling.get_paginator("describe_warm_pool")
        try:
            return [each for page in pages.paginate(AutoScalingGroupName=name) for each in page["Instances"]]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":  # it was deleted a moment ago
                return []
            raise


def details_of(raw: Any, pool: Iterable[Any] = ()) -> GroupDetails:
    """A group as DescribeAutoScalingGroups answers it, with the instances of its warm pool."""
    kinds = ("LaunchTemplate", "MixedInstancesPolicy")
    return GroupDetails(
        group=Group(
            raw["AutoScalingGroupName"],
            {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", [])},
            {},
            target_groups_of(raw),
            other_traffic_of(raw),
        ),
        minimum=raw["MinSize"],
        maximum=raw["MaxSize"],
        desired=raw["DesiredCapacity"],
        configuration={kind: raw[kind] for kind in kinds if raw.get(kind)},
        members=tuple(map(_member, raw.get("Instances", ()))),
        pool=tuple(map(_member, pool)),
        subnets=tuple(filter(None, (each.strip() for each in raw.get("VPCZoneIdentifier", "").split(",")))),
        zones=tuple(raw.get("AvailabilityZones", ())),
        health_check_type=raw.get("HealthCheckType", ""),
        grace_period=raw.get("HealthCheckGracePeriod", 0),
        suspended=frozenset(each["ProcessName"] for each in raw.get("SuspendedProcesses", ())),
        default_warmup=raw.get("DefaultInstanceWarmup"),
        service_role=raw.get("ServiceLinkedRoleARN", ""),
    )


def _member(raw: Any) -> MemberDetails:
    template = raw.get("LaunchTemplate") or {}
    return MemberDetails(
        instance_id=raw["InstanceId"],
        state=raw["LifecycleState"],
        template_id=template.get("LaunchTemplateId", ""),
        version=template.get("Version", ""),
        protected=raw.get("ProtectedFromScaleIn", False),
        weight=int(raw.get("WeightedCapacity") or 0),
    )
