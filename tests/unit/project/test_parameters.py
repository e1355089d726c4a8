"""What somebody who deploys may set, and the names that they and later versions rely on."""

from __future__ import annotations

import re

import pytest

from unit.project.template import (
    CONDITIONS,
    FUNCTIONS,
    PARAMETERS,
    RESOURCES,
    ROLES,
    TEMPLATE,
    of_type,
)

HOLDS_STATE_OR_IS_REFERRED_TO = (  # from outside the stack, or by what it keeps: a new logical id is a new resource
    "AWS::DynamoDB::Table",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::Topic",
    "AWS::SNS::Subscription",
    "AWS::Logs::LogGroup",
    "AWS::IAM::Role",
    "AWS::Serverless::Function",
    "AWS::Serverless::StateMachine",
    "AWS::Events::Rule",
    "AWS::CloudWatch::Dashboard",
)


# Names


def test_the_parameters_are_those_that_deployments_set() -> None:
    """Their defaults are held by the documentation; a parameter that is renamed breaks every deployment."""
    assert set(PARAMETERS) == {
        *("TowerUrl", "TowerSecretArn", "ChefSecretArn", "PagerDutySecretArn", "SlackSecretArn"),
        *("HookPrefix", "NotificationTopicArn", "NotifyingTopicArns", "AlarmTopicArn", "SubnetIds", "SecurityGroupIds"),
        *("AdoptByInstanceId", "LoadBalancers", "RetireJobs", "UserData", "Cycles", "PassableRoleArns"),
        *("Bakes", "BakeTemplateArns", "BakeRoleArns", "KmsKeyArns", "TrustedImageAccounts"),
        *("LogRetentionDays", "AlertAfter", "BatchesAtOnce", "MaxHostsPerJob", "ReconcileEvery", "RemoveAtMostPercent"),
    }


def test_the_outputs_are_those_that_scripts_and_hooks_are_given() -> None:
    assert set(TEMPLATE["Outputs"]) == {
        *("Version", "DashboardUrl", "HookPrefix", "LaunchQueueArn", "TerminateQueueArn", "GateQueueArn"),
        *("LaunchDeadLetterQueueArn", "GateDeadLetterQueueArn", "TerminateDeadLetterQueueArn"),
        *("AlertDeadLetterQueueArn", "CycleStateMachineArn", "BakeStateMachineArn"),
    }
    assert not any("Export" in each for each in TEMPLATE["Outputs"].values())


def test_an_upgrade_finds_what_holds_state_under_its_name() -> None:
    """CloudFormation replaces what changes its logical id: messages, records, logs and endpoints would be lost."""
    names = {name for name, each in RESOURCES.items() if each["Type"] in HOLDS_STATE_OR_IS_REFERRED_TO}
    assert names == {
        *("LaunchQueue", "GateQueue", "TerminateQueue", "AlertQueue"),
        *("LaunchDeadLetterQueue", "GateDeadLetterQueue", "TerminateDeadLetterQueue", "AlertDeadLetterQueue"),
        *("QueuePolicy", "LaunchDeadLetterQueuePolicy", "TerminateQueuePolicy", "TerminateDeadLetterQueuePolicy"),
        *("AlertQueuePolicy", "AlertDeadLetterQueuePolicy"),
        *("LaunchNotifications", "TerminateNotifications", "AlarmsToAlert", "AlarmTopic", "ToldTable"),
        *("RegisterFunction", "GateFunction", "CleanupFunction", "ReconcileFunction", "DoctorFunction"),
        *("AlertFunction", "CycleFunction", "CycleRole", "CycleStateMachineRole"),
        *("CycleLogGroup", "CycleStateMachineLogGroup", "CycleStateMachine", "CycleStoppedRule"),
        *("BakeFunction", "BakeRole", "BakeStateMachineRole"),
        *("BakeLogGroup", "BakeStateMachineLogGroup", "BakeStateMachine", "BakeStoppedRule"),
        *("RegisterRole", "GateRole", "CleanupRole", "ReconcileRole", "DoctorRole", "AlertRole"),
        *("RegisterLogGroup", "GateLogGroup", "CleanupLogGroup", "ReconcileLogGroup", "DoctorLogGroup"),
        "AlertLogGroup",
        *("LaunchRule", "TerminateRule", "TerminatedRule", "AlertRule", "AlertEndRule", "Dashboard"),
    }


def test_an_upgrade_finds_every_event_source_and_schedule_under_its_name() -> None:
    assert {name: sorted(each.get("Events", ())) for name, each in FUNCTIONS.items()} == {
        "RegisterFunction": ["Launches"],
        "GateFunction": ["Waiting"],
        "CleanupFunction": ["Terminations"],
        "ReconcileFunction": ["Schedule"],
        "CycleFunction": [],
        "BakeFunction": [],
        "DoctorFunction": ["Schedule"],
        "AlertFunction": ["Sweep", "Trouble"],
    }


def test_a_role_has_one_policy_named_after_its_function() -> None:
    names = {role: [each["PolicyName"] for each in own["Policies"]] for role, own in ROLES.items()}
    assert names == {role: [role.removesuffix("Role").lower()] for role in ROLES}


# How they are described


def test_every_parameter_is_described_and_has_its_place_in_the_guide() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    placed = [name for group in groups for name in group["Parameters"]]
    assert sorted(placed) == sorted(PARAMETERS)
    assert all(each["Description"] for each in PARAMETERS.values())


