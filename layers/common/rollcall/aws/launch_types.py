"""What an instance is launched with and where, beside its template: instance types, and security groups.

Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .client import aws_errors
from .regional_clients import RegionalClients

if TYPE_CHECKING:
    from collections.abc import Collection


class LaunchTypes(RegionalClients):
    """Instance types and security groups of one account and Region."""

    def architectures(self, instance_types: Collection[str]) -> dict[str, frozenset[str]]:
        """The architectures of instance types by their names; those that are none here are left out."""
        if not instance_types:
            return {}
        filters = [{"Name": "instance-type", "Values": sorted(instance_types)}]
        with aws_errors("DescribeInstanceTypes"):
            found = self._ec2.describe_instance_types(Filters=filters)["InstanceTypes"]  # type: ignore[arg-type]
        return {
            raw["InstanceType"]: frozenset(raw["ProcessorInfo"].get("SupportedArchitectures", ()))
            for raw in found
            if raw["InstanceType"] in instance_types
        }

    def security_groups(self, group_ids: Collection[str]) -> frozenset[str]:
        """Those of the security groups that are there."""
        if not group_ids:
            return frozenset()
        filters = [{"Name": "group-id", "Values": sorted(group_ids)}]
        with aws_errors("DescribeSecurityGroups"):
            found = self._ec2.describe_security_groups(Filters=filters)["SecurityGroups"]  # type: ignore[arg-type]
        return frozenset(raw["GroupId"] for raw in found)
