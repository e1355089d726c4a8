"""What is wrong with Auto Scaling groups: hooks, notifications, load balancers, instances without a host. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rollcall.aws.target_groups import name_of
from rollcall.checks.load_balancers import traffic_objections
from rollcall.checks.registry import objections_to_checks
from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.domain.findings import Finding, Severity, breaks, warns, without_group
from rollcall.domain.settings import JOB_TAG, OPT_IN_TAG, RELEASED_TAG, RETIRE_TAG
from rollcall.domain.shell_commands import command, make_command, options, set_tag_command
from rollcall.domain.tag_support import objections_to
from rollcall.domain.timing import CLOCKS_APART, HEARTBEAT_SHARE, HOOK_LIFE_HEARTBEATS, HOOK_LIFE_MAX
from rollcall.hosts.job_templates import limit_objections, retire_objections

from .host_findings import late_job
from .observations import SeenGroup, SeenInventory, SeenTemplate
from .time_findings import usual_seconds
from .topic_findings import NOTICE_OF, QUEUE_OF, diagnose_topics, leads_to
from .unreadable import unlooked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollcall.domain.settings import Settings

    from .group_settings import Asking
    from .observations import Look, Seen, SeenHook

OUTPUT_OF = {Transition.LAUNCHING: "LaunchQueueArn", Transition.TERMINATING: "TerminateQueueArn"}
DEFAULTS = {Transition.LAUNCHING: Result.ABANDON, Transition.TERMINATING: Result.CONTINUE}
HEARTBEAT_TIMEOUT = 600  # seconds; what docs/install.md advises
JOBS_OF_AN_INSTANCE = 2


def diagnose_groups(seen: Seen, asking: Iterable[Asking], here: Settings) -> Iterator[Finding]:
    """What is wrong with the groups, but for tags that cannot be read."""
    if isinstance(seen.groups, RollcallError):
        yield from unlooked("Auto Scaling groups", {"this account and Region": seen.groups})
        return
    for name in seen.wanted - seen.groups.keys():
        yield breaks(  # or may: whoever asked for it wants to know that it was not looked at
            f"group {name}",
            "not there",
            "there is no Auto Scaling group of this name in this account and Region, so nothing was looked at",
            "correct the name; write it as AWS does, upper and lower case",
        )
    groups = seen.groups.values()
    yield from _unseen("lifecycle hooks", {each.name: each.hooks for each in groups}, Severity.BREAKS_LAUNCHES)
    yield from _unseen("notifications", {each.name: each.topics for each in groups}, Severity.WARNING)
    yield from _unseen("subscriptions of topics", seen.subscribers, Severity.WARNING)
    yield from _unseen("target groups", {name_of(each): kind for each, kind in seen.kinds.items()}, Severity.WARNING)
    queues = {transition: seen.stack.arn(queue) for transition, queue in QUEUE_OF.items()}
    yield from diagnose_topics(groups, seen.subscribers, queues, seen.stack.senders, here.hook_prefix)
    opted_in = {each.group.name for each in asking}
    for group in groups:
        if group.name not in opted_in and OPT_IN_TAG not in group.group.tags:
            yield from _without_tag(group, seen, here)
    for each in asking:
        yield from _hooks(each, seen, here)
        yield from _settings(each, seen, here)
        yield from _in_tower(each, seen)


def _unseen(what: str, looks: Mapping[str, Look[object]], severity: Severity) -> Iterator[Finding]:
    # A target group that does not exist is what a group has wrong, and is told of it.
    errors = {
        name: each
        for name, each in looks.items()
        if isinstance(each, RollcallError) and not isinstance(each, BadSettings)
    }
    return unlooked(what, errors, severity)


def _of(group: SeenGroup) -> str:
    return f"group {group.name}"


# Hooks


def _ours(group: SeenGroup, seen: Seen, here: Settings) -> list[SeenHook]:
    """Those of a group's hooks that Rollcall answers."""
    if isinstance(group.hooks, RollcallError):
        return []
    return [each for each in group.hooks if each.name.startswith(here.hook_prefix) or _reaches(each, seen)]


