"""The Tower client, against scripted answers in the words that AWX has for them."""

from __future__ import annotations

import json
import re
from copy import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from urllib3.exceptions import ReadTimeoutError

from rollcall.domain.errors import (
    BadSettings,
    CancelRefused,
    DeleteRefused,
    DeleteRejected,
    HostLimitReached,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.groups import AddressKind, GroupSettings, OnFailure
from rollcall.domain.inventories import BulkLimits, Host, HostLimit, Inventory
from rollcall.domain.jobs import (
    HostSummary,
    Job,
    JobEvent,
    JobKind,
    JobStatus,
    JobTemplate,
    LaunchTerms,
    PastJob,
    TowerUser,
)
from rollcall.hosts.variables import marker, with_state
from rollcall.http.transport import BUSY_TRIES
from rollcall.tower.bulk_hosts import LOOKS, REFUSALS_MAX, NewHost
from rollcall.tower.client import LIMITS_RESOLVED, NAMES_PER_QUERY, SUMMARY_CALLS, Tower
from unit.wire import Answer, Asked, Wire, page

if TYPE_CHECKING:
    from collections.abc import Callable

PROD = Inventory(3, "prod")
KIND = JobKind(10, PROD.id)
TEMPLATE = JobTemplate(10, "provision", None, asks_limit=True, asks_inventory=True, slices=1)
DUPLICATES = [
    {"__all__": ["Hostnames must be unique in an inventory. Duplicates found: ['i-a']"]},
    "cannot create host, host creation error duplicate key value violates unique constraint",
    {"__all__": ["Host with this Name and Inventory already exists."]},
    {"detail": 'duplicate key value violates unique constraint "main_host_name_inventory_id_45aecd68_uniq"'},
]


DENIED = {"detail": "You do not have permission to perform this action."}


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
        "inventory": 3,
        "job_tags": "",
        "skip_tags": "",
        "playbook": "site.yml",
        "scm_revision": "c0ffee",
        "summary_fields": {"created_by": {"username": "fleet"}},
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


def raw_inventories(*references: str) -> list[dict[str, Any]]:
    """Inventories as "ID ORGANIZATION|NAME" says."""
    return [
        raw_inventory(int(number), name, organization)
        for number, _, rest in (each.partition(" ") for each in references)
        for organization, _, name in [rest.partition("|")]
    ]


def filtering(*inventories: dict[str, Any]) -> Callable[[Asked], Answer]:
    """A Tower with these inventories that knows the filters or__name and or__id."""

    def answer(asked: Asked) -> Answer:
        assert set(asked.query) <= {"or__name", "or__id", "order_by", "page", "page_size"}
        names, ids = asked.query.get("or__name", []), asked.query.get("or__id", [])
        assert all(int(each) < 2**31 for each in ids), "more than PostgreSQL's integer holds"
        return Answer(200, page(*(raw for raw in inventories if raw["name"] in names or str(raw["id"]) in ids)))

    return answer


def test_an_inventory_is_found_by_its_name_and_remembered(tower: Tower, wire: Wire) -> None:
    wire.page(raw_inventory())
    assert tower.inventory("prod") == tower.inventory("prod") == PROD
    assert [each.query["or__name"] for each in wire.asked] == [["prod"]]


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("3", 3),
        ("id:3", 3),
        ("Default/prod", 3),
        ("eu/prod", 4),
        ("Default/eu/prod", 4),
        ("ops/eu/prod", 5),  # prod of an organization with a slash
        ("two  blanks", 6),
        ("a/b/c/d", 7),  # c/d of a/b
        ("17", 8),
        ("Default/17", 8),
        ("id:8", 8),
        ("007", 9),
        ("9999999999", 10),
        ("id:x", 11),
        ("/", 12),
        ("Default//", 12),
        ("Prod", 13),
    ],
)
def test_a_reference_that_can_mean_one_thing_only_means_that(
    tower: Tower, wire: Wire, reference: str, number: int
) -> None:
    wire.by_request = filtering(
        *raw_inventories(
            *("3 Default|prod", "4 Default|eu/prod", "5 ops/eu|prod", "6 Default|two  blanks", "7 a/b|c/d"),
            *("8 Default|17", "9 Default|007", "10 Default|9999999999", "11 Default|id:x", "12 Default|/"),
            *("13 Default|Prod", "20 d|c", "21 b/c|d/e", "22 Default|two blanks"),
        )
    )
    assert tower.inventory(reference).id == number
    assert len(wire.asked) == 1


