"""Warm pools of the embedded Auto Scaling behave like those of AWS."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws import ministack as cloud
from lab.aws import warm_pools
from unit.auto_scaling_world import SCOPE, World

REUSE = {"InstanceReusePolicy": {"ReuseOnScaleIn": True}}
ONE = {"MaxGroupPreparedCapacity": 1}
INTO = ("launch", "Instance-launch", "EC2", "WarmPool", "Launch")
OUT = ("launch", "Instance-launch", "WarmPool", "AutoScalingGroup", "Launch")
COLD = ("launch", "Instance-launch", "EC2", "AutoScalingGroup", "Launch")
BACK = ("terminate", "Instance-terminate", "AutoScalingGroup", "WarmPool", "Terminate")
DIES = ("terminate", "Instance-terminate", "WarmPool", "EC2", "Terminate")


def pool(world: World) -> dict[str, Any]:
    """The pool as DescribeWarmPool shows it."""
    answer = world.client.describe_warm_pool(AutoScalingGroupName=world.name)
    return {key: answer[key] for key in ("WarmPoolConfiguration", "Instances") if key in answer}


@pytest.mark.parametrize(
    ("state", "power"), [("Stopped", "stopped"), ("Running", "running"), ("Hibernated", "stopped")]
)
def test_an_instance_comes_into_the_pool_past_the_launch_hooks_and_rests_as_the_pool_wants_it(
    state: str, power: str
) -> None:
    world = World("launch")
    world.put_pool(PoolState=state, **ONE)
    instance = world.one("Warmed:Pending:Wait")
    assert world.power(instance) == "running"
    world.answer("launch", InstanceId=instance)
    assert world.history(instance) == [
        *("Warmed:Pending", "Warmed:Pending:Wait", "Warmed:Pending:Proceed"),
        f"Warmed:{state}",
    ]
    assert (world.power(instance), world.actions()) == (power, [INTO])
    assert world.activities() == [("Launch Successful", "EC2", "WarmPool")]


def test_the_members_of_a_pool_are_stopped_by_default() -> None:
    world = World()
    world.put_pool(**ONE)
    assert world.ids("Warmed:Stopped")


def test_scale_out_takes_from_the_pool_first_and_what_it_lacks_is_launched() -> None:
    world = World("launch")
    world.put_pool(MaxGroupPreparedCapacity=2)
    warm = world.ids("Warmed:Pending:Wait")
    for instance in warm:
        world.answer("launch", InstanceId=instance)
    assert world.ids("Warmed:Stopped") == warm
    world.scale(3)
    waiting = world.ids("Pending:Wait")
    (cold,) = set(waiting) - set(warm)
    assert set(waiting) > set(warm)
    assert world.actions() == [INTO, INTO, OUT, OUT, COLD]
    for instance in waiting:
        world.answer("launch", InstanceId=instance)
    assert world.history(warm[0])[-4:] == ["Pending", "Pending:Wait", "Pending:Proceed", "InService"]
    assert world.history(cold) == ["Pending", "Pending:Wait", "Pending:Proceed", "InService"]
    assert world.activities()[-3:].count(("Launch Successful", "WarmPool", "AutoScalingGroup")) == 2


def test_an_instance_that_is_not_ready_in_the_pool_is_not_taken() -> None:
    world = World("launch")
    world.put_pool(MinSize=1, **ONE)
    warming = world.one("Warmed:Pending:Wait")
    world.scale(1)
    assert world.one("Pending:Wait") != warming
    assert world.actions() == [INTO, COLD]


def test_a_stopped_instance_keeps_its_private_address_and_gets_another_public_one_when_it_starts() -> None:
    world = World()
    world.put_pool(**ONE)
    instance_id = world.one("Warmed:Stopped")
    instance = world.engine.instance(SCOPE, instance_id)
    assert instance
    private, former = instance.address, instance.former_public
    assert (instance.public_address, addresses(instance_id)) == (None, (str(private), ""))
    world.scale(1)
    assert world.one("InService") == instance_id
    assert instance.public_address not in (None, former)
    assert addresses(instance_id) == (str(private), str(instance.public_address))


def addresses(instance_id: str) -> tuple[str, str]:
    """An instance's addresses in EC2, private and public."""
    with cloud.within(SCOPE):
        record = cloud.instance(instance_id)
    assert record
    return record["PrivateIpAddress"], record["PublicIpAddress"]


@pytest.mark.parametrize(("state", "launched_anew"), [("Stopped", True), ("Hibernated", True), ("Running", False)])
def test_a_launch_time_is_that_of_the_last_start(state: str, launched_anew: bool) -> None:
    world = World()
    world.put_pool(PoolState=state, **ONE)
    instance_id = world.one(f"Warmed:{state}")

    def launch_time() -> str:
        with cloud.within(SCOPE):
            record = cloud.instance(instance_id)
        assert record
        return str(record["LaunchTime"])

    before = launch_time()
    world.scale(1)
    assert (launch_time() != before) is launched_anew


