"""The instances of bakes: launched by token, found by tag, terminated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.builders import Builders
from rollcall.aws.launch_templates import LaunchRefusal
from rollcall.domain.errors import AwsDenied, AwsRejected, Throttled
from unit.fakes import REGION

from .answers import raw_instance

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = {"Name": "tag:rollcall:made-by", "Values": ["rollcall bake"]}
PARAMETERS: dict[str, Any] = {"ImageId": "ami-1", "InstanceType": "m7i.large"}
ALONE: dict[str, Any] = {**PARAMETERS, "MinCount": 1, "MaxCount": 1}


@pytest.fixture
def builders() -> Builders:
    return Builders(REGION)


@pytest.fixture
def ec2(builders: Builders) -> Iterator[Stubber]:
    with Stubber(builders._ec2) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_one_instance_is_launched_under_its_token(builders: Builders, ec2: Stubber) -> None:
    ec2.add_response("run_instances", {"Instances": [raw_instance("i-a")]}, {**ALONE, "ClientToken": "t" * 64})
    assert builders.launch_alone(PARAMETERS, "t" * 64) == "i-a"


@pytest.mark.parametrize(
    ("code", "status"), [("InsufficientInstanceCapacity", 500), ("Unsupported", 400), ("InvalidKeyPair.NotFound", 400)]
)
def test_why_nothing_is_launched_is_said_in_awss_words(
    builders: Builders, ec2: Stubber, code: str, status: int
) -> None:
    ec2.add_client_error("run_instances", code, "because", http_status_code=status)
    assert builders.launch_alone(PARAMETERS, "t") == LaunchRefusal(code, "because")


def test_what_passes_by_itself_is_raised(builders: Builders, ec2: Stubber) -> None:
    ec2.add_client_error("run_instances", "RequestLimitExceeded", "slow down", http_status_code=503)
    with pytest.raises(Throttled):
        builders.launch_alone(PARAMETERS, "t")


def test_a_dry_run_says_whether_it_would_launch(builders: Builders, ec2: Stubber) -> None:
    ec2.add_client_error("run_instances", "DryRunOperation", expected_params={**ALONE, "DryRun": True})
    assert builders.why_not_launched_alone(PARAMETERS) is None
    denied = "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/b because no policy"
    ec2.add_client_error("run_instances", "UnauthorizedOperation", denied, http_status_code=403)
    refused = builders.why_not_launched_alone(PARAMETERS)
    assert refused
    assert (refused.is_denial, refused.action, refused.resource) == (True, "iam:PassRole", "arn:aws:iam::1:role/b")


def test_a_dry_run_that_launches_is_an_error(builders: Builders, ec2: Stubber) -> None:
    ec2.add_response("run_instances", {"Instances": [raw_instance("i-a")]})
    with pytest.raises(AwsRejected, match="launched something in answer to a dry run"):
        builders.why_not_launched_alone(PARAMETERS)


def test_the_instances_of_a_bake_are_found_by_its_tag_in_any_state(builders: Builders, ec2: Stubber) -> None:
    filters = [OURS, {"Name": "tag:rollcall:bake-id", "Values": ["0123456789ab"]}]
    answer = {"Reservations": [{"Instances": [raw_instance("i-a")]}, {"Instances": [raw_instance("i-b")]}]}
    ec2.add_response("describe_instances", answer, {"Filters": filters})
    assert [each.instance_id for each in builders.instances_of_bake("0123456789ab")] == ["i-a", "i-b"]


def test_an_instance_of_a_group_is_no_bakes_though_it_has_a_builders_tags(builders: Builders, ec2: Stubber) -> None:
    """A launch template that an operator made from a builder gives them to production."""
    serving = raw_instance("i-b") | {"Tags": [{"Key": "aws:autoscaling:groupName", "Value": "web"}]}
    answer = {"Reservations": [{"Instances": [raw_instance("i-a"), serving]}]}
    ec2.add_response("describe_instances", answer)
    ec2.add_response("describe_instances", answer)
    assert [each.instance_id for each in builders.instances_of_bakes()] == ["i-a"]
    assert [each.instance_id for each in builders.instances_of_bake("0123456789ab")] == ["i-a"]


def test_of_all_bakes_only_those_are_found_that_live(builders: Builders, ec2: Stubber) -> None:
    living = ["pending", "running", "stopping", "stopped"]
    filters = [OURS, {"Name": "instance-state-name", "Values": living}]
    ec2.add_response("describe_instances", {"Reservations": []}, {"Filters": filters})
    assert builders.instances_of_bakes() == []


def test_each_is_terminated_by_itself_and_one_that_is_gone_keeps_no_other(builders: Builders, ec2: Stubber) -> None:
    ec2.add_client_error("terminate_instances", "InvalidInstanceID.NotFound", expected_params={"InstanceIds": ["i-a"]})
    ec2.add_response("terminate_instances", {"TerminatingInstances": []}, {"InstanceIds": ["i-b"]})
    builders.terminate(["i-b", "i-a"])


def test_one_is_stopped(builders: Builders, ec2: Stubber) -> None:
    ec2.add_response("stop_instances", {"StoppingInstances": []}, {"InstanceIds": ["i-a"]})
    ec2.add_client_error("stop_instances", "IncorrectInstanceState")
    builders.stop("i-a")
    with pytest.raises(AwsRejected, match="StopInstances i-a"):
        builders.stop("i-a")


def test_a_termination_that_is_denied_is_raised_and_keeps_no_other_instance_alive(
    builders: Builders, ec2: Stubber
) -> None:
    ec2.add_client_error("terminate_instances", "UnauthorizedOperation", "no", http_status_code=403)
    ec2.add_response("terminate_instances", {"TerminatingInstances": []}, {"InstanceIds": ["i-b"]})
    with pytest.raises(AwsDenied, match="i-a"):
        builders.terminate(["i-a", "i-b"])
