"""When each instance was launched, registered, provisioned, checked, and in service: the data of the timeline.

It is what the embedded AWS and the embedded Tower recorded; nothing here comes from Rollcall's own words. Pure, but for
what reads the records.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, pairwise
from statistics import median
from typing import TYPE_CHECKING

from lab.demo.sights import result_of
from lab.tower.embedded import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from lab.aws.embedded import Timeout, Transition
    from lab.cloud import Cloud
    from lab.tower.embedded import HostLife, JobRecord

RESTING = ("EnteringStandby", "Standby", "Stopped", "Running", "Hibernated")  # the last three: in a warm pool
FEW = 3  # instances that stand out for their time alone


class Stage(Enum):
    """What an instance is in, in the order in which it goes through them; and what each is, in words."""

    REGISTERING = "registering", "launched, and not yet a host in its groups in Tower"
    WAITING = (
        "waiting for a job",
        "registered, and its job does not run yet; or it was unreachable, and the next one is due",
    )
    JOB = "job", "the playbook runs, and is ok on this host"
    BAD_JOB = "job, not ok here", "the playbook fails on this host, or does not reach it"
    CHECKS = "checks", "the gate reads its job's result, runs the checks that its group asks for, and decides"
    SERVICE = "in service", "the launch hook is answered with CONTINUE"
    RESTING = "resting", "in Standby or in a warm pool"
    LEAVING = "leaving", "it terminates, once its hosts are removed from Tower"

    @property
    def label(self) -> str:
        return self.value[0]

    @property
    def words(self) -> str:
        return self.value[1]


class Outcome(Enum):
    """What became of an instance so far."""

    SERVES = "in service"
    RESTING = "resting"
    WAITS = "still waiting"
    LEAVES = "leaving"
    LEFT = "terminated"
    ABANDONED = "abandoned"  # it began to leave without ever having served
    TIMED_OUT = "timed out"  # one of its hooks was not answered


TROUBLED = (Outcome.ABANDONED, Outcome.TIMED_OUT)


@dataclass(frozen=True)
class Run:
    """A job that was limited to an instance, among others. Times in epoch seconds, None until it happens.

    result: ok, failed or unreachable, which is this host's own; without one the job's status, as running.
    """

    job: int
    started: float | None
    ended: float | None
    result: str

    @property
    def bad(self) -> bool:
        """Whether it is over without an ok of this host."""
        return self.ended is not None and self.result != "ok"


@dataclass(frozen=True)
class Stretch:
    """A while that an instance spent in one stage. Epoch seconds; run: of a job's stages.

    open: it lasted still when the records were read.
    """

    stage: Stage
    began: float
    ended: float
    run: Run | None = None
    open: bool = False

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class InstanceTimeline:
    """What became of an instance: its moments in epoch seconds, None until they come, and its stretches, without a gap.

    registered: it was a host, with Rollcall's marker and in a group. released: by CONTINUE, or by its launch hook's
    timeout. served: in service for the first time. leaving: it began to terminate. removed_at: its last host was.
    """

    group: str
    instance_id: str
    address: str
    launched: float
    registered: float | None
    runs: tuple[Run, ...]
    released: float | None
    served: float | None
    leaving: float | None
    removed_at: float | None
    terminated: float | None
    outcome: Outcome
    stretches: tuple[Stretch, ...]

    @property
    def troubled(self) -> bool:
        return self.outcome in TROUBLED

    @property
    def tried_again(self) -> bool:
        """Whether a job was not ok on it, and another one came."""
        return any(run.bad for run in self.runs[:-1])

    @property
    def to_service(self) -> float | None:
        """Seconds from launch to service."""
        return None if self.served is None else self.served - self.launched

    def seconds(self, *stages: Stage) -> float | None:
        """Seconds in these stages until it was in service or began to leave; None while one lasts, or without any."""
        over = min(each for each in (self.served, self.leaving, math.inf) if each is not None)
        own = [each for each in self.stretches if each.stage in stages and each.began < over]
        return None if not own or any(each.open for each in own) else sum(each.seconds for each in own)

    def __str__(self) -> str:
        """All of it in a sentence."""
        said = []
        if self.registered is not None:
            said.append(f"registered after {shortly(self.registered - self.launched)}")
        for run in self.runs:
            if run.started is None or run.ended is None:
                said.append(f"job {run.job} {run.result}")
            else:
                said.append(f"job {run.job} {run.result}, {shortly(run.ended - run.started)}")
        checks = self.seconds(Stage.CHECKS)
        if checks is not None:
            said.append(f"checks {shortly(checks)}")
        if self.to_service is not None:
            said.append(f"in service after {shortly(self.to_service)}")
        if self.leaving is not None and self.removed_at is not None:
            later = self.removed_at - self.leaving
            said.append(f"removed {shortly(later)} after" if later >= 0.05 else "removed before")
            said[-1] += " it began to leave"
        if self.outcome not in (Outcome.SERVES, Outcome.LEFT):
            said.append(self.outcome.value)
        return " · ".join(said)


@dataclass(frozen=True)
class Act:
    """Something that was begun at a moment (epoch seconds), and the number that it has."""

    time: float
    number: int
    name: str


@dataclass(frozen=True)
class Wait:
    """What instances waited for, how many have it behind them, and how many seconds it took them.

    most: 95 % took no longer. slowest: the instance that took longest.
    """

    name: str
    count: int
    median: float
    most: float
    longest: float
    slowest: str


@dataclass(frozen=True)
class Timeline:
    """All instances, those of a group together, the oldest first; groups in the order of their first launch.

    began: the first launch; ended: when the last one was terminated, or the records were read. Epoch seconds. asks:
    by group, what it asks for before an instance serves, in words.
    """

    began: float
    ended: float
    instances: tuple[InstanceTimeline, ...]
    acts: tuple[Act, ...]
    asks: Mapping[str, str]

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def groups(self) -> dict[str, tuple[InstanceTimeline, ...]]:
        """Its instances by group."""
        return {
            name: tuple(instances) for name, instances in groupby(self.instances, key=lambda instance: instance.group)
        }

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those that an instance was in, in order."""
        entered = {stretch.stage for instance in self.instances for stretch in instance.stretches}
        return tuple(stage for stage in Stage if stage in entered)


