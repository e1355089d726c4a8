"""What a job shows of its hosts. Against scripted answers in AWX's words."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.jobs import HostSummary, JobEvent
from rollcall.tower.client import Tower
from unit.wire import Answer, Asked, Wire, page

from .rows import LONG_IDS, raw_job, summary

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize("processed", [True, False])
def test_whether_a_jobs_events_are_processed_only_the_job_itself_says(
    tower: Tower, wire: Wire, processed: bool
) -> None:
    wire.then(200, raw_job(event_processing_finished=processed))
    assert tower.has_all_events(7) == processed
    assert wire.calls == ["GET /api/v2/jobs/7/"]


def test_the_hosts_of_a_job_that_went_well_are_counted_and_not_listed(tower: Tower, wire: Wire) -> None:
    wire.then(200, page(total=100)).then(200, page(total=90))
    assert tower.count_well(7, LONG_IDS[:100], ignoring=False) == 100
    assert tower.count_well(7, LONG_IDS[:100], ignoring=True) == 90
    strict, ignoring = wire.asked
    assert (strict.query["failed"], strict.query["dark"], strict.query["ignored"]) == (["false"], ["0"], ["0"])
    assert "ignored" not in ignoring.query
    assert {each.query["page_size"][0] for each in wire.asked} == {"1"}
    assert max(len(each.url) for each in wire.asked) < 4000


def test_a_jobs_summaries_are_those_of_the_hosts_asked_for_and_read_to_the_end(tower: Tower, wire: Wire) -> None:
    wire.then(200, page(summary("i-a", failures=1, failed=True), following="more")).page(summary("i-b", dark=2))
    assert tower.summaries(7, {"i-a", "i-b"}) == {"i-a": HostSummary(failures=1), "i-b": HostSummary(unreachable=2)}
    assert [each.query["host_name__in"] for each in wire.asked] == [["i-a,i-b"]] * 2


def test_a_server_that_does_not_count_what_is_ignored_has_none_of_it(tower: Tower, wire: Wire) -> None:
    old = summary("i-a")
    del old["ignored"]
    wire.page(old)
    assert tower.summaries(7, {"i-a"}) == {"i-a": HostSummary()}


@pytest.mark.parametrize("count", [0, 3])
def test_whether_a_job_ran_on_any_host_is_counted(tower: Tower, wire: Wire, count: int) -> None:
    wire.then(200, page(total=count))
    assert tower.ran_on_some(7) == bool(count)


def raw_event(counter: int = 1, event: str = "runner_on_ok", **data: Any) -> dict[str, Any]:
    return {
        "counter": counter,
        "event": event,
        "host_name": "i-a",
        "task": "install",
        "created": "2026-11-21T02:00:11Z",
        "event_data": {"play_uuid": "p1", "task_uuid": "t1", "res": {"changed": False}} | data,
    }


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("/runner/project/roles/web/tasks/main.yml:3", "project/roles/web/tasks/main.yml:3"),
        ("/srv/awx/iso/awx_155_qcqfl4c7/project/site.yml:7", "project/site.yml:7"),
        ("/var/lib/awx_156_x/project/roles/project/tasks/main.yml:7", "project/roles/project/tasks/main.yml:7"),
        ("/var/lib/awx_7_y/requirements_roles/geerlingguy.ntp/tasks/main.yml:2", None),
        ("/usr/share/ansible/collections/ansible_collections/a/b/roles/c/tasks/main.yml:1", None),
    ],
)
def test_a_tasks_place_is_the_same_in_every_jobs_directory(tower: Tower, wire: Wire, path: str, read: str) -> None:
    wire.page(raw_event(task_path=path)).page(raw_event(task_path=path.replace("awx_7_y", "awx_8_z")))
    [[first], [second]] = (tower.events(7, ["runner_on_ok"], 10) or [] for _ in range(2))
    assert first.path == second.path
    assert first.path == read or (read is None and path.endswith(first.path))


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ({"task_action": "ansible.builtin.debug"}, {"action": "debug"}),
        ({"task_action": "ansible.legacy.raw"}, {"action": "raw"}),
        ({"task_action": "community.general.timezone"}, {"action": "community.general.timezone"}),
        ({"is_conditional": True}, {"is_handler": True}),
        ({"ignore_errors": True}, {"ignored": True}),
        ({"ignore_errors": None}, {}),
        ({"handler": "restart"}, {"handler": "restart"}),
        ({"res": {"_ansible_delegated_vars": {"ansible_host": "i-b"}}}, {"delegated": True}),
        ({"res": "odd"}, {}),
        ({"res": None}, {}),
    ],
)
def test_an_event_is_read_from_what_ansible_runner_reports(
    tower: Tower, wire: Wire, data: dict[str, Any], read: dict[str, Any]
) -> None:
    wire.page(raw_event(5, **data))
    plain = JobEvent(5, "runner_on_ok", "i-a", "install", play="p1", task_id="t1", at=1795226411.0)
    assert tower.events(7, ["runner_on_ok"], 10) == [replace(plain, **read)]


def test_an_event_without_data_is_read(tower: Tower, wire: Wire) -> None:
    wire.page({**raw_event(), "event_data": {}, "task": None, "host_name": ""})
    [event] = tower.events(7, ["runner_on_ok"], 10) or []
    assert (event.host, event.task, event.path, event.play) == ("", "", "", "")


def test_events_are_read_page_by_page_and_not_at_all_if_they_are_too_many(tower: Tower, wire: Wire) -> None:
    def many(asked: Asked) -> Answer:
        number = int(asked.query["page"][0])
        rows = [raw_event(200 * (number - 1) + each) for each in range(min(200, 450 - 200 * (number - 1)))]
        return Answer(200, page(*rows, total=450, following="more" if number < 3 else None))

    wire.by_request = many
    found = tower.events(7, ["runner_on_ok", "runner_on_failed"], 450)
    assert found
    assert [each.counter for each in found] == list(range(450))
    assert {each.query["event__in"][0] for each in wire.asked} == {"runner_on_ok,runner_on_failed"}
    assert len(wire.asked) == 3
    assert tower.events(7, ["runner_on_ok"], 449) is None
    assert len(wire.asked) == 4


def test_the_events_of_hundreds_of_hosts_are_asked_for_in_urls_that_fit(tower: Tower, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(200, page(raw_event()))
    assert len(tower.events(7, ["runner_on_ok"], 10, LONG_IDS[:300]) or []) == 2
    assert len(tower.last_events(7, 5, ["runner_on_ok"], LONG_IDS[:300])) == 2
    assert tower.events(7, ["runner_on_ok"], 1, LONG_IDS[:300]) is None
    assert max(len(each.url) for each in wire.asked) < 4000


def test_the_last_events_come_newest_first(tower: Tower, wire: Wire) -> None:
    wire.page(raw_event(9), raw_event(8))
    assert [each.counter for each in tower.last_events(7, 2)] == [9, 8]
    [asked] = wire.asked
    assert (asked.query["order_by"], asked.query["page_size"]) == (["-counter"], ["2"])
    assert "event__in" not in asked.query
