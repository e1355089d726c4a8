"""Instance types and security groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.stub import Stubber

from rollcall.aws.launch_types import LaunchTypes
from rollcall.domain.errors import AwsDenied
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def types() -> LaunchTypes:
    return LaunchTypes(REGION)


@pytest.fixture
def ec2(types: LaunchTypes) -> Iterator[Stubber]:
    with Stubber(types._ec2) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_types_that_are_none_here_are_left_out(types: LaunchTypes, ec2: Stubber) -> None:
    offered = {"InstanceType": "m7i.large", "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]}}
    query = {"Filters": [{"Name": "instance-type", "Values": ["m7i.large", "m9z.large"]}]}
    ec2.add_response("describe_instance_types", {"InstanceTypes": [offered]}, query)
    assert types.architectures({"m9z.large", "m7i.large"}) == {"m7i.large": frozenset({"x86_64"})}


def test_security_groups_that_are_not_there_are_left_out(types: LaunchTypes, ec2: Stubber) -> None:
    query = {"Filters": [{"Name": "group-id", "Values": ["sg-1", "sg-2"]}]}
    ec2.add_response("describe_security_groups", {"SecurityGroups": [{"GroupId": "sg-1"}]}, query)
    assert types.security_groups(["sg-2", "sg-1"]) == {"sg-1"}


def test_without_any_nothing_is_asked(types: LaunchTypes, ec2: Stubber) -> None:
    assert (types.architectures(()), types.security_groups(())) == ({}, frozenset())


def test_a_permission_that_is_missing_is_raised(types: LaunchTypes, ec2: Stubber) -> None:
    ec2.add_client_error("describe_security_groups", "UnauthorizedOperation", http_status_code=403)
    with pytest.raises(AwsDenied):
        types.security_groups(["sg-1"])
