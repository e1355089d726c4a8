"""Hooks and groups that notify a topic from which the subscribed queue takes nothing. Pure.

Doctor applies this to the stack that is deployed; its script, with the same functions, to one that is about to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcall.domain.actions import Transition
from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, breaks, warns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedGroup, OrError, Senders

QUEUE_OF = {Transition.LAUNCHING: "LaunchQueue", Transition.TERMINATING: "TerminateQueue"}
NOTICE_OF = {
    Transition.LAUNCHING: "autoscaling:EC2_INSTANCE_LAUNCH",
    Transition.TERMINATING: "autoscaling:EC2_INSTANCE_TERMINATE",
}
WITHOUT_NOTICE = {
    Transition.LAUNCHING: "launches are registered only once reconcile finds them",
    Transition.TERMINATING: "hosts are removed only after TerminatedRule's event, or once reconcile finds them",
}


@dataclass(frozen=True)
class _Notice:
    """That a topic is notified: by a hook, or by the group itself, where hook is empty."""

    group: str
    transition: Transition
    topic: str
    hook: str = ""


def topic_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What hooks and groups notify in vain, of all groups."""
    if isinstance(observed.groups, RollcallError):
        return
    queues = {transition: observed.stack.arn(queue) for transition, queue in QUEUE_OF.items()}
    yield from notified_in_vain(
        observed.groups.values(), observed.subscribers, queues, observed.stack.senders, here.hook_prefix
    )


def notified_in_vain(
    groups: Iterable[ObservedGroup],
    subscribers: Mapping[str, OrError[frozenset[str]]],
    queues: Mapping[Transition, str],
    senders: Senders,
    hook_prefix: str,
) -> Iterator[Finding]:
    """The same of any stack.

    subscribers: the ARNs of the queues that are subscribed, by the topic's; queues: the ARN of each direction's, empty
    where it could not be read.
    """
    lost = [
        each
        for group in groups
        for each in (*_by_hooks(group), *_by_group(group))
        if leads_to(each.topic, queues[each.transition], subscribers) and not senders.include(each.topic)
    ]
    topics = dict.fromkeys([*senders.patterns, *sorted(each.topic for each in lost)])
    remedy = (
        f"deploy with NotifyingTopicArns={','.join(topics)}; or, where nothing is to come from it, unsubscribe the "
        "queue from the topic"
    )
    for each in lost:
        yield _of_hook(each, hook_prefix, remedy) if each.hook else _of_group(each, remedy)


def notified_topics(groups: Iterable[ObservedGroup]) -> set[str]:
    """The topics that groups notify, or hooks of theirs."""
    return {each.topic for group in groups for each in (*_by_hooks(group), *_by_group(group))}


def leads_to(topic: str, queue: str, subscribers: Mapping[str, OrError[frozenset[str]]]) -> bool:
    """Whether a queue is subscribed to a topic, as far as that could be read."""
    subscribed = subscribers.get(topic, frozenset())
    return bool(queue) and not isinstance(subscribed, RollcallError) and queue in subscribed


def _by_hooks(group: ObservedGroup) -> Iterator[_Notice]:
    for hook in () if isinstance(group.hooks, RollcallError) else group.hooks:
        if ":sns:" in hook.target:
            yield _Notice(group.name, hook.transition, hook.target, hook.name)


def _by_group(group: ObservedGroup) -> Iterator[_Notice]:
    for topic, kinds in {}.items() if isinstance(group.topics, RollcallError) else group.topics.items():
        for transition, kind in NOTICE_OF.items():
            if kind in kinds:
                yield _Notice(group.name, transition, topic)


def _of_hook(notice: _Notice, hook_prefix: str, remedy: str) -> Finding:
    launching = notice.transition == Transition.LAUNCHING
    found = notice.hook.startswith(hook_prefix)  # reconcile knows a hook by this, or by its target
    say = breaks if launching and not found else warns
    return say(
        f"group {notice.group}",
        f"topic of {notice.hook}",
        f"hook {notice.hook!r} notifies {notice.topic}, {_closed(notice)}: its "
        f"{'launches' if launching else 'terminations'} wait until "
        f"{'reconcile finds them' if found else 'the hook times out'}",
        remedy,
    )


def _of_group(notice: _Notice, remedy: str) -> Finding:
    word = "launches" if notice.transition == Transition.LAUNCHING else "terminations"
    return warns(
        f"group {notice.group}",
        f"topic for {word}",
        f"it notifies {notice.topic} of {word}, {_closed(notice)}: without a hook {WITHOUT_NOTICE[notice.transition]}",
        remedy,
    )


def _closed(notice: _Notice) -> str:
    return (
        f"to which {QUEUE_OF[notice.transition]} is subscribed, and the queue takes nothing from there, for neither "
        "NotificationTopicArn nor NotifyingTopicArns names it"
    )
