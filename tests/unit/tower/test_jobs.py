"""Jobs launched, cancelled, and found by the hosts that they hold. Against scripted answers in AWX's words."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from urllib3.exceptions import ReadTimeoutError

from rollcall.domain.errors import CancelRefused, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.domain.jobs import JobStatus, LaunchTerms
from rollcall.http.transport import BUSY_TRIES
from rollcall.tower.client import Tower
from rollcall.tower.jobs import LIMITS_RESOLVED, SUMMARY_CALLS
from unit.wire import Answer, Asked, Wire, page

from .rows import DENIED, KIND, PROD, TEMPLATE, capable, job_of, raw_job, summary

if TYPE_CHECKING:
    from collections.abc import Callable

# Launching


def test_what_a_launch_would_have_to_bring_is_told_in_words(tower: Tower, wire: Wire) -> None:
    wire.then(200, capable(start=True) | {"allow_simultaneous": True, "timeout": 900, "forks": 20})
    wire.then(
        200,
        {
            "variables_needed_to_start": ["colour"],
            "passwords_needed_to_start": ["ssh_password"],
            "credential_needed_to_start": True,
            "inventory_needed_to_start": True,
        },
    )
    assert tower.launch_terms(TEMPLATE) == LaunchTerms(
        startable=True,
        simultaneous=True,
        needed=("an answer to the survey's question 'colour'", "the password ssh_password", "a credential"),
        timeout=900,
        forks=20,
    )


def test_what_may_not_be_launched_is_not_asked_how(tower: Tower, wire: Wire) -> None:
    wire.then(200, capable(start=False) | {"allow_simultaneous": False, "timeout": -1})
    assert tower.launch_terms(TEMPLATE) == LaunchTerms(startable=False, simultaneous=False, timeout=-1)
    assert len(wire.asked) == 1


def test_a_job_is_limited_to_its_hosts_in_their_inventory(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"job": 6, "ignored_fields": {}, "id": 6, "type": "job"})
    assert tower.launch(TEMPLATE, PROD, ["i-a", "i-b"]) == 6
    assert wire.calls == ["POST /api/v2/job_templates/10/launch/"]
    assert wire.asked[0].body == {"limit": "i-a,i-b", "inventory": 3}


def test_a_template_that_does_not_ask_for_an_inventory_is_not_told_one(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"job": 6, "ignored_fields": {}, "id": 6, "type": "job"})
    tower.launch(replace(TEMPLATE, asks_inventory=False, inventory_id=3), PROD, ["i-a"])
    assert wire.asked[0].body == {"limit": "i-a"}


@pytest.mark.parametrize("strange", ["all", "i-a:all", "i-a,i-b", "i-*", ""])
def test_a_job_is_limited_to_instances_and_nothing_else(tower: Tower, wire: Wire, strange: str) -> None:
    with pytest.raises(ValueError, match="limited to instances"):
        tower.launch(TEMPLATE, PROD, ["i-a", strange])
    assert not wire.asked


def test_a_job_is_never_launched_without_a_limit(tower: Tower, wire: Wire) -> None:
    with pytest.raises(ValueError, match="limit"):
        tower.launch(TEMPLATE, PROD, [])
    assert not wire.asked


@pytest.mark.parametrize(
    ("answer", "cancelled"),
    [
        ({"job": 6, "ignored_fields": {"limit": "i-a"}, "id": 6, "type": "job"}, "jobs/6"),
        ({"job": 6, "ignored_fields": {"inventory": 3}, "id": 6, "type": "job"}, "jobs/6"),
        ({"workflow_job": 157, "ignored_fields": {}, "id": 157, "type": "workflow_job"}, "workflow_jobs/157"),
        (
            {"job": None, "workflow_job": 157, "ignored_fields": {}, "id": 157, "type": "workflow_job"},
            "workflow_jobs/157",
        ),
    ],
)
def test_a_job_that_does_not_keep_to_its_limit_is_cancelled_at_once(
    tower: Tower, wire: Wire, answer: object, cancelled: str
) -> None:
    wire.then(201, answer).then(202, "")
    with pytest.raises(TowerRejected, match="limit and was cancelled"):
        tower.launch(TEMPLATE, PROD, ["i-a"])
    assert wire.calls[1] == f"POST /api/v2/{cancelled}/cancel/"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"limit": ""}, "did not keep to its limit and was cancelled"),
        ({"limit": "i-a,i-b"}, "did not keep to its limit and was cancelled"),
        ({"inventory": 4}, "did not keep to its limit and was cancelled .*inventory"),
        ({"inventory": None}, "did not keep to its limit and was cancelled .*inventory"),
        ({"job_type": "check"}, "did not run the whole of its playbook and was cancelled .*job_type"),
        ({"job_tags": "base"}, "did not run the whole of its playbook and was cancelled .*job_tags"),
        ({"skip_tags": "reboot"}, "did not run the whole of its playbook and was cancelled .*skip_tags"),
    ],
)
def test_a_job_that_is_not_as_it_was_wanted_is_cancelled_at_once(
    tower: Tower, wire: Wire, answer: dict[str, Any], words: str
) -> None:
    whole = {"limit": "i-a", "job_type": "run", "job_tags": "", "skip_tags": ""}
    wire.then(201, {"job": 6, "ignored_fields": {}, "id": 6, "type": "job", **whole, **answer}).then(202, "")
    with pytest.raises(TowerRejected, match=words):
        tower.launch(TEMPLATE, PROD, ["i-a"])
    assert wire.calls[1] == "POST /api/v2/jobs/6/cancel/"


def test_where_a_template_lets_us_choose_the_whole_playbook_is_run(tower: Tower, wire: Wire) -> None:
    whole = {"job_type": "run", "job_tags": "", "skip_tags": ""}
    for field in whole:
        asks = {"job_type": "asks_job_type", "job_tags": "asks_tags", "skip_tags": "asks_skip_tags"}[field]
        wire.then(201, {"job": 6, "ignored_fields": {}, "id": 6, "type": "job", "limit": "i-a", **whole})
        tower.launch(replace(TEMPLATE, **{asks: True}), PROD, ["i-a"])  # type: ignore[arg-type]
        assert wire.asked[-1].body == {"limit": "i-a", "inventory": 3, field: whole[field]}


BOUNDLESS = {"job": 6, "ignored_fields": {"limit": "i-a"}, "id": 6, "type": "job"}


@pytest.mark.parametrize("status", [302, 403, 405, 503])
def test_a_job_without_a_limit_that_tower_does_not_cancel_is_told_with_towers_words(
    tower: Tower, wire: Wire, status: int
) -> None:
    wire.then(201, BOUNDLESS)
    for _ in range(BUSY_TRIES):
        wire.then(status, {"detail": "not now"})
    with pytest.raises(TowerRejected, match=r"COULD NOT BE CANCELLED .*jobs 6"):
        tower.launch(TEMPLATE, PROD, ["i-a"])


def test_a_job_without_a_limit_whose_cancel_gets_no_answer_is_told_and_not_launched_again(
    tower: Tower, wire: Wire
) -> None:
    # As trouble that passes it would be tried again, and run on every host at every try.
    wire.then(201, BOUNDLESS).script.append(ReadTimeoutError(None, "/", "timed out"))  # type: ignore[arg-type]
    with pytest.raises(TowerRejected, match=r"COULD NOT BE CANCELLED.*jobs 6"):
        tower.launch(TEMPLATE, PROD, ["i-a"])


def test_a_job_is_cancelled(tower: Tower, wire: Wire) -> None:
    wire.then(202, "")
    tower.cancel(6)
    assert wire.calls == ["POST /api/v2/jobs/6/cancel/"]


def test_a_job_that_has_ended_need_not_be_cancelled(tower: Tower, wire: Wire) -> None:
    wire.then(405, {"detail": 'Method "POST" not allowed.'})
    tower.cancel(6)
    assert wire.calls == ["POST /api/v2/jobs/6/cancel/"]


def test_a_job_that_has_ended_need_not_be_cancelled_by_an_ordinary_user_either(tower: Tower, wire: Wire) -> None:
    wire.then(403, DENIED).then(200, {"can_cancel": False})
    tower.cancel(6)
    assert wire.calls == ["POST /api/v2/jobs/6/cancel/", "GET /api/v2/jobs/6/cancel/"]


OWNERS = [
    {"summary_fields": {"created_by": {"id": 2, "username": "bob"}}, "launched_by": {"name": "bob", "type": "user"}},
    {"summary_fields": {"created_by": {"id": 2, "username": "bob"}}},
    {"summary_fields": {}, "launched_by": {"name": "bob", "type": "schedule"}},
]


@pytest.mark.parametrize("job", OWNERS)
def test_of_anothers_job_that_cannot_be_cancelled_the_owner_is_named(
    tower: Tower, wire: Wire, job: dict[str, Any]
) -> None:
    wire.then(403, DENIED).then(200, {"can_cancel": True}).then(200, raw_job(6, **job))
    wire.page({"username": "fleet", "summary_fields": {"user_capabilities": {"edit": True}}})
    with pytest.raises(CancelRefused, match=r"job 6 could not be cancelled: it belongs to 'bob'.*Admin") as caught:
        tower.cancel(6)
    assert caught.value.owner == "bob"


def test_a_token_that_may_only_read_is_what_keeps_ones_own_job_from_being_cancelled(tower: Tower, wire: Wire) -> None:
    wire.then(403, DENIED).then(200, {"can_cancel": True})
    wire.then(200, raw_job(6, summary_fields={"created_by": {"username": "fleet"}}))
    wire.page({"username": "fleet", "summary_fields": {"user_capabilities": {"edit": False}}})
    with pytest.raises(TowerDenied, match="do not have permission") as caught:
        tower.cancel(6)
    assert not isinstance(caught.value, CancelRefused)


@pytest.mark.parametrize(("status", "error"), [(404, TowerRejected), (502, TowerUnavailable)])
def test_a_job_that_tower_does_not_cancel_is_an_error(
    tower: Tower, wire: Wire, status: int, error: type[Exception]
) -> None:
    wire.then(status, {"detail": "no"})
    with pytest.raises(error):
        tower.cancel(6)


# Jobs by the hosts that they hold


def test_jobs_that_tower_does_not_have_are_left_out(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a,i-b"))
    found = tower.jobs({7, 8})
    assert list(found) == [7]
    assert found[7].hosts == {"i-a", "i-b"}
    assert (found[7].status, found[7].started_at) == (JobStatus.RUNNING, None)


def test_no_jobs_are_asked_for_without_ids(tower: Tower, wire: Wire) -> None:
    assert tower.jobs(set()) == {}
    assert not wire.asked


def test_a_status_that_nobody_knows_is_refused(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(status="dreaming"))
    with pytest.raises(TowerRejected, match="dreaming"):
        tower.jobs({7})


OF_KIND = {"inventory": ["3"], "job_type": ["run"], "job_tags": [""], "skip_tags": [""]}


def of_kind(asked: Asked) -> dict[str, list[str]]:
    """What a query asks about the kind of jobs; an empty filter is one."""
    query = parse_qs(urlsplit(asked.url).query, keep_blank_values=True)
    return {key: query[key] for key in OF_KIND}


def test_jobs_holding_hosts_come_newest_first_and_only_those_that_hold_exactly_them(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a"), raw_job(9, "i-b,i-a"), raw_job(8, "i-abc"))
    assert [job.id for job in tower.jobs_holding(KIND, ["i-a"], 1795226411.0)] == [9, 7]
    assert wire.calls == ["GET /api/v2/job_templates/10/jobs/"]
    assert wire.asked[0].query["created__gte"] == ["2026-11-21T02:00:11Z"]


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [
        ("i-a,i-b", {"i-a", "i-b"}),
        ("i-a:i-b", {"i-a", "i-b"}),
        ("i-a i-b,  i-c:", {"i-a", "i-b", "i-c"}),
        ("i-a,i-b,!i-b", {"i-a"}),
        ("all:!i-a", set()),
        ("i-a,&web", {"i-a"}),
        ("web,i-a", {"i-a"}),
        ("i-*", set()),
        ("i-a?", set()),
        ("i-db-1", set()),
        ("~i-[ab]", set()),
        ("i-a[0:3]", set()),
        ("web", set()),
        ("", set()),
    ],
)
def test_an_active_job_holds_the_ids_in_its_limit_and_no_other(
    tower: Tower, wire: Wire, limit: str, hosts: set[str]
) -> None:
    wire.page(raw_job(7, limit))
    assert [job.hosts for job in tower.jobs({7}).values()] == [hosts]
    wire.page(raw_job(7, limit))
    assert bool(tower.jobs_holding(KIND, ["i-a"], 0)) == ("i-a" in hosts)
    assert len(wire.asked) == 2


@pytest.mark.parametrize(
    ("limit", "plain"),
    [("i-a", True), ("i-a, i-b", True), ("i-a,i-db-1", False), ("i-a,web", False), ("i-a,!i-b", False), ("", False)],
)
def test_a_job_is_limited_to_ids_where_no_host_of_a_persons_is_in_its_limit(
    tower: Tower, wire: Wire, limit: str, plain: bool
) -> None:
    wire.page(raw_job(7, limit))
    assert [job.is_limited_to_ids for job in tower.jobs({7}).values()] == [plain]


@pytest.mark.parametrize("limit", ["", "web", "i-*", "all:!i-b", "i-b,web"])
def test_an_ended_job_also_holds_the_hosts_it_ran_on(tower: Tower, wire: Wire, limit: str) -> None:
    wire.page(raw_job(7, limit, status="successful")).page(summary("i-a"))
    [job] = tower.jobs_holding(KIND, ["i-a", "i-c"], 0)
    assert job.hosts >= {"i-a"}
    assert "i-c" not in job.hosts
    [_, asked] = wire.asked
    assert (asked.path, asked.query["host_name__in"]) == ("/api/v2/jobs/7/job_host_summaries/", ["i-a,i-c"])


def test_an_ended_job_limited_to_ids_is_not_asked_whom_it_ran_on(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a,i-b", status="failed"))
    assert [job.hosts for job in tower.jobs_holding(KIND, ["i-a"], 0)] == [{"i-a", "i-b"}]
    assert len(wire.asked) == 1


def test_of_many_jobs_with_other_limits_only_the_newest_are_asked_whom_they_ran_on(tower: Tower, wire: Wire) -> None:
    def answer(asked: Asked) -> Answer:
        summaries = asked.path.endswith("summaries/")
        jobs = [raw_job(number, "", status="successful") for number in range(1, 100)]
        return Answer(200, page(summary("i-a")) if summaries else page(*jobs))

    wire.by_request = answer
    assert [job.id for job in tower.jobs_holding(KIND, ["i-a"], 0)] == [99, 98, 97, 96, 95]
    assert len(wire.asked) == 1 + LIMITS_RESOLVED


def ran_apart(wire: Wire, batches: dict[int, str]) -> None:
    """Ended jobs under patterns, by id, that ran on one host each."""

    def answer(asked: Asked) -> Answer:
        if not asked.path.endswith("summaries/"):
            jobs = [raw_job(number, f"batch_{number}", status="successful") for number in batches]
            return Answer(200, page(*jobs))
        name = batches[int(asked.path.split("/")[-3])]
        return Answer(200, page(*([summary(name)] if name in asked.query["host_name__in"][0].split(",") else [])))

    wire.by_request = answer


def test_older_jobs_with_other_limits_are_asked_until_each_host_has_one_that_ended(tower: Tower, wire: Wire) -> None:
    ran_apart(wire, {number: f"i-{number}" for number in range(1, 21)})
    found = tower.jobs_holding(KIND, ["i-9", "i-10", "i-20"], 0)
    assert {job.id: job.hosts for job in found} == {number: {f"i-{number}"} for number in (20, 10, 9)}
    assert len(wire.asked) == 1 + 12
    last = wire.asked[-1]
    assert last.query["host_name__in"] == ["i-9"]


def test_a_host_without_any_job_costs_a_bounded_number_of_calls(tower: Tower, wire: Wire) -> None:
    ran_apart(wire, dict.fromkeys(range(1, 200), "i-a"))
    assert tower.jobs_holding(KIND, ["i-a", "i-b"], 0)
    assert len(wire.asked) == 1 + SUMMARY_CALLS
    wire.asked.clear()
    tower.jobs_holding(KIND, ["i-a", *(f"i-{number}" for number in range(449))], 0)
    assert len([asked for asked in wire.asked if asked.path.endswith("summaries/")]) <= SUMMARY_CALLS


def test_a_job_under_a_pattern_that_is_newer_than_one_limited_to_ids_is_asked_for_its_hosts(
    tower: Tower, wire: Wire
) -> None:
    ran_apart(wire, {number: "i-a" if number == 4 else "i-x" for number in range(2, 20)})
    by_pattern = wire.by_request
    assert by_pattern
    plain = raw_job(3, "i-a", status="failed")

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("summaries/"):
            return by_pattern(asked)
        patterns = [raw_job(number, "batch", status="successful") for number in range(4, 20)]
        return Answer(200, page(*patterns, plain, raw_job(2, "batch", status="successful")))

    wire.by_request = answer
    assert [job.id for job in tower.jobs_holding(KIND, ["i-a"], 0)] == [4, 3]
    assert "/api/v2/jobs/2/job_host_summaries/" not in {asked.path for asked in wire.asked}


@pytest.mark.parametrize(
    "ask",
    [
        lambda tower: tower.jobs_holding(KIND, ["i-a"], 0),
        lambda tower: tower.jobs_of_group_before(job_of("failed"), "web", 10),
        lambda tower: tower.has_reached(KIND, 0, 9),
        lambda tower: tower.jobs_unreached(KIND, 0, 3),
        lambda tower: tower.usual_durations(KIND),
        lambda tower: tower.good_jobs(job_of("failed"), 3),
        lambda tower: tower.last_good_job(job_of("failed")),
        lambda tower: tower.active_after(job_of("failed"), 3),
    ],
)
def test_jobs_in_check_mode_under_tags_or_on_another_inventory_are_not_asked_for(
    tower: Tower, wire: Wire, ask: Callable[[Tower], object]
) -> None:
    wire.page().page()
    ask(tower)
    assert all(of_kind(asked) == OF_KIND for asked in wire.asked)


def test_a_job_knows_its_kind_what_it_ran_and_whose_it_is(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a"), raw_job(8, "i-a", summary_fields={}, inventory=None))
    first, second = tower.jobs({7, 8}).values()
    assert (first.kind, first.playbook, first.scm_revision) == (TEMPLATE.on(PROD), "site.yml", "c0ffee")
    assert (first.launched_by, second.inventory_id) == ("fleet", None)


@pytest.mark.parametrize("part", [{"job_tags": "base"}, {"skip_tags": "slow"}, {"job_type": "check"}, {}])
def test_a_job_under_tags_or_in_check_mode_is_no_whole_run(tower: Tower, wire: Wire, part: dict[str, str]) -> None:
    wire.page(raw_job(7, "i-a", **part))
    assert [job.is_whole for job in tower.jobs({7}).values()] == [not part]


def test_a_query_for_the_jobs_of_a_whole_batch_fits_into_one_url(tower: Tower, wire: Wire) -> None:
    batch = [f"i-{number:017x}" for number in range(100)]
    wire.page(raw_job(7, ",".join(batch)))
    assert [job.hosts for job in tower.jobs_holding(KIND, batch, 0)] == [frozenset(batch)]
    [asked] = wire.asked
    assert len(asked.url) < 4000
