"""The calls of AWS that a cycle makes beside those of the fleet, through shared clients."""

from __future__ import annotations

from rollcall.aws.group_details import GroupReader
from rollcall.aws.instance_refreshes import InstanceRefreshes
from rollcall.aws.launch_templates import LaunchTemplates


class CycleAws(InstanceRefreshes, GroupReader, LaunchTemplates):
    """Instance refreshes, groups and launch templates of one account and Region."""
