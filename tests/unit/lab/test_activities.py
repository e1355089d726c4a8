"""The embedded Auto Scaling describes what its groups did with their instances, from the beginning to the end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from unit.auto_scaling_world import BEGINNING, World

LAUNCH, TERMINATION = "Launching a new EC2 instance", "Terminating EC2 instance"


def described(world: World, **which: Any) -> list[Any]:
    answer = world.client.describe_scaling_activities(**({"AutoScalingGroupName": world.name} | which))
    return list(answer["Activities"])


def whats(found: list[Any]) -> list[tuple[str, str]]:
    """What each is about, and how it stands."""
    return [(each["Description"].partition(":")[0], each["StatusCode"]) for each in found]


def test_a_launch_is_in_progress_until_the_instance_serves() -> None:
    world = World("launch")
    world.scale(1)
    (launch,) = described(world)
    assert (launch["StatusCode"], launch["Progress"], launch.get("EndTime")) == ("InProgress", 0, None)
    world.answer("launch", InstanceId=world.one("Pending:Wait"))
    (launch,) = described(world)
    assert (launch["StatusCode"], launch["Progress"]) == ("Successful", 100)
    assert launch["EndTime"] > launch["StartTime"]


def test_a_termination_is_one_too_and_what_is_in_progress_comes_first() -> None:
    world = World("terminate")
    world.scale(1)
    instance = world.one("InService")
    world.scale(0)
    assert whats(described(world)) == [(TERMINATION, "InProgress"), (LAUNCH, "Successful")]
    world.answer("terminate", InstanceId=instance)
    assert whats(described(world)) == [(TERMINATION, "Successful"), (LAUNCH, "Successful")]


@pytest.mark.parametrize(("answered", "reason"), [(True, "ABANDON Result"), (False, "Heartbeat Timeout")])
def test_a_launch_that_is_abandoned_has_failed_and_says_why(answered: bool, reason: str) -> None:
    world = World("launch")
    world.scale(1)
    instance = world.one("Pending:Wait")
    world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=0)
    if answered:
        world.client.complete_lifecycle_action(
            AutoScalingGroupName=world.name,
            LifecycleHookName="launch",
            LifecycleActionResult="ABANDON",
            InstanceId=instance,
        )
    else:
        world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=1)
        world.now += 300
    world.tick()
    found = [each for each in described(world) if instance in each["Description"]]
    assert sorted(whats(found)) == [(LAUNCH, "Failed"), (TERMINATION, "Successful")]
    (launch,) = (each for each in found if each["StatusCode"] == "Failed")
    assert launch["StatusMessage"].endswith(reason)
    assert launch["Description"].startswith(f"{LAUNCH}: {instance}. Status Reason: ")


def test_what_a_caller_began_is_what_is_described() -> None:
    world = World()
    world.scale(1)
    instance = world.one("InService")
    client = world.client
    moved = client.enter_standby(
        AutoScalingGroupName=world.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
    )
    world.tick()
    back = client.exit_standby(AutoScalingGroupName=world.name, InstanceIds=[instance])
    world.tick()
    ended = client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)
    world.tick()
    begun = [ended["Activity"], back["Activities"][0], moved["Activities"][0]]
    assert [each["ActivityId"] for each in described(world)[:3]] == [each["ActivityId"] for each in begun]
    assert {each["StatusCode"] for each in described(world)} == {"Successful"}


def test_a_filter_leaves_out_what_began_before_or_after() -> None:
    world = World()
    world.scale(1)
    between = datetime.fromtimestamp(world.now, UTC).isoformat()
    world.scale(0)
    for bound, what in (("StartTimeLowerBound", TERMINATION), ("StartTimeUpperBound", LAUNCH)):
        assert whats(described(world, Filters=[{"Name": bound, "Values": [between]}])) == [(what, "Successful")]
    never = datetime.fromtimestamp(BEGINNING, UTC).isoformat()
    assert described(world, Filters=[{"Name": "StartTimeUpperBound", "Values": [never]}]) == []


def test_those_of_a_deleted_group_are_described_only_where_they_are_asked_for() -> None:
    world = World()
    world.scale(1)
    world.client.delete_auto_scaling_group(AutoScalingGroupName=world.name, ForceDelete=True)
    world.tick()
    with pytest.raises(world.client.exceptions.ClientError, match="not found"):
        described(world)
    assert [what for what, _ in whats(described(world, IncludeDeletedGroups=True))] == [TERMINATION, LAUNCH]
    everywhere = world.client.describe_scaling_activities(IncludeDeletedGroups=True)["Activities"]
    assert [what for what, _ in whats(everywhere)] == [TERMINATION, LAUNCH]
    assert world.client.describe_scaling_activities()["Activities"] == []
