"""The services of simulated instances: what runs on each machine and answers requests.

Each listens on a port of 127.0.0.1 of its own, which is its own from the first time the instance is seen until all
ends: a port that answers for one instance never answers for another. It refuses connections while the instance boots
and until it is provisioned, answers from then on while the instance runs, whatever its lifecycle state, and refuses
again once EC2 shuts the instance down; what it has in hand then it still answers.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from lab.aws.control import Machine
from lab.tower.embedded import JobRecord
from lab.traffic.exchange import HERE, Answer, Answering, stop_listening
from lab.traffic.health import HEALTH_PATH


class Behaviour(NamedTuple):
    """How a service behaves. health_status: of its answers to health checks; seconds: that it takes to answer."""

    listens: bool = True
    status: int = 200
    health_status: int = 200
    seconds: float = 0.0

    def at(self, _: float) -> Behaviour:
        """How it behaves at any time."""
        return self


class Fault(Protocol):
    """What a test may let be wrong with a service."""

    def at(self, seconds: float) -> Behaviour:
        """How the service behaves so many seconds after the fault began."""


WELL = Behaviour()
DARK = Behaviour(listens=False)
FAILING = Behaviour(status=500, health_status=500)
UNREADY = Behaviour(health_status=503)
"""Fails its health checks, and answers requests all the same."""


def slow(seconds: float) -> Behaviour:
    """A service that takes so many seconds to answer anything."""
    return Behaviour(seconds=seconds)


class Flapping(NamedTuple):
    """A service that is ill for so many seconds, then well for so many, again and again."""

    ill_seconds: float
    well_seconds: float
    ill: Behaviour = FAILING

    def at(self, seconds: float) -> Behaviour:
        return self.ill if seconds % (self.ill_seconds + self.well_seconds) < self.ill_seconds else WELL


class Start(NamedTuple):
    """What a service takes to be up. Seconds: that a machine boots; and that it starts once the job was ok."""

    boot_seconds: float = 0.3
    start_seconds: float = 0.2


def up_from(machine: Machine, jobs: Iterable[JobRecord] | None, start: Start) -> float | None:
    """When a machine's service is up (epoch seconds), None while that is not known. Pure.

    jobs: those that provision the machines of its group, None where none do. One that was ok before the machine was
    started last shows nothing: what it left did not survive, or was never started.
    """
    if machine.state != "running":
        return None
    booted = machine.started + start.boot_seconds
    if jobs is None:
        return booted
    done = [each.finished for each in jobs if each.finished and _provisioned(each, machine.instance_id)]
    since = [finished for finished in done if finished >= machine.started]
    return max(booted, min(since) + start.start_seconds) if since else None


def _provisioned(job: JobRecord, instance_id: str) -> bool:
    """Whether a job really ran to its end on a machine, which is the host of its name."""
    return job.job_type == "run" and instance_id in job.done and job.hosts.get(instance_id) == "ok"


@dataclass
class _Service:
    """A machine's service. up: when it is; reserved: what keeps its port while it does not listen."""

    machine: Machine
    reserved: socket.socket | None
    port: int
    up: float | None = None
    server: asyncio.Server | None = None
    requests: set[asyncio.Task[None]] = field(default_factory=set)


class Services:
    """The services of all machines that were seen.

    jobs: reads those that provision machines; None where none do. clock: epoch seconds. All but what a test lets be
    wrong happens on one event loop.
    """

    def __init__(
        self,
        jobs: Callable[[], Collection[JobRecord]] | None,
        start: Start | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._jobs = jobs
        self._start = start or Start()
        self._clock = clock
        self._services: dict[str, _Service] = {}
        self._faults: dict[str | None, tuple[float, Fault]] = {}

    # What a test says, from any thread.

    def set_fault(self, fault: Fault, instance_id: str | None = None) -> None:
        """Let a service have a fault from now on; all that have none of their own if no instance is named."""
        self._faults[instance_id] = (self._clock(), fault)

    def end_fault(self, instance_id: str | None = None) -> None:
        """End a fault that was set so."""
        self._faults.pop(instance_id, None)

    def port_of(self, instance_id: str) -> int | None:
        """The port of an instance's service, whether or not it listens; None for an instance never seen."""
        service = self._services.get(instance_id)
        return service.port if service else None

    def listening(self) -> set[str]:
        """The instances whose services take connections."""
        return {instance_id for instance_id, each in list(self._services.items()) if each.server}

    def in_hand(self) -> int:
        """How many requests the services have taken and not answered."""
        return sum(len(each.requests) for each in list(self._services.values()))

    # What happens on the loop.

    async def see(self, machines: Iterable[Machine], now: float) -> None:
        """Let every service be up or not, as its machine is: one that is not among them is gone."""
        known = {each.instance_id: each for each in machines}
        for machine in known.values():
            if machine.instance_id not in self._services:
                self._services[machine.instance_id] = _Service(machine, *_reserve(0))
        gone = [each for instance_id, each in self._services.items() if instance_id not in known]
        for service in gone:
            await self._stop(service)
        jobs = self._read_jobs(known.values())
        for machine in known.values():
            await self._follow(self._services[machine.instance_id], machine, jobs, now)

    def _read_jobs(self, machines: Iterable[Machine]) -> Collection[JobRecord] | None:
        """The jobs that provision machines, read only if a machine may wait for one."""
        if self._jobs is None:
            return None
        waiting = any(each.state == "running" and self._services[each.instance_id].up is None for each in machines)
        return self._jobs() if waiting else ()

    async def _follow(
        self, service: _Service, machine: Machine, jobs: Collection[JobRecord] | None, now: float
    ) -> None:
        if machine.state != "running" or machine.started != service.machine.started:
            service.up = None
        service.machine = machine
        if service.up is None:
            service.up = up_from(machine, jobs, self._start)
        if service.up is not None and now >= service.up and self._behaviour(machine.instance_id).listens:
            await self._listen(service)
        else:
            await self._stop(service)

    async def _listen(self, service: _Service) -> None:
        reserved, service.reserved = service.reserved, None
        if reserved is None:
            return  # it listens

        async def handle(path: str) -> Answer:
            return await self._answer(service.machine.instance_id, path)

        service.server = await asyncio.get_running_loop().create_server(
            lambda: Answering(handle, service.requests), sock=reserved
        )

    async def _stop(self, service: _Service) -> None:
        """Refuse connections from now on; what is in hand is answered."""
        if service.server is None:
            return
        await stop_listening(service.server)
        service.server = None
        service.reserved, _ = _reserve(service.port)

    async def close(self) -> None:
        """Stop all services, once they have answered what they have in hand."""
        for service in self._services.values():
            await self._stop(service)
            await asyncio.gather(*service.requests, return_exceptions=True)
            if service.reserved:
                service.reserved.close()

    def _behaviour(self, instance_id: str) -> Behaviour:
        since, fault = self._faults.get(instance_id) or self._faults.get(None) or (0.0, WELL)
        return fault.at(self._clock() - since)

    async def _answer(self, instance_id: str, path: str) -> Answer:
        behaviour = self._behaviour(instance_id)
        if behaviour.seconds:
            await asyncio.sleep(behaviour.seconds)
        status = behaviour.health_status if path == HEALTH_PATH else behaviour.status
        return Answer(status, instance_id, instance_id.encode())


def _reserve(port: int) -> tuple[socket.socket, int]:
    """A socket that has a port, any if it is 0, and does not listen: who connects is refused. And the port."""
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((HERE, port))
    return reserved, int(reserved.getsockname()[1])
