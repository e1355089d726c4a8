"""What reconcile does for cycles: it starts what is due, and settles what stopped executions left behind.

Groups without the tag cost nothing: one call shows those that have it.
"""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

from rollcall.aws.executions import RUNNING
from rollcall.aws.instance_refreshes import ENDING, InstanceRefreshes
from rollcall.aws.launch_templates import LaunchTemplates
from rollcall.domain.groups import base_template
from rollcall.domain.settings import CYCLE_TAG, PINNED_TAG
from rollcall.domain.version_aliases import DEFAULT_VERSION
from rollcall.workflow.invocation import ENDED
from rollcall.workflow.settling import SETTLE_AFTER, settled_now
from rollcall.workflow.starting import Starter, StarterParts, StartOutcome, starter_parts

from .due import TaggedGroup, due_cycles
from .pinning import read_pin
from .tag import parse_cycle_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rollcall.aws.executions import Execution
    from rollcall.aws.tagged_groups import RunningGroup
    from rollcall.workflow.running import Turns

    from .due import DueCycle

IN_FLIGHT = 150.0  # seconds that a task which runs as its execution is stopped may go on: its timeout in the machine


class CyclesOutcome(StartOutcome["DueCycle"]):
    """What a run did about cycles."""


class CycleStarter(Starter["DueCycle", CyclesOutcome]):
    """Starts cycles, and has others settled."""

    noun = "cycle"
    tags = (CYCLE_TAG,)

    def __init__(self, parts: StarterParts, templates: LaunchTemplates, refreshes: InstanceRefreshes) -> None:
        super().__init__(parts, CyclesOutcome())
        self._templates = templates
        self._refreshes = refreshes

    def run(self, only: Collection[str] | None, every: float | None) -> CyclesOutcome:
        """Start and settle what is due; as Starter.run."""
        self._each_group((*self.tags, PINNED_TAG), only, lambda each: self._look_at(each, every))
        for stopped in self._executions.unfinished(*settled_now(self._clock(), every)):
            self._attempt(f"cycle {stopped.name}", lambda each: self._settle_refresh(each, only), stopped)
        return self.outcome

    def _look_at(self, running: RunningGroup, every: float | None) -> None:
        if PINNED_TAG in running.group.tags:
            self._settle_pin(running)
        self._start(self._first_due(running, every))

    def _first_due(self, running: RunningGroup, every: float | None) -> DueCycle | None:
        """Of a group that a cycle has pinned only one for which the next run may be too late: pre-flight refuses it."""
        is_pinned = PINNED_TAG in running.group.tags
        return self._first_in_turn(each for each in self._due(running, every) if each.is_last or not is_pinned)

    def _due(self, running: RunningGroup, every: float | None) -> Sequence[DueCycle]:
        tag = parse_cycle_tag(running.group)
        if tag is None:
            return ()
        group = TaggedGroup(running.group.name, tag, running.created)
        template = base_template(running.configuration)
        if tag.on_new_version and running.running and template:
            version = self._templates.version(template, template.get("Version") or DEFAULT_VERSION)
            if version:
                runs = {number for template_id, number in running.running if template_id == version.template_id}
                group = replace(group, version=version.number, description=version.description, running=frozenset(runs))
        return due_cycles(group, self._clock(), every)

    def _settle_pin(self, running: RunningGroup) -> None:
        """A pin that outlived its cycle by so long that nothing else will take it away."""
        pin = read_pin(running.group.tags[PINNED_TAG])
        execution = self._executions.find(pin.cycle) if pin else None
        if execution and execution.status != RUNNING and (execution.stopped or 0.0) < self._clock() - SETTLE_AFTER:
            self._settle(execution)

    def _settle_refresh(self, stopped: Execution, only: Collection[str] | None) -> None:
        """A refresh that goes on without the execution that began it, or whose last task did just after it was stopped.

        Whether it is the execution's the cycle function sees by what was sent.
        """
        execution = self._executions.find(stopped.name)
        group = execution.request.get("group") if execution else None
        if execution is None or not isinstance(group, str) or (only is not None and group not in only):
            return
        active = self._refreshes.active(group)
        if active is None or active.status in ENDING or active.began is None:
            return
        if execution.started <= active.began <= (execution.stopped or 0.0) + IN_FLIGHT:
            self._settle(execution)

    def _settle(self, execution: Execution) -> None:
        if execution.status in ENDED and execution.name not in self.outcome.settled:
            self._send_stopped(execution)


def cycle_starter(
    region: str, machine: str, function: str, turns: Turns, seconds_left: Callable[[], float]
) -> CycleStarter:
    """The starter of an installation. machine: the state machine's ARN; function: the cycle function's name."""
    parts = starter_parts(region, machine, function, turns, seconds_left)
    return CycleStarter(parts, LaunchTemplates(region), InstanceRefreshes(region))
