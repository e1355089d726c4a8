"""What becomes of an instance on its way out, decided from what is known about its retire job."""

from __future__ import annotations

from copy import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.jobs import Job, JobStatus, Outcome
from rollcall.lifecycle.retire_decision import NextStep, RetireObservation, decide_retirement

OK, FAILED, UNREACHABLE = Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE
RUNNING = Job(7, 1, JobStatus.RUNNING, frozenset({"i-a"}), 0.0, 0.0, None, "")
ENDED = replace(RUNNING, status=JobStatus.FAILED, finished_at=60.0)
ANY_JOB = st.builds(
    Job,
    id=st.just(7),
    template_id=st.just(1),
    status=st.sampled_from(JobStatus),
    hosts=st.just(frozenset({"i-a"})),
    created_at=st.just(0.0),
    started_at=st.none() | st.just(0.0),
    finished_at=st.none() | st.just(1.0),
    explanation=st.just(""),
)
ANY_OBSERVATION = st.builds(
    RetireObservation,
    seconds_left=st.floats(-1e6, 1e6),
    not_needed=st.sampled_from(["", "its host is disabled"]),
    not_possible=st.sampled_from(["", "no such template"]),
    job=st.none() | ANY_JOB,
    job_age=st.floats(0, 1e6),
    outcome=st.none() | st.sampled_from(Outcome),
    requeued=st.booleans(),
)


@given(ANY_OBSERVATION)
def test_no_instance_waits_beyond_the_time_that_is_left(observation: RetireObservation) -> None:
    if observation.seconds_left <= 0:
        assert decide_retirement(observation).step == NextStep.LET_GO


@given(ANY_OBSERVATION)
def test_an_instance_goes_where_no_job_is_needed_or_possible(observation: RetireObservation) -> None:
    if observation.not_needed or observation.not_possible:
        assert decide_retirement(observation).step == NextStep.LET_GO


@given(ANY_OBSERVATION)
def test_a_job_is_launched_only_where_there_is_none_and_one_is_needed_and_possible(
    observation: RetireObservation,
) -> None:
    if decide_retirement(observation).step == NextStep.LAUNCH_JOB:
        assert observation.job is None
        assert not observation.not_needed
        assert not observation.not_possible


@given(ANY_OBSERVATION)
def test_every_instance_that_goes_without_what_could_have_been_done_is_alerted(observation: RetireObservation) -> None:
    decision = decide_retirement(observation)
    assert decision.reason
    if decision.step != NextStep.LET_GO:
        assert not decision.alert
    elif observation.job and observation.outcome:
        assert decision.alert == (observation.outcome != OK)
    else:
        assert decision.alert == (not observation.not_needed)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (OK, "retired by job 7"),
        (FAILED, "its retire job 7 (failed) failed on it"),
        (UNREACHABLE, "its retire job 7 (failed) could not reach it"),
        (Outcome.CUT_SHORT, "its retire job 7 (failed) was cut short before it was done with it"),
        (Outcome.UNPROVEN, "its retire job 7 (failed) proved nothing about it"),
    ],
)
def test_whatever_a_job_showed_its_instance_goes_and_the_job_is_named(outcome: Outcome, words: str) -> None:
    decision = decide_retirement(RetireObservation(seconds_left=60, job=ENDED, outcome=outcome))
    assert (decision.step, decision.alert) == (NextStep.LET_GO, outcome != OK)
    assert decision.reason.startswith(words)


def test_a_job_at_work_is_waited_for() -> None:
    assert decide_retirement(RetireObservation(seconds_left=1, job=RUNNING, job_age=500)).step == NextStep.WAIT_FOR_JOB


def test_one_that_ended_is_waited_for_until_its_events_are_processed() -> None:
    assert decide_retirement(RetireObservation(seconds_left=1, job=ENDED)).step == NextStep.WAIT_FOR_JOB


def test_an_action_that_reconcile_queued_again_is_left_to_who_waits_for_its_job() -> None:
    # Not in the first minutes: then it may be the message that launched the job, at a second try.
    assert (
        decide_retirement(RetireObservation(seconds_left=1, job=RUNNING, job_age=241, requeued=True)).step
        == NextStep.LEAVE_TO_OTHER_MESSAGE
    )
    assert (
        decide_retirement(RetireObservation(seconds_left=1, job=RUNNING, job_age=240, requeued=True)).step
        == NextStep.WAIT_FOR_JOB
    )
    assert decide_retirement(RetireObservation(seconds_left=1, job=RUNNING, job_age=241)).step == NextStep.WAIT_FOR_JOB


def test_one_queued_again_is_taken_up_when_its_job_is_over_or_late() -> None:
    assert (
        decide_retirement(RetireObservation(seconds_left=1, job=ENDED, job_age=999, requeued=True)).step
        == NextStep.WAIT_FOR_JOB
    )
    assert (
        decide_retirement(RetireObservation(seconds_left=0, job=RUNNING, job_age=999, requeued=True)).step
        == NextStep.LET_GO
    )