@pytest.mark.parametrize("result", ["CONTINUE", "ABANDON"])
def test_scale_in_returns_the_same_instance_to_the_pool_past_the_terminate_hooks_whatever_their_result(
    result: str,
) -> None:
    world = World("terminate")
    world.scale(1)
    instance = world.one("InService")
    world.put_pool(PoolState="Running", **ONE, **REUSE)
    world.scale(0)
    assert world.one("Warmed:Pending:Wait") == instance
    world.answer("terminate", result, InstanceId=instance)
    assert world.states() == {instance: "Warmed:Running"}
    assert world.actions() == [BACK]
    assert world.activities()[-1] == ("Terminate Successful", "AutoScalingGroup", "WarmPool")
    world.scale(1)
    assert world.states() == {instance: "InService"}


def test_without_reuse_or_with_a_full_pool_scale_in_terminates() -> None:
    for settings in ({"MinSize": 1, **ONE}, {"MinSize": 1, "MaxGroupPreparedCapacity": 0, **REUSE}):
        world = World()
        world.scale(1)
        instance = world.one("InService")
        world.put_pool(**settings)
        world.scale(0)
        assert world.history(instance)[-2:] == ["Terminating", "Terminated"]


def test_an_instance_that_dies_in_the_pool_passes_the_terminate_hooks_and_is_replaced() -> None:
    world = World("terminate")
    world.put_pool(PoolState="Running", **ONE)
    instance = world.one("Warmed:Running")
    world.client.set_instance_health(InstanceId=instance, HealthStatus="Unhealthy")
    world.tick()
    assert world.states()[instance] == "Warmed:Terminating:Wait"
    assert world.one("Warmed:Running") != instance
    world.answer("terminate", InstanceId=instance)
    assert world.history(instance)[-3:] == [
        *("Warmed:Terminating:Wait", "Warmed:Terminating:Proceed", "Warmed:Terminated"),
    ]
    assert (world.actions(), world.activities()[-1]) == ([DIES], ("Terminate Successful", "WarmPool", "EC2"))


def test_an_instance_that_is_terminated_behind_the_pools_back_is_replaced_also_while_a_hook_holds_it() -> None:
    world = World("launch")
    world.put_pool(**ONE)
    instance = world.one("Warmed:Pending:Wait")
    with cloud.within(SCOPE):
        cloud.set_instance_state(instance, "terminated")
    world.tick()
    assert world.history(instance)[-2:] == ["Warmed:Terminating", "Warmed:Terminated"]
    assert world.one("Warmed:Pending:Wait") != instance


def test_abandon_on_the_way_into_the_pool_ends_the_instance() -> None:
    world = World("launch")
    world.put_pool(**ONE)
    instance = world.one("Warmed:Pending:Wait")
    world.answer("launch", "ABANDON", InstanceId=instance)
    assert world.history(instance)[-2:] == ["Warmed:Terminating", "Warmed:Terminated"]
    assert world.activities()[0] == ("Launch Unsuccessful", "EC2", "WarmPool")


def test_a_pool_is_deleted_by_force_with_its_members_and_the_hooks_still_run() -> None:
    world = World("terminate")
    world.put_pool(PoolState="Running", MinSize=1, **ONE)
    instance = world.one("Warmed:Running")
    with pytest.raises(ClientError) as refused:
        world.client.delete_warm_pool(AutoScalingGroupName=world.name)
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
    world.client.delete_warm_pool(AutoScalingGroupName=world.name, ForceDelete=True)
    world.tick()
    assert world.states() == {instance: "Warmed:Terminating:Wait"}
    assert pool(world)["WarmPoolConfiguration"] == {
        "Status": "PendingDelete",
        "MinSize": 0,
        "MaxGroupPreparedCapacity": 0,
        "PoolState": "Running",
    }
    world.answer("terminate", InstanceId=instance)
    assert (world.states(), pool(world)) == ({}, {"Instances": []})
    with pytest.raises(ClientError, match="No warm pool"):
        world.client.delete_warm_pool(AutoScalingGroupName=world.name, ForceDelete=True)


def test_an_instance_on_its_way_into_a_pool_that_is_deleted_meanwhile_is_terminated() -> None:
    world = World("terminate")
    world.scale(1)
    instance = world.one("InService")
    world.put_pool(**ONE, **REUSE)
    world.scale(0)
    assert world.one("Warmed:Pending:Wait") == instance
    world.client.delete_warm_pool(AutoScalingGroupName=world.name, ForceDelete=True)
    world.tick()
    assert world.states() == {instance: "Warmed:Terminating:Wait"}
    world.answer("terminate", InstanceId=instance)
    assert not world.states()