def _reaches(hook: SeenHook, seen: Seen) -> bool:
    """Whether what a hook notifies leads to the queue of its direction."""
    queue = seen.stack.arn(QUEUE_OF[hook.transition])
    return bool(queue) and (hook.target == queue or leads_to(hook.target, queue, seen.subscribers))


def _without_tag(group: SeenGroup, seen: Seen, here: Settings) -> Iterator[Finding]:
    hooks = _ours(group, seen, here)
    launching = [each for each in hooks if each.transition == Transition.LAUNCHING]
    delete = "; ".join(_hook_command("delete-lifecycle-hook", group, each.name) for each in hooks)
    if launching:
        yield breaks(
            _of(group),
            "hooks without the tag",
            f"it has {_names(launching)} and not the tag {OPT_IN_TAG}, so its instances wait for nobody",
            f"add the tag, or delete: {delete}",
        )
    elif hooks:
        yield warns(
            _of(group),
            "terminate hook without the tag",
            f"it has {_names(hooks)} and not the tag {OPT_IN_TAG}: cleanup answers the hook, and all that comes of it "
            "is that hosts from a time with the tag are struck off",
            f"add the tag; or, once no such host is left, delete: {delete}",
        )
    elif group.name in seen.wanted:
        yield warns(
            _of(group),
            "not opted in",
            f"it has not the tag {OPT_IN_TAG}, so Rollcall does nothing for it, and no more of it was looked at",
            "let it opt in, with its inventory's name as INVENTORY: "
            f"{set_tag_command(group.name, OPT_IN_TAG, 'INVENTORY')}",
        )


def _names(hooks: Iterable[SeenHook]) -> str:
    return " and ".join(repr(each.name) for each in hooks)


def _hooks(asking: Asking, seen: Seen, here: Settings) -> Iterator[Finding]:
    group = asking.group
    if isinstance(group.hooks, RollcallError):
        return
    ours = _ours(group, seen, here)
    for transition in Transition:
        own = [each for each in ours if each.transition == transition]
        if not own:
            yield from _missing(asking, transition, seen, here)
        if len(own) > 1:
            yield warns(
                _of(group),
                f"two hooks for {_word(transition)}",
                f"{_names(own)} are both Rollcall's: every instance waits for each",
                f"delete all but one: {_hook_command('delete-lifecycle-hook', group, own[-1].name)}",
            )
        for hook in own:
            yield from _hook(asking, hook, seen)


def _word(transition: Transition) -> str:
    return "launches" if transition == Transition.LAUNCHING else "terminations"


def _put_hook(group: SeenGroup, transition: Transition, name: str, change: str = "") -> str:
    """The command that makes a hook, or changes it in one thing."""
    settings = change or f"--heartbeat-timeout {HEARTBEAT_TIMEOUT} --default-result {DEFAULTS[transition]}"
    return f"{_hook_command('put-lifecycle-hook', group, name)} --lifecycle-transition {transition} {settings}"


def _hook_command(action: str, group: SeenGroup, name: str) -> str:
    named = (*options("--auto-scaling-group-name", [group.name]), *options("--lifecycle-hook-name", [name]))
    return command("aws", "autoscaling", action, *named)


def _missing(asking: Asking, transition: Transition, seen: Seen, here: Settings) -> Iterator[Finding]:
    group = asking.group
    launching = transition == Transition.LAUNCHING
    what = f"no {'launch' if launching else 'terminate'} hook"
    name = f"{here.hook_prefix}-{'launching' if launching else 'terminating'}"
    remedy = _put_hook(group, transition, name)
    hooks = () if isinstance(group.hooks, RollcallError) else group.hooks
    others = [repr(each.name) for each in hooks if each.transition == transition]
    some = f" ({', '.join(others)} is not Rollcall's)" if others else ""
    if _notified(group, transition, seen):
        late = (
            "its instances are registered and provisioned only once they serve, and one whose job fails goes on serving"
            if launching
            else "hosts are struck off only after their instances went, when their addresses may be others' already"
        )
        yield warns(
            _of(group), what, f"it notifies a topic and has no hook for {_word(transition)}{some}: {late}", remedy
        )
    elif launching:
        yield breaks(
            _of(group),
            what,
            f"no hook of it for launches begins with {here.hook_prefix!r}{some}: its instances serve at once, and "
            f"reconcile's next run registers them{late_job(asking)}",
            remedy,
        )
    else:
        yield warns(
            _of(group),
            what,
            f"no hook of it for terminations begins with {here.hook_prefix!r}{some}: hosts are struck off only after "
            "their instances went, when their addresses may be others' already",
            remedy,
        )


