"""Groups that cannot launch, because of their subnet or because a test says so."""

from __future__ import annotations

from lab.aws.launch_limits import NO_ADDRESS
from unit.refresh_world import RefreshWorld

SUBNET = "subnet-00000001"
QUOTA = "You have requested more vCPU capacity than your current vCPU limit of 8 allows."


def failures(world: RefreshWorld) -> list[str]:
    """What the scaling activities that failed say, the newest first."""
    activities = world.client.describe_scaling_activities(AutoScalingGroupName=world.name)["Activities"]
    return [each["StatusMessage"] for each in activities if each["StatusCode"] == "Failed"]


def test_no_more_is_launched_than_a_subnet_has_addresses_and_the_activity_says_so() -> None:
    world = RefreshWorld(size=1)
    before = world.engine.free_addresses(SUBNET)
    world.engine.leave_free(SUBNET, 2)
    assert world.engine.free_addresses(SUBNET) == 2 < before
    world.scale(5)
    assert (len(world.ids("InService")), world.engine.free_addresses(SUBNET)) == (3, 0)
    assert set(failures(world)) == {f"{NO_ADDRESS} Launching EC2 instance failed."}
    world.engine.limits.clear()
    world.tick()
    assert len(world.ids("InService")) == 5


def test_the_free_addresses_follow_those_that_are_used() -> None:
    world = RefreshWorld(size=0)
    before = world.engine.free_addresses(SUBNET)
    world.scale(3)
    assert world.engine.free_addresses(SUBNET) == before - 3
    world.scale(0)
    assert world.engine.free_addresses(SUBNET) == before


def test_launches_of_a_group_fail_in_the_words_that_a_test_has_for_them() -> None:
    world = RefreshWorld(size=1)
    world.engine.limits.refuse(world.name, QUOTA)
    world.start(ticks=5)
    assert failures(world)[0].startswith(QUOTA)
    assert (world.status(), len(world.ids("InService"))) == ("InProgress", 1)
    world.now += 3600
    world.tick(1)
    found = world.refresh()
    assert (found["Status"], "cannot be launched" in found["StatusReason"]) == ("Failed", True)
    world.engine.limits.refuse(world.name, None)
    world.start()
    world.await_status("Successful")
