"""When an instance refresh goes on: warm-up, checkpoints, bake time, and what it does not replace at all."""

from __future__ import annotations

import pytest

from lab.aws import processes
from unit.refresh_world import EVENT, NEW, OLD, RefreshWorld


def checkpoints(world: RefreshWorld) -> list[tuple[str, str]]:
    """The checkpoints that were reported: percentage and delay."""
    return [
        (about["CheckpointPercentage"], about["CheckpointDelay"])
        for kind, about in world.heard.events
        if kind == EVENT + "Checkpoint Reached"
    ]


# Warm-up.


def test_a_new_instance_counts_when_its_warm_up_is_over() -> None:
    world = RefreshWorld(size=1)
    world.start(InstanceWarmup=30, ticks=5)
    (new,) = (one for one, version in world.versions().items() if version == NEW)
    words = f"Waiting for instances to warm up before continuing. For example: {new} is warming up."
    found = world.refresh()
    assert (found["StatusReason"], found["PercentageComplete"], found["InstancesToUpdate"]) == (words, 0, 0)
    assert world.count(OLD) == 1
    world.tick(30)
    assert world.count(OLD) == 0
    assert world.status() == "Successful"


@pytest.mark.parametrize(
    ("settings", "warmup"), [({"HealthCheckGracePeriod": 40}, 40), ({"DefaultInstanceWarmup": 20}, 20)]
)
def test_the_warm_up_is_the_groups_where_the_refresh_names_none(settings: dict[str, int], warmup: int) -> None:
    world = RefreshWorld(size=1)
    world.configure(HealthCheckGracePeriod=40)
    world.configure(**settings)
    world.client.start_instance_refresh(
        AutoScalingGroupName=world.name, Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    )
    world.tick(2)
    new = world.engine.members(world.described())[-1]
    assert new.in_service_since == world.now
    world.tick(warmup - 1)
    assert world.status() == "InProgress"
    world.tick(2)
    assert world.status() == "Successful"


# Checkpoints.


def test_a_checkpoint_holds_the_refresh_for_its_delay() -> None:
    world = RefreshWorld(size=4)
    world.start(CheckpointPercentages=[50, 100], CheckpointDelay=60)
    world.tick(10)
    assert checkpoints(world) == [("50", "60")]
    assert (world.count(OLD), world.count(NEW), world.status()) == (2, 2, "InProgress")
    assert world.refresh()["PercentageComplete"] == 50
    world.tick(45)
    assert world.count(NEW) == 2
    world.tick(10)
    assert world.status() == "Successful"
    assert checkpoints(world) == [("50", "60")], "the last one is not reported"


def test_a_batch_is_no_larger_than_the_next_checkpoint_allows() -> None:
    world = RefreshWorld(size=4)
    world.start(CheckpointPercentages=[25, 100], CheckpointDelay=60, MaxHealthyPercentage=200)
    world.tick(10)
    assert (world.count(NEW), world.count(OLD)) == (1, 3)


def test_only_the_highest_of_the_checkpoints_that_are_reached_at_once_is_reported() -> None:
    world = RefreshWorld(size=2)
    world.start(CheckpointPercentages=[10, 40, 100], CheckpointDelay=60, ticks=10)
    assert checkpoints(world) == [("40", "60")]


def test_a_refresh_whose_last_checkpoint_is_below_100_leaves_the_others_as_they_are() -> None:
    world = RefreshWorld(size=4)
    world.start(CheckpointPercentages=[50], CheckpointDelay=5)
    world.await_status("Successful")
    assert (world.count(OLD), world.count(NEW)) == (2, 2)


def test_an_instance_that_is_lost_at_a_checkpoint_is_replaced_by_a_new_one() -> None:
    world = RefreshWorld(size=4)
    world.start(CheckpointPercentages=[50, 100], CheckpointDelay=1000, ticks=10)
    lost = next(one for one, version in world.versions().items() if version == OLD)
    world.client.terminate_instance_in_auto_scaling_group(InstanceId=lost, ShouldDecrementDesiredCapacity=False)
    world.tick()
    assert (world.count(OLD), world.count(NEW)) == (1, 3)


# Bake time.


