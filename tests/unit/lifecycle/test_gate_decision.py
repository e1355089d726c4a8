"""What becomes of one instance, decided from plain data."""

from __future__ import annotations

from copy import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain import verdicts
from rollcall.domain.groups import JOB_CHECK, AddressKind, GroupSettings, OnFailure
from rollcall.domain.jobs import Outcome
from rollcall.domain.verdicts import Decision
from rollcall.lifecycle.gate_decision import GateObservation, decide

NOW = 1_800_000_000.0
TIMEOUT = 1800


HELD = "the last 3 jobs failed on every instance of its group"


def settings(on_failure: OnFailure = OnFailure.ABANDON, timeout: int = TIMEOUT) -> GroupSettings:
    return GroupSettings(
        group="web",
        inventory="prod",
        inventory_groups=("web",),
        job_template="provision",
        gate=(JOB_CHECK,),
        timeout=timeout,
        on_failure=on_failure,
        address=AddressKind.PRIVATE,
    )


def observation(
    outcome: Outcome,
    *,
    ended: float = 0,
    attempts: int = 1,
    age: float = 60,
    failed: tuple[str, ...] = (),
    circuit_breaker: str = "",
    unmatched: str = "",
    inconclusive: tuple[str, ...] = (),
) -> GateObservation:
    """What is known of an instance whose job ended so many seconds ago, when its checks began to count."""
    return GateObservation(
        outcome,
        NOW - ended,
        attempts,
        age,
        checked_for=age if outcome == Outcome.OK else ended,
        failed=failed,
        inconclusive=inconclusive,
        circuit_breaker=circuit_breaker,
        unmatched=unmatched,
        unreached=attempts if outcome == Outcome.UNREACHABLE else 0,
        unreached_for=age if outcome == Outcome.UNREACHABLE else 0,
    )


def decided(what: GateObservation, on_failure: OnFailure = OnFailure.ABANDON) -> Decision:
    return decide(settings(on_failure), what, NOW).decision


ANY_SEEN = st.builds(
    GateObservation,
    outcome=st.sampled_from(Outcome),
    job_ended_at=st.floats(NOW - 1e6, NOW + 60),
    attempts=st.integers(1, 500),
    age=st.floats(0, 200_000),
    failed=st.lists(st.just("tcp:22: refused"), max_size=2).map(tuple),
    checked_for=st.floats(0, 200_000),
    circuit_breaker=st.sampled_from(["", HELD]),
    unmatched=st.sampled_from(["", "", "", "its host is disabled"]),
    inconclusive=st.lists(st.just("elb: unused"), max_size=2).map(tuple),
)
ANY_SETTINGS = st.builds(settings, st.sampled_from(OnFailure), st.integers(1, 172_800))


@given(ANY_SETTINGS, ANY_SEEN)
def test_only_a_job_that_went_well_with_every_check_passed_makes_an_instance_ready(
    asked: GroupSettings, what: GateObservation
) -> None:
    verdict = decide(asked, what, NOW)
    fine = what.outcome == Outcome.OK and not (what.failed or what.inconclusive or what.unmatched)
    assert (verdict.decision == Decision.READY) == fine


@given(ANY_SETTINGS, ANY_SEEN)
def test_what_proves_nothing_never_costs_an_instance_its_life(asked: GroupSettings, what: GateObservation) -> None:
    verdict = decide(asked, what, NOW)
    nothing = what.outcome in (Outcome.UNPROVEN, Outcome.CUT_SHORT) or what.unmatched
    if nothing or (what.circuit_breaker and what.outcome in (Outcome.FAILED, Outcome.UNREACHABLE)):
        assert verdict.decision != Decision.ABANDON


@given(ANY_SETTINGS, ANY_SEEN)
def test_an_instance_is_abandoned_only_for_its_own_failure_or_after_the_timeout(
    asked: GroupSettings, what: GateObservation
) -> None:
    verdict = decide(asked, what, NOW)
    if verdict.decision == Decision.ABANDON:
        assert what.outcome in (Outcome.OK, Outcome.FAILED, Outcome.UNREACHABLE)
        if what.outcome == Outcome.OK:
            assert what.failed
            assert what.checked_for >= asked.timeout
        if what.outcome == Outcome.UNREACHABLE:
            assert what.age >= asked.timeout
            assert what.attempts >= 2
        assert asked.on_failure == OnFailure.ABANDON


