"""What would make a bake of a group fail, or keep it from beginning: its tags, and what its stack may do. Pure.

Doctor finds it for groups with a tag of bakes in a stack that bakes; pre-flight objects to it (bake/). What Tower says
is in builder_findings; what only a dry run of a launch could show is left to pre-flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.bake_tags import (
    BAKE_TAG,
    INVENTORY_TAG,
    JOB_TEMPLATE_TAG,
    TAG_EXAMPLE,
    TEMPLATE_ALLOWED,
    TEMPLATE_TAG,
)
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.findings import Finding, Severity, warns, without_group
from rollcall.domain.objections import Objection
from rollcall.domain.settings import OPT_IN_TAG
from rollcall.domain.shell_commands import command, set_tag_command
from rollcall.domain.version_aliases import LATEST_VERSION

from .arn_patterns import arn_like
from .unread_findings import unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.domain.settings import Settings

    from .observations import BakeDefaults, Observations, ObservedGroup


# What pre-flight objects to, too


def no_launch_template() -> Objection:
    """The group has a launch configuration."""
    return Objection(
        "no launch template",
        "it has a launch configuration, which has no versions for an image",
        "give it a launch template",
    )


def no_job_template(group: str) -> Objection:
    """Neither a tag of the group nor an input names one."""
    return Objection(
        "no bake job template",
        "no job template is named, whose job provisions the builder",
        f"name one: {set_tag_command(group, JOB_TEMPLATE_TAG, 'TEMPLATE')}",
    )


def no_inventory(group: str) -> Objection:
    """Neither a tag of the group nor an input names one."""
    return Objection(
        "no bake inventory",
        "no inventory is named for builders",
        f"make one that no group has, and name it: {set_tag_command(group, INVENTORY_TAG, 'INVENTORY')}",
    )


def template_not_allowed(template_id: str, shown: str) -> Objection:
    """Bakes may not give a launch template versions. shown: its name, or its id."""
    allow = command(
        *("aws", "ec2", "create-tags", "--resources", template_id),
        *("--tags", f"Key={TEMPLATE_TAG},Value={TEMPLATE_ALLOWED}"),
    )
    return Objection(
        "template not allowed",
        f"bakes may add no version to launch template {shown}",
        f"allow it: {allow}; or deploy with its ARN among BakeTemplateArns",
    )


# Findings


def bake_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with groups that are to be baked."""
    if not here.bakes or isinstance(observed.groups, RollcallError):
        return
    yield from unread("launch templates", observed.template_tags, Severity.WARNING)
    for name, defaults in observed.bakes.items():
        group = observed.groups[name]
        if isinstance(defaults, BadSettings):
            yield _unreadable(group, defaults)
        elif defaults is not None and not isinstance(defaults, RollcallError) and not defaults.forbidden:
            yield from _of_group(group, defaults, observed.groups)
            yield from _launch_template(group, observed, here)
            if defaults.rolls_out:
                yield from _rolled_out(group, here)


def keeps_from_baking(group: ObservedGroup, objection: Objection) -> Finding:
    """The finding about a group that pre-flight of its bake would object to."""
    reason = f"no bake of it begins: {objection.reason}"
    return warns(f"group {group.name}", objection.what, reason, objection.remedy)


def _unreadable(group: ObservedGroup, error: BadSettings) -> Finding:
    return warns(
        f"group {group.name}",
        "tags of bakes",
        f"no bake of it begins: {without_group(group.name, str(error))}",
        f"correct each; {BAKE_TAG} is written like {TAG_EXAMPLE!r}",
    )


def _of_group(group: ObservedGroup, defaults: BakeDefaults, groups: Mapping[str, ObservedGroup]) -> Iterator[Finding]:
    if not defaults.job_template:
        yield keeps_from_baking(group, no_job_template(group.name))
    if not defaults.inventory:
        yield keeps_from_baking(group, no_inventory(group.name))
    elif owner := _owner(defaults.inventory, groups):
        yield warns(
            f"group {group.name}",
            "bake inventory of a group",
            f"no bake of it begins: inventory {defaults.inventory!r} is that of group {owner} as well, whose jobs "
            "would reach builders",
            f"make one for builders alone, and name it: {set_tag_command(group.name, INVENTORY_TAG, 'INVENTORY')}",
        )
    if group.details is not None and not group.details.configuration:
        yield keeps_from_baking(group, no_launch_template())


def _launch_template(group: ObservedGroup, observed: Observations, here: Settings) -> Iterator[Finding]:
    """Whether bakes may give its launch template versions, and what launches these."""
    template = group.details.launch_template if group.details else {}
    if template.get("Version") == LATEST_VERSION:
        yield warns(
            f"group {group.name}",
            "baked on $Latest",
            "no bake of it begins: it launches the newest version of its launch template, and so would launch a bake's "
            "image before it is rolled out, or when that failed",
            "set the group's version to a number",
        )
    template_id = template.get("LaunchTemplateId", "")
    tags = observed.template_tags.get(template_id)
    if tags is None or isinstance(tags, RollcallError) or tags.get(TEMPLATE_TAG) == TEMPLATE_ALLOWED:
        return
    if any(_names(each, template_id, here) for each in observed.bake_template_arns):
        return
    yield keeps_from_baking(group, template_not_allowed(template_id, template_id))


def _names(pattern: str, template_id: str, here: Settings) -> bool:
    """Whether one of BakeTemplateArns names a launch template of this account and Region, in whatever partition."""
    partition = pattern.split(":")[1] if ":" in pattern else ""
    return arn_like(pattern, f"arn:{partition}:ec2:{here.region}:{here.account}:launch-template/{template_id}")


def _owner(inventory: str, groups: Mapping[str, ObservedGroup]) -> str:
    """The first group that is registered in an inventory, by the tags alone; empty without one."""
    return next((name for name, each in groups.items() if each.group.tags.get(OPT_IN_TAG, "").strip() == inventory), "")


def _rolled_out(group: ObservedGroup, here: Settings) -> Iterator[Finding]:
    if not here.cycles:
        yield warns(
            f"group {group.name}",
            "bakes without cycles",
            "no bake of it begins: its images are to be rolled out by cycles, and this stack has none",
            f"deploy the stack with Cycles=true, or write roll-out=false into the tag {BAKE_TAG}",
        )
    elif OPT_IN_TAG not in group.group.tags:
        yield warns(
            f"group {group.name}",
            "bake without the tag",
            f"no bake of it begins: it has not the tag {OPT_IN_TAG}, so that no cycle rolls its image out",
            f"let it opt in, or write roll-out=false into the tag {BAKE_TAG}",
        )
