"""What is wrong with the lifecycle hooks of groups that opted in, and which hooks are Rollcall's. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rollcall.domain.actions import Result, Transition
from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, breaks, warns
from rollcall.domain.membership import holds
from rollcall.domain.shell_commands import command, options
from rollcall.domain.timing import HEARTBEAT_SHARE, HOOK_LIFE_HEARTBEATS, HOOK_LIFE_MAX

from .host_findings import late_job
from .time_findings import usual_seconds
from .topic_findings import NOTICE_OF, QUEUE_OF, leads_to
from .unread_findings import unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rollcall.domain.groups import Group
    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedGroup, ObservedHook, OptedInGroup

OUTPUT_OF = {Transition.LAUNCHING: "LaunchQueueArn", Transition.TERMINATING: "TerminateQueueArn"}
DEFAULTS = {Transition.LAUNCHING: Result.ABANDON, Transition.TERMINATING: Result.CONTINUE}
HEARTBEAT_TIMEOUT = 600  # seconds; what docs/guides/forks-and-timeouts.md advises
JOBS_OF_AN_INSTANCE = 2


def hook_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with them, and of which groups, opted in or not, they could not be read."""
    if isinstance(observed.groups, RollcallError):
        return
    yield from unread("lifecycle hooks", {each.name: each.hooks for each in observed.groups.values()})
    for each in observed.opted_in:
        if not isinstance(each.group.hooks, RollcallError):
            yield from _of_group(each, observed, here)


def _of_group(opted_in: OptedInGroup, observed: Observations, here: Settings) -> Iterator[Finding]:
    ours = hooks_of_rollcall(opted_in.group, observed, here)
    for transition in Transition:
        own = [each for each in ours if each.transition == transition]
        if not own:
            yield missing_hook(opted_in, transition, observed, here)
        if len(own) > 1:
            yield warns(
                f"group {opted_in.name}",
                f"two hooks for {_word(transition)}",
                f"{names_of(own)} are both Rollcall's: every instance waits for each"
                f"{what_deleting_does(opted_in.group, own)}",
                f"delete all but one: {hook_command('delete-lifecycle-hook', opted_in.group, own[-1].name)}",
            )
        for hook in own:
            if not opted_in.settings.in_emergency:  # which made them so, and of which a finding of its own says more
                yield from default_result_findings(opted_in.group, hook)
                yield from _heartbeat(opted_in, hook, observed)
            yield from _target(opted_in.group, hook, observed)
            yield from _role(opted_in.group, hook, observed)


# Which hooks are Rollcall's


def hooks_of_rollcall(group: ObservedGroup, observed: Observations, here: Settings) -> list[ObservedHook]:
    """Those of a group's hooks that Rollcall answers: by their prefix, or for they lead to its queue."""
    if isinstance(group.hooks, RollcallError):
        return []
    return [each for each in group.hooks if each.name.startswith(here.hook_prefix) or _reaches(each, observed)]


def _reaches(hook: ObservedHook, observed: Observations) -> bool:
    """Whether what a hook notifies leads to the queue of its transition."""
    queue = observed.stack.arn(QUEUE_OF[hook.transition])
    return bool(queue) and (hook.target == queue or leads_to(hook.target, queue, observed.subscribers))


def what_deleting_does(group: ObservedGroup, hooks: Iterable[ObservedHook]) -> str:
    """What becomes of the instances that launch hooks hold when these are deleted, to be put behind a reason.

    AWS completes outstanding actions of a deleted hook, for launches with ABANDON (API reference, DeleteLifecycleHook).
    """
    if not any(each.transition == Transition.LAUNCHING for each in hooks):
        return ""
    held = sum(holds(each, Transition.LAUNCHING) for each in group.members.values())
    return f"; to delete a launch hook abandons the instances that it holds, {held:,} now"


def names_of(hooks: Iterable[ObservedHook]) -> str:
    """Names of hooks in a sentence."""
    return " and ".join(repr(each.name) for each in hooks)


