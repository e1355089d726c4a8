"""The steps of a cycle, each a task of its state machine: read, decide, do.

Every step may be repeated, and may have died anywhere before: what it does it does so that doing it again changes
nothing, and what it needs to know of an earlier try it reads from AWS. What is decided is in preflight.py, progress.py,
verification.py and pinning.py.
"""

from __future__ import annotations

import json
from copy import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rollcall.aws.execution_history import ExecutionHistory
from rollcall.aws.executions import machine_of
from rollcall.aws.gate_log import GateLog
from rollcall.aws.instance_refreshes import ENDING, Ending
from rollcall.domain.errors import AwsRejected, BadEvent, BadSettings, RefreshStillActive, TowerUnavailable
from rollcall.evidence.job_reader import JobEvidence
from rollcall.workflow.failures import failure_words
from rollcall.workflow.invocation import VERSION_TO_COME, execution_name
from rollcall.workflow.names import is_of_bake, is_scheduled
from rollcall.workflow.running import other_bakes, running_of_group
from rollcall.workflow.settling import STOPPED
from rollcall.workflow.state_texts import cut, listed_lines
from rollcall.workflow.waiting import SOON, next_wait

from .cycle_aws import CycleAws
from .news import CycleEvent, CycleNews
from .progress import PHASES, CycleDecision, is_new, progress
from .putting_back import PuttingBack
from .reading import CycleReader
from .starting_refresh import RefreshStarter
from .state import LISTED_MAX, CycleResult, CycleState, EndedBy, Phase
from .target_health import healthy_targets
from .verification import Verified, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .observed import GroupNow
    from .observer import PreflightObserver
    from .preflight import Plan, Preflight
    from .state import CycleVerdict


GROUP_GONE = "the group does not exist any more"
ENDINGS = {
    CycleResult.SUCCEEDED: CycleEvent.SUCCEEDED,
    CycleResult.FAILED: CycleEvent.FAILED,
    CycleResult.ROLLED_BACK: CycleEvent.ROLLED_BACK,
    CycleResult.CANCELLED: CycleEvent.CANCELLED,
}


class StepAnswer(NamedTuple):
    """What came of a step. next: the word by which the state machine goes on, after so many seconds.

    news: what is to be published.
    """

    state: CycleState
    next: str
    wait: float = 0.0
    news: tuple[CycleNews, ...] = ()


