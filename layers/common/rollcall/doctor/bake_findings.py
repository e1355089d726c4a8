"""What would make a bake of a group fail, or keep it from beginning: its tags, and what its stack may do. Pure.

Doctor finds it for groups with a tag of bakes in a stack that bakes. What only Tower, or a dry run of a launch, could
show is left to pre-flight (bake/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.bake_tags import BAKE_TAG, INVENTORY_TAG, JOB_TEMPLATE_TAG, TAG_EXAMPLE
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.findings import Finding, warns, without_group
from rollcall.domain.settings import OPT_IN_TAG
from rollcall.domain.shell_commands import set_tag_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollcall.domain.settings import Settings

    from .observations import BakeDefaults, Observations, ObservedGroup


def bake_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with groups that are to be baked."""
    if not here.bakes or isinstance(observed.groups, RollcallError):
        return
    for name, defaults in observed.bakes.items():
        group = observed.groups[name]
        if isinstance(defaults, BadSettings):
            yield _unreadable(group, defaults)
        elif defaults is not None and not isinstance(defaults, RollcallError) and not defaults.forbidden:
            yield from _of_group(group, defaults, observed.groups)
            if defaults.rolls_out:
                yield from _rolled_out(group, here)


def _unreadable(group: ObservedGroup, error: BadSettings) -> Finding:
    return warns(
        f"group {group.name}",
        "tags of bakes",
        f"no bake of it begins: {without_group(group.name, str(error))}",
        f"correct each; {BAKE_TAG} is written like {TAG_EXAMPLE!r}",
    )


def _of_group(group: ObservedGroup, defaults: BakeDefaults, groups: Mapping[str, ObservedGroup]) -> Iterator[Finding]:
    where = f"group {group.name}"
    if not defaults.job_template:
        yield warns(
            where,
            "no bake job template",
            f"no bake of it begins: it has not the tag {JOB_TEMPLATE_TAG}, whose job provisions the builder",
            f"name one: {set_tag_command(group.name, JOB_TEMPLATE_TAG, 'TEMPLATE')}",
        )
    if not defaults.inventory:
        yield warns(
            where,
            "no bake inventory",
            f"no bake of it begins: it has not the tag {INVENTORY_TAG}, which says where builders are hosts",
            f"make one that no group has, and name it: {set_tag_command(group.name, INVENTORY_TAG, 'INVENTORY')}",
        )
    elif owner := _owner(defaults.inventory, groups):
        yield warns(
            where,
            "bake inventory of a group",
            f"no bake of it begins: inventory {defaults.inventory!r} is that of group {owner} as well, whose jobs "
            "would reach builders",
            f"make one for builders alone, and name it: {set_tag_command(group.name, INVENTORY_TAG, 'INVENTORY')}",
        )
    if group.details is not None and not group.details.configuration:
        yield warns(
            where,
            "no launch template",
            "no bake of it begins: it has a launch configuration, which has no versions for an image",
            "give it a launch template",
        )


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
