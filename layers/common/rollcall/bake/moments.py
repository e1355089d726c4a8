"""Moments in tags: text, as MOMENT_FORMAT has it, and epoch seconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollcall.domain.bake_tags import BAKE_UNTIL
from rollcall.domain.settings import MOMENT_FORMAT

if TYPE_CHECKING:
    from rollcall.domain.instances import Instance

RETIRE_EVERY = 6 * 3600.0  # seconds: images are deregistered a day after they were disabled, or a quarter of one later
LATE_AFTER = 900.0  # seconds after an instance's time, in which its own bake removes it


def moment_text(now: float) -> str:
    """A moment as the value of a tag. now: epoch seconds."""
    return datetime.fromtimestamp(now, UTC).strftime(MOMENT_FORMAT)


def moment_of(text: str) -> float | None:
    """The moment that a tag's value says, in epoch seconds; None for a text that says none."""
    try:
        return datetime.strptime(text, MOMENT_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def is_late(instance: Instance, now: float) -> bool:
    """Whether an instance of a bake is still there though its time is over, by its tag. now: epoch seconds."""
    until = moment_of(instance.tags.get(BAKE_UNTIL, ""))
    return until is not None and until + LATE_AFTER <= now