@given(ANY_SETTINGS, ANY_SEEN)
def test_a_verdict_always_has_a_reason_and_a_delay_where_it_waits(asked: GroupSettings, what: GateObservation) -> None:
    verdict = decide(asked, what, NOW)
    assert verdict.reason
    assert (verdict.delay > 0) == (verdict.decision in (Decision.WAIT, Decision.HOLD))


@pytest.mark.parametrize("age", [0, TIMEOUT - 1, TIMEOUT, 10 * TIMEOUT])
@pytest.mark.parametrize("attempts", [1, 2, 9])
class TestWhateverTheAge:
    def test_an_instance_that_went_well_is_ready(self, age: float, attempts: int) -> None:
        assert decided(observation(Outcome.OK, age=age, attempts=attempts)) == Decision.READY

    def test_an_instance_that_failed_is_abandoned(self, age: float, attempts: int) -> None:
        assert decided(observation(Outcome.FAILED, age=age, attempts=attempts)) == Decision.ABANDON

    def test_an_instance_that_failed_is_held_if_the_group_asks_so(self, age: float, attempts: int) -> None:
        verdict = decide(settings(OnFailure.HOLD), observation(Outcome.FAILED, age=age, attempts=attempts), NOW)
        assert verdict.decision == Decision.HOLD
        assert verdict.alert

    def test_an_instance_that_the_circuit_breaker_holds_is_held(self, age: float, attempts: int) -> None:
        verdict = decide(settings(), observation(Outcome.FAILED, age=age, attempts=attempts, circuit_breaker=HELD), NOW)
        assert verdict.decision == Decision.HOLD
        assert verdict.alert
        assert HELD in verdict.reason

    def test_a_play_cut_short_again_is_tried_again_after_a_while(self, age: float, attempts: int) -> None:
        verdict = decide(settings(), observation(Outcome.CUT_SHORT, age=age, attempts=attempts), NOW)
        assert verdict.decision == (Decision.RELAUNCH if attempts == 1 else Decision.WAIT)

    def test_a_job_that_proved_nothing_is_tried_again_with_an_alert(self, age: float, attempts: int) -> None:
        verdict = decide(settings(), observation(Outcome.UNPROVEN, age=age, attempts=attempts), NOW)
        assert (verdict.decision, verdict.alert) == (Decision.WAIT, True)


@pytest.mark.parametrize("outcome", [Outcome.UNREACHABLE, Outcome.UNPROVEN, Outcome.CUT_SHORT])
@pytest.mark.parametrize(("attempts", "seconds"), [(2, 40), (3, 80), (4, 120), (5, 120), (400, 120)])
def test_relaunches_come_at_doubling_intervals_up_to_two_minutes(
    outcome: Outcome, attempts: int, seconds: float
) -> None:
    early = decide(settings(), observation(outcome, ended=seconds - 1, attempts=attempts), NOW)
    assert (early.decision, early.delay) == (Decision.WAIT, 1)
    assert decided(observation(outcome, ended=seconds, attempts=attempts)) == Decision.RELAUNCH


@pytest.mark.parametrize("outcome", [Outcome.UNREACHABLE, Outcome.UNPROVEN])
def test_the_first_relaunch_comes_after_twenty_seconds(outcome: Outcome) -> None:
    assert decide(settings(), observation(outcome, ended=0), NOW).delay == 20
    assert decided(observation(outcome, ended=20)) == Decision.RELAUNCH


def test_the_first_play_cut_short_is_run_again_at_once() -> None:
    verdict = decide(settings(), observation(Outcome.CUT_SHORT), NOW)
    assert (verdict.decision, verdict.alert) == (Decision.RELAUNCH, False)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_play_that_may_not_have_been_cut_short_is_not_run_again_yet(attempts: int) -> None:
    verdict = decide(settings(), replace(observation(Outcome.CUT_SHORT, attempts=attempts), comparing=True), NOW)
    assert (verdict.decision, verdict.delay, verdict.alert) == (Decision.WAIT, 5, False)
    verdict = decide(settings(), replace(observation(Outcome.UNREACHABLE, ended=99), comparing=True), NOW)
    assert verdict.decision == Decision.RELAUNCH


