"""What Rollcall relies on in a Tower, through the client that relies on it.

The tests know nothing of the server but its API; whatever they need is made over HTTP (see conftest.py, which also
says how to run them against a real server).
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import replace
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from urllib3.util.connection import create_connection

from contract.conftest import new_inventory
from contract.roles import NEEDED, SOMETIMES
from rollcall.domain.errors import (
    BadSettings,
    CancelRefused,
    DeleteRefused,
    HostLimitReached,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.inventories import Host, Inventory
from rollcall.domain.jobs import Job, JobStatus, JobTemplate, LaunchTerms, Outcome, PastJob, Project
from rollcall.evidence.job_reader import JobEvidence
from rollcall.evidence.playbook_trace import FAILED, OK, TASK_RESULTS, TASK_STARTED, TRACED_EVENTS, UNREACHABLE
from rollcall.tower.bulk_hosts import NewHost
from rollcall.tower.client import Tower
from rollcall.tower.job_history import PAST_JOBS
from rollcall.tower.jobs import LIMITS_RESOLVED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from socket import socket

    from contract.conftest import Operator, Server

type Json = dict[str, Any]

NO_SUCH_ID = 999_999_999
GROUP = "web"  # of the hosts, as their markers say
CLOCK_TOLERANCE = 5.0  # seconds; Date has whole ones, and a request takes its time
UNFINISHED = ("new", "pending", "waiting", "running")

# Variables of hosts that a play reaches, fails on, and cannot reach.
REACHED: Json = {"ansible_connection": "local"}
FAILING: Json = {"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent/python"}
DARK: Json = {"ansible_host": "127.0.0.2", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=2"}


def instance_id() -> str:
    """An id that no instance has, and that is still one with a digit more."""
    return f"i-{uuid4().hex[:16]}"


def new_hosts(number: int, variables: Json = REACHED) -> list[NewHost]:
    return [NewHost(instance_id(), {"rollcall": {"group": GROUP}} | variables) for _ in range(number)]


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


def test_a_number_is_an_id_and_a_name_and_where_it_is_both_nothing_is_guessed(
    tower: Tower, operator: Operator, inventory: Inventory, organization: Json
) -> None:
    named = operator.make("inventories", name=str(inventory.id), organization=organization["id"])
    owner = organization["name"]
    with pytest.raises(BadSettings, match="ambiguous") as caught:
        tower.inventory(str(inventory.id))
    for raw in (operator.read(f"inventories/{inventory.id}/"), named):
        assert f"{owner}/{raw['name']} (id {raw['id']})" in str(caught.value)
        assert tower.inventory(f"id:{raw['id']}").id == raw["id"]
        assert tower.inventory(f"{owner}/{raw['name']}").id == raw["id"]
    number = uuid4().int % 10**9
    alone = operator.make("inventories", name=f"0{number}", organization=organization["id"])
    assert tower.inventory(f"0{number}").id == alone["id"]


def test_slashes_in_organizations_and_names_are_tried_in_every_way_and_none_is_guessed(
    server: Server, tower: Tower, operator: Operator, organization: Json
) -> None:
    name = organization["name"]
    parted = operator.make("organizations", name=f"{name}/eu")
    in_parted = operator.make("inventories", name="west", organization=parted["id"])
    assert tower.inventory(f"{name}/eu/west").id == in_parted["id"]
    slashed = operator.make("inventories", name="eu/west", organization=organization["id"])
    whole = operator.make("inventories", name=f"{name}/eu/west", organization=parted["id"])
    with pytest.raises(BadSettings, match="ambiguous") as caught:
        server.client().inventory(f"{name}/eu/west")  # one that does not remember
    for raw in (in_parted, slashed, whole):
        assert f"id:{raw['id']}" in str(caught.value)
    assert tower.inventory(f"{name}/eu/{whole['name']}").id == whole["id"]


def test_a_name_with_two_blanks_is_another_than_with_one(tower: Tower, operator: Operator, organization: Json) -> None:
    name = operator.new_name()
    made = {
        each: operator.make("inventories", name=each, organization=organization["id"])["id"]
        for each in (f"{name} fleet", f"{name}  fleet")
    }
    assert {each: tower.inventory(each).id for each in made} == made


@pytest.mark.parametrize("reference", ["no such thing", "no such organization/no such thing", str(NO_SUCH_ID)])
def test_an_inventory_or_template_that_is_not_there_is_named(tower: Tower, reference: str) -> None:
    with pytest.raises(BadSettings, match=f"no inventory .*{reference}"):
        tower.inventory(reference)
    with pytest.raises(BadSettings, match=f"no job template .*{reference}"):
        tower.job_template(reference)


def test_what_the_token_can_see_is_listed_and_no_inventory_that_is_made_of_others(
    tower: Tower,
    operator: Operator,
    organization: Json,
    inventory: Inventory,
    make_template: Callable[..., JobTemplate],
) -> None:
    smart = operator.make("inventories", organization=organization["id"], kind="smart", host_filter="name=none")
    template = make_template()
    inventories = {each.id: each for each in tower.list_inventories()}
    assert (inventories[inventory.id].name, inventories[inventory.id].organization) == (
        inventory.name,
        organization["name"],
    )
    assert smart["id"] not in inventories
    assert template.name in {each.name for each in tower.list_job_templates()}


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


def test_a_templates_project_shows_its_revision_to_who_may_read_it(
    tower: Tower, operator: Operator, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template()
    assert template.project_id is not None
    if operator.client_user["is_superuser"]:
        raw = operator.read(f"projects/{template.project_id}/")
        assert tower.project(template.project_id) == Project(raw["id"], raw["name"], raw["scm_revision"])
    else:  # who may launch it need not be able to read that
        with pytest.raises((TowerDenied, TowerRejected)):
            tower.project(template.project_id)


# What the server is, and what the token may do there


def test_the_server_tells_its_version_and_whose_the_token_is(tower: Tower, operator: Operator) -> None:
    assert tower.version() == operator.read("ping/")["version"]
    assert (tower.user().name, tower.user().writes) == (operator.client_user["username"], True)


def test_a_server_with_bulk_calls_is_told_from_one_without(tower: Tower, operator: Operator) -> None:
    assert tower.has_bulk_calls() == operator.has_bulk_calls()


def test_the_limits_of_bulk_calls_are_told_to_who_may_read_settings(tower: Tower, operator: Operator) -> None:
    answer = operator.ask_as_client("GET", "settings/bulk/")
    limits = tower.bulk_limits()
    if answer.status_code != 200:
        assert limits is None
    else:
        assert limits
        settings = answer.json()
        assert (limits.create, limits.delete) == (settings["BULK_HOST_MAX_CREATE"], settings["BULK_HOST_MAX_DELETE"])


def test_the_default_timeout_of_jobs_is_known_to_who_may_read_settings(tower: Tower, operator: Operator) -> None:
    answer = operator.ask("GET", "settings/jobs/")
    expected = answer.json()["DEFAULT_JOB_TIMEOUT"] if answer.status_code == 200 else None
    assert tower.default_job_timeout() == expected


def test_host_limits_are_as_the_server_shows_them(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    raw = operator.read(f"inventories/{inventory.id}/")
    answer = operator.ask("GET", f"organizations/{raw['organization']}/")
    most = answer.json()["max_hosts"] if answer.status_code == 200 else 0
    limit = tower.organization_limit(inventory)
    assert (limit.most if limit else 0) == most
    licence, licensed = operator.read("config/")["license_info"], tower.licence_limit()
    assert (licensed.most if licensed else 0) == int(licence.get("instance_count") or 0)


def test_who_made_an_inventory_and_a_template_may_change_the_one_and_launch_the_other(
    tower: Tower, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    assert tower.may_change(inventory)
    for simultaneous in (True, False):
        terms = tower.launch_terms(make_template(allow_simultaneous=simultaneous))
        assert terms == LaunchTerms(startable=True, simultaneous=simultaneous)
    terms = tower.launch_terms(make_template(timeout=900, forks=7))
    assert (terms.timeout, terms.forks) == (900, 7)


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


# Roles: what roles.py says is what these tests run with; here, that less is not enough


def test_without_its_role_on_an_inventory_a_user_changes_nothing_in_it(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    path, [role] = f"inventories/{inventory.id}/", [each for each in NEEDED if each.collection == "inventories"]
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    found = tower.hosts_named(inventory, ids_of(hosts))
    group_id = tower.group_ids(inventory, ["web"])["web"]
    if operator.client_is_another:
        operator.grant(path, role.field, take_away=True)
        assert tower.hosts_named(inventory, ids_of(hosts)) == []
        for less in ("use_role", "adhoc_role", "update_role", "read_role"):
            operator.grant(path, less)
        assert not tower.may_change(inventory)
        assert tower.hosts_named(inventory, ids_of(hosts)) == found
        refused: list[Callable[[], object]] = [
            lambda: tower.create_hosts(inventory, new_hosts(1)),
            lambda: tower.update_host(found[0].id, found[0].name, {}),
            lambda: tower.add_to_group(group_id, found[0].id),
            lambda: tower.group_ids(inventory, ["blue"]),
        ]
        for call in refused:
            with pytest.raises(TowerDenied):
                call()
        assert tower.delete_hosts(found).keys() == {host.id for host in found}
        operator.grant(path, role.field)
    assert tower.may_change(inventory)
    tower.update_host(found[0].id, found[0].name, {})
    tower.delete_hosts(found)
    assert operator.host_names(inventory) == set()


def test_without_its_role_on_a_template_a_user_launches_nothing(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template()
    path, [role] = f"job_templates/{template.id}/", [each for each in NEEDED if each.collection == "job_templates"]
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    if operator.client_is_another:
        operator.grant(path, role.field, take_away=True)
        with pytest.raises(TowerDenied):
            tower.jobs_holding(template.on(inventory), [host.instance_id], 0)
        operator.grant(path, "read_role")
        assert tower.jobs_holding(template.on(inventory), [host.instance_id], 0) == []
        assert not tower.launch_terms(template).startable
        with pytest.raises(TowerDenied):
            tower.launch(template, inventory, [host.instance_id])
        operator.grant(path, role.field)
    assert tower.launch_terms(template).startable
    assert tower.launch(template, inventory, [host.instance_id])


def test_anothers_job_is_cancelled_only_by_who_administers_its_template(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template()
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    body = {"limit": host.instance_id, "inventory": inventory.id}
    job_id = int(operator.ask("POST", f"job_templates/{template.id}/launch/", body).json()["job"])
    if operator.client_is_another:
        owner = operator.read("me/")["results"][0]["username"]
        with pytest.raises(CancelRefused, match=f"job {job_id} .*belongs to '{owner}'") as caught:
            tower.cancel(job_id)
        assert caught.value.owner == owner
        [role] = SOMETIMES
        operator.grant(f"{role.collection}/{template.id}/", role.field)
    tower.cancel(job_id)
    assert ended(tower, operator, job_id).status == JobStatus.CANCELED
    tower.cancel(job_id)


def test_of_anothers_job_that_has_ended_there_is_nothing_to_cancel(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    body = {"limit": host.instance_id, "inventory": inventory.id}
    job_id = int(operator.ask("POST", f"job_templates/{template.id}/launch/", body).json()["job"])
    assert ended(tower, operator, job_id).status == JobStatus.SUCCESSFUL
    tower.cancel(job_id)
    assert tower.jobs([job_id])[job_id].status == JobStatus.SUCCESSFUL


# Hosts


@pytest.mark.parametrize("number", [1, 100, 150])
def test_hosts_are_created_and_found_as_they_were_given(tower: Tower, inventory: Inventory, number: int) -> None:
    before = tower.now()
    wanted = new_hosts(number, {"ansible_host": "192.0.2.1", "note": "é {} \"quoted\" \\ 'so'"})
    created = tower.create_hosts(inventory, wanted).ids
    found = tower.hosts_named(inventory, ids_of(wanted))
    assert {host.name: host.id for host in found} == created
    assert created.keys() == set(ids_of(wanted))
    for host in found:
        assert host.instance_id == host.name
        assert (host.inventory_id, host.inventory_name) == (inventory.id, inventory.name)
        assert host.variables == wanted[0].variables
        assert host.marker == {"group": "web"}
        assert host.group_ids == frozenset()
        assert before - CLOCK_TOLERANCE < host.created_at < tower.now() + CLOCK_TOLERANCE


def test_of_hosts_that_exist_already_the_others_are_made_and_they_are_returned_as_they_are(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    wanted = new_hosts(150)
    early = [wanted[3], replace(wanted[140], description="of somebody else", variables={"own": 1})]
    first = tower.create_hosts(inventory, early)
    assert first.ids.keys() == set(ids_of(early))
    made = tower.create_hosts(inventory, wanted)
    assert {name: host.id for name, host in made.existing.items()} == dict(first.ids)
    assert made.existing[early[1].instance_id].variables == {"own": 1}
    assert made.existing[early[1].instance_id].description == "of somebody else"
    assert made.errors == {}
    there = {host.name: host.id for host in tower.hosts_named(inventory, ids_of(wanted))}
    assert there == {**first.ids, **made.ids}
    assert operator.host_names(inventory) == set(ids_of(wanted))


def test_hosts_that_all_exist_are_all_returned(tower: Tower, inventory: Inventory) -> None:
    wanted = new_hosts(10)
    first = tower.create_hosts(inventory, wanted)
    again = tower.create_hosts(inventory, wanted)
    assert ({name: host.id for name, host in again.existing.items()}, again.ids) == (dict(first.ids), {})


def test_who_loses_a_race_to_create_hosts_finds_them_made(
    server: Server, operator: Operator, inventory: Inventory
) -> None:
    wanted = new_hosts(20)
    racers = 4
    start = Barrier(racers)

    def race(_: int) -> tuple[dict[str, int], dict[str, int]]:
        tower = server.client()
        tower.inventory(inventory.name)
        start.wait()
        made = tower.create_hosts(inventory, wanted)
        assert not made.errors
        return dict(made.ids), {name: host.id for name, host in made.existing.items()}

    with ThreadPoolExecutor(racers) as pool:
        results = list(pool.map(race, range(racers)))
    assert len({frozenset((made | found).items()) for made, found in results}) == 1
    assert sorted(name for made, _ in results for name in made) == sorted(ids_of(wanted)), "each is made once"
    assert operator.host_names(inventory) == set(ids_of(wanted))


def test_a_host_named_twice_is_made_once(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    hosts = new_hosts(3)
    made = tower.create_hosts(inventory, [*hosts, hosts[1]])
    assert made.ids.keys() == operator.host_names(inventory) == set(ids_of(hosts))


UNFIT: dict[str, NewHost] = {
    "no name": NewHost("", REACHED),
    "a name with blanks around it": NewHost(" i-0 ", REACHED),
    "a name that is no instance's id": NewHost("i-db-1", REACHED),
    "a name with a port": NewHost("i-0:22", REACHED),
    "a name with a bad port": NewHost("i-0:x", REACHED),
    "a name with a NUL": NewHost("i-\0", REACHED),
    "a name with half a character": NewHost("i-\ud800", REACHED),
    "a name for Jinja": NewHost("i-{{ 1 }}", REACHED),
    "a number that is none": NewHost("i-1", {"x": float("nan")}),
    "an endless number": NewHost("i-2", {"x": [float("inf")]}),
    "a NUL in variables": NewHost("i-3", {"x": {"y": ["a\0b"]}}),
    "a NUL in a key": NewHost("i-4", {"x": {"a\0b": 1}}),
    "half a character in variables": NewHost("i-5", {"x": "\udfff"}),
    "something else in variables": NewHost("i-6", {"x": {1, 2}}),
    "a NUL in the description": NewHost("i-7", REACHED, "a\0b"),
    "half a character in the description": NewHost("i-8", REACHED, "\ud83d"),
}


def test_a_host_that_tower_cannot_hold_fails_alone(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    hosts = new_hosts(5)
    made = tower.create_hosts(inventory, [*hosts[:2], *UNFIT.values(), *hosts[2:]])
    assert made.ids.keys() == operator.host_names(inventory) == set(ids_of(hosts))
    assert made.errors.keys() == {host.instance_id for host in UNFIT.values()}
    assert {type(error) for error in made.errors.values()} == {TowerRejected}
    assert tower.dump(inventory).hosts


def test_what_tower_cannot_hold_is_not_written_into_a_host(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    (host,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [host]).ids[host.instance_id]
    before = operator.read(f"hosts/{host_id}/")
    wrong: list[Callable[[], object]] = [
        lambda: tower.update_host(host_id, host.instance_id, {"x": float("nan")}),
        lambda: tower.update_host(host_id, host.instance_id, {"x": "\ud800"}),
        lambda: tower.update_host(host_id, "i" * 1025, {}),
        lambda: tower.update_host(host_id, "i-\0", {}),
        lambda: tower.update_host(host_id, host.instance_id, {}, description="\0"),
    ]
    for call in wrong:
        with pytest.raises(TowerRejected, match=f"host {host_id} is not changed"):
            call()
    assert operator.read(f"hosts/{host_id}/") == before


def test_text_that_only_looks_odd_is_held_as_it_is(tower: Tower, inventory: Inventory) -> None:
    odd = {"path": "C:\\u0000", "escaped": "\\\\u0000 \\ud800", "face": "\U0001f600", "deep": [[["\x7f\u2028"]]]}
    (host,) = new_hosts(1)
    made = tower.create_hosts(inventory, [replace(host, variables=odd, description="\U0001f600 \\u0000")])
    assert made.errors == {}
    (found,) = tower.hosts_named(inventory, [host.instance_id])
    assert (found.variables, found.description) == (odd, "\U0001f600 \\u0000")


def test_of_more_hosts_than_an_organization_may_have_the_first_ones_are_made(tower: Tower, operator: Operator) -> None:
    organization = operator.make("organizations", max_hosts=7)
    inventory = tower.inventory(new_inventory(operator, organization).name)
    early, hosts = new_hosts(2), new_hosts(120)
    tower.create_hosts(inventory, early)
    made = tower.create_hosts(inventory, [*early, *hosts])
    assert made.existing.keys() == set(ids_of(early))
    if not operator.has_bulk_calls():  # one by one nothing counts them where the licence is open
        assert made.ids.keys() == set(ids_of(hosts))
        return
    assert made.ids.keys() == set(ids_of(hosts[:5]))
    assert made.errors.keys() == set(ids_of(hosts[5:]))
    assert {type(error) for error in made.errors.values()} == {HostLimitReached}
    words = str(made.errors[hosts[-1].instance_id])
    for part in ("maximum number of 7 hosts", inventory.name, organization["name"], "raise its Max hosts"):
        assert part in words
    assert operator.host_names(inventory) == set(ids_of([*early, *hosts[:5]]))
    assert operator.ask("PATCH", f"organizations/{organization['id']}/", {"max_hosts": 0}).ok
    assert tower.create_hosts(inventory, hosts).ids.keys() == set(ids_of(hosts[5:]))


def test_hosts_named_looks_into_one_inventory_only(tower: Tower, inventory: Inventory, elsewhere: Inventory) -> None:
    hosts = new_hosts(2)
    here, there = (tower.create_hosts(each, hosts).ids for each in (inventory, elsewhere))
    assert {host.id for host in tower.hosts_named(inventory, ids_of(hosts))} == set(here.values())
    assert {host.id for host in tower.hosts_named(elsewhere, ids_of(hosts))} == set(there.values())
    assert tower.hosts_named(inventory, []) == []
    assert tower.hosts_named(inventory, [instance_id()]) == []


def test_hosts_of_finds_an_instance_in_every_inventory_by_name_and_by_instance_id(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    wanted, other = instance_id(), instance_id()
    expected = {
        tower.create_hosts(inventory, [NewHost(wanted, REACHED)]).ids[wanted],
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
    created = [tower.create_hosts(Inventory(raw["id"], raw["name"]), hosts).ids for raw in made]
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
        tower.create_hosts(inventory, [replace(each, variables={"ansible_host": "10.0.0.7"})]).ids[each.instance_id]
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
    created = tower.create_hosts(inventory, wanted).ids
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
    assert host.marker == {"group": "web"}
    assert host.variables["role"] == "db"
    assert host.variables["ports"] == [1, 2]
    assert host.variables["nested"] == {"a": {"b": None}}


@pytest.mark.parametrize("text", ["", "{}", "---", "---\n# nothing yet\n"])
def test_a_host_without_variables_has_none(tower: Tower, operator: Operator, inventory: Inventory, text: str) -> None:
    name = instance_id()
    operator.make_host(inventory, name, variables=text)
    (host,) = tower.hosts_named(inventory, [name])
    assert host.variables == {}
    assert host.marker is None


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


def test_an_update_changes_whether_a_host_is_enabled_and_its_description_where_these_are_given(
    tower: Tower, operator: Operator, inventory: Inventory
) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [replace(new, description="first")]).ids[new.instance_id]

    def shown() -> tuple[bool, str]:
        raw = operator.read(f"hosts/{host_id}/")
        return raw["enabled"], raw["description"]

    tower.update_host(host_id, new.instance_id, REACHED)
    assert shown() == (True, "first")
    tower.update_host(host_id, new.instance_id, REACHED, enabled=False)
    assert shown() == (False, "first")
    tower.update_host(host_id, new.instance_id, REACHED, description="second")
    assert shown() == (False, "second")
    tower.update_host(host_id, new.instance_id, REACHED, enabled=True, description="")
    assert shown() == (True, "")


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


def test_that_one_host_is_gone_already_keeps_no_other(tower: Tower, operator: Operator, inventory: Inventory) -> None:
    wanted = ids_of(new_hosts(3))
    tower.create_hosts(inventory, [NewHost(each, REACHED) for each in wanted])
    found = sorted(tower.hosts_named(inventory, wanted), key=lambda host: host.id)
    assert operator.ask("DELETE", f"hosts/{found[1].id}/").status_code == 204
    assert tower.delete_hosts([*found, found[0]]) == {}
    assert tower.delete_hosts(found) == {}
    assert operator.host_names(inventory) == set()


def test_an_inventory_that_refuses_keeps_no_host_of_another(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    hosts = new_hosts(3)
    tower.create_hosts(inventory, hosts)
    tower.create_hosts(elsewhere, hosts)
    found = tower.hosts_of(ids_of(hosts))
    if operator.client_is_another:
        operator.grant(f"inventories/{elsewhere.id}/", "admin_role", take_away=True)
        operator.grant(f"inventories/{elsewhere.id}/", "read_role")
    kept = tower.delete_hosts(found)
    assert operator.host_names(inventory) == set()
    if operator.client_is_another:
        assert kept.keys() == {host.id for host in found if host.inventory_id == elsewhere.id}
        assert {type(error) for error in kept.values()} == {DeleteRefused}
        assert {error.inventories for error in kept.values()} == {frozenset({elsewhere.name})}
        assert operator.host_names(elsewhere) == set(ids_of(hosts))
    else:
        assert (kept, operator.host_names(elsewhere)) == ({}, set())


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


def test_no_group_is_called_what_a_host_of_its_inventory_is_called(
    tower: Tower, operator: Operator, inventory: Inventory, elsewhere: Inventory
) -> None:
    operator.make_host(inventory, "db1", "")
    with pytest.raises(BadSettings, match=r"has a host 'db1'.*rename the host, or name another group"):
        tower.group_ids(inventory, ["db1"])
    assert not operator.listed(f"inventories/{inventory.id}/groups/")
    assert tower.group_ids(elsewhere, ["db1"])


@pytest.mark.parametrize("name", ["all", "_meta"])
def test_a_group_of_ansibles_own_name_is_refused(tower: Tower, inventory: Inventory, name: str) -> None:
    with pytest.raises(TowerRejected, match="Invalid group name"):
        tower.group_ids(inventory, [name])


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
    host_id = tower.create_hosts(inventory, [new]).ids[new.instance_id]
    groups = tower.group_ids(inventory, ["web", "blue"])
    for group_id in [*groups.values(), groups["web"]]:
        tower.add_to_group(group_id, host_id)
    (host,) = tower.hosts_named(inventory, [new.instance_id])
    assert host.group_ids == frozenset(groups.values())


def test_a_host_in_more_groups_than_tower_lists_says_so(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new]).ids[new.instance_id]
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
    created = tower.create_hosts(inventory, hosts).ids
    group_id = tower.group_ids(inventory, ["web"])["web"]
    inside = [ids_of(hosts)[place] for place in (0, 50, 99)]
    for name in inside:
        tower.add_to_group(group_id, created[name])
    assert tower.group_members(group_id, ids_of(hosts)) == set(inside)
    assert tower.group_members(group_id, ids_of(hosts)[1:50]) == set()


def test_a_host_taken_out_of_a_group_is_out_also_a_second_time(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new]).ids[new.instance_id]
    group_id = tower.group_ids(inventory, ["web"])["web"]
    tower.add_to_group(group_id, host_id)
    for _ in range(2):
        tower.take_out_of_group(group_id, host_id)
    assert tower.group_members(group_id, [new.instance_id]) == set()
    assert tower.hosts_named(inventory, [new.instance_id])


@pytest.mark.parametrize("odd", [{"note": ["{{ x }}"]}, {"tags": {"__ansible_vault": "x"}}])
def test_a_dump_says_where_it_is_certain_that_all_text_in_it_is_plain(
    tower: Tower, inventory: Inventory, odd: dict[str, object]
) -> None:
    tower.create_hosts(inventory, [NewHost(instance_id(), {"note": "größe", "ec2": {"tags": {"a": {}}}})])
    assert tower.dump(inventory).plain
    tower.create_hosts(inventory, [NewHost(instance_id(), odd)])
    assert not tower.dump(inventory).plain


def test_a_dump_shows_a_whole_inventory(tower: Tower, inventory: Inventory) -> None:
    hosts = new_hosts(3)
    created = tower.create_hosts(inventory, hosts).ids
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
    host_id = tower.create_hosts(inventory, [new]).ids[new.instance_id]
    created_at = tower.created_at([host_id, NO_SUCH_ID])
    assert created_at.keys() == {host_id}
    assert created_at[host_id] >= before - CLOCK_TOLERANCE


def test_putting_what_is_not_there_into_a_group_is_an_error(tower: Tower, inventory: Inventory) -> None:
    (new,) = new_hosts(1)
    host_id = tower.create_hosts(inventory, [new]).ids[new.instance_id]
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


ASKING = {f"ask_{each}_on_launch": True for each in ("job_type", "tags", "skip_tags")}


def test_a_template_says_of_what_type_its_jobs_are_and_what_of_the_playbook_they_run(
    tower: Tower, make_template: Callable[..., JobTemplate]
) -> None:
    plain = tower.job_template(make_template().name)
    assert (plain.job_type, plain.tags, plain.skip_tags) == ("run", "", "")
    assert not any((plain.asks_job_type, plain.asks_tags, plain.asks_skip_tags))
    made = make_template(job_type="check", job_tags="base,late", skip_tags="slow", **ASKING)
    found = tower.job_template(made.name)
    assert (found.job_type, found.tags, found.skip_tags) == ("check", "base,late", "slow")
    assert all((found.asks_job_type, found.asks_tags, found.asks_skip_tags))


def test_a_launch_is_a_run_of_the_whole_playbook_where_the_template_lets_us_choose(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    template = make_template(job_type="check", job_tags="base", skip_tags="slow", **ASKING)
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    job = operator.read(f"jobs/{tower.launch(template, inventory, [host.instance_id])}/")
    assert (job["job_type"], job["job_tags"], job["skip_tags"]) == ("run", "", "")
    assert job["limit"] == host.instance_id


@pytest.mark.parametrize("fields", [{"job_type": "check"}, {"job_tags": "base"}, {"skip_tags": "slow"}])
def test_a_job_that_would_not_run_the_whole_playbook_is_cancelled_at_once(
    tower: Tower,
    operator: Operator,
    inventory: Inventory,
    make_template: Callable[..., JobTemplate],
    fields: dict[str, str],
) -> None:
    template = make_template(**fields)
    (host,) = new_hosts(1)
    tower.create_hosts(inventory, [host])
    with pytest.raises(TowerRejected, match="did not run the whole of its playbook and was cancelled"):
        tower.launch(template, inventory, [host.instance_id])
    (job,) = operator.listed("jobs/", inventory=inventory.id)
    status = operator.wait_until(lambda: final_status(operator, f"jobs/{job['id']}/"), "the job has ended")
    assert status == "canceled"


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


def outcomes(tower: Tower, job: Job, *names: str) -> Mapping[str, Outcome] | None:
    """What a job showed about these hosts, or about all that its limit names."""
    return JobEvidence(tower).outcomes(job, names or job.hosts, GROUP)


def ended(tower: Tower, operator: Operator, job_id: int) -> Job:
    """A job, once it has ended and its events are processed."""

    def look() -> Job | None:
        job = tower.jobs([job_id])[job_id]
        return job if job.status.final and outcomes(tower, job) is not None else None

    return operator.wait_until(look, f"job {job_id} has ended")


def final_status(operator: Operator, path: str) -> str:
    """The status of a job that has ended; of one that has not, nothing."""
    status = str(operator.read(path)["status"])
    return "" if status in UNFINISHED else status


def test_each_host_of_a_job_has_an_outcome_of_its_own(tower: Tower, runs: Runs) -> None:
    assert runs.mixed.status == JobStatus.FAILED
    compared = Outcome.OK if runs.mixed.scm_revision else Outcome.CUT_SHORT  # a project of files on the server has none
    assert outcomes(tower, runs.mixed) == {
        runs.well: compared,
        runs.failing: Outcome.FAILED,
        runs.dark: Outcome.UNREACHABLE,
        runs.missing: Outcome.CUT_SHORT,
    }


def test_a_job_runs_on_the_hosts_of_its_limit_and_on_no_other(operator: Operator, runs: Runs) -> None:
    assert operator.host_names(runs.inventory) > runs.fine.hosts
    for job in (runs.fine, runs.mixed):
        ran_on = {row["host_name"] for row in operator.listed(f"jobs/{job.id}/job_host_summaries/")}
        assert ran_on == job.hosts - {runs.missing}


def test_a_successful_job_shows_its_host_to_be_well(tower: Tower, runs: Runs) -> None:
    assert runs.fine.status == JobStatus.SUCCESSFUL
    assert outcomes(tower, runs.fine) == {runs.well: Outcome.OK}


def test_a_job_whose_limit_matched_nothing_proves_nothing(tower: Tower, runs: Runs) -> None:
    assert runs.nobody.status == JobStatus.FAILED
    assert outcomes(tower, runs.nobody) == {runs.missing: Outcome.UNPROVEN}


def test_a_cancelled_job_proves_nothing(tower: Tower, runs: Runs) -> None:
    assert runs.canceled.status == JobStatus.CANCELED
    assert outcomes(tower, runs.canceled) == {runs.well: Outcome.UNPROVEN}


def test_a_job_that_its_own_timeout_ended_proves_nothing(tower: Tower, runs: Runs) -> None:
    if runs.late is None:
        pytest.skip("the token may make no job templates")
    assert runs.late.status == JobStatus.FAILED
    assert "timeout" in runs.late.explanation
    assert outcomes(tower, runs.late) == {runs.well: Outcome.UNPROVEN}


def test_a_job_says_nothing_until_its_events_are_processed_and_then_also_of_a_host_deleted_meanwhile(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    job_id = tower.launch(template, inventory, ids_of(hosts))
    operator.wait_until(lambda: operator.read(f"jobs/{job_id}/")["status"] == "running", "the job runs")
    job = tower.jobs([job_id])[job_id]
    assert not job.status.final
    assert outcomes(tower, job) is None
    tower.delete_hosts(tower.hosts_named(inventory, ids_of(hosts[:1])))
    shown = operator.wait_until(lambda: outcomes(tower, tower.jobs([job_id])[job_id]), "the events are processed")
    assert shown == dict.fromkeys(ids_of(hosts), Outcome.OK)


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
    found = tower.jobs_holding(runs.fine.kind, [runs.well], since)
    assert found == [runs.mixed, runs.canceled, runs.fine]
    assert tower.jobs_holding(runs.elsewhere.kind, [runs.well], since) == [runs.elsewhere]
    assert tower.jobs_holding(runs.fine.kind, [runs.dark, runs.failing], since) == [runs.mixed]


def test_a_job_that_holds_a_host_whose_id_begins_like_another_is_not_taken_for_the_others(
    tower: Tower, runs: Runs
) -> None:
    found = tower.jobs_holding(runs.fine.kind, [runs.missing], runs.fine.created_at)
    assert found == [runs.nobody, runs.mixed]
    assert tower.jobs_holding(runs.fine.kind, [runs.well[:-1]], runs.fine.created_at) == []


def launched_by_a_person(operator: Operator, template: JobTemplate, inventory: Inventory, **fields: object) -> int:
    """A job that is launched as one may from the user interface; its id."""
    answer = operator.ask("POST", f"job_templates/{template.id}/launch/", {"inventory": inventory.id} | fields)
    assert answer.status_code == 201, answer.text[:300]
    return int(answer.json()["job"])


def test_a_persons_run_on_everything_counts_for_the_hosts_that_it_ran_on(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    before = operator_time(operator) - CLOCK_TOLERANCE
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    job = ended(tower, operator, launched_by_a_person(operator, template, inventory, limit="all"))
    assert job.hosts == frozenset()
    (found,) = tower.jobs_holding(template.on(inventory), [*ids_of(hosts), instance_id()], before)
    assert found == replace(job, hosts=frozenset(ids_of(hosts)))
    assert outcomes(tower, found) == dict.fromkeys(ids_of(hosts), Outcome.OK)


def test_persons_runs_on_patterns_count_for_each_host_however_many_came_since(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    before = operator_time(operator) - CLOCK_TOLERANCE
    template = make_template()
    hosts = new_hosts(LIMITS_RESOLVED + 2)
    tower.create_hosts(inventory, hosts)
    ran_on = {
        launched_by_a_person(operator, template, inventory, limit=f"{each[:-1]}*"): {each} for each in ids_of(hosts)
    }
    for job_id in ran_on:
        ended(tower, operator, job_id)
    found = tower.jobs_holding(template.on(inventory), ids_of(hosts), before)
    assert {job.id: job.hosts for job in found} == ran_on


def test_a_run_under_tags_is_no_run_of_the_playbook(
    tower: Tower, operator: Operator, inventory: Inventory, make_template: Callable[..., JobTemplate]
) -> None:
    before = operator_time(operator) - CLOCK_TOLERANCE
    template = make_template(ask_tags_on_launch=True)
    hosts = new_hosts(1)
    tower.create_hosts(inventory, hosts)
    limit = ",".join(ids_of(hosts))
    part = ended(tower, operator, launched_by_a_person(operator, template, inventory, limit=limit, job_tags="no-such"))
    assert not part.is_whole
    assert tower.jobs_holding(template.on(inventory), ids_of(hosts), before) == []
    assert tower.usual_durations(template.on(inventory)) == ()
    whole = ended(tower, operator, tower.launch(template, inventory, ids_of(hosts)))
    assert tower.jobs_holding(template.on(inventory), ids_of(hosts), before) == [whole]


def test_the_good_jobs_of_a_kind_are_found_and_those_under_way(tower: Tower, runs: Runs) -> None:
    assert tower.good_jobs(runs.mixed, 3) == [runs.fine]
    assert tower.last_good_job(runs.nobody) == runs.fine
    assert tower.good_jobs(runs.elsewhere, 3) == [runs.elsewhere]
    assert tower.good_jobs(replace(runs.mixed, scm_revision="0" * 40), 3) == []
    assert tower.active_after(runs.fine, 3) == []


def test_a_jobs_events_tell_which_task_ended_how_on_which_host(tower: Tower, runs: Runs) -> None:
    events = tower.events(runs.mixed.id, TRACED_EVENTS, 1000)
    assert events
    ends = {kind: {each.host for each in events if each.kind == kind} for kind in TASK_RESULTS}
    assert runs.well in ends[OK] - ends[UNREACHABLE]
    assert (runs.dark in ends[UNREACHABLE], runs.failing in ends[FAILED]) == (True, True)
    starts = {each.task_id: each for each in events if each.kind == TASK_STARTED}
    for each in events:
        if each.kind in TASK_RESULTS:
            assert each.path.startswith("project/")
            assert (starts[each.task_id].path, each.play) == (each.path, starts[each.task_id].play)
    assert tower.events(runs.mixed.id, TRACED_EVENTS, len(events) - 1) is None
    own = tower.events(runs.mixed.id, TASK_RESULTS, 1000, [runs.well])
    assert own == [each for each in events if each.kind in TASK_RESULTS and each.host == runs.well]
    last = tower.last_events(runs.mixed.id, 3)
    assert [each.counter for each in last] == sorted((each.counter for each in last), reverse=True)
    assert last[0].counter >= max(each.counter for each in events)


def test_jobs_created_before_are_not_found(tower: Tower, runs: Runs) -> None:
    assert tower.jobs_holding(runs.fine.kind, [runs.well], runs.mixed.created_at) == [runs.mixed]
    assert tower.jobs_holding(runs.fine.kind, [runs.well], runs.nobody.created_at + 0.001) == []


def test_the_job_just_launched_is_found_among_hundreds_of_ids(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    before = operator_time(operator)
    hosts = new_hosts(2)
    tower.create_hosts(inventory, hosts)
    job_id = tower.launch(template, inventory, ids_of(hosts))
    asked = [*(instance_id() for _ in range(200)), *ids_of(hosts)]
    (job,) = tower.jobs_holding(template.on(inventory), asked, before - CLOCK_TOLERANCE)
    assert job.id == job_id
    assert job.hosts == set(ids_of(hosts))
    assert not job.status.final


def test_the_jobs_before_one_that_may_say_something_of_a_group_ran_on_its_hosts_or_failed_on_hosts_that_are_gone(
    tower: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    def hosts(group: str, variables: Json = REACHED) -> list[NewHost]:
        return [NewHost(instance_id(), {"rollcall": {"group": group, "account": "1"}} | variables) for _ in range(2)]

    def run(*some: NewHost) -> Job:
        return ended(tower, operator, tower.launch(template, inventory, ids_of(some)))

    group = f'a "group", {uuid4().hex}'
    own, others, gone = hosts(group), hosts("other"), hosts("other", FAILING)
    tower.create_hosts(inventory, [*own, *others, *gone])
    ours, theirs, failed, both, last = run(*own), run(*others), run(*gone), run(own[0], others[0]), run(others[1])
    assert tower.names_of_group(inventory, group, ids_of([*own, *others])) == set(ids_of(own))
    assert tower.jobs_of_group_before(last, group, 9) == [both, ours]
    assert theirs not in tower.jobs_of_group_before(last, group, 9)
    assert tower.names_without_host(failed) == frozenset()
    tower.delete_hosts(tower.hosts_named(inventory, ids_of(gone)))
    assert tower.names_without_host(failed) == frozenset(ids_of(gone))
    assert tower.jobs_of_group_before(last, group, 9) == [both, failed, ours]
    assert tower.jobs_of_group_before(last, group, 2) == [both, failed]


def test_whether_any_host_was_reached_since_and_in_which_jobs_one_was_not(tower: Tower, runs: Runs) -> None:
    kind, fine, mixed, nobody = runs.fine.kind, runs.fine, runs.mixed, runs.nobody
    assert tower.has_reached(kind, fine.created_at, fine.id)
    assert tower.has_reached(kind, mixed.created_at, nobody.id)
    assert not tower.has_reached(kind, nobody.created_at, nobody.id)
    assert not tower.has_reached(kind, fine.created_at, fine.id - 1)
    assert tower.jobs_unreached(kind, fine.created_at, 5) == [mixed]
    assert tower.jobs_unreached(kind, mixed.created_at + 0.001, 5) == []


def test_all_conditions_of_a_query_on_a_hosts_reached_summary_are_about_one_host(
    operator: Operator, runs: Runs
) -> None:
    path, by = f"job_templates/{runs.template.id}/jobs/", "job_host_summaries__"
    one, other, both = ({f"{by}dark": "1"}, {f"{by}failures": "1"}, {f"{by}dark": "1", f"{by}failures": "1"})
    assert [
        [row["id"] for row in operator.listed(path, inventory=runs.inventory.id, **each)] for each in (one, other, both)
    ] == [
        [runs.mixed.id],
        [runs.mixed.id],
        [],
    ]


def test_the_usual_durations_are_those_of_successful_jobs(
    tower: Tower, operator: Operator, runs: Runs, make_template: Callable[..., JobTemplate]
) -> None:
    rows = operator.listed(f"job_templates/{runs.template.id}/jobs/", status="successful", inventory=runs.inventory.id)
    assert tower.usual_durations(runs.fine.kind) == tuple(sorted(row["elapsed"] for row in rows))
    assert tower.usual_durations(make_template().on(runs.inventory)) == ()


def test_past_jobs_are_those_that_succeeded_with_their_hosts(tower: Tower, operator: Operator, runs: Runs) -> None:
    rows = operator.listed(f"job_templates/{runs.template.id}/jobs/", status="successful")
    newest = sorted(rows, key=lambda row: str(row["finished"]), reverse=True)[:PAST_JOBS]
    full = [row for row in newest if row["job_type"] == "run" and not row["job_tags"] and not row["skip_tags"]]
    whole = [row for row in full if row["limit"] != "all"]
    expected = [PastJob(len(set(row["limit"].split(","))), row["forks"], row["elapsed"]) for row in whole]
    assert Counter(tower.past_jobs(runs.template)) == Counter(expected)
    assert PastJob(1, 0, next(row["elapsed"] for row in rows if row["id"] == runs.fine.id)) in expected


def test_asking_for_the_jobs_of_what_is_not_there_is_an_error(tower: Tower, runs: Runs) -> None:
    with pytest.raises(TowerRejected, match="404"):
        outcomes(tower, replace(runs.fine, id=NO_SUCH_ID))
    with pytest.raises(TowerRejected, match="404"):
        tower.jobs_holding(replace(runs.fine.kind, template_id=NO_SUCH_ID), [runs.well], 0)
    with pytest.raises(TowerRejected, match="404"):
        tower.usual_durations(replace(runs.fine.kind, template_id=NO_SUCH_ID))


# Connections


def test_forty_calls_from_four_threads_open_at_most_four_connections(
    server: Server, tower: Tower, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = tower.create_hosts(inventory, new_hosts(10)).ids
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
    created = server.client("no-such-token", renewed=server.token).create_hosts(inventory, hosts).ids
    assert created.keys() == operator.host_names(inventory) == set(ids_of(hosts))


@pytest.fixture
def read_only(server: Server, operator: Operator) -> Tower:
    """The client with a token that may read everything and change nothing."""
    answer = operator.try_to_make_token("read")
    if answer.status_code != 201:
        pytest.skip(f"this server makes no tokens at its controller API: {answer.status_code} {answer.text[:200]}")
    return server.client(answer.json()["token"])


def test_a_token_that_may_only_read_reads_and_is_denied_the_rest(
    tower: Tower, read_only: Tower, operator: Operator, inventory: Inventory, template: JobTemplate
) -> None:
    hosts = new_hosts(2)
    created = tower.create_hosts(inventory, hosts).ids
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
    ]
    for call in refused:
        with pytest.raises(TowerDenied, match=r"403.*role"):
            call()
    kept = read_only.delete_hosts(found)
    assert kept.keys() == {host.id for host in found}
    assert all("403" in str(error) and "role" in str(error) for error in kept.values())
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
