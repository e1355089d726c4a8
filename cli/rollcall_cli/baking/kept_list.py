"""The list of the versions that a group can go back to. Pure but for printing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from rollcall_cli.columns import print_columns
from rollcall_cli.times import moment

from .going_back import others_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.bake.kept import KeptVersion

    from .going_back import Kept

type Json = dict[str, Any]

HEADINGS = ("", "version", "image", "smoke", "roll-out", "made", "base image", "project", "note")
GIVE_WAY = ("project", "base image", "note", "made", "smoke")  # where there is little room, the first one first


def print_kept(kept: Kept) -> None:
    """The list for an operator."""
    rows = [
        [
            Text(marker(kept, each)),
            Text(each.number),
            Text(each.image),
            Text(each.smoke),
            Text(each.roll_out),
            Text(moment(each.created)),
            Text(each.base_image),
            Text(each.project_revision[:12]),
            Text("; ".join(_notes(kept, each))),
        ]
        for each in kept.versions
    ]
    print_columns(HEADINGS, rows, GIVE_WAY)


def marker(kept: Kept, each: KeptVersion) -> str:
    """What a version is to the group; empty for nothing."""
    if each.number == kept.rolling_out:
        return "being rolled out"
    if each.is_present:
        return "the group is on it"
    return "rollback goes here" if each == kept.default else ""


def _notes(kept: Kept, each: KeptVersion) -> Iterator[str]:
    if each.is_present:
        if kept.others:
            yield others_words(kept)
        return
    if not each.is_baked:
        yield "not made by a bake"
    if each.why_not:
        yield each.why_not
    if kept.is_left(each):
        yield "the group went back from it"


def answer_of(kept: Kept, group: str) -> Json:
    """The list for a program. Times in epoch seconds."""
    default = kept.default
    return {
        "group": group,
        "present": kept.present,
        "others": kept.others,
        "rolling_out": kept.rolling_out or None,
        "default": default.number if default else None,
        "versions": [
            each._asdict() | {"why_not": each.why_not or None, "is_left": kept.is_left(each)} for each in kept.versions
        ],
    }
