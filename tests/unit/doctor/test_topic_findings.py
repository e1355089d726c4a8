"""What doctor finds of topics that hooks and groups notify, and that no queue takes anything from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.doctor.arn_patterns import arn_like
from rollcall.doctor.observations import Senders
from rollcall.doctor.topic_findings import NOTICE_OF, QUEUE_OF, diagnose_topics
from rollcall.domain.actions import Transition
from rollcall.domain.errors import AwsDenied
from rollcall.domain.findings import Finding, Severity
from unit.fakes import ACCOUNT, REGION
from unit.sight import HOOKS, OWN_TOPICS, ROLE, TOPIC, group, hook, queue_arn

if TYPE_CHECKING:
    from rollcall.doctor.observations import SeenGroup

BREAKS, WARNS = Severity.BREAKS_LAUNCHES, Severity.WARNING
LAUNCHING, TERMINATING = Transition.LAUNCHING, Transition.TERMINATING
QUEUES = {transition: queue_arn(name) for transition, name in QUEUE_OF.items()}
BOTH_HEAR = {TOPIC: frozenset(QUEUES.values())}
OTHER = f"arn:aws:sns:{REGION}:{ACCOUNT}:other"


def found(
    *groups: SeenGroup, subscribers: Any = BOTH_HEAR, senders: Senders | None = None, queues: Any = QUEUES
) -> dict[str, Finding]:
    """By key; no topic may send unless senders say so."""
    findings = list(diagnose_topics(groups, subscribers, queues, senders or Senders(), "rollcall"))
    return {each.key: each for each in findings}


def told(*transitions: Transition, topic: str = TOPIC) -> SeenGroup:
    """A group that itself notifies a topic."""
    return group(topics={topic: frozenset(NOTICE_OF[each] for each in transitions)})


@pytest.mark.parametrize(
    ("transition", "name", "severity", "harm"),
    [
        (LAUNCHING, "mine", BREAKS, "its launches wait until the hook times out"),
        (LAUNCHING, "rollcall-a", WARNS, "its launches wait until reconcile finds them"),
        (TERMINATING, "mine", WARNS, "its terminations wait until the hook times out"),
        (TERMINATING, "rollcall-b", WARNS, "its terminations wait until reconcile finds them"),
    ],
)
def test_a_hook_whose_topic_is_not_named_is_cut_off(
    transition: Transition, name: str, severity: Severity, harm: str
) -> None:
    (finding,) = found(group(hooks=(hook(transition, name=name, target=TOPIC, role=ROLE),))).values()
    assert (finding.key, finding.severity) == (f"group web: topic of {name}", severity)
    assert f"notifies {TOPIC}, to which {QUEUE_OF[transition]} is subscribed" in finding.reason
    assert harm in finding.reason
    assert finding.remedy.startswith(f"deploy with NotifyingTopicArns={TOPIC};")


def test_a_group_that_did_not_opt_in_is_cut_off_as_well() -> None:
    assert found(group(inventory=None, hooks=(hook(name="mine", target=TOPIC, role=ROLE),)))


@pytest.mark.parametrize(
    ("transition", "word"), [(LAUNCHING, "launches"), (TERMINATING, "terminations")], ids=["launching", "terminating"]
)
def test_notifications_to_a_topic_that_is_not_named_are_lost(transition: Transition, word: str) -> None:
    (finding,) = found(told(transition)).values()
    assert (finding.key, finding.severity) == (f"group web: topic for {word}", WARNS)
    assert f"it notifies {TOPIC} of {word}" in finding.reason


@pytest.mark.parametrize(
    "senders",
    [Senders(TOPIC), Senders(patterns=(TOPIC,)), Senders(patterns=(OTHER, OWN_TOPICS)), Senders(OTHER, (OWN_TOPICS,))],
)
def test_a_topic_that_is_named_or_matches_a_pattern_is_heard(senders: Senders) -> None:
    hooks = tuple(hook(each, target=TOPIC, role=ROLE) for each in Transition)
    assert found(group(hooks=hooks), told(*Transition), senders=senders) == {}


@pytest.mark.parametrize("senders", [Senders(OTHER), Senders(patterns=(f"arn:aws:sns:{REGION}:999999999999:*",))])
def test_a_topic_that_others_names_do_not_match_is_not(senders: Senders) -> None:
    assert found(told(LAUNCHING), senders=senders)


def test_one_deployment_names_every_topic_beside_those_that_are_named_already() -> None:
    kept = "arn:aws:sns:eu-west-1:111122223333:kept-*"
    groups = (told(LAUNCHING, topic=OTHER), told(TERMINATING))
    subscribers = {TOPIC: frozenset(QUEUES.values()), OTHER: frozenset(QUEUES.values())}
    findings = found(*groups, subscribers=subscribers, senders=Senders("arn:notified", (kept,)))
    assert len(findings) == 2
    for each in findings.values():
        assert each.remedy.startswith(f"deploy with NotifyingTopicArns={kept},{TOPIC},{OTHER};")


@pytest.mark.parametrize(
    "subscribers",
    [{}, {TOPIC: frozenset({queue_arn("other")})}, {TOPIC: frozenset({QUEUES[TERMINATING]})}, {TOPIC: AwsDenied("no")}],
    ids=["no subscriber", "another queue", "the other queue", "not shown"],
)
def test_what_does_not_lead_to_the_queue_of_its_direction_is_not_cut_off(subscribers: Any) -> None:
    hooks = (hook(name="mine", target=TOPIC, role=ROLE),)
    assert found(group(hooks=hooks), told(LAUNCHING), subscribers=subscribers) == {}


def test_a_hook_that_notifies_a_queue_sends_with_its_role_and_needs_no_topic() -> None:
    hooks = tuple(hook(each, target=QUEUES[each], role=ROLE) for each in Transition)
    assert found(group(hooks=hooks), group(hooks=HOOKS)) == {}


def test_what_cannot_be_looked_at_is_no_topic_that_is_cut_off() -> None:
    denied = AwsDenied("no")
    assert found(group(hooks=denied), group(topics=denied)) == {}
    assert found(told(LAUNCHING), queues=dict.fromkeys(Transition, "")) == {}


@pytest.mark.parametrize(
    ("pattern", "arn", "like"),
    [
        (TOPIC, TOPIC, True),
        ("arn:aws:sns:*:123456789012:*", TOPIC, True),
        ("arn:aws:sns:us-east-?:123456789012:not*s", TOPIC, True),
        ("arn:aws:sns:*", TOPIC, False),
        ("*", TOPIC, False),
        ("arn:aws:sns:us-east-1:12345678901?:[a-z]*", TOPIC, False),
        ("arn:aws:sns:us-east-1:123456789012:notification", TOPIC, False),
        (TOPIC.upper(), TOPIC, False),
        ("arn:aws:sns:us-east-1:123456789012:*", "arn:aws:sns:us-east-1:123456789012:a:b", True),
        ("arn:aws:sns:us-east-1:123456789012:a.b", "arn:aws:sns:us-east-1:123456789012:axb", False),
    ],
)
def test_patterns_are_compared_component_by_component(pattern: str, arn: str, like: bool) -> None:
    assert arn_like(pattern, arn) == like
