"""Stages of a batch: nobody is lost on the way, and an error is the report of whom it is about."""

from __future__ import annotations

from threading import Barrier
from typing import TYPE_CHECKING, NamedTuple

import pytest

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import AwsRejected, BadSettings, InstancesRefused
from rollcall.domain.reports import Report
from rollcall.domain.stages import Stage, action_of, all_together, each_apart, grouped, itself, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B, C = (
    LifecycleAction(Transition.LAUNCHING, "123456789012", "eu-central-1", "web", instance_id)
    for instance_id in ("i-a", "i-b", "i-c")
)
WRONG = BadSettings("wrong")


class Item(NamedTuple):
    """What is about an action."""

    action: LifecycleAction


def outcomes(stage: Stage[LifecycleAction]) -> list[tuple[str, str]]:
    return [(each.action.instance_id, str(each.error or each.outcome)) for each in stage.left]


def test_an_item_leaves_with_its_report_or_its_error_and_the_others_go_on() -> None:
    def work(action: LifecycleAction) -> LifecycleAction | Report:
        if action == A:
            return Report(A, "passed over")
        if action == B:
            raise WRONG
        return action

    stage = each_apart([A, B, C], itself, work)
    assert stage.going_on == [C]
    assert outcomes(stage) == [("i-a", "passed over"), ("i-b", "wrong")]


def test_an_error_of_a_shared_call_takes_all_of_its_items_out() -> None:
    def work(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        raise WRONG

    stage = all_together([A, B], itself, work)
    assert stage.going_on == ()
    assert outcomes(stage) == [("i-a", "wrong"), ("i-b", "wrong")]


def test_whom_aws_refuses_fails_alone_and_the_others_are_worked_on_again() -> None:
    calls: list[list[str]] = []

    def work(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        calls.append([each.instance_id for each in actions])
        if B in actions:
            raise InstancesRefused({"i-b": AwsRejected("no such id")})
        return Stage(actions)

    stage = all_together([A, B, C], itself, work)
    assert stage.going_on == [A, C]
    assert outcomes(stage) == [("i-b", "no such id")]
    assert calls == [["i-a", "i-b", "i-c"], ["i-a", "i-c"]]


def test_a_refusal_of_nobody_in_the_batch_fails_all_and_is_not_repeated_for_ever() -> None:
    def work(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        raise InstancesRefused({"i-other": AwsRejected("no such id")})

    stage = all_together([A], itself, work)
    assert stage.going_on == ()
    assert [each.action for each in stage.left] == [A]


def test_reports_come_in_the_order_of_the_stages_and_nobody_enters_one_that_is_empty() -> None:
    entered: list[Sequence[LifecycleAction]] = []

    def never(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        entered.append(actions)
        return Stage(actions)

    stage = Stage([B], [Report(A, "first")]).then(lambda actions: Stage((), [Report(B, "second")])).then(never)
    assert outcomes(stage) == [("i-a", "first"), ("i-b", "second")]
    assert entered == []


def test_parts_of_a_batch_are_one_again() -> None:
    stage = joined([Stage([A], [Report(B, "left")]), Stage([C])])
    assert stage.going_on == [A, C]
    assert outcomes(stage) == [("i-b", "left")]


def test_items_that_are_worked_on_at_once_keep_their_order() -> None:
    both = Barrier(2, timeout=10)

    def work(action: LifecycleAction) -> LifecycleAction | Report:
        if action != C:
            both.wait()  # passes only if two are worked on at one moment
        if action == B:
            raise WRONG
        return action

    stage = each_apart([A, B, C], itself, work, at_once=2)
    assert stage.going_on == [A, C]
    assert outcomes(stage) == [("i-b", "wrong")]


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_mistake_of_ours_is_not_swallowed(at_once: int) -> None:
    def work(action: LifecycleAction) -> LifecycleAction:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        each_apart([A], itself, work, at_once=at_once)
    with pytest.raises(KeyError):
        all_together([A], itself, lambda actions: Stage([work(each) for each in actions]))


def test_the_reports_of_a_stage_within_another_stay_when_a_later_one_fails() -> None:
    def fail(items: Sequence[Item]) -> Stage[Item]:
        raise WRONG

    stage = (
        Stage([Item(A), Item(B)])
        .apart(action_of, lambda each: Report(A, "passed over") if each.action == A else each)
        .together(action_of, fail)
    )
    assert stage.going_on == ()
    assert [(each.action.instance_id, str(each.error or each.outcome)) for each in stage.left] == [
        ("i-a", "passed over"),
        ("i-b", "wrong"),
    ]


def test_groups_and_their_items_come_in_the_order_of_the_items() -> None:
    assert list(grouped("baaBbA", str.lower).items()) == [("b", ["b", "B", "b"]), ("a", ["a", "a", "A"])]
