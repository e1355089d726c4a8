"""Step Functions in memory, behind a real boto3 client: requests are checked and answers read as those of AWS are.

An execution runs by itself: each time that the command sleeps, the next of its scripted turns becomes true.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from rollcall.bake.state import BakeState
from rollcall.cycle.state import CycleState, ListedInstance, Phase, Since
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

type Json = dict[str, Any]

MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:rollcall-cycle"
BAKE_MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:rollcall-bake"
NOW = 1_796_076_900.0  # 2026-11-30 22:15 UTC
IDLE_MAX = 50  # sleeps in which nothing happens, and then nothing will
WORLD: list[StepFunctions] = []
"""The one whose executions the client sees: all share it, for to make one takes a third of a second."""


@dataclass
class Turn:
    """What becomes of an execution next. state: a step answers it. status: it ends so. fails: a step fails so."""

    state: CycleState | BakeState | None = None
    status: str = "RUNNING"
    error: str = ""
    cause: str = ""
    fails: str = ""


@dataclass
class Run:
    """An execution. began: epoch seconds."""

    name: str
    input: str
    began: float
    turns: list[Turn] = field(default_factory=list)
    status: str = "RUNNING"
    output: str | None = None
    error: str = ""
    cause: str = ""
    ended: float | None = None
    events: list[Json] = field(default_factory=list)
    machine: str = MACHINE

    @property
    def arn(self) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{self.name}"

    @property
    def noun(self) -> str:
        return self.machine.rpartition("-")[2]


class StepFunctions:
    """script: the turns of each execution that is started. failing: the answers to come first, status and code."""

    def __init__(self) -> None:
        self.now = NOW
        self.idle = 0  # sleeps since anything happened
        self.runs: dict[str, Run] = {}
        self.script: list[Turn] = []
        self.failing: list[tuple[int, str]] = []
        self.asked: list[str] = []
        self.client = _client()
        WORLD[:] = [self]

    def sleep(self, seconds: float) -> None:
        """What takes the place of time.sleep."""
        self.now += seconds
        self.idle += 1
        assert self.idle < IDLE_MAX, "the command waits for what does not come"
        for run in self.runs.values():
            if run.status == "RUNNING" and run.turns:
                self._turn(run, run.turns.pop(0))
                self.idle = 0

    def add(
        self, name: str, request: Mapping[str, Any], *turns: Turn, began: float | None = None, machine: str = MACHINE
    ) -> Run:
        """An execution that was started before; the first of its turns is true already."""
        made = Run(name, json.dumps(request), self.now - 600 if began is None else began, list(turns), machine=machine)
        self.runs[name] = made
        made.events.append(self._event("ExecutionStarted", executionStartedEventDetails={"input": made.input}))
        begun = json.dumps({made.noun: {"request": request}, "error": {}})
        made.events.append(
            self._event("TaskStateEntered", stateEnteredEventDetails={"name": "Preflight", "input": begun})
        )
        if made.turns:
            self._turn(made, made.turns.pop(0))
        return made

    def _turn(self, run: Run, turn: Turn) -> None:
        if turn.fails:
            cause = json.dumps({"errorType": "AwsUnavailable", "errorMessage": turn.fails})
            details = {"resource": "invoke", "resourceType": "lambda", "error": "AwsUnavailable", "cause": cause}
            run.events.append(self._event("TaskFailed", taskFailedEventDetails=details))
            return
        passed = json.dumps({run.noun: turn.state.to_json(), "next": "wait", "wait": 15}) if turn.state else None
        if passed:
            exited = {"name": "Follow", "output": passed}
            run.events.append(self._event("TaskStateExited", stateExitedEventDetails=exited))
        if turn.status != "RUNNING":
            run.status, run.ended, run.error, run.cause = turn.status, self.now, turn.error, turn.cause
            run.output = passed if turn.status == "SUCCEEDED" else None
            run.events.append(self._event("ExecutionEnded"))

    def _event(self, kind: str, **details: Json) -> Json:
        return {"timestamp": self.now, "type": kind, "id": 1} | details

    # Its API

    def answer(self, operation: str, body: str) -> tuple[int, Json]:
        """The status of HTTP and the answer to a request."""
        self.asked.append(operation)
        if self.failing:
            status, code = self.failing.pop(0)
            return status, _error(code)
        actions: dict[str, Callable[[Json], Json]] = {
            "StartExecution": self.start_execution,
            "DescribeExecution": self.describe_execution,
            "GetExecutionHistory": self.get_execution_history,
            "ListExecutions": self.list_executions,
            "StopExecution": self.stop_execution,
        }
        try:
            return 200, actions[operation](json.loads(body))
        except Refused as error:
            return 400, _error(str(error))

    def start_execution(self, given: Json) -> Json:
        run = self.runs.get(given["name"])
        if run is None:
            machine = given["stateMachineArn"]
            run = self.add(given["name"], json.loads(given["input"]), *self.script, began=self.now, machine=machine)
        elif run.status != "RUNNING" or json.loads(run.input) != json.loads(given["input"]):
            raise Refused("ExecutionAlreadyExists")
        return {"executionArn": run.arn, "startDate": run.began}

    def describe_execution(self, given: Json) -> Json:
        run = self._run(given)
        return {
            "executionArn": run.arn,
            "stateMachineArn": run.machine,
            "name": run.name,
            "status": run.status,
            "startDate": run.began,
            "input": run.input,
        } | {
            key: value
            for key, value in (
                ("stopDate", run.ended), ("output", run.output), ("error", run.error), ("cause", run.cause)
            )
            if value
        }  # fmt: skip

    def get_execution_history(self, given: Json) -> Json:
        assert given["reverseOrder"], "the oldest first would take a hundred calls"
        return _page([*reversed(self._run(given).events)], "events", given)

    def list_executions(self, given: Json) -> Json:
        own = [run for run in self.runs.values() if run.machine == given["stateMachineArn"]]
        wanted = [run for run in own if given.get("statusFilter", run.status) == run.status]
        newest_first = sorted(wanted, key=lambda run: run.began, reverse=True)
        rows = [
            {
                "executionArn": run.arn,
                "stateMachineArn": run.machine,
                "name": run.name,
                "status": run.status,
                "startDate": run.began,
            }
            for run in newest_first
        ]
        return _page(rows, "executions", given)

    def stop_execution(self, given: Json) -> Json:
        run = self._run(given)
        run.status, run.ended, run.error, run.cause = "ABORTED", self.now, given["error"], given["cause"]
        return {"stopDate": self.now}

    def _run(self, given: Json) -> Run:
        name = given["executionArn"].rpartition(":")[2]
        if name not in self.runs:
            raise Refused("ExecutionDoesNotExist")
        return self.runs[name]


class Refused(Exception):
    """An error that AWS answers with. Its text is the code."""


def _error(code: str) -> Json:
    return {"__type": code, "message": f"{code}, says AWS"}


def _page(rows: list[Json], name: str, given: Json) -> Json:
    begin = int(given.get("nextToken", 0))
    end = begin + given.get("maxResults", 100)
    return {name: rows[begin:end]} | ({"nextToken": str(end)} if end < len(rows) else {})


class _Body:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Any:
        yield self._content


@cache
def _client() -> Any:
    """A boto3 client whose requests are answered by the world that is there."""

    def serve(request: Any, **_: Any) -> AWSResponse:
        status, body = WORLD[-1].answer(request.headers["X-Amz-Target"].decode().rpartition(".")[2], request.body)
        dated = {"date": formatdate(WORLD[-1].now, usegmt=True), "content-type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, status, HTTPHeaders.from_pairs(dated.items()), _Body(json.dumps(body).encode()))

    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="embedded", region_name=REGION)
    client: Any = session.client("stepfunctions", config=Config(retries={"total_max_attempts": 1}))
    client.meta.events.register("before-send.sfn.*", serve)
    return client


def state(group: str = "web", **own: Any) -> CycleState:
    """A cycle of ten instances from version 7 to 8, in mid-flight."""
    usual: dict[str, Any] = {
        "refresh_id": "r-1",
        "phase": Phase.REPLACING,
        "from_version": "7",
        "target_version": "8",
        "desired": 10,
        "batch": 2,
        "new": 4,
        "in_progress": 2,
        "left": 4,
        "percent": 40,
        "instances": (ListedInstance("i-a", "its job runs", 65.0, "8", Since.LAUNCH),),
        "plan": {"estimate_seconds": 720.0, "batches": 5},
    }
    return CycleState(group, **{**usual, **own})
