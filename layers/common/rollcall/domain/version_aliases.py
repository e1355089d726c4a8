"""What stands for a number of a launch template's version (Auto Scaling API reference, LaunchTemplateSpecification)."""

from __future__ import annotations

LATEST_VERSION = "$Latest"
DEFAULT_VERSION = "$Default"  # also of a specification without a version
