"""What is asked of AWS for a history, and what is said of what does not answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from rollcall.aws.fleet import Fleet
from rollcall.domain.groups import Group
from rollcall.domain.membership import Membership
from rollcall_cli.history import history
from rollcall_cli.history.activities import Activities
from rollcall_cli.history.history import Wanted, read_history
from rollcall_cli.history.log_lines import Logs
from rollcall_cli.running import NotRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ID, OTHER = "i-0123456789abcdef0", "i-0fedcba9876543210"
NOW = 1_000_000.0
REFUSED = ClientError(
    {"Error": {"Code": "AccessDeniedException", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}},  # type: ignore[typeddict-item]
    "FilterLogEvents",
)


class FakeAws:
    """AWS: pages by the name of a call, or an error. asked: each call with its arguments."""

    def __init__(self, **pages: Any) -> None:
        self.pages = pages
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str, **options: object) -> FakeAws:
        return self

    def get_paginator(self, name: str) -> FakePaginator:
        return FakePaginator(self, name)


class FakePaginator:
    def __init__(self, aws: FakeAws, name: str) -> None:
        self._aws, self._name = aws, name

    def paginate(self, **which: Any) -> Iterator[Any]:
        self._aws.asked.append((self._name, which))
        found = self._aws.pages[self._name]
        for page in found(which) if callable(found) else found:
            if isinstance(page, Exception):
                raise page
            yield page


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeAws]:
    """Makes AWS answer with these pages."""

    def make(**pages: Any) -> FakeAws:
        aws = FakeAws(**pages)
        monkeypatch.setattr(boto3, "client", aws.client)
        return aws

    return make


def activity(what: str, instance_id: str, began: float, group: str = "web") -> dict[str, Any]:
    return {
        "AutoScalingGroupName": group,
        "Description": f"{what}: {instance_id}",
        "StartTime": datetime.fromtimestamp(began, UTC),
        "EndTime": datetime.fromtimestamp(began + 10, UTC),
        "StatusCode": "Successful",
    }


LAUNCH, TERMINATION = "Launching a new EC2 instance", "Terminating EC2 instance"
PAGES = [
    {"Activities": [activity(TERMINATION, ID, NOW - 100), activity(LAUNCH, OTHER, NOW - 200)]},
    {"Activities": [activity(LAUNCH, ID, NOW - 300), activity(TERMINATION, ID, NOW - 9000)]},
]


def ignore(words: str) -> None:
    """No progress is shown."""


def test_aws_leaves_out_activities_that_began_earlier(use: Callable[..., FakeAws]) -> None:
    aws = use(describe_scaling_activities=PAGES)
    assert len(Activities(ignore).of_group("web", NOW - 3600)) == 4
    [(_, which)] = aws.asked
    assert which["AutoScalingGroupName"] == "web"
    assert which["IncludeDeletedGroups"] is True
    [bound] = which["Filters"]
    assert bound["Name"] == "StartTimeLowerBound"
    assert datetime.fromisoformat(bound["Values"][0]).timestamp() == NOW - 3600


def test_an_instance_is_read_back_to_its_launch_and_no_further(use: Callable[..., FakeAws]) -> None:
    use(describe_scaling_activities=PAGES)
    found = Activities(ignore).of_instance(ID, "web", 0)
    assert [each.what for each in found] == [TERMINATION, LAUNCH]


def test_the_group_of_an_instance_that_is_gone_is_looked_for_in_all(use: Callable[..., FakeAws]) -> None:
    aws = use(describe_scaling_activities=PAGES)
    assert Activities(ignore).group_of(ID, 0) == "web"
    assert "AutoScalingGroupName" not in aws.asked[0][1]
    assert Activities(ignore).group_of("i-00000000000000000", 0) is None


def test_progress_says_how_far_it_is(use: Callable[..., FakeAws]) -> None:
    use(describe_scaling_activities=PAGES)
    said: list[str] = []
    Activities(said.append).of_group("web", 0)
    assert said[-1] == "reading the activities of web: 4"


def resources(*names: str) -> list[Any]:
    return [
        {
            "StackResourceSummaries": [
                {"LogicalResourceId": each, "PhysicalResourceId": f"log-{each}", "ResourceType": "AWS::Logs::LogGroup"}
                for each in names
            ]
        }
    ]


ALL_LOGS = resources(*(f"{each}LogGroup" for each in ("Register", "Gate", "Cleanup", "Reconcile")))


def line(instance_id: str, second: int) -> dict[str, Any]:
    said = {
        "timestamp": f"2026-11-30 19:04:{second:02d},000+0000",
        "instance_id": instance_id,
        "group": "web",
        "message": "x",
    }
    return {"message": json.dumps(said)}


def test_the_lines_of_all_logs_are_put_in_order(use: Callable[..., FakeAws]) -> None:
    pages = {
        "log-GateLogGroup": [{"events": [line(ID, 9)]}],
        "log-CleanupLogGroup": [{"events": []}, {"events": [line(ID, 4), line(OTHER, 5), {"message": "REPORT"}]}],
    }
    aws = use(
        list_stack_resources=ALL_LOGS,
        filter_log_events=lambda which: pages.get(which["logGroupName"], [{"events": []}]),
    )
    found = Logs("rollcall", ignore).lines({"web"}, {ID}, 100.0, 200.5)
    assert [each.at % 60 for each in found.lines] == [4, 9]
    assert found.gaps == ()
    asked = [which for name, which in aws.asked if name == "filter_log_events"]
    assert {(each["startTime"], each["endTime"]) for each in asked} == {(100_000, 200_500)}
    assert {each["filterPattern"] for each in asked} == {f'{{ $.instance_id = "{ID}" }}'}


def test_a_log_that_cannot_be_read_or_is_not_there_is_a_gap_and_the_others_are_read(
    use: Callable[..., FakeAws],
) -> None:
    use(
        list_stack_resources=resources("RegisterLogGroup", "GateLogGroup", "ReconcileLogGroup"),
        filter_log_events=lambda which: [REFUSED] if "Gate" in which["logGroupName"] else [{"events": [line(ID, 4)]}],
    )
    found = Logs("rollcall", ignore).lines({"web"}, {ID, OTHER}, 0, NOW)
    assert len(found.lines) == 2
    gate, cleanup = found.gaps
    assert gate.startswith(
        "What the log of gate would show is missing: AWS refused FilterLogEvents of log-GateLogGroup"
    )
    assert cleanup == "The stack has no resource CleanupLogGroup: what the log of cleanup would show is missing."


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The parameters of the stack; one group, web, with one member."""
    parameters = {"TowerUrl": "https://tower.invalid", "TowerSecretArn": "arn", "LogRetentionDays": "1"}
    monkeypatch.setattr(history, "described", lambda stack: (parameters, {}))
    groups = {"web": Group("web", {"rollcall:inventory": "production"}, {})}
    monkeypatch.setattr(
        Fleet, "groups", lambda self, names: {name: own for name, own in groups.items() if name in names}
    )
    monkeypatch.setattr(
        Fleet,
        "memberships",
        lambda self, ids: {each: Membership("web", "InService") for each in ids if each == OTHER},
    )
    return parameters


