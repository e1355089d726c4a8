"""What uses an image or a version: every kind that AWS has, each read where it stands, and what cannot be read."""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.image_uses import ImageUses, Uses
from rollcall.domain.errors import AwsDenied
from unit.aws.answers import raw_group
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

IMAGE, OTHER = "ami-1", "ami-2"
TEMPLATE = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web"}
ANOTHER = {"LaunchTemplateId": "lt-2", "LaunchTemplateName": "api"}
MOMENT = datetime(2026, 11, 21, tzinfo=UTC)
# By service, the calls in their order with what AWS answers where nothing uses anything.
QUIET: dict[str, dict[str, Any]] = {
    "autoscaling": {
        "describe_auto_scaling_groups": {"AutoScalingGroups": []},
        "describe_instance_refreshes": None,  # is called once there is a group
        "describe_warm_pool": None,
        "describe_launch_configurations": {"LaunchConfigurations": []},
    },
    "ec2": {
        "describe_fleets": {"Fleets": []},
        "describe_spot_fleet_requests": {"SpotFleetRequestConfigs": []},
        "describe_instances": {"Reservations": []},
        "describe_image_references": {"ImageReferences": []},
        "describe_image_attribute": {"LaunchPermissions": []},
    },
    "ssm": {"describe_parameters": {"Parameters": []}, "get_parameters": None},
}
TYPE = "m7g.large"
NO_REFRESH: dict[str, Any] = {"InstanceRefreshes": []}


def uses(*, images: tuple[str, ...] = (IMAGE,), **answers: Any) -> Uses:
    """What uses images and versions of a template, by what AWS answers: in one page, or a list; a code is an error."""
    calls = deepcopy(QUIET)
    for own in calls.values():
        own.update({call: answer for call, answer in answers.items() if call in own})
    reader = ImageUses(REGION)
    with ExitStack() as stubs:
        for service, own in calls.items():
            stub = stubs.enter_context(Stubber(getattr(reader, f"_{service}")))
            for call, answer in own.items():
                if isinstance(answer, str):
                    stub.add_client_error(call, answer)
                for page in answer if isinstance(answer, list) else [answer]:
                    if isinstance(page, dict):
                        stub.add_response(call, page)
        return reader.uses(images, TEMPLATE)


def group(**fields: Any) -> dict[str, Any]:
    return {"AutoScalingGroups": [raw_group("api") | fields]}


def mixed(*overrides: dict[str, Any], version: str = "3") -> dict[str, Any]:
    template = {"LaunchTemplateSpecification": {**ANOTHER, "Version": version}, "Overrides": list(overrides)}
    return {"MixedInstancesPolicy": {"LaunchTemplate": template}}


def refresh(status: str, **desired: Any) -> dict[str, Any]:
    return {
        "InstanceRefreshes": [
            {
                "InstanceRefreshId": "r-1",
                "AutoScalingGroupName": "api",
                "Status": status,
                "DesiredConfiguration": desired,
            }
        ]
    }


def member(version: str) -> dict[str, Any]:
    return {
        "InstanceId": "i-1",
        "AvailabilityZone": "a",
        "LifecycleState": "InService",
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
        "LaunchTemplate": {**TEMPLATE, "Version": version},
    }


def spot_fleet(state: str, **config: Any) -> dict[str, Any]:
    own = {"IamFleetRole": "arn", "TargetCapacity": 1, **config}
    return {
        "SpotFleetRequestConfigs": [
            {"SpotFleetRequestId": "sfr-1", "SpotFleetRequestState": state, "SpotFleetRequestConfig": own}
        ]
    }


def reference(kind: str, arn: str) -> dict[str, Any]:
    return {"ImageReferences": [{"ImageId": IMAGE, "ResourceType": kind, "Arn": arn}]}


def test_what_nothing_uses_is_not_in_use() -> None:
    assert uses() == Uses({}, {})


