"""How far an instance refresh is, and what becomes of it now. Pure: what was observed in, the next state out.

| the refresh is                 | and                                            | decision                        |
|--------------------------------|------------------------------------------------|---------------------------------|
| Pending, InProgress, Baking    | the gate's verdicts speak against the version  | ROLL_BACK if it is to, or       |
|                                |                                                | CANCEL                          |
|                                | they do not                                    | WAIT                            |
| Cancelling, RollbackInProgress |                                                | WAIT                            |
| Successful                     |                                                | VERIFY                          |
| RollbackSuccessful             | it was rolled back                             | PUT_BACK                        |
| Cancelled                      | it failed, if that was for the gate's verdicts | PUT_BACK                        |
| Failed, RollbackFailed         | it failed                                      | PUT_BACK                        |

The statuses are those of the API reference of Amazon EC2 Auto Scaling (InstanceRefresh). Instances in a lifecycle hook
keep their own verdict: nothing is abandoned for a cycle's sake.
"""

from __future__ import annotations

import math
from copy import replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.lifecycle_states import Phase as LifecyclePhase
from rollcall.workflow.state_texts import cut
from rollcall.workflow.waiting import next_wait

from .request import Protected, Standby
from .state import LISTED_MAX, CycleResult, EndedBy, ListedInstance, Phase, Since
from .target_health import dips, with_dips
from .verdicts import against_version, with_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollcall.aws.instance_refreshes import Refresh

    from .observed import GroupNow, Member
    from .state import CycleState, CycleVerdict, TargetDip


class CycleDecision(StrEnum):
    """What is done next."""

    WAIT = "wait"
    ROLL_BACK = "roll back"
    CANCEL = "cancel"
    VERIFY = "verify"
    PUT_BACK = "put back"


class Progress(NamedTuple):
    """The state after a round, what is done next, and in how many seconds the next round is."""

    state: CycleState
    decision: CycleDecision
    wait: float = 0.0


PHASES = {
    "Pending": Phase.STARTING,
    "InProgress": Phase.REPLACING,
    "Baking": Phase.BAKING,
    "Cancelling": Phase.CANCELLING,
    "RollbackInProgress": Phase.ROLLING_BACK,
}
REPLACING = ("Pending", "InProgress", "Baking")  # in which verdicts can still change something
STOPPED = ("Cancelling", "Cancelled", "RollbackInProgress", "RollbackSuccessful", "RollbackFailed")  # by a request
ENDING = (Phase.CANCELLING, Phase.ROLLING_BACK)  # phases in which that is known
RESULTS = {
    "RollbackSuccessful": CycleResult.ROLLED_BACK,
    "Cancelled": CycleResult.CANCELLED,
    "Failed": CycleResult.FAILED,
    "RollbackFailed": CycleResult.FAILED,
}
MANUAL = "manual"
IN_SERVICE = "in service"
WARMING_UP = "warming up"  # in service, and AWS does not count it as replaced yet
STAGES = {
    "Pending": "launching",
    "Pending:Wait": "being provisioned and checked",
    "Pending:Proceed": "going into service",
    "InService": IN_SERVICE,
    "Terminating": "terminating",
    "Terminating:Wait": "being removed from Tower",
    "Terminating:Proceed": "terminating",
    "Warmed:Pending": "launching into the warm pool",
    "Warmed:Pending:Wait": "being provisioned for the warm pool",
    "Warmed:Pending:Proceed": "going into the warm pool",
}


def is_new(state: CycleState, member: Member) -> bool:
    """Whether the cycle wants an instance: launched since it began, or kept for its version.

    What an override with a launch template of its own launches has no version that the cycle changes.
    """
    wanted = (state.template_id, state.target_version)
    of_version = state.target_version != "" and ((member.template_id, member.version) == wanted or member.of_override)
    if state.skip_matching:
        return of_version
    return member.launched is not None and (of_version or not state.target_version)


def is_left_alone(state: CycleState, member: Member) -> bool:
    """Whether an instance is not replaced because the request says so: it is protected, or in Standby."""
    request = state.request
    in_standby = member.state in ("Standby", "EnteringStandby")
    return (member.protected and request.get("protected") == Protected.IGNORE) or (
        in_standby and request.get("standby") == Standby.IGNORE
    )


def progress(
    state: CycleState, refresh: Refresh, group: GroupNow, verdicts: Iterable[CycleVerdict], now: float
) -> Progress:
    """The state as this round has it, and what is done next. verdicts: of new instances. now: epoch seconds."""
    counted = _with_lost_reason(state, _counted(state, refresh, group, verdicts, now), refresh)
    if refresh.status == "Successful":
        verifying = _in_phase(counted, Phase.VERIFYING, now)
        return Progress(replace(verifying, verify_since=state.verify_since or now), CycleDecision.VERIFY)
    if refresh.status in RESULTS:
        return Progress(_ended(counted, refresh, now), CycleDecision.PUT_BACK)
    if refresh.status in REPLACING and (against := against_version(counted.verdicts, group.desired)):
        return _stopped(counted, against.reason, now)
    phase = _phase(counted, refresh)
    waiting = _in_phase(counted, phase, now)
    return Progress(waiting, CycleDecision.WAIT, next_wait(now - state.began, _quiet_for(waiting, now)))


