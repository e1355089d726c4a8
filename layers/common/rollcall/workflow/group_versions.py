"""Which launch template a group has, and which version of it, as it is written there; and with another one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall.domain.groups import base_template
from rollcall.domain.version_aliases import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.aws.group_details import GroupDetails


def own_version(details: GroupDetails) -> str:
    """The version that a group has as it is written there: a number or an alias; empty without a launch template."""
    template = base_template(details.configuration)
    return str(template.get("Version") or DEFAULT_VERSION) if template else ""


def configuration_with(own: Mapping[str, Any], version: str) -> dict[str, Any]:
    """A group's own launch template or mixed instances policy with another version, as requests take it.

    own: what DescribeAutoScalingGroups shows as LaunchTemplate or MixedInstancesPolicy, under that key. Of a mixed
    policy only the version of the base template changes: overrides keep what they have. A template is named by its id
    alone, for requests take either id or name, and answers hold both (API reference, LaunchTemplateSpecification).
    """
    if "MixedInstancesPolicy" not in own:
        return {"LaunchTemplate": _named_once(own["LaunchTemplate"]) | {"Version": version}}
    policy = own["MixedInstancesPolicy"]
    template = policy["LaunchTemplate"]
    base = _named_once(template["LaunchTemplateSpecification"]) | {"Version": version}
    changed: dict[str, Any] = {"LaunchTemplateSpecification": base}
    if "Overrides" in template:
        changed["Overrides"] = [_override(each) for each in template["Overrides"]]
    return {"MixedInstancesPolicy": {**policy, "LaunchTemplate": changed}}


def _override(raw: Mapping[str, Any]) -> dict[str, Any]:
    own = raw.get("LaunchTemplateSpecification")
    return {**raw, "LaunchTemplateSpecification": _named_once(own)} if own else dict(raw)


def _named_once(template: Mapping[str, Any]) -> dict[str, Any]:
    if template.get("LaunchTemplateId"):
        return {key: value for key, value in template.items() if key != "LaunchTemplateName"}
    return dict(template)
