"""What is published of a cycle. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.domain.console_pages import execution_url

from .event_details import PublishedEvent, rounded, short

if TYPE_CHECKING:
    from rollcall.cycle.news import CycleNews

    from .event_details import Json

VERDICT_FIELDS = ("instance_id", "decision", "what", "job", "job_url", "reason")


def cycle_event(news: CycleNews, now: float) -> PublishedEvent:
    """An event about a cycle. now: epoch seconds."""
    state = news.state
    verdicts = [_verdict(each._asdict()) for each in state.verdicts]
    detail: Json = {
        "group": state.group,
        "cycle": state.name,
        "execution_url": execution_url(state.execution),
        "version": state.target_version or None,
        "from_version": state.from_version or None,
        "new": state.new,
        "in_progress": state.in_progress,
        "left": state.left,
        "percent": state.percent,
        "seconds": rounded(state.seconds(now)),
        "reason": short(state.reason or state.launch_failure),
        "ended_by": state.ended_by or None,
        "instances": [each._asdict() | {"seconds": rounded(each.seconds)} for each in state.instances],
        "verdicts": verdicts,
        "job": next((each["job"] for each in verdicts if each["job"] is not None), None),
    }
    return PublishedEvent(news.kind, detail)


def _verdict(verdict: Json) -> Json:
    return {name: short(value) if isinstance(value := verdict[name], str) else value for name in VERDICT_FIELDS}
