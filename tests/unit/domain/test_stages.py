"""Stages of a batch: nobody is lost on the way, and an error is the report of whom it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.errors import AwsDenied, BadSettings, InstancesRefused
from rollcall.domain.reports import Report
from rollcall.domain.stages import Stage, all_together, each_apart, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B, C = (
    LifecycleAction(Transition.LAUNCHING, "123456789012", "eu-central-1", "web", instance_id)
    for instance_id in ("i-a", "i-b", "i-c")
)
WRONG = BadSettings("wrong")


def own(action: LifecycleAction) -> LifecycleAction:
    return action


def outcomes(stage: Stage[LifecycleAction]) -> list[tuple[str, str]]:
    return [(each.action.instance_id, str(each.error or each.outcome)) for each in stage.left]


def test_an_item_leaves_with_its_report_or_its_error_and_the_others_go_on() -> None:
    def work(action: LifecycleAction) -> LifecycleAction | Report:
        if action == A:
            return Report(A, "passed over")
        if action == B:
            raise WRONG
        return action

    stage = each_apart([A, B, C], own, work)
    assert stage.going_on == [C]
    assert outcomes(stage) == [("i-a", "passed over"), ("i-b", "wrong")]


def test_an_error_of_a_shared_call_takes_all_of_its_items_out() -> None:
    def work(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        raise WRONG

    stage = all_together([A, B], own, work)
    assert stage.going_on == ()
    assert outcomes(stage) == [("i-a", "wrong"), ("i-b", "wrong")]


def test_whom_aws_refuses_fails_alone_and_the_others_are_worked_on_again() -> None:
    calls: list[list[str]] = []

    def work(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        calls.append([each.instance_id for each in actions])
        if B in actions:
            raise InstancesRefused({"i-b": AwsDenied("no such id")})
        return Stage(actions)

    stage = all_together([A, B, C], own, work)
    assert stage.going_on == [A, C]
    assert outcomes(stage) == [("i-b", "no such id")]
    assert calls == [["i-a", "i-b", "i-c"], ["i-a", "i-c"]]


def test_a_refusal_of_nobody_in_the_batch_fails_all_and_is_not_repeated_for_ever() -> None:
    def work(actions: Sequence[LifecycleAction]) -> Stage[LifecycleAction]:
        raise InstancesRefused({"i-other": AwsDenied("no such id")})

    stage = all_together([A], own, work)
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
