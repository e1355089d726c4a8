"""Texts in the state of an execution, of which the output of a state holds 256 KiB (Step Functions quotas). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

TEXT_MAX = 1000  # characters of a text from outside


def listed_lines(lines: Collection[str], most: int) -> tuple[str, ...]:
    """Lines of which there may be many, each once, no more than so many."""
    every = tuple(map(cut, dict.fromkeys(lines)))
    return every if len(every) <= most else (*every[: most - 1], f"and {len(every) - most + 1} more")


def cut(text: str) -> str:
    """A text from outside, no longer than a state should hold."""
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"
