"""What would make a cycle of a group fail, or keep it from beginning: its own settings, pins, refreshes. Pure.

Doctor finds it for groups with the tag rollcall:cycle in a stack that has cycles; pre-flight objects to it (cycle/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.checks.load_balancers import ELB_CHECK
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.findings import Finding, Severity, warns, without_group
from rollcall.domain.objections import Objection
from rollcall.domain.settings import CYCLE_TAG, GATE_TAG, OPT_IN_TAG, PINNED_TAG
from rollcall.domain.shell_commands import command, options, set_tag_command

from .unread_findings import listed, unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails
    from rollcall.aws.instance_refreshes import Refresh
    from rollcall.domain.settings import Settings

    from .observations import CycleDefaults, Observations, ObservedCycle, ObservedGroup

# What an instance refresh cannot do without, or goes on blindly without (user guide, "Suspend and resume processes").
NEEDED_PROCESSES = {
    "Launch": "no new instance is launched",
    "Terminate": "no old instance is terminated",
    "AddToLoadBalancer": "new instances are not registered with its load balancers",
    "HealthCheck": "a new instance that fails its health checks counts as healthy",
    "InstanceRefresh": "no instance is replaced",
}
STANDBY = "Standby"
PENDING_TOO_LONG = 3600  # seconds that a refresh may be Pending, which takes moments
REFRESH_MAX = 14 * 86_400  # seconds; AWS ends one that takes longer (user guide, "Instance refresh")


# What pre-flight objects to, too


def suspension_objections(details: GroupDetails) -> Iterator[Objection]:
    """Processes that are suspended and that a cycle needs."""
    for process, harm in NEEDED_PROCESSES.items():
        if process in details.suspended:
            resume = _group_command("resume-processes", details, "--scaling-processes", process)
            yield Objection(
                f"{process} suspended", f"its process {process} is suspended: {harm}", f"resume it: {resume}"
            )


def health_check_objections(details: GroupDetails, *, asks_elb: bool) -> Iterator[Objection]:
    """Nothing that waits until a new instance is healthy in the group's target groups."""
    kinds = {each.strip() for each in details.health_check_type.split(",")}
    if details.group.target_groups and not asks_elb and "ELB" not in kinds:
        yield Objection(
            "health check type",
            f"its health check type is {details.health_check_type or 'EC2'}, and its gate has no check {ELB_CHECK}: "
            "old instances would go before new ones are healthy in its target groups",
            f"add {ELB_CHECK} to the tag {GATE_TAG}, or let load balancers have a say: "
            f"{_group_command('update-auto-scaling-group', details, '--health-check-type', 'ELB')}",
        )


def protection_objections(details: GroupDetails) -> Iterator[Objection]:
    """Instances that are protected from scale-in, where a cycle is to refuse these."""
    if found := protected_in(details):
        unprotect = _group_command(
            "set-instance-protection", details, "--no-protected-from-scale-in", "--instance-ids", *found
        )
        yield Objection(
            "protected instances",
            f"protected from scale-in: {listed(found)}",
            f"cycle with protected=refresh, ignore or wait (input, or tag {CYCLE_TAG}), or take that away: {unprotect}",
        )


def standby_objections(details: GroupDetails) -> Iterator[Objection]:
    """Instances in Standby, where a cycle is to refuse these."""
    if found := standby_in(details):
        back = _group_command("exit-standby", details, "--instance-ids", *found)
        yield Objection(
            "instances in Standby",
            f"in Standby: {listed(found)}",
            f"cycle with standby=terminate, ignore or wait (input, or tag {CYCLE_TAG}), or return them: {back}",
        )


def weight_objections(details: GroupDetails) -> Iterator[Objection]:
    """Instances that count for as much as the whole group: AWS may replace all of these at once (user guide)."""
    weight = details.largest_weight
    if weight > 1 and weight >= details.desired > 0:
        yield Objection(
            "weights",
            f"one instance may count for {weight} units, and the desired capacity is {details.desired}: AWS may "
            "replace all instances at once",
            "raise the desired capacity above the largest weight, or take the weights away",
        )


def protected_in(details: GroupDetails) -> list[str]:
    """The instances of a group that are protected from scale-in."""
    return sorted(each.instance_id for each in details.members if each.protected)


def standby_in(details: GroupDetails) -> list[str]:
    """The instances of a group that are in Standby."""
    return sorted(each.instance_id for each in details.members if each.state == STANDBY)