@pytest.mark.parametrize(
    ("reference", "inventories"),
    [
        ("prod", ["3 Mine|prod", "4 Theirs|prod"]),
        ("42", ["42 Default|prod", "7 Default|42"]),
        ("org/name", ["3 org|name", "4 Default|org/name"]),
        ("a/b/c", ["3 a|b/c", "4 a/b|c"]),
        ("a/b/c", ["3 a|b/c", "4 a/b|c", "5 Default|a/b/c"]),
        ("17", ["3 Mine|17", "4 Theirs|17"]),
    ],
)
def test_a_reference_that_can_mean_several_is_refused_and_they_are_named_with_a_way_to_write_each(
    tower: Tower, wire: Wire, reference: str, inventories: list[str]
) -> None:
    made = raw_inventories(*inventories)
    wire.by_request = filtering(*made, *raw_inventories("98 org|other", "99 Default|nothing"))
    with pytest.raises(BadSettings, match=f"inventory '{reference}' is ambiguous") as caught:
        tower.inventory(reference)
    assert caught.value.candidates == {raw["id"] for raw in made}
    for raw in made:
        organization = raw["summary_fields"]["organization"]["name"]
        assert f"{organization}/{raw['name']} (id {raw['id']})" in str(caught.value)
        assert f"id:{raw['id']}" in str(caught.value)
        assert tower.inventory(f"id:{raw['id']}").id == raw["id"]


def test_an_id_is_not_taken_for_a_name(tower: Tower, wire: Wire) -> None:
    wire.by_request = filtering(*raw_inventories("3 Default|id:4", "4 Default|prod"))
    assert tower.inventory("id:4").id == 4
    assert tower.inventory("Default/id:4").id == 3


def test_a_reference_of_many_slashes_is_asked_for_in_queries_that_every_proxy_lets_through(
    tower: Tower, wire: Wire
) -> None:
    reference = "/".join("abcdefgh" for _ in range(28))
    names = [reference[place:] for place in range(0, len(reference), 9)]
    wire.by_request = filtering(*raw_inventories(f"3 {names[0][:-9]}|abcdefgh"))
    assert tower.inventory(reference).id == 3
    assert sorted(name for each in wire.asked for name in each.query["or__name"]) == sorted(names)
    assert max(len(each.url) for each in wire.asked) < 4096


@pytest.mark.parametrize("reference", ["prod", "Default/prod", "17", "id:17", "9999999999", "id:9999999999", "/", "//"])
def test_an_unknown_inventory_is_named_with_the_remedy(tower: Tower, wire: Wire, reference: str) -> None:
    wire.by_request = filtering()
    with pytest.raises(BadSettings, match=f"no inventory .*{reference.removeprefix('id:')}.*grant its role"):
        tower.inventory(reference)


def test_an_unknown_id_is_named(tower: Tower, wire: Wire) -> None:
    wire.page()
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


def test_a_template_says_what_its_jobs_run_of_its_playbook(tower: Tower, wire: Wire) -> None:
    asks = {f"ask_{each}_on_launch": True for each in ("job_type", "tags", "skip_tags")}
    wire.page(raw_template(job_type="check", job_tags="base", skip_tags="reboot", **asks))
    found = tower.job_template("provision")
    assert (found.job_type, found.tags, found.skip_tags) == ("check", "base", "reboot")
    assert (found.asks_job_type, found.asks_tags, found.asks_skip_tags) == (True, True, True)


# Hosts


def test_a_host_is_read_with_its_groups_and_its_marker(tower: Tower, wire: Wire) -> None:
    fields = {
        "inventory": {"name": "prod", "kind": ""},
        "groups": {"count": 2, "results": [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}]},
    }
    wire.page(raw_host(variables=json.dumps({"rollcall": {"group": "web"}}), summary_fields=fields))
    [found] = tower.hosts_named(PROD, ["i-a"])
    assert found.group_ids == frozenset({5, 6})
    assert found.marker == {"group": "web"}
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
    assert found.marker is None


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
        (lambda tower: tower.jobs_holding(KIND, LONG_IDS, 0), ["or__job_host_summaries__host_name__in"]),
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
    assert tower.create_hosts(PROD, NEW).ids == {f"i-{number}": 100 + number for number in range(5)}
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
    assert len(tower.create_hosts(PROD, many).ids) == 250
    assert [len(each.body["hosts"]) for each in wire.asked] == [100, 100, 50]


def test_a_server_without_bulk_calls_gets_hosts_one_by_one(tower: Tower, wire: Wire) -> None:
    wire.then(404, "<html>not found</html>")
    for number in range(5):
        wire.then(201, raw_host(100 + number))
    assert tower.create_hosts(PROD, NEW).ids == {f"i-{number}": 100 + number for number in range(5)}
    assert wire.calls[1:] == ["POST /api/v2/hosts/"] * 5
    assert wire.asked[1].body["inventory"] == 3


def endless() -> dict[str, object]:
    """Variables that hold themselves."""
    variables: dict[str, object] = {}
    variables["again"] = variables
    return variables


UNFIT = [
    NewHost("", {}),
    NewHost(" i-x", {}),
    NewHost("i-x\n", {}),
    NewHost("i-db-1", {}),
    NewHost("i-" + "0" * 18, {}),
    NewHost("2001:db8::1", {}),
    NewHost("i-x:22", {}),
    NewHost("i-x,i-y", {}),
    NewHost("i-\0", {}),
    NewHost("i-\ud800", {}),
    NewHost("i-{% x %}", {}),
    NewHost("i-x", {"x": [float("-inf")]}),
    NewHost("i-x", {"x": {"y\0": 1}}),
    NewHost("i-x", {"x": ["\udc00"]}),
    NewHost("i-x", {"x": b"bytes"}),
    NewHost("i-x", {"x": 10**5000}),
    NewHost("i-x", endless()),
    NewHost("i-x", {}, "\0"),
    NewHost("i-x", {}, "\ud800"),
]


