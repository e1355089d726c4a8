"""What Rollcall relies on in a Tower, through the client that relies on it.

The tests know nothing of the server but its API; whatever they need is made over HTTP (see conftest.py, which also
says how to run them against a real server).
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from urllib3.util.connection import create_connection

from rollcall.errors import BadSettings, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.model import Host, Inventory, Job, JobStatus, JobTemplate, LaunchTerms, Outcome
from rollcall.tower import HostsExist, HostsVanished, NewHost, Tower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from contract.conftest import Operator, Server

type Json = dict[str, Any]

NO_SUCH_ID = 999_999_999
CLOCK_TOLERANCE = 5.0  # seconds; Date has whole ones, and a request takes its time
UNFINISHED = ("new", "pending", "waiting", "running")

# Variables of hosts that a play reaches, fails on, and cannot reach.
REACHED: Json = {"ansible_connection": "local"}
FAILING: Json = {"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent/python"}
DARK: Json = {"ansible_host": "127.0.0.2", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=2"}


def instance_id() -> str:
    """An id that no instance has."""
    return f"i-{uuid4().hex[:17]}"


def new_hosts(number: int, variables: Json = REACHED) -> list[NewHost]:
    return [NewHost(instance_id(), {"rollcall": {"group": "web"}} | variables) for _ in range(number)]


def ids_of(hosts: Sequence[NewHost]) -> list[str]:
    return [host.instance_id for host in hosts]


# Inventories and templates


def test_an_inventory_is_found_by_name_by_organization_and_name_and_by_id(
    tower: Tower, inventory: Inventory, organization: Json
) -> None:
    assert tower.inventory(inventory.name) == inventory
    assert tower.inventory(f"{organization['name']}/{inventory.name}") == inventory
    assert tower.inventory(str(inventory.id)) == inventory


def test_an_inventory_whose_own_name_holds_a_slash_is_found(
    tower: Tower, operator: Operator, organization: Json
) -> None:
    made = operator.make("inventories", name=f"{operator.new_name()}/eu-west-1", organization=organization["id"])
    assert tower.inventory(made["name"]).id == made["id"]
    assert tower.inventory(f"{organization['name']}/{made['name']}").id == made["id"]


def test_two_inventories_of_one_name_are_an_error_that_names_both(
    tower: Tower, operator: Operator, organization: Json
) -> None:
    name = operator.new_name()
    other = operator.make("organizations")
    made = [operator.make("inventories", name=name, organization=each["id"]) for each in (organization, other)]
    with pytest.raises(BadSettings, match="ambiguous") as caught:
        tower.inventory(name)
    for owner, each in zip((organization, other), made, strict=True):
        assert f"{owner['name']}/{name} (id {each['id']})" in str(caught.value)
        assert tower.inventory(f"{owner['name']}/{name}").id == each["id"]


@pytest.mark.parametrize("reference", ["no such thing", "no such organization/no such thing", str(NO_SUCH_ID)])
def test_an_inventory_or_template_that_is_not_there_is_named(tower: Tower, reference: str) -> None:
    with pytest.raises(BadSettings, match=f"no inventory .*{reference}"):
        tower.inventory(reference)
    with pytest.raises(BadSettings, match=f"no job template .*{reference}"):
        tower.job_template(reference)


def test_a_smart_inventory_is_refused_for_it_cannot_hold_hosts(
    tower: Tower, operator: Operator, organization: Json
) -> None:
    made = operator.make("inventories", organization=organization["id"], kind="smart", host_filter="name=none")
    with pytest.raises(BadSettings, match="smart"):
        tower.inventory(made["name"])


def test_a_template_is_found_by_name_by_organization_and_name_and_by_id(
    tower: Tower, operator: Operator, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template()
    organization = operator.read(f"job_templates/{template.id}/")["summary_fields"]["organization"]["name"]
    assert tower.job_template(template.name) == template
    assert tower.job_template(f"{organization}/{template.name}") == template
    assert tower.job_template(str(template.id)) == template


def test_a_template_says_whether_a_launch_can_be_limited(
    tower: Tower, make_template: Callable[..., JobTemplate], inventory: Inventory
) -> None:
    asking = tower.job_template(make_template().name)
    assert (asking.asks_limit, asking.asks_inventory, asking.inventory_id, asking.slices) == (True, True, None, 1)
    made = make_template(
        inventory=inventory.id, ask_limit_on_launch=False, ask_inventory_on_launch=False, job_slice_count=3
    )
    fixed = tower.job_template(made.name)
    assert (fixed.asks_limit, fixed.asks_inventory, fixed.inventory_id, fixed.slices) == (False, False, inventory.id, 3)


# What the server is, and what the token may do there


def test_the_server_tells_its_version_and_whose_the_token_is(tower: Tower, operator: Operator) -> None:
    assert tower.version() == operator.read("ping/")["version"]
    assert (tower.user().name, tower.user().writes) == (operator.read("me/")["results"][0]["username"], True)


def test_a_server_with_bulk_calls_is_told_from_one_without(tower: Tower, operator: Operator) -> None:
    assert tower.has_bulk_calls() == operator.has_bulk_calls()


def test_the_limits_of_bulk_calls_are_told_to_who_may_read_settings(tower: Tower, operator: Operator) -> None:
    answer = operator.ask("GET", "settings/bulk/")
    limits = tower.bulk_limits()
    if answer.status_code != 200:
        assert limits is None
    else:
        assert limits
        settings = answer.json()
        assert (limits.create, limits.delete) == (settings["BULK_HOST_MAX_CREATE"], settings["BULK_HOST_MAX_DELETE"])


def test_who_made_an_inventory_and_a_template_may_change_the_one_and_launch_the_other(
    tower: Tower, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    assert tower.may_change(inventory)
    for simultaneous in (True, False):
        terms = tower.launch_terms(make_template(allow_simultaneous=simultaneous))
        assert terms == LaunchTerms(startable=True, simultaneous=simultaneous)


def test_a_required_question_is_what_a_launch_needs(
    tower: Tower, operator: Operator, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template()
    question = {"question_name": "?", "variable": "colour", "type": "text", "required": True, "default": ""}
    survey = {"name": "", "description": "", "spec": [question | {"min": 0, "max": 10}]}
    assert operator.ask("POST", f"job_templates/{template.id}/survey_spec/", survey).ok
    assert tower.launch_terms(template).needed == ()
    assert operator.ask("PATCH", f"job_templates/{template.id}/", {"survey_enabled": True}).ok
    assert tower.launch_terms(template).needed == ("an answer to the survey's question 'colour'",)


def test_a_token_that_may_only_read_shows_that_it_may_change_nothing(
    read_only: Tower, inventory: Inventory, template: JobTemplate
) -> None:
    assert not read_only.user().writes
    assert not read_only.may_change(inventory)
    assert not read_only.launch_terms(template).startable


# Hosts


@pytest.mark.parametrize("number", [1, 100, 150])
def test_hosts_are_created_and_found_as_they_were_given(tower: Tower, inventory: Inventory, number: int) -> None:
    before = tower.now()
    wanted = new_hosts(number, {"ansible_host": "192.0.2.1", "note": "é {} \"quoted\" \\ 'so'"})
    created = tower.create_hosts(inventory, wanted)
    found = tower.hosts_named(inventory, ids_of(wanted))
    assert {host.name: host.id for host in found} == created
    assert created.keys() == set(ids_of(wanted))
    for host in found:
        assert host.instance_id == host.name
        assert (host.inventory_id, host.inventory_name) == (inventory.id, inventory.name)
        assert host.variables == wanted[0].variables
        assert host.owner == {"group": "web"}
        assert host.group_ids == frozenset()
        assert before - CLOCK_TOLERANCE < host.created_at < tower.now() + CLOCK_TOLERANCE


def test_of_hosts_that_exist_a_second_look_tells_and_the_others_can_be_created(
    tower: Tower, inventory: Inventory
) -> None:
    wanted = new_hosts(150)
    early = [wanted[3], wanted[140]]
    first = tower.create_hosts(inventory, early)
    with pytest.raises(HostsExist):
        tower.create_hosts(inventory, wanted)
    there = {host.name: host.id for host in tower.hosts_named(inventory, ids_of(wanted))}
    assert first.items() <= there.items()
    missing = [host for host in wanted if host.instance_id not in there]
    created = tower.create_hosts(inventory, missing)
    assert {host.name: host.id for host in tower.hosts_named(inventory, ids_of(wanted))} == there | created


def test_where_one_host_exists_what_was_created_before_that_showed_is_told(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    wanted = new_hosts(10)
    tower.create_hosts(inventory, wanted[4:5])
    with pytest.raises(HostsExist) as some:
        tower.create_hosts(inventory, wanted)
    created = set(ids_of(wanted[:4])) if not operator.has_bulk_calls() else set()  # a bulk call makes all or none
    assert some.value.created.keys() == created
    assert operator.host_names(inventory) == created | {wanted[4].instance_id}


def test_who_loses_a_race_to_create_hosts_finds_them_at_a_second_look(
    server: Server, operator: Operator, inventory: Inventory
) -> None:
    wanted = new_hosts(20)
    racers = 4
    start = Barrier(racers)

    def race(_: int) -> dict[str, int]:
        tower = server.client()
        tower.inventory(inventory.name)
        start.wait()
        while True:
            there = {host.name: host.id for host in tower.hosts_named(inventory, ids_of(wanted))}
            missing = [host for host in wanted if host.instance_id not in there]
            if not missing:
                return there
            try:
                tower.create_hosts(inventory, missing)
            except HostsExist:
                continue

    with ThreadPoolExecutor(racers) as pool:
        results = list(pool.map(race, range(racers)))
    assert all(result == results[0] for result in results)
    assert operator.host_names(inventory) == set(ids_of(wanted))


def test_hosts_named_looks_into_one_inventory_only(tower: Tower, inventory: Inventory, elsewhere: Inventory) -> None:
    hosts = new_hosts(2)
    here, there = tower.create_hosts(inventory, hosts), tower.create_hosts(elsewhere, hosts)
    assert {host.id for host in tower.hosts_named(inventory, ids_of(hosts))} == set(here.values())
    assert {host.id for host in tower.hosts_named(elsewhere, ids_of(hosts))} == set(there.values())
    assert tower.hosts_named(inventory, []) == []
    assert tower.hosts_named(inventory, [instance_id()]) == []


def test_hosts_of_finds_an_instance_in_every_inventory_by_name_and_by_instance_id(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    wanted, other = instance_id(), instance_id()
    expected = {
        tower.create_hosts(inventory, [NewHost(wanted, REACHED)])[wanted],
        operator.make_host(inventory, f"db of {wanted}", instance_id=wanted),
        operator.make_host(elsewhere, wanted),
        operator.make_host(elsewhere, "db", instance_id=wanted),
    }
    operator.make_host(elsewhere, "note", variables=json.dumps({"instance": wanted}))
    tower.create_hosts(inventory, [NewHost(f"{wanted}0", REACHED), NewHost(wanted[:-1], REACHED)])
    tower.create_hosts(elsewhere, [NewHost(other, REACHED)])
    found = tower.hosts_of([wanted])
    assert {host.id for host in found} == expected
    assert {host.inventory_name for host in found} == {inventory.name, elsewhere.name}
    assert len(found) == len(expected), "a host that matches by name and by instance id is found once"


def test_hosts_of_asks_for_hundreds_of_instances_and_reads_every_page_of_the_answer(
    tower: Tower, operator: Operator, organization: Json
) -> None:
    hosts = new_hosts(100)
    made = [operator.make("inventories", organization=organization["id"]) for _ in range(3)]
    created = [tower.create_hosts(Inventory(raw["id"], raw["name"]), hosts) for raw in made]
    asked = [*ids_of(hosts), *(instance_id() for _ in range(150))]
    expected = sorted(host_id for each in created for host_id in each.values())
    assert sorted(host.id for host in tower.hosts_of(asked)) == expected


def test_hosts_at_finds_who_has_an_address_in_one_inventory_and_nobody_who_only_mentions_it(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    def make(where: Inventory, variables: str) -> int:
        return operator.make_host(where, instance_id(), variables)

    named = "ip-10-0-0-7.ec2.internal"
    expected = {
        tower.create_hosts(inventory, [replace(each, variables={"ansible_host": "10.0.0.7"})])[each.instance_id]
        for each in new_hosts(2)
    } | {
        make(inventory, f'{{"note": {{"ansible_host": "10.0.0.8"}}, "ansible_host":\n"{named}"}}'),
        make(inventory, "---\nrole: db\nansible_host: 10.0.0.7  # for now\n"),
        make(inventory, "{'ansible_host': '10.0.0.7'}"),
        make(inventory, f"ansible_host: {named}"),
    }
    for text in (
        '{"ansible_host": "10.0.0.70"}',
        '{"ansible_host": "110.0.0.7"}',
        '{"ansible_host": "10a0b0c7"}',
        '{"ansible_host": "192.0.2.1", "ec2": {"private_ip": "10.0.0.7"}, "old": {"ansible_host": "10.0.0.7"}}',
        "ansible_host: 10.0.0.71\nnote: 10.0.0.7\n",
        "",
    ):
        make(inventory, text)
    make(elsewhere, '{"ansible_host": "10.0.0.7"}')
    found = tower.hosts_at(inventory, ["10.0.0.7", "10.0.0.9", named])
    assert {host.id for host in found} == expected
    assert len(found) == len(expected)
    assert {host.inventory_name for host in found} == {inventory.name}


def test_hosts_at_asks_for_hundreds_of_addresses_and_reads_every_page_of_the_answer(
    tower: Tower, inventory: Inventory
) -> None:
    addresses = [f"192.168.{number // 250 + 100}.{number % 250 + 1}" for number in range(500)]
    wanted = [NewHost(instance_id(), {"ansible_host": each}) for each in addresses[:300]]
    created = tower.create_hosts(inventory, wanted)
    assert {host.name: host.id for host in tower.hosts_at(inventory, addresses)} == created
    assert len(tower.hosts_at(inventory, addresses[:100])) == 100
    assert tower.hosts_at(inventory, addresses[300:]) == []


def test_hosts_at_no_address_are_not_asked_for(server: Server, inventory: Inventory) -> None:
    assert server.client("no-such-token").hosts_at(inventory, []) == []


def test_variables_that_a_person_wrote_as_yaml_are_read(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    name = instance_id()
    text = "---\nrole: db  # the first one\nports: [1, 2]\nrollcall:\n  group: web\nnested: {a: {b: null}}\non: 'yes'\n"
    operator.make_host(inventory, name, variables=text)
    (host,) = tower.hosts_named(inventory, [name])
    assert host.owner == {"group": "web"}
    assert host.variables["role"] == "db"
    assert host.variables["ports"] == [1, 2]
    assert host.variables["nested"] == {"a": {"b": None}}


@pytest.mark.parametrize("text", ["", "{}", "---", "---\n# nothing yet\n"])
def test_a_host_without_variables_has_none(tower: Tower, operator: Operator, inventory: Inventory, text: str) -> None:
    name = instance_id()
    operator.make_host(inventory, name, variables=text)
    (host,) = tower.hosts_named(inventory, [name])
    assert host.variables == {}
    assert host.owner is None


def test_what_other_people_wrote_into_a_host_outlives_an_update_as_it_was(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    name = instance_id()
    theirs = {
        "greeting": "{{ lookup('env', 'HOME') }}",
        "motto": "Grüße, 世界 — {# not a comment #}",
        "octal": "0644",
        "yes": "no",
        "big": 12345678901234567890,
        "nothing": None,
        "deep": {"list": [1, 2.5, "3", {"x": True}], "empty": {}},
    }
    host_id = operator.make_host(inventory, name, variables=json.dumps(theirs))
    (host,) = tower.hosts_named(inventory, [name])
    assert host.variables == theirs
    tower.update_host(host.id, name, {**host.variables, "ansible_host": "192.0.2.7"})
    raw = operator.read(f"hosts/{host_id}/")
    assert json.loads(raw["variables"]) == theirs | {"ansible_host": "192.0.2.7"}
    assert (raw["name"], raw["instance_id"]) == (name, name)


def test_updating_a_host_that_is_not_there_is_an_error(tower: Tower) -> None:
    with pytest.raises(TowerRejected, match="404"):
        tower.update_host(NO_SUCH_ID, instance_id(), {})


def test_hosts_of_several_inventories_are_deleted_together(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    hosts = new_hosts(3)
    tower.create_hosts(inventory, hosts)
    tower.create_hosts(elsewhere, hosts)
    tower.delete_hosts(tower.hosts_of(ids_of(hosts[:2])))
    assert operator.host_names(inventory) == operator.host_names(elsewhere) == {hosts[2].instance_id}


def test_one_host_that_is_gone_already_is_told_and_the_rest_can_be_deleted_at_the_next_look(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    wanted = ids_of(new_hosts(3))
    tower.create_hosts(inventory, [NewHost(each, REACHED) for each in wanted])
    found = sorted(tower.hosts_named(inventory, wanted), key=lambda host: host.id)
    assert operator.ask("DELETE", f"hosts/{found[1].id}/").status_code == 204
    with pytest.raises(HostsVanished):
        tower.delete_hosts(found)
    left = tower.hosts_named(inventory, wanted)
    if operator.has_bulk_calls():
        assert {host.id for host in left} == {found[0].id, found[2].id}, "a bulk call deletes all or none"
    tower.delete_hosts(left)
    assert operator.host_names(inventory) == set()


def test_a_host_is_deleted_while_jobs_are_active_on_its_inventory(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    hosts = new_hosts(3)
    tower.create_hosts(inventory, hosts)
    staying, leaving, leaving_in_the_job = tower.hosts_named(inventory, ids_of(hosts))
    job = tower.launch(template, inventory, [staying.name, leaving_in_the_job.name])
    assert operator.ask("DELETE", f"hosts/{leaving.id}/").status_code == 409, "the plain call is refused"
    tower.delete_hosts([leaving, leaving_in_the_job])
    assert operator.read(f"jobs/{job}/")["status"] in UNFINISHED
    assert operator.host_names(inventory) == {staying.name}


# Groups


def test_groups_are_found_or_created_by_their_names(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    first = tower.group_ids(inventory, ["web", "blue, or green", "ünï"])
    again = tower.group_ids(inventory, ["web", "ünï", "blue", "Web"])
    assert again.items() >= {"web": first["web"], "ünï": first["ünï"]}.items()
    made = {row["name"]: row["id"] for row in operator.listed(f"inventories/{inventory.id}/groups/")}
    assert made == first | again
    assert set(made) == {"web", "blue, or green", "ünï", "blue", "Web"}
    assert tower.group_ids(elsewhere, ["web"])["web"] != first["web"]
    assert tower.group_ids(inventory, []) == {}


def test_groups_that_several_create_at_once_are_created_once(
    server: Server, operator: Operator, inventory: Inventory
) -> None:
    names = ["web", "blue", "green"]
    racers = 4
    start = Barrier(racers)

    def race(_: int) -> dict[str, int]:
        tower = server.client()
        tower.inventory(inventory.name)
        start.wait()
        return tower.group_ids(inventory, names)

    with ThreadPoolExecutor(racers) as pool:
        results = list(pool.map(race, range(racers)))
    made = {row["name"]: row["id"] for row in operator.listed(f"inventories/{inventory.id}/groups/")}
    assert set(made) == set(names)
    assert results == [made] * racers


def test_a_host_is_put_into_groups_also_a_second_time(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new])[new.instance_id]
    groups = tower.group_ids(inventory, ["web", "blue"])
    for group_id in [*groups.values(), groups["web"]]:
        tower.add_to_group(group_id, host_id)
    (host,) = tower.hosts_named(inventory, [new.instance_id])
    assert host.group_ids == frozenset(groups.values())


def test_a_host_in_more_groups_than_tower_lists_says_so(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new])[new.instance_id]
    groups = tower.group_ids(inventory, [f"group-{number}" for number in range(8)])
    for group_id in groups.values():
        tower.add_to_group(group_id, host_id)
    (host,) = tower.hosts_named(inventory, [new.instance_id])
    assert host.group_ids in (None, frozenset(groups.values())), "some of them would be taken for all"


def test_a_host_tells_who_made_it(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    tower.create_hosts(inventory, [replace(new, description="Made by Rollcall for message m1")])
    (host,) = tower.hosts_named(inventory, [new.instance_id])
    assert host.description == "Made by Rollcall for message m1"


def test_those_of_a_batch_that_are_in_a_group_are_found_in_one_go(tower: Tower, inventory: Inventory) -> None:
    hosts = new_hosts(100)
    created = tower.create_hosts(inventory, hosts)
    group_id = tower.group_ids(inventory, ["web"])["web"]
    inside = [ids_of(hosts)[place] for place in (0, 50, 99)]
    for name in inside:
        tower.add_to_group(group_id, created[name])
    assert tower.group_members(group_id, ids_of(hosts)) == set(inside)
    assert tower.group_members(group_id, ids_of(hosts)[1:50]) == set()


def test_a_host_taken_out_of_a_group_is_out_also_a_second_time(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new])[new.instance_id]
    group_id = tower.group_ids(inventory, ["web"])["web"]
    tower.add_to_group(group_id, host_id)
    for _ in range(2):
        tower.take_out_of_group(group_id, host_id)
    assert tower.group_members(group_id, [new.instance_id]) == set()
    assert tower.hosts_named(inventory, [new.instance_id])


def test_a_dump_shows_a_whole_inventory(tower: Tower, inventory: Inventory) -> None:
    hosts = new_hosts(3)
    created = tower.create_hosts(inventory, hosts)
    group_id = tower.group_ids(inventory, ["web"])["web"]
    tower.add_to_group(group_id, created[hosts[0].instance_id])
    dump = tower.dump(inventory)
    assert dump.inventory == inventory
    assert {host.name: (host.id, host.enabled, dict(host.variables), host.groups) for host in dump.hosts} == {
        new.instance_id: (
            created[new.instance_id],
            True,
            dict(new.variables),
            frozenset({"web"} if new is hosts[0] else ()),
        )
        for new in hosts
    }


def test_a_host_that_is_made_disabled_is_disabled(tower: Tower, inventory: Inventory) -> None:
    on, off = new_hosts(2)
    tower.create_hosts(inventory, [on, replace(off, enabled=False)])
    assert {host.name: host.enabled for host in tower.dump(inventory).hosts} == {
        on.instance_id: True,
        off.instance_id: False,
    }


def test_inventories_that_hold_a_marked_host_are_found(tower: Tower, inventory: Inventory) -> None:
    assert inventory not in tower.marked_inventories()
    (new,) = new_hosts(1)
    tower.create_hosts(inventory, [replace(new, variables={"rollcall": {"group": "web"}})])
    assert tower.marked_inventories().count(inventory) == 1


def test_the_age_of_hosts_is_told_and_those_not_there_are_left_out(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    before = operator_time(operator)
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new])[new.instance_id]
    created_at = tower.created_at([host_id, NO_SUCH_ID])
    assert created_at.keys() == {host_id}
    assert created_at[host_id] >= before - CLOCK_TOLERANCE


def test_putting_what_is_not_there_into_a_group_is_an_error(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new])[new.instance_id]
    group_id = tower.group_ids(inventory, ["web"])["web"]
    with pytest.raises(TowerRejected):
        tower.add_to_group(group_id, NO_SUCH_ID)
    with pytest.raises(TowerRejected):
        tower.add_to_group(NO_SUCH_ID, host_id)


# Launching


def test_a_job_without_a_limit_is_never_launched(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    tower.create_hosts(inventory, new_hosts(1))
    with pytest.raises(ValueError, match="limit"):
        tower.launch(template, inventory, [])
    assert operator.listed("jobs/", inventory=inventory.id) == []


def test_a_job_that_would_not_keep_to_its_limit_is_cancelled_at_once(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template(inventory=inventory.id, ask_limit_on_launch=False)
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    with pytest.raises(TowerRejected, match="limit") as caught:
        tower.launch(template, inventory, ids_of(hosts[:1]))
    assert template.name in str(caught.value)
    (job,) = operator.listed("jobs/", inventory=inventory.id)
    status = operator.wait_until(lambda: final_status(operator, f"jobs/{job['id']}/"), "the job has ended")
    assert status == "canceled"


def test_a_job_is_cancelled_and_then_again_without_an_error(
    tower: Tower, operator: Operator, template: JobTemplate, inventory: Inventory
) -> None:
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    job_id = tower.launch(template, inventory, [host.instance_id])
    tower.cancel(job_id)
    job = ended(tower, operator, job_id)
    assert job.status == JobStatus.CANCELED
    tower.cancel(job_id)
    assert tower.jobs([job_id])[job_id].status == JobStatus.CANCELED


def test_a_host_says_whether_jobs_pass_over_it(tower: Tower, inventory: Inventory) -> None:
    (host,) = new_hosts(1)
    asleep = replace(new_hosts(1)[0], enabled=False)
    tower.create_hosts(inventory, [host, asleep])
    found = {each.name: each.enabled for each in tower.hosts_named(inventory, ids_of([host, asleep]))}
    assert found == {host.instance_id: True, asleep.instance_id: False}


def test_a_launch_that_makes_several_jobs_of_one_is_cancelled_at_once(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template(job_slice_count=2)
    hosts = new_hosts(3)
    tower.create_hosts(inventory, hosts)
    with pytest.raises(TowerRejected, match="slicing"):
        tower.launch(template, inventory, ids_of(hosts))
    (workflow,) = operator.listed("workflow_jobs/", inventory=inventory.id)
    operator.wait_until(lambda: final_status(operator, f"workflow_jobs/{workflow['id']}/"), "the workflow has ended")
    statuses = {
        final_status(operator, f"jobs/{row['id']}/") for row in operator.listed("jobs/", inventory=inventory.id)
    }
    assert "successful" not in statuses


def test_an_inventory_that_a_template_does_not_ask_for_is_not_sent(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template(inventory=inventory.id, ask_inventory_on_launch=False)
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    job = tower.launch(template, inventory, [host.instance_id])
    assert operator.read(f"jobs/{job}/")["inventory"] == inventory.id


def test_launching_what_is_not_there_is_an_error(tower: Tower, inventory: Inventory, template: JobTemplate) -> None:
    with pytest.raises(TowerRejected, match="404"):
        tower.launch(replace(template, id=NO_SUCH_ID), inventory, [instance_id()])
    with pytest.raises(TowerRejected):
        tower.launch(template, Inventory(NO_SUCH_ID, "none"), [instance_id()])


# Jobs and what they showed


@dataclass(frozen=True)
class Runs:
    """Jobs that have ended, of one template but for `late`, in the order they were launched.

    fine: a host that is well. elsewhere: the same in another inventory. canceled: on that host. mixed: a host that is
    well, one that fails, one that cannot be reached, and one that is not there. nobody: no host that is there. late: a
    job that its template's timeout ended, None where the token may make no templates.
    """

    template: JobTemplate
    inventory: Inventory
    well: str
    failing: str
    dark: str
    missing: str
    fine: Job
    elsewhere: Job
    canceled: Job
    mixed: Job
    nobody: Job
    late: Job | None


@pytest.fixture(scope="session")
def runs(
    server: Server, operator: Operator, organization: Json, template: JobTemplate, request: pytest.FixtureRequest
) -> Runs:
    """Jobs of every kind, launched together."""
    tower = server.client()
    made = [operator.make("inventories", organization=organization["id"]) for _ in range(2)]
    inventory, elsewhere = (Inventory(raw["id"], raw["name"]) for raw in made)
    (well,), (failing,), (dark,) = (new_hosts(1, variables) for variables in (REACHED, FAILING, DARK))
    missing = f"{well.instance_id}0"
    tower.create_hosts(inventory, [well, failing, dark])
    tower.create_hosts(elsewhere, [well])
    quick = None
    with suppress(pytest.skip.Exception):
        quick = request.getfixturevalue("make_template")(timeout=1)
    launched = {
        "fine": tower.launch(template, inventory, [well.instance_id]),
        "elsewhere": tower.launch(template, elsewhere, [well.instance_id]),
        "canceled": tower.launch(template, inventory, [well.instance_id]),
    }
    operator.ask("POST", f"jobs/{launched['canceled']}/cancel/")
    launched["mixed"] = tower.launch(template, inventory, [*ids_of([well, failing, dark]), missing])
    launched["nobody"] = tower.launch(template, inventory, [missing])
    late = tower.launch(quick, inventory, [well.instance_id]) if quick else None
    return Runs(
        template=template,
        inventory=inventory,
        well=well.instance_id,
        failing=failing.instance_id,
        dark=dark.instance_id,
        missing=missing,
        late=ended(tower, operator, late) if late else None,
        **{name: ended(tower, operator, job) for name, job in launched.items()},
    )


def ended(tower: Tower, operator: Operator, job_id: int) -> Job:
    """A job, once it has ended and its events are processed."""

    def look() -> Job | None:
        job = tower.jobs([job_id])[job_id]
        return job if job.status.final and tower.outcomes(job) is not None else None

    return operator.wait_until(look, f"job {job_id} has ended")


def final_status(operator: Operator, path: str) -> str:
    """The status of a job that has ended; of one that has not, nothing."""
    status = str(operator.read(path)["status"])
    return "" if status in UNFINISHED else status


def test_each_host_of_a_job_has_an_outcome_of_its_own(tower: Tower, runs: Runs) -> None:
    assert runs.mixed.status == JobStatus.FAILED
    assert tower.outcomes(runs.mixed) == {
        runs.well: Outcome.OK,
        runs.failing: Outcome.FAILED,
        runs.dark: Outcome.UNREACHABLE,
        runs.missing: Outcome.UNPROVEN,
    }


def test_a_job_runs_on_the_hosts_of_its_limit_and_on_no_other(operator: Operator, runs: Runs) -> None:
    assert operator.host_names(runs.inventory) > runs.fine.hosts
    for job in (runs.fine, runs.mixed):
        ran_on = {row["host_name"] for row in operator.listed(f"jobs/{job.id}/job_host_summaries/")}
        assert ran_on == job.hosts - {runs.missing}


def test_a_successful_job_shows_its_host_to_be_well(tower: Tower, runs: Runs) -> None:
    assert runs.fine.status == JobStatus.SUCCESSFUL
    assert tower.outcomes(runs.fine) == {runs.well: Outcome.OK}


def test_a_job_whose_limit_matched_nothing_proves_nothing(tower: Tower, runs: Runs) -> None:
    assert runs.nobody.status == JobStatus.FAILED
    assert tower.outcomes(runs.nobody) == {runs.missing: Outcome.UNPROVEN}


def test_a_cancelled_job_proves_nothing(tower: Tower, runs: Runs) -> None:
    assert runs.canceled.status == JobStatus.CANCELED
    assert tower.outcomes(runs.canceled) == {runs.well: Outcome.UNPROVEN}


def test_a_job_that_its_own_timeout_ended_proves_nothing(tower: Tower, runs: Runs) -> None:
    if runs.late is None:
        pytest.skip("the token may make no job templates")
    assert runs.late.status == JobStatus.FAILED
    assert "timeout" in runs.late.explanation
    assert tower.outcomes(runs.late) == {runs.well: Outcome.UNPROVEN}


def test_a_job_says_nothing_until_its_events_are_processed_and_then_also_of_a_host_deleted_meanwhile(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    job_id = tower.launch(template, inventory, ids_of(hosts))
    operator.wait_until(lambda: operator.read(f"jobs/{job_id}/")["status"] == "running", "the job runs")
    job = tower.jobs([job_id])[job_id]
    assert not job.status.final
    assert tower.outcomes(job) is None
    tower.delete_hosts(tower.hosts_named(inventory, ids_of(hosts[:1])))
    outcomes = operator.wait_until(lambda: tower.outcomes(tower.jobs([job_id])[job_id]), "the events are processed")
    assert outcomes == dict.fromkeys(ids_of(hosts), Outcome.OK)


def test_jobs_are_read_by_id_and_those_not_there_are_left_out(tower: Tower, runs: Runs) -> None:
    read = tower.jobs([runs.fine.id, runs.mixed.id, NO_SUCH_ID])
    assert read == {runs.fine.id: runs.fine, runs.mixed.id: runs.mixed}
    assert tower.jobs([]) == {}
    job = read[runs.fine.id]
    assert job.template_id == runs.template.id
    assert job.hosts == {runs.well}
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at


def test_the_jobs_that_hold_a_host_are_found_the_newest_first(tower: Tower, runs: Runs) -> None:
    since = runs.fine.created_at
    found = tower.jobs_holding(runs.template.id, [runs.well], since)
    assert found == [runs.mixed, runs.canceled, runs.elsewhere, runs.fine]
    assert tower.jobs_holding(runs.template.id, [runs.dark, runs.failing], since) == [runs.mixed]


def test_a_job_that_holds_a_host_whose_id_begins_like_another_is_not_taken_for_the_others(
    tower: Tower, runs: Runs
) -> None:
    found = tower.jobs_holding(runs.template.id, [runs.missing], runs.fine.created_at)
    assert found == [runs.nobody, runs.mixed]
    assert tower.jobs_holding(runs.template.id, [runs.well[:-1]], runs.fine.created_at) == []


def test_jobs_created_before_are_not_found(tower: Tower, runs: Runs) -> None:
    assert tower.jobs_holding(runs.template.id, [runs.well], runs.mixed.created_at) == [runs.mixed]
    assert tower.jobs_holding(runs.template.id, [runs.well], runs.nobody.created_at + 0.001) == []


def test_the_job_just_launched_is_found_among_hundreds_of_ids(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    before = operator_time(operator)
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    job_id = tower.launch(template, inventory, ids_of(hosts))
    asked = [*(instance_id() for _ in range(200)), *ids_of(hosts)]
    (job,) = tower.jobs_holding(template.id, asked, before - CLOCK_TOLERANCE)
    assert job.id == job_id
    assert job.hosts == set(ids_of(hosts))
    assert not job.status.final


def test_the_jobs_before_one_are_those_that_ended_by_themselves_on_its_inventory(tower: Tower, runs: Runs) -> None:
    assert tower.jobs_before(runs.nobody, runs.inventory.id, 5) == [runs.mixed, runs.fine]
    assert tower.jobs_before(runs.nobody, runs.inventory.id, 1) == [runs.mixed]
    assert tower.jobs_before(runs.fine, runs.inventory.id, 5) == []


def test_the_usual_durations_are_those_of_successful_jobs(
    tower: Tower, operator: Operator, runs: Runs, make_template: Callable[..., JobTemplate]
) -> None:
    rows = operator.listed(f"job_templates/{runs.template.id}/jobs/", status="successful")
    assert tower.usual_durations(runs.template.id) == tuple(sorted(row["elapsed"] for row in rows))
    assert tower.usual_durations(make_template().id) == ()


def test_asking_for_the_jobs_of_what_is_not_there_is_an_error(tower: Tower, runs: Runs) -> None:
    with pytest.raises(TowerRejected, match="404"):
        tower.outcomes(replace(runs.fine, id=NO_SUCH_ID))
    with pytest.raises(TowerRejected, match="404"):
        tower.jobs_holding(NO_SUCH_ID, [runs.well], 0)
    with pytest.raises(TowerRejected, match="404"):
        tower.usual_durations(NO_SUCH_ID)


# Connections


def test_forty_calls_from_four_threads_open_at_most_four_connections(
    server: Server, tower: Tower, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = tower.create_hosts(inventory, new_hosts(10))
    groups = tower.group_ids(inventory, ["web", "blue", "green", "red"])
    opened: list[object] = []

    def connect(*args: Any, **given: Any) -> socket:
        opened.append(args)
        return create_connection(*args, **given)

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    fresh = server.client()
    threads = len(groups)
    start = Barrier(threads, timeout=60)

    def fill(group_id: int) -> None:
        for host_id in created.values():
            start.wait()  # calls of a millisecond would seldom meet
            fresh.add_to_group(group_id, host_id)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, groups.values()))
    assert 1 <= len(opened) <= threads
    assert {host.group_ids for host in tower.hosts_named(inventory, created)} == {frozenset(groups.values())}


# Time


def operator_time(operator: Operator) -> float:
    """Tower's clock as its Date header has it, epoch seconds."""
    return parsedate_to_datetime(operator.ask("GET", "ping/").headers["Date"]).timestamp()


