"""The tag rollcall:cycle of a group: its own defaults for a cycle, and when one is due. Pure.

Words separated by blanks: never, on-new-version, every=SCHEDULE, and KEY=VALUE for what the input of a cycle may say
(request.py knows those).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall.domain.settings import CYCLE_TAG
from rollcall.workflow.options import NEVER, parse_words
from rollcall.workflow.schedule import DAILY, EVERY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.groups import Group
    from rollcall.workflow.schedule import Schedule

ON_NEW_VERSION = "on-new-version"
ALLOWED_WORDS = f"{NEVER}, {ON_NEW_VERSION}, {EVERY}={DAILY}-03:00, and KEY=VALUE as in batch=25percent"


class CycleTag(NamedTuple):
    """What the tag says. never: no cycle is allowed. words: KEY=VALUE, unread.

    on_new_version: a cycle is due for each new version of the launch template; every: by this schedule, None for none.
    """

    never: bool = False
    words: Mapping[str, str] = EMPTY_MAPPING
    on_new_version: bool = False
    every: Schedule | None = None


def parse_cycle_tag(group: Group) -> CycleTag | None:
    """The tag of a group; None for a group without. Raises BadSettings naming the group, the tag, the word.

    The values of its words are read with a request: read_request and require_readable_tag in request.py.
    """
    if CYCLE_TAG not in group.tags:
        return None
    found = parse_words(group, CYCLE_TAG, (NEVER, ON_NEW_VERSION), ALLOWED_WORDS)
    return CycleTag(NEVER in found.flags, found.words, ON_NEW_VERSION in found.flags, found.every)
