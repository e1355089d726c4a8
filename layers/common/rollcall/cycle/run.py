"""The steps of a cycle, each a task of its state machine: read, decide, do.

Every step may be repeated, and may have died anywhere before: what it does it does so that doing it again changes
nothing, and what it needs to know of an earlier try it reads from AWS. What is decided is in preflight.py, progress.py,
verification.py and pinning.py.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

from rollcall.aws.executions import machine_of
from rollcall.aws.gate_log import GateLog
from rollcall.aws.instance_refreshes import ENDING, Ending
from rollcall.domain.errors import AwsRejected, BadEvent, BadSettings, TowerUnavailable
from rollcall.evidence.job_reader import JobEvidence
from rollcall.workflow.answer import PUT_BACK, StepAnswer, over
from rollcall.workflow.invocation import VERSION_TO_COME
from rollcall.workflow.names import is_of_bake, is_scheduled
from rollcall.workflow.running import other_bakes, running_of_group
from rollcall.workflow.state_texts import cut, listed_lines
from rollcall.workflow.waiting import SOON, next_wait

from .cycle_aws import CycleAws
from .ending import CycleEnding
from .news import CycleAnswer, CycleEvent, CycleNews
from .progress import PHASES, CycleDecision, is_new, progress
from .putting_back import PuttingBack
from .reading import CycleReader
from .starting_refresh import RefreshStarter
from .state import LISTED_MAX, CycleResult, CycleState, Phase
from .target_health import healthy_targets
from .verification import Verified, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.execution_history import ExecutionHistory
    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .observed import GroupNow
    from .observer import PreflightObserver
    from .preflight import Preflight
    from .state import CycleVerdict


GROUP_GONE = "the group does not exist any more"
STEPS = ("preflight", "pin", "start", "follow", "verify", PUT_BACK)  # of statemachines/cycle.asl.json


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
        self._history = history
        self._tower = tower
        self._fleet = fleet
        self._bakes = bakes
        self._clock = clock
        self._seconds_left = seconds_left
        gate_log = gate_log or GateLog(settings.gate_log_group, settings.region)
        self._reader = CycleReader(tower, evidence or JobEvidence(tower), fleet, self._aws, gate_log, chef)
        self._putting_back = PuttingBack(self._aws)
        self._ending = CycleEnding(self._aws, clock)
        self._steps: dict[str, Callable[[CycleState], CycleAnswer]] = {
            "pin": self._pin,
            "start": self._start,
            "follow": self._follow,
            "verify": self._verify,
        }

    def step(self, name: str, event: Mapping[str, Any]) -> CycleAnswer:
        """Take a step. event: what the state machine hands to it. Raises what AWS and Tower refuse, and BadEvent."""
        execution = event["execution"]
        if name == "preflight":
            return self._preflight(event["request"], execution, to_come=event.get(VERSION_TO_COME) is True)
        state = CycleState.from_json(event["cycle"]).with_execution(execution)
        if name == PUT_BACK:
            return self._ending.put_back(state, event.get("error") or {})
        if name not in self._steps:
            raise BadEvent(f"a cycle has no step {name!r}; it has {', '.join(STEPS)}")
        return self._steps[name](state)

    # Preflight

    def _preflight(self, raw: object, execution: Mapping[str, Any], *, to_come: bool) -> CycleAnswer:
        """Every objection, or the plan; before anything is touched. to_come: to a version that is yet to be made."""
        now = self._clock()
        group = str(raw.get("group", "")) if isinstance(raw, dict) else ""
        state = CycleState(group, phase_since=now).with_execution(execution)
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
            state = found.plan.into(state)
        objected = cut("; ".join(each.reason for each in found.objections))
        if request is not None and request.dry_run:
            return over(state, CycleResult.DRY_RUN, objected or "nothing speaks against it")
        if found.objections or request is None or found.plan is None:
            return over(state, CycleResult.REFUSED, objected)
        if found.plan.nothing_to_replace:
            return over(state, CycleResult.NOTHING_TO_REPLACE, "every instance has the version already")
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

    def _pin(self, state: CycleState) -> CycleAnswer:
        """Set the group from its alias to the number that its instances run."""
        try:
            self._putting_back.pin(state)
        except BadSettings as error:
            return over(state, CycleResult.FAILED, str(error))
        return StepAnswer(state, "start")

    # Start

    def _start(self, state: CycleState) -> CycleAnswer:
        """Start the refresh, or find the one that an earlier try of this step has started."""
        details = self._aws.details(state.group)
        if details is None:
            return over(state, CycleResult.FAILED, GROUP_GONE)
        starting = replace(
            state,
            phase=Phase.STARTING,
            phase_since=self._clock(),
            healthy_at_start=healthy_targets(self._reader.health(details)),
        )
        try:
            refresh_id, began = RefreshStarter(self._aws).start(starting, self._clock())
        except AwsRejected as error:
            return over(starting, CycleResult.FAILED, str(error))
        if refresh_id is None:
            words = "another instance refresh of the group began meanwhile: wait for it to end, and cycle again"
            return over(starting, CycleResult.REFUSED, words)
        started = replace(starting, refresh_id=refresh_id, began=began)
        return StepAnswer(started, "wait", SOON, (CycleNews(CycleEvent.STARTED, started),))

    # Follow

    def _follow(self, state: CycleState) -> CycleAnswer:
        now = self._clock()
        group = self._reader.group(state.group, state.began)
        refresh = self._aws.find(state.group, state.refresh_id) if group else None
        if group is None or refresh is None:
            gone = GROUP_GONE if group is None else f"AWS does not show instance refresh {state.refresh_id} any more"
            return over(state, CycleResult.FAILED, gone)
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
                return StepAnswer(done.state, PUT_BACK)
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

    def _verify(self, state: CycleState) -> CycleAnswer:
        now = self._clock()
        details = self._aws.details(state.group)
        group = self._reader.group(state.group, state.began) if details else None
        if details is None or group is None:
            return over(state, CycleResult.FAILED, GROUP_GONE)
        members = [each for each in group.members if each.in_service and is_new(state, each)]
        try:
            unproven = self._reader.unproven(details.group, [each.instance_id for each in members])
            remains = self._reader.remains(details.group, group, state.verify_since or now)
            found = verify(state, group, unproven, remains)
        except BadSettings as error:
            return over(state, CycleResult.FAILED, str(error))
        except TowerUnavailable as error:  # which may be back before verify_seconds are over
            found = Verified((str(error),))
        verified = replace(state, unverified=listed_lines(found.missing, LISTED_MAX), polls=state.polls + 1)
        if not found.missing:
            named = listed_lines([*state.warnings, *found.named], LISTED_MAX)
            verified_all = "1 instance was verified" if len(members) == 1 else f"{len(members)} instances were verified"
            reason = verified_all if members else "no instance was there to be verified"
            return over(replace(verified, warnings=named), CycleResult.SUCCEEDED, reason)
        if now - state.verify_since < float(state.request["verify_seconds"]):
            return StepAnswer(verified, "wait", next_wait(now - state.began))
        reason = f"AWS calls the instance refresh successful, and this is not: {'; '.join(found.missing)}"
        return over(verified, CycleResult.FAILED, cut(reason))

    # An execution that ended some other way

    def settle(self, detail: Mapping[str, Any]) -> CycleAnswer:
        """Put back what a cycle changed whose execution ended some other way: ending.py. Raises what AWS fails at."""
        from rollcall.aws.execution_history import ExecutionHistory  # imported where used: few executions end so

        return self._ending.settle(self._history or ExecutionHistory(self._settings.region), detail)


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
