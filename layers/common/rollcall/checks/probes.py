"""Probes of instances: one pool and one deadline for all of an invocation."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from .protocol import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .protocol import Answer, Probe

CHECK_TIMEOUT = 3.0  # seconds that one probe may take
CHECKS_AT_ONCE = 64
PROBING_TIME = 20.0  # seconds for all probes of an invocation together
PROBED_UNTIL = 80.0  # seconds of the gate's rounds, of the 110 of its function: the others are for what follows
NO_TIME = Inconclusive("there was no time to try it")


class Probes:
    """Runs probes, for a whole invocation through one pool and until one deadline.

    Its time begins with the first probes, for Tower may let a round wait before that. It ends with the invocation's.
    """

    def __init__(self, seconds: float = PROBING_TIME) -> None:
        self._seconds = seconds
        self._latest = time.monotonic() + PROBED_UNTIL
        self._deadline: float | None = None
        self._pool: ThreadPoolExecutor | None = None

    def answers(self, probes: Sequence[Probe]) -> list[Answer]:
        """The answer of each probe; Inconclusive if there was no time to try it.

        They are tried in no order, so that with little time none is always the last.
        """
        if not probes:
            return []
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = min(now + self._seconds, self._latest)
        left = self._deadline - now
        if left <= 0:
            return [NO_TIME] * len(probes)
        self._pool = self._pool or ThreadPoolExecutor(CHECKS_AT_ONCE)
        order = random.sample(range(len(probes)), len(probes))
        futures = {number: self._pool.submit(probes[number]) for number in order}
        done, late = wait(futures.values(), timeout=left)
        for future in late:
            future.cancel()
        return [futures[number].result() if futures[number] in done else NO_TIME for number in range(len(probes))]

    def close(self) -> None:
        """Wait for no probe any more; each ends by itself within seconds."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
