"""What the gate's and the retire job's own decisions mean for who looks at an instance. Pure.

The decisions are those of rollcall.lifecycle, made from the same observations. Times in epoch seconds by Tower's clock;
what is computed from them holds as long as the functions run.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.domain import timing
from rollcall.domain.jobs import Outcome
from rollcall.domain.verdicts import Decision
from rollcall.lifecycle.retire_decision import NextStep

from .waits import CheckAnswer, Shown, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.domain.jobs import Job
    from rollcall.domain.verdicts import Verdict
    from rollcall.lifecycle.gate_decision import GateObservation
    from rollcall.lifecycle.retire_decision import RetireDecision, RetireObservation

    from .waits import SeenCheck, SeenJob

NEXT_EVALUATION = "the next evaluation"
NEXT_JOB = "the next job"
WITHOUT_IT = "it goes without it"
STEPS = {
    Decision.READY: Step.READY,
    Decision.ABANDON: Step.ABANDONED,
    Decision.HOLD: Step.HELD,
    Decision.LEAVE: Step.LEFT,
    Decision.RELAUNCH: Step.TRIED_AGAIN,
    Decision.WAIT: Step.TRIED_AGAIN,
}


def at_work(job: Job, seen: SeenJob, tries: int, now: float, stuck: str = "") -> Shown:
    """A job runs on the instance, or waits to. stuck: how it hangs, empty if it does not."""
    next_at = now + timing.poll_delay(now - job.started_at if job.started_at else 0.0, seen.usual, 0)
    if job.started_at is None:
        late = now - job.created_at > timing.PENDING_TOO_LONG
        reason = f"Tower has not started it ({job.status})" + (": look at Tower's capacity" if late else "")
        return Shown(Step.JOB_WANTED, reason, seen, tries, next_at=next_at, next_is=NEXT_EVALUATION)
    return Shown(Step.JOB_RUNS, stuck, seen, tries, next_at=next_at, next_is=NEXT_EVALUATION)


def events_pending(seen: SeenJob, tries: int, now: float) -> Shown:
    """The job is over, and Tower still processes what shows what came of it."""
    next_at = now + timing.events_delay(now - (seen.ended_at or now))
    return Shown(Step.EVENTS_PENDING, "", seen, tries, next_at=next_at, next_is=NEXT_EVALUATION)


def decided(
    observation: GateObservation,
    verdict: Verdict,
    seen: SeenJob | None,
    checks: Sequence[SeenCheck],
    now: float,
) -> Shown:
    """What the gate decides now, by all that can be seen from here."""
    shown = Shown(STEPS[verdict.decision], verdict.reason, seen, observation.attempts, tuple(checks))
    if verdict.decision == Decision.READY:
        return replace(shown, reason="")
    if observation.outcome == Outcome.OK and not observation.unmatched:
        step = Step.CHECKED if verdict.decision == Decision.WAIT else shown.step
        shown = replace(shown, step=step, reason=_words_of_checks(checks, observation, verdict))
    if verdict.decision in (Decision.ABANDON, Decision.LEAVE):
        return shown
    next_is = NEXT_JOB if _is_job_next(observation, verdict) else NEXT_EVALUATION
    return replace(shown, next_at=now + verdict.delay, next_is=next_is)


def _is_job_next(observation: GateObservation, verdict: Verdict) -> bool:
    """Whether what follows the delay is another job, and not only another look at the same."""
    if observation.outcome == Outcome.OK or observation.unmatched or observation.comparing:
        return False
    return verdict.decision != Decision.HOLD or bool(observation.circuit_breaker)


def _words_of_checks(checks: Sequence[SeenCheck], observation: GateObservation, verdict: Verdict) -> str:
    """Why its checks keep it; which do not pass stands beside it."""
    answers = {each.answer for each in checks}
    waits = verdict.decision == Decision.WAIT
    if not answers & {CheckAnswer.FAILS, CheckAnswer.UNSURE}:
        untried = ", ".join(each.check for each in checks if each.answer == CheckAnswer.NOT_TRIED)
        held = f", and has not let it through for {observation.checked_for:.0f} s: see the gate's log"
        return f"only the gate can try {untried}" + (": no other check is left" if waits else held)
    if waits:
        return ""
    if CheckAnswer.FAILS in answers:
        return f"a check of it has failed for {observation.checked_for:.0f} s"
    return f"a check of it has not passed for {observation.checked_for:.0f} s, and nothing speaks against it"


def retired(observation: RetireObservation, decision: RetireDecision, seen: SeenJob | None, now: float) -> Shown:
    """What is done about an instance on its way out whose group has a retire job."""
    without_at = now + observation.seconds_left
    match decision.step:
        case NextStep.LET_GO:
            return Shown(Step.REMOVED, decision.reason, seen)
        case NextStep.LAUNCH_JOB | NextStep.LAUNCH_LATER:
            return Shown(Step.RETIRE_JOB_WANTED, decision.reason, seen, next_at=without_at, next_is=WITHOUT_IT)
        case NextStep.WAIT_FOR_JOB | NextStep.LEAVE_TO_OTHER_MESSAGE:
            step = Step.EVENTS_PENDING if seen and seen.ended_at else Step.RETIRE_JOB_RUNS
            return Shown(step, "", seen, next_at=without_at, next_is=WITHOUT_IT)
