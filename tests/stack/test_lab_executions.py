"""Step Functions of the embedded AWS behave like those of AWS where a state machine that waits relies on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.alone import NUMBERS, Lab, Queue, eventually
from lab.aws.embedded import ACCOUNT, REGION, EmbeddedAws

ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
LONG = 50_000
"""Seconds that no test outlives, however much shorter they are here."""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """An embedded AWS of this module's own, whose seconds of Step Functions are hundredths of one."""
    with EmbeddedAws(log=tmp_path_factory.mktemp("executions") / "aws.log", wait_scale=0.01) as running:
        yield running


@pytest.fixture
def lab(aws: EmbeddedAws) -> Iterator[Lab]:
    lab = Lab(aws, f"executions-{next(NUMBERS)}")
    yield lab
    lab.clear()


def machine(lab: Lab, states: dict[str, Any], **settings: Any) -> str:
    """A state machine that begins with the first of these states, and its ARN."""
    definition = {"StartAt": next(iter(states)), "States": states, **settings}
    answer = lab.aws.client("stepfunctions").create_state_machine(
        name=lab.name, definition=json.dumps(definition), roleArn=ROLE
    )
    return str(answer["stateMachineArn"])


def start(lab: Lab, arn: str, about: dict[str, Any], name: str = "one") -> str:
    answer = lab.aws.client("stepfunctions").start_execution(stateMachineArn=arn, name=name, input=json.dumps(about))
    return str(answer["executionArn"])


def described(lab: Lab, execution: str) -> dict[str, Any]:
    return dict(lab.aws.client("stepfunctions").describe_execution(executionArn=execution))


def await_status(lab: Lab, execution: str, status: str) -> dict[str, Any]:
    eventually(lambda: described(lab, execution)["status"] == status)
    return described(lab, execution)


def history(lab: Lab, execution: str) -> list[str]:
    pages = lab.aws.client("stepfunctions").get_paginator("get_execution_history")
    return [event["type"] for page in pages.paginate(executionArn=execution) for event in page["events"]]


def heard(lab: Lab) -> Queue:
    """A queue that gets the changes of the status of executions."""
    queue, events = lab.queue(), lab.aws.client("events")
    events.put_rule(Name=lab.name, EventPattern=json.dumps({"source": ["aws.states"]}))
    events.put_targets(Rule=lab.name, Targets=[{"Id": "queue", "Arn": queue.arn}])
    return queue


def statuses(queue: Queue, execution: str) -> list[str]:
    details = [json.loads(body)["detail"] for body in queue.receive()]
    return [each["status"] for each in details if each["executionArn"] == execution]


def waiting(seconds: str = "$.wait") -> dict[str, Any]:
    return {"Wait": {"Type": "Wait", "SecondsPath": seconds, "End": True}}


def test_a_machine_goes_round_between_a_function_and_a_wait_until_it_is_told_otherwise(lab: Lab) -> None:
    function = lab.function(
        """
        count = event["count"] + 1
        return {"count": count, "wait": 10, "next": "wait" if count < 3 else "done"}
        """
    )
    work = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function.name, "Payload": {"count.$": "$.count", "name.$": "$$.Execution.Name"}},
        "OutputPath": "$.Payload",
        "Next": "Decide",
    }
    choice = {"Variable": "$.next", "StringEquals": "wait", "Next": "Wait"}
    arn = machine(
        lab,
        {
            "Work": work,
            "Decide": {"Type": "Choice", "Choices": [choice], "Default": "Done"},
            "Wait": {"Type": "Wait", "SecondsPath": "$.wait", "Next": "Work"},
            "Done": {"Type": "Succeed"},
        },
    )
    execution = start(lab, arn, {"count": 0})
    found = await_status(lab, execution, "SUCCEEDED")
    assert json.loads(found["output"])["count"] == 3
    events = history(lab, execution)
    begins = events.index("TaskStateEntered")
    assert events[begins : begins + 5] == [
        *("TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited")
    ]
    assert events.count("TaskSucceeded") == 3
    assert events.count("WaitStateEntered") == 2
    listed = lab.aws.client("stepfunctions").list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")
    assert [each["name"] for each in listed["executions"]] == ["one"]