@pytest.mark.parametrize(("attempts", "alert"), [(1, False), (2, False), (3, True), (4, True)])
def test_an_operator_is_alerted_when_plays_are_cut_short_again_and_again(attempts: int, alert: bool) -> None:
    assert decide(settings(), observation(Outcome.CUT_SHORT, attempts=attempts), NOW).alert == alert


@pytest.mark.parametrize(("attempts", "seconds"), [(3, 240), (4, 480), (5, 900), (60, 900)])
def test_a_group_that_the_circuit_breaker_holds_tries_again_at_growing_intervals(attempts: int, seconds: float) -> None:
    early = decide(
        settings(), observation(Outcome.FAILED, ended=seconds - 1, attempts=attempts, circuit_breaker=HELD), NOW
    )
    assert (early.decision, early.delay) == (Decision.HOLD, 1)
    assert (
        decided(observation(Outcome.FAILED, ended=seconds, attempts=attempts, circuit_breaker=HELD))
        == Decision.RELAUNCH
    )


def test_a_machine_that_still_boots_waits_without_an_alert() -> None:
    verdict = decide(settings(), observation(Outcome.UNREACHABLE), NOW)
    assert (verdict.decision, verdict.alert) == (Decision.WAIT, False)


def test_a_machine_out_of_reach_until_the_timeout_is_abandoned() -> None:
    assert decided(observation(Outcome.UNREACHABLE, age=TIMEOUT - 0.1, attempts=2)) == Decision.WAIT
    assert decided(observation(Outcome.UNREACHABLE, age=TIMEOUT, attempts=2)) == Decision.ABANDON


def test_a_machine_is_out_of_reach_only_after_a_second_job_whatever_the_first_one_took() -> None:
    assert decided(observation(Outcome.UNREACHABLE, age=10 * TIMEOUT, ended=0)) == Decision.WAIT
    assert decided(observation(Outcome.UNREACHABLE, age=10 * TIMEOUT, ended=20)) == Decision.RELAUNCH


def test_jobs_that_did_not_try_a_machine_make_it_no_more_out_of_reach() -> None:
    tried = observation(Outcome.UNREACHABLE, age=10 * TIMEOUT, attempts=9)
    assert decided(replace(tried, unreached=1)) == Decision.WAIT
    assert decided(replace(tried, unreached_for=TIMEOUT - 1)) == Decision.WAIT


def test_machines_out_of_reach_that_the_circuit_breaker_holds_are_held_with_an_alert_and_tried_again() -> None:
    held = observation(Outcome.UNREACHABLE, age=TIMEOUT, attempts=3, circuit_breaker="no instance is reached")
    verdict = decide(settings(), held, NOW)
    assert (verdict.decision, verdict.alert, verdict.delay) == (Decision.HOLD, True, 80)
    assert decided(replace(held, job_ended_at=NOW - 80)) == Decision.RELAUNCH
    assert decide(settings(), replace(held, attempts=60), NOW).delay == 120  # a machine may boot, a network be fixed


def test_the_timeout_of_checks_counts_from_the_end_of_the_job_that_was_ok_not_from_the_first_try() -> None:
    slow = replace(observation(Outcome.OK, age=5 * TIMEOUT, failed=("tcp:22: refused",)), checked_for=TIMEOUT - 1)
    assert decided(slow) == Decision.WAIT
    assert decided(replace(slow, checked_for=TIMEOUT)) == Decision.ABANDON


@pytest.mark.parametrize("outcome", [Outcome.UNPROVEN, Outcome.CUT_SHORT])
@pytest.mark.parametrize("age", [0, 10 * TIMEOUT])
def test_a_host_that_jobs_pass_over_is_held_with_the_reason_and_no_job_is_launched(
    outcome: Outcome, age: float
) -> None:
    verdict = decide(settings(), observation(outcome, age=age, ended=500, unmatched="its host is disabled"), NOW)
    assert (verdict.decision, verdict.alert, verdict.delay) == (Decision.HOLD, True, 60)
    assert verdict.reason == "its host is disabled"


