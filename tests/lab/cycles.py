"""Cycles of groups on the embedded cloud: started as the command and reconcile start them, followed by their state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count, groupby
from typing import TYPE_CHECKING, Any

from lab.cloud import eventually
from rollcall.cycle.names import execution_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.cloud import Cloud, Group, Json

KEYS = count(1)
CYCLE_TIMEOUT = 120.0  # seconds


@dataclass(frozen=True)
class Cycle:
    """An execution of the state machine. arn: the execution's."""

    cloud: Cloud
    arn: str

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
        """The cycle's state after the last task; empty before the first has ended."""
        return next((each["cycle"] for each in self.outputs()), {})

    def waited(self, timeout: float = CYCLE_TIMEOUT) -> Json:
        """The state at the end of the execution, waited for."""
        try:
            eventually(lambda: self.status != "RUNNING", f"{self.arn} ends", timeout)
        except TimeoutError as error:
            error.add_note(f"it is {self._in_words()}")
            raise
        return self.state

    def reaches(self, phase: str, timeout: float = CYCLE_TIMEOUT) -> Json:
        """The state once it is in this phase."""
        return dict(eventually(lambda: (own := self.state).get("phase") == phase and own, phase, timeout))

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]

    def seen(self, what: Callable[[Json], bool], words: str, timeout: float = CYCLE_TIMEOUT) -> Json:
        """The state once this holds of it. words: what is waited for."""
        return dict(eventually(lambda: (own := self.state) and what(own) and own, words, timeout))

    def phases(self) -> list[str]:
        """The phases that the cycle went through so far, in order, as its tasks left it."""
        return [phase for phase, _ in groupby(each["cycle"]["phase"] for each in reversed(self.outputs()))]

    def history(self) -> list[str]:
        """The types of the execution's events, the oldest first."""
        pages = self.cloud.aws.client("stepfunctions").get_paginator("get_execution_history")
        return [event["type"] for page in pages.paginate(executionArn=self.arn) for event in page["events"]]

    def stop(self) -> None:
        """Stop the execution by hand, as nobody should."""
        self.cloud.aws.client("stepfunctions").stop_execution(executionArn=self.arn)

    def age(self, group: Group, seconds: float) -> None:
        """Let the execution, the group and its refreshes be so many seconds older than they are."""
        self.cloud.aws.age_execution(self.arn, seconds)
        self.cloud.aws.age_group(group.name, seconds)

    def _in_words(self) -> str:
        known = self.state
        return json.dumps({name: known.get(name) for name in ("phase", "result", "reason", "objections")})


def start_cycle(group: Group, key: str = "", **request: Any) -> Cycle:
    """Start a cycle of a group. key: names it, as for the command. request: as the state machine's input names it."""
    client = group.cloud.aws.client("stepfunctions")
    answer = client.start_execution(
        stateMachineArn=group.cloud.physical_id("CycleStateMachine"),
        name=execution_name(group.name, key or f"cycle-{next(KEYS)}"),
        input=json.dumps({"group": group.name, **request}),
    )
    return Cycle(group.cloud, answer["executionArn"])


def cycle_named(group: Group, key: str) -> Cycle:
    """The group's cycle with this key, as the command and reconcile name it; whether or not it is there."""
    machine = group.cloud.physical_id("CycleStateMachine")
    return Cycle(group.cloud, f"{machine.replace(':stateMachine:', ':execution:')}:{execution_name(group.name, key)}")
