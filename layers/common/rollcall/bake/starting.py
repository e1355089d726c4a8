"""What reconcile does for bakes: it starts what is due, and has removed what stopped ones and old ones left.

It changes nothing itself: it may neither terminate instances nor remove images, and sends the bake function an event
for each. Groups without the tags cost nothing: one call shows those that have them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.aws.builders import Builders
from rollcall.aws.executions import Executions
from rollcall.aws.functions import Functions
from rollcall.aws.tagged_groups import TaggedGroups
from rollcall.domain.bake_tags import BAKE_EXECUTION, GROUP_TAGS
from rollcall.domain.errors import NoTimeLeft, RollcallError
from rollcall.workflow.invocation import ENDED, settling_event
from rollcall.workflow.settling import SETTLE_AFTER, settled_now

from .due import due_bake
from .invocation import retire_event, retire_others_event, sweep_event
from .moments import RETIRE_EVERY, is_late
from .request import require_readable_tags
from .state import BakeResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rollcall.aws.tagged_groups import RunningGroup
    from rollcall.domain.instances import Instance
    from rollcall.workflow.running import Turns

    from .due import DueBake
    from .tag import BakeTag

ENDED_BY_ITSELF = frozenset(BakeResult)  # errors of executions whose last step was taken: the bake's result
LEAST_TIME = 15.0  # seconds of an invocation that one group may need, so that the answer about the run is not lost


@dataclass
class BakesOutcome:
    """What a run did about bakes. waiting: those due while something else is at work on their group.

    settled: the names of stopped executions that the bake function was sent. swept: the instances that it was to
    remove, for their time is over. retired: the groups whose old images it was to remove. errors: by what they are
    about.
    """

    started: list[DueBake] = field(default_factory=list)
    waiting: list[DueBake] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    errors: dict[str, RollcallError] = field(default_factory=dict)


class BakeStarter:
    """Starts bakes, and has others looked after. function: the bake function's name. clock: epoch seconds."""

    def __init__(
        self,
        executions: Executions,
        groups: TaggedGroups,
        builders: Builders,
        functions: Functions,
        function: str,
        turns: Turns,
        *,
        clock: Callable[[], float],
        seconds_left: Callable[[], float],
    ) -> None:
        self._executions = executions
        self._groups = groups
        self._builders = builders
        self._functions = functions
        self._function = function
        self._turns = turns
        self._clock = clock
        self._seconds_left = seconds_left
        self.outcome = BakesOutcome()

    def run(self, only: Collection[str] | None, every: float | None) -> BakesOutcome:
        """Start what is due, and have removed what is left. only: these groups, None for all.

        every: seconds between two runs, or None. What fails for one group keeps no other from its turn. Raises what is
        about none in particular, and NoTimeLeft; outcome has what was done before that.
        """
        for each in self._groups.tagged(GROUP_TAGS):
            if only is None or each.group.name in only:
                self._require_time()
                try:
                    self._look_at(each, every)
                except RollcallError as error:
                    self.outcome.errors[f"bakes of group {each.group.name}"] = error
        if only is None:
            self._require_time()
            if self._retires(every):
                self._functions.send(self._function, retire_others_event())
            self._settle(self._builders.instances_of_bakes(), every)
        return self.outcome

    def preview(self, only: Collection[str] | None, every: float | None) -> BakesOutcome:
        """What run() would start. Nothing is changed. The arguments, and what it raises, are those of run()."""
        for each in self._groups.tagged(GROUP_TAGS):
            if only is None or each.group.name in only:
                self._require_time()
                try:
                    if due := self._due(each, require_readable_tags(each.group), every):
                        self._record_start(due)
                except RollcallError as error:
                    self.outcome.errors[f"bakes of group {each.group.name}"] = error
        return self.outcome

    def _require_time(self) -> None:
        if self._seconds_left() < LEAST_TIME:
            raise NoTimeLeft("no time left in this run for bakes that are due; the next one starts them")

    def _look_at(self, running: RunningGroup, every: float | None) -> None:
        name = running.group.name
        tag = require_readable_tags(running.group)
        if self._retires(every):
            self._functions.send(self._function, retire_event(name))
            self.outcome.retired.append(name)
        if (due := self._due(running, tag, every)) and self._executions.start(due.name, due.request):
            self._record_start(due)

    def _due(self, running: RunningGroup, tag: BakeTag | None, every: float | None) -> DueBake | None:
        """The bake of a group that is due and was not started before, once it is its turn."""
        name = running.group.name
        due = due_bake(name, tag, running.created, self._clock(), every) if tag else None
        if due is None or self._executions.find(due.name) is not None:
            return None
        if self._turns.is_taken(name):
            self.outcome.waiting.append(due)
            return None
        return due

    def _record_start(self, due: DueBake) -> None:
        self._turns.take(due.group)
        self.outcome.started.append(due)

    def _retires(self, every: float | None) -> bool:
        """Whether this run is the first after a multiple of RETIRE_EVERY; one by hand never is."""
        return every is not None and self._clock() % RETIRE_EVERY < every

    def _settle(self, instances: Collection[Instance], every: float | None) -> None:
        """Have bakes settled that were stopped a while ago, or still have instances; and those removed that are late.

        What a stopped one may have left beside instances, the bake function sees: it does nothing where nothing is.
        """
        late = [each.instance_id for each in instances if is_late(each, self._clock())]
        names = {each.tags.get(BAKE_EXECUTION, "") for each in instances} - {""}
        stopped = self._executions.unfinished(*settled_now(self._clock(), every))
        for name in sorted(names | {each.name for each in stopped}):
            self._require_time()
            try:
                self._settle_execution(name)
            except RollcallError as error:
                self.outcome.errors[f"bake {name}"] = error
        if late:
            self._functions.send(self._function, sweep_event())
            self.outcome.swept += late

    def _settle_execution(self, name: str) -> None:
        execution = self._executions.find(name)
        if execution is None or execution.status not in ENDED or execution.error in ENDED_BY_ITSELF:
            return
        if (execution.stopped or 0.0) < self._clock() - SETTLE_AFTER:
            self._functions.send(self._function, settling_event(execution))
            self.outcome.settled.append(name)


def bake_starter(
    region: str, machine: str, function: str, turns: Turns, seconds_left: Callable[[], float]
) -> BakeStarter:
    """The starter of an installation. machine: the state machine's ARN; function: the bake function's name."""
    return BakeStarter(
        Executions(machine),
        TaggedGroups(region),
        Builders(region),
        Functions(),
        function,
        turns,
        clock=time.time,
        seconds_left=seconds_left,
    )
