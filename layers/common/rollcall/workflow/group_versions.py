"""Which launch template a group has, and which version of it, as it is written there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.group_details import GroupDetails

DEFAULT_VERSION = "$Default"  # of a template without one (API reference, LaunchTemplateSpecification)


def base_template(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """The launch template and version in a configuration, of a mixed policy the base one; empty without any."""
    policy = configuration.get("MixedInstancesPolicy")
    found = policy["LaunchTemplate"]["LaunchTemplateSpecification"] if policy else configuration.get("LaunchTemplate")
    return found or {}


def own_version(details: GroupDetails) -> str:
    """The version that a group has as it is written there: a number or an alias; empty without a launch template."""
    template = base_template(details.configuration)
    return str(template.get("Version") or DEFAULT_VERSION) if template else ""
