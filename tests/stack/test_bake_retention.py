"""Retention by our own clients on the embedded AWS: versions, then images, then a day later; each kind of use keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lab.aws.alone import Lab
from rollcall.bake.bake_aws import BakeAws
from rollcall.bake.retiring import RetentionReport, RetentionRequest, Retiring
from rollcall.domain.bake_tags import (
    BAKE_GROUP,
    BAKE_ID,
    MADE_BY,
    MADE_BY_BAKE,
    ROLL_OUT,
    SMOKE,
    version_description,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = "ami-0abcdef1234567890"
DAY = 86_400.0
NOW = 1_800_000_000.0
TYPE = "t4g.small"
ROLE = "arn:aws:iam::123456789012:role/fleet"


class Baked:
    """A launch template and the images of bakes in its versions, the oldest first. Its newest version is by hand."""

    def __init__(self, lab: Lab, aws: BakeAws, images: int, versions: int | None = None) -> None:
        self.lab = lab
        self.aws = aws
        self.ec2 = lab.aws.client("ec2")
        self.template = self.make_template(lab.name, BASE)
        self.images = lab.aws.images.seed(images, name=lab.name, tags=self._tags)
        named = [(place, self.images[place % images]) for place in range(images if versions is None else versions)]
        lab.aws.images.seed_versions(
            self.template["LaunchTemplateId"],
            [(image, version_description(f"{place % images:012x}", image)) for place, image in named],
        )
        self.ec2.create_launch_template_version(
            LaunchTemplateId=self.template["LaunchTemplateId"], SourceVersion="1", LaunchTemplateData={"ImageId": BASE}
        )

    def _tags(self, place: int) -> dict[str, str]:
        return {
            MADE_BY: MADE_BY_BAKE,
            BAKE_GROUP: self.lab.name,
            BAKE_ID: f"{place:012x}",
            SMOKE: "passed",
            ROLL_OUT: "succeeded",
        }

    def make_template(self, name: str, image: str) -> dict[str, str]:
        """A launch template, by its id and its name."""
        data: Any = {"ImageId": image, "InstanceType": TYPE}
        made = self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
        return {"LaunchTemplateId": made["LaunchTemplateId"], "LaunchTemplateName": name}

    def retire(self, *, keep: int = 2, now: float = NOW, **changes: Any) -> RetentionReport:
        request = RetentionRequest(self.lab.name, self.template, keep, 1.0, **changes)
        return Retiring(self.aws, lambda: now, lambda: 300.0).retire(request)

    def states(self) -> list[str]:
        """Of the images, the oldest first; gone for one that is deregistered."""
        found = (self.aws.image(each) for each in self.images)
        return [each.state if each else "gone" for each in found]


@pytest.fixture
def bake_aws(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> BakeAws:
    own = BakeAws("us-east-1")
    monkeypatch.setattr(own, "_client", lambda service, config=None: lab.aws.client(service))
    return own


def test_the_third_image_of_two_is_disabled_and_a_day_later_deregistered_with_its_snapshot(
    lab: Lab, bake_aws: BakeAws
) -> None:
    baked = Baked(lab, bake_aws, 3)
    image = bake_aws.image(baked.images[0])
    assert image is not None
    assert baked.retire().failed == ()
    assert baked.states() == ["disabled", "available", "available"]
    assert [each.number for each in bake_aws.versions(baked.template["LaunchTemplateId"])] == ["5", "4", "3", "1"]
    assert baked.retire(now=NOW + DAY - 1).removed == ()
    last = baked.retire(now=NOW + DAY)
    assert baked.states() == ["gone", "available", "available"]
    assert f"with {image.snapshots[0]}" in last.removed[0]


def _instance(baked: Baked, image: str) -> None:
    baked.ec2.run_instances(ImageId=image, InstanceType=TYPE, MinCount=1, MaxCount=1)


def _other_template(baked: Baked, image: str) -> None:
    """In a version far from the newest."""
    other = baked.make_template(f"{baked.lab.name}-other", image)
    baked.lab.aws.images.seed_versions(other["LaunchTemplateId"], [(BASE, "later")] * 20)


def _override(baked: Baked, image: str) -> None:
    base = {"LaunchTemplateName": "template", "Version": "$Default"}
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": base,
            "Overrides": [{"InstanceType": TYPE, "ImageId": image}],
        }
    }
    group = baked.lab.group()
    baked.lab.aws.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group.name, MixedInstancesPolicy=policy
    )


def _launch_configuration(baked: Baked, image: str) -> None:
    baked.lab.aws.client("autoscaling").create_launch_configuration(
        LaunchConfigurationName=baked.lab.name, ImageId=image, InstanceType=TYPE
    )


def _parameter(baked: Baked, image: str) -> None:
    baked.lab.aws.client("ssm").put_parameter(
        Name=f"/{baked.lab.name}", Value=image, Type="String", DataType="aws:ec2:image"
    )


def _fleet(baked: Baked, image: str) -> None:
    named = {"LaunchTemplateName": "template", "Version": "1"}
    baked.ec2.create_fleet(
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": named, "Overrides": [{"ImageId": image}]}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1},
    )


def _spot_fleet(baked: Baked, image: str) -> None:
    config: Any = {"IamFleetRole": ROLE, "TargetCapacity": 1, "LaunchSpecifications": [{"ImageId": image}]}
    baked.ec2.request_spot_fleet(SpotFleetRequestConfig=config)


def _shared(baked: Baked, image: str) -> None:
    baked.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "210987654321"}]})


def _protected(baked: Baked, image: str) -> None:
    baked.ec2.enable_image_deregistration_protection(ImageId=image)


def _group_on_its_version(baked: Baked, image: str) -> None:
    (version,) = (
        each for each in baked.aws.versions(baked.template["LaunchTemplateId"]) if each.data["ImageId"] == image
    )
    own = {"LaunchTemplateId": baked.template["LaunchTemplateId"], "Version": version.number}
    baked.lab.aws.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=baked.lab.group().name, LaunchTemplate=own
    )


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (_instance, "it is in use: the instance i-"),
        (_other_template, "it is in use: ec2:LaunchTemplate arn:aws:ec2:"),
        (_override, "it is in use: the group "),
        (_launch_configuration, "it is in use: the launch configuration "),
        (_parameter, "it is in use: the parameter /"),
        (_fleet, "it is in use: the fleet "),
        (_spot_fleet, "it is in use: the Spot fleet "),
        (_shared, "it is in use: it is shared with 210987654321"),
        (_protected, "it is protected against deregistration"),
        (_group_on_its_version, "version 2 of the group's launch template names it"),
    ],
)
def test_each_kind_of_use_keeps_an_image(
    lab: Lab, bake_aws: BakeAws, use: Callable[[Baked, str], None], reason: str
) -> None:
    baked = Baked(lab, bake_aws, 4)
    use(baked, baked.images[0])
    report = baked.retire()
    assert baked.states() == ["available", "disabled", "available", "available"]
    assert f"{baked.images[0]} stays: {reason}" in "\n".join(report.kept)


def test_a_thousand_images_and_ten_thousand_versions_are_retired_in_one_run(lab: Lab, bake_aws: BakeAws) -> None:
    baked = Baked(lab, bake_aws, 1000, 9998)
    report = baked.retire(keep=5)
    assert report.failed == ()
    assert baked.states().count("disabled") == 995
    assert len(bake_aws.versions(baked.template["LaunchTemplateId"])) == 2 + sum(
        place % 1000 >= 995 for place in range(9998)
    )
