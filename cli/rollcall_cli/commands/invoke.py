"""Invokes a function of a deployed stack with an event, and prints what it logged and answered."""

from __future__ import annotations

import base64
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from rollcall_cli.exit_codes import ExitCode
from rollcall_cli.invocation.events import SAMPLE_INSTANCE, is_about_the_samples_instance, received_now, strangers
from rollcall_cli.invocation.log_lines import readable
from rollcall_cli.invocation.outcome import outcome
from rollcall_cli.options import DEFAULT_STACK, AsJson, Profile, Region, Stack, connect
from rollcall_cli.running import NotRun, note_change
from rollcall_cli.screen import console, print_json, progress, progress_line
from rollcall_cli.stack import ONCE, not_asked, physical_id

ANSWER_TIMEOUT = 320  # seconds; the longest timeout of a function, doctor's, and a little
LOG_TAIL = 4096  # bytes of the log that Lambda gives back with the answer
FROM_STDIN = "-"
FUNCTIONS = ("register", "gate", "cleanup", "reconcile", "cycle", "bake", "doctor", "alert")


@dataclass(frozen=True)
class Answer:
    """What Lambda gave back. log: the last of it, with what the runtime wrote."""

    value: Any
    log: str
    failed: bool


def invoke(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help=", ".join(FUNCTIONS))],
    event: Annotated[
        str | None, typer.Option("--event", metavar="FILE", help="the event, a file of JSON; - for stdin")
    ] = None,
    payload: Annotated[str | None, typer.Option("--payload", metavar="JSON", help="the event itself")] = None,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="also an event of another account or Region, which goes to dead letters")
    ] = False,
    stack: Stack = DEFAULT_STACK,
    region: Region = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Invoke a function by hand: the real one, which works on the real Tower and the real groups.

    Ends with 1 when the function failed, or a message of the event did. events/ in the repository holds a sample of
    each event; `make invoke` runs those locally. Your credentials need cloudformation:DescribeStackResource,
    lambda:GetFunctionConfiguration and lambda:InvokeFunction.
    """
    given = received_now(event_of(event, payload), time.time())
    logical_id = logical_id_of(function)
    connect(region, profile)
    name = physical_id(stack, logical_id)
    if not foreign:
        _refuse_strangers(given, name)
    if is_about_the_samples_instance(given):
        progress_line(f"The event names the samples' instance, {SAMPLE_INSTANCE}: no account has it.")
    with progress(f"running {name}"):
        answer = answer_of(name, given)
    result = outcome(answer.value, answer.log, failed=answer.failed)
    if as_json:
        print_json({"answer": answer.value, "log": readable(answer.log), "outcome": result.words})
        return result.code
    screen = console()
    for line in readable(answer.log, [each.removeprefix("warning: ") for each in result.lines]):
        screen.print(line, soft_wrap=True)
    if not result.lines:  # which say all that a report says
        screen.print(f"answer: {json.dumps(answer.value)}", soft_wrap=True)
    for line in (*result.lines, result.words):
        screen.print(line, soft_wrap=True)
    return result.code


def logical_id_of(function: str) -> str:
    """What the template calls a function: gate, and GateFunction, is GateFunction. Raises NotRun."""
    name = function.removesuffix("Function").lower()
    if name not in FUNCTIONS:
        raise NotRun(f"There is no function {function!r}: use one of {', '.join(FUNCTIONS)}")
    return f"{name.capitalize()}Function"


def event_of(path: str | None, payload: str | None) -> Any:
    """The event that the command line gives. Raises NotRun."""
    if (path is None) == (payload is None):
        raise NotRun("Give the event: --event FILE or --payload JSON, one of the two. events/ has a sample of each.")
    try:
        text = payload if path is None else sys.stdin.read() if path == FROM_STDIN else Path(path).read_text()
        return json.loads(text or "")
    except OSError as error:
        raise NotRun(f"The event cannot be read: {error}") from error
    except ValueError as error:
        raise NotRun(f"The event is no JSON: {error}") from error


def answer_of(name: str, event: Any) -> Answer:
    """What a function answers and logs, invoked once. Raises NotRun."""
    client = boto3.client("lambda", config=ONCE.merge(Config(read_timeout=ANSWER_TIMEOUT)))
    try:
        given = client.invoke(FunctionName=name, LogType="Tail", Payload=json.dumps(event))
        value = json.loads(given["Payload"].read() or "null")
    except ReadTimeoutError as error:
        note_change()
        raise NotRun(f"No answer within {ANSWER_TIMEOUT} s: the log of {name} says what became of the run") from error
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, f"function {name}") from error
    log = base64.b64decode(given.get("LogResult", ""))
    return Answer(value, _whole_lines(log), "FunctionError" in given)


def _whole_lines(log: bytes) -> str:
    """The log that came, without the line that its beginning cuts."""
    text = log.decode(errors="replace")
    if len(log) < LOG_TAIL:
        return text
    return "… (the last 4 KB; the whole log is in CloudWatch Logs)\n" + text.partition("\n")[2]


def _refuse_strangers(event: Any, name: str) -> None:
    """Raises NotRun where the function would refuse an event for its account or Region."""
    try:
        arn = boto3.client("lambda", config=ONCE).get_function_configuration(FunctionName=name)["FunctionArn"]
    except (BotoCoreError, ClientError) as error:
        raise not_asked(error, f"function {name}") from error
    region, account = arn.split(":")[3:5]
    if named := strangers(event, account, region):
        raise NotRun(
            f"The event names {', '.join(named)}; the stack is in account {account}, Region {region}. The function "
            "would refuse it: it goes to the dead-letter queue, and an alarm sounds.\nPut the stack's account and "
            "Region in, or add --foreign if that is what you want to see."
        )