@pytest.mark.parametrize("unfit", UNFIT, ids=lambda host: ascii(host.instance_id)[:12])
def test_what_tower_would_not_take_of_a_host_is_found_before_it_shares_a_call(
    tower: Tower, wire: Wire, unfit: NewHost
) -> None:
    wire.by_request = created
    made = tower.create_hosts(PROD, [*NEW[:2], unfit, *NEW[2:]])
    assert made.ids.keys() == {host.instance_id for host in NEW}
    assert made.errors.keys() == {unfit.instance_id}
    assert isinstance(made.errors[unfit.instance_id], TowerRejected)
    assert "of inventory 'prod': " in str(made.errors[unfit.instance_id])
    assert [len(each.body["hosts"]) for each in wire.asked] == [5]


def test_the_longest_id_is_a_name_and_text_that_only_looks_like_a_nul_is_text(tower: Tower, wire: Wire) -> None:
    wire.by_request = created
    made = tower.create_hosts(PROD, [NewHost("i-" + "z" * 17, {"x": "C:\\u0000 \\\\u0000"})])
    assert made.errors == {}


TOO_MANY = (400, {"__all__": ["Number of hosts exceeds system setting BULK_HOST_MAX_CREATE"]})
TOO_LARGE = (413, "<html>\r\n<head><title>413 Request Entity Too Large</title></head></html>")


@pytest.mark.parametrize("refusal", [TOO_MANY, TOO_LARGE])
def test_a_server_that_takes_fewer_at_once_gets_fewer(tower: Tower, wire: Wire, refusal: tuple[int, object]) -> None:
    wire.by_request = lambda asked: Answer(*refusal) if len(asked.body["hosts"]) > 2 else created(asked)
    made = tower.create_hosts(PROD, NEW)
    assert (set(made.ids), made.errors) == ({f"i-{number}" for number in range(5)}, {})


MANY = [NewHost(f"i-{number:03}", {}) for number in range(100)]


def refusing(*bad: str, answer: Answer) -> Callable[[Asked], Answer]:
    """A server with bulk calls that refuses every call with one of these hosts."""

    def respond(asked: Asked) -> Answer:
        names = {each["name"] for each in asked.body["hosts"]}
        return answer if names & set(bad) else created(asked)

    return respond


REFUSALS = [
    Answer(400, {"hosts": {"0": {"variables": ["Cannot parse as JSON"]}}}),
    Answer(400, {"detail": "cannot create host, host creation error value too long"}),
    Answer(400, "<h1>Bad Request (400)</h1>"),
    Answer(*TOO_LARGE),
    Answer(500, "<h1>Server Error (500)</h1>"),
]


@pytest.mark.parametrize("answer", REFUSALS)
@pytest.mark.parametrize(
    "bad",
    [["i-000"], ["i-099"], ["i-041"], ["i-000", "i-001", "i-002"], ["i-007", "i-060"], [f"i-09{n}" for n in range(10)]],
)
def test_a_call_that_is_refused_is_cut_in_half_until_who_is_meant_fails_alone_with_the_servers_words(
    tower: Tower, wire: Wire, answer: Answer, bad: list[str]
) -> None:
    wire.by_request = refusing(*bad, answer=answer)
    made = tower.create_hosts(PROD, MANY)
    assert made.errors.keys() == set(bad)
    assert made.ids.keys() == {host.instance_id for host in MANY} - set(bad)
    words = {400: "400", 413: "413.*smaller", 500: "500"}[answer.status]
    assert all(re.search(words, str(error)) for error in made.errors.values())
    assert len(wire.asked) <= len(bad) * 14 + 1


def test_the_first_refusal_names_its_host_and_inventory(tower: Tower, wire: Wire) -> None:
    wire.by_request = refusing("i-041", answer=REFUSALS[0])
    [error] = tower.create_hosts(PROD, MANY).errors.values()
    assert isinstance(error, TowerRejected)
    for part in ("host 'i-041' of inventory 'prod'", "Cannot parse as JSON"):
        assert part in str(error)


def test_a_server_that_crashes_whatever_it_is_given_is_not_asked_about_each_host(tower: Tower, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(500, "<h1>Server Error (500)</h1>")
    made = tower.create_hosts(PROD, MANY)
    assert made.errors.keys() == {host.instance_id for host in MANY}
    assert {type(error) for error in made.errors.values()} == {TowerUnavailable}
    assert len(wire.asked) == REFUSALS_MAX[500] + 1


def test_a_server_that_refuses_whatever_it_is_given_is_not_asked_about_each_host(tower: Tower, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(400, {"detail": "not today"})
    made = tower.create_hosts(PROD, MANY)
    assert made.errors.keys() == {host.instance_id for host in MANY}
    assert all("not today" in str(error) for error in made.errors.values())
    assert len(wire.asked) == REFUSALS_MAX[400] + 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"detail": "Authentication credentials were not provided."}, TowerDenied),
        (403, {"detail": "You do not have permission to perform this action."}, TowerDenied),
        (405, {"detail": 'Method "POST" not allowed.'}, TowerRejected),
        (400, {"__all__": ["Inventory with id 3 not found or lack permissions to add hosts."]}, TowerDenied),
        (502, "", TowerUnavailable),
        (301, "", TowerRejected),
        (400, {"inventory": ['Invalid pk "3" - object does not exist.']}, TowerRejected),
        (400, {"__all__": ["Hosts can only be created in manual inventories (not smart ones)."]}, TowerRejected),
    ],
)
def test_what_is_about_no_host_in_particular_fails_them_all_at_the_first_call(
    tower: Tower, wire: Wire, status: int, body: object, error: type[Exception]
) -> None:
    wire.by_request = lambda asked: Answer(status, body)
    with pytest.raises(error):
        tower.create_hosts(PROD, MANY)
    assert len(wire.asked) <= 2  # a 401 may be a token that was replaced


