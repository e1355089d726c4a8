"""What the API refuses about instance refreshes, and what it shows of the groups they are about."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.permissions import Permissions
from unit.refresh_world import NEW, OLD, SAFE, RefreshWorld

OURS = r"\(wording of the lab\)"


def code(world: RefreshWorld, **preferences: Any) -> str:
    """The error that a refresh with these preferences is refused with."""
    with pytest.raises(ClientError) as refused:
        world.start(**preferences)
    return str(refused.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    "preferences",
    [
        {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 151},
        {"CheckpointPercentages": [50, 20, 100]},
        {"CheckpointPercentages": [50, 50, 100]},
        {"CheckpointDelay": 60},
        {"AlarmSpecification": {"Alarms": [f"alarm-{number}" for number in range(11)]}},
        {"MaxHealthyPercentage": 201},
    ],
)
def test_preferences_that_do_not_fit_each_other_or_the_model_are_refused(preferences: dict[str, Any]) -> None:
    assert code(RefreshWorld(size=0), **preferences) == "ValidationError"


def test_a_maximum_needs_a_minimum() -> None:
    world = RefreshWorld(size=0)
    with pytest.raises(ClientError, match=f"MinHealthyPercentage {OURS}"):
        world.client.start_instance_refresh(AutoScalingGroupName=world.name, Preferences={"MaxHealthyPercentage": 150})


@pytest.mark.parametrize("version", ["7", "x"])
def test_a_version_that_is_not_there_is_refused(version: str) -> None:
    world = RefreshWorld(size=0)
    with pytest.raises(ClientError, match=OURS):
        world.start(version)


def test_a_template_with_id_and_name_as_groups_show_it_is_refused() -> None:
    world = RefreshWorld(size=0)
    shown = world.described()["LaunchTemplate"]
    base = {"LaunchTemplate": {"LaunchTemplateSpecification": shown}}
    for call, asked in (
        (world.client.start_instance_refresh, {"DesiredConfiguration": {"LaunchTemplate": shown}}),
        (world.client.start_instance_refresh, {"DesiredConfiguration": {"MixedInstancesPolicy": base}}),
        (world.client.update_auto_scaling_group, {"LaunchTemplate": shown}),
        (world.client.update_auto_scaling_group, {"MixedInstancesPolicy": base}),
    ):
        with pytest.raises(ClientError, match="its id or by its name"):
            call(AutoScalingGroupName=world.name, **asked)
    del shown["LaunchTemplateName"]
    world.configure(LaunchTemplate=shown)


def test_a_group_that_is_not_there_is_refused() -> None:
    world = RefreshWorld(size=0)
    for act in ("start", "cancel", "rollback"):
        with pytest.raises(ClientError, match="name not found"):
            getattr(world.client, f"{act}_instance_refresh")(AutoScalingGroupName="none")


def test_what_a_group_launches_from_is_held_while_a_refresh_with_a_configuration_goes_on() -> None:
    world = RefreshWorld("launch", size=1)
    world.start(ticks=2)
    with pytest.raises(ClientError, match="An active instance refresh with a desired configuration exists"):
        world.configure(LaunchTemplate={"LaunchTemplateName": world.name, "Version": OLD})
    world.configure(MaxSize=30)
    world.client.cancel_instance_refresh(AutoScalingGroupName=world.name, WaitForTransitioningInstances=False)
    world.configure(LaunchTemplate={"LaunchTemplateName": world.name, "Version": NEW})
    world.start(None)
    world.configure(LaunchTemplate={"LaunchTemplateName": world.name, "Version": OLD})


@pytest.mark.parametrize(
    ("data", "lacking", "refused"),
    [
        ({}, "ec2:RunInstances", True),
        ({}, "iam:PassRole", False),
        ({"IamInstanceProfile.Name": "web"}, "iam:PassRole", True),
        ({}, "ec2:CreateTags", False),
    ],
)
def test_who_may_not_launch_from_the_template_may_not_start(data: dict[str, str], lacking: str, refused: bool) -> None:
    world = RefreshWorld(size=0, data={"ImageId": "ami-1", **data})
    permissions = world.permissions
    permissions.lack([lacking])
    if not refused:
        world.start()
        return
    with pytest.raises(ClientError, match="You are not authorized to use launch template: lt-") as answer:
        world.start()
    assert answer.value.response["Error"]["Code"] == "AccessDenied"


def test_a_permission_that_is_never_asked_for_cannot_be_lacking() -> None:
    with pytest.raises(ValueError, match="s3:GetObject"):
        Permissions().lack(["s3:GetObject"])


@pytest.mark.parametrize("error", ["LimitExceeded", "ResourceContention"])
def test_errors_that_pass_can_be_asked_for(error: str) -> None:
    world = RefreshWorld(size=0)
    world.api.refreshes.refuse("StartInstanceRefresh", error, 1)
    assert code(world) == error
    world.start()


def test_the_defaults_are_those_of_the_api() -> None:
    world = RefreshWorld(size=0)
    world.client.start_instance_refresh(AutoScalingGroupName=world.name)
    assert world.refresh()["Preferences"] == {
        "MinHealthyPercentage": 90,
        "SkipMatching": False,
        "AutoRollback": False,
        "ScaleInProtectedInstances": "Wait",
        "StandbyInstances": "Wait",
    }


def test_a_maintenance_policy_gives_the_percentages_that_the_refresh_leaves_out() -> None:
    world = RefreshWorld(size=0)
    maintenance = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 120}
    world.configure(InstanceMaintenancePolicy=maintenance)
    assert world.described()["InstanceMaintenancePolicy"] == maintenance
    world.client.start_instance_refresh(AutoScalingGroupName=world.name)
    shown = world.refresh()["Preferences"]
    assert {key: shown[key] for key in maintenance} == maintenance
    world.configure(InstanceMaintenancePolicy={"MinHealthyPercentage": -1, "MaxHealthyPercentage": -1})
    assert "InstanceMaintenancePolicy" not in world.described()


def test_a_refresh_shows_what_was_asked_for() -> None:
    world = RefreshWorld(size=0)
    asked: dict[str, Any] = {
        **SAFE,
        "CheckpointPercentages": [50, 100],
        "CheckpointDelay": 5,
        "BakeTime": 7,
        "SkipMatching": True,
    }
    world.start(**asked)
    shown = world.refresh()
    assert {key: shown["Preferences"][key] for key in asked} == asked
    assert shown["DesiredConfiguration"] == {"LaunchTemplate": {"LaunchTemplateName": world.name, "Version": NEW}}
    assert (shown["Status"], shown["Strategy"]) == ("Pending", "Rolling")


def test_a_group_shows_its_template_with_id_name_and_version() -> None:
    world = RefreshWorld(size=1, version="$Latest")
    template = {"LaunchTemplateId": world.template, "LaunchTemplateName": world.name}
    assert world.described()["LaunchTemplate"] == {**template, "Version": "$Latest"}
    assert world.described()["Instances"][0]["LaunchTemplate"] == {**template, "Version": "2"}


def test_a_default_warm_up_is_shown_and_can_be_taken_away() -> None:
    world = RefreshWorld(size=0)
    assert "DefaultInstanceWarmup" not in world.described()
    world.configure(DefaultInstanceWarmup=0)
    assert world.described()["DefaultInstanceWarmup"] == 0
    world.configure(DefaultInstanceWarmup=-1)
    assert "DefaultInstanceWarmup" not in world.described()


def test_protection_of_instances_of_other_groups_is_refused() -> None:
    world = RefreshWorld(size=0)
    with pytest.raises(ClientError, match="not part of"):
        world.client.set_instance_protection(
            AutoScalingGroupName=world.name, InstanceIds=["i-0123456789abcdef0"], ProtectedFromScaleIn=True
        )


def test_an_unknown_process_is_refused() -> None:
    world = RefreshWorld(size=0)
    with pytest.raises(ClientError, match=OURS):
        world.client.suspend_processes(AutoScalingGroupName=world.name, ScalingProcesses=["Sleep"])
