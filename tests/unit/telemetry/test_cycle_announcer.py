"""What is logged, counted and published of cycles. Their events as a whole: test_event_details."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.cycle.news import CycleAnswer, CycleEvent, CycleNews
from rollcall.cycle.state import CycleResult, EndedBy, TargetDip
from rollcall.workflow.answer import StepAnswer
from unit.cycle_news import ENDED, NAME, STATE, VERDICT, answer_of, ended

if TYPE_CHECKING:
    from unit.audience import Audience

NOTHING = {"EventsLost", "TowerErrors"}  # which count something else
DIP = TargetDip(1_000_100.0, "arn:targetgroup/web/1", 7, 8)


def counted(audience: Audience, answer: CycleAnswer) -> dict[str, float]:
    audience.metrics()
    audience.announcer.announce_step(answer)
    counts = audience.counted(group="web")
    return {name: number for name, number in counts.items() if name not in NOTHING}


def test_a_cycle_that_begins_is_counted_and_its_progress_is_not(audience: Audience) -> None:
    assert counted(audience, answer_of(CycleEvent.STARTED)) == {"CyclesStarted": 1}
    assert counted(audience, answer_of(CycleEvent.PROGRESS)) == {}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (CycleEvent.SUCCEEDED, "CyclesSucceeded"),
        (CycleEvent.FAILED, "CyclesFailed"),
        (CycleEvent.ROLLED_BACK, "CyclesRolledBack"),
        (CycleEvent.CANCELLED, "CyclesCancelled"),
    ],
)
def test_each_end_is_counted_with_how_long_it_took_and_what_came_of_it(
    audience: Audience, kind: CycleEvent, name: str
) -> None:
    answer = ended(kind)
    state = replace(answer.state, dips=(DIP, DIP))
    news = tuple(each._replace(state=state) for each in answer.news)
    assert counted(audience, answer._replace(state=state, news=news)) == {
        name: 1,
        "CycleSeconds": 930.0,
        "CycleInstancesReplaced": ENDED[kind].get("new", STATE.new),
        "CycleTargetDips": 2,
    }


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (CycleEvent.SUCCEEDED, "INFO"),
        (CycleEvent.CANCELLED, "INFO"),
        (CycleEvent.FAILED, "ERROR"),
        (CycleEvent.ROLLED_BACK, "ERROR"),
    ],
)
def test_a_line_says_of_each_end_what_happened_to_which_group_in_which_cycle(
    audience: Audience, kind: CycleEvent, level: str
) -> None:
    audience.announcer.announce_step(ended(kind))
    [line] = audience.lines()
    assert (line["level"], line["message"]) == (level, f"{kind}: {ENDED[kind]['reason']}")
    assert (line["group"], line["cycle"], line["event"], line["target_version"]) == ("web", NAME, kind, "7")
    assert line.get("job") == (VERDICT.job if kind == CycleEvent.ROLLED_BACK else None)


def test_one_that_an_operator_rolled_back_counts_as_cancelled_and_is_no_error(audience: Audience) -> None:
    answer = ended(CycleEvent.ROLLED_BACK)
    state = replace(answer.state, ended_by=EndedBy.OPERATOR)
    counts = counted(audience, answer._replace(state=state, news=(CycleNews(CycleEvent.ROLLED_BACK, state),)))
    assert {name for name in counts if name.startswith("Cycles")} == {"CyclesCancelled"}
    [line] = audience.lines()
    assert (line["level"], line["event"]) == ("INFO", "Cycle Rolled Back")


@pytest.mark.parametrize("result", [CycleResult.DRY_RUN, CycleResult.REFUSED])
def test_what_the_operator_has_the_answer_of_is_logged_and_neither_counted_nor_published(
    audience: Audience, result: CycleResult
) -> None:
    answer: CycleAnswer = StepAnswer(replace(STATE, result=result, reason="see the plan"), "failed")
    assert audience.end(lambda: audience.announcer.announce_step(answer)) == []
    assert counted(audience, answer) == {}
    assert [each["message"] for each in audience.lines()] == [f"{result}: see the plan"] * 2


def test_a_step_after_which_nothing_is_new_is_not_logged(audience: Audience) -> None:
    audience.announcer.announce_step(StepAnswer(STATE, "wait", 15.0))
    assert audience.lines() == []


def test_the_job_of_an_event_is_that_of_the_first_verdict_that_has_one(audience: Audience) -> None:
    check = VERDICT._replace(job=None, job_url=None, what="elb")
    answer = answer_of(CycleEvent.PROGRESS, verdicts=(check, VERDICT))
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_step(answer))
    assert (detail["job"], detail["job_url"]) == (VERDICT.job, VERDICT.job_url)
    assert [each["what"] for each in detail["verdicts"]] == ["elb", VERDICT.what]


def test_a_group_without_launch_template_has_no_version_in_its_events(audience: Audience) -> None:
    answer = answer_of(CycleEvent.STARTED, target_version="", from_version="")
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_step(answer))
    assert (detail["version"], detail["from_version"], detail["job_url"]) == (None, None, None)


def test_that_aws_launches_nothing_is_the_reason_of_a_progress(audience: Audience) -> None:
    answer = answer_of(CycleEvent.PROGRESS, launch_failure="more vCPU capacity than your limit")
    [(_, detail)] = audience.end(lambda: audience.announcer.announce_step(answer))
    assert detail["reason"] == "more vCPU capacity than your limit"
    [line] = audience.lines()
    assert line["message"] == "Cycle Progress: more vCPU capacity than your limit"
