"""Executions of the state machines of cycles and bakes, followed by what their tasks answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count, groupby
from typing import TYPE_CHECKING, ClassVar, Self

from lab.cloud import eventually
from rollcall.workflow.names import execution_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.cloud import Cloud, Group, Json

KEYS = count(1)


@dataclass(frozen=True)
class Execution:
    """An execution of a state machine. arn: the execution's.

    kind: under what its tasks answer with their state. machine: the state machine's name in the template.
    """

    kind: ClassVar[str]
    machine: ClassVar[str]

    cloud: Cloud
    arn: str

    @classmethod
    def started(cls, group: Group, key: str, request: Json) -> Self:
        """Start one of a group. key: names it, as for the command; empty for any. request: beside the group."""
        answer = group.cloud.aws.client("stepfunctions").start_execution(
            stateMachineArn=group.cloud.physical_id(cls.machine),
            name=execution_name(group.name, key or f"{cls.kind}-{next(KEYS)}"),
            input=json.dumps({"group": group.name, **request}),
        )
        return cls(group.cloud, answer["executionArn"])

    @classmethod
    def named(cls, group: Group, key: str) -> Self:
        """The group's with this key, as the command and reconcile name it; whether or not it is there."""
        machine = group.cloud.physical_id(cls.machine).replace(":stateMachine:", ":execution:")
        return cls(group.cloud, f"{machine}:{execution_name(group.name, key)}")

    @property
    def status(self) -> str:
        """RUNNING, SUCCEEDED, FAILED, ABORTED or TIMED_OUT."""
        answer = self.cloud.aws.client("stepfunctions").describe_execution(executionArn=self.arn)
        return str(answer["status"])

    def outputs(self) -> list[Json]:
        """The state after each task, the newest first."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        return [
            json.loads(event["stateExitedEventDetails"]["output"])
            for page in pages.paginate(executionArn=self.arn, reverseOrder=True)
            for event in page["events"]
            if event["type"] == "TaskStateExited"
        ]

    @property
    def state(self) -> Json:
        """The state after the last task; empty before the first has ended."""
        return next(iter(self._states()), {})

    def _states(self) -> list[Json]:
        """The state after each task that answers with one, the newest first."""
        return [each[self.kind] for each in self.outputs() if self.kind in each]

    def waited(self) -> Json:
        """The state at the end of the execution, waited for."""
        try:
            eventually(lambda: self.status != "RUNNING", f"{self.arn} ends")
        except TimeoutError as error:
            error.add_note(f"it is {self._in_words()}")
            raise
        return self.state

    def failures(self, step: str) -> int:
        """How often a step, by the name of its state in the machine, has failed so far, and was tried again or not."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        inside, failed = "", 0
        for event in (event for page in pages.paginate(executionArn=self.arn) for event in page["events"]):
            inside = event.get("stateEnteredEventDetails", {}).get("name", inside)
            failed += inside == step and event["type"] in ("TaskFailed", "LambdaFunctionFailed")
        return failed

    def reaches(self, phase: str) -> Json:
        """The state once it is in this phase."""
        return dict(eventually(lambda: (own := self.state).get("phase") == phase and own, phase))

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]

    def seen(self, what: Callable[[Json], bool], words: str) -> Json:
        """The newest state that this holds of, once there is one. words: what is waited for."""
        return dict(eventually(lambda: next(filter(what, self._states()), None), words))

    def phases(self) -> list[str]:
        """The phases that it went through so far, in order, as its tasks left it."""
        return [phase for phase, _ in groupby(each["phase"] for each in reversed(self._states()))]

    def history(self) -> list[str]:
        """The types of the execution's events, the oldest first."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        return [event["type"] for page in pages.paginate(executionArn=self.arn) for event in page["events"]]

    def stop(self) -> None:
        """Stop the execution by hand."""
        self.cloud.aws.client("stepfunctions").stop_execution(executionArn=self.arn)

    def _in_words(self) -> str:
        known = self.state
        return json.dumps({name: known.get(name) for name in ("phase", "result", "reason", "objections")})
