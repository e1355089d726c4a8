"""What changes in a cycle or a bake, a line for each change, where there is no terminal. It goes to stderr."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from rollcall_cli.screen import progress_line

from .execution import Execution

if TYPE_CHECKING:
    from collections.abc import Iterable


def warnings_of(execution: Execution[Any]) -> set[str]:
    """Those that are shown as they come: of one that is over how it ended has them."""
    return set(execution.state.warnings) if execution.state and execution.running else set()


class ChangeLines[E: Execution[Any]](ABC):
    """Shows executions of one kind. warned: the warnings that were shown."""

    def __init__(self) -> None:
        self.warned: set[str] = set()
        self._before: E | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, execution: E) -> None:
        """Show what has changed since the last time."""
        for words in self.changes(self._before, execution):
            progress_line(words)
        self._before = execution
        self.warned |= warnings_of(execution)

    def say(self, words: str) -> None:
        """Show a line."""
        progress_line(words)

    @abstractmethod
    def changes(self, before: E | None, now: E) -> Iterable[str]:
        """What has changed, a line each. before: None at first."""
