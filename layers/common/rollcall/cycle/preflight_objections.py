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
from rollcall.domain.groups import base_template
from rollcall.domain.objections import Objection
from rollcall.domain.settings import CYCLE_TAG, OPT_IN_TAG, PINNED_TAG
from rollcall.domain.shell_commands import command, operand, options, set_tag_command
from rollcall.workflow.group_versions import own_version

from .request import Protected, RollBack, Standby
from .version_plan import running_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.aws.group_details import GroupDetails

    from .preflight_input import PreflightInput
    from .version_plan import VersionPlan

HELD_STATE = "Pending:Wait"
ALARM_OK = "OK"
CALLERS_PERMISSIONS = "ec2:RunInstances, ec2:CreateTags or iam:PassRole"  # user guide, "Instance refresh", IAM


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
    yield from _versions(given, details, version)
    yield from _launches(given, details, version, size)
    yield from _alarms(given)
    yield from _times(given, details)
    for each in (*given.hooks, *given.findings):
        yield Objection(each.what, each.reason, each.remedy)


def no_group(name: str) -> Objection:
    """There is no such group."""
    return Objection(
        "no group",
        f"there is no Auto Scaling group {name!r} in this account and Region",
        "correct the name; write it as AWS does, upper and lower case",
    )


# Whether it may be


def _permitted(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    name = details.group.name
    if OPT_IN_TAG not in details.group.tags:
        yield Objection(
            "not opted in",
            f"it has not the tag {OPT_IN_TAG}: nothing would wait until its new instances are provisioned",
            f"let it opt in, with its inventory's name as INVENTORY: {set_tag_command(name, OPT_IN_TAG, 'INVENTORY')}",
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


# Versions


def _versions(given: PreflightInput, details: GroupDetails, version: VersionPlan) -> Iterator[Objection]:
    request, template = given.request, base_template(details.configuration)
    if not template:
        if request.launch_template_version is not None:
            yield Objection(
                "launch configuration",
                "it has a launch configuration and no launch template, so it has no versions",
                "cycle it without a version, or give it a launch template",
            )
    elif given.own is None or given.target is None:
        yield from _not_there(given, details)
        return
    if details.is_attribute_based and given.own is not None and given.target is not None:
        yield from _attribute_based(given)
    if request.rollback == RollBack.ON and not version.rolls_back:
        why = version.no_rollback or "no other version than the group's is sent"
        may_pin = version.alias and not version.pin and not request.pin
        yield Objection(
            "rollback impossible",
            f"AWS cannot roll it back: {why}",
            f"cycle with {'--pin, or with ' if may_pin else ''}--on-failure auto or cancel (in input and tags: "
            f"{'pin=true, ' if may_pin else ''}rollback=auto or false), so that what fails is cancelled instead",
        )
    yield from _pin(given, details, version)


def _not_there(given: PreflightInput, details: GroupDetails) -> Iterator[Objection]:
    template = base_template(details.configuration)
    named = template.get("LaunchTemplateName") or template.get("LaunchTemplateId")
    if given.own is None:
        yield Objection(
            "launch template",
            f"version {own_version(details)} of its launch template {named} is not there",
            "give the group a version that is there",
        )
    if given.target is None and given.request.launch_template_version is not None:
        yield Objection(
            "version",
            f"launch template {named} has no version {given.request.launch_template_version}",
            "name one that it has: "
            + command(
                *("aws", "ec2", "describe-launch-template-versions"),
                *(
                    ("--launch-template-id", str(template["LaunchTemplateId"]))
                    if template.get("LaunchTemplateId")
                    else ("--launch-template-name", str(named))
                ),
            ),
        )


def _attribute_based(given: PreflightInput) -> Iterator[Objection]:
    assert given.own is not None and given.target is not None  # noqa: S101, PT018 - the caller has looked
    if given.target.number != given.own.number or given.request.pin:
        yield Objection(
            "instance requirements",
            "AWS chooses its instance types by attributes (InstanceRequirements), and takes no desired configuration "
            "of such a group",
            "give the group the version first, then cycle it without one and without pin",
        )
    if given.request.skip_matching:
        yield Objection(
            "skip matching",
            "AWS chooses its instance types by attributes (InstanceRequirements), and skips no instances of such a "
            "group",
            "cycle with skip_matching=false",
        )


def _pin(given: PreflightInput, details: GroupDetails, version: VersionPlan) -> Iterator[Objection]:
    running = running_versions(details, version.template_id)
    if version.pin and len(running) > 1:
        yield Objection(
            "several versions",
            f"its instances run versions {', '.join(sorted(running))}: there is no one number to pin it to",
            "cycle it without pin, or first to the version that it is to have if that fails",
        )


# Launches


def _launches(given: PreflightInput, details: GroupDetails, version: VersionPlan, size: int) -> Iterator[Objection]:
    yield from _addresses(given, details, size)
    for of, refusal in given.trials:
        if refusal.is_denial and version.configuration is None:
            continue  # AWS checks the caller's permissions only with a desired configuration; a warning says it
        if refusal.is_denial:
            on = f" on {refusal.resource}" if refusal.resource else ""
            missing = f"{refusal.action}{on}" if refusal.action else CALLERS_PERMISSIONS
            yield Objection(
                f"permission {refusal.action or 'to launch'}",
                f"Rollcall may not launch {of}, which AWS checks of who starts a refresh: {missing} is missing. AWS "
                f"says: {refusal.words}",
                _permission_remedy(refusal.action, refusal.resource),
            )
        else:
            yield Objection(
                f"launch: {refusal.code}",
                f"EC2 would not launch {of}: {refusal.words}",
                "correct the launch template, or the group, as these words of AWS say",
            )
    if held := _held(given, details):
        yield Objection(
            "instances held",
            f"held by its launch hook for longer than the tag rollcall:timeout gives them: {listed(held)}. New ones "
            "would be, too",
            "see why, and fix it: " + command("rollcall", "status", *operand(details.group.name)),
        )


def _permission_remedy(action: str, resource: str) -> str:
    if action == "iam:PassRole":
        return f"deploy with {resource or 'the role of the instance profile'} among PassableRoleArns"
    if action == "ssm:GetParameters":
        named = f"{resource or 'the parameter that names the image'}"
        return f"attach a policy to the stack's CycleRole that allows ssm:GetParameters on {named}"
    among = "deploy with the role of the launch template's instance profile among PassableRoleArns; if it is there, "
    return (
        f"{'' if action else among}see that the template's policies are as deployed, and that no policy of your "
        "organization, or of the key or image, denies it"
    )


def _addresses(given: PreflightInput, details: GroupDetails, size: int) -> Iterator[Objection]:
    if not details.subnets:
        return
    if missing := [each for each in details.subnets if each not in given.subnets]:
        yield Objection(
            "subnets", f"its subnets {listed(missing)} are not there", "take them out of the group's subnets"
        )
    free = sum(each.free for each in given.subnets.values())
    if free < size:
        yield Objection(
            "free addresses",
            f"its subnets have {free} free addresses, and a batch takes {size} before any old instance goes",
            "cycle with a smaller batch, free addresses, or give the group another subnet",
        )


def _held(given: PreflightInput, details: GroupDetails) -> list[str]:
    """Instances that the launch hook holds although evidence against them would be final by now."""
    if given.settings is None:
        return []
    began = {each.instance_id: each.began for each in given.activities if each.is_launch}
    return [
        each.instance_id
        for each in details.members
        if each.state == HELD_STATE and given.now - began.get(each.instance_id, given.now) > given.settings.timeout
    ]


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