def read_timeline(cloud: Cloud, acts: Iterable[Act] = ()) -> Timeline:
    """The timeline of what was recorded until now."""
    groups = cloud.opted_in()
    return timeline(
        cloud.aws.transitions(),
        cloud.aws.timeouts(),
        cloud.tower.host_lives(),
        cloud.tower.jobs_ever(),
        {group["AutoScalingGroupName"]: {tag["Key"]: tag["Value"] for tag in group["Tags"]} for group in groups},
        time.time(),
        acts,
    )


def timeline(
    transitions: Iterable[Transition],
    timeouts: Iterable[Timeout],
    lives: Iterable[HostLife],
    jobs: Iterable[JobRecord],
    tags: Mapping[str, Mapping[str, str]],
    now: float,
    acts: Iterable[Act] = (),
) -> Timeline:
    """The timeline of what was recorded until now (epoch seconds). tags: of each group that is there, rollcall:KEY."""
    entered: defaultdict[str, list[Transition]] = defaultdict(list)
    for transition in transitions:
        entered[transition.instance_id].append(transition)
    late = {timeout.instance_id for timeout in timeouts}
    hosts = _hosts_of_rollcall(lives)
    runs = _runs_of_rollcall(jobs)
    asking = {group for group, own in tags.items() if own.get("rollcall:job-template")}
    instances = [
        _instance_timeline(
            own, hosts[name], tuple(runs[name]), now, timed_out=name in late, asks_job=own[0].group in asking
        )
        for name, own in entered.items()
    ]
    first: dict[str, float] = {}
    for each in instances:
        first[each.group] = min(each.launched, first.get(each.group, math.inf))
    instances.sort(key=lambda each: (each.launched, each.troubled, _waited(each), each.instance_id))
    instances.sort(key=lambda each: (first[each.group], each.group))
    return Timeline(
        began=min(first.values(), default=now),
        ended=max((instance.stretches[-1].ended for instance in instances if instance.stretches), default=now),
        instances=tuple(instances),
        acts=tuple(acts),
        asks={group: _asks(own) for group, own in tags.items()},
    )


def _hosts_of_rollcall(lives: Iterable[HostLife]) -> defaultdict[str, list[HostLife]]:
    """The hosts that are or were Rollcall's, by instance."""
    hosts: defaultdict[str, list[HostLife]] = defaultdict(list)
    for life in lives:
        if life.group or any(period.group for period in life.periods):
            hosts[life.instance_id or life.name].append(life)
    return hosts


def _runs_of_rollcall(jobs: Iterable[JobRecord]) -> defaultdict[str, list[Run]]:
    """The jobs that Rollcall launched, by instance."""
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for job in jobs:
        if job.launched_by != OPERATOR:
            for name in filter(None, job.limit.split(",")):
                runs[name].append(Run(job.id, job.started, job.finished, result_of(name, job)))
    return runs


