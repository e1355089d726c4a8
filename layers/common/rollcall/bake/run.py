"""The steps of a bake, each a task of its state machine: read, decide, do.

Every step may be repeated, and may have died anywhere before: what it does it does so that doing it again changes
nothing, and what it needs to know of an earlier try it reads from AWS and Tower.
"""

from __future__ import annotations

from copy import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rollcall.aws.execution_history import ExecutionHistory
from rollcall.aws.functions import Functions
from rollcall.domain.bake_tags import BAKE_GROUP, GROUP_TAGS, KEEP_TAG
from rollcall.domain.errors import BadEvent, BadSettings, RollcallError
from rollcall.domain.groups import base_template
from rollcall.evidence.job_reader import JobEvidence
from rollcall.workflow.answer import PUT_BACK, StepAnswer, over
from rollcall.workflow.names import is_dry_run, is_scheduled
from rollcall.workflow.running import running_of_group
from rollcall.workflow.state_texts import cut, listed_lines

from .bake_aws import BakeAws
from .building import Building
from .ending import Ending
from .hosts import BakeHosts
from .imaging import Imaging
from .invocation import STEPS
from .moments import RETIRE_EVERY
from .putting_back import PuttingBack
from .recording import Recording
from .retiring import TIME_NEEDED, TIME_TO_READ, RetentionRequest, Retiring, copies_named, images_left
from .smoke import SmokeTest
from .smoke_jobs import SmokeJobs
from .state import LISTED_MAX, BakeResult, BakeState, Phase
from .sweeping import Sweeping
from .versioning import Versioning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.chef.client import Chef
    from rollcall.domain.bake_settings import BakeSettings
    from rollcall.domain.settings import Settings
    from rollcall.evidence.job_reader import Evidence
    from rollcall.tower.client import Tower

    from .news import BakeAnswer
    from .observer import PreflightObserver
    from .sweeping import Swept

LIFE = 12 * 3600.0  # seconds from a bake's start in which builder, image and smoke test have to be done


