"""What goes on of a message after its round."""

from __future__ import annotations

from copy import replace

import pytest

from rollcall.domain import timing
from rollcall.domain.actions import LifecycleAction
from rollcall.domain.errors import RollcallError, TowerUnavailable
from rollcall.domain.messages import GateMessage, RetireMessage
from rollcall.domain.reports import Report
from rollcall.lifecycle.successors import Failures, Successors, failures_among
from unit.world import World

NOW = 1_800_000_000.0
LONGEST = 600.0
AWAY = TowerUnavailable("away")


@pytest.fixture
def message(world: World) -> RetireMessage:
    actions = tuple(world.terminating(each) for each in ("i-a", "i-b", "i-c"))
    return RetireMessage(actions, 7, NOW - 60, NOW - 60, polls=3)


def ids(message: RetireMessage | GateMessage) -> list[str]:
    members = message.retiring if isinstance(message, RetireMessage) else [each.action for each in message.waiting]
    return [each.instance_id for each in members]


def successors_of(message: RetireMessage) -> Successors[RetireMessage, LifecycleAction]:
    return Successors(message, NOW, LONGEST)


def test_who_waits_for_the_same_goes_on_in_one_message(message: RetireMessage) -> None:
    a, b, c = message.retiring
    successors = successors_of(message)
    successors.put_off(a, 7, 30)
    successors.put_off(b, 8, 30)
    successors.put_off(c, 7, 30)
    assert [(ids(each), each.job_id, each.polls, each.heartbeat_at) for each, _ in successors.closed([]).next] == [
        (["i-a", "i-c"], 7, 4, NOW),
        (["i-b"], 8, 0, NOW),
    ]


@pytest.mark.parametrize(("delay", "sent"), [(0.2, 1.0), (2.1, 3.0), (LONGEST + 1, LONGEST)])
def test_a_delay_is_whole_seconds_and_never_longer_than_heartbeats_allow(
    message: RetireMessage, delay: float, sent: float
) -> None:
    successors = successors_of(message)
    successors.put_off(message.retiring[0], 7, delay)
    assert [delay for _, delay in successors.closed([]).next] == [sent]


def test_whom_the_same_failed_goes_on_apart_from_the_others_and_is_known_to_have_failed(message: RetireMessage) -> None:
    a, b, c = message.retiring
    successors = successors_of(message)
    successors.put_off(a, 7, 30)
    failed = [Report(each, error=AWAY) for each in (b, c)]
    result = successors.closed(failed)
    assert [(ids(each), delay) for each, delay in result.next] == [(["i-a"], 30), (["i-b", "i-c"], timing.FIRST_RETRY)]
    assert [each.failed_before for each in result.next[1][0].retiring] == [True, True]
    assert (list(result.reports), result.error) == (failed, None)


def test_what_fails_all_fails_the_message_which_comes_again_as_it_is(message: RetireMessage) -> None:
    result = successors_of(message).closed([Report(each, error=AWAY) for each in message.retiring])
    assert (result.error, list(result.next), list(result.reports)) == (AWAY, [], [])


def test_who_is_put_off_and_fails_then_goes_on_once(message: RetireMessage) -> None:
    a, b, c = message.retiring
    successors = successors_of(message)
    for each in (a, b):
        successors.put_off(each, 7, 30)
    beside = Report(a, "", notes=())
    result = successors.closed([beside, *(Report(each, error=AWAY) for each in (a, b)), Report(c, "done")])
    assert [ids(each) for each, _ in result.next] == [["i-a", "i-b"]]
    assert [report.outcome for report in result.reports] == ["", "done"]


@pytest.mark.parametrize(
    ("errors", "whole", "apart"),
    [
        ({}, None, []),
        ({"i-a": AWAY, "i-b": AWAY, "i-c": AWAY}, AWAY, []),
        ({"i-a": AWAY, "i-c": AWAY}, None, [["i-a", "i-c"]]),
        ({"i-a": AWAY, "i-b": TowerUnavailable("gone"), "i-c": AWAY}, None, [["i-a", "i-c"], ["i-b"]]),
    ],
)
def test_failures_are_those_whom_the_same_error_failed(
    message: RetireMessage, errors: dict[str, RollcallError], whole: RollcallError | None, apart: list[list[str]]
) -> None:
    reports = [Report(each, error=errors.get(each.instance_id)) for each in message.retiring]
    found = failures_among(message.retiring, reports)
    assert found == Failures(whole, found.apart)
    assert [[each.instance_id for each in some] for some in found.apart] == apart


def test_instances_at_the_gate_go_on_as_they_were_put_off(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    a, b = message.waiting
    successors = Successors(message, NOW, LONGEST)
    successors.put_off(replace(a, stint_since=NOW), 9, 30, lost_jobs=2)
    result = successors.closed([Report(b.action, error=AWAY)])
    [(first, _), (second, _)] = result.next
    assert (first.waiting[0].stint_since, first.lost_jobs) == (NOW, 2)
    assert (ids(second), second.waiting[0].action.failed_before, second.job_id) == (["i-b"], True, message.job_id)
