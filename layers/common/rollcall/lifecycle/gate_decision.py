"""What becomes of an instance that waits at the gate. Pure: what is observed of it in, a verdict out.

The tables in domain/verdicts.py say what is decided when. Evidence against an instance is what only it can be blamed
for: its job failed on it, it stayed unreachable though it was tried, a check of it failed. Everything else is for an
operator to fix while the wait goes on.
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


class GateObservation(NamedTuple):
    """What is known about one waiting instance in its present stint.

    outcome: of the job that decides, ended at job_ended_at. attempts: jobs so far that held it. age: seconds since the
    first of them started (without jobs: since it was registered). checked_for: seconds since the job ended that was ok
    (without jobs: since it was registered). failed: the checks that fail, as sentences; inconclusive: those that could
    not find out, likewise. comparing: another job is under way that will show whether it is done. circuit_breaker: why
    the provisioning circuit breaker holds its group, empty if it does not. unmatched: why no job can be limited to its
    host, empty if one can. held_by_hook: otherwise it serves already. unreached: the jobs that tried it and did not
    reach it, the first of which began unreached_for seconds ago.
    """

    outcome: Outcome
    job_ended_at: float
    attempts: int
    age: float
    checked_for: float = 0
    failed: tuple[str, ...] = ()
    inconclusive: tuple[str, ...] = ()
    comparing: bool = False
    circuit_breaker: str = ""
    unmatched: str = ""
    held_by_hook: bool = True
    unreached: int = 0
    unreached_for: float = 0


def decide(settings: GroupSettings, observation: GateObservation, now: float) -> Verdict:
    """What becomes of an instance; now in epoch seconds by Tower's clock.

    In an emergency the hooks of a group hold nothing: its instances are decided on like those that serve already.
    """
    if observation.held_by_hook and not settings.in_emergency:
        return _decide_held(settings, observation, now)
    verdict = _decide_held(replace(settings, on_failure=OnFailure.ABANDON), observation, now)  # no hook can hold it
    against = verdict.decision in (Decision.ABANDON, Decision.HOLD)
    late = (observation.checked_for if observation.outcome == Outcome.OK else observation.age) >= settings.timeout
    if against or (verdict.decision != Decision.READY and late):
        why = "its group is in an emergency" if settings.in_emergency else "no hook holds it"
        return Verdict(Decision.LEAVE, f"{verdict.reason}; it serves all the same, for {why}", alert=True)
    return verdict


def _decide_held(settings: GroupSettings, observation: GateObservation, now: float) -> Verdict:
    """By what its job showed of it."""
    if observation.unmatched:
        return Verdict(Decision.HOLD, observation.unmatched, timing.HOLD_INTERVAL, alert=True)
    match observation.outcome:
        case Outcome.OK:
            return _decide_by_checks(settings, observation)
        case Outcome.FAILED:
            return _decide_failed(settings, observation, now)
        case Outcome.UNREACHABLE:
            return _decide_unreachable(settings, observation, now)
        case Outcome.CUT_SHORT:
            return _decide_cut_short(observation, now)
        case Outcome.UNPROVEN:
            reason = "its job proved nothing: look at the job in Tower"
            return _relaunch_after(_until_next_try(observation, now), Decision.WAIT, reason, alert=True)


def _decide_by_checks(settings: GroupSettings, observation: GateObservation) -> Verdict:
    if not observation.failed and not observation.inconclusive:
        return Verdict(Decision.READY, "provisioned and every check passed")
    reasons = "; ".join([*observation.failed, *observation.inconclusive])
    if observation.checked_for < settings.timeout:
        return Verdict(Decision.WAIT, f"a check does not pass yet: {reasons}", delay=timing.CHECK_INTERVAL)
    if observation.failed:
        return _against(settings, f"after {observation.checked_for:.0f} s a check of it fails: {reasons}")
    words = (
        f"after {observation.checked_for:.0f} s a check of it does not pass, and nothing speaks against it: {reasons}"
    )
    return Verdict(Decision.HOLD, words, timing.HOLD_INTERVAL, alert=True)


def _decide_failed(settings: GroupSettings, observation: GateObservation, now: float) -> Verdict:
    if not observation.circuit_breaker:
        return _against(settings, "its job failed")
    delay = observation.job_ended_at + timing.held_relaunch_delay(observation.attempts) - now
    return _held_by_circuit_breaker(observation, "its job failed", delay)


def _decide_unreachable(settings: GroupSettings, observation: GateObservation, now: float) -> Verdict:
    delay = _until_next_try(observation, now)
    if not _counts_as_unreachable(settings, observation):
        return _relaunch_after(delay, Decision.WAIT, "unreachable: perhaps still booting")
    if observation.circuit_breaker:
        return _held_by_circuit_breaker(observation, f"unreachable for {observation.unreached_for:.0f} s", delay)
    return _against(settings, f"unreachable for {observation.unreached_for:.0f} s, in more than one job")


def _decide_cut_short(observation: GateObservation, now: float) -> Verdict:
    if observation.comparing:
        reason = "its job failed for other hosts: another one under way will show whether it is done"
        return Verdict(Decision.WAIT, reason, delay=timing.CHECK_INTERVAL)
    delay = _until_next_try(observation, now) if observation.attempts > 1 else 0
    reason = "its job failed for other hosts before it was shown to be done"
    return _relaunch_after(delay, Decision.WAIT, reason, alert=observation.attempts >= CUT_SHORT_TOO_OFTEN)


def circuit_breaker_decides(settings: GroupSettings, observation: GateObservation) -> bool:
    """Whether the provisioning circuit breaker decides about an instance."""
    return observation.outcome == Outcome.FAILED or (
        observation.outcome == Outcome.UNREACHABLE and _counts_as_unreachable(settings, observation)
    )


def _counts_as_unreachable(settings: GroupSettings, observation: GateObservation) -> bool:
    """Whether an instance was tried for long enough, and often enough, whatever the first job took."""
    return observation.unreached_for >= settings.timeout and observation.unreached >= TRIES_UNREACHABLE


def _held_by_circuit_breaker(observation: GateObservation, evidence: str, delay: float) -> Verdict:
    verdict = _relaunch_after(delay, Decision.HOLD, f"{evidence}: {observation.circuit_breaker}", alert=True)
    return verdict._replace(against=True)


def _against(settings: GroupSettings, evidence: str) -> Verdict:
    if settings.on_failure == OnFailure.HOLD:
        words = f"{evidence}; held for an operator to look"
        return Verdict(Decision.HOLD, words, timing.HOLD_INTERVAL, alert=True, against=True)
    return Verdict(Decision.ABANDON, evidence, against=True)


def _until_next_try(observation: GateObservation, now: float) -> float:
    return observation.job_ended_at + timing.relaunch_delay(observation.attempts) - now


def _relaunch_after(delay: float, meanwhile: Decision, reason: str, *, alert: bool = False) -> Verdict:
    if delay <= 0:
        return Verdict(Decision.RELAUNCH, reason, alert=alert)
    return Verdict(meanwhile, reason, delay=delay, alert=alert)
