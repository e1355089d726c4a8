"""Tags of groups that opted in and that cannot be read. Pure."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import BadSettings
from rollcall.domain.findings import Finding, breaks, without_group
from rollcall.domain.shell_commands import set_tag_command

from .observations import OptedInGroup, UnreadableTag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedGroup


def opted_in_and_unreadable(
    groups: Iterable[ObservedGroup],
) -> tuple[tuple[OptedInGroup, ...], tuple[UnreadableTag, ...]]:
    """The groups that opted in, and each of their tags that cannot be read; the others of a group are read without."""
    opted_in: list[OptedInGroup] = []
    unreadable: list[UnreadableTag] = []
    for group in groups:
        left = group.group
        while True:
            try:
                settings = read_group_settings(left)
            except BadSettings as error:
                unreadable.append(UnreadableTag(group.name, error))
                if error.tag not in left.tags:
                    break  # nothing to read the others without
                left = replace(left, tags={key: text for key, text in left.tags.items() if key != error.tag})
                continue
            if settings:
                opted_in.append(OptedInGroup(group, settings))
            break
    return tuple(opted_in), tuple(unreadable)


def tag_findings(observed: Observations, _: Settings) -> Iterator[Finding]:
    """A finding for each."""
    for group, error in ((each.group, each.error) for each in observed.unreadable_tags):
        yield breaks(
            f"group {group}",
            f"tag {error.tag}" if error.tag else "tags",
            without_group(group, str(error)),
            f"set it to one of the allowed values, as VALUE: {set_tag_command(group, error.tag, 'VALUE')}"
            if error.tag
            else "correct the tag that the reason names",
        )