def test_a_function_that_fails_is_tried_again_and_then_caught(lab: Lab) -> None:
    function = lab.function("raise ValueError('no')")
    arn = machine(
        lab,
        {
            "Work": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": function.name, "Payload": {}},
                "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 2, "BackoffRate": 2}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}],
                "End": True,
            },
            "Caught": {"Type": "Fail", "Error": "Caught", "CausePath": "$.error.Cause"},
        },
    )
    execution = start(lab, arn, {})
    found = await_status(lab, execution, "FAILED")
    assert (found["error"], json.loads(found["cause"])["errorMessage"]) == ("Caught", "no")
    assert history(lab, execution).count("TaskFailed") == 3


def test_the_same_name_and_input_are_the_same_execution_while_it_runs(lab: Lab) -> None:
    arn = machine(lab, waiting())
    first = start(lab, arn, {"wait": LONG})
    assert start(lab, arn, {"wait": LONG}) == first
    with pytest.raises(ClientError) as refused:
        start(lab, arn, {"wait": LONG + 1})
    assert refused.value.response["Error"]["Code"] == "ExecutionAlreadyExists"
    lab.aws.client("stepfunctions").stop_execution(executionArn=first)
    with pytest.raises(ClientError) as refused:
        start(lab, arn, {"wait": LONG})
    assert refused.value.response["Error"]["Code"] == "ExecutionAlreadyExists"


def test_an_execution_that_is_stopped_is_reported_runs_no_catch_and_stays_stopped(lab: Lab) -> None:
    queue = heard(lab)
    function = lab.function("raise ValueError('no')")
    arn = machine(
        lab,
        {
            "Work": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": function.name, "Payload": {}},
                "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60, "MaxAttempts": 20, "BackoffRate": 1}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
                "End": True,
            },
            "Caught": {"Type": "Pass", "End": True},
        },
    )
    execution = start(lab, arn, {})
    eventually(lambda: "TaskFailed" in history(lab, execution))
    lab.aws.client("stepfunctions").stop_execution(executionArn=execution, error="by hand", cause="test")
    ended = history(lab, execution)
    assert ended[-1] == "ExecutionAborted"
    following = start(lab, arn, {}, name="two")
    eventually(lambda: history(lab, following).count("TaskFailed") > 3)
    assert history(lab, execution) == ended
    assert (described(lab, execution)["status"], described(lab, execution)["error"]) == ("ABORTED", "by hand")
    lab.aws.client("stepfunctions").stop_execution(executionArn=following)
    assert statuses(queue, execution) == ["RUNNING", "ABORTED"]


def test_an_execution_that_takes_longer_than_its_machine_lets_it_times_out(lab: Lab) -> None:
    queue = heard(lab)
    arn = machine(lab, waiting(), TimeoutSeconds=40)
    execution = start(lab, arn, {"wait": LONG})
    await_status(lab, execution, "TIMED_OUT")
    assert history(lab, execution)[-1] == "ExecutionTimedOut"
    assert statuses(queue, execution) == ["RUNNING", "TIMED_OUT"]
    short = start(lab, arn, {"wait": 1}, name="short")
    await_status(lab, short, "SUCCEEDED")


def test_an_execution_that_is_aged_has_begun_and_ended_earlier_and_has_still_come_to_its_end(lab: Lab) -> None:
    arn = machine(lab, waiting())
    execution = start(lab, arn, {"wait": 1})
    before = await_status(lab, execution, "SUCCEEDED")
    newest = {"executionArn": execution, "reverseOrder": True, "maxResults": 1}
    states = lab.aws.client("stepfunctions")
    [ended] = states.get_execution_history(**newest)["events"]
    lab.aws.age_execution(execution, 700)
    after = described(lab, execution)
    for name in ("startDate", "stopDate"):
        assert (before[name] - after[name]).total_seconds() == pytest.approx(700, abs=0.01)
    [aged] = states.get_execution_history(**newest)["events"]
    assert (ended["timestamp"] - aged["timestamp"]).total_seconds() == pytest.approx(700, abs=0.01)
    assert after["status"] == "SUCCEEDED"
    with pytest.raises(ValueError, match="aged-executions"):
        lab.aws.age_execution(f"{execution}-other", 700)


