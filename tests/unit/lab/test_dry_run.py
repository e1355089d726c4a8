"""What the embedded EC2 says to a dry run of RunInstances."""

from __future__ import annotations

from typing import Any

import pytest

from lab.aws import ministack as cloud
from lab.aws.dry_run import WELL, Launch, answer
from lab.aws.permissions import Permissions
from unit.auto_scaling_world import SCOPE
from unit.refresh_world import NEW, RefreshWorld

IMAGE = {"ImageId": "ami-12345678"}


def code(world: RefreshWorld, *lacking: str, version: str = NEW, name: str = "", **asked: Any) -> str:
    """The error that comes of a dry run with the world's launch template."""
    permissions = Permissions()
    permissions.lack(lacking)
    template = {"LaunchTemplateName": name or world.name, "Version": version}
    own = {**IMAGE, **asked.pop("own", {})}
    with cloud.within(SCOPE):
        return answer(Launch(template, own, **asked), permissions).code


@pytest.fixture(scope="module")
def world() -> RefreshWorld:
    return RefreshWorld(size=0)


def test_what_can_be_launched_would_have_succeeded(world: RefreshWorld) -> None:
    assert code(world) == WELL.code == "DryRunOperation"
    assert WELL.status == 412


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"name": "none"}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"version": "9"}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"own": {"ImageId": "ami-0000000000000none"}}, "InvalidAMIID.NotFound"),
        ({"own": {"InstanceType": "t9.colossal"}}, "InvalidParameterValue"),
        ({"subnet": "subnet-none"}, "InvalidSubnetID.NotFound"),
        ({"zone": "us-east-1z"}, "InvalidParameterValue"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_exist_is_named_by_its_error(world: RefreshWorld, asked: dict[str, Any], error: str) -> None:
    assert code(world, **asked) == error


def test_a_type_that_a_zone_does_not_offer_is_unsupported_there(
    world: RefreshWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.aws.ministack.zones", lambda: {"us-east-1a", "us-east-1c"})
    own = {"InstanceType": "m7g.large"}
    assert code(world, own=own, zone="us-east-1c") == "Unsupported"
    assert code(world, own=own, zone="us-east-1a") == "DryRunOperation"


@pytest.mark.parametrize(
    ("lacking", "asked", "error"),
    [
        ("ec2:RunInstances", {}, "UnauthorizedOperation"),
        ("ec2:CreateTags", {}, "DryRunOperation"),
        ("ec2:CreateTags", {"tags": True}, "UnauthorizedOperation"),
        ("iam:PassRole", {}, "DryRunOperation"),
        ("iam:PassRole", {"own": {"IamInstanceProfile": {"Name": "web"}}}, "UnauthorizedOperation"),
    ],
)
def test_a_permission_that_is_needed_and_lacking_is_an_error(
    world: RefreshWorld, lacking: str, asked: dict[str, Any], error: str
) -> None:
    assert code(world, lacking, **asked) == error


def test_the_missing_permission_is_named(world: RefreshWorld) -> None:
    permissions = Permissions()
    permissions.lack(["iam:PassRole"])
    with cloud.within(SCOPE):
        found = answer(Launch({}, {**IMAGE, "IamInstanceProfile": {"Name": "web"}}), permissions)
    assert "iam:PassRole" in found.message
