"""What becomes of cycles: logs, metrics and events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollcall.cycle.news import CycleEvent
from rollcall.cycle.state import EndedBy

from .announcer import Announcer
from .cycle_details import cycle_event
from .event_details import objection_fields

if TYPE_CHECKING:
    from rollcall.cycle.news import CycleAnswer, CycleNews
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

    def announce_step(self, answer: CycleAnswer) -> None:
        """Announce what a step of a cycle has found.

        Of a dry run, and of a cycle by hand that was refused, nothing is published: the operator has the answer. The
        log has it, too.
        """
        for each in answer.news:
            log = self.logger.error if each.kind in ERRORS and not _is_operators(each) else self.logger.info
            words = each.state.reason or each.state.launch_failure or each.state.phase
            log(f"{each.kind}: {words}", extra=_about(each.state, each.kind))
            self._count_cycle(each)
            self._events.append(cycle_event(each, time.time()))
        if answer.state.result and not answer.news:
            words = f"{answer.state.result}: {answer.state.reason}"
            self.logger.info(words, extra=_about(answer.state) | objection_fields(answer.state))

    def _count_cycle(self, news: CycleNews) -> None:
        state = news.state
        if name := COUNTED.get(news.kind):
            self.metrics.count(CANCELLED if _is_operators(news) else name, group=state.group)
        if news.kind in ENDS:
            seconds = state.seconds(time.time())
            if seconds is not None:
                self.metrics.seconds("CycleSeconds", seconds, group=state.group)
            self.metrics.count("CycleInstancesReplaced", state.new, group=state.group)
            self.metrics.count("CycleTargetDips", len(state.dips), group=state.group)


def _is_operators(news: CycleNews) -> bool:
    """Whether an operator rolled it back: it is as good as cancelled, and sounds no alarm."""
    return news.kind == CycleEvent.ROLLED_BACK and news.state.ended_by == EndedBy.OPERATOR


def _about(state: CycleState, event: str = "") -> dict[str, object]:
    """What a log line says of a cycle; `rollcall history` reads event and job."""
    job = next((each.job for each in state.verdicts if each.job is not None), None)
    fields = {"event": event, "target_version": state.target_version, "phase": state.phase, "job": job}
    return {
        "group": state.group,
        "cycle": state.name,
        **{name: value for name, value in fields.items() if value},
        "new": state.new,
        "in_progress": state.in_progress,
        "left": state.left,
    }
