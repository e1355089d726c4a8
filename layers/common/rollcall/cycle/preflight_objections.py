"""Everything that speaks against beginning a cycle, each with its remedy. Pure.

All of it is found at once. What concerns doctor, too, is in doctor/cycle_findings.py, and what doctor finds of the
group that keeps instances from being launched as they should be is taken over.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollcall.aws.launch_surroundings import SUCCESSFUL
from rollcall.checks.load_balancers import ELB_CHECK
from rollcall.doctor.cycle_findings import (
    health_check_objections,
    protection_objections,
    standby_objections,
    suspension_objections,
    weight_objections,
)
from rollcall.doctor.unread_findings import listed
from rollcall.domain.errors import BadSettings
from rollcall.domain.objections import Objection
from rollcall.domain.settings import CYCLE_TAG, OPT_IN_TAG, PINNED_TAG
from rollcall.domain.shell_commands import command, operand, options, set_tag_command

from .launch_objections import launch_objections
from .request import Protected, Standby
from .version_objections import version_objections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails

    from .preflight_input import PreflightInput
    from .version_plan import VersionPlan

ALARM_OK = "OK"


def objections_to(given: PreflightInput, details: GroupDetails, version: VersionPlan, size: int) -> Iterator[Objection]:
    """What speaks against it. version: what becomes of the version; size: of a batch."""
    yield from _permitted(given, details)
    yield from _active(given)
    yield from suspension_objections(details)
    asks_elb = given.settings is not None and given.settings.asks(ELB_CHECK)
    yield from health_check_objections(details, asks_elb=asks_elb)
    if given.request.protected == Protected.REFUSE:
        yield from protection_objections(details)
    if given.request.standby == Standby.REFUSE:
        yield from standby_objections(details)
    yield from weight_objections(details)
    yield from version_objections(given, details, version)
    yield from launch_objections(given, details, version, size)
    yield from _alarms(given)
    yield from _times(given, details)
    for each in (*given.hooks, *given.findings):
        yield Objection(each.what, each.reason, each.remedy)


# Whether it may be


def _permitted(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    name = details.group.name
    if OPT_IN_TAG not in details.group.tags:
        yield Objection(
            "not opted in",
            f"it has not the tag {OPT_IN_TAG}: nothing would wait until its new instances are provisioned",
            f"let it opt in: {command('rollcall', 'onboard', *operand(name))}",
        )
    if isinstance(given.tag, BadSettings):
        fixed = set_tag_command(name, CYCLE_TAG, "VALUE")
        yield Objection(f"tag {CYCLE_TAG}", str(given.tag), f"set it to what is allowed, as VALUE: {fixed}")
    elif given.tag is not None and given.tag.never:
        yield Objection(
            "forbidden", f"its tag {CYCLE_TAG} says never", f"take the word out of the tag {CYCLE_TAG}, if it may be"
        )
    if details.group.in_emergency:
        yield Objection(
            "in emergency",
            "it is in an emergency: its instances go into service whether or not their job ran well",
            f"once it is over: {command('rollcall', 'offboard', '--restore', *operand(name))}",
        )


def _active(given: PreflightInput) -> Iterator[Objection]:
    """Another refresh that goes on, a bake, or another cycle's pin."""
    if given.active:
        refresh, cycle = given.active
        whose = f"of cycle {cycle}" if cycle else "started outside of Rollcall"
        since = _moment(refresh.began)
        cancel = command(
            *("aws", "autoscaling", "cancel-instance-refresh"),
            *options("--auto-scaling-group-name", [given.request.group]),
        )
        yield Objection(
            "refresh active",
            f"instance refresh {refresh.id} ({whose}) is {refresh.status} since {since}; AWS allows one at a time",
            f"wait for cycle {cycle}, or cancel it: {_cycle_command(given, '--cancel')}"
            if cycle
            else f"wait for it, or cancel it: {cancel}",
        )
    if given.bakes:
        name = operand(given.request.group)
        yield Objection(
            "bake running",
            f"bake {listed(given.bakes)} of this group goes on",
            f"wait for it, or cancel it: {command('rollcall', 'bake', '--cancel', *name)}",
        )
    pin = given.details.group.tags.get(PINNED_TAG, "") if given.details else ""
    if pin and pin.rpartition(" ")[2] != given.execution:
        runs = bool(given.pin_runs)
        yield Objection(
            "pinned",
            f"cycle {pin.rpartition(' ')[2]} has pinned it to a number of its launch template"
            f"{'' if runs else ', and does not run any more'}",
            "wait for that cycle"
            if runs
            else "let reconcile put it back with its next run, or set the group's version and remove the tag "
            f"{PINNED_TAG}",
        )


def _cycle_command(given: PreflightInput, *words: str) -> str:
    return command("rollcall", "cycle", *words, *operand(given.request.group))


def _moment(seconds: float | None) -> str:
    return "now" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


# Alarms and times


def _alarms(given: PreflightInput) -> Iterator[Objection]:
    for name in given.request.alarms:
        state = given.alarms.get(name)
        if state is None:
            yield Objection(f"alarm {name}", f"there is no alarm {name!r}", "correct its name, or leave it out")
        elif state != ALARM_OK:
            yield Objection(
                f"alarm {name}",
                f"alarm {name!r} is in {state}, and AWS starts no refresh with it",
                "fix what it is about, or leave it out",
            )


def _times(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    """A warm-up that is too short where it is all that waits until a new instance serves."""
    settings = given.settings
    waits = settings is not None and (settings.asks(ELB_CHECK) if details.group.target_groups else bool(settings.gate))
    last = last_launch_seconds(given)
    if not waits and last is not None and details.warmup < last:
        yield Objection(
            "warm-up",
            f"its warm-up is {details.warmup:,} s, and its last instance took {last:,.0f} s from launch to service; no "
            "check of its gate waits until an instance serves",
            f"add {ELB_CHECK if details.group.target_groups else 'a check'} to its gate, or lengthen its default "
            "warm-up",
        )


def last_launch_seconds(given: PreflightInput) -> float | None:
    """How long the last launch took that went well, in seconds; None without one."""
    return next((each.seconds for each in given.activities if each.is_launch and each.status == SUCCESSFUL), None)
