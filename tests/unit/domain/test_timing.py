"""How long to wait for what."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain import timing
from rollcall.domain.actions import LifecycleAction, Transition
from rollcall.domain.groups import Group
from unit.fakes import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable

BACK_OFFS = [
    (timing.retry_delay, 15, 240),
    (timing.relaunch_delay, 20, 120),
    (timing.held_relaunch_delay, 60, 900),
]


@pytest.mark.parametrize(("delay", "first", "most"), BACK_OFFS)
def test_back_offs_double_from_the_first_to_the_most(delay: Callable[[int], float], first: float, most: float) -> None:
    delays = [delay(times) for times in range(1, 2000)]
    assert delays[0] == first
    assert delays[1] == min(2 * first, most)
    assert delays[-1] == most
    assert all(before <= after <= most for before, after in pairwise(delays))


SECONDS = st.floats(0, 200_000)


USUAL = st.lists(st.floats(1, 20_000), min_size=1, max_size=5).map(sorted)


@given(SECONDS, st.just([]) | USUAL, st.integers(0, 100_000))
def test_a_poll_is_never_at_once(elapsed: float, usual: list[float], polls: int) -> None:
    assert timing.poll_delay(elapsed, usual, polls) >= timing.FIRST_POLL


@given(USUAL, st.integers(0, 100_000))
def test_a_job_is_left_alone_until_it_may_end(usual: list[float], polls: int) -> None:
    soonest = usual[0] * 0.9
    assert timing.poll_delay(0, usual, polls) >= soonest


@given(USUAL, SECONDS, SECONDS)
def test_a_late_job_is_looked_at_ever_more_rarely(usual: list[float], first: float, second: float) -> None:
    early, late = sorted((usual[-1] * 1.04 + first, usual[-1] * 1.04 + second))
    assert timing.poll_delay(early, usual, 0) <= timing.poll_delay(late, usual, 0) <= timing.POLL_MAX


def polls_of(duration: float, usual: list[float], longest: float = math.inf) -> tuple[int, float]:
    """How often a job of this duration is polled, and how long after its end that is found.

    A queue delays by whole seconds; longest: seconds that hooks may be left alone.
    """
    elapsed, polls = 0.0, 0
    while True:
        elapsed += min(math.ceil(timing.poll_delay(elapsed, usual, polls)), longest)
        polls += 1
        if elapsed >= duration:
            return polls, elapsed - duration


def recent(shortest: float, longest: float) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(shortest, longest), min_size=5, max_size=5).map(sorted)


def between(usual: list[float], place: float) -> float:
    return usual[0] + place * (usual[-1] - usual[0])


@pytest.mark.parametrize("longest", [math.inf, 200])
@given(recent(285, 315), st.floats(0, 1))
def test_a_job_of_five_minutes_is_polled_a_dozen_times_at_most_and_its_end_found_soon(
    longest: float, usual: list[float], place: float
) -> None:
    polls, late = polls_of(between(usual, place), usual, longest)
    assert polls <= 12
    assert late <= timing.END_POLL_MAX


@given(recent(290, 310), st.floats(3, 250), st.floats(0, 1))
def test_one_job_that_was_much_shorter_changes_nothing_of_that(
    usual: list[float], outlier: float, place: float
) -> None:
    others = usual[1:]
    polls, late = polls_of(between(others, place), [outlier, *others], 200)
    assert polls <= 12
    assert late <= timing.END_POLL_MAX


@given(recent(3, 315), st.floats(0, 1))
def test_however_much_jobs_differ_they_are_not_hammered(usual: list[float], place: float) -> None:
    polls, _ = polls_of(between(usual, place), usual, 200)
    assert polls <= 24


@given(st.floats(1, 3600))
def test_a_job_whose_usual_duration_is_not_known_is_looked_at_ever_more_rarely(duration: float) -> None:
    polls, late = polls_of(duration, [])
    assert polls <= 8 + duration / timing.POLL_MAX
    assert late <= timing.POLL_MAX


@given(SECONDS, SECONDS)
def test_a_job_whose_events_are_being_processed_is_looked_at_ever_more_rarely(first: float, second: float) -> None:
    early, late = sorted((first, second))
    assert timing.FIRST_POLL <= timing.events_delay(early) <= timing.events_delay(late) <= timing.POLL_MAX


@pytest.mark.parametrize(("age", "delay"), [(-3, 2), (0, 2), (8, 2), (20, 5), (100, 25), (120, 30), (600, 30)])
def test_events_are_found_at_most_a_quarter_later_than_they_took(age: float, delay: float) -> None:
    assert timing.events_delay(age) == delay


# What waits in vain

TWO_DAYS = 172_800.0  # seconds, the longest that Auto Scaling lets an instance wait
FIRST = st.integers(60, 10_000)
EVERY = st.integers(60, 3600)
PHASE = st.integers(0, 3600)


def tries(first: float, every: float, began: float) -> list[float]:
    """The ages at which scheduled runs try again what waits for two days and was found first so many seconds old."""
    runs = int((TWO_DAYS - began) / every)
    return [age for run in range(runs) if timing.is_retry_due(age := began + run * every, first, every)]


def jittered(first: float, every: float, late: list[float]) -> list[float]:
    """The same, of runs that come so much of an interval too late."""
    runs = itertools.accumulate(every * (1 + share) for share in itertools.cycle(late))
    return [
        age for age in itertools.takewhile(lambda age: age < TWO_DAYS, runs) if timing.is_retry_due(age, first, every)
    ]


@pytest.mark.parametrize(("first", "every", "most"), [(240, 300, 16), (240, 60, 20), (2700, 300, 12), (2700, 3600, 10)])
@pytest.mark.parametrize("began", [0, 17, 59])
def test_what_waits_for_two_days_is_tried_again_a_handful_of_times(
    first: float, every: float, most: int, began: float
) -> None:
    assert 1 <= len(tries(first, every, began)) <= most


@given(FIRST, EVERY, PHASE)
def test_what_waits_in_vain_is_tried_again_by_the_next_run_and_each_time_its_age_has_doubled(
    first: float, every: float, phase: int
) -> None:
    ages = tries(first, every, phase % every)
    assert first < ages[0] <= first + every
    assert all(after <= 2 * before + every for before, after in pairwise(ages))
    assert 2 * ages[-1] > TWO_DAYS - 3 * every


@given(FIRST, EVERY, PHASE)
def test_what_waits_in_vain_is_tried_twice_at_most_before_its_age_doubles(
    first: float, every: float, phase: int
) -> None:
    ages = [age for age in tries(first, every, phase % every) if age > 4 * every]
    assert all(third > 1.5 * age for age, third in zip(ages, ages[2:], strict=False))


@given(FIRST, EVERY, st.lists(st.floats(0, 0.2), min_size=1, max_size=20))
def test_runs_that_are_never_quite_on_time_miss_no_try(first: float, every: float, late: list[float]) -> None:
    ages = jittered(first, every, late)
    assert all(after <= 2 * before + 1.2 * every for before, after in pairwise(ages))
    assert 2 * ages[-1] > TWO_DAYS - 3 * every


@pytest.mark.parametrize("every", [None, 300.0])
@given(FIRST, st.floats(-1, 1))
def test_nothing_is_tried_again_before_its_time(every: float | None, first: float, share: float) -> None:
    assert not timing.is_retry_due(share * first, first, every)


@given(FIRST, st.floats(1.001, 1e6))
def test_a_run_by_hand_tries_whatever_is_old_enough(first: float, times: float) -> None:
    assert timing.is_retry_due(times * first, first, None)


# Watching


@pytest.mark.parametrize(
    ("elapsed", "left", "delay"),
    [(0, 3600, 5), (50, 3550, 5), (100, 3500, 10), (299, 3301, 29.9), (300, 3300, 30), (3000, 600, 30), (3590, 10, 10)],
)
def test_watched_instances_are_looked_at_ever_more_rarely_and_at_the_end(
    elapsed: float, left: float, delay: float
) -> None:
    assert timing.watch_delay(elapsed, left) == delay


def test_a_watch_that_is_over_waits_for_nothing() -> None:
    assert timing.watch_delay(60, -1) == 0


# The longest that hooks may be left alone


def action(hook: str | None, group: str = "web") -> LifecycleAction:
    return LifecycleAction(Transition.LAUNCHING, ACCOUNT, REGION, group, "i-a", hook)


GROUPS = {"web": Group("web", {}, {"slow": 3600, "quick": 60}), "db": Group("db", {}, {"slow": 30})}


@pytest.mark.parametrize(
    ("actions", "longest"),
    [
        ([action("slow")], 1200),
        ([action("slow"), action("quick")], 20),
        ([action("slow"), action("slow", "db")], 10),
        ([action("unknown")], 10),
        ([action("slow", "deleted")], 10),
        ([action(None)], 240),
        ([], 240),
        ([action(None), action("slow")], 1200),
    ],
)
def test_hooks_are_left_alone_for_a_third_of_their_shortest_timeout(
    actions: list[LifecycleAction], longest: float
) -> None:
    assert timing.longest_wait(GROUPS, actions) == longest


# What warm invocations remember
