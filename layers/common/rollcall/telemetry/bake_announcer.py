"""What becomes of bakes and their images: logs, metrics and events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollcall.bake.news import BakeEvent

from .announcer import Announcer
from .bake_details import bake_event, job_of, reason_of
from .event_details import objection_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollcall.bake.news import BakeAnswer, BakeNews
    from rollcall.bake.state import BakeState
    from rollcall.bake.sweeping import Swept

COUNTED = {
    BakeEvent.BAKED: "ImagesBaked",
    BakeEvent.FAILED: "ImagesFailed",
    BakeEvent.RETIRED: "ImagesRetired",
}
ENDS = (BakeEvent.BAKED, BakeEvent.FAILED)


class BakeAnnouncer(Announcer):
    """Logs, counts and publishes for bakes."""

    def announce_bake(self, answer: BakeAnswer) -> None:
        """Announce what a step of a bake has found.

        Of a dry run, and of a bake by hand that was refused, nothing is published: the operator has the answer. The log
        has it, too.
        """
        self._announce_news(answer.news)
        if answer.state.reason and not answer.news:
            result = f"{answer.state.result}: " if answer.state.result else ""
            self.logger.info(
                f"{result}{answer.state.reason}", extra=_about(answer.state) | objection_fields(answer.state)
            )

    def announce_retired(self, answer: BakeAnswer) -> None:
        """Announce what became of old images between two bakes: why each stays, and what needs an operator."""
        self.announce_bake(answer)
        state = answer.state
        for line in state.warnings:
            self.logger.warning(line, extra={"group": state.group, "alert": True})
        for line in state.retained:
            self.logger.info(line, extra={"group": state.group})

    def announce_swept(self, swept: Swept) -> None:
        """Announce the bakes that left instances whose time was over, and what became of the hosts of these."""
        self._announce_news(swept.news)
        for line in swept.hosts:
            self.logger.info(line)

    def _announce_news(self, news: Sequence[BakeNews]) -> None:
        for each in news:
            log = self.logger.error if _is_bad(each) else self.logger.info
            log(f"{each.kind}: {reason_of(each)}", extra=_about_news(each))
            self._count_bake(each)
            self._events.append(bake_event(each, time.time()))

    def _count_bake(self, news: BakeNews) -> None:
        if _is_bad(news) or news.kind != BakeEvent.FAILED:
            self.metrics.count(COUNTED[news.kind], group=news.state.group)
        seconds = news.state.seconds(time.time())
        if news.kind in ENDS and seconds is not None:
            self.metrics.seconds("BakeSeconds", seconds, group=news.state.group)


def _is_bad(news: BakeNews) -> bool:
    """Whether a bake failed; one that an operator ended did not."""
    return news.kind == BakeEvent.FAILED and not (news.state.result and news.state.result.is_operators)


def _about_news(news: BakeNews) -> dict[str, object]:
    """What a log line says of it; `rollcall history` reads event and job."""
    fields = {"event": news.kind, "image": news.image, "job": job_of(news)}
    return _about(news.state) | {name: value for name, value in fields.items() if value}


def _about(state: BakeState) -> dict[str, object]:
    fields = {
        "group": state.group,
        "bake": state.name,
        "phase": state.phase,
        "builder": state.builder,
        "image": state.image_id,
        "version": state.version,
    }
    return {name: value for name, value in fields.items() if value}
