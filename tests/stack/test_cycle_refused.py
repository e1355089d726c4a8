"""Pre-flight on the deployed stack: what AWS must answer for is found, all at once and each with its remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import AT_ONE, draining_target_group, new_hosts, start_cycle, with_versions
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

SUBNET = "subnet-00000001"


@pytest.fixture
def alarm(cloud: Cloud, name: str) -> Iterator[str]:
    """An alarm that is in ALARM."""
    cloud.aws.put_alarm(name, "ALARM")
    yield name
    cloud.aws.client("cloudwatch").delete_alarms(AlarmNames=[name])


def objections(group: Group, **request: Any) -> dict[str, tuple[str, str]]:
    """Why a cycle is refused, by what it is about, and the remedies; that nothing was changed is looked at."""
    before = group.described()
    cycle = start_cycle(group, **request)
    state = cycle.waited()
    assert (state["result"], state["put_back"], cycle.status) == ("refused", "", "FAILED")
    assert (group.described(), group.refreshes()) == (before, [])
    return {each["what"]: (each["reason"], each["remedy"]) for each in state["objections"]}


@pytest.mark.story
def test_all_that_speaks_against_a_cycle_is_said_at_once_and_each_with_its_remedy(
    make_group: MakeGroup, cloud: Cloud, alarm: str, name: str
) -> None:
    arn = draining_target_group(cloud, name)
    settings = AT_ONE | {"TargetGroupARNs": [arn], "VPCZoneIdentifier": SUBNET}
    group = make_group(gate="job", traffic=settings)
    first, _ = sorted(with_versions(group, 2))
    autoscaling = cloud.aws.client("autoscaling")
    named = {"AutoScalingGroupName": group.name}
    autoscaling.suspend_processes(ScalingProcesses=["Launch", "HealthCheck"], **named)
    autoscaling.set_instance_protection(InstanceIds=[first], ProtectedFromScaleIn=True, **named)
    autoscaling.delete_lifecycle_hook(LifecycleHookName="rollcall-launching", **named)
    cloud.aws.lack("ec2:RunInstances")
    cloud.aws.leave_free(SUBNET, 0)
    before = group.described()
    ended = cloud.rollcall("cycle", group.name, "--version", "2", "--alarm", alarm, "--alarm", "none", "--json")
    assert ended.returncode == 3, ended.stderr
    answer = json.loads(ended.stdout)
    found = {each["what"]: each for each in answer["state"]["objections"]}
    remedies = {
        "Launch suspended": f"resume-processes --auto-scaling-group-name {group.name} --scaling-processes Launch",
        "HealthCheck suspended": "--scaling-processes HealthCheck",
        "health check type": "add elb to the tag rollcall:gate",
        "protected instances": f"--no-protected-from-scale-in --instance-ids {first}",
        "permission ec2:RunInstances": "see that the template's policies are as deployed",
        "free addresses": "cycle with a smaller batch",
        f"alarm {alarm}": "fix what it is about",
        "alarm none": "correct its name",
        "warm-up": "or lengthen its default warm-up",  # no check waits until an instance serves
    }
    for what, remedy in remedies.items():
        assert remedy in found[what]["remedy"], found.get(what)
    assert "ec2:RunInstances is missing" in found["permission ec2:RunInstances"]["reason"]
    [hook] = [each for each in found.values() if "put-lifecycle-hook" in each["remedy"]]
    assert "rollcall-launching" in hook["remedy"]
    assert len(found) == len(remedies) + 1
    assert (group.described(), group.refreshes()) == (before, [])


def test_what_ec2_would_not_launch_is_refused_in_its_words(make_group: MakeGroup, cloud: Cloud) -> None:
    group = make_group(traffic=AT_ONE)
    with_versions(group, 1)
    bad = group.new_version(ImageId="ami-00000000000000bad")
    [(code, (reason, remedy))] = objections(group, launch_template_version=bad).items()
    assert code == "launch: InvalidAMIID.NotFound"
    assert "The specified AMI does not exist." in reason
    assert remedy.startswith("correct the launch template")
    [(what, (reason, _))] = objections(group, launch_template_version="99").items()
    assert (what, "has no version 99" in reason) == ("version", True)
    profile = {"Arn": "arn:aws:iam::123456789012:instance-profile/web"}
    passed = group.new_version(ImageId="ami-0abcdef1234567890", IamInstanceProfile=profile)
    cloud.aws.lack("iam:PassRole")
    [(what, (_, remedy))] = objections(group, launch_template_version=passed).items()
    assert what.startswith("permission")
    assert "PassableRoleArns" in remedy
    cloud.aws.lack("ec2:CreateTags")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "web"}]}]
    tagged = group.new_version(ImageId="ami-0abcdef1234567890", TagSpecifications=tags)
    [(what, _)] = objections(group, launch_template_version=tagged).items()
    assert what == "permission ec2:CreateTags"


def test_what_is_around_a_group_whose_types_aws_chooses_is_all_found_at_once(make_group: MakeGroup) -> None:
    requirements = {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 512}}
    overrides = {"overrides": [{"InstanceRequirements": requirements}]}
    group = make_group(traffic=AT_ONE | overrides, hooks={"rollcall-launching": "LAUNCHING"})
    with_versions(group, 0)
    autoscaling = group.cloud.aws.client("autoscaling")
    suspended = ("Terminate", "AddToLoadBalancer", "InstanceRefresh")
    autoscaling.suspend_processes(AutoScalingGroupName=group.name, ScalingProcesses=list(suspended))
    pinned_by = "rollcall-of-another-cycle"
    group.tag(
        {
            "cycle-pinned": f"latest keep {pinned_by}",
            "emergency": "2026-11-30T10:00:00Z",
            "job-template": "there is none of this name",
        }
    )
    found = objections(group, launch_template_version="2", skip_matching=True, rollback=True)
    remedies = {
        "instance requirements": "give the group the version first",
        "skip matching": "cycle with skip_matching=false",
        "rollback impossible": "cycle with --on-failure auto or cancel",
        "in emergency": f"rollcall offboard --restore {group.name}",
        "pinned": "let reconcile put it back with its next run",
        **{f"{each} suspended": f"--scaling-processes {each}" for each in suspended},
    }
    for what, remedy in remedies.items():
        assert remedy in found[what][1], found.get(what)
    assert f"cycle {pinned_by} has pinned it" in found["pinned"][0]
    others = {what: remedy for what, (_, remedy) in found.items() if what not in remedies}
    assert any("put-lifecycle-hook" in each and "rollcall-terminating" in each for each in others.values()), others
    assert any("there is none of this name" in reason for reason, _ in found.values()), found
    assert len(others) == 2, others


def test_weights_as_large_as_the_group_subnets_and_templates_that_are_gone_are_found(
    make_group: MakeGroup, cloud: Cloud
) -> None:
    ec2 = cloud.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    heavy = [{"InstanceType": "t4g.medium", "WeightedCapacity": "2"}]
    group = make_group(traffic=AT_ONE | {"overrides": heavy, "VPCZoneIdentifier": subnet})
    group.scale(2)
    eventually(lambda: len(group.in_service()) == len(group.states()) == 1, "one instance that counts for two")
    ec2.delete_subnet(SubnetId=subnet)
    template = group.described()["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    ec2.delete_launch_template(LaunchTemplateId=template["LaunchTemplateId"])
    found = objections(group)
    assert set(found) == {"weights", "subnets", "free addresses", "launch template"}
    assert "one instance may count for 2 units, and the desired capacity is 2" in found["weights"][0]
    assert found["subnets"][0] == f"its subnets {subnet} are not there"
    assert found["launch template"][1] == "give the group a version that is there"


def test_a_group_of_several_versions_is_not_pinned_and_what_it_holds_would_be_held_again(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    group = make_group(traffic=AT_ONE | {"version": "$Default"}, on_failure="hold", timeout="3")
    old = with_versions(group, 1)
    group.new_version(default=True)
    tower.fail_host(new_hosts(name, old))
    group.scale(2)
    [held] = eventually(lambda: {each for each, state in group.states().items() if state == "Pending:Wait"}, "held")
    target = group.new_version()

    def refused() -> dict[str, tuple[str, str]] | None:
        found = objections(group, launch_template_version=target, pin=True)
        return found if "instances held" in found else None

    found = eventually(refused, "it is held for longer than its timeout")
    assert set(found) == {"several versions", "instances held"}
    assert "its instances run versions 1, 3: there is no one number to pin it to" in found["several versions"][0]
    reason, remedy = found["instances held"]
    assert held in reason
    assert f"rollcall status {group.name}" in remedy
    tower.heal_hosts()
    tower.run_playbook(name, held)
    eventually(lambda: len(group.in_service()) == 2, "two serve")


def test_a_group_that_did_not_opt_in_or_has_no_launch_template_or_is_not_there_is_refused(
    make_group: MakeGroup, cloud: Cloud, name: str
) -> None:
    plain = Group(cloud, f"{name}-plain")
    autoscaling = cloud.aws.client("autoscaling")
    autoscaling.create_launch_configuration(
        LaunchConfigurationName=plain.name, ImageId="ami-0abcdef1234567890", InstanceType="t4g.small"
    )
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=plain.name,
        LaunchConfigurationName=plain.name,
        MinSize=0,
        MaxSize=1,
        AvailabilityZones=["us-east-1a"],
    )
    try:
        found = objections(plain, launch_template_version="2")
        assert set(found) == {"not opted in", "launch configuration"}
        assert f"rollcall onboard {plain.name}" in found["not opted in"][1]
        assert "give it a launch template" in found["launch configuration"][1]
    finally:
        plain.delete()
        autoscaling.delete_launch_configuration(LaunchConfigurationName=plain.name)
    state = start_cycle(plain).waited()
    assert [(each["what"], each["remedy"]) for each in state["objections"]] == [
        ("no group", "correct the name; write it as AWS does, upper and lower case")
    ]


def test_what_cannot_be_rolled_back_and_what_cannot_be_read_is_refused(make_group: MakeGroup) -> None:
    group = make_group(traffic=AT_ONE | {"version": "$Default"})
    with_versions(group, 1)
    [(what, (_, remedy))] = objections(group, launch_template_version="2", rollback=True).items()
    assert (what, "cycle with --pin, or with --on-failure auto or cancel" in remedy) == ("rollback impossible", True)
    [(what, (reason, _))] = objections(group, batch="many").items()
    assert what == "input"
    assert "'many' as 'batch'; allowed: " in reason
    group.tag({"cycle": "batch=many"})
    [(what, (reason, _))] = objections(group).items()
    assert (what, "'batch=many'" in reason) == ("tag rollcall:cycle", True)


def test_a_refresh_that_others_began_is_waited_for_and_not_ended_by_the_command(
    make_group: MakeGroup, cloud: Cloud
) -> None:
    group = make_group(traffic=AT_ONE)
    with_versions(group, 1)
    autoscaling = cloud.aws.client("autoscaling")
    preferences = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200, "BakeTime": 600}
    begun = autoscaling.start_instance_refresh(AutoScalingGroupName=group.name, Preferences=preferences)
    state = start_cycle(group, launch_template_version="2").waited()
    [objection] = state["objections"]
    assert (state["result"], objection["what"]) == ("refused", "refresh active")
    assert f"{begun['InstanceRefreshId']} (started outside of Rollcall) is " in objection["reason"]
    assert f"cancel-instance-refresh --auto-scaling-group-name {group.name}" in objection["remedy"]
    ended = cloud.rollcall("cycle", group.name, "--cancel", "--yes")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"No cycle of Rollcall's runs for group '{group.name}': nothing was changed." in ended.stderr
    [shown] = group.refreshes()
    assert shown["Status"] in ("Pending", "InProgress", "Baking")
    autoscaling.cancel_instance_refresh(AutoScalingGroupName=group.name)
    eventually(lambda: group.refreshes()[0]["Status"] == "Cancelled", "it is cancelled")
    eventually(lambda: len(group.states()) == len(group.in_service()) == 1, "it is one instance again")


def test_doctor_names_what_would_make_a_cycle_fail(make_group: MakeGroup, cloud: Cloud, tower: Tower) -> None:
    group, plain = make_group(cycle="batch=1", traffic=AT_ONE), make_group("-plain", traffic=AT_ONE)
    asked = {"groups": [group.name, plain.name]}
    before = findings(cloud, group, **asked), findings(cloud, plain, **asked)  # of what these tests shorten
    for each in (group, plain):
        cloud.aws.client("autoscaling").suspend_processes(
            AutoScalingGroupName=each.name, ScalingProcesses=["Terminate", "InstanceRefresh"]
        )
    group.tag({"cycle-pinned": "latest keep of-no-cycle"})
    found = findings(cloud, group, **asked)
    assert set(found) - set(before[0]) == {"Terminate suspended", "InstanceRefresh suspended", "pin left behind"}
    assert "resume-processes" in found["Terminate suspended"]
    assert findings(cloud, plain, **asked) == before[1]  # no one wants to cycle it
    group.tag({"cycle": "batches=1", "cycle-pinned": None})
    assert set(findings(cloud, group, **asked)) - set(before[0]) == {"tag rollcall:cycle"}
    ended = cloud.rollcall("doctor", "--group", group.name)
    assert f"  group {group.name}: " in ended.stdout


def findings(cloud: Cloud, group: Group, **asked: object) -> dict[str, str]:
    """The remedies that doctor has for a group, by what is wrong."""
    found = cloud.doctor(**asked)["findings"]
    subject = f"group {group.name}"
    return {each["key"].removeprefix(f"{subject}: "): each["remedy"] for each in found if each["subject"] == subject}