def test_trouble_in_a_later_call_leaves_what_was_made_before(tower: Tower, wire: Wire) -> None:
    many = [NewHost(each, {}) for each in LONG_IDS[:250]]
    wire.by_request = lambda asked: created(asked) if len(wire.asked) == 1 else Answer(502)
    made = tower.create_hosts(PROD, many)
    assert made.ids.keys() == set(LONG_IDS[:100])
    assert made.errors.keys() == set(LONG_IDS[100:250])
    assert {type(error) for error in made.errors.values()} == {TowerUnavailable}


def having(*names: str) -> Callable[[Asked], Answer]:
    """A server with bulk calls that has these hosts."""

    def respond(asked: Asked) -> Answer:
        if asked.method == "GET":
            found = set(asked.query["name__in"][0].split(",")) & set(names)
            return Answer(200, page(*(raw_host(number, name) for number, name in enumerate(sorted(found), 7))))
        double = {each["name"] for each in asked.body["hosts"]} & set(names)
        return Answer(400, DUPLICATES[0]) if double else created(asked)

    return respond


def test_of_hosts_that_exist_the_others_are_made_and_they_are_found_in_one_look(tower: Tower, wire: Wire) -> None:
    wire.by_request = having("i-2", "i-4", "i-9")
    made = tower.create_hosts(PROD, NEW)
    assert made.ids.keys() == {"i-0", "i-1", "i-3"}
    assert {name: host.id for name, host in made.existing.items()} == {"i-2": 7, "i-4": 8}
    assert [each.method for each in wire.asked] == ["POST", "GET", "POST"]


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_a_duplicate_in_whatever_words_is_no_error_but_an_answer(tower: Tower, wire: Wire, duplicate: object) -> None:
    there = [raw_host(number, f"i-{number}") for number in range(5)]
    wire.then(400, duplicate).page(*there)
    assert tower.create_hosts(PROD, NEW).existing.keys() == {f"i-{number}" for number in range(5)}
    wire.then(404).then(400, duplicate).page(*there)
    assert tower.create_hosts(PROD, NEW).existing.keys() == {f"i-{number}" for number in range(5)}


def test_one_by_one_those_that_exist_are_looked_up_together(tower: Tower, wire: Wire) -> None:
    wire.then(404).then(201, raw_host(100)).then(400, DUPLICATES[2])
    wire.page(raw_host(7, "i-1"), raw_host(8, "i-3")).then(201, raw_host(102)).then(201, raw_host(104))
    made = tower.create_hosts(PROD, NEW)
    assert made.ids == {"i-0": 100, "i-2": 102, "i-4": 104}
    assert made.existing.keys() == {"i-1", "i-3"}


def test_hosts_that_exist_and_do_not_show_are_left_to_a_later_try(tower: Tower, wire: Wire) -> None:
    wire.by_request = lambda asked: Answer(200, page()) if asked.method == "GET" else Answer(400, DUPLICATES[0])
    with pytest.raises(TowerUnavailable, match="does not show them"):
        tower.create_hosts(PROD, NEW)
    assert len(wire.asked) == 2 * LOOKS


def test_a_host_named_as_a_group_is_refused_and_not_looked_for(tower: Tower, wire: Wire) -> None:
    wire.then(404).then(400, {"__all__": ["A Group with that name already exists."]})
    [error] = tower.create_hosts(PROD, NEW[:1]).errors.values()
    assert "A Group with that name already exists" in str(error)
    assert len(wire.asked) == 2


def test_a_missing_role_in_the_words_of_bulk_create_is_a_denial(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"__all__": ["Inventory with id 3 not found or lack permissions to add hosts."]})
    with pytest.raises(TowerDenied, match="'prod'"):
        tower.create_hosts(PROD, NEW)


ORGANIZATIONS_LIMIT = (
    "You have already reached the maximum number of 2 hosts allowed for your organization. Contact your System "
    "Administrator for assistance."
)
HOST_LIMITS = [
    (ORGANIZATIONS_LIMIT, "raise its Max hosts"),
    ("Host count exceeds available instances.", "extend the licence"),
    ("License count of 10 instances has been reached.", "extend the licence"),
    ("License count of 10 instances has been exceeded.", "extend the licence"),
]


