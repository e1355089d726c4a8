"""An instance's timeline: which stage it was in when, out of what was recorded of it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from rollcall_cli.times import shortly

if TYPE_CHECKING:
    from collections.abc import Sequence

RESTING = ("EnteringStandby", "Standby", "Stopped", "Running", "Hibernated")  # the last three: in a warm pool
ENDED = ("Terminated", "Detached")
WARMED = "Warmed:"  # what the states of a warm pool begin with
OK = "ok"
LAUNCH_MISSED = "no event of its launch came in time: reconcile found it"
TERMINATION_MISSED = "no event of its termination came in time: reconcile found it"


class Stage(Enum):
    """What an instance is in, in the order in which it goes through them; and what each is, in words."""

    REGISTERING = "registering", "launched, and not yet a host in its groups in Tower"
    WAITING = (
        "waiting for a job",
        "registered, and its job does not run yet; or it was unreachable, and the next one is due",
    )
    JOB = "job", "the playbook runs, and is ok on this host"
    BAD_JOB = "job, not ok here", "the playbook fails on this host, or does not reach it"
    GATE = "gate", "the gate reads what the job showed, and answers the launch hook"
    CHECKS = "checks", "the gate runs the checks that the group asks for, and answers the launch hook once they pass"
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
    RESTS = "resting"
    WAITS = "still waiting"
    LEAVES = "leaving"
    LEFT = "terminated"
    DETACHED = "detached"
    ABANDONED = "abandoned"  # it began to leave without ever having served
    TIMED_OUT = "timed out"  # no answer came to one of its hooks


FAILURES = (Outcome.ABANDONED, Outcome.TIMED_OUT)


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
        return self.ended is not None and self.result != OK


@dataclass(frozen=True)
class InstanceRecord:
    """What was recorded of an instance. Times in epoch seconds.

    states: the lifecycle states that it entered, with the time of each, in order; at least one. launched_before: the
    first of these is not its launch, which is earlier than what was read. registered: when it became a host in its
    groups in Tower. removed: when its last host was removed there. timed_out: the timeout of a hook ended its wait.
    reconciled: when reconcile did what an event of it should have: removed or added its host, or sent a message.
    """

    group: str
    instance_id: str
    address: str
    states: Sequence[tuple[float, str]]
    runs: tuple[Run, ...] = ()
    registered: float | None = None
    removed: float | None = None
    timed_out: bool = False
    reconciled: tuple[float, ...] = ()
    launched_before: bool = False


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
    """An instance's moments, in epoch seconds and None until they come, and its stretches, without a gap.

    launched: where launched_before, the first that is known of it. registered: it was a host, with Rollcall's marker
    and in a group. released: CONTINUE, or its launch hook's timeout. served: in service for the first time. leaving: it
    began to terminate. removed_at: its last host was removed. launch_missed, termination_missed: no event of it had
    come, and reconcile found the instance.
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
    launch_missed: bool = False
    termination_missed: bool = False
    launched_before: bool = False

    @property
    def failed(self) -> bool:
        return self.outcome in FAILURES

    @property
    def missed(self) -> bool:
        """Whether reconcile found it, and no event of its launch, or of its termination, had come."""
        return self.launch_missed or self.termination_missed

    @property
    def tried_again(self) -> bool:
        """Whether a job was not ok on it, and another one came."""
        return any(run.bad for run in self.runs[:-1])

    @property
    def to_service(self) -> float | None:
        """Seconds from launch to service; None also where the launch was before what was read."""
        return None if self.served is None or self.launched_before else self.served - self.launched

    @property
    def waited_until(self) -> float:
        """Until when it waited to be let into service; infinite while it waits."""
        return self.released or self.leaving or math.inf

    def seconds(self, *stages: Stage) -> float | None:
        """Seconds in these stages until it was in service or began to leave; None while one lasts, or without any."""
        over = _until(self.served, self.leaving)
        own = [each for each in self.stretches if each.stage in stages and each.began < over]
        return None if not own or any(each.open for each in own) else sum(each.seconds for each in own)

    @property
    def facts(self) -> list[str]:
        """All of it, in a few words each, in the order in which it happened."""
        found = ["launched before"] if self.launched_before else []
        if self.registered is not None and not self.launched_before:
            found.append(f"registered after {shortly(self.registered - self.launched)}")
        if self.launch_missed:
            found.append(LAUNCH_MISSED)
        found += map(_run_in_words, self.runs)
        for stage in (Stage.GATE, Stage.CHECKS):
            seconds = self.seconds(stage)
            if seconds is not None:
                found.append(f"{stage.label} {shortly(seconds)}")
        if self.to_service is not None:
            found.append(f"in service after {shortly(self.to_service)}")
        if self.leaving is not None and self.removed_at is not None:
            later = self.removed_at - self.leaving
            when = f"{shortly(later)} after" if later >= 0.05 else "before"
            found.append(f"removed {when} it began to leave")
        if self.termination_missed:
            found.append(TERMINATION_MISSED)
        if self.outcome not in (Outcome.SERVES, Outcome.LEFT):
            found.append(self.outcome.value)
        return found

    def __str__(self) -> str:
        """All of it in a sentence."""
        return " · ".join(self.facts)


