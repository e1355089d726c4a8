"""A deployed stack: its resources by logical id, its parameters and outputs, and its functions."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from rollcall.aws.client import CLIENT_CONFIG, aws_error

from .answerer import Answerer
from .running import STACK, NotRun, in_words, note_change

if TYPE_CHECKING:
    from collections.abc import Iterator

type Json = dict[str, Any]

DOCTOR = "DoctorFunction"
ALARM, LOG_GROUP, QUEUE = "AWS::CloudWatch::Alarm", "AWS::Logs::LogGroup", "AWS::SQS::Queue"  # types of resources
STATE_MACHINE = "AWS::StepFunctions::StateMachine"
CYCLE_MACHINE = "CycleStateMachine"  # the logical id of the state machine, where the stack runs cycles
BAKE_MACHINE = "BakeStateMachine"  # likewise, where it bakes images
# A run of a function may take nearly two minutes, and is not to be begun twice.
ANSWER_TIMEOUT = 150  # seconds
ENDED_FROM_OUTSIDE = ("Sandbox.Timedout", "Runtime.ExitError")  # out of time, out of memory: what Lambda answers then
ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=ANSWER_TIMEOUT)


class NoStack(NotRun):
    """There is no stack of that name in this account and Region."""


class NoResource(NotRun):
    """A stack that is there has no such resource."""


def physical_id(stack: str, logical_id: str) -> str:
    """What a resource of a stack is called in AWS: a function's name, a queue's URL. Raises NotRun, NoResource."""
    with asking_of(stack, f"resource {logical_id} of stack {stack}"):
        answer = boto3.client("cloudformation", config=ONCE).describe_stack_resource(
            StackName=stack, LogicalResourceId=logical_id
        )
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def described(stack: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters and the outputs of a stack, by name. Raises NotRun."""
    with asking_of(stack, f"stack {stack}"):
        (answer,) = boto3.client("cloudformation", config=ONCE).describe_stacks(StackName=stack)["Stacks"]
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in answer.get("Parameters", [])}
    return parameters, {each["OutputKey"]: each["OutputValue"] for each in answer.get("Outputs", [])}


def resources_of(stack: str) -> dict[str, dict[str, str]]:
    """What AWS calls the resources of a stack, by type and logical id. Raises NotRun."""
    found: dict[str, dict[str, str]] = {}
    with asking_of(stack, f"the resources of stack {stack}"):
        pages = boto3.client("cloudformation", config=CLIENT_CONFIG).get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=stack):
            for each in page["StackResourceSummaries"]:
                own = found.setdefault(each["ResourceType"], {})
                own[each["LogicalResourceId"]] = each.get("PhysicalResourceId", "")
    return found


def answerer_of(stack: str) -> tuple[dict[str, str], Answerer]:
    """The parameters of Rollcall's stack, and what its hooks are known by. Raises NotRun."""
    parameters, outputs = described(stack)
    try:
        return parameters, Answerer.of(parameters, outputs)
    except KeyError as error:
        raise not_rollcalls(stack) from error


def invoke(stack: str, function: str, request: Json, timeout: float = ANSWER_TIMEOUT) -> Json:
    """The answer of a function, named by its logical id, within so many seconds. Raises NotRun.

    One that gave no answer, or was ended from outside, may have changed things all the same. One that ended in an error
    of its own has not: it could not read what it works on (reconcile/run.py).
    """
    name = physical_id(stack, function)
    patient = ONCE.merge(Config(read_timeout=timeout))
    changing = function != DOCTOR and not request.get("dry_run")
    try:
        answer = boto3.client("lambda", config=patient).invoke(FunctionName=name, Payload=json.dumps(request))
        said = json.loads(answer["Payload"].read())
    except ReadTimeoutError as error:
        if changing:
            note_change()
        raise NotRun(f"No answer within {timeout:.0f} s: the function's log says what became of the run") from error
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, f"function {name}") from error
    if "FunctionError" in answer:
        if changing and said.get("errorType") in ENDED_FROM_OUTSIDE:
            note_change()
        look = "" if function == DOCTOR else "rollcall doctor says what is wrong with Tower and the set-up; "
        raise NotRun(
            f"{function.removesuffix('Function')} ended in an error: {said.get('errorType', 'error')}: "
            f"{said.get('errorMessage', said)}\n{look}the function's log says more."
        )
    if not isinstance(said, dict):
        raise of_another_version(stack, function, said)
    return said


def of_another_version(stack: str, function: str, answer: object) -> NotRun:
    """What to raise where a function answers with something else than this version's does."""
    return NotRun(
        f"{function} of stack {stack} does not answer as it should: {json.dumps(answer)[:200]}\n"
        "Deploy this version, or use the command of the version that is deployed."
    )


def not_rollcalls(stack: str) -> NotRun:
    """What to raise of a stack that is another product's."""
    return NotRun(f"Stack {stack} is not Rollcall's: {STACK}.")


def not_asked(error: BotoCoreError | ClientError, what: str, needed: str = "") -> NotRun:
    """The same error as one that says what to do. what: was requested. needed: the permissions for it, in words."""
    return NotRun(in_words(aws_error(what, error), needed))


@contextmanager
def asking_of(stack: str, what: str) -> Iterator[None]:
    """CloudFormation is called about a stack. what: is requested. Raises NoStack, NoResource, else NotRun."""
    try:
        yield
    except ClientError as error:
        words = error.response["Error"]["Message"]
        if "does not exist" not in words:
            raise not_asked(error, what) from error
        if words.startswith("Resource "):
            raise NoResource(
                f"Stack {stack} has no {words.split()[1]}: it was deployed without it, is of another version, or "
                f"it is not Rollcall's: {STACK}."
            ) from error
        raise NoStack(
            f"There is no stack {stack} in this account and Region: {STACK}, its Region with --region."
        ) from error
    except BotoCoreError as error:
        raise not_asked(error, what) from error
