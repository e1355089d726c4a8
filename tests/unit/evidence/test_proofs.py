"""Whether an instance is proven: by what its job showed of it, and not by how the job ended."""

from __future__ import annotations

import pytest

from rollcall.checks.registry import read_group_settings
from rollcall.domain.groups import Group, GroupSettings
from rollcall.domain.jobs import Outcome
from rollcall.evidence.proofs import proofs, unproven
from unit.world import World


@pytest.fixture
def world() -> World:
    made = World()
    made.group("web")
    return made


def settings(**tags: str) -> GroupSettings:
    found = read_group_settings(
        Group("web", {f"rollcall:{key.replace('_', '-')}": value for key, value in tags.items()}, {})
    )
    assert found
    return found


def reasons(world: World, *instance_ids: str) -> dict[str, str]:
    return unproven(world.tower, world.evidence, settings(inventory="prod", job_template="provision"), instance_ids)


def test_whose_job_was_ok_is_proven_and_all_others_are_not(world: World) -> None:
    ended = world.waiting("i-ok", "i-failed", "i-dark")
    world.end(ended, i_ok=Outcome.OK, i_failed=Outcome.FAILED, i_dark=Outcome.UNREACHABLE)
    running = world.waiting("i-running")
    world.host_of("i-new", "10.0.0.9")
    assert reasons(world, "i-ok", "i-failed", "i-dark", "i-running", "i-new", "i-unknown") == {
        "i-dark": f"job {ended.job_id} could not reach it",
        "i-failed": f"job {ended.job_id} failed on it",
        "i-new": "it has no job yet",
        "i-running": f"job {running.job_id} is not over",
        "i-unknown": "it has no host in Tower",
    }


def test_a_job_of_an_earlier_stint_proves_nothing(world: World) -> None:
    came_back = {"rollcall": {"group": "web", "stint": {"since": world.clock.now + 100, "token": ""}}}
    world.tower.add_host(world.inventory, "i-back", variables=came_back)
    ended = world.waiting("i-ok", "i-back")
    world.end(ended, i_ok=Outcome.OK, i_back=Outcome.OK)
    assert reasons(world, "i-ok", "i-back") == {"i-back": "it has no job yet"}
    assert reasons(world, "i-back") == {"i-back": "it has no job yet"}


def test_without_a_job_template_nothing_proves_anything(world: World) -> None:
    found = unproven(world.tower, world.evidence, settings(inventory="prod"), ["i-a"])
    assert found == {"i-a": "its group has no job template"}


def test_what_a_job_showed_in_a_former_stay_proves_nothing_of_one_that_comes_out_of_the_pool(world: World) -> None:
    ended = world.waiting("i-a")
    world.end(ended, i_a=Outcome.OK)
    assert reasons(world, "i-a") == {}
    (host,) = world.tower.hosts.values()
    world.tower.hosts[host.id] = host._replace(variables={"rollcall": {"group": "web", "resting": {"since": 1}}})
    assert reasons(world, "i-a") == {"i-a": "it has no host in Tower"}


def test_what_tower_still_processes_is_neither_yes_nor_no(world: World) -> None:
    ended = world.waiting("i-a")
    world.end(ended, processed=False, i_a=Outcome.OK)
    proof = proofs(world.tower, world.evidence, settings(inventory="prod", job_template="provision"), ["i-a"])["i-a"]
    assert proof.pending
    assert proof.why_unproven() == f"what job {ended.job_id} showed is not known yet"
