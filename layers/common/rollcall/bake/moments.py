"""Moments in tags: text, as MOMENT_FORMAT has it, and epoch seconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from rollcall.domain.settings import MOMENT_FORMAT


def moment_text(now: float) -> str:
    """A moment as the value of a tag. now: epoch seconds."""
    return datetime.fromtimestamp(now, UTC).strftime(MOMENT_FORMAT)


def moment_of(text: str) -> float | None:
    """The moment that a tag's value says, in epoch seconds; None for a text that says none."""
    try:
        return datetime.strptime(text, MOMENT_FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
