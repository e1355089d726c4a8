"""The instances of bakes: launched by token, found by tag, terminated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.builders import Builders
from rollcall.aws.launch_templates import LaunchRefusal
from rollcall.domain.bake_tags import BAKE_ID, BAKE_ROLE, launch_token
from rollcall.domain.errors import AwsDenied, AwsRejected, Throttled
from unit.fakes import REGION

from .answers import raw_instance

if TYPE_CHECKING:
    from collections.abc import Iterator

BAKE = "0123456789ab"
OURS = {"Name": "tag:rollcall:made-by", "Values": ["rollcall bake"]}
PARAMETERS: dict[str, Any] = {"ImageId": "ami-1", "InstanceType": "m7i.large"}
ALONE: dict[str, Any] = {**PARAMETERS, "MinCount": 1, "MaxCount": 1}


def launched(instance_id: str, *, role: str = "builder", token: str | None = None, **changes: Any) -> dict[str, Any]:
    """An instance with a bake's tags, as EC2 shows it. token: that it was launched with, the bake's unless given."""
    own = launch_token(BAKE, role, "subnet-1", "ami-1") if token is None else token
    tags = {BAKE_ID: BAKE, BAKE_ROLE: role, **changes.pop("tags", {})}
    shown = [{"Key": key, "Value": value} for key, value in tags.items()]
    fields = {"SubnetId": "subnet-1", "ImageId": "ami-1", "ClientToken": own, "Tags": shown}
    return raw_instance(instance_id, **(fields | changes))


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
    filters = [OURS, {"Name": "tag:rollcall:bake-id", "Values": [BAKE]}]
    answer = {"Reservations": [{"Instances": [launched("i-a")]}, {"Instances": [launched("i-b", role="smoke")]}]}
    ec2.add_response("describe_instances", answer, {"Filters": filters})
    assert [each.instance_id for each in builders.instances_of_bake(BAKE)] == ["i-a", "i-b"]


def test_an_instance_of_a_group_is_no_bakes_though_it_has_a_builders_tags(builders: Builders, ec2: Stubber) -> None:
    """A launch template that an operator made from a builder gives them to production."""
    serving = launched("i-b", tags={"aws:autoscaling:groupName": "web"})
    answer = {"Reservations": [{"Instances": [launched("i-a"), serving]}]}
    for _ in range(3):
        ec2.add_response("describe_instances", answer)
    assert [each.instance_id for each in builders.instances_of_bakes()] == ["i-a"]
    assert [each.instance_id for each in builders.instances_of_bake(BAKE)] == ["i-a"]
    assert [each.instance_id for each in builders.copies_of_builders()] == ["i-b"]


@pytest.mark.parametrize(
    "copy",
    [
        launched("i-b", token=""),
        launched("i-b", token="fleet-0123"),
        launched("i-b", SubnetId="subnet-2"),
        launched("i-b", ImageId="ami-2"),
        launched("i-b", tags={BAKE_ID: "ba9876543210"}),
        launched("i-b", tags={BAKE_ROLE: "smoke"}),
        launched("i-b", Tags=[]),
    ],
    ids=["no token", "a fleet's", "another subnet", "another image", "another bake", "another role", "no tags"],
)
def test_an_instance_that_a_bake_did_not_launch_is_none_of_its_whatever_its_tags(
    builders: Builders, ec2: Stubber, copy: dict[str, Any]
) -> None:
    """A fleet, or what is launched "like" a builder, has its tags."""
    for _ in range(2):
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": [launched("i-a"), copy]}]})
    assert [each.instance_id for each in builders.instances_of_bakes()] == ["i-a"]
    assert [each.instance_id for each in builders.copies_of_builders()] == ["i-b"]


def test_one_that_is_terminated_and_has_no_subnet_any_more_is_still_its_bakes(builders: Builders, ec2: Stubber) -> None:
    gone = launched("i-a", State={"Code": 48, "Name": "terminated"})
    del gone["SubnetId"]
    ec2.add_response("describe_instances", {"Reservations": [{"Instances": [gone]}]})
    assert [each.gone for each in builders.instances_of_bake(BAKE)] == [True]


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
