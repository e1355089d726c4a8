"""What we replace of MiniStack's Step Functions, where it differs from AWS.

MiniStack refuses to start twice what runs under the same name with the same input, knows no timeout of an execution,
and lets one that was stopped go on retrying, and fail. Of a task it does not record that it was started. What a task
waits for (startExecution.sync) it runs as an express workflow: under a name that was used before, without an event,
and on after the execution that waits was stopped.

Source: AWS Step Functions API reference (StartExecution is idempotent for standard workflows; StopExecution;
HistoryEvent, TaskStartedEventDetails) and developer guide ("TimeoutSeconds" of a state machine: States.Timeout, status
TIMED_OUT; "Start a new AWS Step Functions state machine from a running execution", "Run a Job": what a task waits for
is stopped where the task is aborted). That a nested execution which does not succeed is States.TaskFailed, with its
description as the cause, is from published histories.
"""

import contextvars
import json
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from threading import Timer
from typing import Any

from ministack.core import responses
from ministack.services import stepfunctions

from lab.aws.ministack import Record, Response
from lab.aws.notifications import timestamp

OK = 200
RUNNING, SUCCEEDED = "RUNNING", "SUCCEEDED"
STEP = 0.05
"""Seconds from one look at an execution that is waited for to the next."""
ENDS = "Execution"
"""What the events begin with that are about the whole of an execution."""
running: ContextVar[str] = ContextVar("running", default="")
"""The ARN of the execution that this thread runs a part of."""


def install() -> None:
    """Put them in the place of MiniStack's."""
    _repeat_starts()
    _record()
    _time_out()
    _nest()


def age(execution_arn: str, seconds: float) -> bool:
    """Let all that there is of an execution have been so many seconds earlier; whether there is such a one."""
    execution = _named(execution_arn)
    dated = [(execution, name) for name in ("startDate", "stopDate") if execution.get(name)]
    dated += [(event, "timestamp") for event in execution.get("events", ())]
    for record, name in dated:
        record[name] = timestamp(datetime.fromisoformat(record[name]).timestamp() - seconds)
    return bool(execution)


def time_out(execution_arn: str) -> bool:
    """Let an execution have run for as long as its state machine lets it; whether there is such a one."""
    execution = _named(execution_arn)
    if execution:
        _end_late(execution)
    return bool(execution)


def _named(execution_arn: str) -> Record:
    """Return the execution with this ARN, of whatever account; nothing in it if there is none."""
    found = stepfunctions._executions.all_items()
    return next((execution for (_, _, arn), execution in found if arn == execution_arn), {})


def _repeat_starts() -> None:
    """Answer a start as the one before, if that one's execution still runs and has the same name and input."""
    start: Callable[[Record], Response] = stepfunctions._start_execution

    def start_execution(data: Record) -> Response:
        machine = stepfunctions._resolve_state_machine_arn(str(data.get("stateMachineArn", "")))
        for execution in list(stepfunctions._executions.values()) if data.get("name") else []:
            same = (execution["stateMachineArn"], execution["name"]) == (machine, data["name"])
            if same and execution["status"] == RUNNING and execution["input"] == data.get("input", "{}"):
                started = {"executionArn": execution["executionArn"], "startDate": execution["startDate"]}
                answered: Response = responses.json_response(started)
                return answered
        return start(data)

    stepfunctions._start_execution = start_execution


def _record() -> None:
    """Let nothing happen any more in an execution that was stopped, or timed out; and record that tasks are started."""
    add, fail = stepfunctions._add_event, stepfunctions._fail_execution

    def add_event(execution: Record, event_type: str, details: Record | None = None) -> Any:
        if execution["status"] != RUNNING and not event_type.startswith(ENDS):
            raise stepfunctions._ExecutionError("States.Runtime", "the execution has ended")
        if event_type == "TaskScheduled" and details:
            add(execution, event_type, details)
            event_type, details = "TaskStarted", {"taskStartedEventDetails": details["taskScheduledEventDetails"]}
        return add(execution, event_type, details)

    def fail_execution(execution: Record, error: str, cause: str) -> None:
        if execution["status"] == RUNNING:
            fail(execution, error, cause)

    stepfunctions._add_event = add_event
    stepfunctions._fail_execution = fail_execution


def _time_out() -> None:
    """End an execution that runs longer than its state machine lets it; waits are shorter here, and so is that time."""
    run = stepfunctions._run_execution
    scale = float(os.environ.get("SFN_WAIT_SCALE", "1"))

    def run_execution(execution_arn: str) -> None:
        running.set(execution_arn)
        execution = stepfunctions._executions[execution_arn]
        seconds = _timeout_of(stepfunctions._state_machines.get(execution["stateMachineArn"]))
        if seconds is None:
            run(execution_arn)
            return
        context = contextvars.copy_context()
        timer = Timer(seconds * scale, lambda: context.run(_end_late, execution))
        timer.daemon = True
        timer.start()
        try:
            run(execution_arn)
        finally:
            timer.cancel()

    stepfunctions._run_execution = run_execution


def _timeout_of(machine: Record | None) -> float | None:
    """Return the seconds that an execution of a state machine may take, None where it may take any time."""
    try:
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
    except json.JSONDecodeError:  # the execution fails by that anyway
        return None
    return None if seconds is None else float(seconds)


def _end_late(execution: Record) -> None:
    if execution["status"] != RUNNING:
        return
    execution.update(status="TIMED_OUT", stopDate=responses.now_iso())
    about = {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    stepfunctions._add_event(execution, "ExecutionTimedOut", about)
    stepfunctions._emit_execution_status_event(execution)


def _nest() -> None:
    """Let a task start an execution like any other, and wait for its end or that of its own execution."""

    def invoke(resource: str, given: Record) -> Record:
        status, _, body = stepfunctions._start_execution(stepfunctions._nested_start_execution_request(given))
        answered = json.loads(body)
        if status != OK:
            error = f"StepFunctions.{answered['__type']}Exception"
            raise stepfunctions._ExecutionError(error, answered.get("message", ""))
        return _result(resource, _ended(answered["executionArn"], running.get()))

    stepfunctions._invoke_nested_start_execution_sync = invoke


def _ended(execution_arn: str, waiting: str) -> Record:
    """Return the description of an execution once it has ended; it is stopped where the one that waits has ended."""
    while stepfunctions._executions[execution_arn]["status"] == RUNNING:
        waits = stepfunctions._executions.get(waiting)
        if waits and waits["status"] != RUNNING:
            stepfunctions._stop_execution({"executionArn": execution_arn})
        time.sleep(STEP)
    described: Record = json.loads(stepfunctions._describe_execution({"executionArn": execution_arn})[2])
    return {f"{name[0].upper()}{name[1:]}": value for name, value in described.items() if value is not None}


def _result(resource: str, described: Record) -> Record:
    """Return what a task answers about an execution that it waited for; raise its error if that did not succeed."""
    if described["Status"] != SUCCEEDED:
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(described))
    if resource.endswith(":2"):
        described["Output"] = json.loads(described["Output"])
    return described
