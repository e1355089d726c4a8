"""Which instances came since an emergency began, and which of them nothing has proven."""

from __future__ import annotations

import pytest

from rollcall_cli.emergency import arrivals, run
from rollcall_cli.emergency.arrivals import Arrived, arrived_since
from rollcall_cli.emergency.run import find_unproven
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World as AutoScalingWorld
from unit.world import World


@pytest.fixture
def world() -> World:
    made = World()
    made.group("web")
    return made


def test_who_came_is_told_by_the_activities() -> None:
    aws = AutoScalingWorld("launch")
    aws.scale(2)
    assert arrived_since(aws.client, aws.name, 0).instance_ids == set(aws.states())


def test_who_waited_already_when_it_began_has_come_since_and_who_served_has_not() -> None:
    aws = AutoScalingWorld("launch")
    aws.scale(1)
    old = aws.one("Pending:Wait")
    aws.answer("launch", InstanceId=old)
    aws.scale(2)
    waited = aws.one("Pending:Wait")
    aws.scale(3)
    (waits,) = set(aws.ids("Pending:Wait")) - {waited}
    aws.tick(60)
    began = aws.now
    aws.tick(60)
    aws.answer("launch", InstanceId=waited)
    assert set(aws.ids("InService")) == {old, waited}
    came = arrived_since(aws.client, aws.name, began)
    assert came == Arrived(frozenset({waited, waits}), complete=True)


def test_activities_of_long_ago_are_not_read_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = AutoScalingWorld("launch")
    aws.scale(3)
    for each in aws.ids("Pending:Wait"):
        aws.answer("launch", InstanceId=each)
    monkeypatch.setattr(arrivals, "ACTIVITIES_MAX", 2)
    assert not arrived_since(aws.client, aws.name, aws.now - 1000).complete
    assert arrived_since(aws.client, aws.name, aws.now + arrivals.HELD_MAX + 1000).complete


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
