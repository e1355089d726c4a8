"""What the bake function is invoked with."""

from __future__ import annotations

import pytest

from rollcall.bake.invocation import STEPS, read_invocation, retire_event, retire_others_event, sweep_event
from rollcall.domain.errors import BadEvent

ARN = "arn:aws:states:us-east-1:123456789012:execution:Bake:web-2b1d6f0a-now"


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_read_with_all_that_came_with_it(step: str) -> None:
    event = {"step": step, "bake": {"group": "web"}, "execution": {"id": ARN}}
    assert read_invocation(event) == (step, event, ARN)


def test_an_execution_that_was_stopped_is_read() -> None:
    detail = {"executionArn": ARN, "status": "TIMED_OUT", "input": "{}"}
    assert read_invocation({"source": "aws.states", "detail": detail}) == ("", detail, ARN)


def test_upkeep_is_read_as_reconcile_sends_it() -> None:
    assert read_invocation(sweep_event()).step == "sweep"
    assert read_invocation(retire_others_event()).step == "retire_others"
    read = read_invocation(retire_event("web", dry_run=True))
    assert (read.step, read.fields["group"], read.fields["dry_run"], read.fields["force"]) == (
        "retire",
        "web",
        True,
        False,
    )


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ([], "event is no object"),
        ({}, "'step' is None: use preflight, launch"),
        ({"step": "follow", "execution": {"id": ARN}}, "'step' is \"?'?follow"),
        ({"upkeep": "clean"}, "'upkeep' is .*: use sweep, retire"),
        ({"upkeep": "retire"}, "'group'"),
        ({"upkeep": "retire", "group": "web", "ended_before": "now"}, "'ended_before' is 'now', which is no moment"),
        ({"upkeep": "retire_others", "ended_before": -1}, "'ended_before' is -1"),
    ],
)
def test_anything_else_says_what_is_wrong_with_it(event: object, words: str) -> None:
    with pytest.raises(BadEvent, match=words):
        read_invocation(event)
