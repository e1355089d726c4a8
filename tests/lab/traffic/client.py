"""A client that never stops asking, and keeps what came of each request."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.traffic.exchange import ask

OK = 200
BEHIND = 0.5
"""Seconds that the client may be late, say because the machine is busy, and make up for by asking faster."""


@dataclass(frozen=True)
class Request:
    """A request. time: when it was asked, epoch seconds; seconds: until its outcome was known.

    failure: why it failed, empty if it was answered well. instance: who answered or should have; empty if not known.
    """

    time: float
    seconds: float
    failure: str
    instance: str


@dataclass(frozen=True)
class Summary:
    """What came of the requests of a time. failed: those that were not answered well, in their order.

    by_instance: how many each instance answered well. slowest: seconds.
    """

    asked: int
    answered: int
    failed: tuple[Request, ...]
    by_instance: Mapping[str, int]
    slowest: float

    def __str__(self) -> str:
        reasons = Counter((each.failure, each.instance) for each in self.failed)
        words = [
            f"{number} times {failure} ({instance or 'of no instance'})"
            for (failure, instance), number in reasons.most_common()
        ]
        return f"{self.answered} of {self.asked} requests answered" + "".join(f"; {each}" for each in words)


def summarize(requests: Sequence[Request]) -> Summary:
    """What came of these requests. Pure."""
    failed = tuple(each for each in requests if each.failure)
    return Summary(
        asked=len(requests),
        answered=len(requests) - len(failed),
        failed=failed,
        by_instance=Counter(each.instance for each in requests if not each.failure),
        slowest=max((each.seconds for each in requests), default=0.0),
    )


class Client:
    """Asks for a path so many times a second, and no more than so many at once; it runs on one event loop.

    timeout: seconds after which a request has failed. requests: those whose outcome is known, in the order of these.
    """

    def __init__(
        self,
        rate: float = 50.0,
        at_once: int = 25,
        timeout: float = 10.0,
        path: str = "/",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.requests: list[Request] = []
        self._seconds = 1 / rate
        self._places = asyncio.Semaphore(at_once)
        self._timeout = timeout
        self._path = path
        self._clock = clock

    async def run(self, address: tuple[str, int], stopped: asyncio.Event) -> None:
        """Ask there until it is stopped; ends once the outcome of every request is known."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as asking:
            while not stopped.is_set():
                await self._places.acquire()
                asking.create_task(self._ask(address)).add_done_callback(lambda _: self._places.release())
                due = max(due + self._seconds, loop.time() - BEHIND)
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _ask(self, address: tuple[str, int]) -> None:
        asked, began = self._clock(), time.monotonic()
        instance = failure = ""
        try:
            async with asyncio.timeout(self._timeout):
                answer = await ask(address, self._path)
            instance = answer.instance
            if answer.status != OK:
                failure = f"{answer.status} {answer.body.decode(errors='replace')}".strip()
        except TimeoutError:
            failure = f"no answer in {self._timeout:g} s"
        except OSError as error:
            failure = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - what goes wrong in the client itself is not to end its asking unseen
            failure = f"the client failed: {error!r}"
        self.requests.append(Request(asked, time.monotonic() - began, failure, instance))

    def summary(self, since: float = 0.0, until: float = float("inf")) -> Summary:
        """What came of the requests that were asked in this time (epoch seconds), as far as that is known."""
        asked = [each for each in list(self.requests) if since <= each.time <= until]
        return summarize(sorted(asked, key=lambda each: each.time))
