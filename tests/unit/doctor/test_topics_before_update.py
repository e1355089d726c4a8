"""What `rollcall doctor` says before a deployment that takes messages only from topics that are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rollcall.doctor.topic_findings import NOTICE_OF, QUEUE_OF
from rollcall.domain.errors import AwsDenied
from rollcall_cli import topics
from rollcall_cli.commands import doctor
from rollcall_cli.running import NotRun
from unit import observed
from unit.cli.commands import run
from unit.fakes import REGION
from unit.observed import OWN_TOPICS, ROLE, TOPIC, group, hook, queue_arn

if TYPE_CHECKING:
    from typer.testing import Result

    from rollcall.doctor.observations import ObservedGroup

OUTPUTS = {"HookPrefix": "rollcall"} | {f"{name}Arn": queue_arn(name) for name in QUEUE_OF.values()}
HOOKED = group(hooks=(hook(name="mine", target=TOPIC, role=ROLE), observed.HOOKS[1]))
OLD: dict[str, Any] = {"failed": False, "checked": ["this"], "findings": [], "left_out": 0, "seconds": 1.0}


class Before:
    """A stack before its upgrade, and the groups of its account."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *groups: ObservedGroup) -> None:
        self.aws = observed.FakeAwsReader(*groups)
        self.parameters: dict[str, str] = {}
        self.outputs = OUTPUTS
        self.answer: dict[str, Any] = OLD
        monkeypatch.setattr(topics, "AwsReader", lambda: self.aws)
        monkeypatch.setattr(topics, "described", lambda stack: (self.parameters, self.outputs))
        monkeypatch.setattr(doctor, "invoke", lambda *_: self.answer)

    def keys(self, patterns: str = "", *names: str) -> set[str]:
        return {each.key for each in topics.cut_off("rollcall", patterns, names)}

    def run(self, *options: str) -> Result:
        return run("doctor", "--region", REGION, *options)


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Before:
    return Before(monkeypatch, HOOKED, group(name="api", topics={TOPIC: frozenset(NOTICE_OF.values())}))


ALL = {"group web: topic of mine", "group api: topic for launches", "group api: topic for terminations"}


@pytest.mark.parametrize(
    ("patterns", "keys"), [("", ALL), ("arn:aws:sns:eu-west-1:111122223333:*", ALL), (f" {OWN_TOPICS}, arn:b", set())]
)
def test_what_would_be_cut_off_depends_on_what_would_be_named(before: Before, patterns: str, keys: set[str]) -> None:
    assert before.keys(patterns) == keys


def test_the_topic_that_the_stack_is_subscribed_to_is_named_by_itself(before: Before) -> None:
    before.parameters = {"NotificationTopicArn": TOPIC}
    assert before.keys() == set()


def test_only_groups_that_are_asked_for_are_looked_at(before: Before) -> None:
    assert before.keys("", "web") == {"group web: topic of mine"}
    assert ("hooks", "api") not in before.aws.calls


def test_subscriptions_that_may_not_be_read_are_reported_with_a_remedy_for_an_operator(before: Before) -> None:
    before.aws.failing["subscribers"] = AwsDenied("no")
    (finding,) = topics.cut_off("rollcall", "", ())
    assert finding.key == "subscriptions: not looked at (AwsDenied)"
    assert "your credentials sns:ListSubscriptionsByTopic" in finding.remedy
    assert "DoctorRole" not in finding.remedy


@pytest.mark.parametrize("method", ["groups", "hooks", "topics"])
def test_groups_that_may_not_be_read_are_no_all_clear(before: Before, method: str) -> None:
    before.aws.failing[method] = AwsDenied("AWS refused it")
    done = before.run()
    assert done.exit_code == 2
    assert "AWS refused it" in done.stderr
    assert "autoscaling:DescribeLifecycleHooks" in done.stderr


def test_another_stack_is_not_taken_for_rollcalls(before: Before) -> None:
    before.outputs = {}
    with pytest.raises(NotRun, match="not Rollcall's"):
        before.keys()


def test_the_doctor_of_a_version_before_is_made_up_for(before: Before) -> None:
    done = before.run()
    assert done.exit_code == 1
    assert done.stdout.startswith("1 BREAKS LAUNCHES\n  group web: hook 'mine' notifies")
    assert f"remedy: deploy with NotifyingTopicArns={TOPIC};" in done.stdout
    assert "\n  this\n  what a deployment of this version with NotifyingTopicArns='' would cut off\n" in done.stdout


@pytest.mark.parametrize(("failed", "code"), [(False, 0), (True, 1)])
def test_what_the_doctor_of_a_version_before_found_stays(before: Before, failed: bool, code: int) -> None:
    before.aws = observed.FakeAwsReader(group())
    before.answer = {**OLD, "failed": failed}
    assert before.run().exit_code == code


def test_the_doctor_of_this_version_looks_by_itself(before: Before) -> None:
    before.answer = {**OLD, "topics": []}
    done = before.run()
    assert done.exit_code == 0
    assert before.aws.calls == []
    assert "cut off" not in done.stdout


@pytest.mark.parametrize(("patterns", "code"), [("", 1), (OWN_TOPICS, 0)])
def test_another_deployment_is_tried_without_the_function(
    before: Before, monkeypatch: pytest.MonkeyPatch, patterns: str, code: int
) -> None:
    monkeypatch.delattr(doctor, "invoke")
    assert before.run("--topics", patterns).exit_code == code
    assert ("hooks", HOOKED.name) in before.aws.calls
