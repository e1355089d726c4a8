"""Cycles and bakes that are due by tags, as the answer of a run of reconcile has them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

type Json = dict[str, Any]


class Due(Protocol):
    """What is due. name: of its execution. why: in words."""

    @property
    def group(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def why(self) -> str: ...


class Outcome(Protocol):
    """What came of it. waiting: what is due while something else is at work on its group. errors: by their subject."""

    @property
    def started(self) -> Sequence[Due]: ...
    @property
    def waiting(self) -> Sequence[Due]: ...
    @property
    def errors(self) -> Mapping[str, Exception]: ...


def due_entries(noun: str, outcome: Outcome, *, dry_run: bool) -> Iterator[Json]:
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
