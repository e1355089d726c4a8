"""Hosts found and changed. Against scripted answers in AWX's words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import TowerRejected
from rollcall.tower.client import Tower
from unit.wire import Answer, Wire, page

from .rows import KIND, LONG_IDS, PROD, TOO_LARGE, raw_host

if TYPE_CHECKING:
    from collections.abc import Callable


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