def _counted(
    state: CycleState, refresh: Refresh, group: GroupNow, verdicts: Iterable[CycleVerdict], now: float
) -> CycleState:
    new = [each for each in group.members if is_new(state, each)]
    new_serving = [each for each in new if each.lifecycle_phase in (LifecyclePhase.SERVING, LifecyclePhase.POOLED)]
    new_serving.sort(key=lambda each: each.launched or 0.0, reverse=True)  # those that may warm up yet are listed first
    coming = [each for each in new if each.lifecycle_phase == LifecyclePhase.ENTERING]
    old = [each for each in group.members if each not in new]
    going = [each for each in old if each.lifecycle_phase in (LifecyclePhase.LEAVING, LifecyclePhase.RETAINED)]
    staying = [each for each in old if each not in going and not is_left_alone(state, each)]
    warmup = _warmup(refresh, group)
    found: list[TargetDip] = []
    if refresh.status in ("InProgress", "Baking", "Successful"):
        found = dips(group, state.healthy_at_start, lambda each: is_new(state, each), now)
    return replace(
        state,
        polls=state.polls + 1,
        began=state.began or refresh.began or now,
        percent=refresh.percent,
        desired=group.desired,
        new=len(new_serving),
        in_progress=len(coming) + len(going),
        left=len(staying),
        instances=tuple(_listed(each, warmup, now) for each in (*coming, *going, *new_serving)[:LISTED_MAX]),
        verdicts=with_verdicts(state.verdicts, verdicts),
        dips=with_dips(state.dips, found),
        launch_failure=cut(group.launch_failure),
    )


def _with_lost_reason(before: CycleState, counted: CycleState, refresh: Refresh) -> CycleState:
    """The reason for which an earlier try of this round ended the refresh, and died before it could say so."""
    if counted.reason or before.phase in ENDING or refresh.status not in STOPPED:
        return counted
    against = against_version(counted.verdicts, counted.desired)
    return replace(counted, reason=against.reason) if against else counted


def _warmup(refresh: Refresh, group: GroupNow) -> float:
    """The seconds for which the refresh waits once an instance is in service: only while it replaces any."""
    if refresh.status != "InProgress":
        return 0.0
    own = refresh.preferences.get("InstanceWarmup")
    return float(group.warmup if own is None else own)


def _listed(member: Member, warmup: float, now: float) -> ListedInstance:
    """warmup: seconds since it came into service until AWS counts it as replaced."""
    since, began = Since.LAUNCH, member.launched
    if member.terminated is not None:
        since, began = Since.TERMINATION, member.terminated
    stage, left = STAGES.get(member.state, member.state), None
    if member.in_service and member.launched is not None and warmup:
        through = member.came_through
        left = None if through is None else min(warmup, max(0.0, through + warmup - now))
        stage = WARMING_UP if left is None or left else IN_SERVICE
    return ListedInstance(
        member.instance_id,
        stage,
        0 if began is None else round(max(0.0, now - began)),
        member.version,
        Since.UNKNOWN if began is None else since,
        math.ceil(left) if left else None,
    )


def _phase(state: CycleState, refresh: Refresh) -> Phase:
    """What the refresh does.

    That it waits at a checkpoint AWS does not say: it has come to one, nothing moves, and there are no more new
    instances than that takes. More of them are those after the checkpoint, which do not count before they warmed up.
    """
    checkpoints = state.request.get("checkpoints") or ()
    at_checkpoint = refresh.percent in checkpoints and refresh.percent < 100
    enough = math.ceil(state.desired * refresh.percent / 100)
    if refresh.status == "InProgress" and at_checkpoint and not state.in_progress and state.new <= enough:
        return Phase.CHECKPOINT
    return PHASES.get(refresh.status, state.phase)


def _in_phase(state: CycleState, phase: Phase, now: float) -> CycleState:
    return state if state.phase == phase else replace(state, phase=phase, phase_since=now)


def _quiet_for(state: CycleState, now: float) -> float:
    seconds = {Phase.CHECKPOINT: "checkpoint_seconds", Phase.BAKING: "bake_seconds"}.get(state.phase)
    if seconds is None:
        return 0.0
    return max(0.0, float(state.request.get(seconds) or 0) - (now - state.phase_since))


def _stopped(state: CycleState, reason: str, now: float) -> Progress:
    decided = replace(state, reason=reason)
    if state.rolls_back:
        return Progress(_in_phase(decided, Phase.ROLLING_BACK, now), CycleDecision.ROLL_BACK, next_wait(0))
    return Progress(_in_phase(decided, Phase.CANCELLING, now), CycleDecision.CANCEL, next_wait(0))


def _ended_by(state: CycleState, refresh: Refresh) -> EndedBy:
    """What ended a refresh that was not through.

    AWS cancels none by itself, and rolls back only what it was asked to. That a rollback was manual, of a refresh that
    AWS may also roll back by itself, only the reason says (API reference, RollbackReason: "whether a manual or
    automatic rollback was initiated"); where it does not, it counts as AWS's, so that it is not missed.
    """
    if state.reason:
        return EndedBy.VERDICTS
    by_request = refresh.status == "RollbackSuccessful" and (
        not state.rolls_back or MANUAL in refresh.rollback_reason.lower()
    )
    return EndedBy.OPERATOR if by_request or refresh.status == "Cancelled" else EndedBy.AWS


def _ended(state: CycleState, refresh: Refresh, now: float) -> CycleState:
    """What a refresh that is over ended as. Why: by the gate's verdicts, if these ended it, else in AWS's words."""
    result, ended_by = RESULTS[refresh.status], _ended_by(state, refresh)
    if result == CycleResult.CANCELLED and state.reason:
        result = CycleResult.FAILED
    words = refresh.rollback_reason or refresh.reason
    reason = state.reason or cut(words) or f"the instance refresh is {refresh.status}"
    if state.launch_failure and not state.reason:
        reason = cut(f"{reason} The last launch failed: {state.launch_failure}")
    if ended_by == EndedBy.OPERATOR:
        reason = cut(f"by an operator's request; AWS says: {reason}")
    return replace(_in_phase(state, Phase.PUTTING_BACK, now), result=result, reason=reason, ended_by=ended_by)
