"""Follows a cycle or a bake to its end.

Progress goes to stderr, like that of every command. An error that passes by itself is shown, and all is read again.
"""

from __future__ import annotations

import time
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Protocol, Self

from rollcall.domain.errors import Transient

from .execution import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from .execution import Execution

READ_EVERY = 5.0  # seconds; but for the first
READS_AT_FIRST = 10  # times, each after
READ_AT_FIRST = 1.0  # second: a dry run or a refusal is over by then
LATE_READS = 3  # of the history of one that ended, until it shows how: what AWS shows is eventually consistent


class Display[E](Protocol):
    """Where progress is shown. warned: the warnings that were shown, each once."""

    warned: set[str]

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Show no more."""

    def show(self, execution: E) -> None:
        """Show how it is now."""

    def say(self, words: str) -> None:
        """Show a line that stays."""


def follow[E: Execution[Any]](
    read: Callable[[], E], shown: Display[E], noun: str, sleep: Callable[[float], None] = time.sleep
) -> E:
    """The execution, once it is over. Raises what read() raises, but for what passes by itself.

    Of one that is over as it is read first nothing is shown: how it ended says all.
    """
    failed, late, begun = "", 0, False
    pauses = chain(repeat(READ_AT_FIRST, READS_AT_FIRST), repeat(READ_EVERY))
    with shown:
        while True:
            try:
                execution = read()
            except Transient as error:
                if failed != str(error):
                    words = f"It is read again, every {READ_EVERY:.0f} s at the latest; the {noun} goes on meanwhile."
                    shown.say(f"{error}\n{words}")
                failed = str(error)
            else:
                failed = ""
                if execution.running or begun:
                    shown.show(execution)
                begun = True
                late += _lacks_result(execution)
                if not execution.running and (not _lacks_result(execution) or late >= LATE_READS):
                    return execution
            sleep(next(pauses))


def _lacks_result(execution: Execution[Any]) -> bool:
    """Whether it ended by itself, and what was read of it does not show how."""
    ended = execution.status in (Status.SUCCEEDED, Status.FAILED)
    return ended and (execution.state is None or execution.state.result is None)
