"""What becomes of an instance that waits at the gate. Pure: what is known of it in, a verdict out.

Evidence against an instance is what only it can be blamed for: its job failed on it, it stayed unreachable though it
was tried, a check of it failed. Everything else is for a person to fix while the wait goes on.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain import timing
from rollcall.domain.groups import OnFailure
from rollcall.domain.jobs import Outcome
from rollcall.domain.verdicts import Decision, Verdict

if TYPE_CHECKING:
    from rollcall.domain.groups import GroupSettings

CUT_SHORT_TOO_OFTEN = 3  # jobs of one instance
TRIES_UNREACHABLE = 2  # jobs, before an instance counts as unreachable: the first may have come before it booted


class Seen(NamedTuple):
    """What is known about one waiting instance in its present stint.

    outcome: of the job that decides, ended at job_ended_at. attempts: jobs so far that held it. age: seconds since the
    first of them started (without jobs: since it was registered). checked_for: seconds since the job ended that was ok
    (without jobs: since it was registered). failing: the checks that do not pass, as sentences; blocked: why a check
    does not pass that says nothing against it. breaker: why the provisioning circuit breaker holds its group, empty if
    it does not. passed_over: why no job can reach its host, empty if one can. awaited: a hook holds it; otherwise it
    serves already.
    """

    outcome: Outcome
    job_ended_at: float
    attempts: int
    age: float
    checked_for: float = 0
    failing: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    comparing: bool = False
    breaker: str = ""
    passed_over: str = ""
    held_by_hook: bool = True
    unreached: int = 0
    unreached_for: float = 0


def judge(settings: GroupSettings, seen: Seen, now: float) -> Verdict:
    """What becomes of an instance; now in epoch seconds by Tower's clock."""
    if seen.held_by_hook:
        return _judge(settings, seen, now)
    verdict = _judge(replace(settings, on_failure=OnFailure.ABANDON), seen, now)  # no hook can hold it
    against = verdict.decision in (Decision.ABANDON, Decision.HOLD)
    late = (seen.checked_for if seen.outcome == Outcome.OK else seen.age) >= settings.timeout
    if against or (verdict.decision != Decision.READY and late):
        return Verdict(Decision.LEAVE, f"{verdict.reason}; it serves all the same, for no hook holds it", alert=True)
    return verdict


def _judge(settings: GroupSettings, seen: Seen, now: float) -> Verdict:
    if seen.passed_over:
        return Verdict(Decision.HOLD, seen.passed_over, timing.HOLD_INTERVAL, alert=True)
    match seen.outcome:
        case Outcome.OK:
            return _judge_checks(settings, seen)
        case Outcome.FAILED if seen.breaker:
            delay = seen.job_ended_at + timing.held_relaunch_delay(seen.attempts) - now
            return _held_by_circuit_breaker(seen, "its job failed", delay)
        case Outcome.FAILED:
            return _against(settings, "its job failed")
        case Outcome.UNREACHABLE if not _counts_as_unreachable(settings, seen):
            return _relaunch_after(_until_next_try(seen, now), Decision.WAIT, "unreachable: perhaps still booting")
        case Outcome.UNREACHABLE if seen.breaker:
            return _held_by_circuit_breaker(
                seen, f"unreachable for {seen.unreached_for:.0f} s", _until_next_try(seen, now)
            )
        case Outcome.UNREACHABLE:
            return _against(settings, f"unreachable for {seen.unreached_for:.0f} s, in more than one job")
        case Outcome.CUT_SHORT if seen.comparing:
            reason = "its job failed for other hosts: another one under way will show whether it is done"
            return Verdict(Decision.WAIT, reason, delay=timing.CHECK_INTERVAL)
        case Outcome.CUT_SHORT:
            delay = _until_next_try(seen, now) if seen.attempts > 1 else 0
            reason = "its job failed for other hosts before it was shown to be done"
            return _relaunch_after(delay, Decision.WAIT, reason, alert=seen.attempts >= CUT_SHORT_TOO_OFTEN)
        case Outcome.UNPROVEN:
            reason = "its job proved nothing: look at the job in Tower"
            return _relaunch_after(_until_next_try(seen, now), Decision.WAIT, reason, alert=True)


def hangs_on_circuit_breaker(settings: GroupSettings, seen: Seen) -> bool:
    """Whether the provisioning circuit breaker decides about an instance."""
    return seen.outcome == Outcome.FAILED or (
        seen.outcome == Outcome.UNREACHABLE and _counts_as_unreachable(settings, seen)
    )


def _counts_as_unreachable(settings: GroupSettings, seen: Seen) -> bool:
    """Whether an instance was tried for long enough, and often enough, whatever the first job took."""
    return seen.unreached_for >= settings.timeout and seen.unreached >= TRIES_UNREACHABLE


def _held_by_circuit_breaker(seen: Seen, evidence: str, delay: float) -> Verdict:
    return _relaunch_after(delay, Decision.HOLD, f"{evidence}: {seen.breaker}", alert=True)


def _judge_checks(settings: GroupSettings, seen: Seen) -> Verdict:
    if not seen.failing and not seen.blocked:
        return Verdict(Decision.READY, "provisioned and every check passed")
    trouble = "; ".join([*seen.failing, *seen.blocked])
    if seen.checked_for >= settings.timeout:
        if seen.failing:
            return _against(settings, f"after {seen.checked_for:.0f} s a check of it fails: {trouble}")
        words = f"after {seen.checked_for:.0f} s a check of it does not pass, and nothing speaks against it: {trouble}"
        return Verdict(Decision.HOLD, words, timing.HOLD_INTERVAL, alert=True)
    return Verdict(Decision.WAIT, f"a check does not pass yet: {trouble}", delay=timing.CHECK_INTERVAL)


def _against(settings: GroupSettings, evidence: str) -> Verdict:
    if settings.on_failure == OnFailure.HOLD:
        return Verdict(Decision.HOLD, f"{evidence}; held for somebody to look", timing.HOLD_INTERVAL, alert=True)
    return Verdict(Decision.ABANDON, evidence)


def _until_next_try(seen: Seen, now: float) -> float:
    return seen.job_ended_at + timing.relaunch_delay(seen.attempts) - now


def _relaunch_after(delay: float, meanwhile: Decision, reason: str, *, alert: bool = False) -> Verdict:
    if delay <= 0:
        return Verdict(Decision.RELAUNCH, reason, alert=alert)
    return Verdict(meanwhile, reason, delay=delay, alert=alert)
