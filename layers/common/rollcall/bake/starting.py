"""What reconcile does for bakes: it starts what is due, and has removed what stopped ones and old ones left.

It changes nothing itself: it may neither terminate instances nor remove images, and sends the bake function an event
for each. Groups without the tags cost nothing: one call shows those that have them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollcall.aws.builders import Builders
from rollcall.domain.bake_tags import BAKE_EXECUTION, GROUP_TAGS
from rollcall.workflow.invocation import ENDED
from rollcall.workflow.settling import SETTLE_AFTER, settled_now
from rollcall.workflow.starting import Starter, StarterParts, StartOutcome, starter_parts

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

ENDED_BY_ITSELF = frozenset(BakeResult)  # errors of executions whose last step was taken: the bake's result


@dataclass
class BakesOutcome(StartOutcome["DueBake"]):
    """What a run did about bakes. swept: the instances that the bake function was to remove, for their time is over.

    retired: the groups whose old images it was to remove.
    """

    swept: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)


class BakeStarter(Starter["DueBake", BakesOutcome]):
    """Starts bakes, and has others looked after."""

    noun = "bake"
    tags = GROUP_TAGS

    def __init__(self, parts: StarterParts, builders: Builders) -> None:
        super().__init__(parts, BakesOutcome())
        self._builders = builders

    def run(self, only: Collection[str] | None, every: float | None) -> BakesOutcome:
        """Start what is due, and have removed what is left; as Starter.run."""
        self._each_group(self.tags, only, lambda each: self._look_at(each, every))
        if only is None:
            self._require_time()
            if self._retires(every):
                self._functions.send(self._function, retire_others_event(self._settled_since(every)))
            self._settle(self._builders.instances_of_bakes(), every)
        return self.outcome

    def _look_at(self, running: RunningGroup, every: float | None) -> None:
        require_readable_tags(running.group)
        if self._retires(every):
            event = retire_event(running.group.name, ended_before=self._settled_since(every))
            self._functions.send(self._function, event)
            self.outcome.retired.append(running.group.name)
        self._start(self._first_due(running, every))

    def _first_due(self, running: RunningGroup, every: float | None) -> DueBake | None:
        tag = require_readable_tags(running.group)
        due = due_bake(running.group.name, tag, running.created, self._clock(), every) if tag else None
        return self._first_in_turn([due] if due else [])

    def _retires(self, every: float | None) -> bool:
        """Whether this run is the first after a multiple of RETIRE_EVERY; one by hand never is."""
        return every is not None and self._clock() % RETIRE_EVERY < every

    def _settled_since(self, every: float | None) -> float:
        """When a bake has to have ended at the earliest that a run still has settled; in epoch seconds."""
        return settled_now(self._clock(), every)[0]

    def _settle(self, instances: Collection[Instance], every: float | None) -> None:
        """Have bakes settled that were stopped a while ago, or still have instances; and those removed that are late.

        What a stopped one may have left beside instances, the bake function sees: it does nothing where nothing is.
        """
        late = [each.instance_id for each in instances if is_late(each, self._clock())]
        names = {each.tags.get(BAKE_EXECUTION, "") for each in instances} - {""}
        stopped = self._executions.unfinished(*settled_now(self._clock(), every))
        for name in sorted(names | {each.name for each in stopped}):
            self._attempt(f"bake {name}", self._settle_execution, name)
        if late:
            self._functions.send(self._function, sweep_event())
            self.outcome.swept += late

    def _settle_execution(self, name: str) -> None:
        execution = self._executions.find(name)
        if execution is None or execution.status not in ENDED or execution.error in ENDED_BY_ITSELF:
            return
        if (execution.stopped or 0.0) < self._clock() - SETTLE_AFTER:
            self._send_stopped(execution)


def bake_starter(
    region: str, machine: str, function: str, turns: Turns, seconds_left: Callable[[], float]
) -> BakeStarter:
    """The starter of an installation. machine: the state machine's ARN; function: the bake function's name."""
    return BakeStarter(starter_parts(region, machine, function, turns, seconds_left), Builders(region))