def _instance_timeline(
    entered: Sequence[Transition],
    hosts: Sequence[HostLife],
    runs: tuple[Run, ...],
    now: float,
    *,
    timed_out: bool,
    asks_job: bool,
) -> InstanceTimeline:
    first = entered[0]
    registered = min((_registered(life) for life in hosts if life.joined is not None), default=None)
    states = tuple((each.time, each.state.removeprefix("Warmed:")) for each in entered)
    records = _Records(states, registered, runs, now, asks_job=asks_job)
    served, leaving, terminated = (records.first(state) for state in ("InService", "Terminating", "Terminated"))
    removed = [life.removed for life in hosts]
    return InstanceTimeline(
        group=first.group,
        instance_id=first.instance_id,
        address=first.address,
        launched=first.time,
        registered=registered,
        runs=runs,
        released=records.first("Pending:Proceed", "InService", *RESTING),
        served=served,
        leaving=leaving,
        removed_at=max((each for each in removed if each), default=None) if all(removed) else None,
        terminated=terminated,
        outcome=Outcome.TIMED_OUT if timed_out else _outcome(states[-1][1], served, leaving, terminated),
        stretches=records.stretches(),
    )


def _waited(instance: InstanceTimeline) -> float:
    """Until when it waited to be let into service."""
    return instance.released or instance.leaving or math.inf


def _registered(life: HostLife) -> float:
    """When a host first had Rollcall's marker and a group."""
    marked = next((period.begun for period in life.periods if period.group), life.created)
    return max(marked, life.joined or 0.0)


def _outcome(state: str, served: float | None, leaving: float | None, terminated: float | None) -> Outcome:
    if leaving is not None and served is None:
        return Outcome.ABANDONED
    if leaving is not None:
        return Outcome.LEAVES if terminated is None else Outcome.LEFT
    if state in RESTING:
        return Outcome.RESTING
    return Outcome.WAITS if served is None else Outcome.SERVES


@dataclass(frozen=True)
class _Records:
    """What was recorded of an instance until now. states: those entered, and when, in order. Epoch seconds."""

    states: tuple[tuple[float, str], ...]
    registered: float | None
    runs: tuple[Run, ...]
    now: float
    asks_job: bool

    def first(self, *prefixes: str) -> float | None:
        """When it first entered one of these states; None if it did not."""
        return next((time for time, state in self.states if state.startswith(prefixes)), None)

    def stretches(self) -> tuple[Stretch, ...]:
        """From the launch to the end, or to now."""
        pieces = [(*self._stage_at(began), began, ended) for began, ended in pairwise(self._moments())]
        found = []
        for (stage, run), own in groupby(pieces, key=lambda piece: piece[:2]):
            parts = list(own)
            lasts = parts[-1][3] == self._end and not self._gone
            found.append(Stretch(stage, parts[0][2], parts[-1][3], run, open=lasts))
        return tuple(found)

    @property
    def _gone(self) -> bool:
        return self.states[-1][1] == "Terminated"

    @property
    def _end(self) -> float:
        last = self.states[-1][0]
        return last if self._gone else max(self.now, last)

    def _moments(self) -> list[float]:
        """When its stage may have changed, with the launch and the end."""
        launched = self.states[0][0]
        known = [time for run in self.runs for time in (run.started, run.ended)]
        known += [self.registered, *(time for time, _ in self.states)]
        between = {time for time in known if time is not None and launched < time < self._end}
        return [launched, *sorted(between), self._end]

    def _stage_at(self, time: float) -> tuple[Stage, Run | None]:
        """What it is in from this moment until the next."""
        for run in self.runs:
            if run.started is not None and run.started <= time and (run.ended is None or time < run.ended):
                return Stage.BAD_JOB if run.bad else Stage.JOB, run
        return self._stage_without_job(time), None

    def _stage_without_job(self, time: float) -> Stage:
        state = [state for entered, state in self.states if entered <= time][-1]
        served = self.first("InService")
        if state.startswith("Terminating"):
            return Stage.LEAVING
        if state in RESTING:
            return Stage.RESTING
        if state not in ("Pending", "Pending:Wait") or (served is not None and time >= served):
            return Stage.SERVICE
        if self.registered is None or time < self.registered:
            return Stage.REGISTERING
        return Stage.WAITING if self._is_job_due(time) else Stage.CHECKS

    def _is_job_due(self, time: float) -> bool:
        """Whether a job is still to start before it serves or leaves."""
        if not self.runs:
            return self.asks_job
        moments = (self.first("InService"), self.first("Terminating"), self._end)
        over = min(each for each in moments if each is not None)
        return any(run.ended is None if run.started is None else time < run.started < over for run in self.runs)