class BakeRun:
    """Takes the steps of bakes. clock: epoch seconds. seconds_left: of this invocation."""

    def __init__(
        self,
        settings: Settings,
        bake: BakeSettings,
        tower: Tower,
        fleet: Fleet,
        *,
        chef: Chef | None,
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
        evidence: Evidence | None = None,
        aws: BakeAws | None = None,
        history: ExecutionHistory | None = None,
    ) -> None:
        self._settings = settings
        self._bake = bake
        self._tower = tower
        self._fleet = fleet
        self._clock = clock
        self._seconds_left = seconds_left
        self._aws = aws or BakeAws(settings.region)
        self._history = history or ExecutionHistory(settings.region)
        evidence = evidence or JobEvidence(tower)
        building = Building(settings, tower, fleet, self._aws, evidence)
        self._recording = Recording(self._aws, self._history, bake.cycle_machine)
        self._retiring = Retiring(self._aws, clock, seconds_left)
        hosts = BakeHosts(settings, tower, fleet)
        putting_back = PuttingBack(tower, fleet, self._aws, building, hosts)
        self._ending = Ending(self._history, self._recording, putting_back, clock)
        self._sweeping = Sweeping(self._aws, hosts, bake.machine)
        self._steps: dict[str, Callable[[BakeState, float], BakeAnswer]] = {
            "launch": building.launch,
            "register": building.register,
            "provision": building.provision,
            "image": Imaging(self._aws).step,
            "terminate": building.terminate,
            "smoke": SmokeTest(self._aws, fleet, SmokeJobs(settings, tower, fleet, evidence, chef)).step,
            "version": Versioning(self._aws, rolls_out=bake.cycles).step,
            "retain": self._retain,
        }

    def step(self, name: str, event: Mapping[str, Any]) -> BakeAnswer:
        """Take a step. event: what the state machine hands to it. Raises what AWS and Tower refuse, and BadEvent."""
        execution = event["execution"]
        if name == "preflight":
            return self._preflight(event["request"], execution)
        state = BakeState.from_json(event["bake"]).with_execution(execution)
        error = event.get("error") or {}
        if name == PUT_BACK:
            return self._ending.put_back(state, error)
        if name == "record":
            return self._recording.step(state, self._clock(), None, error)
        if name not in self._steps:
            raise BadEvent(f"a bake has no step {name!r}; it has {', '.join(STEPS)}")
        return self._steps[name](state, self._clock())

    # Preflight

    def _preflight(self, raw: object, execution: Mapping[str, Any]) -> BakeAnswer:
        """Every objection, or the plan; before anything is touched."""
        now = self._clock()
        group = str(raw.get("group", "")) if isinstance(raw, dict) else ""
        state = BakeState(group, phase_since=now).with_execution(execution)
        if is_scheduled(state.name, group):
            self._tower.version()  # raises while Tower is away: the step is tried again, where no one can start it anew
        found = self._observer(state).preflight(raw, state.name)
        state = replace(state, objections=found.objections, warnings=listed_lines(found.warnings, LISTED_MAX))
        request = found.request
        if request is not None:
            state = replace(state, group=request.group, request=request.to_json())
        objected = cut("; ".join(each.reason for each in found.objections))
        is_dry = request.dry_run if request else is_dry_run(state.name, group)
        if request is None or found.plan is None:
            return over(state, BakeResult.DRY_RUN if is_dry else BakeResult.REFUSED, objected)
        state = replace(found.plan.into(state), until=state.execution_started + LIFE)
        if is_dry:
            state = replace(state, plan={**state.plan, "removals": self._removals(state)})
            return over(state, BakeResult.DRY_RUN, objected or "nothing speaks against it")
        if found.objections:
            return over(state, BakeResult.REFUSED, objected)
        if found.plan.nothing_new and (request.only_if_new or is_scheduled(state.name, group)):
            return over(state, BakeResult.NOTHING_NEW, found.plan.nothing_new)
        return StepAnswer(replace(state, phase=Phase.LAUNCHING, phase_since=now), "launch")

    def _observer(self, state: BakeState) -> PreflightObserver:
        from .observer import PreflightObserver  # imported where used: it brings doctor, and is used once in a bake
        from .roll_out_preflight import roll_out_preflight

        bake = self._bake

        return PreflightObserver(
            self._settings,
            bake,
            self._tower,
            self._fleet,
            running=lambda group: running_of_group(bake.machine, group),
            cycles=lambda group: running_of_group(bake.cycle_machine, group),
            roll_out=partial(roll_out_preflight, Functions(), bake.cycle_function, bake.cycle_machine, state),
            clock=self._clock,
            aws=self._aws,
        )

    # Retention

    def _retain(self, state: BakeState, now: float) -> BakeAnswer:
        """Remove what is beyond the newest images and versions; what fails there is a warning: the group runs well."""
        state = replace(state, phase=Phase.RETIRING, phase_since=now)
        template = {"LaunchTemplateId": state.template_id, "LaunchTemplateName": state.template_name}
        asked = RetentionRequest(state.group, template, int(state.request["keep"]), self._bake.share)
        try:
            report = self._retiring.retire(asked)
        except RollcallError as error:
            words = f"old images were not removed: {error}"
            return StepAnswer(replace(state, warnings=listed_lines([*state.warnings, words], LISTED_MAX)), PUT_BACK)
        done = replace(
            state,
            removed=listed_lines(report.removed, LISTED_MAX),
            retained=listed_lines(report.kept, LISTED_MAX),
            warnings=listed_lines([*state.warnings, *report.warnings], LISTED_MAX),
        )
        return StepAnswer(done, PUT_BACK, news=report.news(done))

    def _removals(self, state: BakeState) -> list[str]:
        """What would go after the roll-out, a line for each: the new image takes one place among those that stay.

        It is not read where there is no time, so that the answer about everything else is not lost.
        """
        if self._seconds_left() < TIME_TO_READ + TIME_NEEDED:
            return ["which old images would go was not read: the rest of pre-flight took too long. Try it again"]
        template = {"LaunchTemplateId": state.template_id, "LaunchTemplateName": state.template_name}
        asked = RetentionRequest(
            state.group,
            template,
            int(state.request["keep"]),
            self._bake.share,
            dry_run=True,
            before=state.from_version,
            with_next=True,
        )
        try:
            report = self._retiring.retire(asked)
        except RollcallError as error:
            return [cut(f"which old images would go could not be read: {error}")]
        return list(listed_lines([*report.removed, *report.warnings], LISTED_MAX))

    def settle(self, detail: Mapping[str, Any]) -> BakeAnswer:
        """Remove what a bake left whose execution ended some other way: ending.py. Raises what AWS fails at."""
        return self._ending.settle(detail)

    # Upkeep, for reconcile

    def _at_work(self, group: str) -> list[str]:
        """The names of the bakes and cycles of a group that run."""
        machines = (self._bake.machine, self._bake.cycle_machine)
        return [name for machine in machines for name in running_of_group(machine, group)]

    def sweep(self) -> Swept:
        """Terminate the instances of bakes whose time is over, and remove their hosts. Raises what AWS fails at."""
        return self._sweeping.sweep(self._clock())

    def record_late(self, group: str, ended_before: float | None) -> list[BakeAnswer]:
        """Record what came of roll-outs of a group whose end no bake saw: late_recording.py.

        ended_before: of bakes that ended before this moment, in epoch seconds; of none if it is None. An answer for
        each image of which there is something to say. Raises what AWS fails at before the first.
        """
        if ended_before is None:
            return []
        from .late_recording import LateRecording  # imported where used: it slows a cold start

        late = LateRecording(self._aws, self._history, self._recording, self._bake.machine, self._at_work, self._clock)
        return late.record(group, ended_before)

    def retire_others(self, ended_before: float | None) -> list[BakeAnswer]:
        """Retire images of groups that have no tag of bakes, as retire(); those of groups that are gone are named.

        A state for each group, and before that those of record_late(), which takes ended_before. Nothing is removed of
        a group that is gone: what becomes of it only its owner knows. Instances with a builder's tags that no bake
        launched are named, too. Where there is no time for all groups it says for how many; the run six hours later
        begins with another group, so that each has its turn. Raises what AWS fails at before the first group.
        """
        answers = [_noted(group, copies_named(ids)) for group, ids in sorted(self._copies().items())]
        groups = sorted(self._aws.images_by_group().items())
        first = int(self._clock() // RETIRE_EVERY) % len(groups) if groups else 0
        groups = [*groups[first:], *groups[:first]]
        for done, (group, image_ids) in enumerate(groups):
            if self._seconds_left() < TIME_TO_READ + TIME_NEEDED:
                left = f"{len(groups) - done} of {len(groups)} groups, from {group} on"
                answers.append(_noted(group, f"old images of {left}, are left for a later run: there was no time"))
                break
            try:
                details = self._aws.details(group)
                if details and details.group.tags.keys() & set(GROUP_TAGS):
                    continue
                answers += self.record_late(group, ended_before)
                gone = _noted(group, images_left(group, image_ids))
                answers.append(self.retire(group, dry_run=False, force=False) if details else gone)
            except RollcallError as error:
                answers.append(_noted(group, f"old images of group {group} were not removed: {error}"))
        return answers

    def _copies(self) -> dict[str, list[str]]:
        """Instances with a builder's tags that no bake launched, by the group in these."""
        found: dict[str, list[str]] = {}
        for each in self._aws.copies_of_builders():
            found.setdefault(each.tags.get(BAKE_GROUP, ""), []).append(each.instance_id)
        return found

    def retire(self, group: str, *, dry_run: bool, force: bool) -> BakeAnswer:
        """Remove what is beyond the newest images and versions of a group; the state says what was.

        How many stay the group's tag says, else what the newest image was baked with.
        Nothing goes while a cycle or a bake of the group runs, which may go back to any of its versions. Raises
        BadSettings for tags that cannot be read, and what AWS fails at.
        """
        from .request import read_request, require_readable_tags

        details = self._aws.details(group)
        if details is None:
            raise BadSettings(f"there is no Auto Scaling group {group!r} in this account and Region")
        request = read_request({"group": group}, require_readable_tags(details.group))
        asked = RetentionRequest(
            group,
            base_template(details.configuration),
            request.keep,
            self._bake.share,
            force=force,
            dry_run=dry_run,
            as_baked=KEEP_TAG not in details.group.tags,
        )
        report = Retiring(self._aws, self._clock, self._seconds_left, self._at_work).retire(asked)
        state = BakeState(group, phase=Phase.ENDED, removed=report.removed, retained=report.kept)
        state = replace(state, warnings=report.warnings)
        return StepAnswer(state, "succeeded", news=report.news(state))


def _noted(group: str, warning: str) -> BakeAnswer:
    return StepAnswer(BakeState(group, phase=Phase.ENDED, warnings=(warning,)), "succeeded")
