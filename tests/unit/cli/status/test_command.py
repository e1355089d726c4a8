"""The command on moto's AWS and a scripted Tower: what it ends with, and that it only reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from time import time
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.autoscaling.models import autoscaling_backends
from typer.testing import CliRunner

from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.main import app
from unit.fakes import ACCOUNT, REGION
from unit.tower.rows import raw_host, raw_inventory, raw_job, raw_template
from unit.wire import Answer, Asked, Wire, page

READS = re.compile("Describe|Get|List|Filter|Scan")
PARAMETERS = {"TowerUrl": "https://tower.example.com", "TowerSecretArn": "arn:secret"}


class FakeCloudFormation:
    """What is read of stacks: of this one. moto has no CloudFormation without further packages."""

    def __init__(self, resources: dict[str, tuple[str, str]]) -> None:
        self.resources = resources

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803 - as botocore has it
        if StackName != "rollcall":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"no {StackName}"}}, "DescribeStacks")
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
        outputs = {"LaunchQueueArn": f"{arn}launch", "TerminateQueueArn": f"{arn}terminate", "HookPrefix": "rollcall"}
        return {
            "Stacks": [
                {
                    "Parameters": [{"ParameterKey": key, "ParameterValue": text} for key, text in PARAMETERS.items()],
                    "Outputs": [{"OutputKey": key, "OutputValue": text} for key, text in outputs.items()],
                }
            ]
        }

    def get_paginator(self, name: str) -> FakeCloudFormation:
        assert name == "list_stack_resources"
        return self

    def paginate(self, StackName: str) -> Iterator[Any]:  # noqa: N803 - as botocore has it
        for logical, (kind, physical) in self.resources.items():
            yield {
                "StackResourceSummaries": [
                    {"LogicalResourceId": logical, "ResourceType": kind, "PhysicalResourceId": physical}
                ]
            }


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stack, whose reconcile ran a minute ago, and an instance of a group that waits; the instance's id."""
    monkeypatch.setenv("ROLLCALL_TOWER_TOKEN", "mine")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    with mock_aws():
        resources = made_resources()
        usual = boto3.client
        monkeypatch.setattr(
            boto3,
            "client",
            lambda service, **settings: (
                FakeCloudFormation(resources) if service == "cloudformation" else usual(service, **settings)
            ),
        )
        log_a_run(seconds_ago=60)
        yield waiting_instance()


def made_resources() -> dict[str, tuple[str, str]]:
    """Type and physical id of each resource that is read, by logical id."""
    sqs = boto3.client("sqs")
    names = ("LaunchQueue", "TerminateQueue", "LaunchDeadLetterQueue")
    urls = {name: sqs.create_queue(QueueName=f"rollcall-{name}")["QueueUrl"] for name in names}
    boto3.client("logs").create_log_group(logGroupName="reconcile")
    boto3.client("dynamodb").create_table(
        TableName="told",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
    )
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName="rollcall-GateAgeAlarm-1",
        AlarmDescription="Waiting instances have not been evaluated.",
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    return {
        **{name: ("AWS::SQS::Queue", url) for name, url in urls.items()},
        "ReconcileLogGroup": ("AWS::Logs::LogGroup", "reconcile"),
        "ToldTable": ("AWS::DynamoDB::Table", "told"),
        "AlertFunction": ("AWS::Lambda::Function", "rollcall-AlertFunction-1"),
        "GateAgeAlarm": ("AWS::CloudWatch::Alarm", "rollcall-GateAgeAlarm-1"),
    }


def log_a_run(seconds_ago: float) -> None:
    logs = boto3.client("logs")
    logs.create_log_stream(logGroupName="reconcile", logStreamName="1")
    at = int(1000 * (time() - seconds_ago))
    lines = [
        "INIT_START",
        "a line that only names ReconcileRuns",
        json.dumps({"ReconcileRuns": [1.0], "ReconcileTroubles": 2}),
    ]
    logs.put_log_events(
        logGroupName="reconcile", logStreamName="1", logEvents=[{"timestamp": at, "message": each} for each in lines]
    )


def waiting_instance() -> str:
    ec2, autoscaling = boto3.client("ec2"), boto3.client("autoscaling")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    tags = {"rollcall:inventory": "prod", "rollcall:job-template": "provision"}
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="web",
        LaunchTemplate={"LaunchTemplateName": "web"},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[{"Key": key, "Value": text, "PropagateAtLaunch": False} for key, text in tags.items()],
    )
    autoscaling.put_lifecycle_hook(
        AutoScalingGroupName="web",
        LifecycleHookName="rollcall-launching",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
        HeartbeatTimeout=600,
    )
    [state] = autoscaling_backends[ACCOUNT][REGION].autoscaling_groups["web"].instance_states
    state.lifecycle_state = "Pending:Wait"
    return str(state.instance.id)


@pytest.fixture
def tower(wire: Wire, stack: str) -> Wire:
    """A Tower in which the instance has a host, and a job runs on it."""
    now = datetime.now(UTC).isoformat()
    variables = json.dumps({"rollcall": {"group": "web", "stint": {"since": time() - 65}}})
    answers = {
        "me/": page({"username": "ops", "summary_fields": {"user_capabilities": {}}}),
        "inventories/": page(raw_inventory()),
        "job_templates/": page(raw_template()),
        "hosts/": page(raw_host(1, stack, variables=variables)),
        "job_templates/10/jobs/": page(raw_job(7, stack, created=now, started=now)),
    }

    def answer(asked: Asked) -> Answer:
        if asked.query.get("status") == ["successful"]:
            return Answer(body=page(raw_job(6, stack, elapsed=58.0)))
        return Answer(body=answers[asked.path.removeprefix("/api/v2/")])

    wire.by_request = answer
    return wire


