"""The embedded Auto Scaling behaves like AWS's beyond the plain way into service and out: see its docstrings."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from lab.aws import ministack as cloud
from lab.aws.autoscaling import Addresses
from lab.aws.lifecycle import states
from unit.auto_scaling_world import HEARTBEAT_TIMEOUT, SCOPE, World

REPLACES = ("Instance-terminate", "AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume")
REPLACED = ("Instance-launch", "AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume")
RETAINED = ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminating:Retained"]
NOTHING_OPEN = "No active Lifecycle Action found with"


def serving(*hooks: str, retain: bool = False, default: str = "ABANDON") -> tuple[World, str]:
    """A group with one instance in service."""
    world = World(*hooks, retain=retain, default=default)
    world.scale(1)
    for instance in world.ids("Pending:Wait"):
        for hook in (each for each in hooks if each.startswith("launch")):
            world.answer(hook, InstanceId=instance)
    return world, world.one("InService")


# Retained instances.


def test_a_terminate_hook_that_is_abandoned_retains_the_instance_where_the_group_says_so() -> None:
    world, instance = serving("terminate", retain=True)
    world.client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=False)
    world.tick()
    held = world.engine.instance(SCOPE, instance)
    assert held
    (action,) = held.actions
    heard = len(world.activities())
    world.answer("terminate", "ABANDON", InstanceId=instance)
    assert world.history(instance)[-4:] == RETAINED
    assert (world.power(instance), held.addresses_held) == ("running", True)
    assert world.one("InService") != instance, "it does not count, and was replaced"
    shown = [each["LifecycleState"] for each in world.described()["Instances"]]
    assert sorted(shown) == ["InService", "Terminating:Retained"]
    assert world.activities()[heard:] == []
    for named in ({"InstanceId": instance}, {"LifecycleActionToken": action.token}):
        with pytest.raises(ClientError, match=NOTHING_OPEN):
            world.answer("terminate", **named)
    world.now += 100 * HEARTBEAT_TIMEOUT
    world.tick()
    assert world.states()[instance] == "Terminating:Retained"


def test_the_default_result_of_a_timeout_retains_like_an_answer() -> None:
    world, instance = serving("terminate", retain=True)
    world.scale(0)
    world.now += HEARTBEAT_TIMEOUT
    world.tick()
    assert world.states() == {instance: "Terminating:Retained"}


@pytest.mark.parametrize(("retain", "result"), [(True, "CONTINUE"), (False, "ABANDON"), (False, "CONTINUE")])
def test_nothing_else_retains(retain: bool, result: str) -> None:
    world, instance = serving("terminate", retain=retain)
    world.scale(0)
    world.answer("terminate", result, InstanceId=instance)
    assert world.history(instance)[-2:] == ["Terminating:Proceed", "Terminated"]


def test_a_policy_that_is_given_later_holds_from_then_on() -> None:
    world, instance = serving("terminate")
    policy = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}
    world.client.update_auto_scaling_group(AutoScalingGroupName=world.name, InstanceLifecyclePolicy=policy)
    assert world.described()["InstanceLifecyclePolicy"] == policy
    world.scale(0)
    world.answer("terminate", "ABANDON", InstanceId=instance)
    assert world.states() == {instance: "Terminating:Retained"}


def test_a_retained_instance_ends_by_a_call_and_meets_its_hooks_anew() -> None:
    world, instance = serving("terminate", retain=True)
    world.scale(0)
    world.answer("terminate", "ABANDON", InstanceId=instance)
    with pytest.raises(ClientError, match="retained"):
        world.client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=True)
    world.client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=False)
    world.tick()
    assert world.states() == {instance: "Terminating:Wait"}
    assert len(world.actions()) == 2
    world.answer("terminate", InstanceId=instance)
    assert not world.states()


def test_what_returns_to_the_pool_or_dies_there_is_retained_in_the_states_of_the_pool() -> None:
    world, instance = serving("terminate", retain=True)
    world.put_pool(MaxGroupPreparedCapacity=1, InstanceReusePolicy={"ReuseOnScaleIn": True})
    world.scale(0)
    world.answer("terminate", "ABANDON", InstanceId=instance)
    assert world.history(instance)[-1] == "Warmed:Pending:Retained"
    assert world.power(instance) == "running"
    assert len(world.ids("Warmed:Stopped")) == 1, "it does not count in the pool, and was replaced there"
    world.client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=False)
    world.tick()
    assert world.states()[instance] == "Warmed:Terminating:Wait"
    world.answer("terminate", "ABANDON", InstanceId=instance)
    assert world.history(instance)[-1] == "Warmed:Terminating:Retained"


def test_a_pool_that_is_going_retains_nothing_for_good() -> None:
    world = World("terminate", retain=True)
    world.put_pool(PoolState="Running", MaxGroupPreparedCapacity=1)
    instance = world.one("Warmed:Running")
    world.client.delete_warm_pool(AutoScalingGroupName=world.name, ForceDelete=True)
    world.tick()
    world.answer("terminate", "ABANDON", InstanceId=instance)
    assert world.states() == {instance: "Warmed:Terminating:Wait"}
    assert "Warmed:Terminating:Retained" in world.history(instance)


# Root volumes.


def test_a_root_volume_is_replaced_between_the_hooks_of_both_transitions_and_the_instance_stays() -> None:
    world, instance = serving("launch", "terminate")
    held = world.engine.instance(SCOPE, instance)
    assert held
    addresses, heard = (held.address, held.public_address), len(world.activities())
    assert world.engine.replace_root_volume(instance, world.now) is None
    world.tick()
    assert world.states() == {instance: "ReplacingRootVolume:Wait"}, "it counts, so nothing replaces it"
    world.answer("terminate", InstanceId=instance)
    assert world.states() == {instance: "Pending:Wait"}
    world.answer("launch", InstanceId=instance)
    assert world.history(instance)[-8:] == [
        *("InService", "ReplacingRootVolume", "ReplacingRootVolume:Wait", "ReplacingRootVolume:Proceed"),
        *("RootVolumeReplaced", "Pending:Wait", "Pending:Proceed", "InService"),
    ]
    assert world.actions()[1:] == [("terminate", *REPLACES), ("launch", *REPLACED)]
    assert (held.address, held.public_address) == addresses
    assert world.activities()[heard:] == []
    assert world.power(instance) == "running"


def test_without_hooks_a_root_volume_is_replaced_at_once() -> None:
    world, instance = serving()
    world.engine.replace_root_volume(instance, world.now)
    world.tick()
    assert world.history(instance)[-3:] == ["ReplacingRootVolume", "RootVolumeReplaced", "InService"]


def test_an_instance_whose_new_root_volume_is_not_provisioned_is_terminated_and_replaced() -> None:
    world, instance = serving("launch")
    world.engine.replace_root_volume(instance, world.now)
    world.tick()
    world.answer("launch", "ABANDON", InstanceId=instance)
    assert world.history(instance)[-2:] == ["Terminating", "Terminated"]
    assert world.one("Pending:Wait") != instance


def test_a_root_volume_is_not_replaced_out_of_service_or_beside_a_warm_pool() -> None:
    world, instance = serving("launch")
    assert world.engine.replace_root_volume("i-00000000000000000", world.now) == "i-00000000000000000 is not in service"
    world.scale(2)
    waiting = world.one("Pending:Wait")
    assert world.engine.replace_root_volume(waiting, world.now) == f"{waiting} is not in service"
    world.put_pool(MaxGroupPreparedCapacity=0)
    assert world.engine.replace_root_volume(instance, world.now) == f"{world.name} has a warm pool"


# Two hooks on one transition.


def test_each_hook_of_a_transition_has_an_action_of_its_own_and_the_last_answer_lets_the_instance_go() -> None:
    world = World("launch", "launch-of-others")
    world.scale(1)
    instance = world.one("Pending:Wait")
    tokens = {each["LifecycleHookName"]: each["LifecycleActionToken"] for _, each in world.heard.events}
    assert len(set(tokens.values())) == 2
    with pytest.raises(ClientError, match=f"{NOTHING_OPEN} token {tokens['launch']}"):
        world.answer("launch-of-others", LifecycleActionToken=tokens["launch"])
    world.answer("launch", LifecycleActionToken=tokens["launch"])
    with pytest.raises(ClientError, match=f"{NOTHING_OPEN} token {tokens['launch']}"):
        world.answer("launch", LifecycleActionToken=tokens["launch"])
    assert world.states() == {instance: "Pending:Wait"}
    world.answer("launch-of-others", LifecycleActionToken=tokens["launch-of-others"])
    assert world.states() == {instance: "InService"}


@pytest.mark.parametrize("first", ["launch", "launch-of-others"])
def test_one_abandon_ends_a_launch_whatever_the_other_hook_would_say(first: str) -> None:
    world = World("launch", "launch-of-others")
    world.scale(1)
    instance = world.one("Pending:Wait")
    world.answer(first, "ABANDON", InstanceId=instance)
    assert world.history(instance)[-2:] == ["Terminating", "Terminated"]


def test_a_hook_that_runs_into_its_timeout_does_not_wait_for_the_other() -> None:
    world = World("launch", "launch-of-others")
    world.scale(1)
    instance = world.one("Pending:Wait")
    world.client.record_lifecycle_action_heartbeat(
        AutoScalingGroupName=world.name, LifecycleHookName="launch", InstanceId=instance
    )
    world.now += HEARTBEAT_TIMEOUT - 5
    world.client.record_lifecycle_action_heartbeat(
        AutoScalingGroupName=world.name, LifecycleHookName="launch", InstanceId=instance
    )
    world.tick()
    assert world.history(instance)[-1] == "Terminated"
    assert [each.hook for each in world.engine.timeouts] == ["launch-of-others"]


# Answers that are refused for a while.


@pytest.mark.parametrize("named", [{}, {"group": True}, {"instance_id": True}, {"hook": "launch"}])
def test_an_open_action_is_refused_for_so_many_calls_by_group_instance_or_hook(named: dict[str, object]) -> None:
    world = World("launch")
    world.scale(1)
    instance = world.one("Pending:Wait")
    own = {"group": world.name, "instance_id": instance, "hook": "launch"}
    world.stale.refuse(world.now, calls=2, **{key: own[key] for key in named})  # type: ignore[arg-type]
    with pytest.raises(ClientError) as refused:
        world.answer("launch", InstanceId=instance)
    assert refused.value.response["Error"] == {
        "Type": "Sender",
        "Code": "ValidationError",
        "Message": f"{NOTHING_OPEN} instance ID {instance}",
    }
    with pytest.raises(ClientError, match=f"{NOTHING_OPEN} instance ID {instance}"):
        world.client.record_lifecycle_action_heartbeat(
            AutoScalingGroupName=world.name, LifecycleHookName="launch", InstanceId=instance
        )
    assert world.member(instance)["LifecycleState"] == "Pending:Wait"
    world.answer("launch", InstanceId=instance)
    assert world.states() == {instance: "InService"}


@pytest.mark.parametrize("named", [{"group": "other"}, {"instance_id": "i-0"}, {"hook": "other"}])
def test_actions_of_others_are_not_refused(named: dict[str, str]) -> None:
    world = World("launch")
    world.scale(1)
    world.stale.refuse(world.now, **named)  # type: ignore[arg-type]
    world.answer("launch", InstanceId=world.one("Pending:Wait"))
    assert world.ids("InService")


def test_a_refusal_passes_with_its_seconds_or_when_it_is_cleared() -> None:
    world = World("launch")
    world.scale(2)
    first, second = world.ids("Pending:Wait")
    world.stale.refuse(world.now, seconds=30)
    world.now += 29
    with pytest.raises(ClientError, match=NOTHING_OPEN):
        world.answer("launch", InstanceId=first)
    world.now += 1
    world.answer("launch", InstanceId=first)
    world.stale.refuse(world.now)
    with pytest.raises(ClientError, match=NOTHING_OPEN):
        world.answer("launch", InstanceId=second)
    world.stale.clear()
    world.answer("launch", InstanceId=second)
    assert len(world.ids("InService")) == 2


# States that a test forces.


@pytest.mark.parametrize("state", states())
def test_any_state_of_the_api_can_be_shown_of_an_instance_and_it_stays_what_it_is_behind_it(state: str) -> None:
    world, instance = serving()
    entered = world.history(instance)
    assert world.engine.force_state(instance, state)
    world.tick()
    assert world.states() == {instance: state}
    assert world.member(instance)["LifecycleState"] == state
    members = [each["InstanceId"] for each in world.described()["Instances"]]
    assert members == ([] if state.startswith("Warmed:") else [instance])
    assert world.history(instance) == entered
    world.engine.force_state(instance, None)
    assert world.states() == {instance: "InService"}


def test_an_instance_with_a_forced_state_moves_on_once_it_is_released() -> None:
    world = World("launch")
    world.scale(1)
    instance = world.one("Pending:Wait")
    world.engine.force_state(instance, "Quarantined")
    world.answer("launch", InstanceId=instance)
    assert world.states() == {instance: "Quarantined"}
    assert world.history(instance)[-1] == "Pending:Wait"
    world.engine.force_none()
    world.tick()
    assert world.states() == {instance: "InService"}
    assert not world.engine.force_state("i-00000000000000000", "Quarantined")


# Instances that leave their group.


@pytest.mark.parametrize("decrement", [True, False])
def test_a_detached_instance_lives_on_outside_its_group(decrement: bool) -> None:
    world, instance = serving("launch", "terminate")
    heard = len(world.heard.events)
    world.client.detach_instances(
        AutoScalingGroupName=world.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=decrement
    )
    world.tick()
    assert world.history(instance)[-2:] == ["Detaching", "Detached"]
    assert instance not in world.states()
    assert len(world.states()) == (0 if decrement else 1)
    assert not world.client.describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
    assert world.power(instance) == "running"
    assert [each for _, each in world.heard.events[heard:] if each["EC2InstanceId"] == instance] == []


def test_a_detached_instance_keeps_its_address_until_it_is_terminated() -> None:
    world, instance = serving()
    detached = world.engine.instance(SCOPE, instance)
    assert detached
    world.client.detach_instances(
        AutoScalingGroupName=world.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=False
    )
    world.tick()
    other = world.engine.instance(SCOPE, world.one("InService"))
    assert other
    assert other.address != detached.address
    with cloud.within(SCOPE):
        cloud.set_instance_state(instance, "terminated")
    world.scale(2)
    addresses = {each.address for each in world.engine.instances(SCOPE)}
    assert addresses == {detached.address, other.address}


def test_what_cannot_be_detached_is_refused_for_the_whole_call() -> None:
    world, instance = serving("launch")
    world.scale(2)
    waiting = world.one("Pending:Wait")

    def detach(*instance_ids: str, decrement: bool = True) -> None:
        world.client.detach_instances(
            AutoScalingGroupName=world.name, InstanceIds=instance_ids, ShouldDecrementDesiredCapacity=decrement
        )

    with pytest.raises(ClientError, match=f"The instance {waiting} is not in InService or Standby"):
        detach(instance, waiting)
    world.client.create_auto_scaling_group(
        AutoScalingGroupName="other", AvailabilityZones=["us-east-1a"], MinSize=0, MaxSize=1, DesiredCapacity=1
    )
    world.tick()
    (of_another,) = world.engine.states()["other"]
    for each in ("i-00000000000000000", of_another):
        with pytest.raises(ClientError, match=f"{each} is not part of Auto Scaling group {world.name}"):
            detach(instance, each)
    with pytest.raises(ClientError, match="List exceeds the maximum number of instances to detach"):
        detach(*[instance] * 21)
    world.client.update_auto_scaling_group(AutoScalingGroupName=world.name, MinSize=2)
    with pytest.raises(ClientError, match=r"has min-size=2.* To detach 1 instance \(s\) with decrement capacity"):
        detach(instance)
    detach(instance, decrement=False)


# What EC2 does behind the group's back.


def test_an_instance_in_service_that_somebody_stops_is_replaced() -> None:
    world, instance = serving("terminate")
    with cloud.within(SCOPE):
        cloud.set_instance_state(instance, "stopped")
    world.tick()
    assert world.states()[instance] == "Terminating:Wait"
    assert world.one("InService") != instance


def test_an_instance_in_standby_may_be_stopped_and_started_and_gets_another_public_address() -> None:
    world, instance_id = serving("terminate")
    instance = world.engine.instance(SCOPE, instance_id)
    assert instance
    world.client.enter_standby(
        AutoScalingGroupName=world.name, InstanceIds=[instance_id], ShouldDecrementDesiredCapacity=True
    )
    former = instance.public_address
    for power in ("stopped", "running"):
        with cloud.within(SCOPE):
            cloud.set_instance_state(instance_id, power)
        world.tick()
    assert world.states() == {instance_id: "Standby"}
    assert instance.public_address not in (None, former)


def test_an_address_is_given_that_is_not_the_one_to_be_avoided() -> None:
    addresses = Addresses("10.0.0.0/30")
    first = addresses.take()
    assert first
    addresses.free(first)
    other = addresses.take(but=first)
    assert (str(first), str(other)) == ("10.0.0.1", "10.0.0.2")
    assert addresses.take() == first
    assert addresses.take() is None


@pytest.mark.parametrize(
    ("before", "after", "comes"),
    [("CONTINUE", "CONTINUE", True), ("CONTINUE", "ABANDON", False), ("ABANDON", "CONTINUE", False)],
)
def test_an_action_whose_hook_is_changed_ends_when_it_would_have_and_abandons_if_either_says_so(
    before: str, after: str, comes: bool
) -> None:
    world = World("launch", default=before)
    world.scale(1)
    waiting = world.one("Pending:Wait")
    world.client.put_lifecycle_hook(
        AutoScalingGroupName=world.name,
        LifecycleHookName="launch",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        HeartbeatTimeout=7200,
        DefaultResult=after,
    )
    world.tick(HEARTBEAT_TIMEOUT + 5)
    assert ("InService" in world.history(waiting)) == comes
    assert ("Terminating" in world.history(waiting)) != comes
