"""Nothing is removed, completed or launched on the word of a message alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lab.cloud import ACCOUNT, REGION, Cloud, Group, eventually

if TYPE_CHECKING:
    from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

TERMINATED = "EC2 Instance Terminate Successful"


def terminated(cloud: Cloud, group: str, *instance_ids: str) -> None:
    """Events say of these that they were terminated."""
    for each in instance_ids:
        detail = {"AutoScalingGroupName": group, "EC2InstanceId": each}
        cloud.aws.forward_event(TERMINATED, detail, account=ACCOUNT, region=REGION)


@pytest.mark.parametrize(("topic", "reaches"), [("named-hook", True), ("hook", False)])
def test_only_a_topic_that_is_named_reaches_the_queues(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, topic: str, reaches: bool
) -> None:
    group = make_group(hooks=False)
    sns = cloud.aws.client("sns")
    arn = sns.create_topic(Name=topic)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=cloud.queue_arn("LaunchQueue"))
    cloud.aws.client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=group.name,
        LifecycleHookName="of-another-name",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        HeartbeatTimeout=60,
        NotificationTargetARN=arn,
        RoleARN=f"arn:aws:iam::{ACCOUNT}:role/notify",
    )
    group.scale(1)
    if reaches:
        eventually(group.in_service, "in service")
        assert len(tower.jobs(name)) == 1
    else:
        eventually(lambda: [*group.states().values()] == ["Pending:Wait"], "an instance waits")
        eventually(lambda: cloud.in_flight() == 0, "nothing is on its way")
        assert (tower.hosts(name), tower.jobs(name)) == ([], [])
        group.scale(0)  # ends the wait; answered with CONTINUE it would serve without a job
        eventually(lambda: not group.states(), "it is gone")


def test_an_event_that_is_not_true_removes_no_host(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(size=2)
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    terminated(cloud, group.name, *group.in_service())
    eventually(lambda: cloud.in_flight() == 0, "the events are worked off")
    assert {host.name for host in tower.hosts(name)} == group.in_service()


def test_of_instances_that_aws_does_not_know_no_more_hosts_go_than_the_removal_limit_lets(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group()
    marker = {"group": group.name, "account": ACCOUNT, "region": REGION, "vpc": "vpc-1"}
    unknown = [f"i-0fedcba987654320{number}" for number in range(8)]
    for each in unknown:
        tower.add_host(name, each, {"ansible_host": "10.9.9.9", "rollcall": {**marker, "instance_id": each}}, each)
    try:
        with cloud.paused("CleanupFunction"):
            terminated(cloud, group.name, *unknown)
        eventually(lambda: cloud.in_flight() == 0, "the events are worked off")
        assert {host.name for host in tower.hosts(name)} == set(unknown)
        lines = [line["message"] for line in cloud.log_lines("cleanup") if line.get("group") == group.name]
        assert (
            lines
            == ["left to reconcile: neither EC2 nor Auto Scaling knows it, and too many such would go at once"] * 8
        )
    finally:
        for host in tower.hosts(name):
            tower.remove_host(host.name, name)
