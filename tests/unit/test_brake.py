"""A broken playbook must not churn a group: after three jobs that provisioned nobody of it, it is held."""

from __future__ import annotations

from dataclasses import replace

from rollcall.model import Outcome, Result

from .world import World, ids

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
    alerts = 0
    waits: list[float] = []
    ended_at = world.clock.now
    while len(waits) < 5:
        job = world.tower.runs[message.job_id or 0].job
        if not job.status.final:
            waits.append(world.clock.now - ended_at)
            world.tower.end_job(job.id, {"i-c": FAILED})
            ended_at = world.clock.now
        result = world.look_at(message)
        alerts += len(result.alerts)
        [(message, delay)] = result.next
        world.clock.advance(delay)
    assert alerts == 1
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
    assert world.tower.calls["hosts_named"] == 1
