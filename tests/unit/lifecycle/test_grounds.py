"""What a decision against an instance rests on, as the gate reports it: a cycle ends by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.jobs import Outcome
from rollcall.domain.verdicts import Decision, Grounds

if TYPE_CHECKING:
    from rollcall.domain.messages import GateMessage
    from rollcall.lifecycle.gate_round import Round
    from unit.world import World


def grounds(result: Round[GateMessage]) -> list[tuple[Grounds | None, int | None]]:
    """Of everything that is reported of a round: of an outcome, or of an alert."""
    return [
        (found, report.job)
        for report in result.reports
        for found in (report.grounds, *(note.grounds for note in report.notes))
        if found
    ]


def test_an_abandoned_instance_has_its_job_as_grounds(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=Outcome.FAILED)
    assert grounds(world.evaluate_one(message)) == [(Grounds(Decision.ABANDON), message.job_id)]


def test_an_abandoned_instance_has_the_check_that_fails_as_grounds(world: World) -> None:
    world.group("web", gate="job ec2", timeout="60")
    message = world.waiting("i-a")
    world.end(message, i_a=Outcome.OK)
    world.clock.advance(60)
    assert grounds(world.evaluate_one(message)) == [(Grounds(Decision.ABANDON, ("ec2",)), message.job_id)]


def test_a_held_instance_has_grounds_with_its_alert(world: World) -> None:
    world.group("web", on_failure="hold")
    message = world.waiting("i-a")
    world.end(message, i_a=Outcome.FAILED)
    assert grounds(world.evaluate_one(message)) == [(Grounds(Decision.HOLD), message.job_id)]


def test_an_instance_that_is_held_by_the_circuit_breaker_has_grounds(world: World) -> None:
    for instance_id in ("i-a", "i-b"):
        failed = world.waiting(instance_id)
        assert failed.job_id
        world.tower.end_job(failed.job_id, {instance_id: Outcome.FAILED})
        world.evaluate_one(failed)
    message = world.waiting("i-c")
    world.end(message, i_c=Outcome.FAILED)
    [(found, _)] = grounds(world.evaluate_one(message))
    assert found == Grounds(Decision.HOLD)


def test_grounds_are_reported_though_an_alert_for_another_reason_came_before_and_not_for_ever(world: World) -> None:
    world.group("web", on_failure="hold")
    message = world.waiting("i-a")
    world.end(message, i_a=Outcome.UNPROVEN)
    first = world.evaluate_one(message)
    assert (grounds(first), [note.alert for each in first.reports for note in each.notes]) == ([], [True])
    [(message, delay)] = first.next
    world.clock.advance(delay)
    [(message, _)] = world.evaluate_one(message).next  # with another job
    world.end(message, i_a=Outcome.FAILED)
    failed = message.job_id
    found = []
    for _ in range(10):
        held = world.evaluate_one(message)
        found += grounds(held)
        assert not any(note.alert for each in held.reports for note in each.notes)
        [(message, delay)] = held.next
        world.clock.advance(delay)
    assert 1 <= len(found) <= 4
    assert set(found) == {(Grounds(Decision.HOLD), failed)}


def test_an_instance_against_which_nothing_speaks_has_none(world: World) -> None:
    message = world.waiting("i-a", "i-b")
    world.end(message, i_a=Outcome.OK, i_b=Outcome.UNPROVEN)
    assert grounds(world.evaluate_one(message)) == []
