"""The timelines of many instances, and what one sees in them: what is drawn. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING

from rollcall.domain.settings import GATE_TAG, JOB_TAG
from rollcall_cli.times import shortly

from .instances import FAILURES, Outcome, Stage, instance_timeline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from .instances import InstanceRecord, InstanceTimeline

FEW = 3  # instances that stand out for their time alone
MOST_NAMES = 3  # groups that a title names
JOB_CHECK = "job"
UNKNOWN = "what it asks for is not known"


@dataclass(frozen=True)
class Requirements:
    """What a group asks for before an instance serves. checks: beyond the job's result, as they stand in its tag."""

    template: str = ""
    checks: tuple[str, ...] = ()
    known: bool = True

    def __str__(self) -> str:
        if not self.known:
            return UNKNOWN
        beyond = ", ".join(self.checks)
        if not self.template:
            return f"no job; checks: {beyond}" if beyond else "no job, no checks: once registered, the gate lets it go"
        job = f"job {self.template}"
        return f"{job}, then checks: {beyond}" if beyond else f"{job}; no checks but the job's result"


NOT_KNOWN = Requirements(known=False)


def requirements(tags: Mapping[str, str]) -> Requirements:
    """What a group with these tags asks for."""
    template = tags.get(JOB_TAG, "").strip()
    checks = tags.get(GATE_TAG, "").split()
    return Requirements(template, tuple(check for check in checks if check != JOB_CHECK))


@dataclass(frozen=True)
class Mark:
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
    by group, what it asks for before an instance serves. gaps: what could not be read, and what is missing for that,
    in sentences.
    """

    began: float
    ended: float
    instances: tuple[InstanceTimeline, ...]
    marks: tuple[Mark, ...] = ()
    asks: Mapping[str, Requirements] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def groups(self) -> dict[str, tuple[InstanceTimeline, ...]]:
        """Its instances by group."""
        return {name: tuple(own) for name, own in groupby(self.instances, key=lambda each: each.group)}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those that an instance was in, in order."""
        found = {stretch.stage for each in self.instances for stretch in each.stretches}
        return tuple(stage for stage in Stage if stage in found)


def timeline(
    records: Iterable[InstanceRecord],
    asks: Mapping[str, Requirements],
    now: float,
    marks: Iterable[Mark] = (),
    gaps: Iterable[str] = (),
) -> Timeline:
    """The timeline of what was recorded until now (epoch seconds). asks: of each group that is there."""
    found = []
    for record in records:
        asked = asks.get(record.group, NOT_KNOWN)
        found.append(instance_timeline(record, now, asks_job=bool(asked.template), asks_checks=bool(asked.checks)))
    first: dict[str, float] = {}
    for each in found:
        first[each.group] = min(each.launched, first.get(each.group, math.inf))
    found.sort(
        key=lambda each: (
            *(first[each.group], each.group),
            *(each.launched, each.failed, each.waited_until, each.instance_id),
        )
    )
    return Timeline(
        began=min(first.values(), default=now),
        ended=max((each.stretches[-1].ended for each in found if each.stretches), default=now),
        instances=tuple(found),
        marks=tuple(marks),
        asks=dict(asks),
        gaps=tuple(gaps),
    )


def waits(instances: Collection[InstanceTimeline]) -> list[Wait]:
    """How long each stage took these instances, in order, and all together; none that no instance has behind it."""
    jobs = (Stage.JOB, Stage.BAD_JOB)
    took: dict[str, list[tuple[float | None, str]]] = {
        "registering": [(each.seconds(Stage.REGISTERING), each.instance_id) for each in instances if each.registered],
        "waiting for a job": [(each.seconds(Stage.WAITING), each.instance_id) for each in instances],
        "job": [(each.seconds(*jobs), each.instance_id) for each in instances],
        "gate": [(each.seconds(Stage.GATE), each.instance_id) for each in instances],
        "checks": [(each.seconds(Stage.CHECKS), each.instance_id) for each in instances],
        "launch to in service": [(each.to_service, each.instance_id) for each in instances],
        "leaving to removed": [(_to_removed(each), each.instance_id) for each in instances],
    }
    found = []
    for name, own in took.items():
        if known := sorted((seconds, instance_id) for seconds, instance_id in own if seconds is not None):
            times = [each for each, _ in known]
            most = times[math.ceil(0.95 * len(times)) - 1]
            found.append(Wait(name, len(known), median(times), most, times[-1], known[-1][1]))
    return found


def _to_removed(each: InstanceTimeline) -> float | None:
    if each.removed_at is None or each.leaving is None:
        return None
    return max(each.removed_at - each.leaving, 0.0)


def standing_out(instances: Collection[InstanceTimeline]) -> dict[str, list[InstanceTimeline]]:
    """The instances to look at first, by why, the worst first.

    Those that failed, those that wait still, those that no event came of, those that needed another job, and the
    slowest few of the rest, where half of all were twice as fast.
    """
    found = {each.value: [one for one in instances if one.outcome == each] for each in (*FAILURES, Outcome.WAITS)}
    found["found by reconcile"] = [each for each in instances if each.missed and not each.failed]
    served = sorted(
        (each for each in instances if each.to_service is not None), key=lambda each: -(each.to_service or 0)
    )
    found["needed another job"] = [each for each in served if each.tried_again and not each.failed]
    found["slowest"] = _slowest(served)
    return {why: own for why, own in found.items() if own}


def _slowest(served: Sequence[InstanceTimeline]) -> list[InstanceTimeline]:
    """The slowest few, where half of all were twice as fast. served: the slowest first."""
    usual = median(each.to_service or 0 for each in served) if served else 0.0
    slow = [each for each in served if (each.to_service or 0) > 2 * usual and not (each.tried_again or each.failed)]
    return slow[:FEW]


def title(shown: Timeline) -> str:
    """Whose timeline it is, and of when: the product, the groups, and the time in UTC."""
    names = list(shown.groups)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    groups = f"group{'s' if len(names) > 1 else ''} {', '.join(names[:MOST_NAMES])}{more}"
    return " · ".join(["Rollcall", *([groups] if names else []), _span(shown.began, shown.ended)])


def _span(began: float, ended: float) -> str:
    """A while in UTC, to the minute: "2026-11-30, 19:04 to 19:06 UTC"."""
    first, last = (datetime.fromtimestamp(each, UTC) for each in (began, ended))
    end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d, %H:%M}"
    return f"{first:%Y-%m-%d, %H:%M} UTC" if f"{first:%H:%M}" == end else f"{first:%Y-%m-%d, %H:%M} to {end} UTC"


def headline(shown: Timeline) -> str:
    """What one sees, in a sentence."""
    if not shown.instances:
        return "No instance was launched or terminated"
    return f"{counted(len(shown.instances), 'instance')} of {counted(len(shown.groups), 'group')}: " + outcomes(
        shown.instances
    )


def outcomes(instances: Iterable[InstanceTimeline]) -> str:
    """How many of these came to which outcome, in words."""
    counts = Counter(each.outcome for each in instances)
    return ", ".join(f"{counts[each]} {each.value}" for each in Outcome if counts[each])


def to_service(instances: Collection[InstanceTimeline]) -> str:
    """How long it took from launch to service, in words; nothing where none served."""
    took = [each.to_service for each in instances if each.to_service is not None]
    if not took:
        return ""
    least, most = shortly(min(took)), shortly(max(took))
    return (
        f"in service {least} after launch"
        if least == most
        else (f"in service {least} to {most} after launch, half of them within {shortly(median(took))}")
    )


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
