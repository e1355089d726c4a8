"""Jobs of a kind, by what became of them. Against scripted answers in AWX's words."""

from __future__ import annotations

import json
from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.groups import AddressKind, GroupSettings, OnFailure
from rollcall.domain.jobs import PastJob
from rollcall.hosts.variables import marker, with_state
from rollcall.tower.client import Tower
from unit.wire import Wire

from .rows import KIND, TEMPLATE, job_of, raw_job

if TYPE_CHECKING:
    pass


def test_a_host_counts_as_reached_without_anything_ignored_and_in_no_job_that_is_newer(
    tower: Tower, wire: Wire
) -> None:
    wire.page(raw_job(7, "i-a"))
    assert tower.has_reached(KIND, 0, 9)
    [asked] = wire.asked
    about = ("job_host_summaries__dark", "job_host_summaries__ignored", "id__lte")
    assert [asked.query.get(each) for each in about] == [["0"], ["0"], ["9"]]


def test_jobs_in_which_a_host_was_not_reached_are_also_those_that_ignored_something(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a"), raw_job(5, "i-a")).page(raw_job(8, "i-a"), raw_job(7, "i-a"))
    assert [job.id for job in tower.jobs_unreached(KIND, 0, 2)] == [7, 5, 8]
    about = ("job_host_summaries__dark__gte", "job_host_summaries__ignored__gte")
    assert [[asked.query.get(each) for each in about] for asked in wire.asked] == [[["1"], None], [None, ["1"]]]


def test_the_jobs_before_one_of_a_group_are_asked_for_by_its_marker_and_by_hosts_that_are_gone(
    tower: Tower, wire: Wire
) -> None:
    wire.page(raw_job(6, status="failed"), raw_job(4)).page(raw_job(5, status="failed"), raw_job(4))
    assert [job.id for job in tower.jobs_of_group_before(job_of("failed"), 'a "b"', 10)] == [6, 5, 4]
    first, second = (asked.query for asked in wire.asked)
    assert (first["id__lt"], first["order_by"], first["status__in"]) == (["7"], ["-id"], ["successful,failed"])
    assert first["job_host_summaries__host__variables__contains"] == [r'"rollcall": {"group": "a \"b\"",']
    assert (second["status"], second["job_host_summaries__host__isnull"]) == (["failed"], ["true"])


def test_the_hosts_of_a_group_are_found_by_the_marker_that_we_write() -> None:
    settings = GroupSettings('a "b"', "prod", ("a",), None, (), 1800, OnFailure.ABANDON, AddressKind.PRIVATE)
    written = json.dumps(with_state({"rollcall": marker(settings, "i-a", "1", "r", "v", 3)}, stint={"since": 1}))
    assert r'"rollcall": {"group": "a \"b\"",' in written


def test_good_jobs_ran_the_same_playbook_of_the_same_revision(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(6, status="successful")).page(raw_job(5, status="successful")).page()
    assert [job.id for job in tower.good_jobs(job_of("failed"), 3)] == [6]
    assert getattr(tower.last_good_job(job_of("failed")), "id", None) == 5
    assert tower.last_good_job(job_of("failed")) is None
    same, last = wire.asked[0].query, wire.asked[1].query
    assert {each["status"][0] for each in (same, last)} == {"successful"}
    assert (same["playbook"], same["scm_revision"], last["playbook"]) == (["site.yml"], ["c0ffee"], ["site.yml"])
    assert "scm_revision" not in last


def test_active_jobs_after_one_are_those_that_have_not_ended(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(9))
    assert [job.id for job in tower.active_after(job_of("failed"), 1)] == [9]
    query = wire.asked[0].query
    assert (query["id__gt"], query["status__in"]) == (["7"], ["new,pending,waiting,running"])


@pytest.mark.parametrize(("elapsed", "usual"), [([9.0, 1.0, 5.0], (1.0, 5.0, 9.0)), ([4.0], (4.0,))])
def test_the_usual_durations_are_those_of_the_last_jobs_and_remembered(
    tower: Tower, wire: Wire, elapsed: list[float], usual: tuple[float, ...]
) -> None:
    wire.page(*[{"elapsed": each} for each in elapsed])
    assert tower.usual_durations(KIND) == tower.usual_durations(KIND) == usual
    assert len(wire.asked) == 1


def test_a_kind_of_jobs_without_history_is_asked_for_again_until_it_has_one(tower: Tower, wire: Wire) -> None:
    wire.page().page({"elapsed": 7.0}).page({"elapsed": 8.0})
    assert tower.usual_durations(KIND) == ()
    assert tower.usual_durations(KIND) == (7.0,)
    assert tower.usual_durations(replace(KIND, inventory_id=4)) == (8.0,)


@pytest.mark.parametrize(
    ("limit", "tags", "hosts"),
    [
        ("i-0a", "", 1),
        ("i-0a,i-0b:i-0c i-0d,", "", 4),
        ("i-0a,i-0a", "", 1),
        ("", "", None),
        ("web", "", None),
        ("i-0a,!i-0b", "", None),
        ("i-0*", "", None),
        ("i-0a", "packages", None),
    ],
)
def test_a_past_job_counts_where_it_ran_in_full_on_hosts_that_its_limit_names(
    tower: Tower, wire: Wire, limit: str, tags: str, hosts: int | None
) -> None:
    raw = {"limit": limit, "forks": 7, "elapsed": 12.5, "job_tags": tags, "skip_tags": ""}
    wire.page(raw).page(raw | {"job_tags": "", "skip_tags": tags})
    past = () if hosts is None else (PastJob(hosts, 7, 12.5),)
    assert [tower.past_jobs(TEMPLATE), tower.past_jobs(TEMPLATE)] == [past, past]
    query = wire.asked[0].query
    assert (query["status"], query["job_type"], query["order_by"]) == (["successful"], ["run"], ["-finished"])