def _group_command(action: str, details: GroupDetails, *words: str) -> str:
    named = options("--auto-scaling-group-name", [details.group.name])
    return command("aws", "autoscaling", action, *named, *words)


# Findings


def cycle_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with groups that are to be cycled, and what could not be read of them."""
    if not here.cycles or isinstance(observed.groups, RollcallError):
        return
    yield from _unread(observed)
    opted_in = {each.name: each.settings for each in observed.opted_in}
    for name, cycle in observed.cycles.items():
        group = observed.groups[name]
        yield from _left_behind(group, cycle, observed.at)
        if isinstance(cycle.defaults, BadSettings):
            yield _unreadable(group, cycle.defaults)
        elif cycle.defaults is not None and not isinstance(cycle.defaults, RollcallError):
            if not cycle.defaults.forbidden and OPT_IN_TAG not in group.group.tags:
                yield _not_opted_in(group)
            elif not cycle.defaults.forbidden:
                asks_elb = name in opted_in and opted_in[name].asks(ELB_CHECK)
                yield from _of_group(group, cycle.defaults, asks_elb=asks_elb)


def _unread(observed: Observations) -> Iterator[Finding]:
    refreshes = {name: each.refresh for name, each in observed.cycles.items()}
    yield from unread("instance refreshes", refreshes, Severity.WARNING)
    pins = {name: each.pin_runs for name, each in observed.cycles.items()}
    yield from unread("executions of cycles", pins, Severity.WARNING)


def _unreadable(group: ObservedGroup, error: BadSettings) -> Finding:
    return warns(
        f"group {group.name}",
        f"tag {CYCLE_TAG}",
        f"no cycle of it begins: {without_group(group.name, str(error))}",
        f"set it to one of the allowed values, as VALUE: {set_tag_command(group.name, CYCLE_TAG, 'VALUE')}",
    )


def _not_opted_in(group: ObservedGroup) -> Finding:
    return warns(
        f"group {group.name}",
        "cycle without the tag",
        f"it has the tag {CYCLE_TAG} and not the tag {OPT_IN_TAG}: no cycle of it begins",
        f"let it opt in, or take the tag {CYCLE_TAG} away",
    )


def _of_group(group: ObservedGroup, defaults: CycleDefaults, *, asks_elb: bool) -> Iterator[Finding]:
    details = group.details
    if details is None:
        return
    found = [
        *suspension_objections(details),
        *health_check_objections(details, asks_elb=asks_elb),
        *(protection_objections(details) if defaults.refuses_protected else ()),
        *(standby_objections(details) if defaults.refuses_standby else ()),
        *weight_objections(details),
    ]
    for each in found:
        yield warns(f"group {group.name}", each.what, f"no cycle of it begins: {each.reason}", each.remedy)


def _left_behind(group: ObservedGroup, cycle: ObservedCycle, now: float) -> Iterator[Finding]:
    """A pin whose cycle is over, and a refresh that does not go on."""
    if cycle.pin_runs is False:
        yield warns(
            f"group {group.name}",
            "pin left behind",
            f"tag {PINNED_TAG} is {group.group.tags.get(PINNED_TAG, '')!r}, and that cycle does not run any more: the "
            "group is on a number, and was on an alias of its launch template",
            "the next run of reconcile puts it back; if the tag stays, set the group's version by hand and remove it",
        )
    if cycle.refresh is not None and not isinstance(cycle.refresh, RollcallError):
        yield from _stuck(group, cycle.refresh, now)


def _stuck(group: ObservedGroup, refresh: Refresh, now: float) -> Iterator[Finding]:
    seconds = 0.0 if refresh.began is None else now - refresh.began
    if seconds > (PENDING_TOO_LONG if refresh.status == "Pending" else REFRESH_MAX):
        cancel = command(
            *("aws", "autoscaling", "cancel-instance-refresh"), *options("--auto-scaling-group-name", [group.name])
        )
        yield warns(
            f"group {group.name}",
            "instance refresh stuck",
            f"instance refresh {refresh.id} is {refresh.status} since {seconds / 3600:,.0f} h, and no other one begins "
            f"before it ends{_said(refresh.reason)}",
            f"cancel it: {cancel}",
        )


def _said(reason: str) -> str:
    return f". AWS says: {reason}" if reason else ""
