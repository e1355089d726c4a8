"""What doctor finds: something that is set up in a way that does harm, or will."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """What comes of it."""

    BREAKS_LAUNCHES = "breaks launches"
    WARNING = "warning"


class Finding(NamedTuple):
    """Something to fix. subject: where; what: a few words that stay the same as long as it lasts.

    hides: others may be hidden behind it, for something could not be examined.
    """

    subject: str
    what: str
    severity: Severity
    reason: str
    remedy: str
    hides: bool = False

    @property
    def key(self) -> str:
        """The same as long as the same is wrong in the same place."""
        return f"{self.subject}: {self.what}"

    def in_words(self) -> dict[str, str]:
        """What operators, programs and the event bus get of it."""
        return {name: str(getattr(self, name)) for name in ("key", "severity", "subject", "reason", "remedy")}


def breaks(subject: str, what: str, reason: str, remedy: str) -> Finding:
    """A finding that keeps instances from being launched as they should be."""
    return Finding(subject, what, Severity.BREAKS_LAUNCHES, reason, remedy)


def warns(subject: str, what: str, reason: str, remedy: str) -> Finding:
    """A finding with which launches go on as they should."""
    return Finding(subject, what, Severity.WARNING, reason, remedy)


def without_group(group: str, reason: str) -> str:
    """What is wrong with a group, where the subject names it already as errors do."""
    return reason.removeprefix(f"group {group!r}: ")
