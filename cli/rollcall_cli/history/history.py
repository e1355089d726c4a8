"""The history of a real stack: what Auto Scaling, Tower and the functions' logs know of instances, put together.

Each source has its own share. Auto Scaling says when an instance was launched, in service, and terminated. The logs say
when it was registered and removed, and when the gate let it go. Tower says when its jobs ran, and what they showed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.aws.fleet import Fleet
from rollcall.domain.settings import OPT_IN_TAG
from rollcall_cli.running import NotRun
from rollcall_cli.stack import described, not_rollcalls
from rollcall_cli.timeline.instances import InstanceRecord
from rollcall_cli.timeline.timeline import requirements
from rollcall_cli.tower import tower_of

from .activities import Activities, states_of
from .log_lines import Logs
from .tower_records import read_tower
from .workflow_marks import read_marks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rollcall.domain.inventories import Host
    from rollcall_cli.timeline.instances import Run
    from rollcall_cli.timeline.timeline import Mark, Requirements

    from .activities import Activity
    from .log_lines import Found, LogLine
    from .tower_records import TowerRecords

type Progress = Callable[[str], None]

INSTANCE_ID = re.compile("i-[0-9a-f]{8}([0-9a-f]{9})?")
DAY = 86400.0
BEFORE = 60.0  # seconds before the first launch from which on logs are read: clocks differ
AFTER = 3600.0  # seconds after the end of a single instance up to which logs are read: reconcile may come late


@dataclass(frozen=True)
class Wanted:
    """Whose history: an instance's, a group's, or that of all groups with rollcall:inventory.

    group: of an instance, where AWS is not to be searched for it. since: epoch seconds.
    """

    since: float
    group: str | None = None
    instance_id: str | None = None


@dataclass(frozen=True)
class History:
    """What is known. asks: what each group asks for. gaps: what could not be read, in sentences. now: epoch seconds.

    marks: the cycles and bakes of these groups.
    """

    records: tuple[InstanceRecord, ...]
    asks: Mapping[str, Requirements]
    gaps: tuple[str, ...]
    now: float
    marks: tuple[Mark, ...] = ()


def read_history(stack: str, region: str, wanted: Wanted, now: float, progress: Progress) -> History:
    """The history of what is wanted until now (epoch seconds).

    Raises NotRun where nothing is known of it, or the stack is not Rollcall's; RollcallError where Auto Scaling cannot
    be read, without which there is nothing to draw.
    """
    parameters, _ = described(stack)
    if "TowerUrl" not in parameters:
        raise not_rollcalls(stack)
    fleet = Fleet(region)
    activities = _read_activities(fleet, wanted, progress)
    if not activities:
        _require_known(fleet, wanted)
        return History((), {}, (), now)
    groups = {each.group for each in activities}
    tags = {name: group.tags for name, group in fleet.groups(groups).items()}
    members = _by(activities, lambda each: each.group)
    ids = {group: {each.instance_id for each in own} for group, own in members.items()}
    everyone = {each.instance_id for each in activities}
    first = min(each.began for each in activities)
    until = min(now, max(each.ended or now for each in activities) + AFTER) if wanted.instance_id else now
    logs = Logs(stack, progress).lines(groups, everyone, first - BEFORE, until)
    tower = read_tower(tower_of(parameters), ids, tags, _jobs_in(logs.lines), first, progress)
    workflows = read_marks(stack, groups, first, until)
    return History(
        records=tuple(_records(activities, logs, tower, wanted)),
        asks={name: requirements(own) for name, own in tags.items()},
        gaps=(
            *_gone(groups - tags.keys()),
            *_retention(parameters, first, now),
            *logs.gaps,
            *tower.gaps,
            *workflows.gaps,
        ),
        now=now,
        marks=workflows.marks,
    )


def _jobs_in(lines: Iterable[LogLine]) -> dict[int, set[str]]:
    """The instances that the logs name with a job, by the job's id."""
    named = _by((each for each in lines if each.job), lambda each: each.job or 0)
    return {job: {each.instance_id for each in own} for job, own in named.items()}


