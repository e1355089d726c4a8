"""The embedded AWS refuses what AWS refuses: by its service models, by the size of a call, and by a queue's policy."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.limits import entry_size, message_size, violation
from lab.aws.patches import arn_like
from unit.auto_scaling_world import World

LONG = "i-" + "0" * 18  # an id may have seventeen digits


@pytest.mark.parametrize(
    ("operation", "params", "words"),
    [
        (
            "DescribeAutoScalingInstances",
            {"InstanceIds.member.1": "i-0", "InstanceIds.member.2": LONG},
            f"1 validation error detected: Value '[i-0, {LONG}]' at 'instanceIds' failed to satisfy constraint: "
            "Member must satisfy constraint: [Member must have length less than or equal to 19, "
            "Member must have length greater than or equal to 1]",
        ),
        (
            "CompleteLifecycleAction",
            {"InstanceId": LONG},
            f"1 validation error detected: Value '{LONG}' at 'instanceId' failed to satisfy constraint: "
            "Member must have length less than or equal to 19",
        ),
        (
            "PutWarmPool",
            {"AutoScalingGroupName": "", "PoolState": "Frozen", "MinSize": "-1"},
            "3 validation errors detected: Value '' at 'autoScalingGroupName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1; Value '-1' at 'minSize' failed to satisfy constraint: "
            "Member must have value greater than or equal to 0; Value 'Frozen' at 'poolState' failed to satisfy "
            "constraint: Member must satisfy enum value set: [Hibernated, Running, Stopped]",
        ),
        (
            "CreateAutoScalingGroup",
            {"LifecycleHookSpecificationList.member.1.LifecycleHookName": "h" * 256},
            f"1 validation error detected: Value '{'h' * 256}' at 'lifecycleHookSpecificationList.member.1."
            "lifecycleHookName' failed to satisfy constraint: Member must have length less than or equal to 255",
        ),
        ("DescribeAutoScalingInstances", {"InstanceIds.member.1": LONG[:19]}, None),
        ("DescribeAutoScalingInstances", {}, None),
        ("PutWarmPool", {"AutoScalingGroupName": "web", "MaxGroupPreparedCapacity": "-1"}, None),
    ],
)
def test_a_request_that_the_service_model_does_not_allow_is_refused_in_the_words_of_aws(
    operation: str, params: dict[str, str], words: str | None
) -> None:
    assert violation("autoscaling", operation, params) == words


def test_auto_scaling_refuses_a_whole_call_for_one_id_that_is_too_long_or_for_too_many() -> None:
    world = World()
    world.scale(1)
    instance = world.one("InService")
    with pytest.raises(ClientError) as refused:
        world.client.describe_auto_scaling_instances(InstanceIds=[instance, LONG])
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="The number of instance ids that may be passed in is limited to 50"):
        world.client.describe_auto_scaling_instances(InstanceIds=[instance] * 51)
    assert world.client.describe_auto_scaling_instances(InstanceIds=[instance] * 50)["AutoScalingInstances"]
    with pytest.raises(ClientError, match="less than or equal to 36"):
        world.answer("launch", LifecycleActionToken="t" * 37)


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ({"MessageBody": "body"}, 4),
        ({"MessageBody": "größer"}, 8),
        ({"MessageBody": "b", "MessageAttributes": {"name": {"DataType": "String", "StringValue": "value"}}}, 16),
        ({}, 0),
    ],
)
def test_the_size_of_a_message_is_that_of_its_body_and_its_attributes_in_bytes(
    message: dict[str, Any], size: int
) -> None:
    assert message_size(message) == size


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ({"Source": "ab", "DetailType": "cde", "Detail": "{}"}, 7),
        ({"Source": "ö", "Resources": ["arn:a", "arn:b"]}, 12),
        ({"Source": "ab", "Time": 1700000000}, 16),
    ],
)
def test_the_size_of_an_event_is_that_of_its_texts_and_its_time(entry: dict[str, Any], size: int) -> None:
    assert entry_size(entry) == size


@pytest.mark.parametrize(
    ("pattern", "alike"),
    [
        ("arn:aws:sns:us-east-1:123456789012:topic", True),
        ("arn:aws:sns:*:123456789012:*", True),
        ("arn:aws:sns:us-east-?:1234567890*:top*", True),
        ("arn:*:*:*:*:*", True),
        ("arn:aws:sns:*:210987654321:*", False),
        ("arn:aws:sns:*", False),
        ("arn:aws:sns:*:topic", False),  # a * stands for no colon
        ("arn:aws:sns:us-east-1:123456789012:Topic", False),
        ("arn:aws:sns:us-east-1:123456789012:top", False),
    ],
)
def test_an_arn_is_compared_with_a_pattern_part_by_part(pattern: str, alike: bool) -> None:
    assert arn_like("arn:aws:sns:us-east-1:123456789012:topic", pattern) is alike
