"""Instance refreshes of groups that are not plain: protection, Standby, pools, policies, and changes meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.lifecycle import READY
from lab.aws.ministack import Record
from lab.aws.refresh import Rules
from unit.refresh_world import NEW, OLD, RefreshWorld

HOUR = 3600  # seconds


def oldest(world: RefreshWorld) -> str:
    """The oldest instance in service."""
    return world.ids("InService")[0]


def protect(world: RefreshWorld, instance: str, *, protected: bool = True) -> None:
    world.client.set_instance_protection(
        AutoScalingGroupName=world.name, InstanceIds=[instance], ProtectedFromScaleIn=protected
    )


def stand_by(world: RefreshWorld, instance: str) -> None:
    world.client.enter_standby(
        AutoScalingGroupName=world.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
    )
    world.tick()


# Protected and Standby instances.


def test_protection_is_shown_and_keeps_an_instance_from_scale_in() -> None:
    world = RefreshWorld(size=2)
    instance = oldest(world)
    protect(world, instance)
    assert [each["ProtectedFromScaleIn"] for each in world.described()["Instances"]] == [True, False]
    world.scale(0)
    assert list(world.states()) == [instance]


def test_protected_instances_are_replaced_if_the_refresh_says_so() -> None:
    world = RefreshWorld(size=2)
    protect(world, oldest(world))
    world.start(ScaleInProtectedInstances="Refresh")
    world.await_status("Successful")
    assert set(world.versions().values()) == {NEW}


def test_protected_instances_are_ignored_if_the_refresh_says_so() -> None:
    world = RefreshWorld(size=3)
    instance = oldest(world)
    protect(world, instance)
    world.start(ScaleInProtectedInstances="Ignore")
    assert world.refresh()["InstancesToUpdate"] == 2
    found = world.await_status("Successful")
    assert (world.count(NEW), world.versions()[instance], found["PercentageComplete"]) == (2, OLD, 100)


def test_a_refresh_waits_an_hour_for_protected_instances_and_replaces_the_others_meanwhile() -> None:
    world = RefreshWorld(size=3)
    instance = oldest(world)
    protect(world, instance)
    world.start(ticks=20)
    found = world.refresh()
    assert (found["Status"], world.count(NEW), world.count(OLD)) == ("InProgress", 2, 1)
    assert found["StatusReason"].startswith(f"{instance} is protected from scale in")
    world.now += HOUR - 100
    world.tick(1)
    protect(world, instance, protected=False)
    world.await_status("Successful")
    assert world.count(NEW) == 3


def test_a_refresh_fails_when_it_waited_an_hour_for_a_protected_instance() -> None:
    world = RefreshWorld(size=1)
    protect(world, oldest(world))
    world.start(ticks=5)
    world.now += HOUR
    world.tick(1)
    assert (world.status(), world.count(OLD, "InService")) == ("Failed", 1)


@pytest.mark.parametrize(("choice", "left"), [("Terminate", []), ("Ignore", ["Standby"])])
def test_what_becomes_of_instances_in_standby_is_what_the_refresh_says(choice: str, left: list[str]) -> None:
    world = RefreshWorld(size=3)
    instance = oldest(world)
    stand_by(world, instance)
    world.start(StandbyInstances=choice)
    world.await_status("Successful")
    world.tick()
    assert world.count(NEW, "InService") == 2
    assert [state for one, state in world.states().items() if one == instance] == left


def test_a_refresh_waits_an_hour_for_instances_in_standby() -> None:
    world = RefreshWorld(size=2)
    instance = oldest(world)
    stand_by(world, instance)
    world.engine.refreshes.rules = Rules(retry_seconds=60)
    world.start(ticks=20)
    assert world.refresh()["StatusReason"].startswith(f"{instance} is in Standby")
    assert (world.status(), world.refresh()["InstancesToUpdate"]) == ("InProgress", 1)
    world.client.exit_standby(AutoScalingGroupName=world.name, InstanceIds=[instance])
    world.await_status("Successful")
    assert world.count(NEW) == 2
    stand_by(world, oldest(world))
    world.start(None)
    found = world.await_status("Failed")
    assert "Standby" in found["StatusReason"]


# What happens meanwhile.


def test_scale_out_meanwhile_launches_the_new_version() -> None:
    world = RefreshWorld("launch", size=2)
    world.start(ticks=2)
    world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=4)
    world.tick(3)
    assert world.count(NEW) >= 3
    for _ in range(4):
        world.let_in()
    world.await_status("Successful")
    assert list(world.versions().values()) == [NEW] * 4


def test_scale_in_meanwhile_is_followed() -> None:
    world = RefreshWorld("launch", size=6)
    world.start(ticks=2)
    world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=2)
    for _ in range(4):
        world.let_in()
    world.await_status("Successful")
    assert list(world.versions().values()) == [NEW] * 2


def test_an_instance_that_is_terminated_by_hand_meanwhile_is_replaced_by_the_new_version() -> None:
    world = RefreshWorld("launch", size=3)
    world.start(ticks=2)
    world.client.terminate_instance_in_auto_scaling_group(
        InstanceId=oldest(world), ShouldDecrementDesiredCapacity=False
    )
    for _ in range(4):
        world.let_in()
    world.await_status("Successful")
    assert list(world.versions().values()) == [NEW] * 3


def test_a_new_instance_that_becomes_unhealthy_is_replaced_before_the_refresh_goes_on() -> None:
    world = RefreshWorld(size=2)
    world.start(InstanceWarmup=50, ticks=5)
    sick = next(one for one, version in world.versions().items() if version == NEW)
    world.client.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    world.tick(40)
    assert (world.count(OLD), world.count(NEW)) == (2, 1)
    world.await_status("Successful")
    assert sick not in world.versions()


def test_whether_a_refresh_ends_before_the_last_old_instance_is_gone_is_a_rule_of_the_lab() -> None:
    for awaits in (False, True):
        world = RefreshWorld("launch", "terminate", size=1)
        world.engine.refreshes.rules = Rules(awaits_terminations=awaits)
        world.start(ticks=2)
        world.let_in()
        assert world.ids("Terminating:Wait")
        assert world.status() == ("InProgress" if awaits else "Successful")
        world.answer("terminate", InstanceId=world.one("Terminating:Wait"))
        assert world.status() == "Successful"


# Warm pools.


def pooled() -> RefreshWorld:
    world = RefreshWorld(size=2)
    world.put_pool(MaxGroupPreparedCapacity=4)
    assert len(world.ids("Warmed:Stopped")) == 2
    return world


def in_pool(world: RefreshWorld) -> list[str]:
    """The versions of the members of the pool that are ready."""
    answer = world.client.describe_warm_pool(AutoScalingGroupName=world.name)
    return [each["LaunchTemplate"]["Version"] for each in answer["Instances"] if each["LifecycleState"] in READY]


def test_the_warm_pool_is_replaced_after_those_in_service() -> None:
    world = pooled()
    world.start(InstanceWarmup=30, ticks=10)
    assert in_pool(world) == [OLD, OLD]
    details = world.refresh()["ProgressDetails"]
    assert details["WarmPoolProgress"] == {"PercentageComplete": 0, "InstancesToUpdate": 2}
    found = world.await_status("Successful")
    assert (in_pool(world), world.count(NEW, "InService")) == ([NEW, NEW], 2)
    done = {"PercentageComplete": 100, "InstancesToUpdate": 0}
    assert found["ProgressDetails"] == {"LivePoolProgress": done, "WarmPoolProgress": done}


def test_nothing_outdated_is_taken_from_the_pool_during_a_refresh() -> None:
    world = pooled()
    world.start(InstanceWarmup=30, ticks=2)
    world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=3)
    world.await_status("Successful")
    assert set(world.versions().values()) == {NEW}
    assert in_pool(world) == [NEW]


def test_a_rollback_replaces_the_pool_too() -> None:
    world = pooled()
    world.start(BakeTime=100)
    world.await_status("Baking")
    world.client.rollback_instance_refresh(AutoScalingGroupName=world.name)
    found = world.await_status("RollbackSuccessful")
    assert (in_pool(world), world.count(OLD, "InService")) == ([OLD, OLD], 2)
    assert "ProgressDetailsOnRollback" in found["RollbackDetails"]


# Mixed instances policies.


def policy(world: RefreshWorld, version: str, *overrides: Record) -> Record:
    base = {"LaunchTemplateName": world.name, "Version": version}
    return {"LaunchTemplate": {"LaunchTemplateSpecification": base, "Overrides": list(overrides)}}


def start_policy(world: RefreshWorld, wanted: Record, **preferences: Any) -> None:
    world.client.start_instance_refresh(
        AutoScalingGroupName=world.name,
        DesiredConfiguration={"MixedInstancesPolicy": wanted},
        Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "InstanceWarmup": 0, **preferences},
    )


def test_a_group_with_a_policy_launches_each_override_in_turn_and_shows_it() -> None:
    world = RefreshWorld(size=0)
    own = {"LaunchTemplateSpecification": {"LaunchTemplateName": world.name, "Version": "2"}}
    world.configure(
        MixedInstancesPolicy=policy(
            world, OLD, {"InstanceType": "m5.large"}, {"InstanceType": "c7g.large", "ImageId": "ami-arm", **own}
        )
    )
    world.scale(2)
    first, second = world.described()["Instances"]
    assert (first["InstanceType"], first["LaunchTemplate"]["Version"]) == ("m5.large", "1")
    assert (second["InstanceType"], second["LaunchTemplate"]["Version"], second["ImageId"]) == (
        *("c7g.large", "2"),
        "ami-arm",
    )
    assert "LaunchTemplate" not in world.described()
    shown = world.described()["MixedInstancesPolicy"]["LaunchTemplate"]
    assert shown["LaunchTemplateSpecification"]["LaunchTemplateId"] == world.template
    assert [each["InstanceType"] for each in shown["Overrides"]] == ["m5.large", "c7g.large"]


def test_a_policy_is_refreshed_to_another_base_version_and_overrides_keep_their_own() -> None:
    world = RefreshWorld(size=0)
    own = {"LaunchTemplateSpecification": {"LaunchTemplateName": world.name, "Version": "1"}}
    overrides = ({"InstanceType": "m5.large"}, {"InstanceType": "c7g.large", **own})
    world.configure(MixedInstancesPolicy=policy(world, OLD, *overrides))
    world.scale(2)
    start_policy(world, policy(world, NEW, *overrides), SkipMatching=True)
    assert world.refresh()["InstancesToUpdate"] == 1
    world.await_status("Successful")
    types = {each["InstanceType"]: each["LaunchTemplate"]["Version"] for each in world.described()["Instances"][-2:]}
    assert types == {"m5.large": NEW, "c7g.large": OLD}
    saved = world.described()["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    assert saved["Version"] == NEW


def test_an_image_of_an_override_that_changed_does_not_match() -> None:
    world = RefreshWorld(size=0)
    world.configure(MixedInstancesPolicy=policy(world, OLD, {"InstanceType": "m5.large", "ImageId": "ami-old"}))
    world.scale(1)
    start_policy(world, policy(world, OLD, {"InstanceType": "m5.large", "ImageId": "ami-new"}), SkipMatching=True)
    world.await_status("Successful")
    assert world.described()["Instances"][-1]["ImageId"] == "ami-new"


def test_weights_count_towards_the_capacity_and_are_shown() -> None:
    world = RefreshWorld(size=0)
    world.configure(MixedInstancesPolicy=policy(world, OLD, {"InstanceType": "m5.large", "WeightedCapacity": "2"}))
    world.scale(5)
    assert [each["WeightedCapacity"] for each in world.described()["Instances"]] == ["2"] * 3
    world.scale(2)
    assert len(world.ids("InService")) == 1
    start_policy(world, policy(world, NEW, {"InstanceType": "m5.large", "WeightedCapacity": "2"}))
    world.await_status("Successful")
    assert set(world.versions().values()) == {NEW}


def test_an_instance_as_heavy_as_its_group_goes_at_once_without_a_maximum() -> None:
    world = RefreshWorld("launch", size=0)
    world.configure(MixedInstancesPolicy=policy(world, OLD, {"InstanceType": "m5.large", "WeightedCapacity": "4"}))
    world.scale(4)
    world.let_in()
    world.client.start_instance_refresh(AutoScalingGroupName=world.name, Preferences={"InstanceWarmup": 0})
    world.tick(3)
    assert not world.ids("InService")
    world.let_in()
    world.await_status("Successful")


def test_groups_with_instance_requirements_take_neither_a_configuration_nor_skip_matching() -> None:
    world = RefreshWorld(size=0)
    requirements = {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}}
    world.configure(MixedInstancesPolicy=policy(world, OLD, {"InstanceRequirements": requirements}))
    world.scale(1)
    with pytest.raises(ClientError, match="InstanceRequirements"):
        world.start(NEW)
    with pytest.raises(ClientError, match="InstanceRequirements"):
        world.start(None, SkipMatching=True)
    world.start(None)
    world.await_status("Successful")


def test_a_policy_with_an_alias_in_an_override_cannot_be_rolled_back() -> None:
    world = RefreshWorld("launch", size=0)
    own = {"LaunchTemplateSpecification": {"LaunchTemplateName": world.name, "Version": "$Latest"}}
    wanted = policy(world, OLD, {"InstanceType": "m5.large", **own})
    world.configure(MixedInstancesPolicy=wanted)
    start_policy(world, wanted)
    with pytest.raises(ClientError) as refused:
        world.client.rollback_instance_refresh(AutoScalingGroupName=world.name)
    assert refused.value.response["Error"]["Code"] == "IrreversibleInstanceRefresh"


def test_a_group_that_is_aged_is_older_and_so_are_its_refreshes_and_these_go_on() -> None:
    world = RefreshWorld(size=1)
    world.start(BakeTime=60)
    before = world.described()["CreatedTime"], world.refresh()["StartTime"]
    assert world.engine.age_group(world.name, HOUR)
    after = world.described()["CreatedTime"], world.refresh()["StartTime"]
    assert [(one - other).total_seconds() for one, other in zip(before, after, strict=True)] == [HOUR, HOUR]
    world.await_status("Successful")
    assert not world.engine.age_group("another", HOUR)
