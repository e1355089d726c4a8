"""The calls of AWS that a bake makes beside those of the fleet, through shared clients."""

from __future__ import annotations

from rollcall.aws.builders import Builders
from rollcall.aws.group_details import GroupReader
from rollcall.aws.image_uses import ImageUses
from rollcall.aws.launch_templates import LaunchTemplates


class BakeAws(Builders, ImageUses, GroupReader, LaunchTemplates):
    """Instances of bakes, images and what uses them, groups and launch templates of one account and Region."""
