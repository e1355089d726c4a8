"""A broken playbook must not churn a group: after three jobs that provisioned nobody of it, it is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollcall.gate import JOBS_AT_ONCE, JOBS_LOOKED_BACK
from rollcall.model import Outcome, Result

from .world import World, alerts, ids

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE


def ran(world: World, instance_id: str, outcome: Outcome, group: str = "web") -> None:
    """A job of an instance of the group ended so, and was acted on."""
    message = world.waiting(instance_id, group=group)
    world.tower.end_job(message.job_id or 0, {instance_id: outcome})
    if outcome == FAILED:
        world.look_at(message)


def abandoned(world: World) -> set[str]:
    return {each.instance_id for each, result in world.fleet.completed.items() if result == Result.ABANDON}


def test_the_third_job_in_a_row_that_provisions_nobody_holds_the_group(world: World) -> None:
    for each in ("i-a", "i-b", "i-c"):
        ran(world, each, FAILED)
    assert abandoned(world) == {"i-a", "i-b"}
    assert "i-c" in world.tower.names_in(world.inventory)


def test_a_job_that_provisioned_one_releases_the_group(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", OK)
    ran(world, "i-c", FAILED)
    ran(world, "i-d", FAILED)
    assert abandoned(world) == {"i-a", "i-c", "i-d"}


def test_one_failure_in_a_job_that_provisioned_others_is_the_machines(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    message = world.waiting("i-c", "i-d")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED, "i-d": OK})
    world.look_at(message)
    assert abandoned(world) == {"i-a", "i-b", "i-c"}


def test_the_success_of_another_group_does_not_release_it(world: World) -> None:
    world.group("db")
    for each in ("i-a", "i-b", "i-c"):
        ran(world, each, FAILED)
        ran(world, f"{each}-db", OK, "db")
    assert abandoned(world) == {"i-a", "i-b"}


def test_the_success_of_a_host_that_is_gone_does_not_release_it(world: World) -> None:
    world.group("db")
    for each in ("i-a", "i-b", "i-c"):
        ran(world, each, FAILED)
        ran(world, f"{each}-db", OK, "db")
        world.tower.remove_host(f"{each}-db")
    assert abandoned(world) == {"i-a", "i-b"}


def test_the_failures_of_another_group_do_not_hold_it(world: World) -> None:
    world.group("db", on_failure="hold")
    ran(world, "i-x", FAILED, "db")
    ran(world, "i-y", FAILED, "db")
    ran(world, "i-a", FAILED)
    assert abandoned(world) == {"i-a"}


def test_jobs_that_found_machines_unreachable_count_neither_way(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-u", UNREACHABLE)
    ran(world, "i-b", FAILED)
    ran(world, "i-v", UNREACHABLE)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


def test_unreachable_machines_alone_never_hold_a_group(world: World) -> None:
    for each in ("i-u", "i-v", "i-w"):
        ran(world, each, UNREACHABLE)
    ran(world, "i-a", FAILED)
    assert abandoned(world) == {"i-a"}


def test_a_held_group_alerts_once_tries_again_and_goes_on_when_a_job_succeeds(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    message = world.waiting("i-c")
    told = 0
    waits: list[float] = []
    ended_at = world.clock.now
    while len(waits) < 5:
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            waits.append(world.clock.now - ended_at)
            world.tower.end_job(job.id, {"i-c": FAILED})
            ended_at = world.clock.now
        result = world.look_at(message)
        told += len(alerts(result))
        [(message, delay)] = result.next
        world.clock.advance(delay)
    assert told == 1
    assert waits[1:] == sorted(waits[1:])
    assert waits[-1] > 2 * waits[1]
    assert "i-c" not in abandoned(world)
    while not world.fleet.completed.get(message.waiting[0].action):
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            world.tower.end_job(job.id, {"i-c": OK})
        for sent, delay in world.look_at(message).next:
            message = sent
            world.clock.advance(delay)
    assert world.fleet.completed[message.waiting[0].action] == Result.CONTINUE


def test_a_held_group_gets_its_signs_of_life(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    message = world.waiting("i-c")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED})
    world.look_at(replace(message, heartbeat_at=0))
    assert world.fleet.heartbeats == {"i-c": 1}


def test_asking_whether_a_group_is_held_costs_the_same_for_one_failure_as_for_many(world: World) -> None:
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    names = [f"i-c{number}" for number in range(20)]
    message = world.waiting(*names)
    world.tower.end_job(message.job_id or 0, dict.fromkeys(names, FAILED))
    world.tower.calls.clear()
    [(sent, _)] = world.look_at(message).next
    assert ids(sent) == set(names)
    assert world.tower.calls["jobs_before"] == 1
    assert world.tower.calls["hosts_named"] == 2


def between(world: World, number: int) -> None:
    """So many jobs of another group of the same template went well, and their instances serve."""
    for _ in range(number):
        ran(world, f"i-db{len(world.tower.runs)}", OK, "db")


@pytest.mark.parametrize("others", [0, 6, JOBS_AT_ONCE + 3, 4 * JOBS_AT_ONCE])
def test_the_good_jobs_of_another_group_do_not_hide_a_groups_failures(world: World, others: int) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    between(world, others)
    ran(world, "i-b", FAILED)
    between(world, others)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


def test_a_groups_success_releases_it_however_many_jobs_of_another_group_came_since(world: World) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    ran(world, "i-fine", OK)
    between(world, 2 * JOBS_AT_ONCE)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b", "i-c"}


@pytest.mark.parametrize(("others", "held"), [(JOBS_LOOKED_BACK - 2, True), (JOBS_LOOKED_BACK + JOBS_AT_ONCE, False)])
def test_failures_further_back_than_a_hundred_jobs_are_forgotten(world: World, others: int, held: bool) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    ran(world, "i-b", FAILED)
    between(world, others)
    ran(world, "i-c", FAILED)
    assert ("i-c" not in abandoned(world)) == held


def test_the_jobs_of_another_group_cost_no_look_at_their_outcomes(world: World) -> None:
    world.group("db")
    ran(world, "i-a", FAILED)
    between(world, 3 * JOBS_LOOKED_BACK)
    message = world.waiting("i-c")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED})
    world.tower.calls.clear()
    world.look_at(message)
    assert world.tower.calls["outcomes"] == 1
    assert world.tower.calls["hosts_named"] <= JOBS_LOOKED_BACK / JOBS_AT_ONCE + 1
    assert world.tower.calls["jobs_before"] <= JOBS_LOOKED_BACK / JOBS_AT_ONCE


def test_looking_back_ends_at_the_third_failure(world: World) -> None:
    world.group("db")
    between(world, 5 * JOBS_AT_ONCE)
    for each in ("i-a", "i-b"):
        ran(world, each, FAILED)
    message = world.waiting("i-c")
    world.tower.end_job(message.job_id or 0, {"i-c": FAILED})
    world.tower.calls.clear()
    world.look_at(message)
    assert world.tower.calls["jobs_before"] == 1
    assert world.tower.calls["outcomes"] == 3


def test_the_success_of_a_host_without_the_groups_marker_does_not_release_it(world: World) -> None:
    for each in ("i-a", "i-b", "i-c"):
        other = world.tower.add_host(world.inventory, f"by-hand-{each}")
        job = world.tower.add_job(world.template, world.inventory, other.name)
        world.tower.end_job(job.id, {other.name: OK})
        ran(world, each, FAILED)
    assert abandoned(world) == {"i-a", "i-b"}


def test_the_failure_of_a_host_that_is_gone_counts(world: World) -> None:
    for each in ("i-a", "i-b"):
        ran(world, each, FAILED)
        assert each not in world.tower.names_in(world.inventory)
    ran(world, "i-c", FAILED)
    assert abandoned(world) == {"i-a", "i-b"}
