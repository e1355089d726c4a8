"""Hosts of instances that are out of service for a while: disabled and marked, and enabled again only if we did it."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.domain.actions import Result
from rollcall.domain.errors import RollcallError, TowerDenied, TowerRejected, TowerUnavailable
from rollcall.domain.reports import Event
from rollcall.hosts.resting import disable_hosts, is_disabled_for_rest, is_enabled_on_return, resting_variables
from rollcall.hosts.variables import (
    OWED_SINCE,
    RESTING,
    STATE,
    STINT,
    identity_in,
    is_resting,
    job_owed_since,
    marker_in,
    with_our_variables,
    with_state,
)
from unit.fakes import ACCOUNT, REGION
from unit.world import World

if TYPE_CHECKING:
    from rollcall.domain.inventories import Host

PUBLIC = "54.239.28.85"


def now_of(world: World, host: Host) -> Host:
    """The host as it is by now."""
    [found] = [each for each in world.tower.hosts_of([host.name]) if each.id == host.id]
    return found


def rested(world: World, *instance_ids: str) -> set[str]:
    """The instances whose hosts were in use until now."""
    return set(disable_hosts(world.tower, instance_ids, ACCOUNT, REGION).instance_ids)


# Putting to rest


def test_the_host_is_disabled_and_marked_with_since_when_and_that_it_was_us(world: World) -> None:
    host = world.host_of("i-a", "10.0.0.7", variables={"by_hand": "kept"})
    world.clock.advance(60)
    assert rested(world, "i-a") == {"i-a"}
    found = now_of(world, host)
    assert not found.enabled
    assert marker_in(found.variables)[RESTING] == {"since": world.clock.now, "enabled": True}
    assert identity_in(found.variables) == host.marker
    assert (found.variables["ansible_host"], found.variables["by_hand"]) == ("10.0.0.7", "kept")
    assert found.description == host.description


def test_that_a_person_had_disabled_it_is_remembered(world: World) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    world.tower.disabled.add(host.id)
    rested(world, "i-a")
    found = now_of(world, host)
    assert marker_in(found.variables)[RESTING] == {"since": world.clock.now, "enabled": False}
    assert not is_enabled_on_return(found.variables)


def test_a_host_that_rests_already_is_left_as_it_is(world: World) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    rested(world, "i-a")
    before = now_of(world, host)
    world.clock.advance(60)
    assert rested(world, "i-a") == set()
    assert now_of(world, host) == before
    assert world.tower.calls["update_host"] == 1


def test_a_resting_host_that_a_person_enabled_is_disabled_again_and_was_enabled_before(world: World) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    rested(world, "i-a")
    began = marker_in(now_of(world, host).variables)[RESTING]
    world.tower.disabled.clear()
    world.clock.advance(60)
    assert rested(world, "i-a") == {"i-a"}
    assert not now_of(world, host).enabled
    assert marker_in(now_of(world, host).variables)[RESTING] == began


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("10.0.0.7", True),
        ("100.64.0.7", True),
        ("ip-10-0-0-7.ec2.internal", True),
        (PUBLIC, False),
        ("ec2-54-239-28-85.compute-1.amazonaws.com", False),
    ],
)
def test_a_private_address_is_kept_and_a_public_one_cleared(world: World, address: str, kept: bool) -> None:
    facts = {"private_ip": "10.0.0.7", "public_ip": PUBLIC}
    host = world.host_of("i-a", address, variables={"ec2": facts})
    rested(world, "i-a")
    found = now_of(world, host)
    assert found.variables["ansible_host"] == (address if kept else "")
    assert found.variables["ec2"] == (facts if kept else {**facts, "public_ip": ""})


@pytest.mark.parametrize("facts", [{}, {"ec2": None}, {"ec2": "by hand"}])
def test_a_host_without_facts_rests_too(world: World, facts: dict[str, object]) -> None:
    host = world.host_of("i-a", PUBLIC, variables=facts)
    rested(world, "i-a")
    assert now_of(world, host).variables["ansible_host"] == ""
    assert {key: now_of(world, host).variables.get(key) for key in facts} == facts


def test_its_hosts_in_every_inventory_rest_and_those_of_others_do_not(world: World) -> None:
    own = [world.host_of("i-a", "10.0.0.7"), world.host_of("i-a", "10.0.0.7", inventory=world.tower.add_inventory("b"))]
    world.host_of("i-b", "10.0.0.8")
    rested(world, "i-a")
    assert world.tower.disabled == {host.id for host in own}


@pytest.mark.parametrize(
    "marker",
    [
        None,
        {"account": "999999999999"},
        {"region": "eu-west-1"},
        {"instance_id": "i-b"},
        {"instance_id": ""},
        {"inventory": 4711},
    ],
    ids=str,
)
def test_a_host_that_is_not_ours_or_a_copy_or_of_another_instance_is_left_alone(
    world: World, marker: dict[str, Any] | None
) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    variables = {"rollcall": {**(host.marker or {}), **marker}} if marker else {}
    world.tower.hosts[host.id] = replace(host, variables=variables)
    assert rested(world, "i-a") == set()
    assert world.tower.updated == []


def test_a_host_that_was_renamed_is_found_by_its_field(world: World) -> None:
    host = world.host_of("i-a", "10.0.0.7", name="web-1")
    assert rested(world, "i-a") == {"i-a"}
    assert host.id in world.tower.disabled


def test_without_instances_no_request_is_made(world: World) -> None:
    assert rested(world) == set()
    assert not world.tower.calls


@pytest.mark.parametrize("error", [TowerUnavailable("away"), TowerDenied("no"), TowerRejected("what?")])
def test_what_keeps_one_host_from_its_rest_is_said_of_its_instance_alone(world: World, error: Exception) -> None:
    kept = world.host_of("i-a", "10.0.0.7")
    world.host_of("i-b", "10.0.0.8")
    update = type(world.tower).update_host

    def refuse(host_id: int, *args: Any, **own: Any) -> None:
        if host_id == kept.id:
            raise error
        update(world.tower, host_id, *args, **own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.tower, "update_host", refuse)
        done = disable_hosts(world.tower, {"i-a", "i-b"}, ACCOUNT, REGION)
    assert done.errors == {"i-a": error}
    assert done.instance_ids == {"i-a", "i-b"}
    assert kept.id not in world.tower.disabled


def test_tower_that_cannot_be_asked_is_no_answer(world: World) -> None:
    world.tower.failing["hosts_of"] = TowerUnavailable("away")
    with pytest.raises(TowerUnavailable):
        rested(world, "i-a")


# Cleanup


@pytest.mark.parametrize("state", ["Warmed:Pending:Wait", "ReplacingRootVolume:Wait"])
def test_the_hook_of_who_rests_is_completed_only_after_its_host_is_disabled(world: World, state: str) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    action = world.terminating("i-a")
    world.leaves("i-a", state)
    disabled: list[bool] = []
    world.fleet.before_complete = lambda action: disabled.append(host.id in world.tower.disabled)
    [report] = world.clean_up(action)
    assert disabled == [True]
    assert world.fleet.completed == {action: Result.CONTINUE}
    assert (report.outcome, report.event) == (f"its host is disabled: it is {state} in group 'web'", Event.RETIRED)


@pytest.mark.parametrize("error", [TowerUnavailable("away"), TowerDenied("no")])
def test_the_hook_of_whose_host_cannot_be_disabled_is_not_completed_and_its_neighbour_is(
    world: World, error: RollcallError
) -> None:
    world.host_of("i-a", "10.0.0.7")
    actions = [world.terminating("i-a"), world.terminating("i-b")]
    world.leaves("i-a", "Warmed:Pending:Wait")
    world.tower.failing["update_host"] = error
    reports = {report.action.instance_id: report for report in world.clean_up(*actions)}
    assert reports["i-a"].error is error
    assert reports["i-b"].error is None
    assert world.fleet.completed == {actions[1]: Result.CONTINUE}


def test_who_rests_and_who_goes_are_distinguished_in_one_batch(world: World) -> None:
    for name in ("i-a", "i-b", "i-c"):
        world.host_of(name, "10.0.0.7")
    actions = [world.terminating(name) for name in ("i-a", "i-b", "i-c")]
    world.leaves("i-b", "Warmed:Pending:Wait")
    world.leaves("i-c", "InService")
    world.fleet.stale.add("i-c")
    world.clean_up(*actions)
    hosts = {host.name: host.enabled for host in world.tower.hosts_of(["i-a", "i-b", "i-c"])}
    assert hosts == {"i-b": False, "i-c": True}


# The marker's state

VALUES = st.integers() | st.text(max_size=3) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
IDENTITIES = st.dictionaries(st.sampled_from(["group", "instance_id", "vpc", "inventory", "chef"]), VALUES)
STATES = st.dictionaries(st.sampled_from(STATE), VALUES)
OTHERS = st.dictionaries(st.sampled_from(["ansible_host", "ec2", "by_hand", "rack"]), VALUES)


@given(IDENTITIES, STATES, OTHERS, IDENTITIES, OTHERS)
def test_what_is_wanted_replaces_the_identity_and_keeps_the_state(
    identity: dict[str, Any], state: dict[str, Any], others: dict[str, Any], wanted: dict[str, Any], new: dict[str, Any]
) -> None:
    there = {**others, "rollcall": {**identity, **state}}
    made = with_our_variables(there, {**new, "rollcall": wanted})
    assert identity_in(made) == wanted
    assert {key: value for key, value in marker_in(made).items() if key in STATE} == state
    assert {key: made[key] for key in others if key in ("by_hand", "rack")} == {
        key: value for key, value in others.items() if key in ("by_hand", "rack")
    }
    assert {key: made[key] for key in new if key in ("ansible_host", "ec2")} == {
        key: value for key, value in new.items() if key in ("ansible_host", "ec2")
    }
    assert not {"ansible_host", "ec2"} & (made.keys() - new.keys())


def test_a_state_that_is_wanted_replaces_the_one_that_is_there() -> None:
    made = with_our_variables({"rollcall": {"stint": 1, "resting": 2}}, {"rollcall": {"group": "web", "stint": 3}})
    assert made == {"rollcall": {"group": "web", "stint": 3, "resting": 2}}


@given(IDENTITIES, STATES, STATES, st.sets(st.sampled_from(STATE)))
def test_state_is_set_or_taken_out_and_all_else_kept(
    identity: dict[str, Any], state: dict[str, Any], new: dict[str, Any], out: set[str]
) -> None:
    there = {"by_hand": 1, "rollcall": {**identity, **state}}
    made = with_state(there, **{**new, **dict.fromkeys(out)})
    assert made["by_hand"] == 1
    assert identity_in(made) == identity
    expected = {key: value for key, value in {**state, **new}.items() if key not in out}
    assert {key: value for key, value in marker_in(made).items() if key in STATE} == expected


@pytest.mark.parametrize("owed", [None, "soon", [], True, -1, 10**400, 1e300], ids=lambda owed: str(owed)[:9])
def test_a_job_that_is_owed_since_no_moment_is_not_owed(owed: object) -> None:
    assert job_owed_since({"rollcall": {"job_owed_since": owed}}) is None


@pytest.mark.parametrize("marker", [None, 7, "web", []])
def test_a_marker_that_is_none_says_nothing(marker: object) -> None:
    variables = {"rollcall": marker}
    assert (marker_in(variables), identity_in(variables)) == ({}, {})
    assert not is_resting(variables)
    assert job_owed_since(variables) is None
    assert not is_enabled_on_return(variables)


@pytest.mark.parametrize(
    ("mark", "again"), [({"enabled": True}, True), ({}, True), ({"enabled": False}, False), (None, False), (7, False)]
)
def test_a_host_is_enabled_again_unless_the_mark_says_that_a_person_had_disabled_it(mark: object, again: bool) -> None:
    assert is_enabled_on_return({"rollcall": {RESTING: mark}}) == again


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("mark", [True, False])
def test_a_host_rests_that_is_disabled_and_marked(world: World, enabled: bool, mark: bool) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    variables = with_state(host.variables, resting={"since": 1.0, "enabled": True}) if mark else host.variables
    assert is_disabled_for_rest(replace(host, enabled=enabled, variables=variables)) == (mark and not enabled)


def test_a_mark_that_cannot_be_read_is_replaced(world: World) -> None:
    host = world.host_of("i-a", "10.0.0.7")
    marked = with_state(host.variables, **{RESTING: "yes", STINT: {"since": 1.0}, OWED_SINCE: 7})
    made = marker_in(resting_variables(replace(host, variables=marked), 9.0))
    assert made[RESTING] == {"since": 9.0, "enabled": True}
    assert (made[STINT], made[OWED_SINCE]) == ({"since": 1.0}, 7)
