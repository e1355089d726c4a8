"""What is wrong with Auto Scaling groups: who opted in and who did not, and what their tags ask for. Pure.

Their tags that cannot be read are in tag_findings, their hooks in hook_findings, their topics in topic_findings, their
instances' hosts in host_findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.aws.target_groups import name_of
from rollcall.checks.load_balancers import traffic_objections
from rollcall.checks.registry import objections_to_checks
from rollcall.domain.actions import Transition
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.findings import Finding, Severity, breaks, warns, without_group
from rollcall.domain.groups import EMERGENCY_TAG
from rollcall.domain.settings import JOB_TAG, OPT_IN_TAG, RELEASED_TAG, RETIRE_TAG
from rollcall.domain.shell_commands import command, operand, options
from rollcall.domain.tag_support import objections_to
from rollcall.domain.timing import CLOCKS_APART
from rollcall.hosts.job_templates import limit_objections, retire_objections

from .hook_findings import hook_command, hooks_of_rollcall, names_of, what_deleting_does
from .observations import ObservedInventory
from .unread_findings import unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollcall.domain.groups import Group
    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedGroup, OptedInGroup, OrError


def group_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with them."""
    groups = observed.groups
    if isinstance(groups, RollcallError):
        yield from unread("Auto Scaling groups", {"this account and Region": groups})
        return
    yield from _unread(observed, groups.values())
    for name in observed.wanted - groups.keys():
        yield breaks(  # or may: a requested group that was not examined is no all-clear
            f"group {name}",
            "not there",
            "there is no Auto Scaling group of this name in this account and Region, so nothing was examined",
            "correct the name; write it as AWS does, upper and lower case",
        )
    opted_in = {each.name for each in observed.opted_in}
    for group in groups.values():
        if group.name not in opted_in and OPT_IN_TAG not in group.group.tags:
            yield from _without_tag(group, observed, here)
    for each in observed.opted_in:
        yield from _tags(each, observed, here)
        yield from _templates(each, observed)


def _unread(observed: Observations, groups: Iterable[ObservedGroup]) -> Iterator[Finding]:
    yield from unread("notifications", {each.name: each.topics for each in groups}, Severity.WARNING)
    yield from unread("subscriptions of topics", observed.subscribers, Severity.WARNING)
    # That a target group does not exist is a finding about the groups that have it.
    kinds = {name_of(each): kind for each, kind in observed.kinds.items() if not isinstance(kind, BadSettings)}
    yield from unread("target groups", kinds, Severity.WARNING)


def _without_tag(group: ObservedGroup, observed: Observations, here: Settings) -> Iterator[Finding]:
    subject, hooks = f"group {group.name}", hooks_of_rollcall(group, observed, here)
    launching = [each for each in hooks if each.transition == Transition.LAUNCHING]
    delete = "; ".join(hook_command("delete-lifecycle-hook", group, each.name) for each in hooks)
    if launching:
        yield breaks(
            subject,
            "hooks without the tag",
            f"it has {names_of(launching)} and not the tag {OPT_IN_TAG}, so its instances wait until the hook "
            f"times out{what_deleting_does(group, launching)}",
            f"add the tag, or delete: {delete}",
        )
    elif hooks:
        yield warns(
            subject,
            "terminate hook without the tag",
            f"it has {names_of(hooks)} and not the tag {OPT_IN_TAG}: cleanup answers the hook, and all that comes of "
            "it is that hosts from a time with the tag are removed",
            f"add the tag; or, once no such host is left, delete: {delete}",
        )
    elif group.name in observed.wanted:
        yield warns(
            subject,
            "not opted in",
            f"it has not the tag {OPT_IN_TAG}, so Rollcall does nothing for it, and no more of it was examined",
            f"let it opt in: {command('rollcall', 'onboard', *operand(group.name))}",
        )


# What tags ask for


