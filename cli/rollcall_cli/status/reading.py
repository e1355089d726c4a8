"""The status of a stack, read from AWS and Tower. Nothing is changed, and nothing is remembered for the next time.

What Tower does not say leaves what AWS alone shows, with what is missing and the remedy.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from rollcall.aws.client import AWS_CALLS_AT_ONCE
from rollcall.domain.errors import AwsDenied, AwsRejected, RollcallError
from rollcall.evidence.job_reader import JobEvidence
from rollcall.http.transport import DEADLINE_MARGIN
from rollcall_cli.running import NotRun, in_words
from rollcall_cli.stack import BAKE_MACHINE, CYCLE_MACHINE
from rollcall_cli.tower import remedy_of

from .cycles import seen_pin
from .group_work import mixed_versions, next_due
from .held_groups import read_held_groups
from .waits_reader import WaitsReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Executor, Future

    from rollcall.alerting.incident import Incident
    from rollcall.aws.fleet import Fleet
    from rollcall.aws.tagged_groups import RunningGroup
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower
    from rollcall_cli.stack_parts import StackParts

    from .bakes import RunningBake
    from .cycles import RunningCycle, SeenPin
    from .group_work import LastEnd, MixedVersions, NextDue
    from .held_groups import ReadGroups
    from .surroundings import LastRun, SeenAlarm, SeenQueue, Surroundings
    from .waits import Wait

NEEDED = (
    "autoscaling:DescribeAutoScalingGroups, autoscaling:DescribeLifecycleHooks, "
    "autoscaling:DescribeScalingActivities, autoscaling:DescribeWarmPool and ec2:DescribeInstances"
)
TO_READ_RUNS = "states:ListExecutions, states:DescribeExecution and states:GetExecutionHistory of its "
TOWER_TIME = 60.0  # seconds in which a Tower that does not answer is given up


class Gap(NamedTuple):
    """What could not be read: what it is, why, and the remedy."""

    what: str
    why: str
    remedy: str


class Status(NamedTuple):
    """What there is to show. at: when it was read, in epoch seconds. groups: the names of those that were read.

    in_emergency: the names of those for which an operator suspended what Rollcall promises.

    queues, alarms, last_run: None where they could not be read; incidents too, and where no alert function is deployed
    (has_alert); cycles and bakes too, and where the stack has none. pins, ends, due, mixed: of the groups that were
    read.
    """

    stack: str
    region: str
    at: float
    groups: tuple[str, ...]
    waits: tuple[Wait, ...]
    queues: tuple[SeenQueue, ...] | None = None
    alarms: tuple[SeenAlarm, ...] | None = None
    incidents: tuple[Incident, ...] | None = None
    has_alert: bool = False
    last_run: LastRun | None = None
    gaps: tuple[Gap, ...] = ()
    in_emergency: tuple[str, ...] = ()
    cycles: tuple[RunningCycle, ...] | None = None
    pins: tuple[SeenPin, ...] = ()
    bakes: tuple[RunningBake, ...] | None = None
    ends: tuple[LastEnd, ...] = ()
    due: tuple[NextDue, ...] = ()
    mixed: tuple[MixedVersions, ...] = ()


class StatusReader:
    """Reads a stack's status as often as it is wanted. clock(): this machine's, in epoch seconds."""

    def __init__(
        self,
        stack: StackParts,
        fleet: Fleet,
        tower: Tower,
        surroundings: Surroundings,
        clock: Callable[[], float] = time.time,
        evidence: Callable[[Tower], Evidence] = JobEvidence,
    ) -> None:
        self._stack = stack
        self._fleet = fleet
        self._tower = tower
        self._surroundings = surroundings
        self._clock = clock
        self._waits = WaitsReader(stack, fleet, tower, evidence, clock)
        self._gaps: list[Gap] = []

    def read(self, names: Collection[str], report: Callable[[str], None]) -> Status:
        """The status now. names: of the groups to read, none for all. report: gets what is under way, in words.

        Raises NotRun where Auto Scaling cannot be read, or a name is of no group that opted in.
        """
        self._gaps = []
        at = self._clock()
        with ThreadPoolExecutor(AWS_CALLS_AT_ONCE) as pool:
            around = self._surroundings
            alarms, incidents = pool.submit(around.alarms), pool.submit(around.incidents)
            queues, last_run = pool.submit(around.queues), pool.submit(around.last_run)
            cycles, bakes = pool.submit(around.cycles), pool.submit(around.bakes)
            versions = pool.submit(around.running_groups)
            report("reading Auto Scaling")
            groups = self._groups(names, at, pool)
            ends = pool.submit(around.ends, groups.names)
            report("reading Tower")
            waits = self._waits.read(groups.held, at, has_tower=self._is_tower_read())
            report("reading queues, alarms, cycles, bakes and the log of reconcile")
            running = self._found("which cycles run", cycles, f"{TO_READ_RUNS}cycles")
            baking = self._found("which bakes run", bakes, f"{TO_READ_RUNS}bakes")
            ended = self._found("how the last cycles and bakes ended", ends, f"{TO_READ_RUNS}cycles and bakes")
            at_work = {each.group for each in running or ()} | {each.group for each in baking or ()}
            work = self._work(versions, groups.names, at_work, at)
            return Status(
                self._stack.name,
                self._stack.region,
                at,
                groups.names,
                waits,
                self._queues(queues, pool),
                self._found("which alarms sound", alarms, "cloudwatch:DescribeAlarms"),
                self._found("which incidents are open", incidents, "dynamodb:Scan of the stack's ToldTable"),
                bool(self._stack.find("AlertFunction")),
                self._found("when reconcile last ran", last_run, "logs:FilterLogEvents of its log group"),
                tuple(self._gaps),
                groups.in_emergency,
                _of_groups(running, names),
                self._pins(groups, running),
                _of_groups(baking, names),
                ended or (),
                *work,
            )

    def _work(
        self, versions: Future[list[RunningGroup]], names: Collection[str], at_work: Collection[str], now: float
    ) -> tuple[tuple[NextDue, ...], tuple[MixedVersions, ...]]:
        """What is due next of these groups, and which run several versions."""
        read = self._found("which versions instances run", versions, "autoscaling:DescribeAutoScalingGroups") or []
        own = [each for each in read if each.group.name in names]
        machines = {"cycles": bool(self._stack.find(CYCLE_MACHINE)), "bakes": bool(self._stack.find(BAKE_MACHINE))}
        due = next_due([each.group for each in own], now, **machines)
        return tuple(due), tuple(mixed_versions(own, at_work))

    def _pins(self, groups: ReadGroups, running: tuple[RunningCycle, ...] | None) -> tuple[SeenPin, ...]:
        has_cycles = bool(self._stack.find(CYCLE_MACHINE))
        return tuple(seen_pin(name, value, running, has_cycles=has_cycles) for name, value in groups.pins.items())

    def _found[T](self, what: str, future: Future[T], permission: str) -> T | None:
        try:
            return future.result()
        except RollcallError as error:
            self._gaps.append(Gap(what, str(error), _remedy(error, permission)))
            return None

    def _queues(self, future: Future[tuple[SeenQueue, ...]], pool: Executor) -> tuple[SeenQueue, ...] | None:
        queues = self._found("how many messages wait", future, "sqs:GetQueueAttributes of the stack's queues")
        if queues is None:
            return None
        aged = pool.submit(self._surroundings.with_ages, queues)
        return self._found("how old the oldest messages are", aged, "cloudwatch:GetMetricData") or queues

    def _groups(self, names: Collection[str], now: float, pool: Executor) -> ReadGroups:
        try:
            return read_held_groups(self._fleet, self._stack, names, now, pool)
        except RollcallError as error:
            raise NotRun(f"Auto Scaling cannot be read: {in_words(error, NEEDED)}") from error

    def _is_tower_read(self) -> bool:
        """Whether Tower answers whose token it is: without that nothing else is asked of it."""
        self._tower.finish_within(TOWER_TIME + DEADLINE_MARGIN)
        try:
            self._tower.user()
        except RollcallError as error:
            self._gaps.append(Gap("what Tower knows of the instances that wait", str(error), remedy_of(error)))
            return False
        return True


def _of_groups[R: (RunningCycle, RunningBake)](
    running: tuple[R, ...] | None, names: Collection[str]
) -> tuple[R, ...] | None:
    """Those of the groups that were named, or all."""
    return None if running is None else tuple(each for each in running if not names or each.group in names)


def _remedy(error: RollcallError, permission: str) -> str:
    match error:
        case AwsDenied():
            return f"let your credentials {permission}"
        case AwsRejected():
            return "rollcall doctor says what of the stack is missing"
    return "try again"