@pytest.fixture
def operations(stack: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every AWS operation that the command makes."""
    made: list[str] = []
    usual = boto3.setup_default_session

    def set_up(**settings: Any) -> None:
        usual(**settings)
        assert boto3.DEFAULT_SESSION
        boto3.DEFAULT_SESSION.events.register(
            "before-call", lambda model, **given: made.append(f"{model.service_model.service_name}:{model.name}")
        )

    monkeypatch.setattr(boto3, "setup_default_session", set_up)
    return made


def run(*options: str) -> Any:
    return CliRunner().invoke(app, ["status", *options])


def test_an_instance_that_waits_is_shown_and_all_is_well(stack: str, tower: Wire) -> None:
    done = run()
    assert done.exit_code == ExitCode.OK, done.output
    first, *others = done.stdout.splitlines()
    assert first == "1 instance waits; all well"
    [line] = [each for each in others if stack in each]
    assert re.search(r"web: i-\w+  its job runs \(Pending:Wait, waits for \d+ s\)", line)
    assert "usually 58 s; https://tower.example.com/#/jobs/playbook/7/output" in line
    assert "with ABANDON (computed)" in line
    assert re.search(r"reconcile: the last run ended \d+ s ago, with 2 problems", done.stdout)


def test_nothing_is_written(operations: list[str], tower: Wire) -> None:
    run("web")
    assert {each.method for each in tower.asked} == {"GET"}
    assert {"sqs:GetQueueAttributes", "cloudwatch:DescribeAlarms", "logs:FilterLogEvents"} <= set(operations)
    assert [each for each in operations if not READS.match(each.partition(":")[2])] == []


def test_what_is_wrong_around_them_needs_an_operator(stack: str, tower: Wire) -> None:
    sqs = boto3.client("sqs")
    [url] = [each for each in sqs.list_queues()["QueueUrls"] if "DeadLetter" in each]
    sqs.send_message(QueueUrl=url, MessageBody="dead")
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName="rollcall-GateAgeAlarm-1", StateValue="ALARM", StateReason="test")
    incident = {"cause": "Permanent", "reason": "its job failed", "count": 1, "since": time() - 60, "severity": "error"}
    boto3.client("dynamodb").put_item(
        TableName="told",
        Item={
            "key": {"S": f"incident/rollcall/{ACCOUNT}/{REGION}/rollcall/Permanent"},
            "incident": {"S": json.dumps(incident)},
            "version": {"N": "1"},
        },
    )
    done = run("--json")
    assert done.exit_code == ExitCode.ACT
    answer = json.loads(done.stdout)
    assert answer["summary"] == "1 instance waits; 1 message in dead-letter queues; 1 alarm; 1 open incident"
    assert [(each["name"], each["description"]) for each in answer["alarms"]] == [
        ("GateAgeAlarm", "Waiting instances have not been evaluated.")
    ]
    assert [each["reason"] for each in answer["incidents"]] == ["its job failed"]
    assert answer["instances"][0]["step"] == "job_runs"


def test_a_reconcile_that_has_been_silent_for_three_intervals_is_said(stack: str, tower: Wire) -> None:
    boto3.client("logs").delete_log_stream(logGroupName="reconcile", logStreamName="1")
    log_a_run(seconds_ago=901)
    done = run()
    assert done.exit_code == ExitCode.ACT
    assert "no run of reconcile has ended for 15 minutes" in done.stdout.splitlines()[0]


def test_a_tower_that_refuses_leaves_what_aws_shows(stack: str, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(401, {"detail": "Invalid token."})
    done = run()
    assert done.exit_code == ExitCode.ACT
    assert f"{stack}  not known (Pending:Wait, waits for" in done.stdout
    assert "missing: what Tower knows of the instances that wait: Tower refused GET" in done.stdout
    assert "the token in ROLLCALL_TOWER_TOKEN" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--stack", "other"], "other"),
        (["nope"], "no Auto Scaling group 'nope' with the tag rollcall:inventory"),
        (["--watch", "--every", "1"], "5"),
    ],
)
def test_what_cannot_be_run_says_why(stack: str, tower: Wire, options: list[str], words: str) -> None:
    done = run(*options)
    assert done.exit_code == ExitCode.NOT_RUN
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_it_is_watched_until_ctrl_c_whatever_fails_meanwhile(
    stack: str, tower: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 1:
            boto3.client("autoscaling").delete_tags(
                Tags=[{"ResourceId": "web", "ResourceType": "auto-scaling-group", "Key": "rollcall:inventory"}]
            )
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("rollcall_cli.commands.status.time", SimpleNamespace(sleep=sleep, time=time))
    done = run("web", "--watch", "--every", "7")
    assert done.exit_code == ExitCode.INTERRUPTED
    assert naps == [7, 7, 7]
    assert done.stdout.count("1 instance waits; all well") == 1
    assert done.stderr.count("It is read again in 7 s.") == 2
    assert done.stderr.endswith("Interrupted.\n")
    assert "Traceback" not in done.stderr