def test_now_is_towers_own_time(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    tower.inventory(inventory.name)
    assert tower.now() == pytest.approx(operator_time(operator), abs=CLOCK_TOLERANCE)
    (new,) = new_hosts(1)
    tower.create_hosts(inventory, [new])
    (host,) = tower.hosts_named(inventory, [new.instance_id])
    assert tower.now() - host.created_at == pytest.approx(0, abs=CLOCK_TOLERANCE)


def test_with_no_time_left_tower_is_not_asked(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    tower.finish_within(0)
    with pytest.raises(TowerUnavailable, match="no time left"):
        tower.create_hosts(inventory, new_hosts(1))
    assert operator.host_names(inventory) == set()
    tower.finish_within(60)
    assert tower.inventory(inventory.name) == inventory


# Tokens and roots


def test_a_wrong_token_is_denied_with_the_remedy(server: Server, inventory: Inventory) -> None:
    with pytest.raises(TowerDenied, match=r"401.*put a valid token"):
        server.client("no-such-token").inventory(inventory.name)
    with pytest.raises(TowerDenied, match=r"401.*put a valid token"):
        server.client("no-such-token").create_hosts(inventory, new_hosts(1))


def test_a_token_that_was_renewed_meanwhile_is_taken_up(
    server: Server, operator: Operator, inventory: Inventory
) -> None:
    hosts = new_hosts(2)
    created = server.client("no-such-token", renewed=server.token).create_hosts(inventory, hosts)
    assert created.keys() == operator.host_names(inventory) == set(ids_of(hosts))


@pytest.fixture
def read_only(server: Server, operator: Operator) -> Tower:
    """The client with a token that may read everything and change nothing."""
    answer = operator.try_to_make("tokens", scope="read", description=operator.new_name())
    if answer.status_code != 201:
        pytest.skip(f"this server makes no tokens at its controller API: {answer.status_code} {answer.text[:200]}")
    return server.client(answer.json()["token"])


def test_a_token_that_may_only_read_reads_and_is_denied_the_rest(
    tower: Tower, read_only: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    hosts = new_hosts(2)
    created = tower.create_hosts(inventory, hosts)
    groups = tower.group_ids(inventory, ["web"])
    found = read_only.hosts_of(ids_of(hosts))
    assert {host.name: host.id for host in found} == created
    assert read_only.inventory(inventory.name) == inventory
    refused: list[Callable[[], object]] = [
        lambda: read_only.create_hosts(inventory, new_hosts(2)),
        lambda: read_only.update_host(found[0].id, found[0].name, {}),
        lambda: read_only.group_ids(inventory, ["web", "blue"]),
        lambda: read_only.add_to_group(groups["web"], found[0].id),
        lambda: read_only.launch(template, inventory, ids_of(hosts)),
        lambda: read_only.delete_hosts(found),
    ]
    for call in refused:
        with pytest.raises(TowerDenied, match=r"403.*role"):
            call()
    assert untouched(found, tower.hosts_of(ids_of(hosts)))
    assert operator.host_names(inventory) == set(ids_of(hosts))
    assert operator.listed("jobs/", inventory=inventory.id) == []


def untouched(before: Sequence[Host], after: Sequence[Host]) -> bool:
    return sorted(before, key=lambda host: host.id) == sorted(after, key=lambda host: host.id)


@pytest.mark.parametrize("path", ["/no/such/root/", "/api/"])
def test_a_root_that_is_not_the_apis_is_named_with_the_remedy(server: Server, path: str) -> None:
    lost = server.client(path=path)
    calls: list[Callable[[], object]] = [
        lambda: lost.inventory("fleet"),
        lambda: lost.hosts_of([instance_id()]),
        lambda: lost.create_hosts(Inventory(1, "fleet"), new_hosts(1)),
    ]
    for call in calls:
        with pytest.raises(TowerRejected, match=f"{path}.*API root"):
            call()


@pytest.mark.parametrize("path", ["/no/such/root/", "/api/"])
def test_under_a_root_that_is_not_the_apis_no_id_is_called_missing(server: Server, path: str) -> None:
    lost = server.client(path=path)
    with pytest.raises(TowerRejected, match=f"{path}.*API root"):
        lost.inventory("12")
    with pytest.raises(TowerRejected, match=f"{path}.*API root"):
        lost.job_template("12")
