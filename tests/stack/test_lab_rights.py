"""The embedded AWS judges what functions do by what their roles allow, as IAM does, tag by tag."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.aws.alone import Function, Lab
from lab.aws.control import Use
from lab.aws.embedded import ACCOUNT, REGION

EC2 = f"arn:aws:ec2:{REGION}"
BASE = "ami-0abcdef1234567890"
MADE_BY = {"StringEquals": {"aws:RequestTag/made-by": "bake"}}
OURS = {"StringEquals": {"aws:ResourceTag/made-by": "bake"}}
LAUNCH = {
    "RunInstances": {
        "ImageId": BASE,
        "InstanceType": "t4g.small",
        "MinCount": 1,
        "MaxCount": 1,
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": "made-by", "Value": "bake"}]} for kind in ("instance", "volume")
        ],
    }
}
UNTAGGED = {
    "RunInstances": {key: LAUNCH["RunInstances"][key] for key in ("ImageId", "InstanceType", "MinCount", "MaxCount")}
}
STATEMENTS = [
    {
        "Sid": "Launch",
        "Effect": "Allow",
        "Action": "ec2:RunInstances",
        "Resource": [f"{EC2}:{ACCOUNT}:{kind}/*" for kind in ("instance", "volume")],
        "Condition": MADE_BY,
    },
    {
        "Sid": "LaunchFrom",
        "Effect": "Allow",
        "Action": "ec2:RunInstances",
        "Resource": [
            f"{EC2}::image/*",
            *(f"{EC2}:{ACCOUNT}:{kind}/*" for kind in ("subnet", "security-group", "network-interface")),
        ],
    },
    {
        "Sid": "TagAtLaunch",
        "Effect": "Allow",
        "Action": "ec2:CreateTags",
        "Resource": "*",
        "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
    },
    {
        "Sid": "End",
        "Effect": "Allow",
        "Action": ["ec2:TerminateInstances", "ec2:StopInstances"],
        "Resource": "*",
        "Condition": OURS,
    },
    {"Sid": "Pass", "Effect": "Allow", "Action": "iam:PassRole", "Resource": f"arn:aws:iam::{ACCOUNT}:role/builder"},
    {"Sid": "Look", "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
    {"Sid": "Logs", "Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"},
]
MAKES_CALLS = """
import boto3
from botocore.exceptions import ClientError
client = boto3.client(event["service"], endpoint_url=os.environ["AWS_ENDPOINT_URL"])
said = []
for action, asked in event["calls"]:
    try:
        answer = client._make_api_call(action, asked)
        said.append(answer.get("Arn", ""))
    except ClientError as error:
        said.append(error.response["Error"]["Code"])