def test_a_refresh_bakes_before_it_has_succeeded() -> None:
    world = RefreshWorld(size=1)
    world.start(BakeTime=50)
    found = world.await_status("Baking")
    assert found["PercentageComplete"] == 100
    assert world.described()["LaunchTemplate"]["Version"] == OLD
    world.tick(40)
    assert world.status() == "Baking"
    world.tick(12)
    assert world.status() == "Successful"
    assert world.described()["LaunchTemplate"]["Version"] == NEW
    assert world.reported() == ["Started", "Started Baking", "Succeeded"]


# Skip matching.


def test_what_matches_is_not_replaced() -> None:
    world = RefreshWorld(size=2)
    world.start()
    world.await_status("Successful")
    kept = set(world.ids("InService"))
    world.scale(2)
    world.configure(LaunchTemplate={"LaunchTemplateName": world.name, "Version": OLD})
    world.scale(4)
    assert (world.count(OLD), world.count(NEW)) == (2, 2)
    world.start(SkipMatching=True)
    assert world.refresh()["InstancesToUpdate"] == 2
    world.await_status("Successful")
    assert world.count(NEW) == 4
    assert kept < set(world.ids("InService"))


def test_a_refresh_that_would_replace_nothing_succeeds_at_once() -> None:
    world = RefreshWorld(size=3)
    before = list(world.states())
    world.start(OLD, SkipMatching=True, CheckpointPercentages=[50, 100], ticks=1)
    assert world.status() == "Successful"
    assert list(world.states()) == before
    assert world.reported() == ["Started", "Succeeded"]


def test_an_alias_matches_the_version_that_it_is_now() -> None:
    world = RefreshWorld(size=2, version="$Latest")
    world.start("$Latest", SkipMatching=True, ticks=1)
    assert world.status() == "Successful"
    world.new_version({"ImageId": "ami-3"})
    world.start("$Latest", SkipMatching=True)
    world.await_status("Successful")
    assert set(world.versions().values()) == {"3"}


# Processes.


def test_nothing_is_replaced_while_refreshes_are_suspended() -> None:
    world = RefreshWorld(size=2)
    world.client.suspend_processes(AutoScalingGroupName=world.name, ScalingProcesses=["InstanceRefresh"])
    world.start(ticks=20)
    assert (world.status(), world.count(NEW)) == ("Pending", 0)
    world.client.resume_processes(AutoScalingGroupName=world.name, ScalingProcesses=["InstanceRefresh"])
    world.await_status("Successful")


@pytest.mark.parametrize("process", ["Launch", "Terminate"])
def test_a_refresh_waits_for_a_process_that_is_suspended_and_fails_when_it_waited_too_long(process: str) -> None:
    world = RefreshWorld(size=1)
    world.client.suspend_processes(AutoScalingGroupName=world.name, ScalingProcesses=[process])
    world.start(ticks=10)
    assert (world.count(OLD), world.status()) == (1, "InProgress")
    assert process in world.refresh()["StatusReason"]
    world.now += 3600
    world.tick(1)
    assert world.status() == "Failed"


def test_suspended_processes_are_shown_and_all_are_meant_where_none_is_named() -> None:
    world = RefreshWorld(size=0)
    world.client.suspend_processes(AutoScalingGroupName=world.name, ScalingProcesses=["Launch"])
    (shown,) = world.described()["SuspendedProcesses"]
    assert shown["ProcessName"] == "Launch"
    assert shown["SuspensionReason"].startswith("User suspended at 20")
    world.client.suspend_processes(AutoScalingGroupName=world.name)
    assert {each["ProcessName"] for each in world.described()["SuspendedProcesses"]} == set(processes.PROCESSES)
    world.client.resume_processes(AutoScalingGroupName=world.name)
    assert world.described()["SuspendedProcesses"] == []


def test_a_group_whose_launches_or_terminations_are_suspended_keeps_its_size() -> None:
    world = RefreshWorld(size=2)
    world.client.suspend_processes(AutoScalingGroupName=world.name, ScalingProcesses=["Launch", "Terminate"])
    for size in (3, 1):
        world.scale(size)
        assert len(world.ids("InService")) == 2
    world.client.resume_processes(AutoScalingGroupName=world.name)
    world.tick()
    assert len(world.ids("InService")) == 1
