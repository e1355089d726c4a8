"""How an execution stands, by the newest event of its history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from rollcall.aws.execution_history import ExecutionHistory, ExecutionStatus
from rollcall.domain.errors import AwsDenied
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:Cycle:web"


AT = 1_800_000_000.0
REFUSALS = ("AccessDeniedException", "ExecutionDoesNotExist")


class History:
    """One execution of Step Functions."""

    def __init__(self, newest: str) -> None:
        self.newest = newest
        self.asked: Mapping[str, Any] = {}

    def get_execution_history(self, **asked: Any) -> Any:
        self.asked = asked
        if self.newest in REFUSALS:
            raise ClientError({"Error": {"Code": self.newest, "Message": "no"}}, "GetExecutionHistory")
        return {"events": [{"type": self.newest, "timestamp": datetime.fromtimestamp(AT, UTC)}]}


@pytest.mark.parametrize(
    ("newest", "status"),
    [
        ("ExecutionSucceeded", "SUCCEEDED"),
        ("ExecutionFailed", "FAILED"),
        ("ExecutionAborted", "ABORTED"),
        ("ExecutionTimedOut", "TIMED_OUT"),
        ("WaitStateEntered", "RUNNING"),
        ("ExecutionRedriven", "RUNNING"),
        ("ExecutionDoesNotExist", None),
    ],
)
def test_it_goes_on_until_its_newest_event_says_otherwise(
    newest: str, status: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(newest)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: history)
    assert ExecutionHistory(REGION).status(EXECUTION) == (ExecutionStatus(status, AT) if status else None)
    assert ExecutionHistory(REGION).goes_on(EXECUTION) is (status == "RUNNING")
    assert history.asked == {"executionArn": EXECUTION, "reverseOrder": True, "maxResults": 1}


def test_whether_one_goes_on_that_may_not_be_read_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "client", lambda *_, **__: History("AccessDeniedException"))
    with pytest.raises(AwsDenied):
        ExecutionHistory(REGION).goes_on(EXECUTION)
