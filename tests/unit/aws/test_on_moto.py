"""The AWS clients against moto, which knows more of EC2, Auto Scaling and SQS than a scripted answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from rollcall.aws.fleet import Fleet
from rollcall.aws.queues import Queues
from rollcall.doctor.aws_reader import AwsReader
from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import AwsRejected
from rollcall.domain.groups import AddressKind
from rollcall.domain.message_format import Record

REGION = "us-east-1"


@pytest.fixture(autouse=True)
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def make_group(size: int) -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    autoscaling = boto3.client("autoscaling", region_name=REGION)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
        MinSize=0,
        MaxSize=500,
        DesiredCapacity=size,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[{"Key": "rollcall:inventory", "Value": "prod", "PropagateAtLaunch": False}],
    )
    autoscaling.put_lifecycle_hook(
        AutoScalingGroupName="web",
        LifecycleHookName="rollcall-launching",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        HeartbeatTimeout=600,
    )


def instance_ids() -> list[str]:
    (group,) = boto3.client("autoscaling", region_name=REGION).describe_auto_scaling_groups()["AutoScalingGroups"]
    return [instance["InstanceId"] for instance in group["Instances"]]


def test_a_group_is_read_with_its_tags_and_hooks() -> None:
    make_group(0)
    groups = Fleet(REGION).groups(["web", "no-such-group"])
    assert groups.keys() == {"web"}
    assert groups["web"].tags == {"rollcall:inventory": "prod"}
    assert groups["web"].heartbeat_timeouts == {"rollcall-launching": 600}


def test_more_instances_than_one_call_takes_are_all_described() -> None:
    make_group(230)
    fleet = Fleet(REGION)
    ids = instance_ids()
    memberships = fleet.memberships(ids)
    assert memberships.keys() == set(ids)
    assert {known.group for known in memberships.values()} == {"web"}
    instances = fleet.instances([*ids, "i-0123456789abcdef0"])
    assert instances.keys() == set(ids)
    assert all(each.living and each.addresses[AddressKind.PRIVATE] for each in instances.values())
    assert len({each.addresses[AddressKind.PRIVATE] for each in instances.values()}) == 230


def test_a_terminated_instance_has_departed_and_a_detached_one_has_not() -> None:
    make_group(3)
    gone, detached, staying = instance_ids()
    autoscaling = boto3.client("autoscaling", region_name=REGION)
    for each in (gone, detached):
        autoscaling.detach_instances(
            InstanceIds=[each], AutoScalingGroupName="web", ShouldDecrementDesiredCapacity=True
        )
    boto3.client("ec2", region_name=REGION).terminate_instances(InstanceIds=[gone])
    fleet = Fleet(REGION)
    ids = [gone, detached, staying]
    assert fleet.departed(ids, fleet.memberships(ids)) == {gone}


def test_a_message_is_sent_with_its_delay_and_dead_lettered_with_its_error() -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    url, dead = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("work", "dead"))
    queues = Queues()
    queues.send(url, [(f"body {number}", 0) for number in range(23)] + [("later", 900.0)])
    counts = sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    )["Attributes"]
    assert counts == {"ApproximateNumberOfMessages": "23", "ApproximateNumberOfMessagesDelayed": "1"}

    queues.move_to_dead_letters(dead, Record("m", "body", REGION, 3, 0.0, "handle"), ValueError("what was wrong"))
    (message,) = sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "body"
    assert {key: value["StringValue"] for key, value in message["MessageAttributes"].items()} == {
        "Error": "ValueError",
        "Message": "what was wrong",
    }


def test_doctor_reads_every_group_or_those_of_some_names() -> None:
    make_group(2)
    autoscaling = boto3.client("autoscaling", region_name=REGION)
    for number in range(120):  # more than a page, and more than a call takes names
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=f"api{number}",
            LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
            MinSize=0,
            MaxSize=0,
            AvailabilityZones=[f"{REGION}a"],
        )
    reader = AwsReader()
    every = reader.groups()
    assert len(every) == 121
    assert every["web"].members.keys() == set(instance_ids_of("web"))
    assert every["web"].group.tags == {"rollcall:inventory": "prod"}
    named = {f"api{number}" for number in range(110)}
    assert reader.groups(named | {"no-such-group"}).keys() == named


def instance_ids_of(group: str) -> list[str]:
    answer = boto3.client("autoscaling", region_name=REGION).describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    return [instance["InstanceId"] for instance in answer["AutoScalingGroups"][0]["Instances"]]


def test_doctor_reads_a_groups_hooks_as_they_are() -> None:
    make_group(0)
    (hook,) = AwsReader().hooks("web")
    assert (hook.name, hook.transition) == ("rollcall-launching", Transition.LAUNCHING)
    assert (hook.heartbeat_timeout, hook.default_result) == (600, Result.ABANDON)


def test_doctor_reads_a_queue_as_it_is_and_one_that_is_not_there_is_an_error_of_ours() -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "7"})
    url = sqs.create_queue(QueueName="q", Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "120"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    found = AwsReader().queue(url)
    assert (found.messages, found.visibility, found.dead_letters, found.receives) == (1, 120, arn, 7)
    bare = AwsReader().queue(dead)
    assert (bare.dead_letters, bare.receives, bare.policy) == ("", 0, "")
    with pytest.raises(AwsRejected, match="GetQueueAttributes"):
        AwsReader().queue(f"{url}-not-there")


def test_doctor_counts_only_queues_that_are_subscribed_and_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = f"arn:aws:sqs:{REGION}:123456789012:q"
    listed = [
        {"Protocol": "sqs", "Endpoint": queue, "SubscriptionArn": f"arn:aws:sns:{REGION}:123456789012:t:1"},
        {"Protocol": "sqs", "Endpoint": f"{queue}2", "SubscriptionArn": "PendingConfirmation"},
        {"Protocol": "lambda", "Endpoint": "arn:aws:lambda:f", "SubscriptionArn": "arn:aws:sns:2"},
    ]
    pages = [{"Subscriptions": listed[:1]}, {"Subscriptions": listed[1:]}]
    assert paged(monkeypatch, pages).subscribers("arn:aws:sns:t") == {queue}


def test_doctor_reads_all_that_a_topic_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    notified = [("web", "t", "LAUNCH"), ("web", "t", "TERMINATE"), ("web", "u", "LAUNCH"), ("api", "t", "TERMINATE")]
    pages = [
        {"NotificationConfigurations": [{"AutoScalingGroupName": group, "TopicARN": topic, "NotificationType": kind}]}
        for group, topic, kind in notified
    ]
    assert paged(monkeypatch, pages).topics(["web", "api"]) == {
        "web": {"t": {"LAUNCH", "TERMINATE"}, "u": {"LAUNCH"}},
        "api": {"t": {"TERMINATE"}},
    }
    assert paged(monkeypatch, pages).topics([]) == {}


def paged(monkeypatch: pytest.MonkeyPatch, pages: list[dict[str, Any]]) -> AwsReader:
    """A reader whose every list is these pages."""

    class Client:
        def get_paginator(self, _: str) -> Client:
            return self

        def paginate(self, **_: object) -> list[dict[str, Any]]:
            return pages

    reader = AwsReader()
    monkeypatch.setattr(reader, "_client", lambda _: Client())
    return reader


def test_doctor_reads_a_rule_and_its_targets() -> None:
    events = boto3.client("events", region_name=REGION)
    arn = events.put_rule(Name="r", EventPattern="{}", State="DISABLED")["RuleArn"]
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:1:q"}])
    found = AwsReader().rule("r")
    assert (found.arn, found.enabled, set(found.targets)) == (arn, False, {f"arn:aws:sqs:{REGION}:1:q"})
    with pytest.raises(AwsRejected, match="DescribeRule no-such"):
        AwsReader().rule("no-such")
