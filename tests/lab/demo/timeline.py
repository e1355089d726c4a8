"""The timeline of what the embedded AWS and the embedded Tower recorded: nothing here comes from Rollcall's own words.

But for one thing: that reconcile, and no event, found an instance is what its runs answered.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from lab.demo.sights import result_of
from lab.tower.embedded import OPERATOR
from rollcall.domain.empty_mapping import EMPTY_MAPPING
from rollcall_cli.timeline.instances import InstanceRecord, Run
from rollcall_cli.timeline.json_format import written
from rollcall_cli.timeline.timeline import requirements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lab.aws.embedded import Timeout, Transition
    from lab.cloud import Cloud
    from lab.cloud import Run as ReconcileRun
    from lab.tower.embedded import HostLife, JobRecord
    from rollcall_cli.timeline.json_format import Json
    from rollcall_cli.timeline.timeline import Mark

INSTEAD_OF_EVENTS = ("added", "removed", "requeued")  # what reconcile does where no event came


def read_records(
    cloud: Cloud, marks: Iterable[Mark] = (), *, without: Collection[str] = (), until: float | None = None
) -> Json:
    """What was recorded, as `rollcall history --json` gives it of a real stack.

    without: groups to leave out. until: when the record is to end (epoch seconds), at which nothing may have been under
    way; now if it is not given.
    """
    now = time.time() if until is None else until
    records = recorded(
        (each for each in cloud.aws.transitions() if each.group not in without and each.time < now),
        cloud.aws.timeouts(),
        cloud.tower.host_lives(),
        cloud.tower.jobs_ever(),
        reconciled(cloud.runs),
    )
    asks = {
        group["AutoScalingGroupName"]: requirements({tag["Key"]: tag["Value"] for tag in group["Tags"]})
        for group in cloud.opted_in()
        if group["AutoScalingGroupName"] not in without
    }
    return written(records, asks, now, [each for each in marks if each.time < now])


def reconciled(runs: Iterable[ReconcileRun]) -> Mapping[str, list[float]]:
    """When these runs did what an event should have brought about, by instance, as they answered; epoch seconds."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for run in runs:
        for step in (run.answer or {}).get("steps", ()):
            if step["step"].startswith(INSTEAD_OF_EVENTS):
                found[step["instance_id"]].append(run.began)
    return found


def recorded(
    transitions: Iterable[Transition],
    timeouts: Iterable[Timeout],
    lives: Iterable[HostLife],
    jobs: Iterable[JobRecord],
    found: Mapping[str, Iterable[float]] = EMPTY_MAPPING,
) -> Iterator[InstanceRecord]:
    """A record of each instance. found: when reconcile found it, by instance."""
    entered: defaultdict[str, list[Transition]] = defaultdict(list)
    for transition in transitions:
        entered[transition.instance_id].append(transition)
    late = {timeout.instance_id for timeout in timeouts}
    hosts = _hosts_of(lives)
    runs = _runs_of(jobs)
    for name, own in entered.items():
        yield InstanceRecord(
            group=own[0].group,
            instance_id=name,
            address=own[0].address,
            states=[(each.time, each.state) for each in own],
            runs=tuple(runs.get(name, ())),
            registered=min(
                (_registered(life) for life in hosts.get(name, ()) if life.joined is not None), default=None
            ),
            removed=_removed(hosts.get(name, ())),
            timed_out=name in late,
            reconciled=tuple(found.get(name, ())),
        )


def _hosts_of(lives: Iterable[HostLife]) -> Mapping[str, list[HostLife]]:
    """The hosts that are or were Rollcall's, by instance."""
    hosts: defaultdict[str, list[HostLife]] = defaultdict(list)
    for life in lives:
        if life.group or any(period.group for period in life.periods):
            hosts[life.instance_id or life.name].append(life)
    return hosts


def _runs_of(jobs: Iterable[JobRecord]) -> Mapping[str, list[Run]]:
    """The jobs of each instance, but for an operator's."""
    runs: defaultdict[str, list[Run]] = defaultdict(list)
    for job in jobs:
        if job.launched_by != OPERATOR:
            for name in filter(None, job.limit.split(",")):
                runs[name].append(Run(job.id, job.started, job.finished, result_of(name, job)))
    return runs


def _registered(life: HostLife) -> float:
    """When a host first had Rollcall's marker and a group."""
    marked = next((period.begun for period in life.periods if period.group), life.created)
    return max(marked, life.joined or 0.0)


def _removed(hosts: Sequence[HostLife]) -> float | None:
    """When the last of these was removed; None while one is there."""
    removed = [life.removed for life in hosts]
    return max((each for each in removed if each), default=None) if all(removed) else None
