"""The Tower client, against scripted answers in the words that AWX has for them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.exceptions import ReadTimeoutError

from rollcall.errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.model import (
    BulkLimits,
    Host,
    Inventory,
    Job,
    JobStatus,
    JobTemplate,
    LaunchTerms,
    Outcome,
    TowerUser,
)
from rollcall.tower import DeleteRefused, HostsExist, HostsVanished, NewHost, Tower
from rollcall.transport import BUSY_TRIES

from .wire import Answer, Asked, Wire, page

if TYPE_CHECKING:
    from collections.abc import Callable

PROD = Inventory(3, "prod")
TEMPLATE = JobTemplate(10, "provision", None, asks_limit=True, asks_inventory=True, slices=1)
DUPLICATES = [
    {"__all__": ["Hostnames must be unique in an inventory. Duplicates found: ['i-a']"]},
    "cannot create host, host creation error duplicate key value violates unique constraint",
    {"__all__": ["Host with this Name and Inventory already exists."]},
    {"detail": 'duplicate key value violates unique constraint "main_host_name_inventory_id_45aecd68_uniq"'},
]


def raw_host(number: int = 1, name: str = "i-a", **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "inventory": 3,
        "instance_id": name,
        "variables": "",
        "created": "2026-11-21T02:00:11.123456Z",
        "summary_fields": {"inventory": {"name": "prod", "kind": ""}, "groups": {"count": 0, "results": []}},
    } | changes


def raw_job(number: int = 7, limit: str = "i-a", **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "unified_job_template": 10,
        "status": "running",
        "limit": limit,
        "created": "2026-11-21T02:00:11Z",
        "started": None,
        "finished": None,
        "job_explanation": "",
        "event_processing_finished": True,
        "elapsed": 1.0,
        "job_type": "run",
    } | changes


def host(number: int = 1, inventory: Inventory = PROD) -> Host:
    return Host(number, f"i-{number}", inventory.id, inventory.name, f"i-{number}", {}, 0.0, frozenset())


def raw_inventory(number: int = 3, name: str = "prod", organization: str = "Default", **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "kind": "",
        "summary_fields": {"organization": {"name": organization}},
    } | changes


def raw_template(**changes: Any) -> dict[str, Any]:
    return {
        "id": 10,
        "name": "provision",
        "inventory": None,
        "ask_limit_on_launch": True,
        "ask_inventory_on_launch": True,
        "job_slice_count": 1,
        "summary_fields": {"organization": {"name": "Default"}},
    } | changes


# Inventories and templates


def test_an_inventory_is_found_by_its_name_and_remembered(tower: Tower, wire: Wire) -> None:
    wire.page(raw_inventory())
    assert tower.inventory("prod") == tower.inventory("prod") == PROD
    assert [each.query["name"] for each in wire.asked] == [["prod"]]


def test_an_inventory_is_found_by_its_id(tower: Tower, wire: Wire) -> None:
    wire.then(200, raw_inventory())
    assert tower.inventory("3") == PROD
    assert wire.calls == ["GET /api/v2/inventories/3/"]


def test_an_inventory_is_found_by_its_organization_and_name(tower: Tower, wire: Wire) -> None:
    wire.page().page(raw_inventory())
    assert tower.inventory("Default/prod") == PROD
    assert wire.asked[1].query["organization__name"] == ["Default"]
    assert wire.asked[1].query["name"] == ["prod"]


def test_a_name_that_holds_a_slash_is_found_as_it_is(tower: Tower, wire: Wire) -> None:
    wire.page(raw_inventory(name="eu/prod"))
    assert tower.inventory("eu/prod").name == "eu/prod"


def test_an_ambiguous_name_names_both(tower: Tower, wire: Wire) -> None:
    wire.page(raw_inventory(3, organization="Mine"), raw_inventory(4, organization="Theirs"))
    with pytest.raises(BadSettings, match=r"Mine/prod \(id 3\) and Theirs/prod \(id 4\)"):
        tower.inventory("prod")


@pytest.mark.parametrize("reference", ["prod", "Default/prod"])
def test_an_unknown_inventory_is_named_with_the_remedy(tower: Tower, wire: Wire, reference: str) -> None:
    wire.by_request = lambda asked: Answer(200, page())
    with pytest.raises(BadSettings, match=f"no inventory '{reference}'.*grant its role"):
        tower.inventory(reference)


def test_an_unknown_id_is_named(tower: Tower, wire: Wire) -> None:
    wire.then(404, {"detail": "Not found."})
    with pytest.raises(BadSettings, match="job template with id 99"):
        tower.job_template("99")


@pytest.mark.parametrize("kind", ["smart", "constructed"])
def test_an_inventory_that_cannot_hold_hosts_is_refused(tower: Tower, wire: Wire, kind: str) -> None:
    wire.page(raw_inventory(kind=kind))
    with pytest.raises(BadSettings, match=kind):
        tower.inventory("prod")


def test_what_was_not_found_is_asked_for_again(tower: Tower, wire: Wire) -> None:
    wire.page().page(raw_inventory())
    with pytest.raises(BadSettings):
        tower.inventory("prod")
    assert tower.inventory("prod") == PROD


def test_a_template_says_whether_it_can_be_limited(tower: Tower, wire: Wire) -> None:
    wire.page(raw_template(inventory=5, ask_limit_on_launch=False, ask_inventory_on_launch=False, job_slice_count=3))
    assert tower.job_template("provision") == JobTemplate(
        10, "provision", 5, asks_limit=False, asks_inventory=False, slices=3
    )


# Hosts


def test_a_host_is_read_with_its_groups_and_its_marker(tower: Tower, wire: Wire) -> None:
    fields = {
        "inventory": {"name": "prod", "kind": ""},
        "groups": {"count": 2, "results": [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}]},
    }
    wire.page(raw_host(variables=json.dumps({"rollcall": {"group": "web"}}), summary_fields=fields))
    [found] = tower.hosts_named(PROD, ["i-a"])
    assert found.group_ids == frozenset({5, 6})
    assert found.owner == {"group": "web"}
    assert found.created_at == datetime(2026, 11, 21, 2, 0, 11, 123456, UTC).timestamp()


def test_groups_that_tower_did_not_list_in_full_are_not_known(tower: Tower, wire: Wire) -> None:
    fields = {"inventory": {"name": "prod"}, "groups": {"count": 7, "results": [{"id": 5}]}}
    wire.page(raw_host(summary_fields=fields))
    [found] = tower.hosts_named(PROD, ["i-a"])
    assert found.group_ids is None


def test_variables_that_a_person_wrote_as_yaml_are_read_by_tower(tower: Tower, wire: Wire) -> None:
    wire.page(raw_host(variables="---\nowner: me\n")).then(200, {"owner": "me"})
    [found] = tower.hosts_named(PROD, ["i-a"])
    assert found.variables == {"owner": "me"}
    assert wire.calls[1] == "GET /api/v2/hosts/1/variable_data/"


@pytest.mark.parametrize("variables", ["", "{}", "[]", '"text"'])
def test_a_host_without_variables_is_not_ours(tower: Tower, wire: Wire, variables: str) -> None:
    wire.page(raw_host(variables=variables))
    [found] = tower.hosts_named(PROD, ["i-a"])
    assert found.owner is None


def test_hosts_of_mirroring_inventories_are_left_out(tower: Tower, wire: Wire) -> None:
    mirror = raw_host(2, summary_fields={"inventory": {"name": "all", "kind": "smart"}})
    wire.page(raw_host(1), mirror)
    assert [found.id for found in tower.hosts_of(["i-a"])] == [1]


def test_lists_are_walked_by_id_to_their_end(tower: Tower, wire: Wire) -> None:
    wire.then(200, page(raw_host(1), following="/api/v2/hosts/?page=2")).page(raw_host(2))
    assert [found.id for found in tower.hosts_of(["i-a"])] == [1, 2]
    assert [each.query["page"] for each in wire.asked] == [["1"], ["2"]]
    assert {each.query["order_by"][0] for each in wire.asked} == {"id"}


LONG_IDS = [f"i-{number:017x}" for number in range(500)]
LONG_ADDRESSES = [f"ec2-203-100-113-{number}.ap-southeast-2.compute.amazonaws.com" for number in range(500)]


@pytest.mark.parametrize(
    ("ask", "values"),
    [
        (lambda tower: tower.hosts_of(LONG_IDS), ["or__name__in", "or__instance_id__in"]),
        (lambda tower: tower.hosts_named(PROD, LONG_IDS), ["name__in"]),
        (lambda tower: tower.jobs_holding(10, LONG_IDS, 0), ["or__limit__contains"]),
        (lambda tower: tower.jobs(set(range(2**31, 2**31 + 500))), ["id__in"]),
        (lambda tower: tower.hosts_at(PROD, LONG_ADDRESSES), []),
    ],
)
def test_queries_stay_under_four_kilobytes_and_leave_nobody_out(
    tower: Tower, wire: Wire, ask: Callable[[Tower], object], values: list[str]
) -> None:
    wire.by_request = lambda asked: Answer(200, page())
    ask(tower)
    assert max(len(each.url) for each in wire.asked) < 4096
    for key in values:
        asked_for = [one for each in wire.asked for text in each.query[key] for one in text.split(",")]
        assert len(asked_for) == len(set(asked_for)) == 500


def test_hosts_are_looked_for_at_a_hundred_addresses_in_one_call_and_nobody_is_left_out(
    tower: Tower, wire: Wire
) -> None:
    wire.by_request = lambda asked: Answer(200, page())
    tower.hosts_at(PROD, [f"192.168.100.{number}" for number in range(100, 200)])
    assert len(wire.asked) == 1
    tower.hosts_at(PROD, LONG_ADDRESSES)
    [patterns] = zip(*(each.query["variables__regex"] for each in wire.asked[1:]), strict=True)
    for address in LONG_ADDRESSES:
        found = [bool(re.search(pattern, f'{{"ansible_host": "{address}"}}')) for pattern in patterns]
        assert sum(found) == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"ansible_host": "10.0.0.7"}', True),
        ("---\nansible_host: 10.0.0.7 # for now\nrole: db\n", True),
        ("ansible_host: '10.0.0.7'", True),
        ("{ansible_host: 10.0.0.7}", True),
        ('{"ansible_host": "10.0.0.70"}', False),
        ('{"ansible_host": "110.0.0.7"}', False),
        ('{"ansible_host": "10a0b0c7"}', False),
        ('{"ec2": {"private_ip": "10.0.0.7"}}', False),
        ("ansible_host: 10.0.0.71\n", False),
    ],
)
def test_tower_lists_no_host_that_only_mentions_an_address_for_each_costs_it_time(
    tower: Tower, wire: Wire, text: str, found: bool
) -> None:
    wire.page()
    tower.hosts_at(PROD, ["10.0.0.7", "ip-10-0-0-8.ec2.internal"])
    [pattern] = wire.asked[0].query["variables__regex"]
    assert bool(re.search(pattern, text)) is found


def test_a_host_that_several_queries_find_is_found_once(tower: Tower, wire: Wire) -> None:
    found = raw_host(variables=json.dumps({"ansible_host": LONG_ADDRESSES[0]}))
    wire.by_request = lambda asked: Answer(200, page(found))
    assert [host.name for host in tower.hosts_at(PROD, LONG_ADDRESSES)] == ["i-a"]
    assert len(wire.asked) > 1


# Making hosts

NEW = [NewHost(f"i-{number}", {"ansible_host": f"10.0.0.{number}"}) for number in range(5)]


def created(asked: Asked) -> Answer:
    """What a server with bulk calls answers."""
    return Answer(201, {"hosts": [{"id": 100 + number, **each} for number, each in enumerate(asked.body["hosts"])]})


def test_hosts_are_made_in_one_call(tower: Tower, wire: Wire) -> None:
    wire.by_request = created
    assert tower.create_hosts(PROD, NEW) == {f"i-{number}": 100 + number for number in range(5)}
    assert wire.calls == ["POST /api/v2/bulk/host_create/"]
    body = wire.asked[0].body
    assert body["inventory"] == 3
    assert body["hosts"][0] == {
        "name": "i-0",
        "instance_id": "i-0",
        "variables": '{"ansible_host": "10.0.0.0"}',
        "description": "",
        "enabled": True,
    }


def test_more_hosts_than_a_call_takes_are_made_in_several(tower: Tower, wire: Wire) -> None:
    wire.by_request = created
    many = [NewHost(each, {}) for each in LONG_IDS[:250]]
    assert len(tower.create_hosts(PROD, many)) == 250
    assert [len(each.body["hosts"]) for each in wire.asked] == [100, 100, 50]


def test_a_server_without_bulk_calls_gets_hosts_one_by_one(tower: Tower, wire: Wire) -> None:
    wire.then(404, "<html>not found</html>")
    for number in range(5):
        wire.then(201, raw_host(100 + number))
    assert tower.create_hosts(PROD, NEW) == {f"i-{number}": 100 + number for number in range(5)}
    assert wire.calls[1:] == ["POST /api/v2/hosts/"] * 5
    assert wire.asked[1].body["inventory"] == 3


def test_a_server_that_takes_fewer_at_once_gets_fewer(tower: Tower, wire: Wire) -> None:
    def at_most_two(asked: Asked) -> Answer:
        if len(asked.body["hosts"]) > 2:
            return Answer(400, {"__all__": ["Number of hosts exceeds system setting BULK_HOST_MAX_CREATE"]})
        return created(asked)

    wire.by_request = at_most_two
    assert set(tower.create_hosts(PROD, NEW)) == {f"i-{number}" for number in range(5)}


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_a_duplicate_in_whatever_words_is_no_error_but_an_answer(tower: Tower, wire: Wire, duplicate: object) -> None:
    wire.then(400, duplicate)
    with pytest.raises(HostsExist):
        tower.create_hosts(PROD, NEW)
    wire.then(404).then(400, duplicate)
    with pytest.raises(HostsExist):
        tower.create_hosts(PROD, NEW)


def test_a_missing_role_in_the_words_of_bulk_create_is_a_denial(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"__all__": ["Inventory with id 3 not found or lack permissions to add hosts."]})
    with pytest.raises(TowerDenied, match="'prod'"):
        tower.create_hosts(PROD, NEW)


# Deleting hosts


def test_hosts_are_deleted_in_one_call(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"hosts": {}})
    tower.delete_hosts([host(1), host(2)])
    assert wire.calls == ["POST /api/v2/bulk/host_delete/"]
    assert wire.asked[0].body == {"hosts": [1, 2]}


def test_a_host_that_is_gone_already_makes_the_call_fail_as_a_whole(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"hosts": {"999999": "Hosts do not exist or you lack permission to delete it"}})
    with pytest.raises(HostsVanished):
        tower.delete_hosts([host(1)])


def test_a_refusal_names_its_inventories(tower: Tower, wire: Wire) -> None:
    wire.then(403, {"inventories": {"prod": "Lack permissions to delete hosts from this inventory."}})
    with pytest.raises(DeleteRefused, match="Lack permissions") as caught:
        tower.delete_hosts([host(1)])
    assert caught.value.inventories == {"prod"}


def test_a_server_without_bulk_calls_loses_hosts_the_way_that_jobs_do_not_stop(tower: Tower, wire: Wire) -> None:
    wire.then(404, "<html/>").then(204, "").then(204, "")
    tower.delete_hosts([host(1), host(2, Inventory(9, "other"))])
    assert wire.calls[1:] == ["POST /api/v2/inventories/3/hosts/", "POST /api/v2/inventories/9/hosts/"]
    assert wire.asked[1].body == {"id": 1, "disassociate": True}


def test_without_bulk_calls_a_refusal_names_its_inventory_too(tower: Tower, wire: Wire) -> None:
    wire.then(404, "<html/>").then(403, {"detail": "no"})
    with pytest.raises(DeleteRefused) as caught:
        tower.delete_hosts([host(1)])
    assert caught.value.inventories == {"prod"}


@pytest.mark.parametrize("status", [400, 404])
def test_without_bulk_calls_a_host_that_is_gone_is_looked_at_again(tower: Tower, wire: Wire, status: int) -> None:
    wire.then(404, "<html/>").then(status, {"detail": "Not found."})
    with pytest.raises(HostsVanished):
        tower.delete_hosts([host(1)])


def test_a_server_that_deletes_fewer_at_once_gets_fewer(tower: Tower, wire: Wire) -> None:
    deleted: list[int] = []

    def at_most_two(asked: Asked) -> Answer:
        if len(asked.body["hosts"]) > 2:
            words = ["Number of hosts exceeds system setting BULK_HOST_MAX_DELETE"]
            return Answer(400, {"ERROR": words, "BULK_HOST_MAX_DELETE": ["2"], "Hosts_count": ["5"]})
        deleted.extend(asked.body["hosts"])
        return Answer(201, {"hosts": {}})

    wire.by_request = at_most_two
    tower.delete_hosts([host(number) for number in range(5)])
    assert sorted(deleted) == [0, 1, 2, 3, 4]


# Groups


def test_groups_that_are_missing_are_made(tower: Tower, wire: Wire) -> None:
    wire.page({"id": 5, "name": "a"}).then(201, {"id": 6, "name": "b, c"})
    assert tower.group_ids(PROD, ["a", "b, c"]) == {"a": 5, "b, c": 6}
    assert wire.asked[1].body == {"name": "b, c", "inventory": 3}


def test_groups_are_looked_up_as_many_at_a_time_as_a_url_has_room_for(tower: Tower, wire: Wire) -> None:
    names = [f"{number:03}" + "ä" * 97 for number in range(20)]
    for _ in range(4):
        wire.page()
    assert tower.groups_named(PROD, names) == {}
    assert len(wire.calls) == 4
    assert max(map(len, wire.calls)) < 4096


def test_a_group_that_somebody_else_makes_meanwhile_is_found(tower: Tower, wire: Wire) -> None:
    wire.page().then(400, {"__all__": ["Group with this Name and Inventory already exists."]}).page(
        {"id": 5, "name": "a"}
    )
    assert tower.group_ids(PROD, ["a"]) == {"a": 5}


def test_a_host_is_put_into_a_group(tower: Tower, wire: Wire) -> None:
    wire.then(204, "")
    tower.add_to_group(5, 1)
    assert wire.calls == ["POST /api/v2/groups/5/hosts/"]
    assert wire.asked[0].body == {"id": 1}


# Launching


def test_a_job_is_limited_to_its_hosts_in_their_inventory(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"job": 6, "ignored_fields": {}, "id": 6, "type": "job"})
    assert tower.launch(TEMPLATE, PROD, ["i-a", "i-b"]) == 6
    assert wire.calls == ["POST /api/v2/job_templates/10/launch/"]
    assert wire.asked[0].body == {"limit": "i-a,i-b", "inventory": 3}


def test_a_template_that_does_not_ask_for_an_inventory_is_not_told_one(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"job": 6, "ignored_fields": {}, "id": 6, "type": "job"})
    tower.launch(replace(TEMPLATE, asks_inventory=False, inventory_id=3), PROD, ["i-a"])
    assert wire.asked[0].body == {"limit": "i-a"}


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


@pytest.mark.parametrize(("status", "error"), [(403, TowerDenied), (404, TowerRejected), (502, TowerUnavailable)])
def test_a_job_that_tower_does_not_cancel_is_an_error(
    tower: Tower, wire: Wire, status: int, error: type[Exception]
) -> None:
    wire.then(status, {"detail": "no"})
    with pytest.raises(error):
        tower.cancel(6)


# Jobs


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


def test_jobs_holding_hosts_come_newest_first_and_only_those_that_hold_exactly_them(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a"), raw_job(9, "i-b,i-a"), raw_job(8, "i-abc"))
    assert [job.id for job in tower.jobs_holding(10, ["i-a"], 1795226411.0)] == [9, 7]
    assert wire.calls == ["GET /api/v2/job_templates/10/jobs/"]
    assert wire.asked[0].query["created__gte"] == ["2026-11-21T02:00:11Z"]


def test_a_job_in_check_mode_holds_nobody(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a"), raw_job(8, "i-a", job_type="check"))
    assert [job.id for job in tower.jobs_holding(10, ["i-a"], 0)] == [7]


def test_the_jobs_before_one_are_the_newest_that_ended_on_its_inventory(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(6, status="failed"))
    assert [job.id for job in tower.jobs_before(job_of("failed"), 3, 10)] == [6]
    query = wire.asked[0].query
    assert (query["id__lt"], query["order_by"], query["inventory"]) == (["7"], ["-id"], ["3"])


@pytest.mark.parametrize(("elapsed", "usual"), [([9.0, 1.0, 5.0], (1.0, 5.0, 9.0)), ([4.0], (4.0,))])
def test_the_usual_durations_are_those_of_the_last_jobs_and_remembered(
    tower: Tower, wire: Wire, elapsed: list[float], usual: tuple[float, ...]
) -> None:
    wire.page(*[{"elapsed": each} for each in elapsed])
    assert tower.usual_durations(10) == tower.usual_durations(10) == usual
    [asked] = wire.asked
    assert asked.query["job_type"] == ["run"]  # what a check mode takes says nothing


def test_a_template_without_history_is_asked_again_until_it_has_one(tower: Tower, wire: Wire) -> None:
    wire.page().page({"elapsed": 7.0})
    assert tower.usual_durations(10) == ()
    assert tower.usual_durations(10) == (7.0,)


def test_a_query_for_the_jobs_of_a_whole_batch_fits_into_one_url(tower: Tower, wire: Wire) -> None:
    batch = [f"i-{number:017x}" for number in range(100)]
    wire.page(raw_job(7, ",".join(batch)))
    assert [job.hosts for job in tower.jobs_holding(10, batch, 0)] == [frozenset(batch)]
    [asked] = wire.asked
    assert len(asked.url) < 4000


def test_the_members_of_a_group_are_looked_up_for_a_whole_batch(tower: Tower, wire: Wire) -> None:
    wire.page({"name": "i-b"})
    assert tower.group_members(4, ["i-a", "i-b"]) == {"i-b"}
    [asked] = wire.asked
    assert (asked.path, asked.query["name__in"]) == ("/api/v2/groups/4/hosts/", ["i-a,i-b"])


# What a job showed


def job_of(status: str, hosts: tuple[str, ...] = ("i-a", "i-b", "i-c", "i-d"), explanation: str = "") -> Job:
    return Job(7, 10, JobStatus(status), frozenset(hosts), 0.0, 0.0, 1.0, explanation)


def summary(name: str, **changes: Any) -> dict[str, Any]:
    return {"host_name": name, "host": None, "failed": False, "dark": 0, "failures": 0, "ok": 1} | changes


SUMMARIES = [summary("i-a"), summary("i-b", failed=True, failures=1), summary("i-c", failed=True, dark=1)]


def showing(
    *summaries: dict[str, Any],
    says_so: bool = False,
    failures: int = 1,
    tasks_after: int = 1,
    handlers_after: int = 0,
    processed: bool = True,
) -> Callable[[Asked], Answer]:
    """A server with a job that showed this.

    says_so: the play reports that no hosts remained. failures: failed tasks. tasks_after: tasks begun after the last;
    handlers_after: likewise handlers.
    """

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/job_host_summaries/"):
            return Answer(200, page(*[each for each in summaries if passes(each, asked.query)]))
        if asked.path.endswith("/job_events/"):
            kinds = ",".join(asked.query.get("event", []) + asked.query.get("event__in", []))
            if "no_hosts_remaining" in kinds:
                return Answer(200, page(total=int(says_so)))
            later = tasks_after * ("playbook_on_task_start" in kinds) + handlers_after * ("handler" in kinds)
            number = later if "counter__gt" in asked.query else failures
            return Answer(200, page(*[{"counter": 5}] * number))
        assert asked.path.endswith("/jobs/7/")
        return Answer(200, raw_job(event_processing_finished=processed))

    return answer


def passes(row: dict[str, Any], query: dict[str, list[str]]) -> bool:
    """Whether Tower would show a summary to somebody who asks so."""
    return (
        row["host_name"] in ",".join(query.get("host_name__in", [row["host_name"]])).split(",")
        and query.get("failed", [str(row["failed"]).lower()]) == [str(row["failed"]).lower()]
        and query.get("dark", [str(row["dark"])]) == [str(row["dark"])]
    )


def test_the_hosts_of_a_job_that_went_well_are_counted_and_not_listed(tower: Tower, wire: Wire) -> None:
    names = LONG_IDS[:100]
    wire.by_request = showing(*map(summary, names), summary("localhost"))
    assert tower.outcomes(job_of("successful", tuple(names))) == dict.fromkeys(names, Outcome.OK)
    [_, counted] = wire.asked
    assert counted.query["page_size"] == ["1"]
    assert len(counted.url) < 4000


@pytest.mark.parametrize("trouble", [{"dark": 1}, {"failed": True}])
def test_a_successful_job_is_no_proof_for_a_host_with_which_it_did_not_go_well(
    tower: Tower, wire: Wire, trouble: dict[str, Any]
) -> None:
    wire.by_request = showing(summary("i-a"), summary("i-b", **trouble))
    outcomes = tower.outcomes(job_of("successful", ("i-a", "i-b")))
    assert outcomes
    assert outcomes["i-a"] == Outcome.OK
    assert outcomes["i-b"] != Outcome.OK


def test_every_host_of_a_job_has_its_own_outcome(tower: Tower, wire: Wire) -> None:
    wire.by_request = showing(*SUMMARIES)
    assert tower.outcomes(job_of("failed")) == {
        "i-a": Outcome.OK,
        "i-b": Outcome.FAILED,
        "i-c": Outcome.UNREACHABLE,
        "i-d": Outcome.UNPROVEN,
    }


@pytest.mark.parametrize("signs", [{"says_so": True}, {"tasks_after": 0}, {"tasks_after": 0, "handlers_after": 1}])
def test_in_a_play_cut_short_only_failures_count(tower: Tower, wire: Wire, signs: dict[str, Any]) -> None:
    wire.by_request = showing(*SUMMARIES, **signs)
    assert tower.outcomes(job_of("failed")) == {
        "i-a": Outcome.CUT_SHORT,
        "i-b": Outcome.FAILED,
        "i-c": Outcome.UNREACHABLE,
        "i-d": Outcome.CUT_SHORT,
    }


def test_a_limit_that_matched_nobody_proves_nothing(tower: Tower, wire: Wire) -> None:
    wire.by_request = showing(failures=0, tasks_after=0)
    assert tower.outcomes(job_of("failed", ("i-a",))) == {"i-a": Outcome.UNPROVEN}


def test_a_play_that_went_well_was_not_cut_short(tower: Tower, wire: Wire) -> None:
    wire.by_request = showing(summary("i-a"), tasks_after=0)
    assert tower.outcomes(job_of("successful", ("i-a",))) == {"i-a": Outcome.OK}


def test_in_a_successful_job_a_host_without_a_summary_was_not_provisioned(tower: Tower, wire: Wire) -> None:
    wire.by_request = showing(summary("i-a"))
    assert tower.outcomes(job_of("successful", ("i-a", "i-d"))) == {"i-a": Outcome.OK, "i-d": Outcome.UNPROVEN}


@pytest.mark.parametrize(
    ("status", "explanation"),
    [("error", ""), ("canceled", ""), ("failed", "Job terminated due to timeout"), ("successful", "odd")],
)
def test_a_job_that_ended_by_itself_proves_nothing_for_anyone(
    tower: Tower, wire: Wire, status: str, explanation: str
) -> None:
    wire.by_request = showing(*SUMMARIES)
    outcomes = tower.outcomes(job_of(status, explanation=explanation))
    assert outcomes == dict.fromkeys(("i-a", "i-b", "i-c", "i-d"), Outcome.UNPROVEN)


def test_a_job_whose_events_are_not_processed_shows_nothing_yet(tower: Tower, wire: Wire) -> None:
    wire.by_request = showing(*SUMMARIES, processed=False)
    assert tower.outcomes(job_of("failed")) is None


def test_hosts_that_the_job_was_not_limited_to_are_none_of_ours(tower: Tower, wire: Wire) -> None:
    wire.by_request = showing(summary("i-a"), summary("localhost"))
    assert tower.outcomes(job_of("successful", ("i-a",))) == {"i-a": Outcome.OK}


def test_a_job_of_three_hundred_hosts_is_read_in_pages(tower: Tower, wire: Wire) -> None:
    names = LONG_IDS[:300]

    def answer(asked: Asked) -> Answer:
        if not asked.path.endswith("/job_host_summaries/"):
            return Answer(200, raw_job())
        if asked.query["page_size"] == ["1"]:
            return Answer(200, page(total=len(names) - 1))
        number = int(asked.query["page"][0])
        chunk = list(batched(names, 200))[number - 1]
        return Answer(200, page(*map(summary, chunk), following="more" if number == 1 else None))

    wire.by_request = answer
    assert tower.outcomes(job_of("successful", tuple(names))) == dict.fromkeys(names, Outcome.OK)


# What the server is, and what the token may do there


def capable(**capabilities: bool) -> dict[str, Any]:
    return {"summary_fields": {"user_capabilities": capabilities}}


def test_what_tells_no_version_is_not_tower(tower: Tower, wire: Wire) -> None:
    wire.then(200, {"pong": True})
    with pytest.raises(TowerRejected, match="ping/ does not answer as Tower does"):
        tower.version()


@pytest.mark.parametrize("edits", [True, False])
def test_the_token_writes_if_its_user_may_change_itself(tower: Tower, wire: Wire, edits: bool) -> None:
    wire.then(200, {"count": 1, "results": [{"username": "fleet"} | capable(edit=edits, delete=False)]})
    assert tower.user() == TowerUser("fleet", edits)


@pytest.mark.parametrize(("status", "has"), [(200, True), (403, True), (404, False)])
def test_only_an_unknown_page_is_no_bulk_call(tower: Tower, wire: Wire, status: int, has: bool) -> None:
    wire.then(status, {"detail": "x"})
    assert tower.has_bulk_calls() == has


@pytest.mark.parametrize(
    ("status", "body", "limits"),
    [
        (200, {"BULK_HOST_MAX_CREATE": 50, "BULK_HOST_MAX_DELETE": 60}, BulkLimits(50, 60)),
        (200, {"BULK_JOB_MAX_LAUNCH": 100}, BulkLimits(100, 250)),
        (403, {"detail": "You do not have permission to perform this action."}, None),
        (404, {"detail": "Not found."}, None),
    ],
)
def test_the_limits_of_bulk_calls_are_the_servers_or_not_told(
    tower: Tower, wire: Wire, status: int, body: Any, limits: BulkLimits | None
) -> None:
    wire.then(status, body)
    assert tower.bulk_limits() == limits


@pytest.mark.parametrize("capabilities", [{}, {"edit": False}, {"delete": True}])
def test_who_may_not_edit_an_inventory_may_not_change_it(
    tower: Tower, wire: Wire, capabilities: dict[str, bool]
) -> None:
    wire.then(200, capable(**capabilities)).then(200, {"summary_fields": {}}).then(200, capable(edit=True))
    assert [tower.may_change(PROD) for _ in range(3)] == [False, False, True]


def test_what_a_launch_would_have_to_bring_is_told_in_words(tower: Tower, wire: Wire) -> None:
    wire.then(200, capable(start=True) | {"allow_simultaneous": True})
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
    )


def test_what_may_not_be_launched_is_not_asked_how(tower: Tower, wire: Wire) -> None:
    wire.then(200, capable(start=False) | {"allow_simultaneous": False})
    assert tower.launch_terms(TEMPLATE) == LaunchTerms(startable=False, simultaneous=False)
    assert len(wire.asked) == 1
