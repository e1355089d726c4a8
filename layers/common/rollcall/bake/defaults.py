"""What the tags of a group ask of a bake, as far as doctor needs it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.doctor.observations import BakeDefaults

from .request import read_request, require_readable_tags

if TYPE_CHECKING:
    from rollcall.domain.groups import Group


def bake_defaults(group: Group) -> BakeDefaults | None:
    """What doctor needs of the tags of a group; None without any. Raises BadSettings."""
    tag = require_readable_tags(group)
    if tag is None:
        return None
    request = read_request({"group": group.name}, tag)
    return BakeDefaults(tag.never, request.job_template, request.inventory, request.roll_out)
