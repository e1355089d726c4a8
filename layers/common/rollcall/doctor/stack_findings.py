"""What is wrong with the stack's own parts: rules, queues, event sources, schedules. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, Severity, warns
from rollcall.domain.shell_commands import command

from .queue_policy import allows
from .unread_findings import listed, unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollcall.domain.settings import Settings

    from .observations import Observations, ObservedQueue, ObservedRule, ObservedStack, ObservedTopic

FED_BY = {
    "LaunchRule": "LaunchQueue",
    "TerminateRule": "TerminateQueue",
    "TerminatedRule": "TerminateQueue",
    "AlertRule": "AlertQueue",
    "AlertEndRule": "AlertQueue",
}
WORKS_ON = {
    "RegisterFunction": "LaunchQueue",
    "GateFunction": "GateQueue",
    "CleanupFunction": "TerminateQueue",
    "AlertFunction": "AlertQueue",
}
FED_BY_TOPICS = {"AlarmTopic": "AlertQueue"}
FED_BY_USERS = ("LaunchQueue", "TerminateQueue")  # through topics of their own that hooks and groups notify
NOT_NOTIFIED = "no one is notified of incidents"
LOST = {
    "LaunchRule": "launched instances wait until reconcile finds them, or their hooks' timeout",
    "TerminateRule": "terminating instances wait until reconcile finds them, or their hooks' timeout",
    "TerminatedRule": "hosts of instances that went without a hook stay until reconcile finds them",
    "AlertRule": NOT_NOTIFIED,
    "AlertEndRule": f"{NOT_NOTIFIED} being over: those of an instance stay open for two days",
    "AlarmTopic": f"{NOT_NOTIFIED} that only an alarm shows",
}
STALLED = {
    "RegisterFunction": "no launched instance is registered",
    "GateFunction": "no waiting instance comes into service",
    "CleanupFunction": "no terminated instance is removed from its inventory",
    "AlertFunction": NOT_NOTIFIED,
}
UNSCHEDULED = {
    "ReconcileFunction": "nothing makes up for events that were lost",
    "AlertFunction": f"{NOT_NOTIFIED} that last, nor of their end",
}
ALERTS = ("AlertRule", "AlertEndRule", "AlertQueue", "AlertDeadLetterQueue", "AlertFunction", "AlarmTopic")
LAUNCHES = ("LaunchRule", "LaunchQueue", "RegisterFunction", "GateQueue", "GateFunction")  # what they come through
RECEIVES = 1000  # maxReceiveCount in the template: messages outlive their hooks, and an hour of permanent errors
DEPLOY_AGAIN = "deploy the template again (sam deploy)"


def stack_findings(observed: Observations, here: Settings) -> Iterator[Finding]:
    """What is wrong with them."""
    stack = observed.stack
    yield from _unread(stack)
    for name, rule in stack.rules.items():
        if not isinstance(rule, RollcallError):
            yield from _rule(name, rule, stack)
    for name, state in stack.sources.items():
        if not isinstance(state, RollcallError):
            yield from _event_source(name, state, stack)
    for name, enabled in stack.schedules.items():
        if enabled is False:
            yield warns(
                name,
                "schedule disabled",
                f"its schedule is disabled, so that {UNSCHEDULED[name]}",
                f"enable it in EventBridge Scheduler, or {DEPLOY_AGAIN}",
            )
    for name, queue in stack.queues.items():
        if isinstance(queue, RollcallError):
            continue
        if "DeadLetter" in name:
            yield from _dead_letters(name, queue)
        else:
            yield from _dead_letter_queue(name, queue, stack)
            yield from _senders(name, queue, stack, here.account)
    for name, topic in stack.topics.items():
        if not isinstance(topic, RollcallError):
            yield from _topic(name, topic, stack)


def _unread(stack: ObservedStack) -> Iterator[Finding]:
    """What could not be read: alert's parts apart, for without them launches go on."""
    for kind, parts in (
        ("rules", stack.rules),
        ("queues", stack.queues),
        ("event source mappings", stack.sources),
        ("schedules", stack.schedules),
        ("topics", stack.topics),
    ):
        yield from unread(kind, {name: each for name, each in parts.items() if name not in ALERTS})
        of_alert = {name: each for name, each in parts.items() if name in ALERTS}
        yield from unread(f"alert's {kind}", of_alert, Severity.WARNING)


def _severity(name: str) -> Severity:
    return Severity.BREAKS_LAUNCHES if name in LAUNCHES else Severity.WARNING