def _notified(group: SeenGroup, transition: Transition, seen: Seen) -> bool:
    """Whether a topic that the queue of this direction hears is notified of it."""
    if isinstance(group.topics, RollcallError):
        return False
    queue = seen.stack.arn(QUEUE_OF[transition])
    return any(
        NOTICE_OF[transition] in kinds and leads_to(topic, queue, seen.subscribers) and seen.stack.senders.let(topic)
        for topic, kinds in group.topics.items()
    )


def _hook(asking: Asking, hook: SeenHook, seen: Seen) -> Iterator[Finding]:
    group, subject = asking.group, _of(asking.group)
    wanted = DEFAULTS[hook.transition]
    if hook.default_result != wanted:
        harm = (
            "an instance that nobody could provision goes into service when the hook times out"
            if hook.transition == Transition.LAUNCHING
            else "when it times out the remaining hooks are skipped, and a lifecycle policy retains the instance"
        )
        yield warns(
            subject,
            f"default result of {hook.name}",
            f"hook {hook.name!r} has the default result {hook.default_result}: {harm}",
            _put_hook(group, hook.transition, hook.name, f"--default-result {wanted}"),
        )
    yield from _heartbeat(asking, hook, seen)
    if hook.target:
        yield from _target(group, hook, seen)


def _heartbeat(asking: Asking, hook: SeenHook, seen: Seen) -> Iterator[Finding]:
    group, subject, timeout = asking.group, _of(asking.group), hook.heartbeat_timeout
    visibility = seen.stack.visibility(QUEUE_OF[hook.transition], "GateQueue")
    least = HEARTBEAT_SHARE * visibility
    longer = _put_hook(group, hook.transition, hook.name, f"--heartbeat-timeout {max(HEARTBEAT_TIMEOUT, least)}")
    if timeout < least:
        harm = (
            "a single function that dies leaves the instance to the hook's default result"
            if timeout <= visibility
            else "after a function that dies less than two thirds of it are left"
        )
        yield warns(
            subject,
            f"heartbeat timeout of {hook.name}",
            f"hook {hook.name!r} has a heartbeat timeout of {timeout} s, and a message whose function died comes again "
            f"after {visibility} s: {harm}",
            longer,
        )
    if hook.transition == Transition.LAUNCHING:
        yield from _life(asking, hook, usual_seconds(_template(seen, asking.settings.job_template)), least)


def _life(asking: Asking, hook: SeenHook, usual: float, least: int) -> Iterator[Finding]:
    """Whether there is time for a job, for one more where the first proved nothing, and for rollcall:timeout.

    usual: seconds of a job, 0 if unknown; least: seconds of a heartbeat timeout that the queues need.
    """
    life = min(HOOK_LIFE_MAX, HOOK_LIFE_HEARTBEATS * hook.heartbeat_timeout)
    needed = asking.settings.timeout + JOBS_OF_AN_INSTANCE * usual
    if needed <= life:
        return
    jobs = f", and two jobs, which usually take {usual:,.0f} s each" if usual else ""
    heartbeat = max(HEARTBEAT_TIMEOUT, least, math.ceil(needed / HOOK_LIFE_HEARTBEATS))
    longer = _put_hook(asking.group, hook.transition, hook.name, f"--heartbeat-timeout {heartbeat}")
    yield warns(
        _of(asking.group),
        f"life of {hook.name}",
        f"Auto Scaling ends the wait of hook {hook.name!r} after {life:,.0f} s, and an instance may need {needed:,.0f} "
        f"s: tag rollcall:timeout gives it {asking.settings.timeout:,} s{jobs}",
        f"shorten the tag, or {longer}" if needed <= HOOK_LIFE_MAX else "shorten the tag",
    )