def _run_in_words(run: Run) -> str:
    if run.started is None or run.ended is None:
        return f"job {run.job} {run.result}"
    return f"job {run.job} {run.result}, {shortly(run.ended - run.started)}"


def instance_timeline(record: InstanceRecord, now: float, *, asks_job: bool, asks_checks: bool) -> InstanceTimeline:
    """The timeline of what was recorded of an instance until now (epoch seconds).

    asks_job, asks_checks: whether its group asks for a job, and for checks beyond that one's result.
    """
    states = [(time, state.removeprefix(WARMED)) for time, state in record.states]

    def when(*prefixes: str) -> float | None:
        return next((time for time, state in states if state.startswith(prefixes)), None)

    served, leaving, terminated = when("InService"), when("Terminating"), when("Terminated")
    return InstanceTimeline(
        group=record.group,
        instance_id=record.instance_id,
        address=record.address,
        launched=states[0][0],
        registered=record.registered,
        runs=record.runs,
        released=when("Pending:Proceed", "InService", *RESTING),
        served=served,
        leaving=leaving,
        removed_at=record.removed,
        terminated=terminated,
        outcome=Outcome.TIMED_OUT if record.timed_out else _outcome(states[-1][1], served, leaving, terminated),
        stretches=_Stages(record, states, asks_job=asks_job, asks_checks=asks_checks).stretches(now),
        launch_missed=any(each < _until(served, leaving) for each in record.reconciled),
        termination_missed=any(leaving is not None and each >= leaving for each in record.reconciled),
        launched_before=record.launched_before,
    )


def _until(served: float | None, leaving: float | None) -> float:
    """Until when it was launching; infinite while it is."""
    return min(each for each in (served, leaving, math.inf) if each is not None)


def _outcome(state: str, served: float | None, leaving: float | None, terminated: float | None) -> Outcome:
    if state == "Detached":
        return Outcome.DETACHED
    if leaving is not None and served is None:
        return Outcome.ABANDONED
    if leaving is not None:
        return Outcome.LEAVES if terminated is None else Outcome.LEFT
    if state in RESTING:
        return Outcome.RESTS
    return Outcome.WAITS if served is None else Outcome.SERVES


class _Stages:
    """The stage of an instance at each moment. states: as recorded, and those of a warm pool like the others."""

    def __init__(
        self, record: InstanceRecord, states: Sequence[tuple[float, str]], *, asks_job: bool, asks_checks: bool
    ) -> None:
        self._states = states
        self._registered = record.registered
        self._runs = record.runs
        self._asks_job = asks_job
        self._decides = Stage.CHECKS if asks_checks else Stage.GATE
        self._served = next((time for time, state in states if state == "InService"), math.inf)
        leaving = next((time for time, state in states if state.startswith("Terminating")), math.inf)
        self._over = min(self._served, leaving)

    def stretches(self, now: float) -> tuple[Stretch, ...]:
        """From the launch to the end, or to now."""
        launched, (last, state) = self._states[0][0], self._states[-1]
        gone = state in ENDED
        end = last if gone else max(now, last)
        known = [time for run in self._runs for time in (run.started, run.ended) if time is not None]
        known += [time for time, _ in self._states] + ([] if self._registered is None else [self._registered])
        moments = [launched, *sorted({time for time in known if launched < time < end}), end]
        pieces = [(*self._at(began), began, ended) for began, ended in pairwise(moments)]
        found = []
        for (stage, run), own in groupby(pieces, key=lambda piece: piece[:2]):
            parts = list(own)
            lasts = parts[-1][3] == end and not gone
            found.append(Stretch(stage, parts[0][2], parts[-1][3], run, open=lasts))
        return tuple(found)

    def _at(self, time: float) -> tuple[Stage, Run | None]:
        """What it is in from this moment until the next."""
        if run := self._run_at(time):
            return Stage.BAD_JOB if run.bad else Stage.JOB, run
        state = [state for entered, state in self._states if entered <= time][-1]
        if state.startswith("Terminating"):
            return Stage.LEAVING, None
        if state in RESTING:
            return Stage.RESTING, None
        if state not in ("Pending", "Pending:Wait") or time >= self._served:
            return Stage.SERVICE, None
        if self._registered is None or time < self._registered:
            return Stage.REGISTERING, None
        return Stage.WAITING if self._is_job_due(time) else self._decides, None

    def _run_at(self, time: float) -> Run | None:
        """The job that is running on it."""
        for run in self._runs:
            if run.started is not None and run.started <= time and (run.ended is None or time < run.ended):
                return run
        return None

    def _is_job_due(self, time: float) -> bool:
        """Whether a job of it is still to begin."""
        if not self._runs:
            return self._asks_job
        return any(run.ended is None if run.started is None else time < run.started < self._over for run in self._runs)