@pytest.mark.parametrize(("words", "remedy"), HOST_LIMITS)
@pytest.mark.parametrize("room", [0, 1, 37, 99, 100, 163])
@pytest.mark.parametrize("in_bulk", [True, False])
def test_of_more_hosts_than_there_is_room_for_the_first_are_made(
    tower: Tower, wire: Wire, words: str, remedy: str, room: int, in_bulk: bool
) -> None:
    names = LONG_IDS[:200]
    there: list[str] = []

    def answer(asked: Asked) -> Answer:
        if "/bulk/" in asked.path and not in_bulk:
            return Answer(404, "<html/>")
        if asked.method == "GET":
            return Answer(200, page())
        wanted = [each["name"] for each in asked.body.get("hosts", [asked.body])]
        if len(there) + len(wanted) > room:
            return Answer(403, {"detail": words})
        there.extend(wanted)
        return created(asked) if in_bulk else Answer(201, raw_host(len(there)))

    wire.by_request = answer
    made = tower.create_hosts(replace(PROD, organization="Fleet"), [NewHost(name, {}) for name in names])
    assert list(made.ids) == there == names[:room]
    assert made.errors.keys() == set(names[room:])
    assert {type(error) for error in made.errors.values()} == {HostLimitReached}
    for part in (words, remedy, "inventory 'prod' of organization 'Fleet'"):
        assert part in str(made.errors[names[-1]])
    asked = [each for each in wire.asked if each.method == "POST"]
    assert len(asked) <= (20 if in_bulk else room + 2)
    assert len(wire.asked) - len(asked) <= -(-len(names) // NAMES_PER_QUERY)


@pytest.mark.parametrize("in_bulk", [True, False])
@pytest.mark.parametrize("first", ["i-0", "i-1", "i-3"])
def test_where_there_is_no_room_those_that_exist_need_none(tower: Tower, wire: Wire, in_bulk: bool, first: str) -> None:
    there = [raw_host(7, "i-1"), raw_host(8, "i-3")]

    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, page(*there))
        if "/bulk/" in asked.path and not in_bulk:
            return Answer(404, "<html/>")
        return Answer(403, {"detail": ORGANIZATIONS_LIMIT})  # before anything else is looked at

    wire.by_request = answer
    hosts = sorted(NEW, key=lambda host: host.instance_id != first)
    made = tower.create_hosts(PROD, hosts)
    assert made.ids == {}
    assert {name: host.id for name, host in made.existing.items()} == {"i-1": 7, "i-3": 8}
    assert made.errors.keys() == {"i-0", "i-2", "i-4"}
    assert {type(error) for error in made.errors.values()} == {HostLimitReached}


@pytest.mark.parametrize(("words", "remedy"), HOST_LIMITS[:2])
def test_a_launch_that_a_host_limit_stops_has_that_error(tower: Tower, wire: Wire, words: str, remedy: str) -> None:
    wire.then(403, {"detail": words})
    with pytest.raises(HostLimitReached, match=remedy):
        tower.launch(TEMPLATE, PROD, ["i-a"])


# Changing hosts


def test_of_a_host_only_what_is_given_is_changed(tower: Tower, wire: Wire) -> None:
    for _ in range(3):
        wire.then(200, raw_host())
    tower.update_host(1, "i-a", {"x": 1})
    tower.update_host(1, "i-a", {}, enabled=False)
    tower.update_host(1, "i-a", {}, enabled=True, description="")
    assert [each.body for each in wire.asked] == [
        {"variables": '{"x": 1}', "instance_id": "i-a"},
        {"variables": "{}", "instance_id": "i-a", "enabled": False},
        {"variables": "{}", "instance_id": "i-a", "enabled": True, "description": ""},
    ]


def test_variables_that_are_too_large_for_a_proxy_have_an_error_with_the_remedy(tower: Tower, wire: Wire) -> None:
    wire.then(*TOO_LARGE)
    with pytest.raises(TowerRejected, match=r"hosts/1/.*413.*client_max_body_size"):
        tower.update_host(1, "i-a", {"x": "y" * 100})


# Deleting hosts


def test_hosts_are_deleted_in_one_call(tower: Tower, wire: Wire) -> None:
    wire.then(201, {"hosts": {}})
    tower.delete_hosts([host(1), host(2)])
    assert wire.calls == ["POST /api/v2/bulk/host_delete/"]
    assert wire.asked[0].body == {"hosts": [1, 2]}


GONE = "Hosts do not exist or you lack permission to delete it"


def without_bulk(answer: Answer, *bad: int) -> Callable[[Asked], Answer]:
    """A server without bulk calls that answers so about these hosts, and deletes the others."""

    def respond(asked: Asked) -> Answer:
        if "/bulk/" in asked.path:
            return Answer(404, "<html/>")
        return answer if asked.body["id"] in bad else Answer(204, "")

    return respond


def keeping(answer: Answer, *bad: int) -> tuple[Callable[[Asked], Answer], list[int]]:
    """A server with bulk calls that answers so about calls with these hosts; and the ids that it deletes."""
    deleted: list[int] = []

    def respond(asked: Asked) -> Answer:
        ids = asked.body["hosts"]
        if set(ids) & set(bad):
            return answer
        deleted.extend(ids)
        return Answer(201, {"hosts": {}})

    return respond, deleted


