"""What the events of a job prove, in the ways that no recording holds."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.jobs import HostSummary, Job, JobKind, JobStatus, Outcome
from rollcall.evidence.host_outcomes import (
    GoodRun,
    counts_for,
    outcomes_of_failed_job,
    outcomes_of_good_job,
    proves_nothing,
)
from unit.job_events import Story

if TYPE_CHECKING:
    from collections.abc import Collection

OK, CUT = Outcome.OK, Outcome.CUT_SHORT
FINE = HostSummary()
BAD = HostSummary(failures=1)
A, B, X = "i-a", "i-b", "i-x"
GOOD = ("i-g", "i-h")


def outcomes(
    story: Story, good: Story, *, similar: Collection[str] = GOOD, summaries: dict[str, HostSummary] | None = None
) -> dict[str, Outcome]:
    """What a job shows of a and b, in which x failed."""
    known = {A: FINE, B: FINE, X: BAD} | (summaries or {})
    return outcomes_of_failed_job([A, B], known, story.events, GoodRun(good.events, dict.fromkeys([A, B], similar)))


def included(story: Story, **ends: Any) -> Story:
    """A task of a file that another one includes."""
    before = len(story.events)
    story.task("in", **ends)
    story.events[before:] = [replace(each, path="project/more.yml:1") for each in story.events[before:]]
    return story


def test_a_host_that_did_all_that_its_kind_did_is_done() -> None:
    good = Story().tasks("one", "two", on=GOOD)
    job = Story().task("one", i_a="ok", i_b="ok", i_x="failed").task("two", i_a="ok")
    assert outcomes(job, good) == {A: OK, B: CUT}


@pytest.mark.parametrize("end", ["skipped", "ignored", "failed"])
def test_a_skipped_or_ignored_task_is_a_result_and_a_rescued_one_leads_where_no_similar_host_went(end: str) -> None:
    good = Story().tasks("one", "two", on=GOOD)
    job = Story().task("one", i_a=end, i_b="ok", i_x="failed").tasks("two", on=[A, B])
    assert outcomes(job, good) == {A: CUT if end == "failed" else OK, B: OK}


def test_without_hosts_of_its_kind_no_host_is_done() -> None:
    good = Story().tasks("one", on=GOOD)
    assert outcomes(Story().tasks("one", on=[A, B]), good, similar=()) == {A: CUT, B: CUT}
    assert outcomes(Story().tasks("one", on=[A, B]), good, similar=["i-elsewhere"]) == {A: CUT, B: CUT}


def test_a_host_that_a_good_job_did_not_always_reach_is_nothing_to_compare_with() -> None:
    good = Story().task("one", i_g="ok", i_h="dark").task("two", i_g="ok", i_h="dark")
    job = Story().tasks("one", on=[A, B])
    assert outcomes(job, good) == {A: CUT, B: CUT}
    assert outcomes(job, good, similar=["i-h"]) == {A: CUT, B: CUT}


def test_what_only_some_of_a_kind_did_is_asked_of_all() -> None:
    """The others may have ended early by themselves, which leaves no trace: meta end_host."""
    good = Story().tasks("one", on=GOOD).tasks("two", on=["i-g"]).tasks("three", on=["i-g", "i-k"])
    job = Story().tasks("one", on=[A, B]).tasks("two", "three", on=[A])
    assert outcomes(job, good, similar=[*GOOD, "i-k"]) == {A: OK, B: CUT}


def test_a_task_that_ran_twice_is_asked_for_twice() -> None:
    good = Story().tasks("one", "one", on=GOOD)
    job = Story().tasks("one", on=[A, B]).tasks("one", on=[A])
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_a_task_that_some_did_more_often_is_asked_for_as_often_as_any_did_it() -> None:
    """An include in a loop, say: how often a host of another run is to do it is not known."""
    good = Story().tasks("one", on=GOOD).tasks("one", on=["i-g"])
    job = Story().tasks("one", on=[A, B]).tasks("one", on=[A])
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_a_host_that_did_a_task_more_often_than_any_in_the_good_run_may_have_more_to_do() -> None:
    good = Story().tasks("one", on=GOOD)
    job = Story().tasks("one", on=[A, B]).tasks("one", on=[A])
    assert outcomes(job, good) == {A: CUT, B: OK}


def test_the_same_task_of_another_file_or_name_is_another_one() -> None:
    good = Story().tasks("one", on=GOOD)
    for path, task in (("project/other.yml:one", "one"), ("project/site.yml:one", "uno")):
        job = Story().tasks("one", on=[A, B])
        job.events = [replace(each, path=path, task=task) for each in job.events]
        assert outcomes(job, good) == {A: CUT, B: CUT}


# What one host does for all


ONCE = Story().tasks("one", on=GOOD).tasks("once", on=["i-g"]).tasks("last", on=GOOD)


def test_what_one_does_for_all_need_not_be_done_by_each() -> None:
    job = Story().tasks("one", on=[A, B]).tasks("once", on=[A]).task("last", i_a="ok", i_b="ok", i_x="failed")
    assert outcomes(job, ONCE) == {A: OK, B: OK}


@pytest.mark.parametrize("ends", [{"i_x": "failed"}, {"i_x": "dark"}, {}])
def test_what_one_was_to_do_for_all_and_did_not_do_well_is_missed_by_all(ends: dict[str, Any]) -> None:
    job = Story().tasks("one", on=[A, B, X]).task("once", **ends).tasks("last", on=[A, B])
    assert outcomes(job, ONCE) == {A: CUT, B: CUT}


def test_what_one_does_for_its_batch_it_does_not_do_for_the_next() -> None:
    good = Story().tasks("one", on=GOOD).tasks("once", on=["i-g"])
    good.next_play("p1_2").tasks("one", on=["i-k", "i-l"]).tasks("once", on=["i-k"])
    similar = [*GOOD, "i-k", "i-l"]
    first = Story().tasks("one", on=[A]).tasks("once", on=[A]).next_play("p1_2")
    assert outcomes(first.tasks("one", on=[B, X]).task("once", i_x="failed"), good, similar=similar) == {A: OK, B: CUT}
    first = Story().tasks("one", on=[A]).tasks("once", on=[A]).next_play("p1_2")
    assert outcomes(first.task("one", i_b="ok", i_x="failed"), good, similar=similar) == {A: OK, B: CUT}


def test_what_one_did_for_one_batch_and_not_for_another_says_nothing_of_a_third() -> None:
    good = Story().tasks("one", on=[*GOOD, "i-k", "i-l"])
    good.next_play("p2").tasks("once", on=["i-g"]).tasks("two", on=GOOD)
    good.next_play("p2_2").tasks("once", on=["i-k"]).tasks("two", on=["i-k", "i-l"])
    similar = [*GOOD, "i-k", "i-l"]
    job = Story().tasks("one", on=[A, B, X]).next_play("p2").tasks("once", "two", on=[A])
    assert outcomes(job.next_play("p2_2").task("once", i_x="failed"), good, similar=similar) == {A: OK, B: CUT}
    only_once = Story()
    only_once.events = [each for each in good.events if each.task != "two"]
    assert outcomes(job, good, similar=similar)[B] == outcomes(job, only_once, similar=similar)[B] == CUT
    job = Story().tasks("one", on=[A, B, X]).next_play("p1_2").tasks("once", "two", on=[A])
    assert outcomes(job.next_play("p1_3").tasks("two", on=[B]), good, similar=similar) == {A: OK, B: CUT}


def test_what_one_does_in_a_play_of_others_is_done_for_all() -> None:
    good = Story().tasks("one", on=GOOD).next_play("p2").tasks("two", on=["i-o", "i-p"]).tasks("once", on=["i-o"])
    job = Story().tasks("one", on=[A, B, X]).next_play("p2").task("two", i_x="failed")
    assert outcomes(job, good) == {A: OK, B: OK}


def test_a_good_job_of_one_host_asks_each_for_what_one_does_for_all() -> None:
    """Nothing distinguishes it from what each does."""
    good = Story().tasks("one", "once", on=["i-g"])
    job = Story().tasks("one", on=[A, B]).tasks("once", on=[A])
    assert outcomes(job, good, similar=["i-g"]) == {A: OK, B: CUT}


# Branches


def test_an_include_excuses_only_from_what_comes_after_it() -> None:
    good = Story().tasks("one", on=["i-g"]).task("more", action="include_tasks", i_g="ok", i_h="skipped")
    job = Story().task("more", action="include_tasks", i_a="skipped", i_b="skipped")
    assert outcomes(job, good) == {A: CUT, B: CUT}


def test_what_ansible_decides_for_itself_is_not_asked_for() -> None:
    """It is reported of some hosts only, or for all by the first."""
    good = Story().tasks("one", on=GOOD).task("end", action="meta", i_g="skipped")
    assert outcomes(Story().tasks("one", on=[A, B]), good) == {A: OK, B: OK}


def test_an_include_that_did_not_hold_excuses_from_what_is_in_it() -> None:
    good = included(Story().task("more", action="include_tasks", i_g="ok", i_h="skipped"), i_g="ok")
    good.tasks("last", on=GOOD)
    job = Story().task("more", action="include_tasks", i_a="skipped", i_b="ok", i_x="ok")
    included(job, i_x="failed").tasks("last", on=[A, B])
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_an_include_that_held_for_no_similar_host_leads_to_the_unknown() -> None:
    good = Story().task("more", action="include_tasks", i_g="skipped", i_h="skipped")
    job = Story().task("more", action="include_tasks", i_a="skipped", i_b="ok")
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_who_was_not_rescued_need_not_do_what_the_rescued_did() -> None:
    good = Story().task("one", i_g="failed", i_h="ok").tasks("rescue", on=["i-g"]).tasks("last", on=GOOD)
    job = Story().task("one", i_a="ok", i_b="failed").tasks("rescue", on=[B]).tasks("last", on=[A, B])
    assert outcomes(job, good) == {A: OK, B: OK}
    job = Story().task("one", i_a="ok", i_b="failed").tasks("last", on=[A, B])
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_an_include_that_held_for_all_of_its_kind_excuses_from_nothing() -> None:
    good = Story().task("upgrade", action="include_tasks", i_g="ok", i_h="ok").tasks("in", "last", on=GOOD)
    job = Story().task("upgrade", action="include_tasks", i_a="skipped", i_b="skipped")
    job.task("middle", i_x="failed")
    assert outcomes(job, good) == {A: CUT, B: CUT}


def test_a_rescue_of_all_of_its_kind_excuses_from_nothing() -> None:
    good = Story().task("one", i_g="failed", i_h="failed").tasks("rescue", "last", on=GOOD)
    job = Story().task("one", i_a="ok", i_b="ok", i_x="ok").task("two", i_x="failed")
    assert outcomes(job, good) == {A: CUT, B: CUT}


def test_of_two_includes_that_held_for_the_same_hosts_either_may_have_led_to_what_is_in_them() -> None:
    good = Story().task("first", action="include_tasks", i_g="ok", i_h="skipped")
    included(good.task("second", action="include_tasks", i_g="ok", i_h="skipped"), i_g="ok")
    job = Story().task("first", action="include_tasks", i_a="skipped", i_b="skipped", i_x="skipped")
    included(job.task("second", action="include_tasks", i_a="ok", i_b="skipped", i_x="ok"), i_x="failed")
    assert outcomes(job, good) == {A: CUT, B: OK}


def test_an_include_excuses_from_nothing_in_its_own_file() -> None:
    """One who did not include may have ended early for another reason, which leaves no trace: meta end_host."""
    good = included(Story().task("more", action="include_tasks", i_g="ok", i_h="skipped"), i_g="ok")
    good.tasks("last", on=["i-g"])
    job = Story().task("more", action="include_tasks", i_a="skipped", i_b="skipped").task("middle", i_x="failed")
    assert outcomes(job, good) == {A: CUT, B: CUT}


def test_a_host_that_did_what_no_host_did_in_the_good_run_may_have_more_to_do() -> None:
    good = Story().tasks("one", "last", on=GOOD)
    job = Story().tasks("one", on=[A, B, X]).tasks("new", on=[A]).task("newer", i_x="failed")
    assert outcomes(job.tasks("last", on=[A, B]), good) == {A: CUT, B: OK}


def test_what_another_kind_did_in_the_good_run_is_known() -> None:
    """What one does for all may have been done by one of them."""
    good = Story().tasks("once", on=["i-o"]).tasks("one", on=[*GOOD, "i-o"])
    job = Story().tasks("once", on=[A]).task("one", i_a="ok", i_b="ok", i_x="failed")
    assert outcomes(job, good) == {A: OK, B: OK}


# Handlers


def test_handlers_that_ran_only_where_something_changed_are_not_asked_for() -> None:
    good = Story().tasks("one", on=GOOD).notified("restart", "i-g").tasks("restart", on=["i-g"], is_handler=True)
    assert outcomes(Story().tasks("one", on=[A, B]), good) == {A: OK, B: OK}


def test_handlers_that_ran_on_all_of_its_kind_are_asked_for() -> None:
    good = Story().tasks("one", on=GOOD).tasks("restart", on=GOOD, is_handler=True)
    job = Story().tasks("one", on=[A, B]).tasks("restart", on=[A], is_handler=True)
    assert outcomes(job, good) == {A: OK, B: CUT}


@pytest.mark.parametrize("name", ["restart", "web : restart", "", "restart {{ service }}"])
def test_a_handler_that_was_notified_has_to_have_run(name: str) -> None:
    good = Story().tasks("one", on=GOOD)
    job = Story().tasks("one", on=[A, B]).notified(name, A, B).tasks("restart", on=[A], is_handler=True)
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_of_two_handlers_that_were_notified_both_have_to_have_run() -> None:
    good = Story().tasks("one", on=GOOD)
    job = Story().tasks("one", on=[A, B]).notified("restart", A, B).notified("reload", A, B)
    job.tasks("restart", on=[A, B], is_handler=True).tasks("reload", on=[A], is_handler=True)
    assert outcomes(job, good) == {A: OK, B: CUT}


def test_a_handlers_result_is_no_result_of_a_task() -> None:
    good = Story().tasks("one", "two", on=GOOD)
    job = Story().tasks("one", on=[A, B]).tasks("two", on=[A, B], is_handler=True)
    assert outcomes(job, good) == {A: CUT, B: CUT}


# What was not reached


@pytest.mark.parametrize(
    ("later", "outcome"),
    [
        ({"action": "command", A: "ok"}, OK),
        ({"action": "command", A: "elsewhere"}, Outcome.UNREACHABLE),
        ({"action": "command", A: "skipped"}, Outcome.UNREACHABLE),
        ({"action": "command", A: "dark"}, Outcome.UNREACHABLE),
        ({"action": "debug", A: "ok"}, Outcome.UNREACHABLE),
        ({"action": "set_fact", A: "ok"}, Outcome.UNREACHABLE),
        ({"action": "include_role", A: "ok"}, Outcome.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("summary", [HostSummary(ignored=1), HostSummary(unreachable=1)])
def test_only_what_was_done_on_a_host_shows_that_it_was_reached_again(
    summary: HostSummary, later: dict[str, str], outcome: Outcome
) -> None:
    action, end = later["action"], later[A]
    story = Story().task("one", i_a="dark").task("two", action=action, i_a=end)
    assert outcomes_of_good_job([A], {A: summary}, story.events) == {A: outcome}


def test_a_dark_host_without_events_was_not_reached() -> None:
    assert outcomes_of_good_job([A], {A: HostSummary(unreachable=1)}, []) == {A: Outcome.UNREACHABLE}


def test_where_events_are_too_many_to_read_what_was_ignored_may_have_been_unreachability() -> None:
    known = {A: HostSummary(ignored=1), B: FINE, X: HostSummary(unreachable=1)}
    assert outcomes_of_good_job([A, B, X], known, None) == {A: CUT, B: OK, X: Outcome.UNREACHABLE}


def test_in_a_failed_job_a_host_that_was_not_reached_is_no_proof_even_where_that_is_ignored() -> None:
    good = Story().tasks("one", on=GOOD)
    job = Story().task("one", i_a="dark", i_b="ok", i_x="failed")
    assert outcomes(job, good, summaries={A: HostSummary(ignored=1)}) == {A: Outcome.UNREACHABLE, B: OK}


# Jobs


JOB = Job(7, 10, JobStatus.FAILED, frozenset({A}), 100.0, 100.0, 110.0, "", 3)
KIND = JobKind(10, 3)


@pytest.mark.parametrize(
    ("job", "nothing"),
    [
        (JOB, False),
        (replace(JOB, status=JobStatus.SUCCESSFUL), False),
        (replace(JOB, status=JobStatus.ERROR), True),
        (replace(JOB, status=JobStatus.CANCELED), True),
        (replace(JOB, explanation="Job terminated due to timeout"), True),
        (replace(JOB, explanation="Task was marked as running at system start up."), True),
    ],
)
def test_a_job_that_its_playbook_did_not_end_proves_nothing(job: Job, nothing: bool) -> None:
    assert proves_nothing(job) == nothing


@pytest.mark.parametrize(
    ("job", "counts"),
    [
        (JOB, True),
        (None, False),
        (replace(JOB, template_id=11), False),
        (replace(JOB, inventory_id=4), False),
        (replace(JOB, is_whole=False), False),
        (replace(JOB, hosts=frozenset({B})), False),
        (replace(JOB, created_at=99.9), False),
    ],
)
def test_a_known_job_counts_only_if_it_can_be_the_one_that_was_launched(job: Job | None, counts: bool) -> None:
    assert counts_for(job, KIND, A, since=100.0) == counts