@pytest.mark.parametrize(
    ("answers", "by"),
    [
        pytest.param(
            {
                "describe_instances": {
                    "Reservations": [
                        {"Instances": [{"InstanceId": "i-1", "ImageId": IMAGE, "State": {"Name": "stopped"}}]}
                    ]
                }
            },
            "the instance i-1",
            id="an instance, also one that is stopped in a warm pool",
        ),
        pytest.param(
            {
                "describe_image_references": reference(
                    "ec2:LaunchTemplate", "arn:aws:ec2:us-east-1:1:launch-template/lt-2"
                )
            },
            "ec2:LaunchTemplate arn:aws:ec2:us-east-1:1:launch-template/lt-2",
            id="a version of another launch template",
        ),
        pytest.param(
            {"describe_image_references": reference("imagebuilder:ImageRecipe", "arn:recipe")},
            "imagebuilder:ImageRecipe arn:recipe",
            id="a recipe of Image Builder",
        ),
        pytest.param(
            {
                "describe_auto_scaling_groups": group(**mixed({"InstanceType": "m7g.large", "ImageId": IMAGE})),
                "describe_instance_refreshes": NO_REFRESH,
            },
            "the group api",
            id="an override of a mixed instances policy",
        ),
        pytest.param(
            {
                "describe_launch_configurations": {
                    "LaunchConfigurations": [
                        {
                            "LaunchConfigurationName": "old",
                            "ImageId": IMAGE,
                            "InstanceType": "t3.micro",
                            "CreatedTime": MOMENT,
                        }
                    ]
                }
            },
            "the launch configuration old",
            id="a launch configuration",
        ),
        pytest.param(
            {
                "describe_parameters": {"Parameters": [{"Name": "/golden", "DataType": "aws:ec2:image"}]},
                "get_parameters": {"Parameters": [{"Name": "/golden", "Value": IMAGE}]},
            },
            "the parameter /golden",
            id="a parameter of Systems Manager",
        ),
        pytest.param(
            {
                "describe_auto_scaling_groups": group(),
                "describe_instance_refreshes": refresh("InProgress", **mixed({"ImageId": IMAGE})),
            },
            "the instance refresh of group api",
            id="what a refresh is about to bring",
        ),
        pytest.param(
            {
                "describe_fleets": {
                    "Fleets": [
                        {
                            "FleetId": "fleet-1",
                            "FleetState": "active",
                            "LaunchTemplateConfigs": [{"Overrides": [{"ImageId": IMAGE}]}],
                        }
                    ]
                }
            },
            "the fleet fleet-1",
            id="a fleet",
        ),
        pytest.param(
            {"describe_spot_fleet_requests": spot_fleet("active", LaunchSpecifications=[{"ImageId": IMAGE}])},
            "the Spot fleet sfr-1",
            id="a Spot fleet",
        ),
        pytest.param(
            {"describe_image_attribute": {"LaunchPermissions": [{"UserId": "210987654321"}]}},
            "it is shared with 210987654321",
            id="another account",
        ),
        pytest.param(
            {
                "describe_auto_scaling_groups": group(
                    Tags=[{"Key": "rollcall:bake-base", "Value": IMAGE, "ResourceId": "api"}]
                ),
                "describe_instance_refreshes": NO_REFRESH,
            },
            "the tag rollcall:bake-base of group api",
            id="a tag of a group",
        ),
    ],
)
def test_each_kind_of_use_keeps_an_image(answers: dict[str, Any], by: str) -> None:
    assert uses(**answers).images == {IMAGE: by}


