"""What the jobs of a bake's instance say of it."""

from __future__ import annotations

from typing import Any

import pytest

from rollcall.bake.job_round import TRIES_ENDED_BY_TOWER, UNREACHED_FOR, JobDecision, Next, decide_job, deciding
from rollcall.domain.jobs import Job, JobStatus, Outcome
from rollcall.domain.timing import EVENTS_TOO_LONG

NOW = 1_000_000.0


def job(number: int = 1, status: JobStatus = JobStatus.SUCCESSFUL, ended: float = 600.0, **changes: Any) -> Job:
    """A job that was created ended + 60 s ago, and ended so many seconds ago."""
    finished = NOW - ended if status.final else None
    fields = {"created_at": NOW - ended - 60, "started_at": NOW - ended - 60, "finished_at": finished}
    return Job(number, 7, status, frozenset({"i-a"}), explanation="", **(fields | changes))


def decided(*jobs: Job, outcome: Outcome | None = None) -> JobDecision:
    return decide_job(jobs, outcome, NOW)


def test_without_a_job_one_is_launched() -> None:
    assert decided().next == Next.LAUNCH


def test_one_that_runs_is_waited_for() -> None:
    found = decided(job(status=JobStatus.RUNNING))
    assert found.next == Next.WAIT
    assert found.wait >= 15


def test_only_a_good_job_on_the_instance_is_done() -> None:
    assert decided(job(), outcome=Outcome.OK).next == Next.DONE


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (JobStatus.FAILED, Outcome.FAILED, "failed"),
        (JobStatus.FAILED, Outcome.OK, "failed"),
        (JobStatus.FAILED, Outcome.CUT_SHORT, "failed"),
        (JobStatus.SUCCESSFUL, Outcome.FAILED, "failed"),
        (JobStatus.SUCCESSFUL, Outcome.CUT_SHORT, "failed"),
        (JobStatus.SUCCESSFUL, Outcome.UNPROVEN, "ran no play on it"),
        (JobStatus.CANCELED, None, "was cancelled"),
    ],
)
def test_whatever_is_not_wholly_well_fails(status: JobStatus, outcome: Outcome | None, words: str) -> None:
    found = decided(job(status=status), outcome=outcome)
    assert found.next == Next.FAILED
    assert words in found.reason


def test_events_that_tower_processes_are_waited_for_and_not_for_ever() -> None:
    assert decided(job(ended=10)).next == Next.WAIT
    assert decided(job(ended=EVENTS_TOO_LONG + 1)).next == Next.FAILED


def test_what_boots_is_tried_again_after_a_pause() -> None:
    young = job(ended=1)
    assert decided(young, outcome=Outcome.UNREACHABLE).next == Next.WAIT
    assert decided(job(ended=30), outcome=Outcome.UNREACHABLE).next == Next.LAUNCH


def test_what_was_tried_twice_and_for_long_enough_counts_as_unreachable() -> None:
    first = job(1, ended=UNREACHED_FOR)
    assert decided(first, outcome=Outcome.UNREACHABLE).next == Next.LAUNCH, "one long job says nothing"
    found = decided(job(2, ended=30), first, outcome=Outcome.UNREACHABLE)
    assert found.next == Next.FAILED
    assert "did not reach it" in found.reason


def test_what_tower_itself_ended_is_tried_again_a_few_times() -> None:
    ended = [job(each, JobStatus.ERROR) for each in range(TRIES_ENDED_BY_TOWER, 0, -1)]
    assert decided(*ended[1:]).next == Next.LAUNCH
    assert decided(*ended).next == Next.FAILED


def test_a_job_that_was_cancelled_for_another_ones_sake_decides_nothing() -> None:
    first = job(1, ended=60)
    second = job(2, JobStatus.CANCELED, ended=110, created_at=NOW - 115)
    assert deciding([second, first]) == [first]
    by_an_operator = job(3, JobStatus.CANCELED, ended=10, created_at=NOW - 50)
    assert deciding([by_an_operator, first]) == [by_an_operator, first]