def _target(group: SeenGroup, hook: SeenHook, seen: Seen) -> Iterator[Finding]:
    subject, what = _of(group), f"target of {hook.name}"
    wrong = next((each for each in Transition if seen.stack.arn(QUEUE_OF[each]) == hook.target), hook.transition)
    output = OUTPUT_OF[hook.transition]
    retarget = _put_hook(
        group, hook.transition, hook.name, f"--notification-target-arn <{output}> --role-arn {hook.role or 'ROLE'}"
    )
    if wrong != hook.transition:
        yield breaks(
            subject,
            what,
            f"hook {hook.name!r} for {_word(hook.transition)} notifies the queue for {_word(wrong)}, where it "
            "is an error",
            retarget,
        )
        return
    known = seen.subscribers.get(hook.target)
    if not _reaches(hook, seen) and seen.stack.arn(QUEUE_OF[hook.transition]) and not isinstance(known, RollcallError):
        yield warns(
            subject,
            what,
            f"hook {hook.name!r} notifies {hook.target}, which does not lead to {QUEUE_OF[hook.transition]}: what it "
            "tells there is told to others only",
            f"take the target away, subscribe {QUEUE_OF[hook.transition]} to that topic, or {retarget}",
        )
    if not hook.role:
        yield breaks(
            subject,
            f"role of {hook.name}",
            f"hook {hook.name!r} notifies {hook.target} by no role: Auto Scaling may not send there",
            retarget,
        )


# What tags ask for


def _settings(asking: Asking, seen: Seen, here: Settings) -> Iterator[Finding]:
    group, settings, subject = asking.group, asking.settings, _of(asking.group)
    for each in (*objections_to(settings, here), *objections_to_checks(settings, here)):
        yield breaks(subject, each.what, without_group(group.name, each.reason), each.remedy)
    for each in traffic_objections(settings, group.group, load_balancers=here.load_balancers):
        yield breaks(subject, each.what, without_group(group.name, each.reason), each.remedy)
    for target_group in group.group.target_groups:
        yield from _target_group(subject, target_group, seen.kinds.get(target_group))
    if settings.retire_job_template and not here.retire_jobs:
        yield warns(
            subject,
            "retire jobs switched off",
            f"tag {RETIRE_TAG} is not followed in this installation",
            "deploy with RetireJobs=true, or take the tag away",
        )
    if settings.released_at > seen.at + CLOCKS_APART:
        yield warns(
            subject,
            "released in the future",
            f"tag {RELEASED_TAG} names a moment to come ({group.group.tags[RELEASED_TAG]}): the provisioning circuit "
            "breaker holds no instance of it until then",
            f"release it as of now: {make_command('release', *options('--group', [group.name]))}",
        )
    if settings.user_data and not here.user_data:
        yield warns(
            subject,
            "user data switched off",
            "tag rollcall:user-data is not followed: this installation may not read user data",
            "deploy with UserData=true, or take the tag away",
        )


def _target_group(subject: str, arn: str, kind: Look[str] | None) -> Iterator[Finding]:
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


# What is there of them in Tower


def _in_tower(asking: Asking, seen: Seen) -> Iterator[Finding]:
    settings, subject = asking.settings, _of(asking.group)
    inventory = seen.tower.inventories.get(settings.inventory)
    if not isinstance(inventory, SeenInventory):
        return
    template = _template(seen, settings.job_template)
    if template:
        for each in limit_objections(template.template, inventory.inventory, settings):
            reason = without_group(settings.group, each.reason)
            yield breaks(subject, f"{JOB_TAG}: {each.what}", reason, _in_template(each.remedy))
    if retiring := _template(seen, settings.retire_job_template):
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


def _template(seen: Seen, reference: str | None) -> SeenTemplate | None:
    found = seen.tower.templates.get(reference or "")
    return found if isinstance(found, SeenTemplate) else None
