"""A simulated Application Load Balancer before one target group.

It checks the health of its targets by HTTP and sends each request to one of them, round robin. Source: Application Load
Balancers user guide. "Health checks for Application Load Balancer target groups": requests go to healthy targets only,
but to all where none is healthy (fail open; the attribute unhealthy_state_routing.minimum_healthy_targets.count, 1 by
default, says "all targets, including unhealthy targets", so those that are still initial too). "Edit target group
attributes": no new requests go to one that drains, and what it has in hand may take as long as its deregistration
delay. "Troubleshoot your Application Load Balancers": 502 where a target refuses or breaks off, and where that delay is
over before the answer; 503 without a registered target; 504 where the answer takes longer than the idle timeout. No
request is sent to a second target.

That new requests still come for a while after a target was deregistered the guide does not say and users report: issues
1064 and 2366 of kubernetes-sigs/aws-load-balancer-controller, where it took seconds to minutes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lab.aws.control import FoundTarget, TargetRecord
from lab.traffic.exchange import HERE, Answer, Answering, ask, stop_listening
from lab.traffic.health import Health, HealthCheck, HealthSample, Outcome

IDLE_TIMEOUT = 60.0
"""Seconds that a target may take to answer: the default of idle_timeout.timeout_seconds."""
LAG = 0.5
"""Seconds for which a target that was deregistered still gets new requests, so what does not drain loses some."""
BAD_GATEWAY, UNAVAILABLE, GATEWAY_TIMEOUT = 502, 503, 504


@dataclass
class Target:
    """A target, and what the load balancer has with it. requests: the time limits of those in hand."""

    record: TargetRecord
    health: Health = field(default_factory=Health)
    checks: asyncio.Task[None] | None = None
    requests: set[asyncio.Timeout] = field(default_factory=set)

    @property
    def draining(self) -> bool:
        return self.record.deregistered is not None


def receivers(targets: Iterable[Target]) -> list[Target]:
    """The targets that may get a request now: the healthy ones, or all that do not drain if none is. Pure."""
    registered = [each for each in targets if not each.draining]
    return [each for each in registered if each.health.finding.state == "healthy"] or registered


class LoadBalancer:
    """Checks the targets of a target group, and answers requests through them. All of it runs on one event loop.

    target_group: its ARN. port_of: the port of an instance's service, None where there is none. lag: see LAG. samples:
    the health of the targets over time, a sample for each change.
    """

    def __init__(
        self,
        target_group: str,
        port_of: Callable[[str], int | None],
        check: HealthCheck | None = None,
        *,
        idle_timeout: float = IDLE_TIMEOUT,
        lag: float = LAG,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.samples: list[HealthSample] = []
        self._target_group = target_group
        self._port_of = port_of
        self._check = check or HealthCheck()
        self._idle_timeout = idle_timeout
        self._lag = lag
        self._clock = clock
        self._targets: dict[tuple[str, float], Target] = {}  # by instance, and when it was registered
        self._turn = 0
        self._requests: set[asyncio.Task[None]] = set()
        self._found: list[FoundTarget] = []

    async def open(self) -> tuple[str, int]:
        """Listen, and return where."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Answering(self.answer, self._requests), HERE, 0
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return HERE, port

    async def close(self) -> None:
        """Take no more requests, break off those in hand, and check nothing any more."""
        await stop_listening(self._server)
        ending = [*self._requests, *(each.checks for each in self._targets.values() if each.checks)]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def see(self, records: Sequence[TargetRecord], now: float) -> None:
        """Take the targets to be these: check those that are new, and send nothing more to those that drain.

        A deregistration delay counts from here: on a busy machine a deregistration is seen late, and what is in hand is
        not to end for that.
        """
        own = {(each.instance_id, each.registered): each for each in records if each.target_group == self._target_group}
        for key in self._targets.keys() - own.keys():  # drained long ago, or registered anew
            self._let_go(self._targets.pop(key), self._idle_timeout)
        for key, record in own.items():
            target = self._targets.get(key)
            if record.deregistered is None:
                if target is None:
                    self._targets[key] = self._begin(record)
            elif target and not target.draining and now >= record.deregistered + self._lag:
                target.record = record
                self._let_go(target, (record.drained or record.deregistered) - record.deregistered)
        self._sample(now)

    def take_findings(self) -> list[FoundTarget]:
        """What was found since this was asked last."""
        found, self._found = self._found, []
        return found

    def settled(self) -> bool:
        """Whether it is known of every target whether it is healthy."""
        return all(each.draining or each.health.finding.state != "initial" for each in self._targets.values())

    def targets(self) -> list[Target]:
        """The targets, those that drain too."""
        return list(self._targets.values())

    def healthy(self) -> frozenset[str]:
        """The targets that are healthy now."""
        return self.samples[-1].healthy if self.samples else frozenset()

    # Health

    def _begin(self, record: TargetRecord) -> Target:
        target = Target(record)
        target.checks = asyncio.get_running_loop().create_task(self._go_on_checking(target))
        self._report(target)
        return target

    async def _go_on_checking(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            outcome = await self._probe(target.record.instance_id)
            before = target.health
            target.health = before.after(outcome, self._check)
            if target.health.finding != before.finding:
                self._report(target)
                self._sample(self._clock())
            await asyncio.sleep(max(0.0, began + self._check.interval - loop.time()))

    async def _probe(self, instance_id: str) -> Outcome:
        port = self._port_of(instance_id)
        if port is None:
            return "failed"
        try:
            async with asyncio.timeout(self._check.timeout):
                answer = await ask((HERE, port), self._check.path)
        except TimeoutError:
            return "timeout"
        except OSError:
            return "failed"
        return answer.status

    def _report(self, target: Target) -> None:
        record = target.record
        self._found.append(FoundTarget(record.instance_id, record.registered, *target.health.finding))

    def _let_go(self, target: Target, seconds: float) -> None:
        """Stop checking a target, and give what it has in hand so many seconds."""
        if target.checks:
            target.checks.cancel()
        until = asyncio.get_running_loop().time() + seconds
        for limit in target.requests:
            if not limit.expired():
                limit.reschedule(min(limit.when() or until, until))

    def _sample(self, now: float) -> None:
        targets = [each for each in self._targets.values() if not each.draining]
        registered = frozenset(each.record.instance_id for each in targets)
        healthy = frozenset(each.record.instance_id for each in targets if each.health.finding.state == "healthy")
        last = self.samples[-1] if self.samples else None
        if last is None or (last.registered, last.healthy) != (registered, healthy):
            self.samples.append(HealthSample(now, registered, healthy))

    # Requests

    async def answer(self, path: str) -> Answer:
        """Have a request answered by a target, or say why that cannot be."""
        candidates = receivers(self._targets.values())
        if not candidates:
            return Answer(UNAVAILABLE, body=b"no target is registered")
        self._turn += 1
        target = candidates[self._turn % len(candidates)]
        return await self._forward(target, path)

    async def _forward(self, target: Target, path: str) -> Answer:
        instance_id = target.record.instance_id
        port = self._port_of(instance_id)
        if port is None:
            return Answer(BAD_GATEWAY, instance_id, b"the target has no service")
        limit = asyncio.timeout(self._idle_timeout)
        try:
            async with limit:
                target.requests.add(limit)
                return await ask((HERE, port), path)
        except TimeoutError:
            if target.draining:
                return Answer(BAD_GATEWAY, instance_id, b"the deregistration delay was over")
            return Answer(GATEWAY_TIMEOUT, instance_id, b"the target took too long")
        except OSError as error:
            return Answer(BAD_GATEWAY, instance_id, str(error).encode())
        finally:
            target.requests.discard(limit)
