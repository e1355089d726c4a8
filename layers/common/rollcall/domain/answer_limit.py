"""How much a function may answer: what is too large, or cannot be encoded, is an error in place of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .json_text import readable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSWER_BYTES = 5_500_000  # for the lists in it, of the 6 MB that Lambda takes ("Lambda quotas", invocation payload)


def fitting(lists: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """As many entries of each list as there is room for, readable by everybody: of each at least its even share.

    What a short list does not need is left to those that follow.
    """
    room = ANSWER_BYTES
    kept: dict[str, list[Any]] = {}
    for behind, (name, entries) in zip(range(len(lists) - 1, -1, -1), lists.items(), strict=True):
        share, kept[name] = room // (behind + 1), []
        for entry in map(readable, entries):
            size = len(json.dumps(entry, ensure_ascii=False).encode()) + len(", ")
            if size <= share:
                kept[name].append(entry)
                share -= size
                room -= size
    return kept
