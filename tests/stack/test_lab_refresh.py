"""Instance refreshes of the embedded AWS, as one sees them from outside: over its API, with nothing deployed."""

from __future__ import annotations

from typing import Any

from lab.aws.alone import Group, Lab, eventually

SAFE = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150, "InstanceWarmup": 0}
NEW = {"LaunchTemplate": {"LaunchTemplateName": "template", "Version": "2"}}


def refresh(lab: Lab, group: Group) -> dict[str, Any]:
    """The newest refresh of a group."""
    answer = lab.aws.client("autoscaling").describe_instance_refreshes(AutoScalingGroupName=group.name)
    return dict(answer["InstanceRefreshes"][0])


def test_all_instances_are_replaced_and_there_are_never_fewer(lab: Lab) -> None:
    lab.second_version()
    group, client = lab.group(desired=4), lab.aws.client("autoscaling")
    old = set(group.await_members("InService", 4))
    client.start_instance_refresh(AutoScalingGroupName=group.name, DesiredConfiguration=NEW, Preferences=SAFE)
    eventually(lambda: refresh(lab, group)["Status"] == "Successful")
    new = set(group.await_members("InService", 4))
    assert not new & old
    serving = 0
    for each in lab.aws.transitions():
        if each.group == group.name:
            serving += {"InService": 1, "Terminating": -1}.get(each.state, 0)
            assert serving >= 4 or not new & {each.instance_id}
    (described,) = client.describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])["AutoScalingGroups"]
    assert described["LaunchTemplate"]["Version"] == "2"
    assert {each["LaunchTemplate"]["Version"] for each in described["Instances"]} == {"2"}