def test_a_host_that_is_gone_already_keeps_no_other(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"hosts": {"2": GONE}}).page(raw_host(1), raw_host(3)).then(201, {"hosts": {}})
    assert tower.delete_hosts([host(1), host(2), host(3)]) == {}
    assert wire.asked[1].query["id__in"] == ["1,2,3"]
    assert wire.asked[2].body == {"hosts": [1, 3]}


def test_hosts_that_are_all_gone_are_deleted_already(tower: Tower, wire: Wire) -> None:
    wire.then(400, {"hosts": {"1": GONE}}).page()
    assert tower.delete_hosts([host(1), host(1)]) == {}
    assert len(wire.asked) == 2


def test_a_host_that_is_there_although_tower_says_that_it_is_gone_is_kept(tower: Tower, wire: Wire) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, page(*(raw_host(int(each)) for each in asked.query["id__in"][0].split(","))))
        return Answer(400, {"hosts": {"2": GONE}}) if 2 in asked.body["hosts"] else Answer(201, {"hosts": {}})

    wire.by_request = answer
    kept = tower.delete_hosts([host(number) for number in range(5)])
    assert kept.keys() == {2}
    assert "lack permission" in str(kept[2])


def test_a_refusal_names_its_inventories(tower: Tower, wire: Wire) -> None:
    wire.then(403, {"inventories": {"prod": "Lack permissions to delete hosts from this inventory."}})
    kept = tower.delete_hosts([host(1), host(2)])
    assert kept.keys() == {1, 2}
    assert isinstance(kept[1], DeleteRefused)
    assert "Lack permissions" in str(kept[1])
    assert kept[1].inventories == {"prod"}


def test_a_refusal_for_one_inventory_keeps_no_host_of_another_of_the_same_name(tower: Tower, wire: Wire) -> None:
    other = Inventory(9, "prod")
    wire.by_request, deleted = keeping(Answer(403, {"inventories": {"prod": "Lack permissions"}}), 1, 3)
    kept = tower.delete_hosts([host(1), host(2, other), host(3), host(4, other)])
    assert (sorted(kept), sorted(deleted)) == ([1, 3], [2, 4])


def test_a_mirroring_inventory_is_asked_by_itself_and_keeps_no_host_of_another(tower: Tower, wire: Wire) -> None:
    words = {"inventories": {"all": "Hosts can only be deleted from manual inventories."}}
    wire.by_request, deleted = keeping(Answer(400, words), *range(100))
    kept = tower.delete_hosts([host(number, Inventory(9, "all") if number < 100 else PROD) for number in range(200)])
    assert (sorted(kept), sorted(deleted)) == (list(range(100)), list(range(100, 200)))
    assert {type(error) for error in kept.values()} == {DeleteRejected}
    assert len(wire.asked) == 3


def test_a_token_that_may_only_read_deletes_none(tower: Tower, wire: Wire) -> None:
    wire.then(403, DENIED)
    kept = tower.delete_hosts([host(1)])
    assert isinstance(kept[1], DeleteRefused)
    assert kept[1].inventories == {"prod"}


def test_events_that_are_still_processed_are_no_missing_role(tower: Tower, wire: Wire) -> None:
    wire.then(403, {"detail": "Related job job 37 (successful) is still processing events."})
    with pytest.raises(TowerUnavailable):
        tower.delete_hosts([host(1)])


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, {"detail": "cannot delete hosts, host deletion error"}),
        Answer(*TOO_LARGE),
        Answer(500, "<h1>Server Error (500)</h1>"),
    ],
)
@pytest.mark.parametrize("bad", [[0], [249], [17, 180]])
def test_a_host_that_tower_does_not_delete_is_kept_alone_with_the_servers_words(
    tower: Tower, wire: Wire, answer: Answer, bad: list[int]
) -> None:
    wire.by_request, deleted = keeping(answer, *bad)
    kept = tower.delete_hosts([host(number) for number in range(250)])
    assert (sorted(kept), sorted(deleted)) == (bad, [number for number in range(250) if number not in bad])
    for number, error in kept.items():
        assert isinstance(error, DeleteRejected)
        assert re.search(f"host 'i-{number}' of inventory 'prod' is not deleted: .*{answer.status}", str(error))
        assert error.inventories == {"prod"}
    assert len(wire.asked) <= 16 * len(bad) + 1


@pytest.mark.parametrize("number", [1, 100])
def test_a_tower_that_crashes_at_every_deletion_is_unavailable(tower: Tower, wire: Wire, number: int) -> None:
    wire.by_request = lambda asked: Answer(500, "<h1>Server Error (500)</h1>")
    with pytest.raises(TowerUnavailable):
        tower.delete_hosts([host(each) for each in range(number)])
    assert len(wire.asked) <= REFUSALS_MAX[500] + 1


def test_a_server_without_bulk_calls_loses_hosts_the_way_that_jobs_do_not_stop(tower: Tower, wire: Wire) -> None:
    wire.then(404, "<html/>").then(204, "").then(204, "")
    assert tower.delete_hosts([host(1), host(2, Inventory(9, "other"))]) == {}
    assert wire.calls[1:] == ["POST /api/v2/inventories/3/hosts/", "POST /api/v2/inventories/9/hosts/"]
    assert wire.asked[1].body == {"id": 1, "disassociate": True}


