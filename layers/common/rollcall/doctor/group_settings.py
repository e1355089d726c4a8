"""The groups that ask for something: what their tags say, as far as they can be read."""

from __future__ import annotations

from collections import defaultdict
from copy import replace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import BadSettings
from rollcall.domain.findings import Finding, breaks, without_group
from rollcall.domain.shell_commands import set_tag_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollcall.domain.groups import GroupSettings

    from .observations import SeenGroup


@dataclass(frozen=True)
class Asking:
    """A group that opted in, and what its tags ask for as far as they can be read."""

    group: SeenGroup
    settings: GroupSettings


def read_tags(groups: Iterable[SeenGroup]) -> tuple[list[Asking], list[Finding]]:
    """The groups that opted in, and the tags of theirs that cannot be read, each of them."""
    asking: list[Asking] = []
    findings: list[Finding] = []
    for group in groups:
        left = group.group
        while True:
            try:
                settings = read_group_settings(left)
            except BadSettings as error:
                findings.append(_unreadable(group, error))
                if error.tag not in left.tags:
                    break  # nothing to read the others without
                left = replace(left, tags={key: text for key, text in left.tags.items() if key != error.tag})
                continue
            if settings:
                asking.append(Asking(group, settings))
            break
    return asking, findings


def _unreadable(group: SeenGroup, error: BadSettings) -> Finding:
    return breaks(
        f"group {group.name}",
        f"tag {error.tag}" if error.tag else "tags",
        without_group(group.name, str(error)),
        f"set it to one of the allowed values, as VALUE: {set_tag_command(group.name, error.tag, 'VALUE')}"
        if error.tag
        else "correct the tag that the reason names",
    )


def references(asking: Iterable[Asking]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The inventories and the job templates that tags name, each with the groups that name it."""
    inventories: defaultdict[str, set[str]] = defaultdict(set)
    templates: defaultdict[str, set[str]] = defaultdict(set)
    for each in asking:
        inventories[each.settings.inventory].add(each.group.name)
        for template in filter(None, (each.settings.job_template, each.settings.retire_job_template)):
            templates[template].add(each.group.name)
    return inventories, templates
