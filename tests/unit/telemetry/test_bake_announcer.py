"""What is logged, counted and published of bakes and their images. Their events as a whole: test_event_details."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.bake.news import BakeAnswer, BakeEvent, BakeNews
from rollcall.bake.state import BakeResult, BakeState
from rollcall.bake.sweeping import Swept
from rollcall.domain.objections import Objection
from rollcall.workflow.answer import StepAnswer
from unit.bake_news import (
    BUILDER,
    ENDED,
    EXECUTION,
    IMAGE,
    MADE,
    NAME,
    RETIRED,
    ROLLED_OUT,
    STATE,
    bake_answer,
    bake_ended,
)

if TYPE_CHECKING:
    from unit.audience import Audience

NOTHING = {"EventsLost", "TowerErrors"}  # which count something else


def counted(audience: Audience, answer: BakeAnswer) -> dict[str, float]:
    audience.metrics()
    audience.announcer.announce_bake(answer)
    counts = audience.counted(group="web")
    return {name: number for name, number in counts.items() if name not in NOTHING}


@pytest.mark.parametrize(("kind", "name"), [(BakeEvent.BAKED, "ImagesBaked"), (BakeEvent.FAILED, "ImagesFailed")])
def test_each_end_is_counted_with_how_long_it_took(audience: Audience, kind: BakeEvent, name: str) -> None:
    ended = STATE.execution_started + 1860.0
    news = tuple(each._replace(state=replace(each.state, ended=ended)) for each in bake_ended(kind).news)
    assert counted(audience, bake_ended(kind)._replace(news=news)) == {name: 1, "BakeSeconds": 1860.0}


@pytest.mark.parametrize("result", [BakeResult.CANCELLED, BakeResult.ROLLED_BACK_BY_HAND])
def test_a_bake_that_an_operator_ended_is_published_and_neither_counted_as_failed_nor_an_error(
    audience: Audience, result: BakeResult
) -> None:
    """Its operator knows: the alarm on ImagesFailed does not sound."""
    answer = bake_answer(BakeEvent.FAILED, **{**ENDED[BakeEvent.FAILED], "result": result})
    assert counted(audience, answer) == {"BakeSeconds": 1860.0}
    assert audience.lines()[0]["level"] == "INFO"
    [_, (_, detail)] = audience.end(lambda: audience.announcer.announce_bake(answer))
    assert detail["result"] == result


def test_an_image_that_is_retired_is_counted_and_is_no_end_of_a_bake(audience: Audience) -> None:
    assert counted(audience, RETIRED) == {"ImagesRetired": 1}


@pytest.mark.parametrize(("kind", "level"), [(BakeEvent.BAKED, "INFO"), (BakeEvent.FAILED, "ERROR")])
def test_a_line_says_of_each_end_what_happened_to_which_group_in_which_bake(
    audience: Audience, kind: BakeEvent, level: str
) -> None:
    audience.announcer.announce_bake(bake_ended(kind))
    [line] = audience.lines()
    reason = ENDED[kind].get("reason", f"image {IMAGE} is in version 7 of launch template web")
    assert (line["level"], line["message"]) == (level, f"{kind}: {reason}")
    assert (line["group"], line["bake"], line["event"], line["job"]) == ("web", NAME, kind, STATE.job)


def test_the_line_and_the_event_of_a_retired_image_name_that_one_and_no_job(audience: Audience) -> None:
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_bake(RETIRED))
    [line] = audience.lines()
    assert line["image"] == detail["image"] == RETIRED.news[0].image != IMAGE
    assert line["message"].startswith("Image Retired: disabled: ")
    assert (detail["job"], detail["job_url"], "job" in line) == (None, None, False)


@pytest.mark.parametrize("result", [BakeResult.DRY_RUN, BakeResult.REFUSED])
def test_what_the_operator_has_the_answer_of_is_logged_and_neither_counted_nor_published(
    audience: Audience, result: BakeResult
) -> None:
    objection = Objection("no bake inventory", "group web has no rollcall:bake-inventory", "set it")
    answer: BakeAnswer = StepAnswer(
        replace(STATE, result=result, reason="see the plan", objections=(objection,)), "put_back"
    )
    assert audience.end(lambda: audience.announcer.announce_bake(answer)) == []
    assert counted(audience, answer) == {}
    first, _ = audience.lines()
    assert (first["message"], first["objections"]) == (f"{result}: see the plan", [objection._asdict()])


def test_that_a_stopped_bake_left_nothing_is_in_the_log(audience: Audience) -> None:
    """Reconcile has every stopped one settled, for it cannot see what one has left."""
    stopped = replace(STATE, reason="it was stopped, and left nothing")
    assert audience.end(lambda: audience.announcer.announce_bake(StepAnswer(stopped, "succeeded"))) == []
    [line] = audience.lines()
    assert (line["message"], line["level"], line["bake"]) == ("it was stopped, and left nothing", "INFO", NAME)


def test_what_keeps_old_images_between_two_bakes_is_in_the_log_and_what_failed_is_to_be_looked_at(
    audience: Audience,
) -> None:
    """There is no execution whose answer says so."""
    state = BakeState("web", retained=("ami-1 stays: it is in use",), warnings=("15 of 20 images would go at once",))
    audience.announcer.announce_retired(StepAnswer(state, "succeeded"))
    failed, kept = audience.lines()
    assert (failed["message"], failed["group"], failed["alert"]) == ("15 of 20 images would go at once", "web", True)
    assert (kept["message"], kept["level"], "alert" in kept) == ("ami-1 stays: it is in use", "INFO", False)


def test_a_bake_that_left_instances_is_an_error_counted_and_published_without_result_or_duration(
    audience: Audience,
) -> None:
    state = BakeState("web", execution=EXECUTION, name=NAME, builder=BUILDER, reason="builder i-a was still there")
    swept = Swept((BakeNews(BakeEvent.FAILED, state),), ("host i-a was removed",))
    audience.metrics()
    [(kind, detail)] = audience.end(lambda: audience.announcer.announce_swept(swept))
    assert (kind, detail["group"], detail["bake"], detail["reason"]) == ("Image Failed", "web", NAME, state.reason)
    assert (detail["result"], detail["seconds"], detail["job"]) == (None, None, None)
    assert [(each["level"], each["message"]) for each in audience.lines()] == [
        ("ERROR", "Image Failed: builder i-a was still there"),
        ("INFO", "host i-a was removed"),
    ]
    assert audience.counted(group="web")["ImagesFailed"] == 1


def test_a_step_after_which_nothing_is_new_is_not_logged(audience: Audience) -> None:
    audience.announcer.announce_bake(StepAnswer(STATE, "provision", 15.0))
    assert audience.lines() == []


# Which job shows why


def test_of_a_playbook_that_fails_on_the_builder_the_event_names_the_job(audience: Audience) -> None:
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_bake(bake_ended(BakeEvent.FAILED)))
    assert (detail["job"], detail["job_url"]) == (STATE.job, STATE.job_url)


def test_of_a_smoke_test_that_fails_the_event_names_the_job_that_failed_there(audience: Audience) -> None:
    answer = bake_answer(BakeEvent.FAILED, **{**MADE, "smoke": "failed", "smoke_job": 130})
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_bake(answer))
    assert detail["job"] == 130


def test_of_a_roll_out_that_fails_no_job_of_the_bake_is_blamed(audience: Audience) -> None:
    answer = bake_answer(BakeEvent.FAILED, **{**ROLLED_OUT, "cycle_result": "rolled back", "smoke_job": 130})
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_bake(answer))
    assert (detail["job"], detail["roll_out"], detail["cycle"]) == (None, "rolled back", ROLLED_OUT["cycle"])


def test_images_that_reconcile_has_retired_are_those_of_no_bake(audience: Audience) -> None:
    """Between two bakes there is no execution."""
    state = BakeState("web")
    news = RETIRED.news[0]._replace(state=state)
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_bake(StepAnswer(state, "", news=(news,))))
    assert (detail["bake"], detail["execution_url"], detail["seconds"]) == (None, None, None)
    assert detail["image"] == news.image
