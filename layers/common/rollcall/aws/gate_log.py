"""What the gate's log says against instances: a line for each ABANDON, and for each HOLD with grounds.

The event bus publishes the same, but keeps nothing; the log is kept for LogRetentionDays, and read when it is needed.
Methods raise AwsUnavailable for what passes by itself, AwsDenied or AwsRejected for the rest.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, NamedTuple

import boto3

from .client import CLIENT_CONFIG, aws_errors


class GateLine(NamedTuple):
    """A decision of the gate against an instance. at: epoch seconds. decision: abandon or hold.

    checks: those that failed; empty where its job is the grounds. job: the id, None without.
    """

    at: float
    instance_id: str
    decision: str
    checks: tuple[str, ...]
    job: int | None
    reason: str


class GateLog:
    """The gate's log, by its log group's name."""

    def __init__(self, log_group: str, region: str) -> None:
        self._log_group = log_group
        self._region = region

    @cached_property
    def _logs(self) -> Any:
        return boto3.client("logs", region_name=self._region, config=CLIENT_CONFIG)

    def decisions(self, group: str, since: float) -> list[GateLine]:
        """What was decided against instances of a group since then (epoch seconds), the oldest first."""
        pattern = f'{{ ($.group = {json.dumps(group)}) && ($.decision = "*") }}'
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=self._log_group, filterPattern=pattern, startTime=int(since * 1000)
        )
        with aws_errors(f"FilterLogEvents of {self._log_group}"):
            found = [
                line
                for page in pages
                for each in page["events"]
                if (line := read_gate_line(each["message"], each["timestamp"] / 1000, group))
            ]
        return sorted(found, key=lambda each: each.at)


def read_gate_line(message: str, at: float, group: str) -> GateLine | None:
    """A line of the log; None for one of another group, or that decides nothing against an instance."""
    try:
        raw = json.loads(message)
    except ValueError:  # the Lambda runtime's own lines
        return None
    if not isinstance(raw, dict) or raw.get("group") != group or "decision" not in raw:
        return None
    return GateLine(
        at=at,
        instance_id=str(raw.get("instance_id", "")),
        decision=str(raw["decision"]),
        checks=tuple(map(str, raw.get("checks") or ())),
        job=raw.get("job"),
        reason=str(raw.get("message", "")),
    )
