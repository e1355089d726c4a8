"""Cycles and bakes that are due by tags, as the answer of a run of reconcile has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .starting import Due, StartOutcome

type Json = dict[str, Any]


def due_entries(noun: str, outcome: StartOutcome[Any], *, dry_run: bool) -> Iterator[Json]:
    """An entry for each that is due, and for what failed. noun: "bake" or "cycle". dry_run: nothing was started."""
    for each in outcome.started:
        yield _entry(noun, each, "would start" if dry_run else "started")
    for each in outcome.waiting:
        yield _entry(noun, each, "waits")
    for subject, error in outcome.errors.items():
        yield failed_entry(noun, subject, error)


def failed_entry(noun: str, subject: str, error: Exception) -> Json:
    """The entry for what could not be read. subject: what it is about, in words."""
    return {"what": noun, "state": "failed", "group": "", "name": subject, "reason": str(error)}


def _entry(noun: str, due: Due, state: str) -> Json:
    return {"what": noun, "state": state, "group": due.group, "name": due.name, "reason": due.why}