def _tags(opted_in: OptedInGroup, observed: Observations, here: Settings) -> Iterator[Finding]:
    """What cannot be followed, and what is not followed in this installation."""
    group, settings, subject = opted_in.group.group, opted_in.settings, f"group {opted_in.name}"
    for each in (*objections_to(settings, here), *objections_to_checks(settings, here)):
        yield breaks(subject, each.what, without_group(group.name, each.reason), each.remedy)
    for each in traffic_objections(settings, group, load_balancers=here.load_balancers):
        yield breaks(subject, each.what, without_group(group.name, each.reason), each.remedy)
    for target_group in group.target_groups:
        yield from _target_group(subject, target_group, observed.kinds.get(target_group))
    if settings.retire_job_template and not here.retire_jobs:
        yield warns(
            subject,
            "retire jobs switched off",
            f"tag {RETIRE_TAG} is not followed in this installation",
            "deploy with RetireJobs=true, or take the tag away",
        )
    if settings.released_at > observed.at + CLOCKS_APART:
        yield warns(
            subject,
            "released in the future",
            f"tag {RELEASED_TAG} names a moment to come ({group.tags[RELEASED_TAG]}): the provisioning circuit "
            "breaker holds no instance of it until then",
            f"release it as of now: {command('rollcall', 'release', *options('--group', [group.name]))}",
        )
    if group.in_emergency:
        yield in_emergency(subject, group)
    if settings.user_data and not here.user_data:
        yield warns(
            subject,
            "user data switched off",
            "tag rollcall:user-data is not followed: this installation may not read user data",
            "deploy with UserData=true, or take the tag away",
        )


def in_emergency(subject: str, group: Group) -> Finding:
    """That a group is in an emergency, and how that ends."""
    since = group.tags[EMERGENCY_TAG].partition(" ")[0] or "a moment that the tag does not say"
    return warns(
        subject,
        "in emergency",
        f"it is in an emergency since {since}: its instances go into service whether or not their job ran well, and "
        "leave while their hosts may still be in Tower",
        f"once it is over: {command('rollcall', 'offboard', '--restore', *operand(group.name))}",
    )


def _target_group(subject: str, arn: str, kind: OrError[str] | None) -> Iterator[Finding]:
    name = name_of(arn)
    if isinstance(kind, BadSettings):
        yield breaks(subject, f"target group {name}", str(kind), "detach it from the group, or attach another one")
    elif isinstance(kind, str) and kind != "instance":
        yield breaks(
            subject,
            f"target group {name}",
            f"target group {name} takes targets of type {kind}, and Rollcall registers instances",
            "attach a target group of target type instance",
        )


def _templates(opted_in: OptedInGroup, observed: Observations) -> Iterator[Finding]:
    """Whether jobs of the templates can be limited to hosts of the inventory, as far as these were found in Tower."""
    settings, subject = opted_in.settings, f"group {opted_in.name}"
    inventory = observed.tower.inventories.get(settings.inventory)
    if not isinstance(inventory, ObservedInventory):
        return
    template = observed.template(settings.job_template)
    if template:
        for each in limit_objections(template.template, inventory.inventory, settings):
            reason = without_group(settings.group, each.reason)
            yield breaks(subject, f"{JOB_TAG}: {each.what}", reason, _in_template(each.remedy))
    if retiring := observed.template(settings.retire_job_template):
        provisioning = template.template if template else None
        for each in retire_objections(retiring.template, inventory.inventory, settings, provisioning):
            reason = without_group(settings.group, each.reason)
            yield warns(subject, f"{RETIRE_TAG}: {each.what}", reason, _in_template(each.remedy))


def _in_template(remedy: str) -> str:
    """An objection's remedy, as one who edits the template finds it."""
    return {
        "tick 'Prompt on launch'": "tick 'Prompt on launch' beside the template's Limit",
        "use 1": "set the template's Job slicing to 1",
        "use two": "name two different job templates in these tags",
    }.get(remedy, remedy)