def nested(lab: Lab, inner: str, name: str) -> str:
    """A state machine that runs another one, waits for it, and keeps what came of it; and its ARN."""
    outer = Lab(lab.aws, f"{lab.name}-outer")
    return machine(
        outer,
        {
            "Run": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Parameters": {"StateMachineArn": inner, "Name": name, "Input.$": "$"},
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}],
                "End": True,
            },
            "Caught": {"Type": "Pass", "End": True},
        },
    )


def test_a_task_waits_for_an_execution_that_is_like_any_other(lab: Lab) -> None:
    queue = heard(lab)
    inner = machine(lab, waiting())
    outer = nested(lab, inner, "nested")
    found = json.loads(await_status(lab, start(lab, outer, {"wait": 1}), "SUCCEEDED")["output"])
    assert (found["Status"], found["Output"]) == ("SUCCEEDED", {"wait": 1})
    assert statuses(queue, found["ExecutionArn"]) == ["RUNNING", "SUCCEEDED"]
    again = json.loads(await_status(lab, start(lab, outer, {"wait": 1}, name="two"), "SUCCEEDED")["output"])
    assert again["error"]["Error"] == "StepFunctions.ExecutionAlreadyExistsException"


def test_a_nested_execution_that_fails_is_caught_with_its_description(lab: Lab) -> None:
    inner = machine(lab, {"Fail": {"Type": "Fail", "Error": "RolledBack", "Cause": "an alarm"}})
    execution = start(lab, nested(lab, inner, "nested"), {"group": "web"})
    found = json.loads(await_status(lab, execution, "SUCCEEDED")["output"])["error"]
    cause = json.loads(found["Cause"])
    assert (found["Error"], cause["Status"]) == ("States.TaskFailed", "FAILED")
    assert (cause["Error"], cause["Cause"]) == ("RolledBack", "an alarm")


@pytest.mark.parametrize(
    ("of", "missing"),
    [
        ("{executions}:nested", ""),
        ("{executions}:other-*", "states:DescribeExecution on resource: {executions}:nested"),
    ],
)
def test_a_task_fails_where_the_role_of_its_state_machine_does_not_allow_what_it_does(
    lab: Lab, of: str, missing: str
) -> None:
    inner = machine(lab, waiting())
    executions = inner.replace(":stateMachine:", ":execution:")
    of, missing = of.format(executions=executions), missing.format(executions=executions)
    allowed = {
        inner: ["states:StartExecution"],
        of: ["states:DescribeExecution", "states:StopExecution"],
        f"arn:aws:events:{REGION}:{ACCOUNT}:rule/*": ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
    }
    statements = [{"Effect": "Allow", "Action": each, "Resource": arn} for arn, each in allowed.items()]
    iam = lab.aws.client("iam")
    role = iam.create_role(RoleName=lab.name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=lab.name, PolicyName="policy", PolicyDocument=policy)
    outer = nested(lab, inner, "nested")
    lab.aws.client("stepfunctions").update_state_machine(stateMachineArn=outer, roleArn=role)
    found = json.loads(await_status(lab, start(lab, outer, {"wait": 1}), "SUCCEEDED")["output"])
    if missing:
        cause = f"{lab.name} is not authorized to perform: {missing}"
        assert found["error"] == {"Error": "States.Permissions", "Cause": cause}
    else:
        assert found["Status"] == "SUCCEEDED"


def test_a_nested_execution_is_stopped_with_the_one_that_waits_for_it(lab: Lab) -> None:
    inner = machine(lab, waiting())
    outer = start(lab, nested(lab, inner, "nested"), {"wait": LONG})
    running = f"{inner.replace(':stateMachine:', ':execution:')}:nested"
    client = lab.aws.client("stepfunctions")
    eventually(lambda: client.list_executions(stateMachineArn=inner, statusFilter="RUNNING")["executions"])
    client.stop_execution(executionArn=outer)
    await_status(lab, running, "ABORTED")
    assert described(lab, outer)["status"] == "ABORTED"