def test_a_stack_that_is_not_rollcalls_is_refused(stack: dict[str, str]) -> None:
    stack.clear()
    with pytest.raises(NotRun, match="Stack other is not Rollcall's"):
        read_history("other", "us-east-1", Wanted(0, "web"), NOW, ignore)


def test_a_group_without_activities_has_an_empty_history_and_one_that_is_not_there_is_refused(
    use: Callable[..., FakeAws], stack: dict[str, str]
) -> None:
    use(describe_scaling_activities=[{"Activities": []}])
    assert read_history("rollcall", "us-east-1", Wanted(0, "web"), NOW, ignore).records == ()
    with pytest.raises(NotRun, match="AWS has no Auto Scaling group 'webb' in us-east-1"):
        read_history("rollcall", "us-east-1", Wanted(0, "webb"), NOW, ignore)
    with pytest.raises(NotRun, match=f"AWS knows no activity about {ID}"):
        read_history("rollcall", "us-east-1", Wanted(0, instance_id=ID), NOW, ignore)


def test_what_is_known_is_drawn_and_each_gap_is_named(
    use: Callable[..., FakeAws], stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_TOWER_TOKEN", "not\na token")
    long_ago = {"Activities": [activity(LAUNCH, ID, NOW - 200_000, "gone")]}
    use(
        describe_scaling_activities=[*PAGES, long_ago],
        list_stack_resources=ALL_LOGS,
        filter_log_events=[{"events": []}],
    )
    found = read_history("rollcall", "us-east-1", Wanted(NOW - 300_000, "web"), NOW, ignore)
    assert {each.instance_id for each in found.records} == {ID, OTHER}
    gone, kept, tower = found.gaps
    assert gone == "AWS does not have gone any more: what was asked for there is not known."
    assert kept.startswith("The functions' logs are kept for 1 day: registrations and removals before that")
    assert tower.startswith("What Tower would show of hosts and jobs is missing: ")
