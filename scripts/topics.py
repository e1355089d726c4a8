"""Which hooks and notifications a deployment would cut off from their topics: what doctor finds, beforehand.

Up to a version every topic of the account could send to the queues, and the doctor of such a stack cannot know that
this one takes messages only from topics that are named. So this looks from here.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from copy import replace
from pathlib import Path

# A script needs nothing but its own repository.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "common"))

from rollcall.doctor.aws_reader import Inspector
from rollcall.doctor.observations import Look, SeenGroup, Senders
from rollcall.doctor.topic_findings import diagnose_topics, notified_topics
from rollcall.doctor.unreadable import unlooked
from rollcall.domain.actions import Transition
from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.settings import OPT_IN_TAG, read_topics
from stack import NotRun, described

OUTPUTS = {Transition.LAUNCHING: "LaunchQueueArn", Transition.TERMINATING: "TerminateQueueArn"}
SUBSCRIPTIONS = (
    "let your credentials sns:ListSubscriptionsByTopic; of another account's topic ask its owner whether a queue of "
    "the stack is subscribed, and name it in NotifyingTopicArns if one is"
)


def cut_off(stack: str, patterns: str, names: Collection[str]) -> list[Finding]:
    """What would be cut off if the stack were deployed with these NotifyingTopicArns.

    patterns: separated by commas. names: of the groups to look at, none for all. Raises NotRun.
    """
    parameters, outputs = described(stack)
    if not outputs.keys() >= {*OUTPUTS.values(), "HookPrefix"}:
        raise NotRun(f"Stack {stack} is not Rollcall's: name it with STACK=...")
    queues = {transition: outputs[name] for transition, name in OUTPUTS.items()}
    senders = Senders(parameters.get("NotificationTopicArn", ""), read_topics(patterns))
    inspector = Inspector()
    try:
        groups = _groups(inspector, names or None)
    except RollcallError as error:
        raise NotRun(
            f"Whether topics would be cut off cannot be seen: {error}\nYour credentials need "
            "autoscaling:DescribeAutoScalingGroups, autoscaling:DescribeLifecycleHooks and "
            "autoscaling:DescribeNotificationConfigurations."
        ) from error
    topics = [topic for topic in sorted(notified_topics(groups)) if not senders.let(topic)]
    subscribers = {topic: _subscribers(inspector, topic) for topic in topics}
    errors = {topic: each for topic, each in subscribers.items() if isinstance(each, RollcallError)}
    return [
        *(replace(each, remedy=SUBSCRIPTIONS) for each in unlooked("subscriptions", errors, Severity.WARNING)),
        *diagnose_topics(groups, subscribers, queues, senders, outputs["HookPrefix"]),
    ]


def _groups(inspector: Inspector, names: Collection[str] | None) -> list[SeenGroup]:
    found = inspector.groups(names).values()
    opted_in = [each.name for each in found if OPT_IN_TAG in each.group.tags]
    topics = inspector.topics(opted_in)
    return [replace(each, hooks=inspector.hooks(each.name), topics=topics.get(each.name, {})) for each in found]


def _subscribers(inspector: Inspector, topic: str) -> Look[frozenset[str]]:
    try:
        return inspector.subscribers(topic)
    except RollcallError as error:
        return error
