"""The tags of a group as pre-flight takes them: what cannot be read is an objection, and no error yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.checks.registry import read_group_settings
from rollcall.domain.errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.domain.groups import Group, GroupSettings


def read_or_error[T](read: Callable[[Group], T], group: Group) -> T | BadSettings:
    """What read makes of the group's tags, or the error of those that cannot be read."""
    try:
        return read(group)
    except BadSettings as error:
        return error


def readable_settings(group: Group) -> GroupSettings | None:
    """What the group's tags for registration ask for; None where they cannot be read, which doctor finds."""
    settings = read_or_error(read_group_settings, group)
    return None if isinstance(settings, BadSettings) else settings
