"""What a load balancer finds of a target, check after check: pure.

Source: Application Load Balancers user guide ("Health checks for Application Load Balancer target groups"): a target
that is registered has to pass one check to be healthy, one that was unhealthy as many in a row as the healthy
threshold; the reasons and their descriptions are from its table "Health check reason codes". How many failed checks
make a new target unhealthy it does not say; here as many as with any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import replace
from dataclasses import dataclass
from typing import Literal, NamedTuple

HEALTH_PATH = "/health"

type Outcome = int | Literal["timeout", "failed"]
"""How a check went: the status of its answer, no answer in time, or no connection and no HTTP."""


@dataclass(frozen=True)
class HealthCheck:
    """How targets are checked. Times in seconds; healthy, unhealthy: the thresholds."""

    path: str = HEALTH_PATH
    interval: float = 0.5
    timeout: float = 2.0
    healthy: int = 2
    unhealthy: int = 2
    status: int = 200


class Finding(NamedTuple):
    """A target's state, and why it is not healthy: TargetHealth of the API."""

    state: str
    reason: str = ""
    description: str = ""


CHECKING = Finding("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
HEALTHY = Finding("healthy")


@dataclass(frozen=True)
class Health:
    """A target's health, and how many checks in a row went so."""

    finding: Finding = CHECKING
    passed: int = 0
    failed: int = 0

    def after(self, outcome: Outcome, check: HealthCheck) -> Health:
        """What it is after one more check."""
        if outcome == check.status:
            passed = self.passed + 1
            unhealthy = self.finding.state == "unhealthy" and passed < check.healthy
            return Health(self.finding if unhealthy else HEALTHY, passed=passed)
        failed = self.failed + 1
        if failed >= check.unhealthy:
            return Health(_unhealthy(outcome), failed=failed)
        return replace(self, passed=0, failed=failed)


def _unhealthy(outcome: Outcome) -> Finding:
    if outcome == "timeout":
        return Finding("unhealthy", "Target.Timeout", "Request timed out")
    if outcome == "failed":
        return Finding("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
    return Finding("unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{outcome}]")


@dataclass(frozen=True)
class HealthSample:
    """Which targets there were from this moment on (epoch seconds), until the next sample; none of those that drain."""

    time: float
    registered: frozenset[str]
    healthy: frozenset[str]


def fewest_healthy(samples: Iterable[HealthSample], began: float, ended: float) -> int:
    """The fewest healthy targets at any moment of this time; 0 if nothing is known of it."""
    counts: list[int] = []
    for sample in samples:
        if sample.time > ended:
            break
        if sample.time <= began:
            counts.clear()
        counts.append(len(sample.healthy))
    return min(counts, default=0)
