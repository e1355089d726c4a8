"""The client that never stops asking, and what it keeps of its requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from lab.traffic.client import Client, Request, summarize
from lab.traffic.exchange import HERE, Answer, read_answer
from lab.traffic.service import FAILING, slow
from unit.traffic_world import Site, until


@pytest.fixture
def listen() -> Iterator[tuple[str, int]]:
    """An address on this machine that refuses connections."""
    with socket.socket() as reserved:
        reserved.bind((HERE, 0))
        yield HERE, reserved.getsockname()[1]


def test_a_summary_tells_the_failed_requests_from_the_others() -> None:
    well = [Request(1.0, 0.1, "", "i-a"), Request(2.0, 0.3, "", "i-b"), Request(4.0, 0.1, "", "i-a")]
    failed = Request(3.0, 0.2, "502 refused", "i-b")
    summary = summarize([*well[:2], failed, well[2]])
    assert (summary.asked, summary.answered, summary.failed, summary.slowest) == (4, 3, (failed,), 0.3)
    assert summary.by_instance == {"i-a": 2, "i-b": 1}
    assert str(summary) == "3 of 4 requests answered; 1 times 502 refused (i-b)"


def test_an_answer_is_whole_once_all_of_its_body_has_come() -> None:
    sent = b"HTTP/1.1 200 -\r\nContent-Length: 3\r\nX-Instance: i-a\r\n\r\ni-a"
    assert {read_answer(sent[:length]) for length in range(len(sent))} == {None}
    assert read_answer(sent) == Answer(200, "i-a", b"i-a")


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 -\r\n\r\n", b"nonsense\r\n\r\n"])
def test_what_does_not_say_how_long_it_is_is_no_answer(sent: bytes) -> None:
    with pytest.raises(ValueError, match="how long"):
        read_answer(sent)


async def asked(client: Client, address: tuple[str, int], number: int) -> None:
    """Let a client ask until the outcome of so many requests is known."""
    stopped = asyncio.Event()
    asking = asyncio.create_task(client.run(address, stopped))
    await until(lambda: len(client.requests) >= number or asking.done(), "requests")
    stopped.set()
    await asking


@pytest.mark.usefixtures("listen")
def test_every_request_is_kept_with_who_answered_it() -> None:
    async def story() -> None:
        async with Site() as site:
            await site.add("i-a", "i-b")
            await site.healthy("i-a", "i-b")
            client = Client(rate=200)
            await asked(client, site.address, 20)
            summary = client.summary()
            assert summary.failed == ()
            assert summary.asked == summary.answered == len(client.requests) >= 20
            assert set(summary.by_instance) == {"i-a", "i-b"}

    asyncio.run(story())


def test_a_refused_connection_is_a_failed_request_and_the_client_goes_on(listen: tuple[str, int]) -> None:
    client = Client(rate=200)
    asyncio.run(asked(client, listen, 5))
    failed = client.summary().failed
    assert len(failed) == client.summary().asked >= 5
    assert all(each.failure.startswith("ConnectionRefusedError") and not each.instance for each in failed)


@pytest.mark.usefixtures("listen")
def test_an_error_and_what_is_too_slow_are_failed_requests() -> None:
    async def story() -> None:
        async with Site() as site:
            await site.add("i-a")
            site.services.set_fault(FAILING)
            client = Client(rate=200)
            await asked(client, site.address, 1)
            assert {(each.failure, each.instance) for each in client.summary().failed} == {("500 i-a", "i-a")}
            site.services.set_fault(slow(3600))
            slower = Client(rate=200, timeout=0.1)
            await asked(slower, site.address, 1)
            assert {each.failure for each in slower.summary().failed} == {"no answer in 0.1 s"}

    asyncio.run(story())


@pytest.mark.usefixtures("listen")
def test_no_more_is_asked_at_once_than_the_client_may() -> None:
    async def story() -> None:
        async with Site() as site:
            await site.add("i-a")
            site.services.set_fault(slow(3600))
            client = Client(rate=1000, at_once=3, timeout=0.5)
            stopped = asyncio.Event()
            asking = asyncio.create_task(client.run(site.address, stopped))
            await until(lambda: len(site.balancer.targets()[0].requests) == 3, "three in hand")
            stopped.set()
            await asking
            assert client.summary().asked <= 4

    asyncio.run(story())


def test_a_time_has_the_requests_that_were_asked_in_it() -> None:
    client = Client()
    client.requests += [Request(float(moment), 0.1, "", "i-a") for moment in (3, 1, 2)]
    assert client.summary(since=2).asked == 2
    assert client.summary(since=2, until=2).asked == 1
