"""What Auto Scaling's activities say of an instance, as they are described."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rollcall_cli.history.activities import Activity, read_activity, states_of

ID = "i-0123456789abcdef0"
ABANDONED = "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token t was abandoned: "


def raw(description: str, began: float = 100.5, ended: float | None = 112, status: str = "Successful") -> Any:
    """An activity as boto3 gives it."""
    found = {
        "AutoScalingGroupName": "web",
        "Description": description,
        "StartTime": datetime.fromtimestamp(began, UTC),
        "StatusCode": status,
    }
    return found | ({} if ended is None else {"EndTime": datetime.fromtimestamp(ended, UTC)})


def read(*described: Any) -> list[Activity]:
    return [each for each in map(read_activity, described) if each]


@pytest.mark.parametrize(
    ("what", "states"),
    [
        ("Launching a new EC2 instance", ["Pending", "InService"]),
        ("Launching a new EC2 instance into warm pool", ["Warmed:Pending", "Warmed:Stopped"]),
        ("Launching a new EC2 instance from warm pool", ["Pending", "InService"]),
        ("Terminating EC2 instance", ["Terminating", "Terminated"]),
        ("Moving EC2 instance to Standby", ["EnteringStandby", "Standby"]),
        ("Detaching EC2 instance", ["Detaching", "Detached"]),
        ("Something that AWS does from next year on", []),
    ],
)
def test_an_activity_shows_states(what: str, states: list[str]) -> None:
    (found,) = read(raw(f"{what}: {ID}"))
    assert (found.group, found.instance_id, found.what) == ("web", ID, what)
    assert [state for _, state in found.states()] == states


def test_one_that_goes_on_shows_its_beginning() -> None:
    assert states_of(read(raw(f"Launching a new EC2 instance: {ID}", ended=None, status="MidLifecycleAction"))) == [
        (100.5, "Pending")
    ]


@pytest.mark.parametrize("status", ["Failed", "Cancelled"])
@pytest.mark.parametrize(("reason", "late"), [("Heartbeat Timeout", True), ("ABANDON Result", False)])
def test_a_launch_that_failed_ends_in_a_termination(status: str, reason: str, late: bool) -> None:
    words = f"Launching a new EC2 instance: {ID}. Status Reason: {ABANDONED}{reason}"
    (found,) = read(raw(words, status=status))
    assert [state for _, state in found.states()] == ["Pending", "Terminating"]
    assert found.timed_out is late


def test_a_launch_that_went_on_after_a_timeout_did_not_fail_by_it() -> None:
    words = f"Launching a new EC2 instance: {ID}. Status Reason: {ABANDONED}Heartbeat Timeout"
    (found,) = read(raw(words, status="Successful"))
    assert not found.timed_out
    assert [state for _, state in found.states()] == ["Pending", "InService"]


def test_what_began_first_comes_first_though_the_next_begins_at_its_end() -> None:
    found = read(
        raw(f"Terminating EC2 instance: {ID}", began=112, ended=150),
        raw(f"Launching a new EC2 instance: {ID}", began=100.2, ended=112),
    )
    assert [state for _, state in states_of(found)] == ["Pending", "InService", "Terminating", "Terminated"]


def test_an_instance_is_terminated_last_though_aws_gives_its_end_in_whole_seconds() -> None:
    found = read(
        raw(f"Terminating EC2 instance: {ID}", began=150.7, ended=150),
        raw(f"Launching a new EC2 instance: {ID}", began=100.2, ended=112),
    )
    assert states_of(found) == [
        (100.2, "Pending"),
        (112, "InService"),
        (150.7, "Terminating"),
        (150.7, "Terminated"),
    ]


def test_a_launch_that_aws_refused_is_about_no_instance() -> None:
    assert read(raw("Launching a new EC2 instance.  Status Reason: You have requested more instances")) == []
