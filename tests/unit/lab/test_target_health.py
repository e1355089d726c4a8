"""What the simulated load balancer finds of a target, check after check."""

from __future__ import annotations

import pytest

from lab.traffic.health import CHECKING, HEALTHY, Finding, Health, HealthCheck, HealthSample, Outcome, fewest_healthy

CHECK = HealthCheck(healthy=3, unhealthy=2)


def after(*outcomes: Outcome) -> Finding:
    """What is found of a new target after these checks."""
    health = Health()
    for outcome in outcomes:
        health = health.after(outcome, CHECK)
    return health.finding


def test_a_new_target_is_healthy_with_its_first_check() -> None:
    assert after() == CHECKING
    assert after(200) == HEALTHY


def test_a_new_target_stays_initial_until_as_many_checks_failed_as_the_threshold_says() -> None:
    assert after("failed") == CHECKING
    assert after("failed", "failed").state == "unhealthy"


@pytest.mark.parametrize(
    ("outcome", "reason", "description"),
    [
        ("failed", "Target.FailedHealthChecks", "Health checks failed"),
        ("timeout", "Target.Timeout", "Request timed out"),
        (503, "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]"),
    ],
)
def test_the_last_check_is_why_a_target_is_unhealthy(outcome: Outcome, reason: str, description: str) -> None:
    assert after(200, "failed", outcome) == Finding("unhealthy", reason, description)


def test_failures_count_only_in_a_row() -> None:
    assert after(200, "failed", 200, "failed") == HEALTHY


def test_an_unhealthy_target_recovers_with_as_many_checks_as_the_threshold_says() -> None:
    ill: tuple[Outcome, ...] = (200, "failed", "failed")
    assert after(*ill, 200, 200).state == "unhealthy"
    assert after(*ill, 200, 200, "failed", 200, 200).state == "unhealthy"
    assert after(*ill, 200, 200, 200) == HEALTHY


def sample(time: float, *healthy: str) -> HealthSample:
    return HealthSample(time, frozenset({"i-a", "i-b", "i-c"}), frozenset(healthy))


def test_the_fewest_healthy_targets_of_a_time_are_those_of_its_lowest_moment() -> None:
    samples = [sample(1, "i-a"), sample(2, "i-a", "i-b", "i-c"), sample(3, "i-b", "i-c"), sample(4)]
    assert fewest_healthy(samples, 2.5, 3.5) == 2
    assert fewest_healthy(samples, 1.5, 3.5) == 1, "what was found before counts until something else is"
    assert fewest_healthy(samples, 2, 9) == 0
    assert fewest_healthy([], 2, 9) == 0