def paged(key: str, *pages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An answer in pages; each but the last says that there is another."""
    more = [{key: page, "NextToken": "more"} for page in pages[:-1]]
    return [*more, {key: pages[-1]}]


LAUNCHES = {"InstanceType": TYPE, "CreatedTime": MOMENT}
SECOND_PAGES: dict[str, dict[str, Any]] = {
    "the group api": {
        "describe_auto_scaling_groups": paged(
            "AutoScalingGroups",
            [raw_group(f"web-{number}") for number in range(100)],
            [raw_group("api") | mixed({"InstanceType": TYPE, "ImageId": IMAGE})],
        ),
        "describe_instance_refreshes": [NO_REFRESH] * 101,
    },
    "the launch configuration old": {
        "describe_launch_configurations": paged(
            "LaunchConfigurations", [], [{**LAUNCHES, "LaunchConfigurationName": "old", "ImageId": IMAGE}]
        )
    },
    "the fleet fleet-1": {
        "describe_fleets": paged(
            "Fleets", [], [{"FleetId": "fleet-1", "LaunchTemplateConfigs": [{"Overrides": [{"ImageId": IMAGE}]}]}]
        )
    },
    "the Spot fleet sfr-1": {
        "describe_spot_fleet_requests": paged(
            "SpotFleetRequestConfigs",
            [],
            spot_fleet("active", LaunchSpecifications=[{"ImageId": IMAGE}])["SpotFleetRequestConfigs"],
        )
    },
    "the instance i-1": {
        "describe_instances": paged(
            "Reservations",
            [],
            [{"Instances": [{"InstanceId": "i-1", "ImageId": IMAGE, "State": {"Name": "running"}}]}],
        )
    },
    "ssm:Parameter arn": {
        "describe_image_references": paged(
            "ImageReferences", [], [{"ImageId": IMAGE, "ResourceType": "ssm:Parameter", "Arn": "arn"}]
        )
    },
}


@pytest.mark.parametrize("by", SECOND_PAGES)
def test_a_use_on_a_later_page_of_an_answer_keeps_an_image(by: str) -> None:
    assert uses(**SECOND_PAGES[by]).images == {IMAGE: by}


def test_a_use_on_a_later_page_of_a_warm_pool_keeps_a_version() -> None:
    pooled = paged("Instances", [], [member("7")])
    found = uses(
        describe_auto_scaling_groups=group(WarmPoolConfiguration={"MinSize": 1}),
        describe_instance_refreshes=NO_REFRESH,
        describe_warm_pool=pooled,
    )
    assert found.versions == {"7": "the warm pool of group api"}


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("describe_auto_scaling_groups", "Auto Scaling groups"),
        ("describe_launch_configurations", "launch configurations"),
        ("describe_fleets", "EC2 fleets"),
        ("describe_spot_fleet_requests", "Spot fleets"),
        ("describe_parameters", "parameters of Systems Manager"),
        ("describe_instances", "instances"),
        ("describe_image_references", "image references"),
    ],
)
def test_what_cannot_be_read_is_a_use_of_every_image(call: str, what: str) -> None:
    refused: dict[str, Any] = {call: "UnauthorizedOperation"}
    found = uses(**refused).images[IMAGE]
    assert found.startswith(f"{what} could not be read: AWS refused")


def test_a_refresh_that_cannot_be_read_is_a_use_of_every_image_and_version() -> None:
    found = uses(describe_auto_scaling_groups=group(), describe_instance_refreshes="AccessDenied")
    assert found.images[IMAGE].startswith(
        "Auto Scaling groups could not be read: AWS refused DescribeInstanceRefreshes"
    )
    assert found.versions_unread == found.images[IMAGE]


def test_an_image_whose_launch_permissions_cannot_be_read_is_in_use_and_the_others_are_not() -> None:
    class OneUnreadable(ImageUses):
        def shared_with(self, image_id: str) -> tuple[str, ...]:
            if image_id == IMAGE:
                raise AwsDenied("AWS refused it")
            return ()

    found = OneUnreadable(REGION)._shared([IMAGE, OTHER])
    assert found == {IMAGE: "its launch permissions could not be read: AWS refused it"}


def test_ten_thousand_versions_of_each_template_are_searched() -> None:
    reader = ImageUses(REGION)
    states = ["pending", "running", "stopping", "stopped", "shutting-down"]
    expected = {
        "ImageIds": [IMAGE],
        "IncludeAllResourceTypes": True,
        "ResourceTypes": [
            {
                "ResourceType": "ec2:LaunchTemplate",
                "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": ["10000"]}],
            },
            {
                "ResourceType": "ec2:Instance",
                "ResourceTypeOptions": [{"OptionName": "state-name", "OptionValues": states}],
            },
        ],
    }
    with Stubber(reader._ec2) as stub:
        stub.add_response("describe_image_references", {"ImageReferences": []}, expected)
        assert reader._references([IMAGE], TEMPLATE) == {}
        stub.assert_no_pending_responses()


def test_references_are_asked_for_ten_images_a_call() -> None:
    class Chunked(ImageUses):
        def _referring(self, image_ids: Collection[str]) -> list[Any]:
            assert len(image_ids) <= 10
            return [{"ImageId": each, "ResourceType": "ssm:Parameter", "Arn": "arn"} for each in image_ids]

    images = [f"ami-{number}" for number in range(21)]
    assert Chunked(REGION)._references(images, TEMPLATE) == dict.fromkeys(images, "ssm:Parameter arn")


def test_versions_of_the_template_itself_are_no_use_of_an_image() -> None:
    own = reference("ec2:LaunchTemplate", "arn:aws:ec2:us-east-1:1:launch-template/lt-1")
    assert uses(describe_image_references=own).images == {}


VERSION_USES: dict[str, Callable[[], dict[str, Any]]] = {
    "the group api": lambda: {
        "describe_auto_scaling_groups": group(LaunchTemplate={**TEMPLATE, "Version": "7"}),
        "describe_instance_refreshes": NO_REFRESH,
    },
    "an instance of group api": lambda: {
        "describe_auto_scaling_groups": group(Instances=[member("7")]),
        "describe_instance_refreshes": NO_REFRESH,
    },
    "the warm pool of group api": lambda: {
        "describe_auto_scaling_groups": group(WarmPoolConfiguration={"MinSize": 1}),
        "describe_instance_refreshes": NO_REFRESH,
        "describe_warm_pool": {"Instances": [member("7")]},
    },
    "the instance refresh of group api": lambda: {
        "describe_auto_scaling_groups": group(),
        "describe_instance_refreshes": refresh("Baking", LaunchTemplate={**TEMPLATE, "Version": "7"}),
    },
    "the fleet fleet-1": lambda: {
        "describe_fleets": {
            "Fleets": [
                {
                    "FleetId": "fleet-1",
                    "LaunchTemplateConfigs": [
                        {"LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": "7"}}
                    ],
                }
            ]
        }
    },
    "the Spot fleet sfr-1": lambda: {
        "describe_spot_fleet_requests": spot_fleet(
            "active", LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {**TEMPLATE, "Version": "7"}}]
        )
    },
}


@pytest.mark.parametrize("by", VERSION_USES)
def test_each_kind_of_use_keeps_a_version(by: str) -> None:
    found = uses(**VERSION_USES[by]())
    assert found.versions == {"7": by}
    assert found.versions_unread == ""


def test_an_override_may_have_a_version_of_its_own_or_an_alias() -> None:
    overrides = [
        {"LaunchTemplateSpecification": {**TEMPLATE, "Version": "6"}},
        {"LaunchTemplateSpecification": TEMPLATE},
        {"LaunchTemplateSpecification": {**TEMPLATE, "Version": "$Latest"}},
    ]
    found = uses(describe_auto_scaling_groups=group(**mixed(*overrides)), describe_instance_refreshes=NO_REFRESH)
    assert found.versions == dict.fromkeys(("6", "$Default", "$Latest"), "the group api")


@pytest.mark.parametrize(
    "answers",
    [
        {
            "describe_auto_scaling_groups": group(),
            "describe_instance_refreshes": refresh("Successful", **mixed({"ImageId": IMAGE})),
        },
        {"describe_spot_fleet_requests": spot_fleet("cancelled", LaunchSpecifications=[{"ImageId": IMAGE}])},
        {
            "describe_fleets": {
                "Fleets": [{"FleetState": "deleted", "LaunchTemplateConfigs": [{"Overrides": [{"ImageId": IMAGE}]}]}]
            }
        },
        {"describe_auto_scaling_groups": group(), "describe_instance_refreshes": "ValidationError"},
    ],
)
def test_what_is_over_uses_nothing(answers: dict[str, Any]) -> None:
    assert uses(**answers) == Uses({}, {})
