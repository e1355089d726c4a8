"""The services of simulated instances: when they are up, and what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import replace

import pytest

from lab.aws.control import Machine
from lab.clock import StillClock
from lab.tower.embedded import JobRecord
from lab.traffic.exchange import HERE, Answer, ask
from lab.traffic.service import DARK, FAILING, UNREADY, WELL, Flapping, Services, Start, slow, up_from
from unit.traffic_world import BEGAN, job, running, until

START = Start(boot_seconds=40, start_seconds=5)
WEB = running("i-a")


@pytest.fixture
def listen() -> None:
    """Opens sockets for a test."""


def test_a_service_is_up_once_its_machine_booted_where_no_job_provisions_it() -> None:
    assert up_from(WEB, None, START) == BEGAN + 40


def test_a_service_waits_for_the_job_on_its_machine_and_starts_after_that() -> None:
    assert up_from(WEB, [], START) is None
    assert up_from(WEB, [job("i-b", finished=BEGAN + 60)], START) is None
    assert up_from(WEB, [job("i-a", "i-b", finished=BEGAN + 60)], START) == BEGAN + 65
    assert up_from(WEB, [job("i-a", finished=BEGAN + 3)], START) == BEGAN + 40, "it does not serve before it booted"


@pytest.mark.parametrize(
    ("state", "provisions"),
    [
        ("it still runs", job("i-a", finished=None)),
        ("it failed", job("i-a", finished=BEGAN + 60, results={"i-a": "failed"})),
        ("it ended before this host's last task", job(finished=BEGAN + 60, results={"i-a": "ok"})),
        ("it only looked", job("i-a", finished=BEGAN + 60, job_type="check")),
        ("it was before the last start", job("i-a", finished=BEGAN - 1)),
    ],
)
def test_a_job_provisions_nothing_if(state: str, provisions: JobRecord) -> None:
    assert up_from(WEB, [provisions], START) is None, state


@pytest.mark.parametrize("state", ["pending", "shutting-down", "stopped", "stopping"])
def test_only_a_machine_that_runs_serves(state: str) -> None:
    assert up_from(replace(WEB, state=state), None, START) is None


def test_a_flapping_service_is_ill_and_well_in_turn() -> None:
    flapping = Flapping(ill_seconds=2, well_seconds=3, ill=UNREADY)
    assert [flapping.at(seconds) for seconds in (0, 1.9, 2, 4.9, 5, 7)] == [UNREADY, UNREADY, WELL, WELL, UNREADY, WELL]


class Host:
    """Services on a clock by hand, asked over real connections."""

    def __init__(self, jobs: Sequence[JobRecord] | None = None, start: Start = START) -> None:
        self.clock = StillClock(BEGAN)
        self.jobs = None if jobs is None else list(jobs)
        self.reads = 0
        self.services = Services(None if jobs is None else self._read, start, self.clock)

    def _read(self) -> list[JobRecord]:
        self.reads += 1
        assert self.jobs is not None
        return self.jobs

    async def at(self, seconds: float, *machines: Machine) -> None:
        """So many seconds after the machines were started EC2 shows these."""
        self.clock.now = BEGAN + seconds
        await self.services.see(machines, self.clock.now)

    async def ask(self, path: str = "/") -> Answer | str:
        """What the service of i-a answers; "refused" if it takes no connection."""
        port = self.services.port_of("i-a")
        assert port
        try:
            return await ask((HERE, port), path)
        except ConnectionRefusedError:
            return "refused"


OK = Answer(200, "i-a", b"i-a")


@pytest.mark.usefixtures("listen")
def test_a_service_refuses_until_it_is_up_and_again_once_its_machine_shuts_down() -> None:
    async def story() -> None:
        host = Host()
        seen: list[Answer | str] = []
        shown = [(1, "pending"), (39, "running"), (40, "running"), (90, "running"), (91, "shutting-down")]
        for seconds, state in shown:
            await host.at(seconds, replace(WEB, state=state))
            seen.append(await host.ask())
        assert seen == ["refused", "refused", OK, OK, "refused"]
        await host.services.close()

    asyncio.run(story())


@pytest.mark.usefixtures("listen")
def test_a_machine_that_is_gone_refuses_and_its_port_stays_its_own() -> None:
    async def story() -> None:
        host = Host()
        await host.at(50, WEB)
        port = host.services.port_of("i-a")
        await host.at(51)
        assert await host.ask() == "refused"
        await host.at(99, *(running(f"i-{number}") for number in range(50)))
        assert port not in {host.services.port_of(f"i-{number}") for number in range(50)}
        await host.services.close()

    asyncio.run(story())


@pytest.mark.usefixtures("listen")
def test_a_machine_that_was_stopped_and_started_has_to_be_provisioned_anew() -> None:
    async def story() -> None:
        host = Host([job("i-a", finished=BEGAN + 60)])
        await host.at(70, WEB)
        assert await host.ask() == OK
        again = replace(WEB, started=BEGAN + 200)
        await host.at(210, again)
        await host.at(300, again)
        assert await host.ask() == "refused"
        assert host.jobs is not None
        host.jobs.append(job("i-a", finished=BEGAN + 310))
        await host.at(320, again)
        assert await host.ask() == OK
        await host.services.close()

    asyncio.run(story())


@pytest.mark.usefixtures("listen")
def test_jobs_are_read_only_while_a_machine_waits_for_one() -> None:
    async def story() -> None:
        host = Host([job("i-a", finished=BEGAN + 60)])
        for seconds in (70, 71, 72):
            await host.at(seconds, WEB)
        assert host.reads == 1
        await host.at(73, WEB, running("i-b"))
        assert host.reads == 2
        await host.services.close()

    asyncio.run(story())


@pytest.mark.usefixtures("listen")
def test_what_is_in_hand_is_answered_after_the_machine_began_to_shut_down() -> None:
    async def story() -> None:
        host = Host()
        await host.at(50, WEB)
        host.services.set_fault(slow(0.2))
        request = asyncio.create_task(host.ask())
        await until(host.services.in_hand, "it is in hand")
        await host.at(51, replace(WEB, state="shutting-down"))
        assert await host.ask() == "refused"
        assert await request == OK
        await host.services.close()

    asyncio.run(story())


@pytest.mark.usefixtures("listen")
def test_a_test_makes_a_service_fail_and_heals_it() -> None:
    async def story() -> None:
        host = Host()
        await host.at(50, WEB)
        host.services.set_fault(FAILING)
        assert await host.ask() == Answer(500, "i-a", b"i-a")
        host.services.set_fault(UNREADY, "i-a")
        assert await host.ask() == OK, "the instance's own fault counts"
        assert await host.ask("/health") == Answer(503, "i-a", b"i-a")
        host.services.end_fault("i-a")
        host.services.end_fault()
        assert await host.ask("/health") == OK
        host.services.set_fault(DARK)
        await host.at(52, WEB)
        assert await host.ask() == "refused"
        host.services.end_fault()
        await host.at(53, WEB)
        assert await host.ask() == OK
        await host.services.close()

    asyncio.run(story())
