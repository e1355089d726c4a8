"""What is read of jobs to know what they prove, and no more of it than that takes."""

from __future__ import annotations

import math
from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.jobs import HostSummary, JobStatus, Outcome
from rollcall.evidence.job_reader import EVENTS_MAX, GOOD_RUNS_MAX, TASKS_MAX, JobEvidence
from rollcall.evidence.stuck_jobs import StuckJobs
from unit.fakes import Clock, FakeTower
from unit.job_events import Story

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollcall.domain.jobs import Job, JobTemplate

OK, CUT = Outcome.OK, Outcome.CUT_SHORT
FINE = HostSummary()
NAMES = ("i-a", "i-b", "i-x")


class Runs:
    """A Tower with one template, whose hosts are of the group web unless said otherwise."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tower = FakeTower(self.clock)
        self.inventory = self.tower.add_inventory("prod")
        self.template: JobTemplate = self.tower.add_template("provision")
        self.evidence = JobEvidence(self.tower)

    def host(self, *names: str, group: str = "web", inside: frozenset[int] | None = frozenset(), **marker: str) -> None:
        """Hosts of a group, inside these groups of the inventory."""
        for name in names:
            self.tower.add_host(
                self.inventory, name, variables={"rollcall": {"group": group} | marker}, group_ids=inside
            )

    def job(self, end: str, summaries: Mapping[str, HostSummary], story: Story, **changes: Any) -> Job:
        """An ended job that showed this of these hosts, a minute long."""
        job = self.tower.add_job(self.template, self.inventory, *summaries)
        run = self.tower.runs[job.id]
        self.clock.advance(60)
        known = {"status": JobStatus(end), "finished_at": self.clock.now, **changes}
        run.job, run.processed = replace(job, **known), True
        run.summaries, run.events = dict(summaries), story.events
        return run.job

    def good(self, *names: str, story: Story | None = None, **changes: Any) -> Job:
        """A good job on these hosts, of two tasks."""
        story = story or Story().tasks("one", "two", on=names)
        return self.job("successful", dict.fromkeys(names, FINE), story, **changes)

    def failed(self, story: Story | None = None, **changes: Any) -> Job:
        """A job that failed for x, and did not finish b."""
        story = story or Story().task("one", i_a="ok", i_b="ok", i_x="failed").task("two", i_a="ok")
        return self.job("failed", {"i-a": FINE, "i-b": FINE, "i-x": HostSummary(failures=1)}, story, **changes)

    def shown(self, job: Job, *names: str, group: str = "web") -> Mapping[str, Outcome]:
        """What the job shows when it is read for the first time."""
        self.tower.calls.clear()
        outcomes = self.evidence.outcomes(job, names or NAMES, group)
        assert outcomes is not None
        return outcomes


@pytest.fixture
def runs() -> Runs:
    runs = Runs()
    runs.host(*NAMES, "i-g", "i-h")
    return runs


COMPARED = {"i-a": OK, "i-b": CUT, "i-x": Outcome.FAILED}
NOT_COMPARED = COMPARED | {"i-a": CUT}


# A good job


def test_a_good_job_without_failures_is_counted(runs: Runs) -> None:
    assert runs.shown(runs.good(*NAMES)) == dict.fromkeys(NAMES, OK)
    assert runs.tower.calls == {"has_all_events": 1, "count_well": 1}


def test_a_good_job_in_which_failures_were_ignored_is_counted_too(runs: Runs) -> None:
    job = runs.job("successful", {"i-a": FINE, "i-b": HostSummary(ignored=2)}, Story().task("one", i_b="ignored"))
    assert runs.shown(job, "i-a", "i-b") == {"i-a": OK, "i-b": OK}
    assert runs.tower.calls == {"has_all_events": 1, "count_well": 2, "events": 1}


def test_of_a_good_job_only_the_events_of_hosts_are_read_that_were_not_always_reached(runs: Runs) -> None:
    story = Story().task("one", i_a="ok", i_b="dark", i_x="dark").task("two", i_a="ok", i_b="ok", i_x="dark")
    ignored = HostSummary(ignored=1)
    job = runs.job("successful", {"i-a": FINE, "i-b": ignored, "i-x": ignored}, story)
    assert runs.shown(job) == {"i-a": OK, "i-b": OK, "i-x": Outcome.UNREACHABLE}
    assert runs.shown(job, "i-a", "i-c") == {"i-a": OK, "i-c": Outcome.UNPROVEN}


def test_a_good_job_with_too_many_events_of_such_hosts_is_in_doubt(runs: Runs) -> None:
    story = Story().task("one", i_a="ok", i_b="dark")
    for _ in range(EVENTS_MAX):
        story.tasks("two", on=["i-b"])
    job = runs.job("successful", {"i-a": FINE, "i-b": HostSummary(ignored=1)}, story)
    assert runs.shown(job, "i-a", "i-b") == {"i-a": OK, "i-b": CUT}


# A job that failed


def test_in_a_failed_job_a_host_is_done_if_it_did_what_its_kind_did_in_a_good_one(runs: Runs) -> None:
    runs.good("i-g", "i-h")
    job = runs.failed()
    assert runs.shown(job) == COMPARED
    calls = {"has_all_events": 1, "summaries": 1, "good_jobs": 1, "hosts_named": 1, "events": 2}
    assert runs.tower.calls == calls
    assert runs.shown(job, "i-a") == {"i-a": OK}
    assert runs.tower.calls == {"summaries": 1}  # the rest is remembered


def test_the_newest_good_job_is_compared_with(runs: Runs) -> None:
    runs.good("i-g", "i-h", story=Story().tasks("one", "two", "three", on=["i-g", "i-h"]))
    runs.good("i-g", "i-h")
    assert runs.shown(runs.failed()) == COMPARED


def test_a_job_that_ended_well_later_is_compared_with_too(runs: Runs) -> None:
    job = runs.failed()
    runs.good("i-g")
    assert runs.shown(job) == COMPARED


@pytest.mark.parametrize(
    "changes",
    [
        {"scm_revision": "0ther"},
        {"scm_revision": ""},
        {"playbook": "other.yml"},
        {"template_id": 999},
        {"inventory_id": 999},
        {"status": JobStatus.FAILED},
        {"status": JobStatus.RUNNING},
    ],
)
def test_what_is_compared_with_is_alike(runs: Runs, changes: dict[str, Any]) -> None:
    runs.good("i-g", "i-h", **changes)
    assert runs.shown(runs.failed()) == NOT_COMPARED
    assert runs.tower.calls["events"] == 0


def test_hosts_of_another_group_or_account_or_in_other_inventory_groups_are_no_comparison(runs: Runs) -> None:
    runs.host("i-db", group="db")
    runs.host("i-far", account="999999999999")
    runs.host("i-more", inside=frozenset({77}))
    for name in ("i-db", "i-far", "i-more", "i-gone"):
        runs.good(name)
        assert JobEvidence(runs.tower).outcomes(runs.failed(), NAMES, "web") == NOT_COMPARED


def test_a_host_whose_own_host_is_gone_is_not_compared(runs: Runs) -> None:
    runs.good("i-g", "i-h")
    runs.tower.remove_host("i-a")
    assert runs.shown(runs.failed())["i-a"] == CUT


def test_hosts_of_a_group_that_is_not_asked_about_are_not_compared(runs: Runs) -> None:
    runs.good("i-g", "i-h")
    assert runs.shown(runs.failed(), group="db") == NOT_COMPARED


def test_each_host_is_compared_with_the_newest_job_that_held_its_kind(runs: Runs) -> None:
    runs.host("i-more", "i-c", inside=frozenset({77}))
    runs.good("i-more", story=Story().tasks("one", on=["i-more"]))
    runs.good("i-g", "i-h")
    story = Story().tasks("one", on=["i-a", "i-b", "i-c"]).tasks("two", on=["i-a"])
    job = runs.job("failed", dict.fromkeys(["i-a", "i-b", "i-c"], FINE), story)
    assert runs.shown(job, "i-a", "i-b", "i-c") == {"i-a": OK, "i-b": CUT, "i-c": OK}


def test_only_a_few_good_jobs_are_searched(runs: Runs) -> None:
    runs.good("i-g", "i-h")
    runs.host("i-db", group="db")
    for _ in range(GOOD_RUNS_MAX):
        runs.good("i-db")
    assert runs.shown(runs.failed()) == NOT_COMPARED


def test_in_a_project_without_revisions_nothing_shows_that_two_runs_had_the_same_playbook(runs: Runs) -> None:
    """A task may have been added at its end since the good run, and the play been cut short before that."""
    runs.good("i-g", "i-h", scm_revision="")
    runs.tower.add_job(runs.template, runs.inventory, "i-g")
    job = runs.failed(scm_revision="")
    assert runs.shown(job) == NOT_COMPARED
    assert runs.tower.calls == {"has_all_events": 1, "summaries": 1}
    runs.tower.add_job(runs.template, runs.inventory, "i-g")
    assert not runs.evidence.is_good_run_expected(job, "i-a", runs.clock.now)  # so no other job is waited for


@pytest.mark.parametrize("which", ["job", "good"])
def test_above_the_bound_a_job_is_cut_short(runs: Runs, which: str) -> None:
    many = Story()
    for _ in range(EVENTS_MAX):
        many.task("one", i_a="ok", i_g="ok")
    runs.good("i-g", story=many if which == "good" else None)
    assert runs.shown(runs.failed(many if which == "job" else None)) == NOT_COMPARED


def test_where_every_host_failed_nothing_is_compared(runs: Runs) -> None:
    runs.good("i-g", "i-h")
    trouble = {"i-a": HostSummary(failures=1), "i-b": HostSummary(unreachable=1)}
    job = runs.job("failed", trouble, Story())
    outcomes = {"i-a": Outcome.FAILED, "i-b": Outcome.UNREACHABLE, "i-x": CUT}
    assert runs.shown(job) == outcomes
    assert runs.tower.calls == {"has_all_events": 1, "summaries": 1}


def test_a_failed_job_that_ran_on_no_host_proves_nothing(runs: Runs) -> None:
    assert runs.shown(runs.job("failed", {}, Story())) == dict.fromkeys(NAMES, Outcome.UNPROVEN)
    others = runs.job("failed", {"i-other": FINE}, Story())
    assert runs.shown(others) == dict.fromkeys(NAMES, CUT)  # perhaps their batch never began


def test_a_job_shows_nothing_as_long_as_its_events_are_processed(runs: Runs) -> None:
    job = runs.good(*NAMES)
    runs.tower.runs[job.id].processed = False
    assert runs.evidence.outcomes(job, NAMES, "web") is None
    runs.tower.runs[job.id].processed = True
    assert runs.shown(job) == dict.fromkeys(NAMES, OK)


@pytest.mark.parametrize(
    "changes",
    [
        {"explanation": "Task was marked as running at system start up. The system must have not shut down properly"},
        {"explanation": "Job terminated due to timeout"},
        {"status": JobStatus.ERROR},
        {"status": JobStatus.CANCELED},
    ],
)
def test_a_job_that_tower_ended_proves_nothing_whether_or_not_its_events_are_ever_processed(
    runs: Runs, changes: dict[str, Any]
) -> None:
    job = runs.failed(**changes)
    runs.tower.runs[job.id].processed = False
    assert runs.shown(job) == dict.fromkeys(NAMES, Outcome.UNPROVEN)
    assert not runs.tower.calls


# Another job that will show it


def test_another_job_under_way_may_show_what_one_is_to_be_compared_with(runs: Runs) -> None:
    job = runs.failed()
    runs.tower.add_job(runs.template, runs.inventory, "i-g")
    runs.shown(job)
    assert runs.evidence.is_good_run_expected(job, "i-a", runs.clock.now + 60)
    assert runs.evidence.is_good_run_expected(job, "i-b", runs.clock.now)
    assert runs.tower.calls["active_after"] == 1


def test_no_longer_than_a_job_takes_is_another_one_waited_for(runs: Runs) -> None:
    job = runs.failed()
    runs.tower.add_job(runs.template, runs.inventory, "i-g")
    runs.shown(job)
    assert not runs.evidence.is_good_run_expected(job, "i-a", runs.clock.now + 61)
    assert runs.tower.calls["active_after"] == 0


def test_no_other_job_is_waited_for_that_is_older_or_of_another_kind_or_has_ended(runs: Runs) -> None:
    runs.tower.add_job(runs.template, runs.inventory, "i-g")
    job = runs.failed()
    runs.tower.add_job(runs.tower.add_template("other"), runs.inventory, "i-g")
    runs.good("i-db")
    runs.clock.advance(-60)
    runs.shown(job)
    assert not runs.evidence.is_good_run_expected(job, "i-a", runs.clock.now)


def test_who_was_compared_waits_for_nothing(runs: Runs) -> None:
    runs.good("i-g", "i-h")
    job = runs.failed()
    runs.tower.add_job(runs.template, runs.inventory, "i-g")
    runs.shown(job)
    assert not runs.evidence.is_good_run_expected(job, "i-b", runs.clock.now)
    assert not runs.evidence.is_good_run_expected(replace(job, id=999), "i-b", runs.clock.now)


# Jobs that do not end


def running(runs: Runs, story: Story, *names: str) -> Job:
    job = runs.tower.add_job(runs.template, runs.inventory, *(names or NAMES))
    runs.tower.runs[job.id].events = story.events
    return job


def test_a_job_is_silent_since_its_newest_event_or_since_its_start(runs: Runs) -> None:
    now = runs.clock.now
    job = running(runs, Story(since=now).tasks("one", on=["i-a"]))
    assert runs.evidence.silence(job, now + 100) == 97
    assert runs.evidence.silence(running(runs, Story()), now + 100) == 100
    assert runs.evidence.silence(replace(running(runs, Story()), started_at=None), now + 100) == 0


def test_the_longest_task_is_the_longest_of_the_last_good_job(runs: Runs) -> None:
    assert runs.evidence.longest_task(runs.failed()) is None
    story = Story().tasks("one", on=["i-a"])
    story.events[-1] = replace(story.events[-1], at=50)
    story.tasks("two", on=["i-a"]).add("playbook_on_stats")
    late = [replace(each, at=each.at + 100) if each.counter > 3 else each for each in story.events]
    story.events = late
    runs.good("i-a", story=story, scm_revision="0lder")
    assert runs.evidence.longest_task(runs.failed()) == 103
    assert runs.evidence.longest_task(runs.failed(playbook="other.yml")) is None


def test_the_longest_of_too_many_tasks_may_take_for_ever(runs: Runs) -> None:
    story = Story()
    for _ in range(TASKS_MAX + 1):
        story.tasks("one", on=[])
    runs.good("i-a", story=story)
    assert runs.evidence.longest_task(runs.failed()) == math.inf


def test_a_silent_job_whose_longest_task_is_not_known_is_reported_and_never_overdue(runs: Runs) -> None:
    story = Story()
    for _ in range(TASKS_MAX + 1):
        story.tasks("one", on=[])
    runs.good("i-a", story=story)
    job = running(runs, Story())
    runs.clock.advance(100)
    assert StuckJobs(runs.tower, runs.evidence).find(job, 100) is None
    for seconds in (1, 1_000_000):
        runs.clock.advance(seconds)
        stuck = StuckJobs(runs.tower, runs.evidence).find(job, 100)
        assert stuck is not None
        assert "it is not cancelled" in stuck.words
        assert not stuck.overdue


def test_the_hosts_with_an_unanswered_task_are_those_that_started_one_and_did_not_end_it(runs: Runs) -> None:
    story = Story().tasks("one", on=NAMES).task("two", i_a="ok", i_b="", i_x="failed")
    assert runs.evidence.hosts_without_result(running(runs, story)) == {"i-b"}
    assert runs.tower.calls["last_events"] == 1


def test_a_host_that_is_silent_for_long_is_found_behind_what_the_others_did_since(runs: Runs) -> None:
    story = Story().task("one", i_a="ok", i_b="")
    for _ in range(300):
        story.tasks("two", on=["i-a"])
    assert runs.evidence.hosts_without_result(running(runs, story, "i-a", "i-b")) == {"i-b"}
    assert runs.tower.calls["last_events"] == 2


def test_a_host_whose_turn_has_not_come_has_nothing_to_answer(runs: Runs) -> None:
    assert runs.evidence.hosts_without_result(running(runs, Story().task("one", i_a="ok", i_b=""))) == {"i-b"}