def test_without_bulk_calls_a_refusal_names_its_inventory_and_keeps_no_other_host(tower: Tower, wire: Wire) -> None:
    wire.by_request = without_bulk(Answer(403, {"detail": "no"}), 1)
    kept = tower.delete_hosts([host(1), host(2), host(3)])
    assert kept.keys() == {1}
    assert isinstance(kept[1], DeleteRefused)
    assert kept[1].inventories == {"prod"}
    assert [each.body["id"] for each in wire.asked[1:]] == [1, 2, 3]


@pytest.mark.parametrize(
    "answer", [Answer(404, {"detail": "Not found."}), Answer(400, {"detail": "Host matching query does not exist."})]
)
def test_without_bulk_calls_a_host_that_is_gone_is_deleted_already(tower: Tower, wire: Wire, answer: Answer) -> None:
    wire.by_request = without_bulk(answer, 1)
    assert tower.delete_hosts([host(1), host(2)]) == {}


def test_without_bulk_calls_a_host_that_tower_does_not_delete_is_kept_alone(tower: Tower, wire: Wire) -> None:
    wire.by_request = without_bulk(Answer(400, {"detail": "not this one"}), 1)
    kept = tower.delete_hosts([host(1), host(2)])
    assert kept.keys() == {1}
    assert isinstance(kept[1], DeleteRejected)
    assert "not this one" in str(kept[1])


def test_a_server_that_deletes_fewer_at_once_gets_fewer(tower: Tower, wire: Wire) -> None:
    deleted: list[int] = []

    def at_most_two(asked: Asked) -> Answer:
        if len(asked.body["hosts"]) > 2:
            words = ["Number of hosts exceeds system setting BULK_HOST_MAX_DELETE"]
            return Answer(400, {"ERROR": words, "BULK_HOST_MAX_DELETE": ["2"], "Hosts_count": ["5"]})
        deleted.extend(asked.body["hosts"])
        return Answer(201, {"hosts": {}})

    wire.by_request = at_most_two
    assert tower.delete_hosts([host(number) for number in range(5)]) == {}
    assert sorted(deleted) == [0, 1, 2, 3, 4]


# Groups


def test_groups_that_are_missing_are_made(tower: Tower, wire: Wire) -> None:
    wire.page({"id": 5, "name": "a"}).then(201, {"id": 6, "name": "b, c"})
    assert tower.group_ids(PROD, ["a", "b, c"]) == {"a": 5, "b, c": 6}
    assert wire.asked[1].body == {"name": "b, c", "inventory": 3}


def test_a_group_that_is_called_as_a_host_is_needs_another_name(tower: Tower, wire: Wire) -> None:
    wire.page().then(400, {"__all__": ["A Host with that name already exists."]})
    with pytest.raises(BadSettings, match=r"inventory 'prod' has a host 'db1'.*rollcall:groups"):
        tower.group_ids(PROD, ["db1"])


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
        lambda tower: tower.jobs_of_group_before(deciding_job("failed"), "web", 10),
        lambda tower: tower.has_reached(KIND, 0, 9),
        lambda tower: tower.jobs_unreached(KIND, 0, 3),
        lambda tower: tower.usual_durations(KIND),
        lambda tower: tower.good_jobs(deciding_job("failed"), 3),
        lambda tower: tower.last_good_job(deciding_job("failed")),
        lambda tower: tower.active_after(deciding_job("failed"), 3),
    ],
)
def test_jobs_in_check_mode_under_tags_or_on_another_inventory_are_not_asked_for(
    tower: Tower, wire: Wire, ask: Callable[[Tower], object]
) -> None:
    wire.page().page()
    ask(tower)
    assert all(of_kind(asked) == OF_KIND for asked in wire.asked)


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


def test_a_job_knows_its_kind_what_it_ran_and_whose_it_is(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(7, "i-a"), raw_job(8, "i-a", summary_fields={}, inventory=None))
    first, second = tower.jobs({7, 8}).values()
    assert (first.kind, first.playbook, first.scm_revision) == (TEMPLATE.on(PROD), "site.yml", "c0ffee")
    assert (first.launched_by, second.inventory_id) == ("fleet", None)


@pytest.mark.parametrize("part", [{"job_tags": "base"}, {"skip_tags": "slow"}, {"job_type": "check"}, {}])
def test_a_job_under_tags_or_in_check_mode_is_no_whole_run(tower: Tower, wire: Wire, part: dict[str, str]) -> None:
    wire.page(raw_job(7, "i-a", **part))
    assert [job.is_whole for job in tower.jobs({7}).values()] == [not part]


