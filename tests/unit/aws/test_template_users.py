"""What launches instances from a launch template by itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from rollcall.aws.template_users import TemplateUser, TemplateUsers
from rollcall.domain.errors import AwsDenied
from unit.aws.answers import raw_group
from unit.fakes import REGION

TEMPLATE = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web"}
ANOTHER = {"LaunchTemplateId": "lt-2", "LaunchTemplateName": "api"}
LATEST = {**TEMPLATE, "Version": "$Latest"}


def users(groups: list[dict[str, Any]], *more: dict[str, Any], **answers: Any) -> list[TemplateUser]:
    """What is found. groups, more: pages of groups. answers: of EC2, a code is an error."""
    reader = TemplateUsers(REGION)
    calls: dict[str, Any] = {
        "describe_fleets": {"Fleets": []},
        "describe_spot_fleet_requests": {"SpotFleetRequestConfigs": []},
    }
    with ExitStack() as stubs:
        autoscaling = stubs.enter_context(Stubber(reader._autoscaling))
        pages = (groups, *([each] for each in more))
        for number, page in enumerate(pages):
            token = {} if number == len(pages) - 1 else {"NextToken": "more"}
            autoscaling.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": page, **token})
        ec2 = stubs.enter_context(Stubber(reader._ec2))
        for call, answer in (calls | answers).items():
            if isinstance(answer, str):
                ec2.add_client_error(call, answer)
            else:
                ec2.add_response(call, answer)
        return reader.template_users(TEMPLATE, "web")


def test_groups_by_their_template_their_policy_and_its_overrides_on_every_page() -> None:
    policy = {"LaunchTemplateSpecification": TEMPLATE, "Overrides": [{"LaunchTemplateSpecification": LATEST}]}
    mixed = raw_group("mixed") | {"MixedInstancesPolicy": {"LaunchTemplate": policy}}
    numbered = raw_group("numbered") | {"LaunchTemplate": {**TEMPLATE, "Version": "7"}}
    another = raw_group("another") | {"LaunchTemplate": {**ANOTHER, "Version": "$Latest"}}
    assert users([mixed, another], numbered) == [
        TemplateUser("the group mixed", "$Default"),
        TemplateUser("the group mixed", "$Latest"),
        TemplateUser("the group numbered", "7"),
    ]


def test_the_group_itself_is_left_out() -> None:
    assert users([raw_group("web") | {"LaunchTemplate": LATEST}]) == []


def states(shape: str) -> list[str]:
    """The values of an enumeration of EC2's service model."""
    return list(boto3.client("ec2", region_name=REGION).meta.service_model.shape_for(shape).metadata["enum"])


@pytest.mark.parametrize("state", states("FleetStateCode"))
def test_fleets_that_may_launch_more(state: str) -> None:
    fleet = {
        "FleetId": "fleet-1",
        "FleetState": state,
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": LATEST}],
    }
    launches = state in ("submitted", "active", "modifying")
    expected = [TemplateUser("the fleet fleet-1", "$Latest")] if launches else []
    assert users([], describe_fleets={"Fleets": [fleet]}) == expected


@pytest.mark.parametrize("state", states("BatchState"))
def test_spot_fleets_that_may_launch_more(state: str) -> None:
    config = {
        "IamFleetRole": "arn:aws:iam::1:role/fleet",
        "TargetCapacity": 1,
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": LATEST}],
    }
    raw = {"SpotFleetRequestId": "sfr-1", "SpotFleetRequestState": state, "SpotFleetRequestConfig": config}
    found = users([], describe_spot_fleet_requests={"SpotFleetRequestConfigs": [raw]})
    launches = state in ("submitted", "active", "modifying")
    assert found == ([TemplateUser("the Spot fleet sfr-1", "$Latest")] if launches else [])


def test_what_may_not_be_read_is_an_error() -> None:
    with pytest.raises(AwsDenied):
        users([], describe_fleets="UnauthorizedOperation")