class CycleRun:
    """Takes the steps of cycles. bakes: the ARN of the state machine Bake, empty in a stack without.

    clock: epoch seconds. seconds_left: of this invocation.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        *,
        chef: Chef | None,
        bakes: str,
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
        evidence: Evidence | None = None,
        aws: CycleAws | None = None,
        gate_log: GateLog | None = None,
        history: ExecutionHistory | None = None,
    ) -> None:
        self._settings = settings
        self._aws = aws or CycleAws(settings.region)
        self._history = history or ExecutionHistory(settings.region)
        self._tower = tower
        self._fleet = fleet
        self._bakes = bakes
        self._clock = clock
        self._seconds_left = seconds_left
        gate_log = gate_log or GateLog(settings.gate_log_group, settings.region)
        self._reader = CycleReader(tower, evidence or JobEvidence(tower), fleet, self._aws, gate_log, chef)
        self._putting_back = PuttingBack(self._aws)
        self._steps: dict[str, Callable[[CycleState], StepAnswer]] = {
            "pin": self._pin,
            "start": self._start,
            "follow": self._follow,
            "verify": self._verify,
        }

    def step(self, name: str, event: Mapping[str, Any]) -> StepAnswer:
        """Take a step. event: what the state machine hands to it. Raises what AWS and Tower refuse, and BadEvent."""
        execution = event["execution"]
        if name == "preflight":
            return self._preflight(event["request"], execution, to_come=event.get(VERSION_TO_COME) is True)
        state = _with_execution(CycleState.from_json(event["cycle"]), execution)
        if name == "put_back":
            return self._put_back(_with_error(state, event.get("error") or {}))
        if name not in self._steps:
            raise BadEvent(f"a cycle has no step {name!r}; it has preflight, {', '.join(self._steps)} and put_back")
        return self._steps[name](state)

    # Preflight

    def _preflight(self, raw: object, execution: Mapping[str, Any], *, to_come: bool) -> StepAnswer:
        """Every objection, or the plan; before anything is touched. to_come: to a version that is yet to be made."""
        now = self._clock()
        group = str(raw.get("group", "")) if isinstance(raw, dict) else ""
        state = _with_execution(CycleState(group, phase_since=now), execution)
        unattended = is_scheduled(state.name, group) or is_of_bake(state.name, group)
        if unattended:
            self._tower.version()  # raises while Tower is away: the step is tried again, where no one can start it anew
        request, found = self._observer(state).preflight(raw, state.name, to_come=to_come)
        if unattended:
            _require_tower_read(found)
        if request is not None:
            state = replace(state, group=request.group, request=request.to_json())
        state = replace(state, objections=found.objections, warnings=listed_lines(found.warnings, LISTED_MAX))
        if found.plan is not None:
            state = with_plan(state, found.plan)
        objected = cut("; ".join(each.reason for each in found.objections))
        if request is not None and request.dry_run:
            return _over(state, CycleResult.DRY_RUN, objected or "nothing speaks against it")
        if found.objections or request is None or found.plan is None:
            return _over(state, CycleResult.REFUSED, objected)
        if found.plan.nothing_to_replace:
            return _over(state, CycleResult.NOTHING_TO_REPLACE, "every instance has the version already")
        starting = replace(state, phase=Phase.STARTING, phase_since=now)
        return StepAnswer(starting, "pin" if starting.pinned_from else "start")

    def _observer(self, state: CycleState) -> PreflightObserver:
        from .observer import PreflightObserver  # imported where used: it brings doctor, and is used once in a cycle

        return PreflightObserver(
            self._settings,
            self._tower,
            self._fleet,
            running=lambda group: running_of_group(machine_of(state.execution), group),
            bakes=lambda group: other_bakes(self._bakes, group, state.name),
            clock=self._clock,
            seconds_left=self._seconds_left,
            aws=self._aws,
        )

    # Pin

    def _pin(self, state: CycleState) -> StepAnswer:
        """Set the group from its alias to the number that its instances run."""
        try:
            self._putting_back.pin(state)
        except BadSettings as error:
            return _over(state, CycleResult.FAILED, str(error))
        return StepAnswer(state, "start")

    # Start

    def _start(self, state: CycleState) -> StepAnswer:
        """Start the refresh, or find the one that an earlier try of this step has started."""
        details = self._aws.details(state.group)
        if details is None:
            return _over(state, CycleResult.FAILED, GROUP_GONE)
        starting = replace(
            state,
            phase=Phase.STARTING,
            phase_since=self._clock(),
            healthy_at_start=healthy_targets(self._reader.health(details)),
        )
        try:
            refresh_id, began = RefreshStarter(self._aws).start(starting, self._clock())
        except AwsRejected as error:
            return _over(starting, CycleResult.FAILED, str(error))
        if refresh_id is None:
            words = "another instance refresh of the group began meanwhile: wait for it to end, and cycle again"
            return _over(starting, CycleResult.REFUSED, words)
        started = replace(starting, refresh_id=refresh_id, began=began)
        return StepAnswer(started, "wait", SOON, (CycleNews(CycleEvent.STARTED, started),))

    # Follow

    def _follow(self, state: CycleState) -> StepAnswer:
        now = self._clock()
        group = self._reader.group(state.group, state.began)
        refresh = self._aws.find(state.group, state.refresh_id) if group else None
        if group is None or refresh is None:
            gone = GROUP_GONE if group is None else f"AWS does not show instance refresh {state.refresh_id} any more"
            return _over(state, CycleResult.FAILED, gone)
        verdicts, unread = self._verdicts(state, group)
        read = state.verdicts_read if unread else now
        done = progress(replace(state, unread=unread, verdicts_read=read), refresh, group, verdicts, now)
        match done.decision:
            case CycleDecision.ROLL_BACK:
                ending = replace(done.state, phase=self._roll_back(state))
                return StepAnswer(ending, "wait", done.wait, _progress_news(state, ending))
            case CycleDecision.CANCEL:
                self._aws.cancel(state.group)
            case CycleDecision.VERIFY:
                return StepAnswer(done.state, "verify", 0.0, _progress_news(state, done.state))
            case CycleDecision.PUT_BACK:
                return StepAnswer(done.state, "put_back")
            case CycleDecision.WAIT:
                pass
        return StepAnswer(done.state, "wait", done.wait, _progress_news(state, done.state))

    def _verdicts(self, state: CycleState, group: GroupNow) -> tuple[list[CycleVerdict], str]:
        """New verdicts; and why they could not be read while Tower is away, during which no instance is let in either.

        The refresh is followed all the same: it would be cancelled if this step failed for as long as Tower is away.
        """
        try:
            return self._reader.verdicts(state, group), ""
        except TowerUnavailable as error:
            return [], f"the gate's verdicts: {error}"

    def _roll_back(self, state: CycleState) -> Phase:
        """Roll back, or cancel where AWS does not roll this refresh back after all; the phase that begins by that.

        It refuses a second request, too, where the answer to the first was lost: that rollback must not be cancelled.
        """
        try:
            ending = self._aws.rollback(state.group)
        except AwsRejected:
            ending = Ending.IRREVERSIBLE
        if ending == Ending.IRREVERSIBLE:
            refresh = self._aws.find(state.group, state.refresh_id)
            if refresh is None or refresh.status not in ENDING:
                self._aws.cancel(state.group)
                return Phase.CANCELLING
            return PHASES[refresh.status]
        return Phase.ROLLING_BACK

    # Verify

    def _verify(self, state: CycleState) -> StepAnswer:
        now = self._clock()
        details = self._aws.details(state.group)
        group = self._reader.group(state.group, state.began) if details else None
        if details is None or group is None:
            return _over(state, CycleResult.FAILED, GROUP_GONE)
        members = [each for each in group.members if each.in_service and is_new(state, each)]
        try:
            unproven = self._reader.unproven(details.group, [each.instance_id for each in members])
            remains = self._reader.remains(details.group, group, state.verify_since or now)
            found = verify(state, group, unproven, remains)
        except BadSettings as error:
            return _over(state, CycleResult.FAILED, str(error))
        except TowerUnavailable as error:  # which may be back before verify_seconds are over
            found = Verified((str(error),))
        verified = replace(state, unverified=listed_lines(found.missing, LISTED_MAX), polls=state.polls + 1)
        if not found.missing:
            named = listed_lines([*state.warnings, *found.named], LISTED_MAX)
            verified_all = "1 instance was verified" if len(members) == 1 else f"{len(members)} instances were verified"
            reason = verified_all if members else "no instance was there to be verified"
            return _over(replace(verified, warnings=named), CycleResult.SUCCEEDED, reason)
        if now - state.verify_since < float(state.request["verify_seconds"]):
            return StepAnswer(verified, "wait", next_wait(now - state.began))
        reason = f"AWS calls the instance refresh successful, and this is not: {'; '.join(found.missing)}"
        return _over(verified, CycleResult.FAILED, cut(reason))

    # Put back

    def _put_back(self, state: CycleState) -> StepAnswer:
        refresh_id = state.refresh_id or self._lost_refresh(state)
        putting_back = replace(
            state, phase=Phase.PUTTING_BACK, refresh_id=refresh_id, result=state.result or CycleResult.FAILED
        )
        done = self._putting_back.put_back(putting_back)
        now = self._clock()
        if done is None:  # a rollback may take as long as the cycle did, and an execution has only so many events
            return StepAnswer(putting_back, "wait", next_wait(now - (state.began or now)))
        ended = replace(putting_back, phase=Phase.ENDED, phase_since=now, ended=now, put_back=done.words)
        well = ended.result is not None and ended.result.went_well
        if done.versions is not None and ended.refresh_id and not well:
            left = done.versions
            ended = replace(ended, runs=left.runs, launches=left.launches, launches_number=left.number)
        return StepAnswer(ended, "succeeded" if well else "failed", news=ending_news(ended))

    def _lost_refresh(self, state: CycleState) -> str:
        """The id of a refresh that the step Start began, and could not say so; empty without."""
        if state.phase != Phase.STARTING or state.result == CycleResult.REFUSED:
            return ""
        found = RefreshStarter(self._aws).find(state)
        return found.id if found else ""

    # An execution that ended some other way

    def settle(self, detail: Mapping[str, Any]) -> StepAnswer:
        """Put back what a cycle changed whose execution was stopped, ran out of time, or failed before it could.

        detail: of the event about the execution's status. While its refresh is being cancelled the group cannot be
        changed yet: then the answer is to wait, and the event has to come again (require_settled). How the cycle ended
        is published when that begins, for a cancellation may take longer than an event is repeated, and at its end.
        """
        state = self._last_state(detail)
        if state.phase == Phase.ENDED or not state.group:
            return StepAnswer(state, "succeeded")
        words = STOPPED.get(detail["status"], f"its execution is {detail['status']}")
        result = CycleResult.FAILED if detail["status"] == "FAILED" else CycleResult.CANCELLED
        by = EndedBy.OPERATOR if detail["status"] == "ABORTED" else EndedBy.NOTHING
        stopped = replace(state, result=result, reason=words, ended_by=by)
        refresh = self._aws.find(state.group, state.refresh_id) if state.refresh_id else None
        answer = self._put_back(stopped)
        if answer.next == "wait" and refresh is not None and refresh.status not in ENDING:
            return answer._replace(news=ending_news(replace(answer.state, phase=Phase.CANCELLING)))
        return answer

    def _last_state(self, detail: Mapping[str, Any]) -> CycleState:
        """The state after the execution's last step; before the first there is only its input.

        One whose input names no group has failed before its first step: its state is of no group.
        """
        arn = detail["executionArn"]
        raw = self._history.last_output(arn)
        if raw is None:
            request = json.loads(detail["input"])
            known = isinstance(request, dict) and isinstance(request.get("group"), str)
            raw = {"cycle": {"request": request} if known else {"group": ""}}
        state = CycleState.from_json(raw["cycle"])
        return replace(state, execution=arn, name=execution_name(arn))


def require_settled(answer: StepAnswer) -> None:
    """Raise RefreshStillActive where an execution that ended some other way has left something to put back yet."""
    if answer.next == "wait":
        raise RefreshStillActive(
            f"the instance refresh {answer.state.refresh_id} of group {answer.state.group!r} is being cancelled: what "
            "its cycle changed is put back when it has ended"
        )


def ending_news(state: CycleState) -> tuple[CycleNews, ...]:
    """What is published of a cycle that has ended."""
    kind = ENDINGS.get(state.result) if state.result else None
    if state.result == CycleResult.REFUSED and is_scheduled(state.name, state.group):
        kind = CycleEvent.FAILED  # the command reports those that it starts
    return (CycleNews(kind, state),) if kind else ()


def _progress_news(before: CycleState, after: CycleState) -> tuple[CycleNews, ...]:
    """Progress, where operators see something else than before."""

    def shown(state: CycleState) -> object:
        return (state.new, state.in_progress, state.left, state.phase, state.verdicts, state.dips, state.launch_failure)

    return (CycleNews(CycleEvent.PROGRESS, after),) if shown(before) != shown(after) else ()


def _require_tower_read(found: Preflight) -> None:
    """Raise TowerUnavailable where Tower gave no answer to one of pre-flight's questions."""
    from rollcall.doctor.unread_findings import not_looked_at  # imported where used, as the observer is

    unread = not_looked_at(TowerUnavailable.__name__)
    for each in found.objections:
        if each.what == unread:
            raise TowerUnavailable(each.reason)


def with_plan(state: CycleState, plan: Plan) -> CycleState:
    """The state with what pre-flight planned."""
    return replace(
        state,
        template_id=plan.template_id,
        target_version=plan.target_version,
        from_version=plan.from_version,
        sent=plan.sent,
        rolls_back=plan.rolls_back,
        pinned_from=plan.pinned_from,
        desired=plan.desired,
        batch=plan.batch,
        skip_matching=plan.skip_matching,
        left=plan.replaced,
        plan=plan.to_json(),
    )


def _over(state: CycleState, result: CycleResult, reason: str) -> StepAnswer:
    return StepAnswer(replace(state, result=result, reason=reason), "put_back")


def _with_execution(state: CycleState, execution: Mapping[str, Any]) -> CycleState:
    started = datetime.fromisoformat(execution["started"]).timestamp()
    return replace(state, execution=execution["id"], name=execution["name"], execution_started=started)


def _with_error(state: CycleState, error: Mapping[str, Any]) -> CycleState:
    """The state with the error that ended another task for good, if one did."""
    if not error or state.result:
        return state
    return replace(state, result=CycleResult.FAILED, reason=failure_words("cycle", error))
