"""Which hooks and notifications a deployment would cut off from their topics: what doctor finds, beforehand.

Up to a version every topic of the account could send to the queues, and the doctor of such a stack cannot know that
this one takes messages only from topics that are named. So this reads AWS from here.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import replace

from rollcall.doctor.aws_reader import AwsReader
from rollcall.doctor.observations import ObservedGroup, OrError, Senders
from rollcall.doctor.topic_findings import notified_in_vain, notified_topics
from rollcall.doctor.unread_findings import unread
from rollcall.domain.actions import Transition
from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, Severity
from rollcall.domain.settings import OPT_IN_TAG, read_topics

from .running import NotRun, in_words
from .stack import described, not_rollcalls

OUTPUTS = {Transition.LAUNCHING: "LaunchQueueArn", Transition.TERMINATING: "TerminateQueueArn"}
NEEDED = (
    "autoscaling:DescribeAutoScalingGroups, autoscaling:DescribeLifecycleHooks and "
    "autoscaling:DescribeNotificationConfigurations"
)
SUBSCRIPTIONS = (
    "let your credentials sns:ListSubscriptionsByTopic; of another account's topic ask its owner whether a queue of "
    "the stack is subscribed, and name it in NotifyingTopicArns if one is"
)


def cut_off(stack: str, patterns: str, names: Collection[str]) -> list[Finding]:
    """What would be cut off if the stack were deployed with these NotifyingTopicArns.

    patterns: separated by commas. names: of the groups to read, none for all. Raises NotRun.
    """
    parameters, outputs = described(stack)
    if not outputs.keys() >= {*OUTPUTS.values(), "HookPrefix"}:
        raise not_rollcalls(stack)
    queues = {transition: outputs[name] for transition, name in OUTPUTS.items()}
    senders = Senders(parameters.get("NotificationTopicArn", ""), read_topics(patterns))
    aws = AwsReader()
    try:
        groups = _groups(aws, names or None)
    except RollcallError as error:
        raise NotRun(f"Whether topics would be cut off cannot be read: {in_words(error, NEEDED)}") from error
    topics = [topic for topic in sorted(notified_topics(groups)) if not senders.include(topic)]
    subscribers = {topic: _subscribers(aws, topic) for topic in topics}
    return [
        *(replace(each, remedy=SUBSCRIPTIONS) for each in unread("subscriptions", subscribers, Severity.WARNING)),
        *notified_in_vain(groups, subscribers, queues, senders, outputs["HookPrefix"]),
    ]


def _groups(aws: AwsReader, names: Collection[str] | None) -> list[ObservedGroup]:
    found = aws.groups(names).values()
    opted_in = [each.name for each in found if OPT_IN_TAG in each.group.tags]
    topics = aws.topics(opted_in)
    return [replace(each, hooks=aws.hooks(each.name), topics=topics.get(each.name, {})) for each in found]


def _subscribers(aws: AwsReader, topic: str) -> OrError[frozenset[str]]:
    try:
        return aws.subscribers(topic)
    except RollcallError as error:
        return error
