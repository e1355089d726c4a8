"""The tags of a group that say how it is baked where an input does not, and when a bake is due. Pure.

rollcall:bake holds words separated by blanks: never, every=SCHEDULE, and KEY=VALUE for some of what the input of a bake
may say (request.py knows those). The others hold one value each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.bake_tags import BAKE_TAG, BASE_TAG, GROUP_TAGS, INVENTORY_TAG, JOB_TEMPLATE_TAG, KEEP_TAG
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.workflow.options import NEVER, parse_words
from rollcall.workflow.schedule import DAILY, EVERY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.groups import Group
    from rollcall.workflow.schedule import Schedule

ALLOWED_WORDS = f"{NEVER}, {EVERY}={DAILY}-03:00, and KEY=VALUE as in smoke=provision"
KEY_OF_TAG = {  # of the input
    JOB_TEMPLATE_TAG: "job_template",
    INVENTORY_TAG: "inventory",
    BASE_TAG: "base_image",
    KEEP_TAG: "keep",
}


class BakeTag(NamedTuple):
    """What the tags say. never: no bake is allowed. every: one is due by this schedule, None for none.

    words: KEY=VALUE of rollcall:bake, unread. values: of the other tags, unread, by the tag.
    """

    never: bool = False
    every: Schedule | None = None
    words: Mapping[str, str] = EMPTY_MAPPING
    values: Mapping[str, str] = EMPTY_MAPPING


def parse_bake_tag(group: Group) -> BakeTag | None:
    """The tags of a group; None for a group with none of them. Raises BadSettings naming the group, the tag, the word.

    The values are read with a request: read_request and require_readable_tags in request.py.
    """
    if not any(tag in group.tags for tag in GROUP_TAGS):
        return None
    values = {tag: text for tag in KEY_OF_TAG if (text := group.tags.get(tag, "").strip())}
    if BAKE_TAG not in group.tags:
        return BakeTag(values=values)
    found = parse_words(group, BAKE_TAG, (NEVER,), ALLOWED_WORDS)
    return BakeTag(NEVER in found.flags, found.every, found.words, values)
