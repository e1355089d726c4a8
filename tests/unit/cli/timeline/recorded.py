"""Instances as they were recorded, for the tests of their timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollcall_cli.timeline.instances import InstanceRecord, InstanceTimeline, Run
from rollcall_cli.timeline.timeline import Mark, Timeline, requirements, timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

type States = Iterable[tuple[str, float]]

NOW = 200.0
TAGS = {"rollcall:inventory": "production", "rollcall:job-template": "provision"}
CHECKED = TAGS | {"rollcall:gate": "job tcp:22"}
SERVED = (("Pending", 100), ("Pending:Wait", 100.1), ("Pending:Proceed", 112), ("InService", 112.5))
ABANDONED = (("Pending", 100), ("Pending:Wait", 100.1), ("Terminating", 112), ("Terminating:Wait", 112.1))
ENDED = (("Terminating:Proceed", 116), ("Terminated", 117))
JOB = Run(1, 104, 110, "ok")


def job(result: str = "ok", number: int = 1, *, started: float | None = 104, ended: float | None = 110) -> Run:
    return Run(number, started, ended, result)


def record(states: States, name: str = "i-a", group: str = "web", **facts: Any) -> InstanceRecord:
    """An instance that entered these states at these times, registered at 102 unless said otherwise."""
    known = {"registered": 102.0} | facts
    return InstanceRecord(group, name, "10.0.0.1", [(time, state) for state, time in states], **known)


def shown(
    records: Iterable[InstanceRecord],
    tags: Mapping[str, Mapping[str, str]] | None = None,
    now: float = NOW,
    marks: Iterable[Mark] = (),
) -> Timeline:
    """The timeline of these. tags: by group; TAGS of group web unless they are given."""
    asks = {group: requirements(own) for group, own in ({"web": TAGS} if tags is None else tags).items()}
    return timeline(records, asks, now, marks)


def one(states: States, *runs: Run, tags: Mapping[str, str] = TAGS, **facts: Any) -> InstanceTimeline:
    """The timeline of the only instance."""
    (only,) = shown([record(states, runs=runs, **facts)], {"web": tags}).instances
    return only


def many(count: int, groups: int = 1, marks: Iterable[Mark] = (), name: str = "web") -> Timeline:
    """So many instances: every tenth fails, every seventh is unreachable at first, every eleventh terminates."""
    records = [_one_of_many(number, f"{name}-{number % groups}" if groups > 1 else name) for number in range(count)]
    return shown(records, {each.group: TAGS for each in records}, 1120, marks)


def _one_of_many(number: int, group: str) -> InstanceRecord:
    instance, began = f"i-{number:017x}", 1000 + number // 100 * 5
    states = [("Pending", began), ("Pending:Wait", began + 0.1)]
    runs = [Run(2 * number + 1, began + 5, began + 20, "ok")]
    if number % 10 == 3:
        runs = [Run(2 * number + 1, began + 5, began + 20, "failed")]
        states += [("Terminating", began + 22), ("Terminating:Wait", began + 22), ("Terminated", began + 30)]
    else:
        if number % 7 == 2:
            runs = [
                Run(2 * number + 1, began + 5, began + 20, "unreachable"),
                Run(2 * number + 2, began + 30, began + 45, "ok"),
            ]
        states += [("Pending:Proceed", began + 46 + number % 5), ("InService", began + 47 + number % 5)]
        if number % 11 == 0:
            states += [("Terminating:Wait", began + 69), ("Terminated", began + 74)]
    return record(
        states,
        instance,
        group,
        runs=tuple(runs),
        registered=began + 3,
        removed=None if number % 11 else began + 70,
    )
