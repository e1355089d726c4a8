"""What is published of a bake, and of the images of bakes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollcall.bake.news import BakeEvent
from rollcall.domain.bake_tags import SmokeOutcome
from rollcall.domain.console_pages import execution_url

from .event_details import PublishedEvent, rounded, short

if TYPE_CHECKING:
    from rollcall.bake.news import BakeNews

    from .event_details import Json


def bake_event(news: BakeNews, now: float) -> PublishedEvent:
    """An event about a bake, or about an image that one has made. now: epoch seconds."""
    state = news.state
    detail: Json = {
        "group": state.group,
        "bake": state.name or None,
        "execution_url": execution_url(state.execution) if state.execution else None,
        "image": news.image or state.image_id or None,
        "base_image": state.base_image.id or None,
        "version": state.version or None,
        "from_version": state.from_version or None,
        "project_revision": state.project_revision or None,
        "smoke": state.smoke or None,
        "cycle": state.cycle or None,
        "roll_out": state.cycle_result or None,
        "result": str(state.result) if state.result else None,
        "seconds": rounded(state.seconds(now)),
        "reason": short(reason_of(news)),
        "job": job_of(news),
    }
    return PublishedEvent(news.kind, detail)


def reason_of(news: BakeNews) -> str:
    """What happened, in words."""
    state = news.state
    if news.kind == BakeEvent.BAKED and not (news.words or state.reason):
        return f"image {state.image_id} is in version {state.version} of launch template {state.template_name}"
    return news.words or state.reason


def job_of(news: BakeNews) -> int | None:
    """The job that shows why: of a bake that failed the one that failed, of another the one that made the image.

    None where no job has failed: the roll-out's is in the event of its cycle.
    """
    state = news.state
    if news.kind == BakeEvent.RETIRED:
        return None
    if news.kind == BakeEvent.FAILED and state.image_id:
        return state.smoke_job if state.smoke == SmokeOutcome.FAILED else None
    return state.job
