"""The executions of a state machine, for cycles or for bakes: started, found, and read.

The state of a workflow is what its last step answered. DescribeExecution shows it only of one that succeeded, so it is
read from the history, from its end on: each state of the machine is entered and left with it (API reference,
HistoryEvent).
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from rollcall.aws.client import aws_error, aws_errors
from rollcall.domain.errors import AwsRejected, AwsUnavailable
from rollcall.workflow.names import execution_name, is_dry_run, key_of
from rollcall_cli.scaling_group import moment_of

from .execution import CANCELLED, Execution, Started, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

type Json = dict[str, Any]

HISTORY_PAGE = 10  # events; while nothing fails the newest state is among the last four
HISTORY_PAGES = 12  # more than a step that fails at each of its tries can put before the newest state
LATEST_READ = 100  # executions of all groups; each that is listed takes a call, or two
STARTED_BEFORE = 5.0  # seconds; what AWS says began longer ago was not started by this call


class NotShown(AwsUnavailable):
    """AWS shows no such execution; or not yet, for what it shows is eventually consistent."""


class Kind[S](NamedTuple):
    """A workflow. noun: "cycle" or "bake", by which its state stands in what passes from step to step.

    read: its state out of JSON; raises KeyError, TypeError or ValueError.
    """

    noun: str
    read: Callable[[Mapping[str, Any]], S]


class Executions[S]:
    """The executions of one state machine. client: boto3's for Step Functions. machine: its ARN.

    The methods raise what aws_errors raises.
    """

    def __init__(self, client: Any, machine: str, kind: Kind[S]) -> None:
        self._client = client
        self._machine = machine
        self._kind = kind

    def start(self, group: str, key: str, request: Mapping[str, Any]) -> Started:
        """Start one, unless there is one of this group with this key, of any state, in the last 90 days."""
        name = execution_name(group, key)
        try:
            answer = self._client.start_execution(
                stateMachineArn=self._machine, name=name, input=json.dumps(request, sort_keys=True)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise aws_error(f"execution {name}", error) from error
            return Started(self._arn_of(group, key), attached=True)
        except BotoCoreError as error:
            raise aws_error(f"execution {name}", error) from error
        # The same name with the same input is no error while it runs: AWS shows the one that is there.
        return Started(
            answer["executionArn"], attached=answer["startDate"].timestamp() < moment_of(answer) - STARTED_BEFORE
        )

    def named(self, group: str, key: str) -> str | None:
        """The ARN of the group's with this key; None without one in the last 90 days."""
        arn = self._arn_of(group, key)
        try:
            self.described(arn)
        except NotShown:
            return None
        return arn

    def running(self, group: str) -> str | None:
        """The ARN of the group's that runs, the newest if there are several; None without any."""
        return next(self._of_group(group, statusFilter=str(Status.RUNNING)), None)

    def newest(self, group: str) -> str | None:
        """The ARN of the group's that runs, else of the last one; None without any in the last 90 days."""
        return self.running(group) or next(self._of_group(group), None)

    def all_running(self) -> list[Execution[S]]:
        """Those that run, of all groups, each with its newest state; without dry runs."""
        with aws_errors(f"the {self._kind.noun}s that run"):
            pages = self._client.get_paginator("list_executions").paginate(
                stateMachineArn=self._machine, statusFilter=str(Status.RUNNING)
            )
            found = [each["executionArn"] for page in pages for each in page["executions"]]
        return [each for each in map(self.read, found) if each.running and not each.is_dry_run]

    def has_dry_runs(self, group: str) -> bool:
        """Whether the group had one in the last 90 days."""
        return any(is_dry_run(name, group) for _, name in self._all_of_group(group))

    def latest(self, most: int, group: str = "") -> list[Execution[S]]:
        """The last ones, the newest first, each that is over with its last state; without dry runs.

        group: whose; empty for all groups, of whose last LATEST_READ executions dry runs are left out.
        """
        arns = self._of_group(group) if group else self._newest_arns()
        found = islice((each for each in map(self.described, arns) if not each.is_dry_run), most)
        return [each if each.running else self.with_state(each) for each in found]

    def _newest_arns(self) -> list[str]:
        with aws_errors(f"the list of {self._kind.noun}s"):
            answer = self._client.list_executions(stateMachineArn=self._machine, maxResults=LATEST_READ)
        return [each["executionArn"] for each in answer["executions"]]

    def stop(self, arn: str, cause: str) -> None:
        """End an execution; none of its steps comes after that."""
        with aws_errors(f"the {self._kind.noun}"):
            self._client.stop_execution(executionArn=arn, error=CANCELLED, cause=cause)

    def arn_named(self, name: str) -> str:
        """The ARN of an execution with this name, whether there is one or not."""
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{name}"

    def described(self, arn: str) -> Execution[S]:
        """An execution, with its state only where it succeeded.

        Raises NotShown.
        """
        try:
            shown = self._client.describe_execution(executionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                raise NotShown(f"AWS does not show execution {arn.rpartition(':')[2]}") from error
            raise aws_error(f"the {self._kind.noun}", error) from error
        except BotoCoreError as error:
            raise aws_error(f"the {self._kind.noun}", error) from error
        now = moment_of(shown)
        ended = shown["stopDate"].timestamp() if "stopDate" in shown else None
        state = self._state_in(shown.get("output"))
        return Execution(
            arn,
            Status(shown["status"]) if shown["status"] in list(Status) else Status.RUNNING,
            _object(shown.get("input")) or {},
            shown["startDate"].timestamp(),
            ended,
            now,
            state,
            ended or now,
            shown.get("error", ""),
            shown.get("cause", ""),
        )

    def read(self, arn: str) -> Execution[S]:
        """An execution with its newest state. Raises as described() does."""
        return self.with_state(self.described(arn))

    def with_state(self, shown: Execution[S]) -> Execution[S]:
        """An execution that described() shows, with its newest state, which is read where that has none."""
        if shown.state is not None:
            return shown
        failing = ""
        for event in self._history(shown.arn):
            failing = failing or _failure(event)
            if state := self._state_of(event):
                answered = event["timestamp"].timestamp()
                return replace(shown, state=state, answered=answered, failing=failing if shown.running else "")
        return replace(shown, failing=failing if shown.running else "")

    def _arn_of(self, group: str, key: str) -> str:
        return self.arn_named(execution_name(group, key))

    def _of_group(self, group: str, **wanted: str) -> Iterator[str]:
        """The ARNs of a group's executions, the newest first (API reference, ListExecutions); without dry runs."""
        return (arn for arn, name in self._all_of_group(group, **wanted) if not is_dry_run(name, group))

    def _all_of_group(self, group: str, **wanted: str) -> Iterator[tuple[str, str]]:
        """Likewise with dry runs: ARN and name of each."""
        with aws_errors(f"the {self._kind.noun}s of group {group}"):
            pages = self._client.get_paginator("list_executions").paginate(stateMachineArn=self._machine, **wanted)
            for page in pages:
                for each in page["executions"]:
                    if key_of(each["name"], group):
                        yield each["executionArn"], each["name"]

    def _history(self, arn: str) -> Iterator[Json]:
        """The last events of an execution, the newest first."""
        token: Json = {}
        for _ in range(HISTORY_PAGES):
            with aws_errors(f"the history of the {self._kind.noun}"):
                page = self._client.get_execution_history(
                    executionArn=arn, reverseOrder=True, maxResults=HISTORY_PAGE, includeExecutionData=True, **token
                )
            yield from page["events"]
            if "nextToken" not in page:
                return
            token = {"nextToken": page["nextToken"]}

    def _state_of(self, event: Json) -> S | None:
        """The state that an event holds: of a state of the machine that was entered, or left."""
        entered, left = event.get("stateEnteredEventDetails", {}), event.get("stateExitedEventDetails", {})
        return self._state_in(entered.get("input") or left.get("output"))

    def _state_in(self, text: str | None) -> S | None:
        """The state in what passes from step to step; None before the first has made one, of the request."""
        own = (_object(text) or {}).get(self._kind.noun)
        if not isinstance(own, dict) or "group" not in own:
            return None
        try:
            return self._kind.read(own)
        except (KeyError, TypeError, ValueError) as error:
            raise AwsRejected(
                f"the {self._kind.noun}'s state has {error!r}, which this command's version does not know: use the "
                "command of the version that is deployed"
            ) from error


def _object(text: str | None) -> Json | None:
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _failure(event: Json) -> str:
    """Why a step failed, where an event says that."""
    for key in ("taskFailedEventDetails", "taskTimedOutEventDetails", "taskStartFailedEventDetails"):
        if key in event:
            said = event[key]
            words = (_object(said.get("cause")) or {}).get("errorMessage") or said.get("cause") or ""
            return ": ".join(filter(None, (said.get("error", ""), str(words))))
    return ""
