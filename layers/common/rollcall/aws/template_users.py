"""What launches instances from a launch template by itself: Auto Scaling groups, EC2 fleets and Spot fleets.

A user on $Latest launches a version from the moment it is made, one on $Default from when the template's default moves.
What calls RunInstances with the template is not to be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.domain.version_aliases import DEFAULT_VERSION

from .client import aws_errors
from .image_uses import GROUPS_PER_PAGE, ImageUses, configuration_use, is_of_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .image_uses import Use


class TemplateUser(NamedTuple):
    """by: what it is, in words. version: as it is written there, a number, $Latest or $Default."""

    by: str
    version: str


class TemplateUsers(ImageUses):
    """Reads what launches from a launch template in one account and Region."""

    def template_users(self, template: Mapping[str, Any], group: str) -> list[TemplateUser]:
        """What launches from a template but for this group, each version of it that it has.

        template: its LaunchTemplateId and LaunchTemplateName. Raises what AWS fails at.
        """
        uses = (*self._other_groups(group), *self._fleets(), *self._spot_fleets())
        found = (
            TemplateUser(use.by, str(each.get("Version") or DEFAULT_VERSION))
            for use in uses
            for each in use.templates
            if is_of_template(each, template)
        )
        return list(dict.fromkeys(found))

    def _other_groups(self, group: str) -> Iterator[Use]:
        pages = self._autoscaling.get_paginator("describe_auto_scaling_groups")
        with aws_errors("DescribeAutoScalingGroups"):
            for page in pages.paginate(PaginationConfig={"PageSize": GROUPS_PER_PAGE}):
                for raw in page["AutoScalingGroups"]:
                    if raw["AutoScalingGroupName"] != group:
                        yield configuration_use(f"the group {raw['AutoScalingGroupName']}", raw)
