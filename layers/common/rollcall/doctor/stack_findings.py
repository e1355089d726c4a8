"""What is wrong with the stack's own parts: rules, queues, event sources, schedules. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rollcall.domain.errors import RollcallError
from rollcall.domain.findings import Finding, Severity, warns
from rollcall.domain.shell_commands import command

from .arn_patterns import arn_like
from .unreadable import listed, unlooked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .observations import SeenQueue, SeenRule, SeenStack, SeenTopic

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
HEARS_USERS = ("LaunchQueue", "TerminateQueue")  # what hooks and groups notify topics of the user's own of
UNTOLD = "people are not told of trouble"
LOST = {
    "LaunchRule": "launched instances wait until reconcile finds them, or their hooks' timeout",
    "TerminateRule": "terminating instances wait until reconcile finds them, or their hooks' timeout",
    "TerminatedRule": "hosts of instances that went without a hook stay until reconcile finds them",
    "AlertRule": UNTOLD,
    "AlertEndRule": "people are not told of trouble's end: what was told of an instance stays open for two days",
    "AlarmTopic": f"{UNTOLD} that only an alarm shows",
}
STALLED = {
    "RegisterFunction": "no launched instance is registered",
    "GateFunction": "no waiting instance comes into service",
    "CleanupFunction": "no terminated instance is struck off",
    "AlertFunction": UNTOLD,
}
UNSCHEDULED = {
    "ReconcileFunction": "nothing makes up for events that were lost",
    "AlertFunction": f"{UNTOLD} that lasts, nor of its end",
}
ALERTS = ("AlertRule", "AlertEndRule", "AlertQueue", "AlertDeadLetterQueue", "AlertFunction", "AlarmTopic")
LAUNCHES = ("LaunchRule", "LaunchQueue", "RegisterFunction", "GateQueue", "GateFunction")  # what they come through
RECEIVES = 1000  # maxReceiveCount in the template: messages outlive their hooks, errors of a person's an hour
AGAIN = "deploy the template again (sam deploy)"


def diagnose_stack(stack: SeenStack, account: str) -> Iterator[Finding]:
    """What is wrong with them."""
    for kind, looks in (
        ("rules", stack.rules),
        ("queues", stack.queues),
        ("event source mappings", stack.sources),
        ("schedules", stack.schedules),
        ("topics", stack.topics),
    ):
        errors = {name: look for name, look in looks.items() if isinstance(look, RollcallError)}
        yield from unlooked(kind, {name: each for name, each in errors.items() if name not in ALERTS})
        of_alert = {name: each for name, each in errors.items() if name in ALERTS}
        yield from unlooked(f"alert's {kind}", of_alert, Severity.WARNING)
    for name, rule in stack.rules.items():
        if not isinstance(rule, RollcallError):
            yield from _rule(name, rule, stack)
    for name, state in stack.sources.items():
        if not isinstance(state, RollcallError) and not state.startswith("Enab"):
            yield Finding(
                name,
                "event source disabled",
                _severity(name),
                f"its event source mapping is {state}, so that {STALLED[name]}",
                "with the UUID that the first of these shows: "
                + command(
                    "aws", "lambda", "list-event-source-mappings", "--event-source-arn", stack.arn(WORKS_ON[name])
                )
                + "; aws lambda update-event-source-mapping --enabled --uuid UUID",
            )
    for name, enabled in stack.schedules.items():
        if enabled is False:
            yield warns(
                name,
                "schedule disabled",
                f"its schedule is disabled, so that {UNSCHEDULED[name]}",
                f"enable it in EventBridge Scheduler, or {AGAIN}",
            )
    for name, queue in stack.queues.items():
        if not isinstance(queue, RollcallError):
            yield from _dead_letters(name, queue) if "DeadLetter" in name else _queue(name, queue, stack, account)
    for name, topic in stack.topics.items():
        if not isinstance(topic, RollcallError):
            yield from _topic(name, topic, stack)


def _severity(name: str) -> Severity:
    return Severity.BREAKS_LAUNCHES if name in LAUNCHES else Severity.WARNING


def _rule(name: str, rule: SeenRule, stack: SeenStack) -> Iterator[Finding]:
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
            name, "not to its queue", severity, f"the rule does not send to {FED_BY[name]}: {LOST[name]}", AGAIN
        )


def _queue(name: str, queue: SeenQueue, stack: SeenStack, account: str) -> Iterator[Finding]:
    severity = _severity(name)
    ours = f", and {UNTOLD}" if name in ALERTS else ""
    given_up = stack.arn(name.replace("Queue", "DeadLetterQueue"))
    if given_up and queue.dead_letters != given_up:
        yield warns(
            name,
            "other dead letters",
            f"what it gives up does not go to the stack's dead-letter queue but to {queue.dead_letters or 'nobody'}"
            f"{ours}",
            AGAIN,
        )
    elif queue.receives < RECEIVES:
        yield Finding(
            name,
            "gives up early",
            severity,
            f"it gives a message up after {queue.receives} receives, "
            + (f"so that {UNTOLD} that comes while alert fails" if ours else "before its hook's wait is over"),
            f"{AGAIN}: its maxReceiveCount is {RECEIVES}",
        )
    for service, fed_by, looks in (
        ("events.amazonaws.com", FED_BY, stack.rules),
        ("sns.amazonaws.com", FED_BY_TOPICS, stack.topics),
    ):
        for sender, seen in looks.items():
            if (
                fed_by[sender] == name
                and not isinstance(seen, RollcallError)
                and not allows(queue, service, seen.arn, account)
            ):
                yield Finding(
                    name,
                    f"closed to {sender}",
                    severity,
                    f"its policy does not let {sender} send to it: {LOST[sender]}",
                    AGAIN,
                )
    closed = [each for each in stack.senders.named if not allows(queue, "sns.amazonaws.com", each, account)]
    if name in HEARS_USERS and closed:
        yield warns(
            name,
            "closed to topics",
            f"its policy does not let {listed(closed)} send to it, which NotificationTopicArn and NotifyingTopicArns "
            "name: what hooks and groups notify them of is lost",
            AGAIN,
        )


def _topic(name: str, topic: SeenTopic, stack: SeenStack) -> Iterator[Finding]:
    fed = stack.arn(FED_BY_TOPICS[name])
    if fed and fed not in topic.subscribers:
        yield warns(
            name,
            "not to its queue",
            f"{FED_BY_TOPICS[name]} is not subscribed to the topic: {LOST[name]}",
            command("aws", "sns", "subscribe", "--topic-arn", topic.arn, "--protocol", "sqs")
            + f" {command('--notification-endpoint', fed)} --attributes RawMessageDelivery=true",
        )


def _dead_letters(name: str, queue: SeenQueue) -> Iterator[Finding]:
    if queue.messages:
        lost = (
            f"alert could not read, or did not get: {UNTOLD} that they are about"
            if name in ALERTS
            else "nobody could work on"
        )
        yield warns(
            name,
            "not empty",
            f"{queue.messages} message(s) lie in it that {lost}",
            "make redrive shows them in words, and sends back what can be worked on once the cause is mended",
        )


def allows(queue: SeenQueue, service: str, source: str, account: str) -> bool:
    """Whether a queue's policy lets a service send to it for a source, as far as statements say so plainly.

    source: its ARN, or a pattern for which a pattern of the policy has to stand; account: the one of this stack, and of
    sources whose account the policy asks for. A statement with a condition of another kind is not counted; nor is one
    that denies.
    """
    return any(
        _lets(each, queue.arn, service, source, account) for each in _as_list(_read(queue.policy).get("Statement"))
    )


def _lets(statement: Any, queue: str, service: str, source: str, account: str) -> bool:
    principal, actions = statement.get("Principal"), _as_list(statement.get("Action"))
    if statement.get("Effect") != "Allow":
        return False
    if principal != "*" and service not in _as_list(principal.get("Service")):
        return False
    if not {each.lower() for each in actions} & {"sqs:sendmessage", "sqs:*"}:
        return False
    if not any(each == "*" or arn_like(each, queue) for each in _as_list(statement.get("Resource"))):
        return False
    return all(
        _meets(operator, key, _as_list(values), source, account)
        for operator, condition in statement.get("Condition", {}).items()
        for key, values in condition.items()
    )


def _meets(operator: str, key: str, values: list[Any], source: str, account: str) -> bool:
    match operator, key:
        case "ArnEquals" | "ArnLike", "aws:SourceArn":
            return any(arn_like(each, source) for each in values)
        case "StringEquals", "aws:SourceArn":
            return source in values
        case "StringEquals", "aws:SourceAccount":
            return account in values
        case _:
            return False


def _read(policy: str) -> Any:
    try:
        return json.loads(policy or "{}")
    except ValueError:
        return {}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
