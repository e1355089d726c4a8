"""Services, load balancer and client of one group, together in a thread of their own, beside the embedded AWS.

with cloud.traffic(group, target_group) as traffic:
    group.scale(2)
    ...
assert traffic.summary().failed == ()
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from lab.aws.control import CONTROL, FoundTarget, Machine, TargetRecord
from lab.tower.embedded import JobRecord
from lab.traffic.client import Client, Request, Summary
from lab.traffic.exchange import HERE, ask
from lab.traffic.health import HealthCheck, HealthSample, fewest_healthy
from lab.traffic.load_balancer import LoadBalancer
from lab.traffic.service import Fault, Services, Start

LOOK_EVERY = 0.1
"""Seconds between two looks at the machines and targets: what a load balancer knows of them is so old at most."""
SETTLE_TIMEOUT = 10.0
"""Seconds that the load balancer has to find out what the targets are that are there when it begins."""
START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0
OK = 200


class Traffic:
    """The traffic of a group through a target group, as a context manager. Any thread may ask it.

    endpoint_url: of the embedded AWS. target_group: its ARN. jobs: reads the jobs that provision the group's machines,
    None where none do. The client asks from the moment at which a target is healthy. What the load balancer finds is
    what DescribeTargetHealth shows until the block ends. services: to let something be wrong with them.
    """

    def __init__(
        self,
        endpoint_url: str,
        group: str,
        target_group: str,
        jobs: Callable[[], Collection[JobRecord]] | None,
        *,
        rate: float = 50.0,
        check: HealthCheck | None = None,
        start: Start | None = None,
    ) -> None:
        self.services = Services(jobs, start)
        self._group = group
        self._target_group = target_group
        address = urlsplit(endpoint_url)
        self._aws = (address.hostname or HERE, address.port or 80)
        self._balancer = LoadBalancer(target_group, self.services.port_of, check)
        self._client = Client(rate)
        self._known: set[str] = set()
        self._began = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._began.wait(START_TIMEOUT):
            raise TimeoutError("the traffic did not begin")
        self._raise_error()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._loop and self._stopped and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(STOP_TIMEOUT)
        if error is None:
            self._raise_error()
            if self._thread.is_alive():
                raise TimeoutError("the traffic did not end")

    def summary(self, since: float = 0.0, until: float = float("inf")) -> Summary:
        """What came of the requests that were asked in this time (epoch seconds). Raises what ended the traffic."""
        self._raise_error()
        return self._client.summary(since, until)

    def requests(self) -> tuple[Request, ...]:
        """Every request whose outcome is known, in the order of these."""
        return tuple(self._client.requests)

    def set_fault(self, fault: Fault, instance_id: str | None = None) -> None:
        """Let a service have a fault from now on; all that have none of their own if no instance is named."""
        self.services.set_fault(fault, instance_id)

    def end_fault(self, instance_id: str | None = None) -> None:
        """End a fault that was set so."""
        self.services.end_fault(instance_id)

    def healthy(self) -> frozenset[str]:
        """The targets that the load balancer calls healthy now. Raises what ended the traffic."""
        self._raise_error()
        return self._balancer.healthy()

    def samples(self) -> tuple[HealthSample, ...]:
        """The health of the targets over time."""
        return tuple(self._balancer.samples)

    def fewest_healthy(self, since: float, until: float = float("inf")) -> int:
        """The fewest targets that were healthy at any moment of this time (epoch seconds)."""
        return fewest_healthy(self.samples(), since, until)

    def _raise_error(self) -> None:
        if self._error:
            raise RuntimeError("the traffic has ended by an error") from self._error

    # In the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._flow())
        except BaseException as error:  # noqa: BLE001 - the next call of this traffic raises it
            self._error = error
        finally:
            self._began.set()

    async def _flow(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        address = await self._balancer.open()
        try:
            await self._settle()
            await self._balance(on=True)
            self._began.set()
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._keep_looking(self._stopped))
                parts.create_task(self._ask(address, self._stopped))
            await self._balance(on=False)
        finally:
            await self._balancer.close()
            await self.services.close()

    async def _settle(self) -> None:
        """Learn what the targets are that are there already, before any of it is shown: they are not initial again."""
        async with asyncio.timeout(SETTLE_TIMEOUT):
            await self._look()
            while not self._balancer.settled():
                await asyncio.sleep(LOOK_EVERY)
                await self._look()

    async def _keep_looking(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            await self._look()
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        """Follow what became of machines and targets, and report what was found."""
        shown = await self._control("GET", "machines-and-targets")
        now = time.time()
        machines = [Machine(**each) for each in shown["machines"]]
        # One that was detached is no group's any more and serves on.
        own = [each for each in machines if each.group == self._group or each.instance_id in self._known]
        self._known |= {each.instance_id for each in own}
        await self.services.see(own, now)
        self._balancer.see([TargetRecord(**each) for each in shown["targets"]], now)
        await self._report(self._balancer.take_findings())

    async def _report(self, found: list[FoundTarget]) -> None:
        if found:
            shown = {"target_group": self._target_group, "found": [asdict(each) for each in found]}
            await self._control("PUT", "found-targets", shown)

    async def _ask(self, address: tuple[str, int], stopped: asyncio.Event) -> None:
        while not self._balancer.healthy() and not stopped.is_set():
            await asyncio.sleep(LOOK_EVERY)
        await self._client.run(address, stopped)

    async def _balance(self, *, on: bool) -> None:
        await self._control("PUT", "load-balancers", {"target_group": self._target_group, "on": on})

    async def _control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await ask(self._aws, CONTROL + path, method=method, body=json.dumps(body).encode())
        if answer.status != OK:
            raise RuntimeError(f"the embedded AWS answers {answer.status} to {method} {path}")
        return json.loads(answer.body)