def _word(transition: Transition) -> str:
    return "launches" if transition == Transition.LAUNCHING else "terminations"


# Commands


def hook_command(action: str, group: ObservedGroup | Group, name: str) -> str:
    """A command of the AWS command line about a hook."""
    named = (*options("--auto-scaling-group-name", [group.name]), *options("--lifecycle-hook-name", [name]))
    return command("aws", "autoscaling", action, *named)


def _put_hook(group: ObservedGroup | Group, transition: Transition, name: str, change: str = "") -> str:
    """The command that makes a hook, or changes it in one thing."""
    settings = change or f"--heartbeat-timeout {HEARTBEAT_TIMEOUT} --default-result {DEFAULTS[transition]}"
    return f"{hook_command('put-lifecycle-hook', group, name)} --lifecycle-transition {transition} {settings}"


# No hook


def missing_hook(opted_in: OptedInGroup, transition: Transition, observed: Observations, here: Settings) -> Finding:
    """What is wrong where no hook of a group's for this transition is Rollcall's."""
    group, launching = opted_in.group, transition == Transition.LAUNCHING
    subject, what = f"group {group.name}", f"no {'launch' if launching else 'terminate'} hook"
    remedy = _put_hook(group, transition, f"{here.hook_prefix}-{'launching' if launching else 'terminating'}")
    hooks = () if isinstance(group.hooks, RollcallError) else group.hooks
    others = [repr(each.name) for each in hooks if each.transition == transition]
    some = f" ({', '.join(others)} is not Rollcall's)" if others else ""
    too_late = "hosts are removed only after their instances went, when their addresses may be other instances' already"
    if _is_notified(group, transition, observed):
        late = (
            "its instances are registered and provisioned only once they serve, and one whose job fails goes on serving"
            if launching
            else too_late
        )
        return warns(
            subject, what, f"it notifies a topic and has no hook for {_word(transition)}{some}: {late}", remedy
        )
    none = f"no hook of it for {_word(transition)} begins with {here.hook_prefix!r}{some}"
    if launching:
        registered = f"its instances serve at once, and reconcile's next run registers them{late_job(opted_in)}"
        return breaks(subject, what, f"{none}: {registered}", remedy)
    return warns(subject, what, f"{none}: {too_late}", remedy)


def _is_notified(group: ObservedGroup, transition: Transition, observed: Observations) -> bool:
    """Whether a topic to which the queue of this transition is subscribed is notified of it."""
    if isinstance(group.topics, RollcallError):
        return False
    queue, senders = observed.stack.arn(QUEUE_OF[transition]), observed.stack.senders
    return any(
        NOTICE_OF[transition] in kinds and leads_to(topic, queue, observed.subscribers) and senders.include(topic)
        for topic, kinds in group.topics.items()
    )


# A hook that is there


def default_result_findings(group: ObservedGroup | Group, hook: ObservedHook) -> Iterator[Finding]:
    """Whether a hook of Rollcall's that times out does what it should."""
    wanted = DEFAULTS[hook.transition]
    if hook.default_result == wanted:
        return
    harm = (
        "an instance that could not be provisioned goes into service when the hook times out"
        if hook.transition == Transition.LAUNCHING
        else "when it times out the remaining hooks are skipped, and a lifecycle policy retains the instance"
    )
    yield warns(
        f"group {group.name}",
        f"default result of {hook.name}",
        f"hook {hook.name!r} has the default result {hook.default_result}: {harm}",
        _put_hook(group, hook.transition, hook.name, f"--default-result {wanted}"),
    )