def test_a_machine_out_of_reach_until_the_timeout_is_held_if_the_group_asks_so() -> None:
    assert decided(observation(Outcome.UNREACHABLE, age=TIMEOUT, attempts=2), OnFailure.HOLD) == Decision.HOLD


def test_a_check_that_does_not_pass_is_looked_at_again_until_the_timeout() -> None:
    failed = ("tcp:22: refused", "ec2: not yet")
    waiting = decide(settings(), observation(Outcome.OK, age=TIMEOUT - 1, failed=failed), NOW)
    assert waiting.decision == Decision.WAIT
    assert "tcp:22" in waiting.reason
    assert "ec2" in waiting.reason
    over = decide(settings(), observation(Outcome.OK, age=TIMEOUT, failed=failed), NOW)
    assert over.decision == Decision.ABANDON
    assert "tcp:22" in over.reason


def test_a_check_that_does_not_pass_though_nothing_speaks_against_the_instance_holds_it_after_the_timeout() -> None:
    inconclusive = ("elb: target group web: unused (Target.NotInUse)",)
    assert decided(observation(Outcome.OK, age=TIMEOUT - 1, inconclusive=inconclusive)) == Decision.WAIT
    over = decide(settings(), observation(Outcome.OK, age=TIMEOUT, inconclusive=inconclusive), NOW)
    assert (over.decision, over.alert) == (Decision.HOLD, True)
    assert inconclusive[0] in over.reason


def test_a_check_that_never_passes_holds_the_instance_if_the_group_asks_so() -> None:
    what = observation(Outcome.OK, age=TIMEOUT, failed=("tcp:22: refused",))
    assert decided(what, OnFailure.HOLD) == Decision.HOLD


# Of instances that serve already, for no hook holds them


@given(ANY_SETTINGS, ANY_SEEN)
def test_an_instance_that_serves_is_neither_abandoned_nor_held(asked: GroupSettings, what: GateObservation) -> None:
    verdict = decide(asked, replace(what, held_by_hook=False), NOW)
    assert verdict.decision not in (Decision.ABANDON, Decision.HOLD)
    assert (verdict.decision == Decision.READY) == (decide(asked, what, NOW).decision == Decision.READY)
    if verdict.decision == Decision.LEAVE:
        assert verdict.alert


@given(ANY_SETTINGS, ANY_SEEN)
def test_at_the_timeout_an_instance_that_serves_is_decided(asked: GroupSettings, what: GateObservation) -> None:
    late = replace(what, held_by_hook=False, age=asked.timeout, checked_for=asked.timeout)
    assert decide(asked, late, NOW).decision in (Decision.READY, Decision.LEAVE)


@pytest.mark.parametrize("on_failure", OnFailure)
@pytest.mark.parametrize("circuit_breaker", ["", HELD])
def test_an_instance_that_serves_and_failed_is_left_at_once(on_failure: OnFailure, circuit_breaker: str) -> None:
    what = replace(observation(Outcome.FAILED, circuit_breaker=circuit_breaker), held_by_hook=False)
    verdict = decide(settings(on_failure), what, NOW)
    assert verdict.decision == Decision.LEAVE
    assert "held" not in verdict.reason


@pytest.mark.parametrize("outcome", [Outcome.UNREACHABLE, Outcome.CUT_SHORT, Outcome.UNPROVEN])
def test_an_instance_that_serves_and_proved_nothing_is_tried_again_until_the_timeout(outcome: Outcome) -> None:
    what = replace(observation(outcome, ended=200, age=TIMEOUT - 1), held_by_hook=False)
    assert decided(what) == Decision.RELAUNCH
    assert decided(replace(what, age=TIMEOUT)) == Decision.LEAVE


def test_the_tables_of_verdicts_name_every_decision_and_every_outcome() -> None:
    rows = {row.split("|")[1].strip() for row in (Decision.__doc__ or "").splitlines() if "|" in row}
    assert {each.name for each in Decision} <= rows
    assert {each.name for each in Outcome} <= {
        row.split("|")[1].strip() for row in (verdicts.__doc__ or "").splitlines() if row.startswith("|")
    }