def test_the_members_of_a_pool_are_listed_apart_from_the_group() -> None:
    world = World()
    world.scale(1)
    serving = world.one("InService")
    world.put_pool(MaxGroupPreparedCapacity=2, **REUSE)
    resting = world.one("Warmed:Stopped")
    group = world.described()
    assert [each["InstanceId"] for each in group["Instances"]] == [serving]
    assert group["WarmPoolSize"] == 1
    configuration = {"MinSize": 0, "PoolState": "Stopped", "MaxGroupPreparedCapacity": 2, **REUSE}
    assert group["WarmPoolConfiguration"] == pool(world)["WarmPoolConfiguration"] == configuration
    (member,) = pool(world)["Instances"]
    assert (member["InstanceId"], member["LifecycleState"]) == (resting, "Warmed:Stopped")
    assert "ProtectedFromScaleIn" not in member
    assert world.member(resting)["LifecycleState"] == "Warmed:Stopped"
    assert world.member(resting)["AutoScalingGroupName"] == world.name


def test_what_is_in_a_pool_cannot_be_terminated_through_its_group() -> None:
    world = World()
    world.put_pool(**ONE)
    with pytest.raises(ClientError, match="warm pool"):
        world.client.terminate_instance_in_auto_scaling_group(
            InstanceId=world.one("Warmed:Stopped"), ShouldDecrementDesiredCapacity=False
        )


def test_a_deleted_group_takes_its_pool_along() -> None:
    world = World("terminate")
    world.put_pool(**ONE)
    instance = world.one("Warmed:Stopped")
    with pytest.raises(ClientError, match="ResourceInUse"):
        world.client.delete_auto_scaling_group(AutoScalingGroupName=world.name)
    world.client.delete_auto_scaling_group(AutoScalingGroupName=world.name, ForceDelete=True)
    world.tick()
    assert world.history(instance)[-2:] == ["Warmed:Terminating", "Warmed:Terminated"]


@pytest.mark.parametrize(
    ("desired", "settings", "size"),
    [
        (2, {}, 3),  # the difference to the group's maximum of 5
        (2, {"MaxGroupPreparedCapacity": 4}, 2),
        (2, {"MaxGroupPreparedCapacity": 4, "MinSize": 3}, 3),
        (4, {"MaxGroupPreparedCapacity": 3}, 0),
        (4, {"MaxGroupPreparedCapacity": 3, "MinSize": 1}, 1),
        (5, {}, 0),
    ],
)
def test_the_size_of_a_pool_is_what_may_be_prepared_beyond_the_desired_capacity(
    desired: int, settings: dict[str, int], size: int
) -> None:
    group = {"MaxSize": 5, "DesiredCapacity": desired}
    assert warm_pools.wanted(group) == 0
    warm_pools.configure(group, settings)
    assert warm_pools.wanted(group) == size
    world = World(DesiredCapacity=desired)
    world.tick()
    world.put_pool(**settings)
    assert len(world.ids("Warmed:Stopped")) == size


def test_a_setting_that_is_not_given_again_stays_and_minus_one_takes_the_maximum_away() -> None:
    group: dict[str, Any] = {"MaxSize": 5, "DesiredCapacity": 0}
    warm_pools.configure(group, {"MaxGroupPreparedCapacity": 2, "PoolState": "Running", "ReuseOnScaleIn": True})
    warm_pools.configure(group, {"MinSize": 1})
    assert warm_pools.of(group) == {
        "MinSize": 1,
        "PoolState": "Running",
        "MaxGroupPreparedCapacity": 2,
        "InstanceReusePolicy": {"ReuseOnScaleIn": True},
    }
    warm_pools.configure(group, {"MaxGroupPreparedCapacity": -1})
    assert warm_pools.wanted(group) == 5


def test_a_pool_that_is_too_large_shrinks() -> None:
    world = World()
    world.put_pool(MaxGroupPreparedCapacity=3)
    oldest, *_ = world.ids("Warmed:Stopped")
    world.put_pool(MaxGroupPreparedCapacity=2)
    assert len(world.ids("Warmed:Stopped")) == 2
    assert world.history(oldest)[-1] == "Warmed:Terminated"


def test_scaling_activities_say_when_an_instance_was_launched_into_and_out_of_the_pool_and_cold_the_newest_first() -> (
    None
):
    world = World()
    world.put_pool(**ONE)
    warm = world.one("Warmed:Stopped")
    world.scale(2)
    [cold] = set(world.ids("InService")) - {warm}
    answer = world.client.describe_scaling_activities(AutoScalingGroupName=world.name)
    told = [each["Description"] for each in answer["Activities"]]
    assert told[-1] == f"Launching a new EC2 instance into warm pool: {warm}"
    assert f"Launching a new EC2 instance from warm pool: {warm}" in told[:-1]
    assert f"Launching a new EC2 instance: {cold}" in told[:-1]
    began = [each["StartTime"] for each in answer["Activities"]]
    assert began == sorted(began, reverse=True)