def _asks(tags: Mapping[str, str]) -> str:
    """What a group asks for before an instance serves."""
    template = tags.get("rollcall:job-template", "")
    checks = tags.get("rollcall:gate", "job" if template else "").split()
    beyond = ", ".join(check for check in checks if check != "job")
    if not template:
        return f"no job; checks: {beyond}" if beyond else "no job, no checks: once registered, the gate lets it go"
    job = f"job {template}"
    return f"{job}, then checks: {beyond}" if beyond else f"{job}; no checks but the job's result"


def waits(instances: Collection[InstanceTimeline]) -> list[Wait]:
    """How long each stage took these instances, in order, and all together; none that no instance has behind it."""
    jobs = (Stage.JOB, Stage.BAD_JOB)
    took: dict[str, list[tuple[float | None, str]]] = {
        "registering": [
            (instance.seconds(Stage.REGISTERING), instance.instance_id) for instance in instances if instance.registered
        ],
        "waiting for a job": [(instance.seconds(Stage.WAITING), instance.instance_id) for instance in instances],
        "job": [(instance.seconds(*jobs), instance.instance_id) for instance in instances],
        "checks": [(instance.seconds(Stage.CHECKS), instance.instance_id) for instance in instances],
        "launch to in service": [(instance.to_service, instance.instance_id) for instance in instances],
        "leaving to removed": [
            (
                max(instance.removed_at - instance.leaving, 0.0) if instance.removed_at and instance.leaving else None,
                instance.instance_id,
            )
            for instance in instances
        ],
    }
    found = []
    for name, own in took.items():
        if known := sorted((seconds, instance_id) for seconds, instance_id in own if seconds is not None):
            seconds = [each for each, _ in known]
            most = seconds[math.ceil(0.95 * len(seconds)) - 1]
            found.append(Wait(name, len(known), median(seconds), most, seconds[-1], known[-1][1]))
    return found


def standing_out(instances: Collection[InstanceTimeline]) -> dict[str, list[InstanceTimeline]]:
    """The instances to look at first, by why, the worst first.

    Those that failed, those that wait still, those that needed another job, and the slowest few of the rest, where half
    of all were twice as fast.
    """
    found = {
        each.value: [instance for instance in instances if instance.outcome == each]
        for each in (*TROUBLED, Outcome.WAITS)
    }
    served = sorted(
        (instance for instance in instances if instance.to_service is not None),
        key=lambda instance: -(instance.to_service or 0),
    )
    found["needed another job"] = [instance for instance in served if instance.tried_again and not instance.troubled]
    usual = median(instance.to_service or 0 for instance in served) if served else 0.0
    slow = [
        instance
        for instance in served
        if (instance.to_service or 0) > 2 * usual and not (instance.tried_again or instance.troubled)
    ]
    found["slowest"] = slow[:FEW]
    return {why: own for why, own in found.items() if own}


def headline(shown: Timeline) -> str:
    """What one sees, in a sentence."""
    if not shown.instances:
        return "No instance was launched"
    counts = {each: sum(instance.outcome == each for instance in shown.instances) for each in Outcome}
    what = ", ".join(f"{count} {each.value}" for each, count in counts.items() if count)
    return f"{_counted(len(shown.instances), 'instance')} of {_counted(len(shown.groups), 'group')}: {what}"


def to_service(instances: Collection[InstanceTimeline]) -> str:
    """How long it took from launch to service, in words; nothing where none served."""
    took = [instance.to_service for instance in instances if instance.to_service is not None]
    if not took:
        return ""
    least, most = shortly(min(took)), shortly(max(took))
    return (
        f"in service {least} after launch"
        if least == most
        else (f"in service {least} to {most} after launch, half of them within {shortly(median(took))}")
    )


def shortly(seconds: float) -> str:
    """A length of time: "1.2 s", "34 s", "2 min 05 s", "1 h 02 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def ticks(seconds: float, most: int) -> list[float]:
    """Round moments from 0 on for an axis of this length, at most so many but two."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((each for each in steps if seconds / each <= most - 1), math.ceil(seconds / 86400 / most) * 86400)
    return [number * step for number in range(int(seconds // step) + 1)]


def moment(seconds: float, length: float) -> str:
    """A tick's label on an axis of this length: "30 s", or "1:30" where it is longer than two minutes."""
    if length <= 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if length < 7200 else f"{minutes // 60}:{minutes % 60:02d} h"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