def _read_activities(fleet: Fleet, wanted: Wanted, progress: Progress) -> list[Activity]:
    """Those that are wanted. Raises NotRun where nothing is known of the instance."""
    activities = Activities(progress)
    if wanted.instance_id is None:
        groups = [wanted.group] if wanted.group else sorted(fleet.opted_in(OPT_IN_TAG, members=False))
        return [each for group in groups for each in activities.of_group(group, wanted.since)]
    known = fleet.memberships([wanted.instance_id]).get(wanted.instance_id)
    group = wanted.group or (known.group if known else activities.group_of(wanted.instance_id, wanted.since))
    if group is None:
        raise NotRun(
            f"AWS knows no activity about {wanted.instance_id}: check its id and --region; Auto Scaling keeps "
            f"activities for six weeks"
        )
    return activities.of_instance(wanted.instance_id, group, wanted.since)


def _require_known(fleet: Fleet, wanted: Wanted) -> None:
    """Raise NotRun for a group that is none: nothing was launched in what does not exist."""
    if wanted.group and not fleet.groups([wanted.group]):
        raise NotRun(
            f"AWS has no Auto Scaling group {wanted.group!r} in {fleet.region}, and no activity of one that was "
            "deleted: check its name, --region and --since"
        )


def _records(
    activities: Sequence[Activity], logs: Found, tower: TowerRecords, wanted: Wanted
) -> Iterable[InstanceRecord]:
    lines = _by(logs.lines, lambda each: each.instance_id)
    for instance_id, own in _by(activities, lambda each: each.instance_id).items():
        yield record(
            own,
            lines.get(instance_id, []),
            tower.hosts.get(instance_id, []),
            tower.runs.get(instance_id, ()),
            wanted.since,
        )


def record(
    activities: Sequence[Activity],
    lines: Sequence[LogLine],
    hosts: Sequence[Host],
    runs: tuple[Run, ...],
    since: float,
) -> InstanceRecord:
    """What these come to for one instance. since: from when on it was read, in epoch seconds.

    It was registered when the log says, but not later than its host was made, or its first job began: the line is
    written when both are done.
    """
    states = states_of(activities)
    is_launched = any(each.is_launch for each in activities)
    states += [(each.at, "Pending:Proceed") for each in lines if each.readies and is_launched]
    if not is_launched:
        states.append((min([since, *(time for time, _ in states)]), "InService"))
    registered = [each.at for each in lines if each.registers] + [each.created_at for each in hosts]
    registered += [run.started for run in runs if run.started is not None]
    removed = [each.at for each in lines if each.removes]
    return InstanceRecord(
        group=activities[0].group,
        instance_id=activities[0].instance_id,
        address=next((str(each.variables.get("ansible_host") or "") for each in hosts), ""),
        states=sorted(states, key=lambda state: state[0]),
        runs=runs,
        registered=min(registered, default=None),
        removed=None if hosts else max(removed, default=None),
        timed_out=any(each.timed_out for each in activities),
        reconciled=tuple(each.at for each in lines if each.reconciles),
        launched_before=not is_launched,
    )


def _gone(groups: Iterable[str]) -> list[str]:
    names = ", ".join(sorted(groups))
    return [f"AWS does not have {names} any more: what was asked for there is not known."] if names else []


def _retention(parameters: Mapping[str, str], since: float, now: float) -> list[str]:
    """A gap where logs of the time drawn are deleted already."""
    days = float(parameters.get("LogRetentionDays") or 0)
    if not days or since >= now - days * DAY:
        return []
    kept = "1 day" if days == 1 else f"{days:.0f} days"
    return [f"The functions' logs are kept for {kept}: registrations and removals before that are missing."]


def _by[T, K](items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    found: defaultdict[K, list[T]] = defaultdict(list)
    for each in items:
        found[key(each)].append(each)
    return dict(found)
