"""What speaks against following a group's settings: the reason apart from the remedy.

Functions refuse a group at the first objection; doctor names them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Iterable


class Objection(NamedTuple):
    """What is wrong, and how to fix it. what: names it in a few words that stay the same."""

    what: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.remedy}"


def require_no_objections(objections: Iterable[Objection]) -> None:
    """Raise BadSettings with the first objection, if there is one."""
    for each in objections:
        raise BadSettings(str(each))
