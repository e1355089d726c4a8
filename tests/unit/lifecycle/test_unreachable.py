"""Only jobs that tried an instance and did not reach it speak for its being unreachable."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.jobs import JobStatus, Outcome
from rollcall.domain.messages import GateMessage
from rollcall.lifecycle.gate_observer import EARLIER_EXAMINED
from unit.world import World

OK, FAILED, CUT_SHORT, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.CUT_SHORT, Outcome.UNREACHABLE
TIMEOUT = 1800.0  # seconds, of the group


def ran(
    world: World, *instance_ids: str, seconds: float = 10, status: JobStatus | None = None, **outcomes: Outcome
) -> int:
    """A job over these instances took so many seconds and ended so; its id."""
    job = world.tower.add_job(world.template, world.inventory, *instance_ids)
    world.clock.advance(seconds)
    by_name = {name.replace("_", "-"): outcome for name, outcome in outcomes.items()}
    world.tower.end_job(job.id, by_name, *([status] if status else []))
    return job.id


def reached_none(world: World, instance_ids: list[str], seconds: float = 10) -> int:
    """A job over these instances took so many seconds and reached none of them; its id."""
    job = world.tower.add_job(world.template, world.inventory, *instance_ids)
    world.clock.advance(seconds)
    world.tower.end_job(job.id, dict.fromkeys(instance_ids, UNREACHABLE))
    return job.id


def waiting(world: World, *instance_ids: str) -> GateMessage:
    """Instances that no job has tried yet."""
    message = world.waiting(*instance_ids)
    world.tower.runs.pop(message.job_id or 0)
    return message


def evaluate(world: World, message: GateMessage, job_id: int) -> None:
    world.evaluate_one(replace(message, job_id=job_id, heartbeat_at=world.clock.now))


def abandoned(world: World) -> set[str]:
    return {each.instance_id for each, result in world.fleet.completed.items() if result == Result.ABANDON}


@pytest.mark.parametrize("status", [JobStatus.CANCELED, JobStatus.ERROR])
def test_a_job_that_tried_no_host_is_no_try(world: World, status: JobStatus) -> None:
    message = waiting(world, "i-a")
    ran(world, "i-a", seconds=2 * TIMEOUT + 1, status=status)
    evaluate(world, message, ran(world, "i-a", i_a=UNREACHABLE))
    assert not world.fleet.completed


def test_a_job_whose_batch_with_the_instance_never_began_is_no_try(world: World) -> None:
    message = waiting(world, "i-a")
    ran(world, "i-a", "i-b", seconds=2 * TIMEOUT, i_a=CUT_SHORT, i_b=FAILED)
    evaluate(world, message, ran(world, "i-a", i_a=UNREACHABLE))
    assert not world.fleet.completed


def test_the_time_counts_from_the_start_of_the_first_job_that_did_not_reach_it(world: World) -> None:
    message = waiting(world, "i-a")
    ran(world, "i-a", seconds=TIMEOUT, status=JobStatus.ERROR)
    ran(world, "i-a", seconds=TIMEOUT - 20, i_a=UNREACHABLE)
    evaluate(world, message, last := ran(world, "i-a", i_a=UNREACHABLE))
    assert not world.fleet.completed
    world.clock.advance(10)
    evaluate(world, message, last)
    assert abandoned(world) == {"i-a"}


def test_each_instance_of_a_job_has_tries_of_its_own(world: World) -> None:
    message = waiting(world, "i-a", "i-b", "i-ok")
    ran(world, "i-a", "i-b", seconds=2 * TIMEOUT, i_a=CUT_SHORT, i_b=UNREACHABLE)
    ran(world, "i-ok", i_ok=OK)
    evaluate(world, message, ran(world, "i-a", "i-b", i_a=UNREACHABLE, i_b=UNREACHABLE))
    assert abandoned(world) == {"i-b"}


def test_earlier_jobs_are_read_only_once_they_may_decide_and_then_a_few_for_all_instances(world: World) -> None:
    ids = [f"i-{number}" for number in range(50)]
    message = waiting(world, *ids)
    reached_none(world, ids)
    last = reached_none(world, ids)
    world.tower.calls.clear()
    evaluate(world, message, last)
    assert world.tower.calls["outcomes"] == 1
    for _ in range(10):
        last = reached_none(world, ids, TIMEOUT)
    world.tower.calls.clear()
    world.group("web", timeout="172800")
    evaluate(world, message, last)
    assert world.tower.calls["outcomes"] == 1
    world.group("web")
    evaluate(world, message, last)
    assert world.tower.calls["outcomes"] <= 1 + 1 + EARLIER_EXAMINED + 3  # those of the circuit breaker


def test_what_became_of_its_first_jobs_does_not_keep_an_instance_for_ever(world: World) -> None:
    message = waiting(world, "i-a")
    for _ in range(3 * EARLIER_EXAMINED):
        ran(world, "i-a", seconds=100, i_a=CUT_SHORT)
    for _ in range(3 * EARLIER_EXAMINED):
        last = ran(world, "i-a", seconds=TIMEOUT / 2, i_a=UNREACHABLE)
    evaluate(world, message, last)
    assert abandoned(world) == {"i-a"}
