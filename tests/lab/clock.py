"""Time that no test need wait for: what the models of AWS and Tower are given as their clock.

The machine's clock stays at the edges: in what belongs to MiniStack, which knows no other (ministack, patches,
recursion), and where it is recorded when something happened (cloud, the Tower's server, the demo, the traffic).
"""

from __future__ import annotations

import time
from threading import Lock


class StillClock:
    """Time that stands still until a test lets it pass. now: in epoch seconds."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds


class SkippingClock:
    """The computer's clock, ahead of it by all that was skipped: a model that asks it sees that time pass at once.

    It goes on by itself, so that what takes time anyhow, such as a request, takes it here, too. Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._skipped = 0.0

    def __call__(self) -> float:
        """The time now, in epoch seconds."""
        return time.time() + self._skipped

    def skip(self, seconds: float) -> None:
        """Let so many seconds pass."""
        with self._lock:
            self._skipped += seconds
