"""Instance refreshes of the embedded Auto Scaling replace instances as those of AWS do."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from unit.refresh_world import NEW, OLD, RefreshWorld


def lowest(world: RefreshWorld) -> int:
    """The fewest instances that were in service after the group first had all of them."""
    serving, seen = 0, []
    in_service: set[str] = set()
    for each in world.engine.transitions:
        if each.state == "InService":
            in_service.add(each.instance_id)
        else:
            in_service.discard(each.instance_id)
        serving = max(serving, len(in_service))
        seen.append((serving, len(in_service)))
    most = next(index for index, (best, _) in enumerate(seen) if best >= int(world.described()["DesiredCapacity"]))
    return min(now for _, now in seen[most:])


# The plain case.


def test_all_are_replaced_two_at_a_time_and_never_fewer_serve() -> None:
    world = RefreshWorld("launch", size=4)
    before = set(world.states())
    world.start(ticks=1)
    assert (world.status(), world.count(NEW), len(world.ids("InService"))) == ("InProgress", 2, 4)
    world.tick()
    assert len(world.ids("InService")) == 4, "nothing goes while the new ones are held by a hook"
    world.let_in()
    assert (world.count(OLD), world.count(NEW)) == (2, 4)
    world.let_in()
    found = world.await_status("Successful")
    assert (found["PercentageComplete"], found["InstancesToUpdate"]) == (100, 0)
    assert set(world.versions().values()) == {NEW}
    assert not before & set(world.ids("InService"))
    assert lowest(world) == 4
    assert world.reported() == ["Started", "Succeeded"]


def test_the_group_is_saved_with_the_new_configuration_only_after_it_succeeded() -> None:
    world = RefreshWorld("launch", size=2)
    world.start(ticks=5)
    assert world.described()["LaunchTemplate"]["Version"] == OLD
    for _ in range(2):
        world.let_in()
    world.await_status("Successful")
    assert world.described()["LaunchTemplate"]["Version"] == NEW


@pytest.mark.parametrize("size", [0, 1, 2, 3, 10])
def test_groups_of_any_size_are_replaced_without_a_gap(size: int) -> None:
    world = RefreshWorld(size=size)
    world.start(MaxHealthyPercentage=200 if size == 1 else 110)
    world.await_status("Successful")
    assert list(world.versions().values()) == [NEW] * size
    assert size == 0 or lowest(world) == size


def test_without_a_maximum_an_instance_goes_when_its_successor_is_launched() -> None:
    world = RefreshWorld("launch", size=2)
    world.client.start_instance_refresh(
        AutoScalingGroupName=world.name, Preferences={"MinHealthyPercentage": 100, "InstanceWarmup": 0}
    )
    world.tick(3)
    assert (len(world.ids("InService")), len(world.ids("Pending:Wait"))) == (1, 1)
    for _ in range(2):
        world.let_in()
    world.await_status("Successful")
    assert lowest(world) == 1


def test_a_maximum_of_100_that_is_given_launches_first() -> None:
    world = RefreshWorld("launch", size=2)
    world.start(MaxHealthyPercentage=100, ticks=3)
    assert (len(world.ids("InService")), len(world.ids("Pending:Wait"))) == (2, 1)


def test_the_causes_of_launches_and_terminations_name_the_refresh() -> None:
    world = RefreshWorld(size=1)
    world.start()
    world.await_status("Successful")
    world.tick()
    activities = world.client.describe_scaling_activities(AutoScalingGroupName=world.name)["Activities"]
    causes = {each["Description"].split(" ")[0]: each["Cause"] for each in reversed(activities)}
    assert causes["Terminating"].endswith("an instance was taken out of service in response to an instance refresh.")
    assert causes["Launching"].endswith("an instance was launched in response to an instance refresh.")


def test_a_second_refresh_is_refused_while_one_goes_on() -> None:
    world = RefreshWorld("launch", size=1)
    world.start()
    with pytest.raises(ClientError) as refused:
        world.start()
    assert refused.value.response["Error"]["Code"] == "InstanceRefreshInProgress"


def test_without_a_desired_configuration_the_groups_own_is_launched_anew() -> None:
    world = RefreshWorld(size=2)
    before = set(world.states())
    world.start(None)
    world.await_status("Successful")
    assert list(world.versions().values()) == [OLD] * 2
    assert not before & set(world.versions())
