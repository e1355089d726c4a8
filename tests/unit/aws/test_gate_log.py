"""The lines of the gate's log that decide against an instance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import Stubber

from rollcall.aws.gate_log import GateLine, GateLog, read_gate_line
from rollcall.domain.errors import AwsDenied
from unit.fakes import REGION

GROUP = 'we"b'
ABANDONED = {
    "message": "abandoned: its job failed",
    "group": GROUP,
    "instance_id": "i-a",
    "event": "Instance Abandoned",
    "decision": "abandon",
    "checks": [],
    "job": 41,
}
HELD = {"message": "held", "group": GROUP, "instance_id": "i-b", "decision": "hold", "checks": ["ec2"], "job": 42}


@pytest.fixture
def log() -> GateLog:
    return GateLog("/rollcall/gate", REGION)


def event(at: float, raw: Any) -> dict[str, Any]:
    return {"timestamp": int(at * 1000), "message": raw if isinstance(raw, str) else json.dumps(raw)}


def test_decisions_against_instances_are_read_from_all_pages_the_oldest_first(log: GateLog) -> None:
    pattern = '{ ($.group = "we\\"b") && ($.decision = "*") }'
    expected = {"logGroupName": "/rollcall/gate", "filterPattern": pattern, "startTime": 100_000}
    with Stubber(log._logs) as logs:
        logs.add_response("filter_log_events", {"events": [event(300, HELD)], "nextToken": "more"}, expected)
        logs.add_response("filter_log_events", {"events": [event(200, ABANDONED)]}, {**expected, "nextToken": "more"})
        assert log.decisions(GROUP, 100.0) == [
            GateLine(200.0, "i-a", "abandon", (), 41, "abandoned: its job failed"),
            GateLine(300.0, "i-b", "hold", ("ec2",), 42, "held"),
        ]
        logs.assert_no_pending_responses()


@pytest.mark.parametrize(
    "message",
    [
        "START RequestId: 1",
        "[1]",
        json.dumps({**ABANDONED, "group": "other"}),
        json.dumps({"group": GROUP, "message": "ready"}),
    ],
    ids=["the runtime's", "no object", "another group's", "no decision"],
)
def test_other_lines_are_left_out(message: str) -> None:
    assert read_gate_line(message, 1.0, GROUP) is None


def test_a_log_that_may_not_be_read_is_named(log: GateLog) -> None:
    with Stubber(log._logs) as logs:
        logs.add_client_error("filter_log_events", "AccessDeniedException", "no", http_status_code=400)
        with pytest.raises(AwsDenied, match="FilterLogEvents of /rollcall/gate"):
            log.decisions(GROUP, 0.0)
