"""The lines of the functions' logs that history reads are those that the functions write."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.inventories import Inventory
from rollcall.domain.reports import Event, Report
from rollcall.reconcile.result import Fix, RunOutcome
from rollcall.telemetry.announcer import Announcer
from rollcall.telemetry.reconcile_announcer import RunAnnouncer
from rollcall_cli.history.log_lines import PATTERN_MAX, LogLine, pattern_of, read_line

if TYPE_CHECKING:
    from collections.abc import Callable

NUMBERS = count(1)  # of functions: each logs to what stdout is when it first does
ACTION = LifecycleAction(Transition.LAUNCHING, "1", "us-east-1", "web", "i-0123456789abcdef0", hook="h", token="t")


def written(capsys: pytest.CaptureFixture[str], announce: Callable[[], object]) -> LogLine:
    """The one line about an instance that a function has written."""
    capsys.readouterr()
    announce()
    (line,) = filter(None, map(read_line, capsys.readouterr().out.splitlines()))
    return line


@pytest.mark.parametrize(
    ("event", "shows"),
    [
        (Event.REGISTERED, "registers"),
        (Event.READY, "readies"),
        (Event.ABANDONED, "removes"),
        (Event.RETIRED, "removes"),
        (None, ""),
    ],
)
def test_a_line_shows_what_became_of_its_instance(
    capsys: pytest.CaptureFixture[str], event: Event | None, shows: str
) -> None:
    announcer = Announcer(f"gate-{next(NUMBERS)}")
    line = written(capsys, lambda: announcer.announce([Report(ACTION, "in words", event=event, job=7)]))
    assert (line.group, line.instance_id, line.words, line.job) == ("web", ACTION.instance_id, "in words", 7)
    assert line.at > 1_700_000_000
    assert [each for each in ("registers", "readies", "removes") if getattr(line, each)] == ([shows] if shows else [])
    assert not line.reconciles


@pytest.mark.parametrize(
    ("action", "job", "shows"),
    [
        ("added", 7, {"registers", "reconciles"}),
        ("removed", None, {"removes", "reconciles"}),
        ("requeued", None, {"reconciles"}),
        ("fixed", None, set()),
    ],
)
def test_a_step_of_reconcile_shows_what_no_event_had_brought_about(
    capsys: pytest.CaptureFixture[str], action: Any, job: int | None, shows: set[str]
) -> None:
    fix = Fix(action, Inventory(1, "production"), ACTION.instance_id, "it is gone", "web", job)
    announcer = RunAnnouncer(f"reconcile-{next(NUMBERS)}")
    line = written(capsys, lambda: announcer.announce_fixes(RunOutcome(fixes=[fix])))
    assert (line.group, line.instance_id, line.job) == ("web", ACTION.instance_id, job)
    assert {each for each in ("registers", "readies", "removes", "reconciles") if getattr(line, each)} == shows


@pytest.mark.parametrize(
    "message",
    [
        "REPORT RequestId: 4f0c Duration: 2.31 ms",
        json.dumps({"message": "reconciled", "timestamp": "2026-11-30 19:04:11,123+0000", "inventory": "production"}),
        json.dumps(["i-0"]),
        json.dumps({"instance_id": "i-0", "timestamp": "yesterday"}),
    ],
)
def test_other_lines_are_passed_over(message: str) -> None:
    assert read_line(message) is None


def test_a_pattern_names_the_instance_or_its_groups() -> None:
    assert pattern_of({"web"}, "i-0") == '{ $.instance_id = "i-0" }'
    assert pattern_of({"web", "db-1"}, None) == '{ ($.group = "db-1") || ($.group = "web") }'


@pytest.mark.parametrize("names", [{'we"b'}, {"we*b"}, {f"group-{number}" for number in range(100)}])
def test_a_pattern_that_would_not_do_lets_every_instance_through(names: set[str]) -> None:
    assert pattern_of(names, None) == '{ $.instance_id = "i-*" }'
    assert len(pattern_of(names, None)) <= PATTERN_MAX


def test_a_line_is_of_its_own_time() -> None:
    raw = {"timestamp": "2026-11-30 19:04:11,250+0000", "instance_id": "i-0", "message": "registered"}
    line = read_line(json.dumps(raw))
    assert line
    assert line.at == 1796065451.25
    assert replace(line, event=Event.REGISTERED).registers
