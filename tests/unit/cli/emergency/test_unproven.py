"""Which of the instances that an emergency let in nothing has proven."""

from __future__ import annotations

import pytest

from rollcall.checks.registry import read_group_settings
from rollcall.domain.groups import Group, GroupSettings
from rollcall.domain.jobs import Outcome
from rollcall_cli.emergency import run
from rollcall_cli.emergency.run import find_unproven
from rollcall_cli.emergency.unproven import arrived_since, unproven
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World as AutoScalingWorld
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


def test_without_a_job_template_nothing_proves_anything(world: World) -> None:
    found = unproven(world.tower, world.evidence, settings(inventory="prod"), ["i-a"])
    assert found == {"i-a": "its group has no job template"}


def test_who_came_is_read_from_the_activities() -> None:
    aws = AutoScalingWorld("launch")
    aws.scale(2)
    assert arrived_since(aws.client, aws.name, 0) == set(aws.states())


@pytest.mark.parametrize("tower_is_away", [False, True])
def test_an_instance_let_in_a_moment_ago_is_listed_though_it_does_not_serve_yet(
    world: World, monkeypatch: pytest.MonkeyPatch, tower_is_away: bool
) -> None:
    aws = AutoScalingWorld("launch")
    aws.scale(2)
    waiting, leaving = aws.ids("Pending:Wait")
    group = ScalingGroup(aws.client, aws.name)
    group.set_tags({"rollcall:inventory": "prod", "rollcall:job-template": "provision"})
    aws.client.complete_lifecycle_action(
        AutoScalingGroupName=aws.name, LifecycleHookName="launch", InstanceId=leaving, LifecycleActionResult="ABANDON"
    )
    aws.tick(1)
    world.tower.unavailable = tower_is_away
    monkeypatch.setattr(run, "tower_of", lambda parameters: world.tower)
    monkeypatch.setattr(run, "JobEvidence", lambda tower: world.evidence)
    found = find_unproven(aws.client, {}, group.read(), 0, [waiting, leaving])
    assert found.reasons == {waiting: "not known" if tower_is_away else "it has no host in Tower"}
    assert bool(found.doubt) == tower_is_away
