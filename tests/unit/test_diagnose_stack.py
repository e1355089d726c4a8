"""What doctor finds wrong with the stack's own parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollcall.diagnose_stack import allows, diagnose_stack
from rollcall.errors import AwsDenied, RollcallError, Throttled
from rollcall.findings import Finding, Severity

from . import sight
from .fakes import ACCOUNT

BREAKS, WARNS = Severity.BREAKS_LAUNCHES, Severity.WARNING


def found(**changes: Any) -> dict[str, Finding]:
    """The findings about a stack in which single parts are changed, by key."""
    findings = list(diagnose_stack(sight.stack(**changes), ACCOUNT))
    assert len({each.key for each in findings}) == len(findings)
    return {each.key: each for each in findings}


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
    finding = only(**{name: sight.rule(name, fed, enabled=False)})
    assert (finding.key, finding.severity) == (f"{name}: disabled", severity)
    assert finding.remedy == f"aws events enable-rule --name {name}"


def test_a_rule_has_to_send_to_its_own_queue() -> None:
    finding = only(TerminatedRule=sight.rule("TerminatedRule", "LaunchQueue"))
    assert (finding.key, finding.severity) == ("TerminatedRule: not to its queue", WARNS)


@pytest.mark.parametrize("state", ["Disabled", "Disabling", "Creating", "Updating"])
def test_an_event_source_has_to_be_enabled(state: str) -> None:
    finding = only(GateFunction=state)
    assert (finding.key, finding.severity) == ("GateFunction: event source disabled", BREAKS)
    assert sight.queue_arn("GateQueue") in finding.remedy


def test_an_event_source_on_its_way_to_be_enabled_is_right() -> None:
    assert found(GateFunction="Enabling") == {}


def test_without_its_schedule_reconcile_makes_up_for_nothing() -> None:
    assert only(ReconcileFunction=False).key == "ReconcileFunction: schedule disabled"


@pytest.mark.parametrize("name", ["Launch", "Gate", "Terminate"])
def test_dead_letters_are_told_of_with_their_number_and_stay_one_finding(name: str) -> None:
    queue = f"{name}DeadLetterQueue"
    finding = only(**{queue: sight.queue(queue, messages=3)})
    assert (finding.key, finding.severity) == (f"{queue}: not empty", WARNS)
    assert finding.reason.startswith("3 message(s)")
    assert only(**{queue: sight.queue(queue, messages=4)}).key == finding.key


def test_messages_at_work_are_no_fault() -> None:
    assert found(LaunchQueue=sight.queue("LaunchQueue", messages=100)) == {}


def test_what_a_queue_gives_up_goes_to_its_own_dead_letters() -> None:
    finding = only(GateQueue=sight.queue("GateQueue", dead_letters="", receives=0))
    assert (finding.key, finding.severity) == ("GateQueue: other dead letters", WARNS)
    assert "but to nobody" in finding.reason
    other = sight.queue("GateQueue", dead_letters=sight.queue_arn("LaunchDeadLetterQueue"))
    assert only(GateQueue=other).key == finding.key


@pytest.mark.parametrize(("name", "severity"), [("GateQueue", BREAKS), ("TerminateQueue", WARNS)])
def test_a_queue_may_not_give_up_before_the_hooks_do(name: str, severity: Severity) -> None:
    finding = only(**{name: sight.queue(name, receives=999)})
    assert (finding.key, finding.severity) == (f"{name}: gives up early", severity)
    assert "1000" in finding.remedy


def test_a_queue_without_a_policy_is_closed_to_each_of_its_rules_and_to_topics() -> None:
    findings = found(TerminateQueue=sight.queue("TerminateQueue", policy=""))
    assert findings.keys() == {
        "TerminateQueue: closed to TerminateRule",
        "TerminateQueue: closed to TerminatedRule",
        "TerminateQueue: closed to topics",
    }
    assert (
        found(LaunchQueue=sight.queue("LaunchQueue", policy=""))["LaunchQueue: closed to LaunchRule"].severity == BREAKS
    )


def test_the_gates_queue_is_fed_by_functions_and_needs_no_policy() -> None:
    assert found(GateQueue=sight.queue("GateQueue", policy="")) == {}


def statement(**changes: Any) -> str:
    made: dict[str, Any] = {
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
        (statement(Condition={"ArnLike": {"aws:SourceArn": "arn:mine"}}), True),
        (statement(Condition={"StringEquals": {"aws:SourceAccount": [ACCOUNT]}}), True),
        (statement(Effect="Deny"), False),
        (statement(Principal={"Service": "s3.amazonaws.com"}), False),
        (statement(Principal={"AWS": "*"}), False),
        (statement(Action="sqs:ReceiveMessage"), False),
        (statement(Condition={"ArnEquals": {"aws:SourceArn": "arn:other"}}), False),
        (statement(Condition={"StringEquals": {"aws:SourceAccount": "999999999999"}}), False),
        (statement(Condition={"Bool": {"aws:SecureTransport": "true"}}), False),
        (
            statement(
                Condition={"ArnEquals": {"aws:SourceArn": "arn:mine"}, "StringEquals": {"aws:SourceAccount": "9"}}
            ),
            False,
        ),
        ("", False),
        ("no JSON", False),
    ],
)
def test_a_policy_is_read_as_far_as_it_says_plainly_who_may_send(policy: str, allowed: bool) -> None:
    assert allows(policy, "sns.amazonaws.com", "arn:mine", ACCOUNT) == allowed


def test_what_cannot_be_read_is_said_once_for_all_that_suffer_from_it_and_hides_no_other() -> None:
    denied, off = AwsDenied("no permission"), sight.rule("TerminateRule", "TerminateQueue", enabled=False)
    findings = found(LaunchRule=denied, TerminatedRule=denied, TerminateRule=off, GateQueue=Throttled("slow"))
    assert findings.keys() == {
        "rules: not looked at (AwsDenied)",
        "queues: not looked at (Throttled)",
        "TerminateRule: disabled",
    }
    rules = findings["rules: not looked at (AwsDenied)"]
    assert rules.reason == "rules of LaunchRule, TerminatedRule could not be looked at: no permission"
    assert (rules.severity, rules.hides) == (BREAKS, True)


def test_a_part_that_cannot_be_read_never_ends_the_look() -> None:
    stack = sight.stack()
    for name in [*stack.rules, *stack.queues, *stack.sources, *stack.schedules]:
        findings = found(**{name: RollcallError("odd")})
        assert any("not looked at" in key for key in findings), name
        assert all(each.hides for each in findings.values()), name
