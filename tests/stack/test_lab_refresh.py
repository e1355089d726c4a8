"""Instance refreshes of the embedded AWS, as one sees them from outside: over its API, with nothing deployed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.alone import Group, Lab, eventually
from lab.aws.lifecycle import LAUNCHING
from lab.cloud import Cloud

SAFE = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "InstanceWarmup": 0}
TEMPLATE = {"LaunchTemplateName": "template", "Version": "2"}
EVENT = "EC2 Auto Scaling Instance Refresh "
SUBNET = "subnet-00000001"


@pytest.fixture(autouse=True)
def _second_version(lab: Lab) -> None:
    """Let the launch template of the groups have the second version that these tests are about."""
    ec2 = lab.aws.client("ec2")
    (template,) = ec2.describe_launch_templates(LaunchTemplateNames=["template"])["LaunchTemplates"]
    if template["LatestVersionNumber"] == 1:
        ec2.create_launch_template_version(
            LaunchTemplateName="template", SourceVersion="1", LaunchTemplateData={"InstanceType": "m5.xlarge"}
        )


def start(lab: Lab, group: Group, **preferences: Any) -> None:
    lab.aws.client("autoscaling").start_instance_refresh(
        AutoScalingGroupName=group.name,
        DesiredConfiguration={"LaunchTemplate": TEMPLATE},
        Preferences={**SAFE, **preferences},
    )


def refresh(lab: Lab, group: Group) -> dict[str, Any]:
    """The newest refresh of a group."""
    answer = lab.aws.client("autoscaling").describe_instance_refreshes(AutoScalingGroupName=group.name)
    return dict(answer["InstanceRefreshes"][0])


def await_status(lab: Lab, group: Group, status: str) -> dict[str, Any]:
    eventually(lambda: refresh(lab, group)["Status"] == status)
    return refresh(lab, group)


def described(lab: Lab, group: Group) -> dict[str, Any]:
    answer = lab.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])
    (found,) = answer["AutoScalingGroups"]
    return dict(found)


def refused(call: Any, **asked: Any) -> tuple[str, int]:
    """The error, and its status, that a call is refused with."""
    with pytest.raises(ClientError) as answer:
        call(**asked)
    return answer.value.response["Error"]["Code"], answer.value.response["ResponseMetadata"]["HTTPStatusCode"]


# Refreshes.


def test_all_instances_are_replaced_and_there_are_never_fewer(lab: Lab) -> None:
    queue, events = lab.queue(), lab.aws.client("events")
    group = lab.group(desired=4)
    pattern = {"source": ["aws.autoscaling"], "detail-type": [{"prefix": EVENT}]}
    events.put_rule(Name=lab.name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=lab.name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    old = set(group.await_members("InService", 4))
    start(lab, group)
    found = await_status(lab, group, "Successful")
    new = set(group.await_members("InService", 4))
    assert not new & old
    eventually(lambda: {each["InstanceId"] for each in described(lab, group)["Instances"]} == new)
    serving: set[str] = set()
    fewest = 4
    for each in lab.aws.transitions():
        if each.group == group.name:
            serving = serving | {each.instance_id} if each.state == "InService" else serving - {each.instance_id}
            fewest = min(fewest, len(serving)) if serving & new else fewest
    assert fewest == 4
    assert described(lab, group)["LaunchTemplate"]["Version"] == "2"
    assert {each["LaunchTemplate"]["Version"] for each in described(lab, group)["Instances"]} == {"2"}
    about = [json.loads(body) for body in queue.receive()]
    assert [each["detail-type"].removeprefix(EVENT) for each in about] == ["Started", "Succeeded"]
    assert about[0]["detail"] == {"InstanceRefreshId": found["InstanceRefreshId"], "AutoScalingGroupName": group.name}
    assert about[0]["resources"] == [described(lab, group)["AutoScalingGroupARN"]]


def test_a_refresh_is_cancelled_and_another_is_rolled_back(lab: Lab) -> None:
    client = lab.aws.client("autoscaling")
    group = lab.group()
    named = {"AutoScalingGroupName": group.name}
    client.update_auto_scaling_group(LaunchTemplate={"LaunchTemplateName": "template", "Version": "1"}, **named)
    group.resize(2)
    old = group.await_members("InService", 2)
    group.hook("launch", LAUNCHING)
    start(lab, group)
    group.await_members("Pending:Wait")
    client.cancel_instance_refresh(WaitForTransitioningInstances=False, **named)
    assert refresh(lab, group)["Status"] == "Cancelled"
    group.complete("launch", "ABANDON", InstanceId=group.members("Pending:Wait")[0])
    eventually(lambda: group.members("InService") == old and not group.members("Pending:Wait"))
    start(lab, group)
    assert refused(client.update_auto_scaling_group, LaunchTemplate=TEMPLATE, **named)[0] == "ValidationError"
    assert refused(client.start_instance_refresh, **named) == ("InstanceRefreshInProgress", 400)
    group.await_members("Pending:Wait")
    client.rollback_instance_refresh(**named)
    found = await_status(lab, group, "RollbackSuccessful")
    assert found["RollbackDetails"]["InstancesToUpdateOnRollback"] == 2
    assert sorted(group.members("InService")) == sorted(old)
    assert refused(client.cancel_instance_refresh, **named) == ("ActiveInstanceRefreshNotFound", 400)


def test_an_alarm_of_cloudwatch_rolls_a_refresh_back(lab: Lab) -> None:
    client = lab.aws.client("autoscaling")
    group = lab.group()
    version = {"LaunchTemplateName": "template", "Version": "1"}
    client.update_auto_scaling_group(AutoScalingGroupName=group.name, LaunchTemplate=version)
    group.resize(1)
    group.await_members("InService")
    lab.aws.put_alarm(lab.name)
    alarms = {"AlarmSpecification": {"Alarms": [lab.name]}, "AutoRollback": True, "BakeTime": 600}
    with pytest.raises(ClientError, match="INSUFFICIENT_DATA"):
        start(lab, group, **alarms)
    lab.aws.put_alarm(lab.name, "OK")
    start(lab, group, **alarms)
    await_status(lab, group, "Baking")
    lab.aws.put_alarm(lab.name, "ALARM")
    found = await_status(lab, group, "RollbackSuccessful")
    assert lab.name in found["RollbackDetails"]["RollbackReason"]
    group.await_members("InService")
    assert [each["LaunchTemplate"]["Version"] for each in described(lab, group)["Instances"]][-1] == "1"


def test_the_rules_of_the_lab_are_a_tests_to_set(lab: Lab) -> None:
    lab.aws.rule_refreshes(retry_seconds=0.2)
    group = lab.group(desired=1)
    (instance,) = group.await_members("InService")
    lab.aws.client("autoscaling").set_instance_protection(
        AutoScalingGroupName=group.name, InstanceIds=[instance], ProtectedFromScaleIn=True
    )
    start(lab, group)
    assert instance in await_status(lab, group, "Failed")["StatusReason"]
    with pytest.raises(TypeError):
        lab.aws.rule_refreshes(patience=1)


def test_what_a_caller_lacks_and_errors_that_pass_are_a_tests_to_set(lab: Lab) -> None:
    group, client = lab.group(), lab.aws.client("autoscaling")
    asked = {"AutoScalingGroupName": group.name, "DesiredConfiguration": {"LaunchTemplate": TEMPLATE}}
    lab.aws.lack("ec2:RunInstances")
    assert refused(client.start_instance_refresh, **asked)[0] == "AccessDenied"
    lab.aws.lack()
    lab.aws.refuse_refresh_call("StartInstanceRefresh", "LimitExceeded")
    assert refused(client.start_instance_refresh, **asked)[0] == "LimitExceeded"
    client.start_instance_refresh(**asked)
    await_status(lab, group, "Successful")
    with pytest.raises(ValueError, match="never asked for"):
        lab.aws.lack("ec2:Fly")
    with pytest.raises(ValueError, match="is none of"):
        lab.aws.refuse_refresh_call("StartInstanceRefresh", "No")


def test_a_test_makes_versions_of_a_groups_template_and_sees_which_instance_has_which(tmp_path: Path) -> None:
    with Cloud(tmp_path) as cloud:
        web = cloud.create_group("web", {}, hooks=False, size=1, version="1")
        mixed = cloud.create_group(
            "mixed", {}, hooks=False, overrides=[{"InstanceType": "m5.large"}], version="$Default"
        )
        (instance,) = eventually(web.in_service)
        assert web.version_of(instance) == "1"
        number = web.new_version(UserData=b"#!/bin/sh", default=True)
        assert number == "2"
        web.use_version(number)
        assert web.described()["LaunchTemplate"]["Version"] == number
        cloud.aws.client("autoscaling").start_instance_refresh(AutoScalingGroupName="web", Preferences=SAFE)
        eventually(lambda: web.refreshes()[0]["Status"] == "Successful")
        (new,) = eventually(lambda: [one for one in web.in_service() if one != instance])
        assert web.version_of(new) == number
        launched = cloud.aws.client("ec2").describe_instance_attribute(InstanceId=new, Attribute="userData")
        assert launched["UserData"]["Value"] == base64.b64encode(b"#!/bin/sh").decode()
        mixed.new_version(ImageId="ami-0123456789abcdef0")
        mixed.use_version("$Latest")
        mixed.scale(1)
        (instance,) = eventually(mixed.in_service)
        assert mixed.version_of(instance) == "2"


# EC2.


def test_a_dry_run_says_whether_a_version_could_be_launched(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    asked = {"MinCount": 1, "MaxCount": 1, "DryRun": True, "SubnetId": SUBNET}
    assert refused(ec2.run_instances, LaunchTemplate=TEMPLATE, **asked) == ("DryRunOperation", 412)
    unknown = TEMPLATE | {"Version": "99"}
    code = "InvalidLaunchTemplateId.VersionNotFound"
    assert refused(ec2.run_instances, LaunchTemplate=unknown, **asked) == (code, 400)
    lab.aws.lack("ec2:RunInstances")
    assert refused(ec2.run_instances, LaunchTemplate=TEMPLATE, **asked) == ("UnauthorizedOperation", 403)
    assert not ec2.describe_instances(Filters=[{"Name": "image-id", "Values": ["ami-none"]}])["Reservations"]


def test_versions_and_images_that_do_not_exist_are_errors_and_not_empty_answers(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")
    (found,) = ec2.describe_launch_template_versions(LaunchTemplateName="template", Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]
    assert (found["VersionNumber"], found["LaunchTemplateData"]["InstanceType"]) == (2, "m5.xlarge")
    described = ec2.describe_launch_template_versions
    assert refused(described, LaunchTemplateName="template", Versions=["99"])[0] == (
        "InvalidLaunchTemplateId.VersionNotFound"
    )
    none = {"LaunchTemplateNames": ["none"]}
    assert refused(ec2.describe_launch_templates, **none)[0] == "InvalidLaunchTemplateName.NotFoundException"
    (image,) = ec2.describe_images(ImageIds=["ami-12345678"])["Images"]
    assert image["State"] == "available"
    assert refused(ec2.describe_images, ImageIds=["ami-0000000000000none"])[0] == "InvalidAMIID.NotFound"


def test_the_free_addresses_of_a_subnet_follow_its_instances_or_what_a_test_says(lab: Lab) -> None:
    ec2 = lab.aws.client("ec2")

    def free() -> int:
        (subnet,) = ec2.describe_subnets(SubnetIds=[SUBNET])["Subnets"]
        return int(subnet["AvailableIpAddressCount"])

    group = lab.group()
    before = free()
    group.resize(2)
    group.await_members("InService", 2)
    assert free() == before - 2
    lab.aws.leave_free(SUBNET, 1)
    assert free() == 1
    group.resize(4)
    group.await_members("InService", 3)
    assert free() == 0
    activities = lab.aws.client("autoscaling").describe_scaling_activities
    failed = [
        each for each in activities(AutoScalingGroupName=group.name)["Activities"] if each["StatusCode"] == "Failed"
    ]
    assert "enough free private IP addresses" in failed[0]["StatusMessage"]


def test_an_instance_of_an_alias_shows_the_number_that_it_was(lab: Lab) -> None:
    group = lab.group()
    client = lab.aws.client("autoscaling")
    for version, number in (("$Default", "1"), ("$Latest", "2")):
        template = {"LaunchTemplateName": "template", "Version": version}
        client.update_auto_scaling_group(AutoScalingGroupName=group.name, LaunchTemplate=template)
        group.resize(0)
        group.await_members("InService", 0)
        group.resize(1)
        group.await_members("InService", 1)
        found = described(lab, group)
        assert found["LaunchTemplate"]["Version"] == version
        assert found["Instances"][-1]["LaunchTemplate"]["Version"] == number