def _heartbeat(opted_in: OptedInGroup, hook: ObservedHook, observed: Observations) -> Iterator[Finding]:
    timeout = hook.heartbeat_timeout
    visibility = observed.stack.visibility(QUEUE_OF[hook.transition], "GateQueue")
    least = HEARTBEAT_SHARE * visibility
    if timeout < least:
        harm = (
            "a single function that dies leaves the instance to the hook's default result"
            if timeout <= visibility
            else "after a function that dies less than two thirds of it are left"
        )
        longer = f"--heartbeat-timeout {max(HEARTBEAT_TIMEOUT, least)}"
        yield warns(
            f"group {opted_in.name}",
            f"heartbeat timeout of {hook.name}",
            f"hook {hook.name!r} has a heartbeat timeout of {timeout} s, and a message whose function died comes again "
            f"after {visibility} s: {harm}",
            _put_hook(opted_in.group, hook.transition, hook.name, longer),
        )
    if hook.transition == Transition.LAUNCHING:
        template = observed.template(opted_in.settings.job_template)
        yield from _life(opted_in, hook, usual_seconds(template), least)


def _life(opted_in: OptedInGroup, hook: ObservedHook, usual: float, least: int) -> Iterator[Finding]:
    """Whether there is time for a job, for one more where the first proved nothing, and for rollcall:timeout.

    usual: seconds of a job, 0 if unknown; least: seconds of a heartbeat timeout that the queues need.
    """
    life = min(HOOK_LIFE_MAX, HOOK_LIFE_HEARTBEATS * hook.heartbeat_timeout)
    timeout = opted_in.settings.timeout
    needed = timeout + JOBS_OF_AN_INSTANCE * usual
    if needed <= life:
        return
    jobs = f", and two jobs, which usually take {usual:,.0f} s each" if usual else ""
    heartbeat = max(HEARTBEAT_TIMEOUT, least, math.ceil(needed / HOOK_LIFE_HEARTBEATS))
    longer = _put_hook(opted_in.group, hook.transition, hook.name, f"--heartbeat-timeout {heartbeat}")
    yield warns(
        f"group {opted_in.name}",
        f"life of {hook.name}",
        f"Auto Scaling ends the wait of hook {hook.name!r} after {life:,.0f} s, and an instance may need {needed:,.0f} "
        f"s: tag rollcall:timeout gives it {timeout:,} s{jobs}",
        f"shorten the tag, or {longer}" if needed <= HOOK_LIFE_MAX else "shorten the tag",
    )


# What it notifies


def _retarget(group: ObservedGroup, hook: ObservedHook) -> str:
    """The command that lets a hook notify the queue of its transition."""
    target = f"--notification-target-arn <{OUTPUT_OF[hook.transition]}> --role-arn {hook.role or 'ROLE'}"
    return _put_hook(group, hook.transition, hook.name, target)


def _notifies_wrong_queue(hook: ObservedHook, observed: Observations) -> Transition | None:
    """The transition of the queue that a hook notifies, if that is not its own."""
    queues = {observed.stack.arn(queue): transition for transition, queue in QUEUE_OF.items()}
    other = queues.get(hook.target) if hook.target else None
    return None if other == hook.transition else other


def _target(group: ObservedGroup, hook: ObservedHook, observed: Observations) -> Iterator[Finding]:
    queue = QUEUE_OF[hook.transition]
    if wrong := _notifies_wrong_queue(hook, observed):
        yield breaks(
            f"group {group.name}",
            f"target of {hook.name}",
            f"hook {hook.name!r} for {_word(hook.transition)} notifies the queue for {_word(wrong)}, where it "
            "is an error",
            _retarget(group, hook),
        )
        return
    if not hook.target or _reaches(hook, observed) or not observed.stack.arn(queue):
        return
    if not isinstance(observed.subscribers.get(hook.target), RollcallError):
        yield warns(
            f"group {group.name}",
            f"target of {hook.name}",
            f"hook {hook.name!r} notifies {hook.target}, which does not lead to {queue}: its notifications reach "
            "others only",
            f"take the target away, subscribe {queue} to that topic, or {_retarget(group, hook)}",
        )


def _role(group: ObservedGroup, hook: ObservedHook, observed: Observations) -> Iterator[Finding]:
    if hook.target and not hook.role and not _notifies_wrong_queue(hook, observed):
        yield breaks(
            f"group {group.name}",
            f"role of {hook.name}",
            f"hook {hook.name!r} notifies {hook.target} by no role: Auto Scaling may not send there",
            _retarget(group, hook),
        )
