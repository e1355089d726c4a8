"""A deployed stack: its resources by logical id, its parameters and outputs, and its functions."""

from __future__ import annotations

import json
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from rollcall.doctor.observations import Senders
from rollcall.domain.settings import read_topics

from .answerer import Answerer
from .running import CREDENTIALS, NotRun

type Json = dict[str, Any]

DOCTOR = "DoctorFunction"
# A run of a function may take nearly two minutes, and is not to be begun twice.
ANSWER_TIMEOUT = 150  # seconds
ONCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=ANSWER_TIMEOUT)


def physical_id(stack: str, logical_id: str) -> str:
    """What a resource of a stack is called in AWS: a function's name, a queue's URL. Raises NotRun."""
    try:
        answer = boto3.client("cloudformation", config=ONCE).describe_stack_resource(
            StackName=stack, LogicalResourceId=logical_id
        )
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error) from error
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def described(stack: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters and the outputs of a stack, by name. Raises NotRun."""
    try:
        (answer,) = boto3.client("cloudformation", config=ONCE).describe_stacks(StackName=stack)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error) from error
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in answer.get("Parameters", [])}
    return parameters, {each["OutputKey"]: each["OutputValue"] for each in answer.get("Outputs", [])}


def answerer_of(stack: str) -> tuple[dict[str, str], Answerer]:
    """The parameters of Rollcall's stack, and what its hooks are known by. Raises NotRun."""
    parameters, outputs = described(stack)
    try:
        queues = frozenset({outputs["LaunchQueueArn"], outputs["TerminateQueueArn"]})
        prefix = outputs["HookPrefix"]
    except KeyError as error:
        raise NotRun(f"Stack {stack} is not Rollcall's: name it with --stack") from error
    named = read_topics(parameters.get("NotifyingTopicArns", ""))
    return parameters, Answerer(prefix, queues, Senders(parameters.get("NotificationTopicArn", ""), named))


def invoke(stack: str, function: str, request: Json, timeout: float = ANSWER_TIMEOUT) -> Json:
    """The answer of a function, named by its logical id, within so many seconds. Raises NotRun."""
    name = physical_id(stack, function)
    patient = ONCE.merge(Config(read_timeout=timeout))
    try:
        answer = boto3.client("lambda", config=patient).invoke(FunctionName=name, Payload=json.dumps(request))
        said = json.loads(answer["Payload"].read())
    except ReadTimeoutError as error:
        raise NotRun(f"No answer within {timeout:.0f} s: the function's log says what became of the run") from error
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error) from error
    if "FunctionError" in answer:
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


def not_asked(error: Exception) -> NotRun:
    """The same error as one that says what to do."""
    return NotRun(f"AWS cannot be reached: {error}\n{CREDENTIALS}")
