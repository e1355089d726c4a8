"""Warm pools, root volumes and forced states of the embedded AWS, as one sees them from outside."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.alone import Group, Lab, Queue, eventually
from lab.aws.lifecycle import LAUNCHING, TERMINATING
from lab.cloud import Cloud

POOL = {"MaxGroupPreparedCapacity": 1, "InstanceReusePolicy": {"ReuseOnScaleIn": True}}


def described(lab: Lab, instance_id: str) -> dict[str, Any]:
    """An instance as EC2 describes it."""
    answer = lab.aws.client("ec2").describe_instances(InstanceIds=[instance_id])
    return dict(answer["Reservations"][0]["Instances"][0])


def heard(lab: Lab, group: Group) -> Queue:
    """A queue that gets every event of a group."""
    queue, events = lab.queue(), lab.aws.client("events")
    pattern = {"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [group.name]}}
    events.put_rule(Name=lab.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=lab.name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    return queue


def events_of(queue: Queue) -> list[tuple[str, str, str, str]]:
    """The events that have come since they were asked for last: what, from where to where, and the action."""
    found: list[dict[str, Any]] = [json.loads(body) for body in queue.receive()]
    return [
        (each["detail-type"], *(each["detail"].get(key, "") for key in ("Origin", "Destination", "Action")))
        for each in found
    ]


def test_an_instance_goes_into_the_pool_and_out_and_back_and_is_the_same(lab: Lab) -> None:
    group = lab.group()
    queue = heard(lab, group)
    group.hook("launch", LAUNCHING)
    group.hook("terminate", TERMINATING)
    client = lab.aws.client("autoscaling")
    client.put_warm_pool(AutoScalingGroupName=group.name, **POOL)
    (instance,) = eventually(lambda: lab.aws.states(group.name))
    eventually(lambda: lab.aws.states(group.name)[instance] == "Warmed:Pending:Wait")
    assert described(lab, instance)["State"]["Name"] == "running"
    first = described(lab, instance)["LaunchTime"]
    group.complete("launch", "CONTINUE", InstanceId=instance)
    eventually(lambda: lab.aws.states(group.name)[instance] == "Warmed:Stopped")
    resting = described(lab, instance)
    assert (resting["State"]["Name"], resting.get("PublicIpAddress")) == ("stopped", None)

    past(first)
    group.resize(1)
    assert group.await_members("Pending:Wait") == [instance]
    eventually(lambda: described(lab, instance).get("PublicIpAddress"))
    started = described(lab, instance)
    assert started["LaunchTime"] > first
    assert started["PrivateIpAddress"] == resting["PrivateIpAddress"]
    group.complete("launch", "CONTINUE", InstanceId=instance)
    group.await_members("InService")

    group.resize(0)
    eventually(lambda: lab.aws.states(group.name)[instance] == "Warmed:Pending:Wait")
    group.complete("terminate", "CONTINUE", InstanceId=instance)
    eventually(lambda: lab.aws.states(group.name) == {instance: "Warmed:Stopped"})
    assert events_of(queue) == [
        ("EC2 Instance-launch Lifecycle Action", "EC2", "WarmPool", "Launch"),
        ("EC2 Instance Launch Successful", "EC2", "WarmPool", ""),
        ("EC2 Instance-launch Lifecycle Action", "WarmPool", "AutoScalingGroup", "Launch"),
        ("EC2 Instance Launch Successful", "WarmPool", "AutoScalingGroup", ""),
        ("EC2 Instance-terminate Lifecycle Action", "AutoScalingGroup", "WarmPool", "Terminate"),
        ("EC2 Instance Terminate Successful", "AutoScalingGroup", "WarmPool", ""),
    ]
    (member,) = client.describe_warm_pool(AutoScalingGroupName=group.name)["Instances"]
    assert (member["InstanceId"], member["LifecycleState"]) == (instance, "Warmed:Stopped")
    assert client.describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])["AutoScalingGroups"][0][
        "WarmPoolSize"
    ]


def past(moment: datetime) -> None:
    """Return once the second of this moment is over: EC2 gives no parts of one."""
    eventually(lambda: time.time() >= moment.timestamp() + 1)


def test_a_root_volume_is_replaced_when_a_test_says_so(lab: Lab) -> None:
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    group.hook("terminate", TERMINATING)
    queue = heard(lab, group)
    lab.aws.replace_root_volume(instance)
    assert group.await_members("ReplacingRootVolume:Wait") == [instance]
    place = ("AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume")
    assert eventually(lambda: events_of(queue)) == [("EC2 Instance-terminate Lifecycle Action", *place)]
    with pytest.raises(ValueError, match="is not in service"):
        lab.aws.replace_root_volume(instance)
    group.complete("terminate", "CONTINUE", InstanceId=instance)
    assert group.await_members("InService") == [instance]


def test_a_state_is_shown_while_a_test_forces_it(lab: Lab) -> None:
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    lab.aws.force_state(instance, "Quarantined")
    assert lab.aws.states(group.name) == {instance: "Quarantined"}
    assert group.members("Quarantined") == [instance]
    lab.aws.force_state(instance, None)
    assert group.members("InService") == [instance]
    lab.aws.force_state(instance, "Warmed:Terminated")
    lab.aws.end_faults()
    assert group.members("InService") == [instance]
    with pytest.raises(ValueError, match="Frozen is no lifecycle state"):
        lab.aws.force_state(instance, "Frozen")
    with pytest.raises(ValueError, match="forced-states"):
        lab.aws.force_state("i-00000000000000000", "Standby")


def test_open_actions_are_refused_while_a_test_says_so(lab: Lab) -> None:
    group = lab.group()
    group.hook("hook", LAUNCHING)
    group.resize(1)
    (instance,) = group.await_members("Pending:Wait")
    stale = f"No active Lifecycle Action found with instance ID {instance}"
    lab.aws.answer_stale(group=group.name, calls=1)
    with pytest.raises(ClientError, match=stale):
        group.complete("hook", "CONTINUE", InstanceId=instance)
    lab.aws.answer_stale(instance_id=instance)
    with pytest.raises(ClientError, match=stale):
        group.complete("hook", "CONTINUE", InstanceId=instance)
    lab.aws.end_faults()
    group.complete("hook", "CONTINUE", InstanceId=instance)
    group.await_members("InService")


def test_an_instance_that_is_stopped_and_started_by_hand_is_launched_anew_for_ec2(lab: Lab) -> None:
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    lab.aws.client("autoscaling").enter_standby(
        AutoScalingGroupName=group.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
    )
    group.await_members("Standby")
    before, ec2 = described(lab, instance), lab.aws.client("ec2")
    ec2.stop_instances(InstanceIds=[instance])
    eventually(lambda: "PublicIpAddress" not in described(lab, instance))
    past(before["LaunchTime"])
    ec2.start_instances(InstanceIds=[instance])
    eventually(lambda: described(lab, instance).get("PublicIpAddress"))
    after = described(lab, instance)
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert after["PublicIpAddress"] != before["PublicIpAddress"]
    assert after["PublicIpAddress"].replace(".", "-") in after["PublicDnsName"]
    assert after["LaunchTime"] > before["LaunchTime"]


def test_a_detached_instance_is_no_groups_any_more_and_runs(lab: Lab) -> None:
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    autoscaling = lab.aws.client("autoscaling")
    autoscaling.detach_instances(
        AutoScalingGroupName=group.name, InstanceIds=[instance], ShouldDecrementDesiredCapacity=True
    )
    eventually(lambda: not lab.aws.states(group.name))
    assert not autoscaling.describe_auto_scaling_instances(InstanceIds=[instance])["AutoScalingInstances"]
    after = described(lab, instance)
    assert after["State"]["Name"] == "running"
    assert "aws:autoscaling:groupName" not in {tag["Key"] for tag in after.get("Tags", [])}


def test_a_test_makes_groups_with_hooks_by_name_a_pool_and_retention(tmp_path: Path) -> None:
    with Cloud(tmp_path) as cloud:
        pool = {"MaxGroupPreparedCapacity": 1, "PoolState": "Running", "InstanceReusePolicy": {"ReuseOnScaleIn": True}}
        hooks = {"rollcall-launching": "LAUNCHING", "of-others": "TERMINATING"}
        group = cloud.create_group("web", {}, hooks=hooks, warm_pool=pool, retain=True)
        (instance,) = eventually(lambda: [*group.states()])
        eventually(lambda: group.states()[instance] == "Warmed:Pending:Wait")
        group.answer("rollcall-launching", instance)
        eventually(lambda: group.resting() == {instance})
        assert [each["InstanceId"] for each in cloud.pool_members("web")] == [instance]

        group.scale(1)
        eventually(lambda: group.states()[instance] == "Pending:Wait")
        group.answer("rollcall-launching", instance)
        eventually(lambda: group.in_service() == {instance})
        group.scale(0)
        eventually(lambda: group.states()[instance] == "Warmed:Pending:Wait")
        group.answer("of-others", instance, "ABANDON")
        eventually(lambda: group.states()[instance] == "Warmed:Pending:Retained")
        group.terminate(instance)
        eventually(lambda: group.states()[instance] == "Warmed:Terminating:Wait")
        group.answer("of-others", instance)
        eventually(lambda: instance not in group.states())


def test_a_test_replaces_root_volumes_and_detaches_instances(tmp_path: Path) -> None:
    with Cloud(tmp_path) as cloud:
        group = cloud.create_group("web", {}, hooks={"of-others": "TERMINATING"}, size=1)
        (instance,) = eventually(group.in_service)
        group.replace_root_volume(instance)
        eventually(lambda: group.states()[instance] == "ReplacingRootVolume:Wait")
        group.answer("of-others", instance)
        eventually(lambda: group.in_service() == {instance})
        group.detach(instance)
        eventually(lambda: not group.states())
