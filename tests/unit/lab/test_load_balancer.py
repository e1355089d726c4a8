"""The simulated load balancer before real services on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from lab.aws.control import TargetRecord
from lab.traffic.health import CHECKING, HEALTHY, Finding, Health, HealthCheck
from lab.traffic.load_balancer import Target, receivers
from lab.traffic.service import DARK, FAILING, UNREADY, slow
from unit.traffic_world import BEGAN, PATIENCE, SOON, TARGET_GROUP, Site, until

ILL = Finding("unhealthy", "Target.Timeout")


@pytest.fixture
def listen() -> None:
    """Opens sockets for a test."""


def on_a_site(
    story: Callable[[Site], Awaitable[None]], check: HealthCheck = SOON, idle_timeout: float = 60.0, lag: float = 0.0
) -> None:
    async def run() -> None:
        async with Site(check, idle_timeout, lag) as site:
            await story(site)

    asyncio.run(run())


def target(instance_id: str, finding: Finding, *, draining: bool = False) -> Target:
    record = TargetRecord(TARGET_GROUP, instance_id, BEGAN, BEGAN if draining else None, None)
    return Target(record, Health(finding))


def received(*targets: Target) -> list[str]:
    return [each.record.instance_id for each in receivers(targets)]


def test_only_healthy_targets_get_requests() -> None:
    assert received(target("i-a", HEALTHY), target("i-b", ILL), target("i-c", CHECKING)) == ["i-a"]


def test_all_targets_get_requests_where_none_is_healthy() -> None:
    assert received(target("i-a", ILL), target("i-b", CHECKING)) == ["i-a", "i-b"]


def test_a_target_that_drains_gets_no_request_even_where_no_other_is_healthy() -> None:
    assert received(target("i-a", HEALTHY, draining=True), target("i-b", ILL)) == ["i-b"]


@pytest.mark.usefixtures("listen")
def test_requests_go_to_the_healthy_targets_in_turn() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a", "i-b", "i-c")
        await site.healthy("i-a", "i-b", "i-c")
        answers = await site.answers(9)
        assert {each: answers.count((200, each)) for each in ("i-a", "i-b", "i-c")} == {"i-a": 3, "i-b": 3, "i-c": 3}

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_without_a_registered_target_the_answer_is_503() -> None:
    async def story(site: Site) -> None:
        assert await site.answers(1) == [(503, "")]

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_a_target_that_fails_its_checks_gets_no_requests_until_it_is_healthy_again() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a", "i-b")
        await site.healthy("i-a", "i-b")
        site.services.set_fault(UNREADY, "i-b")
        await site.healthy("i-a")
        assert set(await site.answers(4)) == {(200, "i-a")}
        site.services.end_fault("i-b")
        await site.healthy("i-a", "i-b")
        assert set(await site.answers(4)) == {(200, "i-a"), (200, "i-b")}
        assert [len(each.healthy) for each in site.balancer.samples] == [0, 1, 2, 1, 2]
        assert {each.registered for each in site.balancer.samples[1:]} == {frozenset({"i-a", "i-b"})}

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_what_a_target_answers_wrongly_is_passed_on() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        site.services.set_fault(FAILING)
        assert await site.answers(1) == [(500, "i-a")]

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_a_target_that_refuses_is_a_bad_gateway() -> None:
    async def story(site: Site) -> None:
        site.services.set_fault(DARK)
        await site.add("i-a")
        assert await site.answers(1) == [(502, "i-a")]

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_a_target_that_takes_too_long_is_a_gateway_timeout() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        site.services.set_fault(slow(3600))
        assert await site.answers(1) == [(504, "i-a")]

    on_a_site(story, idle_timeout=0.05)


@pytest.mark.usefixtures("listen")
def test_what_is_found_is_reported_once_for_each_change_with_its_reason() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        await site.healthy("i-a")
        site.services.set_fault(FAILING)
        await site.healthy()
        found = site.balancer.take_findings()
        assert [(each.state, each.reason) for each in found] == [
            ("initial", "Elb.InitialHealthChecking"),
            ("healthy", ""),
            ("unhealthy", "Target.ResponseCodeMismatch"),
        ]
        assert {(each.instance_id, each.registered) for each in found} == {("i-a", BEGAN)}
        assert site.balancer.take_findings() == []

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_a_check_that_is_not_answered_in_time_fails() -> None:
    async def story(site: Site) -> None:
        site.services.set_fault(slow(3600))
        await site.add("i-a")
        await until(lambda: site.balancer.settled(), "it is known")
        assert site.balancer.take_findings()[-1].reason == "Target.Timeout"

    on_a_site(story, HealthCheck(interval=0.02, timeout=0.05))


@pytest.mark.usefixtures("listen")
def test_a_target_gets_requests_for_a_while_after_it_was_deregistered() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        await site.healthy("i-a")
        await site.drain("i-a", 60)
        assert await site.answers(1) == [(200, "i-a")]
        await site.terminate("i-a")
        assert await site.answers(1) == [(502, "i-a")]

    on_a_site(story, lag=3600)


async def in_hand(site: Site, seconds: float) -> asyncio.Task[object]:
    """A request that the one target has in hand, and takes so long to answer."""
    site.services.set_fault(slow(seconds))
    request = asyncio.create_task(site.ask())
    await until(lambda: any(each.requests for each in site.balancer.targets()), "in hand")
    return request


@pytest.mark.usefixtures("listen")
def test_what_a_draining_target_has_in_hand_is_answered_and_nothing_new_is_sent_to_it() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        await site.healthy("i-a")
        request = await in_hand(site, 0.5)
        await site.drain("i-a", 60)
        assert await site.answers(1) == [(503, "")]
        assert await request == (200, "i-a", b"i-a")

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_a_deregistration_that_is_seen_late_ends_nothing_that_is_in_hand_at_once() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        await site.healthy("i-a")
        request = await in_hand(site, 0.5)
        await site.drain("i-a", 60, ago=3600)
        assert await request == (200, "i-a", b"i-a")

    on_a_site(story)


@pytest.mark.usefixtures("listen")
def test_what_a_target_has_in_hand_ends_with_its_deregistration_delay() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        await site.healthy("i-a")
        request = await in_hand(site, 3600)
        await site.drain("i-a", 0)
        ended = await asyncio.wait_for(request, PATIENCE)
        assert ended == (502, "i-a", b"the deregistration delay was over")

    on_a_site(story, idle_timeout=3600)


@pytest.mark.usefixtures("listen")
def test_a_target_that_is_registered_anew_is_checked_anew() -> None:
    async def story(site: Site) -> None:
        await site.add("i-a")
        await site.healthy("i-a")
        await site.drain("i-a", 0)
        assert site.balancer.healthy() == frozenset()
        again = time.time()
        site.targets["i-a"] = TargetRecord(TARGET_GROUP, "i-a", again, None, None)
        await site.see()
        await site.healthy("i-a")
        assert [(each.registered, each.state) for each in site.balancer.take_findings()][-2:] == [
            (again, "initial"),
            (again, "healthy"),
        ]

    on_a_site(story)
