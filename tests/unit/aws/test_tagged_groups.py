"""Groups with certain tags: what they launch, and what their instances run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.tagged_groups import TaggedGroups
from rollcall.domain.errors import Throttled
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = datetime(2026, 11, 30, tzinfo=UTC)
ASKED = {"Filters": [{"Name": "tag-key", "Values": ["a", "b"]}], "MaxRecords": 100}
RAW: dict[str, Any] = {
    "AutoScalingGroupName": "web",
    "MinSize": 0,
    "MaxSize": 2,
    "DesiredCapacity": 2,
    "DefaultCooldown": 300,
    "AvailabilityZones": [],
    "HealthCheckType": "EC2",
    "CreatedTime": MADE,
    "Tags": [{"Key": "a", "Value": "on-new-version"}],
}
INSTANCE: dict[str, Any] = {
    "InstanceId": "i-1",
    "AvailabilityZone": "z",
    "LifecycleState": "InService",
    "HealthStatus": "Healthy",
    "ProtectedFromScaleIn": False,
}


@pytest.fixture
def groups() -> TaggedGroups:
    return TaggedGroups(REGION)


@pytest.fixture
def aws(groups: TaggedGroups) -> Iterator[Stubber]:
    with Stubber(groups._autoscaling) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_one_call_shows_the_groups_with_either_tag_and_all_that_is_needed_of_them(
    groups: TaggedGroups, aws: Stubber
) -> None:
    template = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "Version": "$Latest"}
    runs = [
        INSTANCE | {"LaunchTemplate": template | {"Version": "6"}},
        INSTANCE | {"LaunchTemplate": template | {"Version": "7"}},
        INSTANCE,  # of a launch configuration
    ]
    aws.add_response(
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [RAW | {"LaunchTemplate": template, "Instances": runs}]},
        ASKED,
    )
    [group] = groups.tagged(("a", "b"))
    assert (group.group.name, group.group.tags) == ("web", {"a": "on-new-version"})
    assert (group.created, group.configuration) == (MADE.timestamp(), {"LaunchTemplate": template})
    assert group.running == {("lt-1", "6"), ("lt-1", "7")}


def test_a_group_without_template_and_instances_has_none(groups: TaggedGroups, aws: Stubber) -> None:
    aws.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": [RAW]}, ASKED)
    [group] = groups.tagged(("a", "b"))
    assert (group.configuration, group.running) == ({}, frozenset())


def test_a_call_that_is_put_off_is_said_to_be(groups: TaggedGroups, aws: Stubber) -> None:
    aws.add_client_error("describe_auto_scaling_groups", "Throttling")
    with pytest.raises(Throttled, match="DescribeAutoScalingGroups"):
        groups.tagged(("a", "b"))