def test_what_is_described_is_described_in_words_of_its_own() -> None:
    """Where one resource takes over from another, its description does not come along."""
    described = [
        *(each["Description"] for each in PARAMETERS.values()),
        *(each["AlarmDescription"] for each in of_type("AWS::CloudWatch::Alarm").values()),
        *(each["Description"] for each in FUNCTIONS.values()),
        *(each["Description"] for each in of_type("AWS::Events::Rule").values()),
        *(each["Description"] for each in of_type("AWS::Serverless::LayerVersion").values()),
        *(each["Description"] for each in TEMPLATE["Outputs"].values()),
    ]
    assert [each for each in described if described.count(each) > 1] == []


# What is refused before it is deployed


def allowed(parameter: str, value: str) -> bool:
    """Whether CloudFormation takes a value of a parameter with a pattern."""
    return re.fullmatch(PARAMETERS[parameter]["AllowedPattern"], value) is not None


@pytest.mark.parametrize(
    "url", ["https://tower.example.com", "https://t:8443/api/controller/v2/", "https://[::1]/", "http://127.0.0.1:8052"]
)
def test_a_tower_may_be_named_by_its_url(url: str) -> None:
    assert allowed("TowerUrl", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://rollcall:hush@tower.example.com",
        "https://hush@tower.example.com/api/v2/",
        "https://rollcall:hush%40tower.example.com",
        "http://localhost:hush@tower.example.com",
        "http://127.0.0.1:80/hush@",
        "http://tower.example.com",
        "https://tower.example.com /",
    ],
)
def test_a_towers_url_with_a_password_or_in_clear_text_is_refused_before_it_is_deployed(url: str) -> None:
    assert not allowed("TowerUrl", url)


@pytest.mark.parametrize("arn", ["", "arn:aws:sns:us-east-1:123456789012:t", "arn:aws-cn:sns:cn-north-1:1:a-b_c"])
def test_a_topic_may_be_named(arn: str) -> None:
    assert allowed("NotificationTopicArn", arn)


@pytest.mark.parametrize("arn", ["t", "arn:aws:sqs:us-east-1:1:q", "arn:aws:sns:us-east-1:1:t.fifo", "arn:aws:sns:::t"])
def test_what_is_no_topic_that_groups_can_notify_is_refused(arn: str) -> None:
    assert not allowed("NotificationTopicArn", arn)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "arn:aws:sns:eu-central-1:111122223333:*",
        "arn:aws:sns:*:111122223333:fleet-?",
        "arn:aws-cn:sns:cn-north-1:111122223333:launches",
    ],
)
def test_topics_may_be_named_by_patterns(pattern: str) -> None:
    assert allowed("NotifyingTopicArns", pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "arn:aws:sns:*",
        "arn:aws:sns:eu-central-1:*:*",
        "arn:aws:sns:eu-central-1:11112222333?:*",
        "arn:aws:sns:eu-central-1::*",
        "arn:*:sns:eu-central-1:111122223333:*",
        "arn:aws:*:eu-central-1:111122223333:*",
        "arn:aws:sqs:eu-central-1:111122223333:q",
        "arn:aws:sns:eu-central-1:111122223333:launches.fifo",
    ],
)
def test_a_pattern_that_anybodys_topic_would_match_is_refused(pattern: str) -> None:
    assert not allowed("NotifyingTopicArns", pattern)


@pytest.mark.parametrize(
    ("parameter", "arn"),
    [
        ("BakeTemplateArns", "arn:aws:ec2:eu-central-1:111122223333:launch-template/lt-0123456789abcdef0"),
        ("BakeTemplateArns", "arn:aws:ec2:eu-central-1:111122223333:launch-template/*"),
        ("BakeRoleArns", "arn:aws:iam::111122223333:role/web-*"),
        ("KmsKeyArns", "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
        ("TrustedImageAccounts", "111122223333"),
    ],
)
def test_what_bakes_may_use_is_named_by_its_arn_or_account(parameter: str, arn: str) -> None:
    assert allowed(parameter, arn)
    assert allowed(parameter, "")


@pytest.mark.parametrize(
    ("parameter", "arn"),
    [
        ("BakeTemplateArns", "*"),
        ("BakeTemplateArns", "arn:aws:ec2:eu-central-1:*:launch-template/*"),
        ("BakeTemplateArns", "arn:aws:ec2:eu-central-1:111122223333:instance/*"),
        ("BakeRoleArns", "arn:aws:iam::*:role/*"),
        ("KmsKeyArns", "arn:aws:kms:eu-central-1:111122223333:key/*"),
        ("KmsKeyArns", "arn:aws:kms:eu-central-1:111122223333:alias/images"),
        ("TrustedImageAccounts", "*"),
        ("TrustedImageAccounts", "11112222333"),
    ],
)
def test_what_would_let_bakes_use_anybodys_is_refused(parameter: str, arn: str) -> None:
    assert not allowed(parameter, arn)


def test_no_topic_may_send_that_is_not_named() -> None:
    topics = PARAMETERS["NotifyingTopicArns"]
    assert (topics["Type"], topics["Default"]) == ("CommaDelimitedList", "")
    listed = {"Fn::Join": ["", {"Ref": "NotifyingTopicArns"}]}
    assert CONDITIONS["HasNotifyingTopics"] == {"Fn::Not": [{"Fn::Equals": [listed, ""]}]}
    variables = FUNCTIONS["DoctorFunction"]["Environment"]["Variables"]
    assert variables["NOTIFYING_TOPICS"] == {"Fn::Join": [",", {"Ref": "NotifyingTopicArns"}]}