def test_the_jobs_before_one_of_a_group_are_asked_for_by_its_marker_and_by_hosts_that_are_gone(
    tower: Tower, wire: Wire
) -> None:
    wire.page(raw_job(6, status="failed"), raw_job(4)).page(raw_job(5, status="failed"), raw_job(4))
    assert [job.id for job in tower.jobs_of_group_before(deciding_job("failed"), 'a "b"', 10)] == [6, 5, 4]
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
    assert [job.id for job in tower.good_jobs(deciding_job("failed"), 3)] == [6]
    assert getattr(tower.last_good_job(deciding_job("failed")), "id", None) == 5
    assert tower.last_good_job(deciding_job("failed")) is None
    same, last = wire.asked[0].query, wire.asked[1].query
    assert {each["status"][0] for each in (same, last)} == {"successful"}
    assert (same["playbook"], same["scm_revision"], last["playbook"]) == (["site.yml"], ["c0ffee"], ["site.yml"])
    assert "scm_revision" not in last


def test_active_jobs_after_one_are_those_that_have_not_ended(tower: Tower, wire: Wire) -> None:
    wire.page(raw_job(9))
    assert [job.id for job in tower.active_after(deciding_job("failed"), 1)] == [9]
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


def test_a_query_for_the_jobs_of_a_whole_batch_fits_into_one_url(tower: Tower, wire: Wire) -> None:
    batch = [f"i-{number:017x}" for number in range(100)]
    wire.page(raw_job(7, ",".join(batch)))
    assert [job.hosts for job in tower.jobs_holding(KIND, batch, 0)] == [frozenset(batch)]
    [asked] = wire.asked
    assert len(asked.url) < 4000


def test_the_members_of_a_group_are_looked_up_for_a_whole_batch(tower: Tower, wire: Wire) -> None:
    wire.page({"name": "i-b"})
    assert tower.group_members(4, ["i-a", "i-b"]) == {"i-b"}
    [asked] = wire.asked
    assert (asked.path, asked.query["name__in"]) == ("/api/v2/groups/4/hosts/", ["i-a,i-b"])


# What a job showed


def deciding_job(status: str, **changes: Any) -> Job:
    known = Job(
        7, 10, JobStatus(status), frozenset({"i-a"}), 0.0, 0.0, 1.0, "", 3, True, True, "site.yml", "c0ffee", "fleet"
    )
    return replace(known, **changes)


def summary(name: str, **changes: Any) -> dict[str, Any]:
    return {"host_name": name, "host": None, "failed": False, "dark": 0, "failures": 0, "ok": 1, "ignored": 0} | changes


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


@pytest.mark.parametrize(
    ("status", "organization", "limit"),
    [
        (200, {"max_hosts": 10, "summary_fields": {"related_field_counts": {"hosts": 9}}}, 10),
        (200, {"max_hosts": 0, "summary_fields": {"related_field_counts": {"hosts": 9}}}, None),
        (200, {"max_hosts": 10, "summary_fields": {"related_field_counts": {"inventories": 2}}}, None),
        (200, {"max_hosts": 10, "summary_fields": {}}, None),
        (200, {"summary_fields": {"related_field_counts": {"hosts": 9}}}, None),
        (403, {"detail": "You do not have permission to perform this action."}, None),
        (404, {"detail": "Not found."}, None),
    ],
)
def test_an_organizations_host_limit_is_known_to_who_may_read_it(
    tower: Tower, wire: Wire, status: int, organization: Any, limit: int | None
) -> None:
    wire.then(200, {"id": PROD.id, "organization": 3}).then(status, {"name": "Default"} | organization)
    expected = limit and HostLimit("organization 'Default'", 9, limit)
    assert tower.organization_limit(PROD) == expected
    assert wire.asked[1].path.endswith("organizations/3/")


@pytest.mark.parametrize(
    ("licence", "limit"),
    [
        ({"license_type": "open", "valid_key": True}, None),
        ({}, None),
        ({"license_type": "enterprise", "instance_count": 100, "current_instances": 98}, 100),
        ({"license_type": "enterprise", "instance_count": 0, "current_instances": 98}, None),
    ],
)
def test_a_licence_that_counts_hosts_is_a_host_limit(tower: Tower, wire: Wire, licence: Any, limit: int | None) -> None:
    wire.then(200, {"license_info": licence})
    assert tower.licence_limit() == (limit and HostLimit("the licence", 98, limit))


@pytest.mark.parametrize("capabilities", [{}, {"edit": False}, {"delete": True}])
def test_who_may_not_edit_an_inventory_may_not_change_it(
    tower: Tower, wire: Wire, capabilities: dict[str, bool]
) -> None:
    wire.then(200, capable(**capabilities)).then(200, {"summary_fields": {}}).then(200, capable(edit=True))
    assert [tower.may_change(PROD) for _ in range(3)] == [False, False, True]


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


@pytest.mark.parametrize(
    ("status", "body", "timeout"),
    [
        (200, {"DEFAULT_JOB_TIMEOUT": 3600}, 3600),
        (200, {"DEFAULT_JOB_TIMEOUT": 0}, 0),
        (200, {}, 0),
        (403, {"detail": "You do not have permission to perform this action."}, None),
        (404, {"detail": "Not found."}, None),
    ],
)
def test_the_default_timeout_of_jobs_is_known_to_who_may_read_settings(
    tower: Tower, wire: Wire, status: int, body: Any, timeout: int | None
) -> None:
    wire.then(status, body)
    assert tower.default_job_timeout() == timeout
