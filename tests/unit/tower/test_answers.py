"""Whatever Tower, or something in its place, answers: it ends in the taxonomy."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollcall.domain.errors import RollcallError
from rollcall.domain.inventories import Inventory
from rollcall.domain.jobs import Job, JobStatus, JobTemplate
from rollcall.tower.bulk_hosts import NewHost
from rollcall.tower.client import Tower
from rollcall.tower.connection import Credentials
from unit.wire import ODD_HEADERS, Answer, Wire, page

if TYPE_CHECKING:
    from collections.abc import Callable


PROD = Inventory(3, "prod")
TEMPLATE = JobTemplate(10, "provision", None, asks_limit=True, asks_inventory=True, slices=1)
ENDED = Job(7, 10, JobStatus.FAILED, frozenset({"i-a"}), 0.0, 1.0, 2.0, "")
HOST = {
    "id": 1,
    "name": "i-a",
    "inventory": 3,
    "instance_id": "i-a",
    "variables": '{"rollcall": {"group": "web"}, "ansible_host": "10.0.0.1"}',
    "created": "2026-11-21T02:00:11.123456Z",
    "enabled": True,
    "description": "",
    "summary_fields": {"inventory": {"name": "prod", "kind": ""}, "groups": {"count": 1, "results": [{"id": 5}]}},
}
JOB = {
    "id": 7,
    "unified_job_template": 10,
    "status": "failed",
    "limit": "i-a",
    "created": "2026-11-21T02:00:11Z",
    "started": "2026-11-21T02:00:12Z",
    "finished": "2026-11-21T02:00:13Z",
    "job_explanation": "",
    "event_processing_finished": True,
    "elapsed": 1.0,
    "job_type": "run",
    "job_tags": "",
    "skip_tags": "",
    "inventory": 3,
    "playbook": "site.yml",
    "scm_revision": "",
    "summary_fields": {"created_by": {"username": "bob"}},
}
OWN = {"organization": {"name": "Default"}, "user_capabilities": {"edit": True, "start": True}}
ROW = {
    "id": 3,
    "name": "prod",
    "username": "fleet",
    "kind": "",
    "inventory": None,
    "ask_limit_on_launch": True,
    "ask_inventory_on_launch": True,
    "job_slice_count": 1,
    "summary_fields": OWN,
}
SUMMARY = {"host_name": "i-a", "dark": 0, "failed": True, "failures": 1, "ok": 1, "ignored": 0}
EVENT = {
    "id": 1,
    "counter": 5,
    "event": "runner_on_failed",
    "created": "2026-11-21T02:00:11Z",
    "host_name": "i-a",
    "task": "x",
    "event_data": {"task_path": "/runner/project/site.yml:3", "play_uuid": "p1", "res": {"changed": False}},
}
LAUNCHED = {"job": 7, "ignored_fields": {}, "id": 7, "type": "job"}
SCRIPT = {
    "all": {"children": ["web"]},
    "web": {"hosts": ["i-a"]},
    "_meta": {"hostvars": {"i-a": {"remote_tower_id": 1, "remote_tower_enabled": "true", "rollcall": {}}}},
}
DENIED = Answer(403, {"detail": "You do not have permission to perform this action."})
DUPLICATE = Answer(400, {"__all__": ["Hostnames must be unique in an inventory. Duplicates found: ['i-a']"]})
GONE = Answer(400, {"hosts": {"1": "Hosts do not exist or you lack permission to delete it"}})
NEW = [NewHost("i-a", {}), NewHost("i-b", {})]


def ok(body: object, status: int = 200) -> Answer:
    return Answer(status, body)


def a_host(tower: Tower) -> Any:
    return tower.hosts_named(PROD, ["i-a"])


CALLS: dict[str, tuple[Callable[[Tower], object], list[Answer]]] = {
    "inventory": (lambda tower: tower.inventory("prod"), [ok(page(ROW))]),
    "job_template": (lambda tower: tower.job_template("3"), [ok(page(ROW))]),
    "project": (lambda tower: tower.project(5), [ok(ROW)]),
    "list_inventories": (lambda tower: tower.list_inventories(), [ok(page(ROW))]),
    "list_job_templates": (lambda tower: tower.list_job_templates(), [ok(page(ROW))]),
    "version": (lambda tower: tower.version(), [ok({"version": "24.6.1"})]),
    "user": (lambda tower: tower.user(), [ok(page(ROW))]),
    "has_bulk_calls": (lambda tower: tower.has_bulk_calls(), [ok({"detail": ""})]),
    "bulk_limits": (lambda tower: tower.bulk_limits(), [ok({"BULK_HOST_MAX_CREATE": 1, "BULK_HOST_MAX_DELETE": 2})]),
    "may_change": (lambda tower: tower.may_change(PROD), [ok(ROW)]),
    "launch_terms": (lambda tower: tower.launch_terms(TEMPLATE), [ok(ROW), ok({"variables_needed_to_start": ["x"]})]),
    "marked_inventories": (lambda tower: tower.marked_inventories(), [ok(page(ROW))]),
    "dump": (lambda tower: tower.dump(PROD), [ok(SCRIPT)]),
    "created_at": (lambda tower: tower.created_at([1]), [ok(page(HOST))]),
    "hosts_named": (a_host, [ok(page(HOST))]),
    "hosts_of": (lambda tower: tower.hosts_of(["i-a"]), [ok(page(HOST))]),
    "hosts_at": (lambda tower: tower.hosts_at(PROD, ["10.0.0.1"]), [ok(page(HOST))]),
    "variables": (a_host, [ok(page({**HOST, "variables": "---\nx: 1"})), ok({"x": 1})]),
    "create_hosts": (lambda tower: tower.create_hosts(PROD, NEW), [ok({"hosts": [{"id": 1, "name": "i-a"}]}, 201)]),
    "create_found": (lambda tower: tower.create_hosts(PROD, NEW), [DUPLICATE, ok(page(HOST)), ok({"hosts": []}, 201)]),
    "create_one": (lambda tower: tower.create_hosts(PROD, NEW[:1]), [Answer(404, "<html/>"), ok(HOST, 201)]),
    "update_host": (lambda tower: tower.update_host(1, "i-a", {}), [ok(HOST)]),
    "delete_hosts": (lambda tower: tower.delete_hosts(a_host(tower)), [ok(page(HOST)), GONE, ok(page(HOST))]),
    "delete_denied": (lambda tower: tower.delete_hosts(a_host(tower)), [ok(page(HOST)), DENIED]),
    "delete_one": (
        lambda tower: tower.delete_hosts(a_host(tower)),
        [ok(page(HOST)), Answer(404, "<html/>"), Answer(204, "")],
    ),
    "group_ids": (lambda tower: tower.group_ids(PROD, ["web"]), [ok(page()), ok({"id": 5}, 201)]),
    "groups_named": (lambda tower: tower.groups_named(PROD, ["prod"]), [ok(page(ROW))]),
    "add_to_group": (lambda tower: tower.add_to_group(5, 1), [Answer(204, "")]),
    "take_out_of_group": (lambda tower: tower.take_out_of_group(5, 1), [Answer(204, "")]),
    "group_members": (lambda tower: tower.group_members(5, ["i-a"]), [ok(page(HOST))]),
    "launch": (lambda tower: tower.launch(TEMPLATE, PROD, ["i-a"]), [ok(LAUNCHED, 201)]),
    "launch_sliced": (
        lambda tower: tower.launch(TEMPLATE, PROD, ["i-a"]),
        [ok({**LAUNCHED, "job": None, "type": "workflow_job"}, 201), Answer(202, "")],
    ),
    "cancel": (
        lambda tower: tower.cancel(7),
        [DENIED, ok({"can_cancel": True}), ok(JOB), ok(page({**ROW, "username": "fleet"}))],
    ),
    "jobs": (lambda tower: tower.jobs([7]), [ok(page(JOB))]),
    "jobs_holding": (lambda tower: tower.jobs_holding(TEMPLATE.on(PROD), ["i-a"], 0.0), [ok(page(JOB))]),
    "jobs_ran_on": (
        lambda tower: tower.jobs_holding(TEMPLATE.on(PROD), ["i-a"], 0.0),
        [ok(page({**JOB, "limit": "web"})), ok(page(SUMMARY))],
    ),
    "jobs_of_group_before": (lambda tower: tower.jobs_of_group_before(ENDED, "web", 5), [ok(page(JOB)), ok(page(JOB))]),
    "jobs_unreached": (lambda tower: tower.jobs_unreached(TEMPLATE.on(PROD), 0.0, 3), [ok(page(JOB)), ok(page(JOB))]),
    "has_reached": (lambda tower: tower.has_reached(TEMPLATE.on(PROD), 0.0, 9), [ok(page(JOB))]),
    "names_without_host": (lambda tower: tower.names_without_host(ENDED), [ok(page(SUMMARY))]),
    "names_of_group": (lambda tower: tower.names_of_group(PROD, "web", ["i-a"]), [ok(page(HOST))]),
    "past_jobs": (lambda tower: tower.past_jobs(TEMPLATE), [ok(page({**JOB, "forks": 5}))]),
    "default_job_timeout": (lambda tower: tower.default_job_timeout(), [ok({"DEFAULT_JOB_TIMEOUT": 0})]),
    "organization_limit": (
        lambda tower: tower.organization_limit(PROD),
        [ok({**ROW, "organization": 4}), ok({**ROW, "max_hosts": 5}), ok(page(HOST))],
    ),
    "licence_limit": (
        lambda tower: tower.licence_limit(),
        [ok({"license_info": {"instance_count": 5, "current_instances": 1}})],
    ),
    "good_jobs": (lambda tower: tower.good_jobs(ENDED, 3), [ok(page(JOB))]),
    "last_good_job": (lambda tower: tower.last_good_job(ENDED), [ok(page(JOB))]),
    "active_after": (lambda tower: tower.active_after(ENDED, 3), [ok(page(JOB))]),
    "usual_durations": (lambda tower: tower.usual_durations(TEMPLATE.on(PROD)), [ok(page(JOB))]),
    "has_all_events": (lambda tower: tower.has_all_events(7), [ok(JOB)]),
    "summaries": (lambda tower: tower.summaries(7, ["i-a"]), [ok(page(SUMMARY))]),
    "count_well": (lambda tower: tower.count_well(7, ["i-a"], ignoring=False), [ok(page(SUMMARY))]),
    "ran_on_some": (lambda tower: tower.ran_on_some(7), [ok(page(SUMMARY))]),
    "events": (lambda tower: tower.events(7, ["runner_on_failed"], 10), [ok(page(EVENT))]),
    "last_events": (lambda tower: tower.last_events(7, 1), [ok(page(EVENT))]),
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "i-a", "0", {}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
STATUSES = st.sampled_from([200, 201, 202, 204, 301, 302, 400, 401, 403, 404, 405, 413, 414, 418, 429, 500, 502, 503])


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all that is in a JSON value, and to itself."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


def changed(body: Any, path: tuple[Any, ...], value: object, *, gone: bool) -> Any:
    """A JSON value in which something else is at a place, or nothing."""
    if not path:
        return value
    body = copy.deepcopy(body)
    here = body
    for key in path[:-1]:
        here = here[key]
    if gone:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return body


def run(monkeypatch: pytest.MonkeyPatch, name: str, answers: list[Answer]) -> bool:
    """Whether the call went through; or it failed with an error of ours."""
    call, _ = CALLS[name]
    with monkeypatch.context() as patch:
        wire = Wire(script=list(answers)).install(patch)
        wire.by_request = lambda asked: Answer(200, page())
        tower = Tower("https://tower.example.com", lambda refresh: Credentials("token"))
        try:
            call(tower)
        except RollcallError:
            return False
    return True


def test_every_method_that_asks_tower_is_among_them() -> None:
    silent = {"finish_within", "exchanges", "now"}
    asking = {name for name in dir(Tower) if callable(getattr(Tower, name)) and not name.startswith("_")} - silent
    assert len(asking) > 30
    assert asking <= {*CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_what_the_api_gives_is_read(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    went = run(monkeypatch, name, CALLS[name][1])
    assert went or name in ("launch_sliced", "cancel")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", CALLS)
def test_an_answer_with_something_else_in_it_ends_in_the_taxonomy(
    monkeypatch: pytest.MonkeyPatch, name: str, data: st.DataObject
) -> None:
    answers = list(CALLS[name][1])
    number = data.draw(st.integers(0, len(answers) - 1))
    answer = answers[number]
    status = data.draw(st.just(answer.status) | STATUSES)
    path = data.draw(st.sampled_from(places(answer.body)))
    gone = data.draw(st.booleans())
    body = changed(answer.body, path, data.draw(ANYTHING), gone=gone)
    text = body if isinstance(body, str) else json.dumps(body)
    answers[number] = Answer(status, text, data.draw(ODD_HEADERS))
    run(monkeypatch, name, answers)
    run(monkeypatch, name, [*answers[: number + 1], *([answers[number]] * 8)])


NO_ANSWERS = ["", "null", "[]", "0", '"x"', "{", "{}", '{"results": null}', "<html/>", "\x00\xff", "[" * 100_000]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: ascii(body)[:20])
def test_an_answer_that_is_none_ends_in_the_taxonomy(monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> None:
    for status in (200, 201, 400, 403, 404, 500):
        run(monkeypatch, name, [Answer(status, body)] * 12)
