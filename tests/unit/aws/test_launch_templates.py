"""Launch templates: which number a version stands for, and why EC2 would refuse to launch it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.launch_surroundings import LaunchSurroundings, PastActivity, Subnet
from rollcall.aws.launch_templates import LaunchRefusal, LaunchTemplates, TemplateVersion
from rollcall.domain.errors import AwsDenied, AwsRejected, AwsUnavailable, Throttled
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web"}
VERSION = TemplateVersion("lt-1", "7", {"InstanceType": "t3.micro"})
DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/x is not authorized to "
    "perform: iam:PassRole on resource: arn:aws:iam::1:role/web because no identity-based policy allows the "
    "iam:PassRole action. Encoded authorization failure message: 8sJ2k"
)


@pytest.fixture
def templates() -> LaunchTemplates:
    return LaunchTemplates(REGION)


@pytest.fixture
def ec2(templates: LaunchTemplates) -> Iterator[Stubber]:
    with Stubber(templates._ec2) as stub:
        yield stub
        stub.assert_no_pending_responses()


def described(number: int, **data: Any) -> dict[str, Any]:
    version = {"LaunchTemplateId": "lt-1", "VersionNumber": number, "LaunchTemplateData": data}
    return {"LaunchTemplateVersions": [version]}


def dry_run(**changes: Any) -> dict[str, Any]:
    launched = {"LaunchTemplateId": "lt-1", "Version": "7"}
    return {"DryRun": True, "MinCount": 1, "MaxCount": 1, "LaunchTemplate": launched} | changes


def test_an_alias_stands_for_a_number(templates: LaunchTemplates, ec2: Stubber) -> None:
    query = {"LaunchTemplateId": "lt-1", "Versions": ["$Latest"]}
    ec2.add_response("describe_launch_template_versions", described(7), query)
    assert templates.resolve(TEMPLATE, "$Latest") == "7"
    assert templates.resolve(TEMPLATE, "6") == "6"


def test_a_template_may_be_known_by_its_name_alone(templates: LaunchTemplates, ec2: Stubber) -> None:
    query = {"LaunchTemplateName": "web", "Versions": ["7"]}
    ec2.add_response("describe_launch_template_versions", described(7, InstanceType="t3.micro"), query)
    assert templates.version({"LaunchTemplateName": "web"}, "7") == VERSION


@pytest.mark.parametrize(
    "code",
    [
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.VersionNotFound",
        "InvalidLaunchTemplateName.NotFoundException",
    ],
)
def test_a_version_that_is_not_there_is_an_answer_and_an_alias_of_it_an_error(
    templates: LaunchTemplates, ec2: Stubber, code: str
) -> None:
    ec2.add_client_error("describe_launch_template_versions", code)
    ec2.add_client_error("describe_launch_template_versions", code)
    assert templates.version(TEMPLATE, "9") is None
    with pytest.raises(AwsRejected, match="of lt-1"):
        templates.resolve(TEMPLATE, "$Latest")


def test_any_other_refusal_to_describe_is_raised(templates: LaunchTemplates, ec2: Stubber) -> None:
    ec2.add_client_error("describe_launch_template_versions", "UnauthorizedOperation", http_status_code=403)
    with pytest.raises(AwsDenied):
        templates.version(TEMPLATE, "7")


def test_an_image_that_a_parameter_names_is_known() -> None:
    assert TemplateVersion("lt-1", "7", {"ImageId": "resolve:ssm:/golden"}).names_image_by_parameter
    assert not TemplateVersion("lt-1", "7", {"ImageId": "ami-7"}).names_image_by_parameter
    assert not TemplateVersion("lt-1", "7").names_image_by_parameter


def test_what_would_be_launched_is_launched_in_a_dry_run(templates: LaunchTemplates, ec2: Stubber) -> None:
    expected = dry_run(SubnetId="subnet-a", InstanceType="m6g.large", ImageId="ami-9")
    ec2.add_client_error("run_instances", "DryRunOperation", http_status_code=412, expected_params=expected)
    refused = templates.why_not_launched(VERSION, subnet="subnet-a", instance_type="m6g.large", image="ami-9")
    assert refused is None


def test_a_template_with_interfaces_gets_the_subnet_in_its_first_one(templates: LaunchTemplates, ec2: Stubber) -> None:
    interfaces = [{"DeviceIndex": 0, "Groups": ["sg-1"], "SubnetId": "subnet-x", "Description": "d"}]
    sent = dry_run(NetworkInterfaces=[{"DeviceIndex": 0, "Groups": ["sg-1"], "SubnetId": "subnet-a"}])
    ec2.add_client_error("run_instances", "DryRunOperation", http_status_code=412, expected_params=sent)
    launched = VERSION._replace(data={"NetworkInterfaces": interfaces})
    assert templates.why_not_launched(launched, subnet="subnet-a") is None


def test_a_denial_names_the_permission_that_is_missing(templates: LaunchTemplates, ec2: Stubber) -> None:
    ec2.add_client_error("run_instances", "UnauthorizedOperation", DENIED, http_status_code=403)
    refused = templates.why_not_launched(VERSION)
    assert refused is not None
    assert refused.is_denial
    assert (refused.action, refused.resource) == ("iam:PassRole", "arn:aws:iam::1:role/web")
    assert refused.words.endswith("allows the iam:PassRole action.")


def test_a_denial_that_names_nothing_is_one_too(templates: LaunchTemplates, ec2: Stubber) -> None:
    words = "You are not authorized to perform this operation."
    ec2.add_client_error("run_instances", "UnauthorizedOperation", words, http_status_code=403)
    assert templates.why_not_launched(VERSION) == LaunchRefusal("UnauthorizedOperation", words)


def test_what_cannot_be_launched_is_told_in_awss_words(templates: LaunchTemplates, ec2: Stubber) -> None:
    ec2.add_client_error("run_instances", "InvalidAMIID.NotFound", "The image id '[ami-7]' does not exist")
    refused = templates.why_not_launched(VERSION)
    assert refused == LaunchRefusal("InvalidAMIID.NotFound", "The image id '[ami-7]' does not exist")
    assert not refused.is_denial


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("RequestLimitExceeded", 503, Throttled), ("InternalError", 500, AwsUnavailable), ("Odd", 500, AwsUnavailable)],
)
def test_what_passes_by_itself_is_no_refusal(
    templates: LaunchTemplates, code: str, status: int, error: type[Exception]
) -> None:
    with Stubber(templates._ec2) as stub:
        for _ in range(4):  # botocore tries again
            stub.add_client_error("run_instances", code, http_status_code=status)
        with pytest.raises(error, match="RunInstances"):
            templates.why_not_launched(VERSION)


# Around a launch


@pytest.fixture
def around() -> LaunchSurroundings:
    return LaunchSurroundings(REGION)


def test_subnets_are_read_with_their_free_addresses(around: LaunchSurroundings) -> None:
    with Stubber(around._ec2) as stub:
        raw = {"SubnetId": "subnet-a", "AvailabilityZone": "us-east-1a", "AvailableIpAddressCount": 11}
        query = {"Filters": [{"Name": "subnet-id", "Values": ["subnet-a", "subnet-gone"]}]}
        stub.add_response("describe_subnets", {"Subnets": [raw]}, query)
        assert around.subnets(("subnet-gone", "subnet-a")) == {"subnet-a": Subnet("us-east-1a", 11)}
        assert around.subnets(()) == {}


def test_alarms_of_both_kinds_are_read(around: LaunchSurroundings) -> None:
    with Stubber(around._cloudwatch) as stub:
        answer = {
            "MetricAlarms": [{"AlarmName": "5xx", "StateValue": "OK"}],
            "CompositeAlarms": [{"AlarmName": "all", "StateValue": "ALARM"}],
        }
        query = {"AlarmNames": ["5xx", "all", "gone"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        stub.add_response("describe_alarms", answer, query)
        assert around.alarm_states(("all", "5xx", "gone")) == {"5xx": "OK", "all": "ALARM"}
        assert around.alarm_states(()) == {}


def moment(minute: int) -> datetime:
    return datetime(2026, 11, 21, 10, minute, tzinfo=UTC)


def activity(description: str, began: int, ended: int | None, status: str = "Successful", **more: str) -> Any:
    raw = {
        "ActivityId": description,
        "AutoScalingGroupName": "web",
        "Cause": "c",
        "Description": description,
        "StartTime": moment(began),
        "StatusCode": status,
        **more,
    }
    return raw if ended is None else {**raw, "EndTime": moment(ended)}


def test_launches_and_terminations_are_read_the_newest_first(around: LaunchSurroundings) -> None:
    activities = [
        activity("Launching a new EC2 instance: i-a", 9, None, "WaitingForInstanceId"),
        activity("Terminating EC2 instance: i-b", 1, 3),
        activity("Launching a new EC2 instance from warm pool: i-c", 5, 6),
        activity("Launching a new EC2 instance into warm pool: i-d", 6, 7),
        activity("Launching a new EC2 instance.  Status Reason: no: more", 7, 8, "Failed", StatusMessage="a quota"),
        activity("Moving EC2 instance to Standby: i-e", 7, 8),
    ]
    with Stubber(around._autoscaling) as stub:
        stub.add_response(
            "describe_scaling_activities",
            {"Activities": activities},
            {"AutoScalingGroupName": "web", "MaxRecords": 100},
        )
        found = around.past_activities("web")
    failed = PastActivity(True, "", moment(7).timestamp(), moment(8).timestamp(), "Failed", "a quota")
    assert [(each.is_launch, each.instance_id, each.seconds) for each in found] == [
        (True, "i-a", None),
        (True, "", None),
        (True, "i-c", 60.0),
        (False, "i-b", 120.0),
    ]
    assert found[1] == failed


def test_a_group_that_is_gone_has_no_activities(around: LaunchSurroundings) -> None:
    with Stubber(around._autoscaling) as stub:
        stub.add_client_error("describe_scaling_activities", "ValidationError", "group name not found")
        assert around.past_activities("web") == []


def test_all_versions_are_read_the_newest_first(templates: LaunchTemplates, ec2: Stubber) -> None:
    pages = [described(2, ImageId="ami-2"), described(10, ImageId="ami-10")]
    ec2.add_response(
        "describe_launch_template_versions",
        pages[0] | {"NextToken": "more"},
        {"LaunchTemplateId": "lt-1", "MinVersion": "2", "MaxResults": 200},
    )
    created = {"CreateTime": datetime(2026, 12, 1, tzinfo=UTC), "DefaultVersion": True, "VersionDescription": "mine"}
    pages[1]["LaunchTemplateVersions"][0] |= created
    ec2.add_response("describe_launch_template_versions", pages[1])
    newest = TemplateVersion(
        "lt-1", "10", {"ImageId": "ami-10"}, "mine", datetime(2026, 12, 1, tzinfo=UTC).timestamp(), is_default=True
    )
    assert templates.versions("lt-1", since="2") == [newest, TemplateVersion("lt-1", "2", {"ImageId": "ami-2"})]


def test_a_version_is_made_from_another_one_once(templates: LaunchTemplates, ec2: Stubber) -> None:
    expected = {
        "LaunchTemplateId": "lt-1",
        "SourceVersion": "7",
        "VersionDescription": "mine",
        "ClientToken": "once",
        "LaunchTemplateData": {"ImageId": "ami-2"},
    }
    made = {"LaunchTemplateVersion": described(8, ImageId="ami-2")["LaunchTemplateVersions"][0]}
    ec2.add_response("create_launch_template_version", made, expected)
    version = templates.create_version(VERSION, {"ImageId": "ami-2"}, description="mine", token="once")
    assert version == TemplateVersion("lt-1", "8", {"ImageId": "ami-2"})


def test_versions_are_deleted_two_hundred_a_call_and_those_that_aws_keeps_are_told(
    templates: LaunchTemplates, ec2: Stubber
) -> None:
    numbers = [str(number) for number in range(1, 202)]
    errors = [
        ("1", "launchTemplateVersionDoesNotExist", "gone"),
        ("2", "unexpectedError", "it is the default version"),
    ]
    failed = [
        {"VersionNumber": int(number), "ResponseError": {"Code": code, "Message": words}}
        for number, code, words in errors
    ]
    ec2.add_response(
        "delete_launch_template_versions",
        {"UnsuccessfullyDeletedLaunchTemplateVersions": failed},
        {"LaunchTemplateId": "lt-1", "Versions": numbers[:200]},
    )
    ec2.add_response("delete_launch_template_versions", {}, {"LaunchTemplateId": "lt-1", "Versions": ["201"]})
    assert templates.delete_versions("lt-1", numbers) == {"2": "unexpectedError: it is the default version"}


def test_the_default_version_moves(templates: LaunchTemplates, ec2: Stubber) -> None:
    ec2.add_response("modify_launch_template", {}, {"LaunchTemplateId": "lt-1", "DefaultVersion": "8"})
    templates.set_default_version("lt-1", "8")
