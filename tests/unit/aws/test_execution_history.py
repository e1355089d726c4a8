"""Whether an execution is over, by the newest event of its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from rollcall.aws.execution_history import ExecutionHistory
from unit.fakes import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:Cycle:web"


class History:
    """One execution of Step Functions."""

    def __init__(self, newest: str) -> None:
        self.newest = newest
        self.asked: Mapping[str, Any] = {}

    def get_execution_history(self, **asked: Any) -> Any:
        self.asked = asked
        return {"events": [{"type": self.newest}]}


@pytest.mark.parametrize(
    ("newest", "is_over"),
    [
        ("ExecutionSucceeded", True),
        ("ExecutionFailed", True),
        ("ExecutionAborted", True),
        ("ExecutionTimedOut", True),
        ("WaitStateEntered", False),
        ("ExecutionRedriven", False),
    ],
)
def test_it_is_over_once_its_newest_event_says_so(newest: str, is_over: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(newest)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: history)
    assert ExecutionHistory(REGION).is_over(EXECUTION) is is_over
    assert history.asked == {"executionArn": EXECUTION, "reverseOrder": True, "maxResults": 1}
