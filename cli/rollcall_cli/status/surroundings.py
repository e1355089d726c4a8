"""What is around the instances that wait: queues, alarms, open incidents, the last run of reconcile.

Each is read by itself, and what may not be read is left out and named: the rest is worth having.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3

from rollcall.alerting.store import Incidents
from rollcall.aws.client import CLIENT_CONFIG, aws_errors
from rollcall.aws.tagged_groups import TaggedGroups
from rollcall.domain.settings import OPT_IN_TAG
from rollcall.workflow.names import is_dry_run, key_of
from rollcall_cli.baking.executions import BakeExecutions
from rollcall_cli.baking.listing import listed as bake_listed
from rollcall_cli.cycling.executions import CycleExecutions
from rollcall_cli.cycling.listing import listed as cycle_listed
from rollcall_cli.stack import ALARM, BAKE_MACHINE, CYCLE_MACHINE, QUEUE

from .bakes import running_bake
from .cycles import running_cycle
from .group_work import LastEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from rollcall.alerting.incident import Incident
    from rollcall.aws.tagged_groups import RunningGroup
    from rollcall_cli.stack_parts import StackParts

    from .bakes import RunningBake
    from .cycles import RunningCycle

DEAD_LETTER_QUEUE = "DeadLetterQueue"
SIZES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
AGE = "ApproximateAgeOfOldestMessage"
AGE_WITHIN = 900  # seconds; CloudWatch has the age once a minute, and minutes late
ALARMS_PER_CALL = 100
LISTED = 100  # executions that are looked through for the last of a group
WATCHED = 14 * 86_400.0  # seconds; as long as an incident of a cycle or bake is open at most
SILENT_AFTER = 3  # intervals without a run, as ReconcileSilentAlarm has it
RUN_ENDED = '"ReconcileRuns"'  # each run that ends writes this metric into the log of its function
TROUBLES = ("ReconcileTroubles", "BreakerTripped")


class SeenQueue(NamedTuple):
    """A queue by its logical id: messages that wait, that are being worked on, and that were put off.

    oldest: seconds that the oldest has been there, by CloudWatch; None without a message, or where it does not say.
    """

    name: str
    waiting: int
    worked_on: int
    put_off: int
    oldest: float | None = None

    @property
    def total(self) -> int:
        """All of its messages."""
        return self.waiting + self.worked_on + self.put_off

    @property
    def is_dead_letters(self) -> bool:
        """Whether it is one of the dead-letter queues."""
        return self.name.endswith(DEAD_LETTER_QUEUE)


class SeenAlarm(NamedTuple):
    """An alarm in ALARM: its logical id, its description, and since when (epoch seconds)."""

    name: str
    description: str
    since: float


class LastRun(NamedTuple):
    """The last run of reconcile that ended, by its log.

    at: epoch seconds, None if none ended in the looked_back seconds. troubles: what it could not read or change, or
    would not remove.
    """

    at: float | None
    looked_back: float
    troubles: int = 0


class Surroundings:
    """Reads AWS. Threads may share it. clock(): this machine's, epoch seconds.

    Methods raise AwsUnavailable, AwsDenied or AwsRejected.
    """

    def __init__(self, stack: StackParts, clock: Callable[[], float]) -> None:
        self._stack = stack
        self._clock = clock
        self._making = Lock()
        self._clients: dict[str, Any] = {}

    def _client(self, service: str) -> Any:
        with self._making:  # clients may be shared by threads, but not made by several at once
            if service not in self._clients:
                self._clients[service] = boto3.client(service, config=CLIENT_CONFIG)  # type: ignore[call-overload]
            return self._clients[service]

    def queues(self) -> tuple[SeenQueue, ...]:
        """Every queue of the stack, those that lead on before their dead letters."""
        urls = self._stack.of_type(QUEUE)
        sqs = self._client("sqs")
        found: list[SeenQueue] = []
        for name in sorted(urls, key=lambda each: (each.endswith(DEAD_LETTER_QUEUE), each)):
            with aws_errors(f"GetQueueAttributes of {name}"):
                raw = sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=list(SIZES))["Attributes"]
            found.append(SeenQueue(name, *(int(raw.get(each, 0)) for each in SIZES)))
        return tuple(found)

    def with_ages(self, queues: Sequence[SeenQueue]) -> tuple[SeenQueue, ...]:
        """The same, those with messages with the age of the oldest: in one call, none where all are empty."""
        filled = [each for each in queues if each.total]
        if not filled:
            return tuple(queues)
        urls, now = self._stack.of_type(QUEUE), self._clock()
        queries = [
            {
                "Id": f"q{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/SQS",
                        "MetricName": AGE,
                        "Dimensions": [{"Name": "QueueName", "Value": urls[each.name].rpartition("/")[2]}],
                    },
                    "Period": 60,
                    "Stat": "Maximum",
                },
            }
            for number, each in enumerate(filled)
        ]
        with aws_errors("GetMetricData"):
            answer = self._client("cloudwatch").get_metric_data(
                MetricDataQueries=queries,
                StartTime=_moment(now - AGE_WITHIN),
                EndTime=_moment(now),
                ScanBy="TimestampDescending",
            )
        ages = {each["Id"]: each["Values"][0] for each in answer["MetricDataResults"] if each["Values"]}
        known = {each.name: ages.get(f"q{number}") for number, each in enumerate(filled)}
        return tuple(each._replace(oldest=known.get(each.name)) for each in queues)

    def alarms(self) -> tuple[SeenAlarm, ...]:
        """The stack's alarms that are in ALARM, the latest first."""
        names = {physical: logical for logical, physical in self._stack.of_type(ALARM).items() if physical}
        found: list[SeenAlarm] = []
        chunks = [sorted(names)[start : start + ALARMS_PER_CALL] for start in range(0, len(names), ALARMS_PER_CALL)]
        for chunk in chunks:
            with aws_errors("DescribeAlarms"):
                answer = self._client("cloudwatch").describe_alarms(
                    AlarmNames=chunk, StateValue="ALARM", MaxRecords=ALARMS_PER_CALL
                )
            found += [
                SeenAlarm(
                    names[each["AlarmName"]],
                    each.get("AlarmDescription", ""),
                    each["StateUpdatedTimestamp"].timestamp(),
                )
                for each in answer["MetricAlarms"]
                if each["StateValue"] == "ALARM"
            ]
        return tuple(sorted(found, key=lambda each: -each.since))

    def incidents(self) -> tuple[Incident, ...] | None:
        """The open incidents, the latest first; None where the stack has no alert function, which knows of them."""
        if not self._stack.find("AlertFunction"):
            return None
        stack = f"{self._stack.account}/{self._stack.region}/{self._stack.name}"
        found = [each for each in Incidents(self._stack.find("ToldTable"), stack).open() if each.count]
        return tuple(sorted(found, key=lambda each: -each.since))

    def cycles(self) -> tuple[RunningCycle, ...] | None:
        """The cycles that run, the latest first; None where the stack has none."""
        machine = self._stack.find(CYCLE_MACHINE)
        if not machine:
            return None
        found = CycleExecutions(self._client("stepfunctions"), machine).all_running()
        return tuple(sorted(map(running_cycle, found), key=lambda each: -each.since))

    def bakes(self) -> tuple[RunningBake, ...] | None:
        """The bakes that run, the latest first; None where the stack has none."""
        machine = self._stack.find(BAKE_MACHINE)
        if not machine:
            return None
        found = BakeExecutions(self._client("stepfunctions"), machine, None).all_running()
        return tuple(sorted(map(running_bake, found), key=lambda each: -each.since))

    def ends(self, groups: Collection[str]) -> tuple[LastEnd, ...]:
        """The last cycle and the last bake of each of these groups, where it ended within WATCHED and not well."""
        found: list[LastEnd] = []
        if machine := self._stack.find(CYCLE_MACHINE):
            cycles = CycleExecutions(self._client("stepfunctions"), machine)
            for group, ended, arn in self._ended(machine, groups):
                each = cycles.described(arn)
                found.append(LastEnd(group, "cycle", each.name, cycle_listed(each).result, ended))
        if machine := self._stack.find(BAKE_MACHINE):
            bakes = BakeExecutions(self._client("stepfunctions"), machine, None)
            for group, ended, arn in self._ended(machine, groups):
                bake = bakes.described(arn)
                found.append(LastEnd(group, "bake", bake.name, bake_listed(bake).result, ended))
        return tuple(found)

    def _ended(self, machine: str, groups: Collection[str]) -> Iterator[tuple[str, float, str]]:
        """Of each group the last execution, if it did not succeed: the group, when it ended, and its ARN.

        Nothing of a group of which one runs: that one is what the command for them shows.

        The last of all groups are read in one call, the newest first (API reference, ListExecutions).
        """
        with aws_errors("ListExecutions"):
            answer = self._client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=LISTED)
        for group in groups:
            named = (each for each in answer["executions"] if key_of(each["name"], group))
            own = [each for each in named if not is_dry_run(each["name"], group)]
            if not own or own[0]["status"] == "SUCCEEDED" or any(each["status"] == "RUNNING" for each in own):
                continue
            last = own[0]
            ended = last.get("stopDate", last["startDate"]).timestamp()
            if ended > self._clock() - WATCHED:
                yield group, ended, last["executionArn"]

    def running_groups(self) -> list[RunningGroup]:
        """The groups that opted in, with the versions that their instances run."""
        return TaggedGroups(self._stack.region).tagged((OPT_IN_TAG,))

    def last_run(self) -> LastRun:
        """The last run of reconcile that ended, scheduled or by hand."""
        looked_back = SILENT_AFTER * self._stack.reconcile_interval
        pages = self._client("logs").get_paginator("filter_log_events")
        lines: list[Mapping[str, Any]] = []
        with aws_errors("FilterLogEvents of reconcile's log"):
            for page in pages.paginate(
                logGroupName=self._stack.find("ReconcileLogGroup"),
                startTime=math.floor(1000 * (self._clock() - looked_back)),
                filterPattern=RUN_ENDED,
            ):
                lines += page["events"]
        runs = {
            each["timestamp"] / 1000: troubles for each in lines if (troubles := _troubles(each["message"])) is not None
        }
        return LastRun(max(runs), looked_back, runs[max(runs)]) if runs else LastRun(None, looked_back)


def _troubles(line: str) -> int | None:
    """How many problems a run's metrics count; None for a line that is not the metrics of a run."""
    try:
        counted = json.loads(line)
    except ValueError:
        return None
    if not isinstance(counted, dict) or "ReconcileRuns" not in counted:
        return None
    return sum(int(_number(counted.get(each, 0))) for each in TROUBLES)


def _number(value: Any) -> float:
    """A metric as the embedded format has it: a number, or a list of those that were counted."""
    return float(sum(value) if isinstance(value, list) else value)


def _moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)
