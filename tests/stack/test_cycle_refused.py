"""Pre-flight on the deployed stack: what AWS must answer for is found, all at once and each with its remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import AT_ONE, draining_target_group, start_cycle, with_versions
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