def _rule(name: str, rule: ObservedRule, stack: ObservedStack) -> Iterator[Finding]:
    severity = _severity(name)
    if not rule.enabled:
        rule_name = rule.arn.rpartition("/")[2]
        yield Finding(
            name,
            "disabled",
            severity,
            f"the rule is disabled: {LOST[name]}",
            command("aws", "events", "enable-rule", "--name", rule_name),
        )
    fed = stack.arn(FED_BY[name])
    if fed and fed not in rule.targets:
        yield Finding(
            name, "not to its queue", severity, f"the rule does not send to {FED_BY[name]}: {LOST[name]}", DEPLOY_AGAIN
        )


def _event_source(name: str, state: str, stack: ObservedStack) -> Iterator[Finding]:
    if state.startswith("Enab"):  # enabled, or on the way there
        return
    mappings = ("aws", "lambda", "list-event-source-mappings", "--event-source-arn", stack.arn(WORKS_ON[name]))
    yield Finding(
        name,
        "event source disabled",
        _severity(name),
        f"its event source mapping is {state}, so that {STALLED[name]}",
        f"with the UUID that the first of these shows: {command(*mappings)}"
        "; aws lambda update-event-source-mapping --enabled --uuid UUID",
    )


def _dead_letter_queue(name: str, queue: ObservedQueue, stack: ObservedStack) -> Iterator[Finding]:
    """Whether what a queue gives up goes where an alarm watches, and not too early."""
    given_up = stack.arn(name.replace("Queue", "DeadLetterQueue"))
    if given_up and queue.dead_letters != given_up:
        alerts = f", and {NOT_NOTIFIED}" if name in ALERTS else ""
        yield warns(
            name,
            "other dead letters",
            "what it gives up does not go to the stack's dead-letter queue but to "
            f"{queue.dead_letters or 'no queue at all'}{alerts}",
            DEPLOY_AGAIN,
        )
    elif queue.receives < RECEIVES:
        alerts = f"so that {NOT_NOTIFIED} that happen while alert fails"
        yield Finding(
            name,
            "gives up early",
            _severity(name),
            f"it gives a message up after {queue.receives} receives, "
            f"{alerts if name in ALERTS else 'before its hook stops waiting'}",
            f"{DEPLOY_AGAIN}: its maxReceiveCount is {RECEIVES}",
        )


def _senders(name: str, queue: ObservedQueue, stack: ObservedStack, account: str) -> Iterator[Finding]:
    """Whether a queue's policy lets those send to it that are to."""
    for service, fed_by, senders in (
        ("events.amazonaws.com", FED_BY, stack.rules),
        ("sns.amazonaws.com", FED_BY_TOPICS, stack.topics),
    ):
        for sender, observed in senders.items():
            if fed_by[sender] != name or isinstance(observed, RollcallError):
                continue
            if not allows(queue, service, observed.arn, account):
                yield Finding(
                    name,
                    f"closed to {sender}",
                    _severity(name),
                    f"its policy does not let {sender} send to it: {LOST[sender]}",
                    DEPLOY_AGAIN,
                )
    closed = [each for each in stack.senders.named if not allows(queue, "sns.amazonaws.com", each, account)]
    if name in FED_BY_USERS and closed:
        yield warns(
            name,
            "closed to topics",
            f"its policy does not let {listed(closed)} send to it, which NotificationTopicArn and NotifyingTopicArns "
            "name: what hooks and groups notify them of is lost",
            DEPLOY_AGAIN,
        )


def _topic(name: str, topic: ObservedTopic, stack: ObservedStack) -> Iterator[Finding]:
    fed = stack.arn(FED_BY_TOPICS[name])
    if fed and fed not in topic.subscribers:
        yield warns(
            name,
            "not to its queue",
            f"{FED_BY_TOPICS[name]} is not subscribed to the topic: {LOST[name]}",
            command("aws", "sns", "subscribe", "--topic-arn", topic.arn, "--protocol", "sqs")
            + f" {command('--notification-endpoint', fed)} --attributes RawMessageDelivery=true",
        )


def _dead_letters(name: str, queue: ObservedQueue) -> Iterator[Finding]:
    if queue.messages:
        lost = (
            f"alert could not read these messages, or did not get them: {NOT_NOTIFIED} in them"
            if name in ALERTS
            else "no function could work on"
        )
        yield warns(
            name,
            "not empty",
            f"{queue.messages} message(s) lie in it that {lost}",
            "rollcall redrive shows them in words, and sends back what can be worked on once the cause is fixed",
        )
