"""How long a cycle waits from one round to the next, and how many rounds that makes."""

from __future__ import annotations

from rollcall.workflow.waiting import EVENTS_MAX, EVENTS_PER_ROUND, LONGEST, QUIET_MAX, next_wait

STEPS_BESIDE = 60  # history events of all that is not a round: the other states, and the execution itself


def events_of(seconds: float, quiet_for: float) -> int:
    """The events that the history of a cycle of this length has at most."""
    age, rounds = 0.0, 0
    while age < seconds:
        age += next_wait(age, quiet_for)
        rounds += 1
    return rounds * EVENTS_PER_ROUND + STEPS_BESIDE


def test_a_cycle_of_fourteen_days_in_which_something_may_always_happen_stays_under_the_limit() -> None:
    assert events_of(LONGEST, quiet_for=0.0) < EVENTS_MAX


def test_a_cycle_of_fourteen_days_that_bakes_all_the_time_stays_under_the_limit() -> None:
    assert events_of(LONGEST, quiet_for=LONGEST) < EVENTS_MAX


def test_for_most_of_an_hour_it_is_evaluated_every_fifteen_seconds() -> None:
    assert next_wait(0) == next_wait(3000) == 15


def test_a_quiet_time_is_not_slept_through_beyond_ten_minutes() -> None:
    assert next_wait(50_000, quiet_for=86_400) == QUIET_MAX


def test_in_a_young_cycle_what_an_operator_does_in_a_quiet_time_is_seen_within_a_minute() -> None:
    assert next_wait(60, quiet_for=86_400) == next_wait(600, quiet_for=86_400) == 60
    assert next_wait(1200, quiet_for=86_400) == 120


def test_the_end_of_a_quiet_time_is_not_missed() -> None:
    assert next_wait(60, quiet_for=40) == 40
