"""How the demo and the bench end when they are interrupted: cleaned up, with a note and the signal's exit code.

Imports little, so that it is at work before the imports that take a second.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The program is to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal_number


def until_interrupted(run: Callable[[], int]) -> int:
    """What run() returns, or 128 + the signal that ended it. Only for the main thread, and once."""
    for each in SIGNALS:
        signal.signal(each, _interrupt)
    try:
        return run()
    except Interrupted as interrupted:
        print("\nInterrupted: nothing is left running.", flush=True)
        return interrupted.exit_code


def _interrupt(number: int, _frame: object) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: cleaning up takes a second
    raise Interrupted(number)
