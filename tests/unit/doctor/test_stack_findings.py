"""What doctor finds wrong with the stack's own parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.doctor.observations import Senders
from rollcall.doctor.queue_policy import allows
from rollcall.doctor.stack_findings import FED_BY_USERS, stack_findings
from rollcall.domain.errors import AwsDenied, RollcallError, Throttled
from rollcall.domain.findings import Finding, Severity
from unit import observed
from unit.fakes import ACCOUNT
from unit.observed import HERE

if TYPE_CHECKING:
    from rollcall.doctor.observations import ObservedStack

BREAKS, WARNS = Severity.BREAKS_LAUNCHES, Severity.WARNING


def found(**changes: Any) -> dict[str, Finding]:
    """The findings about a stack in which single parts are changed, by key."""
    return of(observed.stack(**changes))


def of(stack: ObservedStack) -> dict[str, Finding]:
    """The findings about a stack, by key."""
    return observed.findings(observed.everything(stack=stack), HERE, stack_findings)


def only(**changes: Any) -> Finding:
    (finding,) = found(**changes).values()
    return finding


def test_a_stack_as_it_was_deployed_is_right() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("name", "fed", "severity"),
    [("LaunchRule", "LaunchQueue", BREAKS), ("TerminateRule", "TerminateQueue", WARNS)],
)
def test_a_rule_that_is_disabled_is_enabled_by_its_name(name: str, fed: str, severity: Severity) -> None:
    finding = only(**{name: observed.rule(name, fed, enabled=False)})
    assert (finding.key, finding.severity) == (f"{name}: disabled", severity)
    assert finding.remedy == f"aws events enable-rule --name {name}"


def test_a_rule_has_to_send_to_its_own_queue() -> None:
    finding = only(TerminatedRule=observed.rule("TerminatedRule", "LaunchQueue"))
    assert (finding.key, finding.severity) == ("TerminatedRule: not to its queue", WARNS)


@pytest.mark.parametrize("state", ["Disabled", "Disabling", "Creating", "Updating"])
def test_an_event_source_has_to_be_enabled(state: str) -> None:
    finding = only(GateFunction=state)
    assert (finding.key, finding.severity) == ("GateFunction: event source disabled", BREAKS)
    assert observed.queue_arn("GateQueue") in finding.remedy


def test_an_event_source_on_its_way_to_be_enabled_is_right() -> None:
    assert found(GateFunction="Enabling") == {}


def test_without_its_schedule_reconcile_makes_up_for_nothing() -> None:
    assert only(ReconcileFunction=False).key == "ReconcileFunction: schedule disabled"


@pytest.mark.parametrize("name", ["Launch", "Gate", "Terminate"])
def test_dead_letters_are_reported_with_their_number_and_stay_one_finding(name: str) -> None:
    queue = f"{name}DeadLetterQueue"
    finding = only(**{queue: observed.queue(queue, messages=3)})
    assert (finding.key, finding.severity) == (f"{queue}: not empty", WARNS)
    assert finding.reason.startswith("3 message(s)")
    assert only(**{queue: observed.queue(queue, messages=4)}).key == finding.key


def test_messages_at_work_are_no_fault() -> None:
    assert found(LaunchQueue=observed.queue("LaunchQueue", messages=100)) == {}


def test_what_a_queue_gives_up_goes_to_its_own_dead_letters() -> None:
    finding = only(GateQueue=observed.queue("GateQueue", dead_letters="", receives=0))
    assert (finding.key, finding.severity) == ("GateQueue: other dead letters", WARNS)
    assert finding.reason.endswith(" but to no queue at all")
    other = observed.queue("GateQueue", dead_letters=observed.queue_arn("LaunchDeadLetterQueue"))
    assert only(GateQueue=other).key == finding.key


@pytest.mark.parametrize(("name", "severity"), [("GateQueue", BREAKS), ("TerminateQueue", WARNS)])
def test_a_queue_may_not_give_up_before_the_hooks_do(name: str, severity: Severity) -> None:
    finding = only(**{name: observed.queue(name, receives=999)})
    assert (finding.key, finding.severity) == (f"{name}: gives up early", severity)
    assert finding.reason.endswith("before its hook stops waiting")
    assert "1000" in finding.remedy


def test_a_queue_without_a_policy_is_closed_to_each_of_its_rules_and_to_topics() -> None:
    findings = found(TerminateQueue=observed.queue("TerminateQueue", policy=""))
    assert findings.keys() == {
        "TerminateQueue: closed to TerminateRule",
        "TerminateQueue: closed to TerminatedRule",
        "TerminateQueue: closed to topics",
    }
    assert (
        found(LaunchQueue=observed.queue("LaunchQueue", policy=""))["LaunchQueue: closed to LaunchRule"].severity
        == BREAKS
    )


def test_the_gates_queue_is_fed_by_functions_and_needs_no_policy() -> None:
    assert found(GateQueue=observed.queue("GateQueue", policy="")) == {}


# The parts of alert, where the stack has a channel


def of_alert(**changes: Any) -> Finding:
    """The only finding about a stack that alerts, in which single parts are changed: a warning."""
    (finding,) = of(observed.alerting(**changes)).values()
    assert finding.severity == WARNS
    return finding


def test_a_stack_that_alerts_as_it_was_deployed_is_right() -> None:
    assert of(observed.alerting()) == {}


WITHOUT_DEAD_LETTERS = observed.alert_queue(dead_letters="", receives=0)
CLOSED_TO_RULES, CLOSED_TO_ALARMS = (
    observed.alert_queue(policy=json.dumps({"Statement": [observed.ALERT_POLICY["Statement"][left]]}))
    for left in (1, 0)
)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"AlertRule": observed.rule("AlertRule", "AlertQueue", enabled=False)}, "AlertRule: disabled"),
        ({"AlertRule": observed.rule("AlertRule", "LaunchQueue")}, "AlertRule: not to its queue"),
        ({"AlertEndRule": observed.rule("AlertEndRule", "AlertQueue", enabled=False)}, "AlertEndRule: disabled"),
        ({"AlertEndRule": observed.rule("AlertEndRule", "GateQueue")}, "AlertEndRule: not to its queue"),
        ({"alert_source": "Disabled"}, "AlertFunction: event source disabled"),
        ({"alert_schedule": False}, "AlertFunction: schedule disabled"),
        ({"AlarmTopic": observed.alarm_topic("LaunchQueue")}, "AlarmTopic: not to its queue"),
        ({"AlertQueue": WITHOUT_DEAD_LETTERS}, "AlertQueue: other dead letters"),
        ({"AlertQueue": observed.alert_queue(receives=3)}, "AlertQueue: gives up early"),
        ({"AlertQueue": CLOSED_TO_ALARMS}, "AlertQueue: closed to AlarmTopic"),
        (
            {"AlertDeadLetterQueue": observed.queue("AlertDeadLetterQueue", messages=2)},
            "AlertDeadLetterQueue: not empty",
        ),
    ],
)
def test_what_is_wrong_with_alert_only_warns_and_says_that_no_one_is_notified(
    changes: dict[str, Any], key: str
) -> None:
    finding = of_alert(**changes)
    assert finding.key == key
    assert "no one is notified of incidents" in finding.reason
    assert "hook" not in finding.reason


def test_the_queue_of_alert_has_to_be_open_to_both_of_its_rules() -> None:
    findings = of(observed.alerting(AlertQueue=CLOSED_TO_RULES))
    assert findings.keys() == {"AlertQueue: closed to AlertRule", "AlertQueue: closed to AlertEndRule"}
    assert all("no one is notified of incidents" in each.reason for each in findings.values())


def test_the_queue_of_alert_is_no_business_of_the_users_topics() -> None:
    anybody = json.dumps({"Statement": [{**each, "Condition": {}} for each in observed.ALERT_POLICY["Statement"]]})
    assert of(observed.alerting(AlertQueue=observed.alert_queue(policy=anybody))) == {}


def test_what_only_alert_suffers_from_is_reported_by_itself_and_breaks_no_launch() -> None:
    denied = AwsDenied("no permission")
    findings = of(
        observed.alerting(
            LaunchRule=denied,
            AlertRule=denied,
            AlertQueue=denied,
            AlarmTopic=denied,
            alert_source=denied,
            alert_schedule=denied,
        )
    )
    kinds = ("rules", "queues", "topics", "event source mappings", "schedules")
    assert {key: each.severity for key, each in findings.items()} == {
        "rules: not looked at (AwsDenied)": BREAKS,
        **{f"alert's {kind}: not looked at (AwsDenied)": WARNS for kind in kinds},
    }
    assert all(each.hides for each in findings.values())


def test_the_remedies_for_alert_name_what_they_are_about() -> None:
    assert of_alert(AlertRule=observed.rule("AlertRule", "AlertQueue", enabled=False)).remedy.endswith(
        "--name AlertRule"
    )
    subscribe = of_alert(AlarmTopic=observed.alarm_topic()).remedy
    assert f"--topic-arn {observed.ALARM_TOPIC} " in subscribe
    assert f"--notification-endpoint {observed.queue_arn('AlertQueue')} " in subscribe
    letters = of_alert(AlertDeadLetterQueue=observed.queue("AlertDeadLetterQueue", messages=2))
    assert letters.reason.startswith("2 message(s)")
    assert letters.remedy.startswith("rollcall redrive")
    mapping = of_alert(alert_source="Disabled").remedy
    assert f"--event-source-arn {observed.queue_arn('AlertQueue')}; aws" in mapping
    assert mapping.endswith("--uuid UUID")


# Policies


QUEUE, MINE = observed.queue_arn("LaunchQueue"), "arn:aws:sns:us-east-1:1:mine"


def statement(**changes: Any) -> str:
    made: dict[str, Any] = {
        "Resource": QUEUE,
        "Effect": "Allow",
        "Principal": {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]},
        "Action": ["sqs:SendMessage", "sqs:GetQueueUrl"],
    }
    return json.dumps({"Statement": [made | changes]})


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (statement(), True),
        (statement(Action="SQS:*"), True),
        (statement(Principal="*"), True),
        (json.dumps({"Statement": json.loads(statement())["Statement"][0]}), True),
        (statement(Resource="*"), True),
        (statement(Resource=[observed.queue_arn("other"), observed.queue_arn("Launch*")]), True),
        (statement(Condition={"ArnLike": {"aws:SourceArn": MINE}}), True),
        (statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:1:m?n*"}}), True),
        (statement(Condition={"ArnEquals": {"aws:SourceArn": ["arn:other", "arn:aws:sns:us-east-1:1:*"]}}), True),
        (statement(Condition={"StringEquals": {"aws:SourceArn": MINE}}), True),
        (statement(Condition={"StringEquals": {"aws:SourceAccount": [ACCOUNT]}}), True),
        (statement(Effect="Deny"), False),
        (statement(Principal={"Service": "s3.amazonaws.com"}), False),
        (statement(Principal={"AWS": "*"}), False),
        (statement(Action="sqs:ReceiveMessage"), False),
        (statement(Resource=observed.queue_arn("TerminateQueue")), False),
        (statement(Resource=[]), False),
        (statement(Condition={"ArnEquals": {"aws:SourceArn": "arn:other"}}), False),
        (statement(Condition={"ArnNotEquals": {"aws:SourceArn": MINE}}), False),
        (statement(Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:mine"}}), False),
        (statement(Condition={"StringEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:1:*"}}), False),
        (statement(Condition={"StringNotEquals": {"aws:SourceAccount": ACCOUNT}}), False),
        (statement(Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}}), False),
        (statement(Condition={"Bool": {"aws:SecureTransport": "true"}}), False),
        (
            statement(Condition={"ArnEquals": {"aws:SourceArn": MINE}, "StringEquals": {"aws:SourceAccount": "9"}}),
            False,
        ),
        ("", False),
        ("no JSON", False),
    ],
)
def test_a_policy_is_read_as_far_as_it_says_plainly_who_may_send(policy: str, allowed: bool) -> None:
    assert allows(observed.queue("LaunchQueue", policy=policy), "sns.amazonaws.com", MINE, ACCOUNT) == allowed


CLOSED = {"Statement": observed.POLICY["Statement"][:1]}


@pytest.mark.parametrize("queue", FED_BY_USERS)
@pytest.mark.parametrize(
    "senders", [Senders(observed.TOPIC), Senders(patterns=(observed.OWN_TOPICS,))], ids=["topic", "pattern"]
)
def test_a_queue_that_is_closed_to_a_topic_that_is_named_is_deployed_again(queue: str, senders: Senders) -> None:
    closed = observed.queue(queue, policy=json.dumps(CLOSED))
    finding = only(**{queue: closed}, senders=senders)
    assert (finding.key, finding.severity) == (f"{queue}: closed to topics", WARNS)
    assert f"does not let {senders.named[0]} send to it" in finding.reason
    assert finding.remedy.startswith("deploy the template again")


def test_a_queue_that_is_closed_to_topics_is_right_where_none_is_named() -> None:
    closed = {name: observed.queue(name, policy=json.dumps(CLOSED)) for name in FED_BY_USERS}
    assert found(**closed, senders=Senders()) == {}


def test_a_policy_that_opens_another_queue_opens_none() -> None:
    policy = {"Statement": [{**each, "Resource": QUEUE} for each in observed.POLICY["Statement"]]}
    findings = found(TerminateQueue=observed.queue("TerminateQueue", policy=json.dumps(policy)))
    assert findings.keys() == {
        "TerminateQueue: closed to TerminateRule",
        "TerminateQueue: closed to TerminatedRule",
        "TerminateQueue: closed to topics",
    }


def test_what_cannot_be_read_is_said_once_for_all_that_suffer_from_it_and_hides_no_other() -> None:
    denied, off = AwsDenied("no permission"), observed.rule("TerminateRule", "TerminateQueue", enabled=False)
    findings = found(LaunchRule=denied, TerminatedRule=denied, TerminateRule=off, GateQueue=Throttled("slow"))
    assert findings.keys() == {
        "rules: not looked at (AwsDenied)",
        "queues: not looked at (Throttled)",
        "TerminateRule: disabled",
    }
    rules = findings["rules: not looked at (AwsDenied)"]
    assert rules.reason == "rules of LaunchRule, TerminatedRule could not be read: no permission"
    assert (rules.severity, rules.hides) == (BREAKS, True)


def test_a_part_that_cannot_be_read_never_ends_the_reading() -> None:
    stack = observed.stack()
    for name in [*stack.rules, *stack.queues, *stack.sources, *stack.schedules]:
        findings = found(**{name: RollcallError("odd")})
        assert any("not looked at" in key for key in findings), name
        assert all(each.hides for each in findings.values()), name