return said
"""

type Calls = Callable[..., Any]


@pytest.fixture
def calls(lab: Lab) -> Iterator[tuple[Function, Calls]]:
    """A function with a role of these statements, and how it makes calls: the error codes, or its own error."""
    iam = lab.aws.client("iam")
    role = iam.create_role(RoleName=lab.name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": STATEMENTS})
    iam.put_role_policy(RoleName=lab.name, PolicyName="policy", PolicyDocument=policy)
    function = lab.function(MAKES_CALLS)
    lab.aws.client("lambda").update_function_configuration(FunctionName=function.name, Role=role)

    def make(*asked: dict[str, Any], service: str = "ec2") -> Any:
        event = {"service": service, "calls": [[action, each[action]] for each in asked for action in each]}
        answer = lab.aws.client("lambda").invoke(FunctionName=function.name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())

    yield function, make
    lab.aws.rights.leave()


def launched(lab: Lab, tag: str) -> str:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "made-by", "Value": tag}]}]
    asked = {**LAUNCH["RunInstances"], "TagSpecifications": tags}
    (instance,) = lab.aws.client("ec2").run_instances(**asked)["Instances"]
    return str(instance["InstanceId"])


def test_a_call_is_refused_where_the_role_does_not_allow_it_and_only_while_it_is_watched(
    lab: Lab, calls: tuple[Function, Calls]
) -> None:
    function, make = calls
    assert make(UNTAGGED) == [""]
    lab.aws.rights.watch(function.name)
    assert make(LAUNCH, UNTAGGED) == ["", "UnauthorizedOperation"]
    assert make({"RunInstances": {**LAUNCH["RunInstances"], "DryRun": True}}) == ["DryRunOperation"]
    (refused, *_) = lab.aws.rights.refused(function.name)
    assert refused == Use("ec2:RunInstances", f"{EC2}:{ACCOUNT}:instance/*", allowed=False, sid="")
    with pytest.raises(ValueError, match="not what it is about"):
        lab.aws.rights.watch("none")
    lab.aws.end_faults()
    assert make(UNTAGGED) == [""]


def test_the_tags_of_a_resource_and_the_action_that_makes_it_decide(lab: Lab, calls: tuple[Function, Calls]) -> None:
    function, make = calls
    ours, other = launched(lab, "bake"), launched(lab, "production")
    lab.aws.rights.watch(function.name)
    tags = [{"Key": "made-by", "Value": "bake"}]
    said = make(
        {"TerminateInstances": {"InstanceIds": [ours]}},
        {"TerminateInstances": {"InstanceIds": [other]}},
        {"CreateTags": {"Resources": [other], "Tags": tags}},  # not while it is made
    )
    assert said == ["", "UnauthorizedOperation", "UnauthorizedOperation"]


def test_a_role_is_passed_only_where_it_is_named(lab: Lab, calls: tuple[Function, Calls]) -> None:
    function, make = calls
    lab.aws.rights.watch(function.name)
    asked = LAUNCH["RunInstances"]
    said = make(
        {"RunInstances": {**asked, "IamInstanceProfile": {"Name": "builder"}}},
        {"RunInstances": {**asked, "IamInstanceProfile": {"Name": "production"}}},
    )
    assert said == ["", "UnauthorizedOperation"]
    passed = f"arn:aws:iam::{ACCOUNT}:role/production"
    assert [each.resource for each in lab.aws.rights.refused(function.name)] == [passed]


def test_what_is_granted_and_not_used_is_told_statement_by_statement(lab: Lab, calls: tuple[Function, Calls]) -> None:
    function, make = calls
    lab.aws.rights.watch(function.name, enforced=False)
    ours = launched(lab, "bake")
    assert make(LAUNCH, {"TerminateInstances": {"InstanceIds": [ours]}}, {"DescribeImages": {}}) == ["", "", ""]
    rights = lab.aws.rights
    assert rights.used(function.name) == {
        *("ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "ec2:DescribeImages")
    }
    assert {(each.sid, each.action) for each in rights.unused(function.name)} == {
        ("End", "ec2:StopInstances"),
        ("Pass", "iam:PassRole"),
    }
    assert rights.granted(function.name) >= {"ec2:RunInstances", "iam:PassRole", "ec2:Describe*"}
    assert make({"GetParameter": {"Name": "/none"}}, service="ssm") == ["ParameterNotFound"]  # not enforced
    assert "ssm:GetParameter" in {each.action for each in rights.refused(function.name)}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_function_is_killed_at_its_own_call_and_a_launch_with_a_token_happens_once(
    lab: Lab, calls: tuple[Function, Calls], after: bool
) -> None:
    function, make = calls
    lab.aws.kill(function.name, "ec2:RunInstances", 1, after=after)
    once = {"RunInstances": {**LAUNCH["RunInstances"], "ClientToken": lab.name}}
    assert make({"RunInstances": {**LAUNCH["RunInstances"], "DryRun": True}}) == ["DryRunOperation"]
    assert "errorMessage" in make(once)
    lab.aws.end_faults()
    assert make(once) == [""]
    tokens = [{"Name": "client-token", "Values": [lab.name]}]
    reservations = lab.aws.client("ec2").describe_instances(Filters=tokens)["Reservations"]
    assert len(reservations) == 1


def test_the_next_calls_get_an_error_of_a_tests_choice(lab: Lab, calls: tuple[Function, Calls]) -> None:
    _, make = calls
    lab.aws.refuse_call("ec2:RunInstances", "InsufficientInstanceCapacity")
    assert make(LAUNCH, LAUNCH) == ["InsufficientInstanceCapacity", ""]


def test_a_function_is_a_session_of_its_role_and_may_always_ask(lab: Lab, calls: tuple[Function, Calls]) -> None:
    function, make = calls
    lab.aws.rights.watch(function.name)
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{lab.name}/{function.name}"
    assert make({"GetCallerIdentity": {}}, service="sts") == [session]
    assert lab.aws.rights.uses(function.name) == []
