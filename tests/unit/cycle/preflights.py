"""What pre-flight reads of a group that can be cycled; tests change single parts."""

from __future__ import annotations

from copy import replace
from typing import Any

from rollcall.aws.group_details import GroupDetails, MemberDetails
from rollcall.aws.launch_surroundings import PastActivity, Subnet
from rollcall.aws.launch_templates import TemplateVersion
from rollcall.cycle.preflight_input import PreflightInput
from rollcall.cycle.request import CycleRequest
from rollcall.domain.groups import AddressKind, Group, GroupSettings, OnFailure

NOW = 1_795_255_200.0
OWN = TemplateVersion("lt-1", "6", {"InstanceType": "t3.micro", "ImageId": "ami-6"})
TARGET = TemplateVersion("lt-1", "7", {"InstanceType": "t3.micro", "ImageId": "ami-7"})
SETTINGS = GroupSettings(
    "web", "prod", ("web",), "provision", ("job", "elb"), 1800, OnFailure.ABANDON, AddressKind.PRIVATE
)


def template(version: str) -> dict[str, Any]:
    return {"LaunchTemplate": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web-template", "Version": version}}


def mixed(version: str, *overrides: dict[str, Any]) -> dict[str, Any]:
    spec = template(version)["LaunchTemplate"]
    return {
        "MixedInstancesPolicy": {"LaunchTemplate": {"LaunchTemplateSpecification": spec, "Overrides": [*overrides]}}
    }


def member(number: int, **changes: Any) -> MemberDetails:
    return replace(MemberDetails(f"i-{number}", "InService", "lt-1", "6"), **changes)


def details(*members: MemberDetails, **changes: Any) -> GroupDetails:
    """A group on version 6 with eight instances of it, behind a target group."""
    tags = {"rollcall:inventory": "prod", **changes.pop("tags", {})}
    own = members or tuple(map(member, range(8)))
    made = GroupDetails(
        group=Group("web", {key: value for key, value in tags.items() if value is not None}, {}, ("arn:tg/web/1",)),
        minimum=1,
        maximum=20,
        desired=len(own),
        configuration=template("6"),
        members=own,
        pool=(),
        subnets=("subnet-a", "subnet-b"),
        zones=("us-east-1a", "us-east-1b"),
        health_check_type="EC2",
        grace_period=300,
    )
    return replace(made, **changes)


def launch(seconds: float | None, status: str = "Successful", **changes: Any) -> PastActivity:
    ended = None if seconds is None else NOW - 1000 + seconds
    return replace(PastActivity(True, "i-0", NOW - 1000, ended, status), **changes)


def given(group: GroupDetails | None = None, /, asked: dict[str, Any] | None = None, **changes: Any) -> PreflightInput:
    """A cycle from version 6 to 7 to which nothing is to object."""
    wanted = CycleRequest("web", launch_template_version="7")
    made = PreflightInput(
        request=replace(wanted, **(asked or {})),
        execution="web-1",
        now=NOW,
        details=details() if group is None else group,
        settings=SETTINGS,
        own=OWN,
        target=TARGET,
        subnets={"subnet-a": Subnet("us-east-1a", 100), "subnet-b": Subnet("us-east-1b", 100)},
        activities=(launch(200), launch(300), PastActivity(False, "i-9", NOW - 2000, NOW - 1940, "Successful")),
    )
    return replace(made, **changes)
