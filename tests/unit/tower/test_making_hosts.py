"""Hosts made in bulk, and what becomes of those that Tower refuses. Against scripted answers in AWX's words."""

from __future__ import annotations

import re
from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import HostLimitReached, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.tower.bulk_hosts import LISTINGS_MAX, REFUSALS_MAX, NewHost
from rollcall.tower.client import Tower
from rollcall.tower.queries import NAMES_PER_QUERY
from unit.wire import Answer, Asked, Wire, page

from .rows import DUPLICATES, LONG_IDS, PROD, TEMPLATE, TOO_LARGE, raw_host

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_problem_in_a_later_call_leaves_what_was_made_before(tower: Tower, wire: Wire) -> None:
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


def test_of_hosts_that_exist_the_others_are_made_and_they_are_found_in_one_query(tower: Tower, wire: Wire) -> None:
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
    with pytest.raises(TowerUnavailable, match="does not list them"):
        tower.create_hosts(PROD, NEW)
    assert len(wire.asked) == 2 * LISTINGS_MAX


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
