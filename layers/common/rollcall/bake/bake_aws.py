"""The calls of AWS that a bake makes beside those of the fleet, through shared clients."""

from __future__ import annotations

from rollcall.aws.builders import Builders
from rollcall.aws.group_details import GroupReader
from rollcall.aws.instance_refreshes import InstanceRefreshes
from rollcall.aws.launch_templates import LaunchTemplates
from rollcall.aws.template_users import TemplateUsers


class BakeAws(Builders, TemplateUsers, GroupReader, LaunchTemplates, InstanceRefreshes):
    """Instances of bakes, images, groups, their refreshes and launch templates of one account, and what uses these."""
