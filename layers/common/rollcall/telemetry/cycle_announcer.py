"""What becomes of cycles: logs, metrics and events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollcall.cycle.news import CycleEvent
from rollcall.cycle.state import EndedBy
from rollcall.workflow.invocation import execution_name

from .announcer import Announcer
from .cycle_details import cycle_event, cycle_seconds

if TYPE_CHECKING:
    from rollcall.cycle.news import CycleNews
    from rollcall.cycle.run import StepAnswer
    from rollcall.cycle.state import CycleState

CANCELLED = "CyclesCancelled"
COUNTED = {
    CycleEvent.STARTED: "CyclesStarted",
    CycleEvent.SUCCEEDED: "CyclesSucceeded",
    CycleEvent.FAILED: "CyclesFailed",
    CycleEvent.ROLLED_BACK: "CyclesRolledBack",
    CycleEvent.CANCELLED: CANCELLED,
}
ENDS = COUNTED.keys() - {CycleEvent.STARTED}
ERRORS = (CycleEvent.FAILED, CycleEvent.ROLLED_BACK)


class CycleAnnouncer(Announcer):
    """Logs, counts and publishes for cycles."""

    def announce_step(self, answer: StepAnswer, execution: str) -> None:
        """Announce what a step of a cycle has found. execution: the ARN of the cycle's.

        Of a dry run, and of a cycle by hand that was refused, nothing is published: the operator has the answer. The
        log has it, too.
        """
        for each in answer.news:
            log = self.logger.error if each.kind in ERRORS and not _is_operators(each) else self.logger.info
            words = each.state.reason or each.state.launch_failure or each.state.phase
            log(f"{each.kind}: {words}", extra=_about(each.state, execution, each.kind))
            self._count_cycle(each)
            self._events.append(cycle_event(each, execution, time.time()))
        if answer.state.result and not answer.news:
            words = f"{answer.state.result}: {answer.state.reason}"
            self.logger.info(words, extra=_about(answer.state, execution) | _objections(answer.state))

    def _count_cycle(self, news: CycleNews) -> None:
        state = news.state
        if name := COUNTED.get(news.kind):
            self.metrics.count(CANCELLED if _is_operators(news) else name, group=state.group)
        if news.kind in ENDS:
            self.metrics.seconds("CycleSeconds", cycle_seconds(state, time.time()), group=state.group)
            self.metrics.count("CycleInstancesReplaced", state.new, group=state.group)
            self.metrics.count("CycleTargetDips", len(state.dips), group=state.group)


def _is_operators(news: CycleNews) -> bool:
    """Whether an operator rolled it back: it is as good as cancelled, and sounds no alarm."""
    return news.kind == CycleEvent.ROLLED_BACK and news.state.ended_by == EndedBy.OPERATOR


def _about(state: CycleState, execution: str, event: str = "") -> dict[str, object]:
    """What a log line says of a cycle; `rollcall history` reads event and job."""
    job = next((each.job for each in state.verdicts if each.job is not None), None)
    fields = {"event": event, "target_version": state.target_version, "phase": state.phase, "job": job}
    return {
        "group": state.group,
        "cycle": execution_name(execution),
        **{name: value for name, value in fields.items() if value},
        "new": state.new,
        "in_progress": state.in_progress,
        "left": state.left,
    }


def _objections(state: CycleState) -> dict[str, object]:
    return {"objections": [each._asdict() for each in state.objections]} if state.objections else {}
