"""Simulated traffic on this machine, without an AWS: what the unit tests of its parts work with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from copy import replace

from lab.aws.control import Machine, TargetRecord
from lab.tower.embedded import JobRecord
from lab.traffic.exchange import HERE, Answer, ask
from lab.traffic.health import HealthCheck
from lab.traffic.load_balancer import LoadBalancer
from lab.traffic.service import Services, Start

TARGET_GROUP = "arn:web"
BEGAN = 1_000_000_000.0  # epoch seconds: when the machines were started, long ago
PATIENCE = 20.0  # seconds after which what a test waits for has not come
SOON = HealthCheck(interval=0.02, timeout=5.0)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)
    assert condition(), what


def running(instance_id: str) -> Machine:
    return Machine(instance_id, "web", "running", BEGAN)


def job(*done: str, finished: float | None, results: dict[str, str] | None = None, job_type: str = "run") -> JobRecord:
    """A job that ran to its end on these hosts."""
    return JobRecord(
        id=1,
        template="provision",
        inventory="fleet",
        limit="",
        status="successful",
        created=BEGAN,
        started=BEGAN,
        finished=finished,
        hosts=results or dict.fromkeys(done, "ok"),
        addresses={},
        cut_short=False,
        explanation="",
        extra_vars="",
        launched_by="rollcall",
        events_processed=True,
        done=frozenset(done),
        job_type=job_type,
    )


class Site:
    """Machines that run, targets of one target group, and the load balancer before them; use it on one event loop."""

    def __init__(self, check: HealthCheck = SOON, idle_timeout: float = 60.0, lag: float = 0.0) -> None:
        self.services = Services(None, Start(0, 0))
        self.balancer = LoadBalancer(TARGET_GROUP, self.services.port_of, check, idle_timeout=idle_timeout, lag=lag)
        self.machines: dict[str, Machine] = {}
        self.targets: dict[str, TargetRecord] = {}
        self.address = (HERE, 0)

    async def __aenter__(self) -> Site:
        self.address = await self.balancer.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.balancer.close()
        await self.services.close()

    async def add(self, *instance_ids: str) -> None:
        """Machines that run and are registered."""
        self.machines |= {each: running(each) for each in instance_ids}
        self.targets |= {each: TargetRecord(TARGET_GROUP, each, BEGAN, None, None) for each in instance_ids}
        await self.see()

    async def drain(self, instance_id: str, seconds: float, *, ago: float = 0.0) -> None:
        """A target is deregistered, with this deregistration delay, and the load balancer sees it so much later."""
        now = time.time() - ago
        self.targets[instance_id] = replace(self.targets[instance_id], deregistered=now, drained=now + seconds)
        await self.see()

    async def terminate(self, instance_id: str) -> None:
        """EC2 ends a machine."""
        del self.machines[instance_id]
        await self.see()

    async def see(self) -> None:
        await self.services.see(self.machines.values(), time.time())
        self.balancer.see(list(self.targets.values()), time.time())

    async def healthy(self, *instance_ids: str) -> None:
        """Wait until these targets are healthy, and no others."""
        await until(lambda: self.balancer.healthy() == set(instance_ids), f"{instance_ids} are healthy")

    async def ask(self) -> Answer:
        return await ask(self.address, "/")

    async def answers(self, number: int) -> list[tuple[int, str]]:
        """Status and instance of so many answers, one after another."""
        found = [await self.ask() for _ in range(number)]
        return [(each.status, each.instance) for each in found]
