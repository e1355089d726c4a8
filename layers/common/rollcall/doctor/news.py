"""What of the findings is published: those that were not known, and those that are gone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from rollcall.domain.findings import Finding


class News(NamedTuple):
    """What is to be published, and what is known from then on."""

    found: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    known: tuple[Finding, ...]


def news(now: Collection[Finding], known: Mapping[str, Finding]) -> News:
    """What changed since findings were published last.

    known: by key. Where something hides others, none counts as fixed for being gone.
    """
    by_key = {each.key: each for each in now}
    found = [each for key, each in by_key.items() if key not in known]
    gone = [each for key, each in known.items() if key not in by_key]
    hidden = any(each.hides for each in now)
    fixed = [] if hidden else gone
    return News(tuple(found), tuple(fixed), (*by_key.values(), *(gone if hidden else [])))
