"""How much a function may answer: what is too large, or cannot be encoded, is an error in place of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .aws_text import aws_safe_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ANSWER_BYTES = 5_500_000  # for the lists in it, of the 6 MB that Lambda takes ("Lambda quotas", invocation payload)


def cut_to_answer_limit(lists: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """As many entries of each list as an answer may hold, with their text as AWS takes it: of each at least its share.

    The lists have equal shares; what a short list does not need is left to those that follow.
    """
    bytes_left = ANSWER_BYTES
    kept: dict[str, list[Any]] = {}
    for lists_after, (name, entries) in zip(range(len(lists) - 1, -1, -1), lists.items(), strict=True):
        share, kept[name] = bytes_left // (lists_after + 1), []
        for entry in map(aws_safe_json, entries):
            size = len(json.dumps(entry, ensure_ascii=False).encode()) + len(", ")
            if size <= share:
                kept[name].append(entry)
                share -= size
                bytes_left -= size
    return kept
