"""One job for instances, whatever other processes launch for them at the same moment."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from rollcall.hosts.jobs import launch_or_adopt

if TYPE_CHECKING:
    from rollcall.domain.jobs import Job, JobTemplate
    from unit.world import World


def provision(world: World) -> JobTemplate:
    return world.tower.templates["provision"]


def held(world: World, *instance_ids: str) -> dict[str, int]:
    return launch_or_adopt(world.tower, provision(world), world.inventory, instance_ids, world.clock.now)


def active(world: World) -> dict[int, frozenset[str]]:
    """Whom the jobs that run are limited to, by their ids."""
    return {run.job.id: run.job.hosts for run in world.tower.runs.values() if not run.job.status.final}


def test_without_another_job_the_new_one_runs_on_all(world: World) -> None:
    jobs = held(world, "i-a", "i-b")
    assert active(world) == {jobs["i-a"]: {"i-a", "i-b"}}
    assert jobs["i-a"] == jobs["i-b"]


def test_a_younger_job_is_left_to_give_way_by_itself(world: World) -> None:
    # The fake shows a launch only when it has been answered; the other one launches before this one reads the jobs.
    younger: list[Job] = []

    def other_process(method: str) -> None:
        if method == "jobs_holding" and world.tower.calls["launch"] and not younger:
            younger.append(world.tower.add_job(provision(world), world.inventory, "i-a"))

    world.tower.before_call = other_process
    jobs = held(world, "i-a")
    assert jobs["i-a"] < younger[0].id
    assert world.tower.calls["cancel"] == 0


def test_of_several_older_jobs_the_oldest_is_adopted(world: World) -> None:
    older: list[Job] = []

    def other_processes(method: str) -> None:
        if method == "launch" and not older:
            older.extend(world.tower.add_job(provision(world), world.inventory, "i-a") for _ in range(2))

    world.tower.before_call = other_processes
    assert held(world, "i-a") == {"i-a": older[0].id}
    assert world.tower.calls["cancel"] == 1
    assert active(world).keys() == {job.id for job in older}


def test_it_goes_on_until_every_instance_has_one_job_however_often_another_process_is_first(world: World) -> None:
    numbers = count(1)

    def other_processes(method: str) -> None:
        if method == "launch" and (number := next(numbers)) < 3:
            world.tower.add_job(provision(world), world.inventory, f"i-{number}")

    world.tower.before_call = other_processes
    jobs = held(world, "i-1", "i-2", "i-3")
    assert active(world) == {job_id: {instance_id} for instance_id, job_id in jobs.items()}
    assert world.tower.calls["cancel"] == 2
