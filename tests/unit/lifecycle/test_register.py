"""Launched instances become hosts, and get one job: the stages of a batch."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.domain.actions import LifecycleAction, Result, Transition
from rollcall.domain.errors import (
    BadEvent,
    BadSettings,
    HostLimitReached,
    HostRenamed,
    InstanceNotVisible,
    JobStillLanding,
    RollcallError,
    Scope,
    Throttled,
    TowerDenied,
    TowerRejected,
    TowerUnavailable,
)
from rollcall.domain.groups import AddressKind
from rollcall.domain.jobs import Outcome
from rollcall.domain.reports import Event
from rollcall.domain.timing import FIRST_POLL, OTHER_LAUNCH_TIME
from rollcall.hosts.jobs import CLOCK_STEP
from rollcall.hosts.resting import disable_hosts
from unit.fakes import ACCOUNT, REGION
from unit.world import HOOK, World, ids, token_of, warning

if TYPE_CHECKING:
    from rollcall.domain.inventories import Host, Inventory
    from rollcall.domain.messages import GateMessage
    from rollcall.domain.reports import Report


def outcomes(reports: list[Report]) -> dict[str, str]:
    return {report.action.instance_id: report.outcome for report in reports if not report.error}


def errors(reports: list[Report]) -> dict[str, RollcallError]:
    return {report.action.instance_id: report.error for report in reports if report.error}


def only_error(reports: list[Report]) -> RollcallError:
    [report] = reports
    assert report.error
    return report.error


def only_message(world: World) -> GateMessage:
    [(message, _)] = world.queues.gate_messages()
    return message


# The good day


def test_a_burst_costs_one_create_one_job_and_one_message(world: World) -> None:
    actions = [world.launching(f"i-{number}") for number in range(100)]
    reports = world.register(*actions)
    assert set(outcomes(reports)) == {action.instance_id for action in actions}
    assert world.tower.calls["create_hosts"] == world.tower.calls["launch"] == 1
    message = only_message(world)
    assert world.tower.runs[message.job_id or 0].job.hosts == ids(message) == set(outcomes(reports))


def test_a_batch_of_new_instances_is_looked_for_in_tower_once(world: World) -> None:
    world.register(*[world.launching(f"i-{number}") for number in range(100)])
    once = {"inventory", "job_template", "hosts_of", "hosts_at", "create_hosts", "group_ids", "launch"}
    assert set(world.tower.calls) == once | {"usual_durations", "add_to_group"}
    assert {method: times for method, times in world.tower.calls.items() if times > 1} == {"add_to_group": 100}


@pytest.mark.parametrize(("most", "sizes"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (4, [4, 1]), (100, [5])])
def test_a_job_holds_no_more_hosts_than_it_may(world: World, most: int, sizes: list[int]) -> None:
    world.settings = replace(world.settings, max_hosts_per_job=most)
    world.register(*[world.launching(f"i-{number}") for number in range(5)])
    limits = [run.job.hosts for run in world.tower.runs.values()]
    assert [len(limit) for limit in limits] == sizes
    assert [ids(message) for message, _ in world.queues.gate_messages()] == limits


def test_a_launch_that_fails_costs_the_other_jobs_of_the_batch_nothing(world: World) -> None:
    world.settings = replace(world.settings, max_hosts_per_job=1)

    def refuse_the_second(method: str) -> None:
        world.tower.failing = {"launch": TowerUnavailable("busy")} if len(world.tower.runs) == 1 else {}

    world.tower.before_call = refuse_the_second
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    assert (list(outcomes(reports)), list(errors(reports))) == (["i-a"], ["i-b"])


def test_what_the_gate_is_handed(world: World) -> None:
    action = world.launching("i-a")
    launched_at = world.clock.now
    world.clock.advance(7)
    world.register(action)
    message = only_message(world)
    [waiting] = message.waiting
    assert (waiting.action, waiting.launched_at, waiting.address) == (action, launched_at, "10.0.0.7")
    assert (message.since, message.polls, message.alerted) == (world.clock.now, 0, False)
    assert message.heartbeat_at == launched_at  # earlier its hook cannot have begun to wait


def test_the_host_is_named_after_its_instance_and_carries_the_marker(world: World) -> None:
    world.register(world.launching("i-a"))
    [host] = world.tower.hosts.values()
    assert (host.name, host.instance_id, host.inventory_id) == ("i-a", "i-a", world.inventory.id)
    assert host.variables["ansible_host"] == "10.0.0.7"
    assert host.marker == {
        "group": "web",
        "instance_id": "i-a",
        "account": ACCOUNT,
        "region": REGION,
        "vpc": "vpc-1",
        "inventory": world.inventory.id,
        "stint": {"since": world.clock.now - CLOCK_STEP, "token": token_of("i-a"), "hook": HOOK},
    }


def test_groups_of_the_inventory_are_made_and_joined(world: World) -> None:
    world.group("web", groups="web eu-west db")
    world.register(world.launching("i-a"))
    joined = {group_id for group_id, _ in world.tower.members}
    assert joined == {world.tower.groups[world.inventory.id, name] for name in ("web", "eu-west", "db")}


def test_a_host_joins_the_group_named_after_its_auto_scaling_group_by_default(world: World) -> None:
    world.register(world.launching("i-a"))
    assert {name for _, name in world.tower.groups} == {"web"}


def test_a_group_without_a_template_goes_straight_to_the_gate(world: World) -> None:
    world.group("web", job_template="")
    world.register(world.launching("i-a"))
    [(message, delay)] = world.queues.gate_messages()
    assert (message.job_id, delay) == (None, 0)
    assert not world.tower.runs


def test_the_first_round_comes_when_jobs_usually_end_but_within_a_third_of_the_heartbeat_timeout(world: World) -> None:
    world.tower.usual = (100.0, 110.0, 120.0)
    world.register(world.launching("i-a"))
    world.group("web", heartbeat_timeout=60)
    world.register(world.launching("i-b"))
    assert [delay for _, delay in world.queues.gate_messages()] == [99, 20]


def test_one_job_for_each_template_and_inventory(world: World) -> None:
    other = world.tower.add_inventory("other")
    world.tower.add_template("provision-db")
    world.group("db", job_template="provision-db")
    world.group("far", inventory="other")
    world.group("web2")
    batch = [("i-a", "web"), ("i-b", "web2"), ("i-c", "db"), ("i-d", "far"), ("i-e", "web")]
    world.register(*[world.launching(instance_id, group) for instance_id, group in batch])
    limits = {(run.inventory.name, *sorted(run.job.hosts)) for run in world.tower.runs.values()}
    assert limits == {("prod", "i-a", "i-b", "i-e"), ("prod", "i-c"), ("other", "i-d")}
    assert world.tower.names_in(other) == {"i-d"}


def test_an_action_that_arrives_twice_in_a_batch_counts_once(world: World) -> None:
    action = world.launching("i-a")
    assert len(world.register(action, action)) == 1
    assert len(only_message(world).waiting) == 1


def test_an_instance_with_two_hooks_has_one_host_and_both_hooks_wait(world: World) -> None:
    first = world.launching("i-a")
    second = replace(first, hook="rollcall-second", token=token_of("i-2"))
    world.register(first, second)
    assert {each.action for each in only_message(world).waiting} == {first, second}
    assert len(world.tower.hosts) == 1
    assert world.tower.calls["launch"] == 1


# What is no new instance


def test_a_group_that_did_not_opt_in_is_passed_over(world: World) -> None:
    world.group("web", tags={"Name": "other"})
    reports = world.register(replace(world.launching("i-a"), hook="someone-elses"))
    assert outcomes(reports) == {"i-a": "passed over: the group did not opt in"}
    assert not world.tower.hosts
    assert not world.queues.sent


def test_a_hook_of_ours_on_a_group_that_did_not_opt_in_is_an_error_that_names_both(world: World) -> None:
    world.group("web", tags={})
    error = only_error(world.register(world.launching("i-a")))
    assert isinstance(error, BadSettings)
    assert "'web'" in str(error)
    assert "'rollcall-launch'" in str(error)


@pytest.mark.parametrize("state", ["InService", "Standby", "EnteringStandby", "Detached"])
def test_an_instance_that_is_not_pending_any_more_is_left_alone(world: World, state: str) -> None:
    world.fleet.stale.add("i-a")
    reports = world.register(world.launching("i-a", state=state))
    assert outcomes(reports) == {"i-a": f"no longer pending: {state}"}
    assert not world.tower.hosts
    assert not world.queues.sent


@pytest.mark.parametrize(
    "state", ["InService", "Standby", "Detached", "Quarantined", "Warmed:Stopped", "Warmed:Pending"]
)
def test_an_instance_whose_hook_waits_although_it_is_said_to_be_elsewhere_is_asked_for_again(
    world: World, state: str
) -> None:
    error = only_error(world.register(world.launching("i-a", state=state)))
    assert isinstance(error, InstanceNotVisible)
    assert state in str(error)
    assert not world.tower.hosts
    assert not world.fleet.completed


@pytest.mark.parametrize("state", ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"])
def test_the_hosts_of_an_instance_that_is_going_are_removed(world: World, state: str) -> None:
    world.tower.add_host(world.inventory, "i-a")
    reports = world.register(world.launching("i-a", state=state))
    assert outcomes(reports) == {"i-a": "removed from every inventory: already gone"}
    assert not world.tower.hosts


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_the_hosts_of_an_instance_that_ec2_terminated_are_removed(world: World, state: str) -> None:
    action = world.launching("i-a")
    world.terminated("i-a")
    world.fleet.known_instances["i-a"] = world.instance("i-a", state=state)
    world.tower.add_host(world.inventory, "i-a")
    assert outcomes(world.register(action)) == {"i-a": "removed from every inventory: already gone"}
    assert not world.tower.hosts


def test_the_hosts_of_an_instance_whose_group_is_deleted_are_removed(world: World) -> None:
    action = world.launching("i-a")
    world.fleet.known_groups.clear()
    world.fleet.known_memberships.clear()
    world.fleet.known_instances.clear()
    world.tower.add_host(world.inventory, "i-a")
    assert outcomes(world.register(action)) == {"i-a": "removed from every inventory: already gone"}
    assert not world.tower.hosts


def test_an_instance_that_was_detached_keeps_its_hosts_though_its_group_is_deleted(world: World) -> None:
    action = world.launching("i-a")
    world.detached("i-a")
    world.fleet.known_groups.clear()
    host = world.tower.add_host(world.inventory, "i-a")
    assert isinstance(only_error(world.register(action)), InstanceNotVisible)
    assert world.tower.hosts == {host.id: host}


def test_an_instance_that_nobody_knows_yet_is_waited_for_while_its_group_exists(world: World) -> None:
    action = world.launching("i-a")
    world.fleet.known_memberships.clear()
    world.fleet.known_instances.clear()
    host = world.tower.add_host(world.inventory, "i-a")
    assert isinstance(only_error(world.register(action)), InstanceNotVisible)
    assert world.tower.hosts == {host.id: host}


@pytest.mark.parametrize("state", ["Pending:Wait", "InService"])
def test_an_instance_still_listed_though_its_group_is_deleted_does_not_touch_its_neighbours(
    world: World, state: str
) -> None:
    # Between reading the instances and reading the groups, or attached to another group since.
    deleted = world.launching("i-d", "deleted", state)
    reports = world.register(deleted, world.launching("i-a"))
    assert "i-a" in outcomes(reports)
    assert {report.action.instance_id for report in reports} == {"i-a", "i-d"}


def test_a_gone_host_that_tower_keeps_fails_only_its_own_action(world: World) -> None:
    other = world.tower.add_inventory("other")
    world.group("far", inventory="other")
    world.tower.add_host(other, "i-a")
    world.tower.denied.add(other.id)
    reports = world.register(world.launching("i-a", state="Terminated"), world.launching("i-b"))
    assert isinstance(errors(reports)["i-a"], TowerDenied)
    assert list(outcomes(reports)) == ["i-b"]


def test_an_instance_that_auto_scaling_does_not_list_yet_is_waited_for(world: World) -> None:
    action = world.launching("i-a")
    world.fleet.known_memberships.clear()
    assert isinstance(only_error(world.register(action)), InstanceNotVisible)


def test_an_instance_that_ec2_does_not_describe_yet_is_waited_for(world: World) -> None:
    action = world.launching("i-a")
    world.fleet.known_instances.clear()
    assert isinstance(only_error(world.register(action)), InstanceNotVisible)
    assert not world.tower.hosts


def test_an_instance_on_its_way_into_a_warm_pool_is_let_in_without_a_host(world: World) -> None:
    action = world.launching("i-a", state="Warmed:Pending:Wait")
    world.register(action)
    assert world.fleet.completed == {action: Result.CONTINUE}
    assert not world.tower.hosts


def test_a_terminate_action_in_the_launch_queue_is_refused(world: World) -> None:
    # As register would not complete its hook, it would wait in vain.
    error = only_error(world.register(world.terminating("i-a")))
    assert isinstance(error, BadEvent)


# Settings that cannot be followed


@pytest.mark.parametrize(
    "own",
    [
        {"inventory": "nowhere"},
        {"job_template": "nothing"},
        {"gate": "icmp"},
        {"timeout": "soon"},
        {"address": "public"},
    ],
)
def test_a_tag_that_cannot_be_followed_fails_only_its_group(world: World, own: dict[str, str]) -> None:
    world.group("db", 3600, None, **own)
    reports = world.register(world.launching("i-a"), world.launching("i-d", "db"))
    assert list(outcomes(reports)) == ["i-a"]
    assert isinstance(errors(reports)["i-d"], BadSettings)
    assert world.tower.names_in(world.inventory) == {"i-a"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"asks_limit": False}, "does not prompt for limit"),
        ({"job_type": "check"}, "is of the job type 'check'"),
        ({"tags": "base"}, "runs only the tags 'base'"),
        ({"slices": 2}, "slices"),
        ({"asks_inventory": False, "inventory_id": 999}, "fixed to inventory 999"),
        ({"asks_inventory": False, "inventory_id": None}, "fixed to inventory"),
    ],
)
def test_a_template_that_cannot_be_limited_is_refused_before_anything_happens(
    world: World, changes: dict[str, Any], words: str
) -> None:
    world.tower.templates["provision"] = replace(world.template, **changes)
    error = only_error(world.register(world.launching("i-a")))
    assert isinstance(error, BadSettings)
    assert words in str(error)
    assert "'web'" in str(error)
    assert "'provision'" in str(error)
    assert not world.tower.hosts
    assert world.tower.calls["launch"] == 0


def test_what_is_wrong_with_a_group_is_asked_of_tower_once_for_all_its_instances(world: World) -> None:
    world.tower.failing["inventory"] = TowerUnavailable("busy")
    reports = world.register(*[world.launching(f"i-{number}") for number in range(50)])
    assert len(errors(reports)) == 50
    assert world.tower.calls == {"inventory": 1}


def test_a_template_fixed_to_the_groups_own_inventory_will_do(world: World) -> None:
    fixed = replace(world.template, asks_inventory=False, inventory_id=world.inventory.id)
    world.tower.templates["provision"] = fixed
    world.register(world.launching("i-a"))
    assert world.tower.calls["launch"] == 1


@pytest.mark.parametrize(
    ("kind", "address"),
    [("private", "10.0.0.7"), ("private-dns", "ip-10-0-0-7.ec2.internal"), ("public", "203.0.113.9")],
)
def test_tower_connects_to_the_address_the_group_asks_for(world: World, kind: str, address: str) -> None:
    world.group("web", address=kind)
    action = world.launching("i-a")
    instance = world.fleet.known_instances["i-a"]
    public = {key: each or "203.0.113.9" for key, each in instance.addresses.items()}
    world.fleet.known_instances["i-a"] = replace(instance, addresses=public)
    world.register(action)
    [host] = world.tower.hosts.values()
    assert host.variables["ansible_host"] == address
    assert only_message(world).waiting[0].address == address


def test_an_instance_that_still_starts_may_get_the_address_it_lacks(world: World) -> None:
    world.group("web", address="public")
    action = world.launching("i-a")
    world.fleet.known_instances["i-a"] = world.instance("i-a", state="pending")
    assert isinstance(only_error(world.register(action)), InstanceNotVisible)
    world.fleet.known_instances["i-a"] = world.instance("i-a", state="running")
    assert isinstance(only_error(world.register(action)), BadSettings)


# Hosts that exist already


def test_a_host_of_ours_is_brought_up_to_date_and_keeps_what_is_not_ours(world: World) -> None:
    host = world.tower.add_host(
        world.inventory,
        "i-a",
        instance_id="",
        variables={"rollcall": {"group": "old"}, "ansible_host": "10.9.9.9", "ec2": {"old": 1}, "owner": "team-a"},
        created_at=world.clock.now - 3600,
    )
    world.register(world.launching("i-a"))
    [now] = world.tower.hosts.values()
    assert now.id == host.id
    assert now.instance_id == "i-a"
    assert now.variables["owner"] == "team-a"
    assert now.variables["ansible_host"] == "10.0.0.7"
    assert "old" not in str(now.variables)


def test_a_host_that_is_as_it_should_be_is_not_written_again(world: World) -> None:
    action = world.launching("i-a")
    world.register(action)
    world.register(action)
    assert not world.tower.updated


def test_a_host_that_is_not_ours_is_left_alone_and_named(world: World) -> None:
    host = world.tower.add_host(world.inventory, "i-a", variables={"by": "hand"})
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    error = errors(reports)["i-a"]
    assert isinstance(error, BadSettings)
    assert "i-a" in str(error)
    assert "'prod'" in str(error)
    assert "AdoptByInstanceId" in str(error)
    assert world.tower.hosts[host.id] == host
    assert list(outcomes(reports)) == ["i-b"]
    assert ids(only_message(world)) == {"i-b"}


def test_a_host_that_is_not_ours_is_taken_over_where_that_is_allowed(world: World) -> None:
    world.settings = replace(world.settings, adopt_by_instance_id=True)
    host = world.tower.add_host(world.inventory, "i-a", variables={"by": "hand"}, created_at=world.clock.now - 9999)
    world.register(world.launching("i-a"))
    assert world.tower.hosts[host.id].marker
    assert world.tower.hosts[host.id].variables["by"] == "hand"
    assert ids(only_message(world)) == {"i-a"}


def test_a_membership_that_exists_is_not_asked_for_again(world: World) -> None:
    world.group("web", groups="web extra")
    known = world.tower.group_ids(world.inventory, ["web"])["web"]
    world.tower.add_host(
        world.inventory,
        "i-a",
        variables={"rollcall": {}},
        created_at=world.clock.now - 9999,
        group_ids=frozenset({known}),
    )
    world.register(world.launching("i-a"))
    assert len(world.tower.memberships_made) == 1
    assert known not in dict(world.tower.memberships_made)


def test_a_host_of_so_many_groups_that_tower_lists_only_some_joins_all_of_its_own(world: World) -> None:
    world.tower.add_host(
        world.inventory, "i-a", variables={"rollcall": {}}, created_at=world.clock.now - 9999, group_ids=None
    )
    world.register(world.launching("i-a"))
    assert len(world.tower.memberships_made) == 1


def test_the_groups_of_hosts_that_are_in_many_are_looked_up_for_the_whole_batch(world: World) -> None:
    known = world.tower.group_ids(world.inventory, ["web"])["web"]
    old = {"variables": {"rollcall": {}}, "created_at": world.clock.now - 9999, "group_ids": None}
    inside = [world.tower.add_host(world.inventory, name, **old) for name in ("i-a", "i-b")]
    world.tower.members = {(known, host.id) for host in inside}
    outside = world.tower.add_host(world.inventory, "i-c", **old)
    world.register(*[world.launching(name) for name in ("i-a", "i-b", "i-c")])
    assert world.tower.memberships_made == [(known, outside.id)]
    assert world.tower.calls["group_members"] == 1


def test_hosts_that_somebody_else_creates_meanwhile_are_found(world: World) -> None:
    def lose_the_race() -> None:
        world.tower.add_host(world.inventory, "i-a", variables={"rollcall": {}})

    world.tower.before_create.append(lose_the_race)
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    assert world.tower.names_in(world.inventory) == {"i-a", "i-b"}
    assert isinstance(errors(reports)["i-a"], JobStillLanding)  # whoever made it is at work
    assert ids(only_message(world)) == {"i-b"}


def test_a_host_that_tower_cannot_hold_fails_its_action_alone(world: World) -> None:
    world.tower.unfit["i-b"] = TowerRejected("host 'i-b' of inventory 'prod': its variables hold a NUL character")
    reports = world.register(*[world.launching(name) for name in ("i-a", "i-b", "i-c")])
    assert {name: str(error) for name, error in errors(reports).items()} == {"i-b": str(world.tower.unfit["i-b"])}
    assert ids(only_message(world)) == {"i-a", "i-c"}


def test_of_more_than_tower_has_room_for_those_that_wait_for_longest_are_registered(world: World) -> None:
    ages = {"i-a": 10.0, "i-b": 300.0, "i-c": 20.0, "i-d": 200.0}
    actions = [replace(world.launching(name), at=world.clock.now - age) for name, age in ages.items()]
    world.tower.room = 2
    reports = world.register(*actions)
    assert ids(only_message(world)) == {"i-b", "i-d"}
    assert errors(reports).keys() == {"i-a", "i-c"}
    assert {type(error) for error in errors(reports).values()} == {HostLimitReached}
    world.queues.sent.clear()
    world.tower.room = 1
    reports = world.register(actions[0], actions[2])
    assert ids(only_message(world)) == {"i-c"}
    assert errors(reports).keys() == {"i-a"}


# Recycled addresses


def at(world: World, instance_id: str, address: str, kind: AddressKind = AddressKind.PRIVATE) -> LifecycleAction:
    """The launch action of an instance with an address of its own."""
    action = world.launching(instance_id)
    instance = world.fleet.known_instances[instance_id]
    world.fleet.known_instances[instance_id] = replace(instance, addresses={**instance.addresses, kind: address})
    return action


def occupied(world: World, address: str, instance_id: str = "i-old", inventory: Inventory | None = None) -> Host:
    """The host of an instance that is gone, at this address."""
    world.fleet.known_instances[instance_id] = world.instance(instance_id, state="terminated")
    return world.host_of(instance_id, address, "db", inventory=inventory)


def test_the_stale_host_at_a_new_instances_address_is_removed_before_the_new_host_is_made(world: World) -> None:
    occupied(world, "10.0.0.7")
    there: dict[str, set[str]] = {}
    world.tower.before_call = lambda method: there.setdefault(method, world.tower.names_in(world.inventory))
    reports = world.register(world.launching("i-new"))
    assert (there["create_hosts"], there["launch"]) == (set(), {"i-new"})
    assert outcomes(reports)["i-new"].startswith("registered")
    [job] = [run.job for run in world.tower.runs.values()]
    assert job.hosts == {"i-new"}


def test_an_eviction_is_reported_as_of_the_one_that_went(world: World) -> None:
    occupied(world, "10.0.0.7")
    [report] = [each for each in world.register(world.launching("i-new")) if each.action.instance_id == "i-old"]
    assert report.outcome == "evicted: EC2 says that it is terminated, and i-new has its address"
    assert (report.action.transition, report.action.hook) == (Transition.TERMINATING, None)
    assert (report.action.account, report.action.region, report.action.group) == (ACCOUNT, REGION, "db")


def test_an_eviction_is_reported_also_when_the_new_instance_fails(world: World) -> None:
    occupied(world, "10.0.0.7")
    world.tower.failing["create_hosts"] = TowerUnavailable("busy")
    reports = world.register(world.launching("i-new"))
    assert list(outcomes(reports)) == ["i-old"]
    assert list(errors(reports)) == ["i-new"]


def test_a_new_instance_is_registered_beside_a_host_that_stays(world: World) -> None:
    world.host_of("i-young", "10.0.0.7", age=60)
    world.serving("i-living", "10.0.0.8")
    world.host_of("i-living", "10.0.0.7")
    reports = world.register(world.launching("i-new"))
    assert list(outcomes(reports)) == ["i-new"]
    assert world.tower.names_in(world.inventory) == {"i-young", "i-living", "i-new"}


def test_a_private_address_of_another_vpc_is_another(world: World) -> None:
    host = occupied(world, "10.0.0.7")
    action = world.launching("i-new")
    instance = world.fleet.known_instances["i-new"]
    world.fleet.known_instances["i-new"] = replace(instance, facts={**instance.facts, "vpc": "vpc-2"})
    assert list(outcomes(world.register(action))) == ["i-new"]
    assert host.id in world.tower.hosts


def test_the_address_that_counts_is_the_one_the_group_asks_for(world: World) -> None:
    world.group("web", address="public")
    stays = occupied(world, "10.0.0.7", "i-elsewhere")
    occupied(world, "54.0.0.9")
    world.register(at(world, "i-new", "54.0.0.9", AddressKind.PUBLIC))
    assert world.tower.names_in(world.inventory) == {stays.name, "i-new"}


def test_an_inventory_that_keeps_the_old_host_fails_only_who_has_its_address(world: World) -> None:
    occupied(world, "10.0.0.7")
    world.tower.denied.add(world.inventory.id)
    reports = world.register(at(world, "i-new", "10.0.0.7"), at(world, "i-b", "10.0.0.8"))
    error = errors(reports)["i-new"]
    assert isinstance(error, TowerDenied)
    assert "'prod'" in str(error)
    assert "i-old" in str(error)
    assert list(outcomes(reports)) == ["i-b"]
    assert world.tower.names_in(world.inventory) == {"i-old", "i-b"}
    assert ids(only_message(world)) == {"i-b"}


def test_another_inventory_that_keeps_the_old_host_costs_the_new_instance_one_try(world: World) -> None:
    kept = world.tower.add_inventory("kept")
    world.group("far", inventory="kept")
    occupied(world, "10.0.0.7")
    occupied(world, "10.0.0.7", inventory=kept)
    world.tower.denied.add(kept.id)
    action = world.launching("i-new")
    assert "'kept'" in str(only_error(world.register(action)))
    assert list(outcomes(world.register(action))) == ["i-new"]


def test_an_inventory_that_may_only_be_read_and_that_no_group_names_holds_no_new_instance(world: World) -> None:
    mirror = world.tower.add_inventory("all EC2")
    occupied(world, "10.0.0.7")
    occupied(world, "10.0.0.7", inventory=mirror)
    world.tower.denied.add(mirror.id)
    reports = world.register(world.launching("i-new"))
    assert list(outcomes(reports)) == ["i-old", "i-new"]
    [evicted] = [report for report in reports if report.evicted]
    assert [(note.alert, note.cause) for note in evicted.notes] == [(True, "read-only inventory: all EC2")]
    assert world.tower.names_in(world.inventory) == {"i-new"}
    assert world.tower.names_in(mirror) == {"i-old"}


@pytest.mark.parametrize("way", ["gone already", "left meanwhile"])
def test_of_a_launch_that_left_a_host_in_a_read_only_inventory_that_is_reported_with_its_cause(
    world: World, way: str
) -> None:
    mirror = world.tower.add_inventory("all EC2")
    world.tower.denied.add(mirror.id)
    world.tower.add_host(mirror, "i-a")
    action = world.launching("i-a")
    if way == "gone already":
        world.leaves("i-a")
    else:
        world.tower.after_create = lambda: world.leaves("i-a")
    [report] = world.register(action)
    assert [(note.alert, note.cause) for note in report.notes] == [(True, "read-only inventory: all EC2")]
    assert (report.error, report.event) == (None, Event.RETIRED if way == "left meanwhile" else None)


@pytest.mark.parametrize("method", ["memberships", "instances"])
def test_aws_that_cannot_be_asked_for_who_has_an_address_fails_only_that_inventory(world: World, method: str) -> None:
    world.tower.add_inventory("other")
    world.group("far", inventory="other")
    occupied(world, "10.0.0.7")

    def only_for_this(asked: str) -> None:
        world.fleet.failing = {method: Throttled("later")} if asked == "hosts_at" else {}

    actions = [world.launching("i-new"), world.launching("i-far", "far")]
    world.tower.before_call = only_for_this
    reports = world.register(*actions)
    assert {each: type(error) for each, error in errors(reports).items()} == {"i-new": Throttled}
    assert list(outcomes(reports)) == ["i-far"]
    assert world.tower.names_in(world.inventory) == {"i-old"}


def test_a_second_copy_takes_nobody_for_in_its_own_way(world: World) -> None:
    actions = [world.launching("i-a"), world.launching("i-b")]
    world.register(*actions)
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.register(*actions)
    assert world.tower.names_in(world.inventory) == {"i-a", "i-b"}
    assert asked.count("instances") == 1


# Duplicates


def test_a_second_copy_finds_the_job_and_launches_nothing(world: World) -> None:
    action = world.launching("i-a")
    world.register(action)
    world.clock.advance(1)
    world.register(action)
    assert world.tower.calls["launch"] == 1
    first, second = [message.job_id for message, _ in world.queues.gate_messages()]
    assert first == second


def test_a_second_copy_finds_the_job_that_has_ended(world: World) -> None:
    action = world.launching("i-a")
    world.register(action)
    world.clock.advance(3000)
    job_id = only_message(world).job_id
    world.tower.end_job(job_id or 0, {"i-a": Outcome.FAILED})
    world.register(action)
    assert [message.job_id for message, _ in world.queues.gate_messages()] == [job_id, job_id]
    assert world.tower.calls["launch"] == 1


def test_a_job_older_than_the_instance_is_not_its_own(world: World) -> None:
    host = world.tower.add_host(world.inventory, "i-a", variables={"rollcall": {}})
    old = world.tower.add_job(world.template, world.inventory, "i-a")
    world.tower.end_job(old.id, {"i-a": Outcome.OK})
    world.clock.advance(86400)
    world.register(world.launching("i-a"))
    assert only_message(world).job_id not in (None, old.id)
    assert host.id in world.tower.hosts


def test_a_host_made_moments_ago_without_a_job_belongs_to_somebody_at_work(world: World) -> None:
    action = world.launching("i-a")
    world.register(replace(action, message_id="another"))
    world.tower.runs.clear()
    world.queues.sent.clear()
    world.clock.advance(OTHER_LAUNCH_TIME - CLOCK_STEP - 1)
    error = only_error(world.register(action))
    assert isinstance(error, JobStillLanding)
    assert error.retry_in == 1
    assert not world.queues.sent
    world.clock.advance(1)
    assert list(outcomes(world.register(action))) == ["i-a"]
    assert world.tower.calls["launch"] == 2


# Auto Scaling read again after the hosts exist


def test_instances_that_left_while_their_hosts_were_made_are_removed_and_in_no_limit(world: World) -> None:
    actions = [world.launching(each) for each in ("i-a", "i-b", "i-c", "i-d", "i-e")]

    def meanwhile() -> None:
        world.leaves("i-b")
        world.terminated("i-c")
        world.leaves("i-d", "InService")
        world.detached("i-e")

    world.tower.after_create = meanwhile
    reports = world.register(*actions)
    message = only_message(world)
    assert world.tower.runs[message.job_id or 0].job.hosts == ids(message) == {"i-a"}
    assert world.tower.names_in(world.inventory) == {"i-a", "i-d", "i-e"}
    assert outcomes(reports)["i-b"] == outcomes(reports)["i-c"] == "removed from every inventory: left meanwhile"
    assert outcomes(reports)["i-d"] == outcomes(reports)["i-e"] == "no longer pending"


def test_no_job_is_launched_when_everybody_left(world: World) -> None:
    world.tower.after_create = lambda: world.leaves("i-a")
    world.register(world.launching("i-a"))
    assert world.tower.calls["launch"] == 0
    assert not world.tower.hosts
    assert not world.queues.sent


def test_a_recycled_address_never_reaches_the_old_group(world: World) -> None:
    world.group("new")
    world.register(world.launching("i-old"))
    world.clean_up(world.terminating("i-old"))
    world.register(world.launching("i-new", "new"))  # with the address that i-old had
    members = {
        world.tower.hosts[host_id].name for group_id, host_id in world.tower.members if host_id in world.tower.hosts
    }
    assert members == {"i-new"}
    old_group = world.tower.groups[world.inventory.id, "web"]
    assert not {host for group, host in world.tower.members if group == old_group} & set(world.tower.hosts)


def test_an_instance_without_a_job_that_left_while_its_host_was_made_is_removed_at_the_gate(world: World) -> None:
    world.group("web", job_template="")

    def meanwhile() -> None:
        world.leaves("i-a")
        world.fleet.stale.add("i-a")

    world.tower.after_create = meanwhile
    world.register(world.launching("i-a"))
    world.evaluate_one(only_message(world))
    assert not world.tower.hosts
    assert not world.fleet.completed


# Errors


@pytest.mark.parametrize("method", ["memberships", "groups", "instances"])
def test_aws_that_cannot_be_asked_fails_everybody(world: World, method: str) -> None:
    world.fleet.failing[method] = Throttled("later")
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    assert {type(error) for error in errors(reports).values()} == {Throttled}
    assert len(errors(reports)) == 2


METHODS = ["inventory", "job_template", "hosts_of", "hosts_at", "create_hosts", "group_ids", "add_to_group", "launch"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [TowerUnavailable("away"), TowerDenied("no"), TowerRejected("what?")])
def test_every_action_is_reported_whatever_tower_refuses(world: World, method: str, error: RollcallError) -> None:
    world.tower.failing[method] = error
    actions = [world.launching("i-a"), world.launching("i-b")]
    reports = world.register(*actions)
    assert errors(reports) == {"i-a": error, "i-b": error}
    assert not world.queues.sent


def test_a_job_that_runs_is_handed_on_though_tower_does_not_say_how_long_it_will(world: World) -> None:
    world.tower.failing["usual_durations"] = TowerUnavailable("busy")
    reports = world.register(world.launching("i-a"))
    assert list(outcomes(reports)) == ["i-a"]
    [(_, delay)] = world.queues.gate_messages()
    assert delay == FIRST_POLL


def test_a_launch_without_an_answer_is_not_repeated_if_tower_has_the_job(world: World) -> None:
    def launch_and_lose_the_answer(method: str) -> None:
        if method == "launch" and not world.tower.runs:
            world.tower.add_job(world.template, world.inventory, "i-a", "i-b")
            raise TowerUnavailable("a gateway gave up")

    world.tower.before_call = launch_and_lose_the_answer
    world.register(world.launching("i-a"), world.launching("i-b"))
    [job_id] = world.tower.runs
    assert only_message(world).job_id == job_id


def test_a_launch_that_was_turned_away_is_repeated_at_once(world: World) -> None:
    def turn_away_once(method: str) -> None:
        if method == "launch" and world.tower.calls["launch"] == 1:
            raise TowerUnavailable("503")

    world.tower.before_call = turn_away_once
    world.register(world.launching("i-a"))
    assert world.tower.calls["launch"] == 2
    assert ids(only_message(world)) == {"i-a"}


def test_an_earlier_job_of_the_same_hosts_is_not_taken_for_the_one_whose_answer_was_lost(world: World) -> None:
    message = world.waiting("i-a")
    world.end(message, i_a=Outcome.UNREACHABLE)
    world.clock.advance(30)

    def turn_away_once(method: str) -> None:
        if method == "launch" and world.tower.calls["launch"] == 1:
            raise TowerUnavailable("503")

    world.tower.before_call = turn_away_once
    result = world.evaluate_one(message)
    [(sent, _)] = result.next
    assert sent.job_id != message.job_id


@pytest.mark.parametrize("method", METHODS)
def test_a_later_try_makes_up_for_what_failed(world: World, method: str) -> None:
    action = world.launching("i-a")
    world.tower.failing[method] = TowerUnavailable("away")
    world.register(action)
    world.tower.failing.clear()
    assert list(outcomes(world.register(action))) == ["i-a"]
    assert len(world.tower.hosts) == len(world.tower.runs) == len(world.tower.members) == 1


def test_hosts_whose_creation_got_no_answer_are_taken_up_at_the_next_try(world: World) -> None:
    def lose_the_answer() -> None:
        world.tower.after_create = lambda: None
        raise TowerUnavailable("timed out")

    world.tower.after_create = lose_the_answer
    action = world.launching("i-a")
    assert isinstance(only_error(world.register(action)), TowerUnavailable)
    assert list(outcomes(world.register(action))) == ["i-a"]
    assert len(world.tower.runs) == 1


def test_a_second_message_about_the_same_action_leaves_a_new_host_to_the_first(world: World) -> None:
    action = world.launching("i-a")
    world.tower.failing["launch"] = TowerUnavailable("away")
    world.register(action)
    world.tower.failing.clear()
    second = replace(action, message_id="m2")
    assert second == action
    assert isinstance(only_error(world.register(second)), JobStillLanding)
    assert list(outcomes(world.register(action))) == ["i-a"]
    assert world.tower.calls["launch"] == 2 + 1  # two at the first try, for it looked before it gave up


def test_a_queue_that_takes_nothing_fails_everybody_and_a_later_try_finds_the_job(world: World) -> None:
    action = world.launching("i-a")
    world.queues.failing["send"] = Throttled("full")
    assert isinstance(only_error(world.register(action)), Throttled)
    world.queues.failing.clear()
    world.register(action)
    assert world.tower.calls["launch"] == 1
    assert ids(only_message(world)) == {"i-a"}


def test_an_action_of_another_account_fails_alone(world: World) -> None:
    foreign = replace(world.launching("i-x"), account="999999999999")
    reports = world.register(foreign, world.launching("i-a"))
    assert isinstance(errors(reports)["i-x"], BadEvent)
    assert list(outcomes(reports)) == ["i-a"]


def test_of_an_action_of_another_region_nothing_is_asked(world: World) -> None:
    far = replace(world.launching("i-far"), region="eu-west-1")
    asked: list[str] = []
    world.fleet.before_call = world.tower.before_call = asked.append
    assert isinstance(only_error(world.register(far)), BadEvent)
    assert asked == []


def test_register_has_nothing_to_say_of_an_empty_batch(world: World) -> None:
    nothing: list[LifecycleAction] = []
    assert world.register(*nothing) == []


# What Tower is sent


@pytest.mark.parametrize("mark", ["{{", "{%", "{#"])
def test_text_that_tower_would_evaluate_is_left_out_and_named(world: World, mark: str) -> None:
    action = world.launching("i-a")
    tags = {"Name": "web", "evil": f"a {mark} b", f"key{mark}": "fine"}
    world.fleet.known_instances["i-a"] = world.instance("i-a", tags=tags)
    [report] = world.register(action)
    assert set(report.left_out) == {"evil (Tower would evaluate it)", f"key{mark} (Tower would evaluate it)"}
    [host] = world.tower.hosts.values()
    assert host.variables["ec2"] == {**world.instance("i-a").facts, "tags": {"Name": "web"}}
    assert mark not in str(host.variables)


def test_the_name_of_a_group_that_tower_would_evaluate_never_gets_there(world: World) -> None:
    name = "web {{ lookup('pipe', 'id') }}"
    world.group(name, groups="web")
    world.register(world.launching("i-a", name))
    assert "{{" not in str([host.variables for host in world.tower.hosts.values()])
    assert "{{" not in str(world.tower.groups)


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        ("__ansible_vault", "x", "Ansible would read it as something else"),
        ("__ansible_type", "x", "Ansible would read it as something else"),
        ("motd", '#jinja2:variable_start_string:"[%"\n[% lookup("pipe", "id") %]', "Tower would evaluate it"),
        ("odd", "a\0b", "Tower cannot store it"),
        ("\ud800", "x", "Tower cannot store it"),
    ],
)
def test_a_tag_that_would_be_more_than_text_is_left_out_with_the_reason(
    world: World, key: str, text: str, why: str
) -> None:
    action = world.launching("i-a")
    world.fleet.known_instances["i-a"] = world.instance("i-a", tags={"Name": "web", key: text})
    [report] = world.register(action)
    assert report.left_out == (f"{key} ({why})",)
    [host] = world.tower.hosts.values()
    assert host.variables["ec2"] == {**world.instance("i-a").facts, "tags": {"Name": "web"}}


def test_a_fact_of_ec2s_is_as_plain_as_a_tag(world: World) -> None:
    action, instance = world.launching("i-a"), world.instance("i-a")
    world.fleet.known_instances["i-a"] = replace(instance, facts={**instance.facts, "private_dns": "{{ x }}"})
    [report] = world.register(action)
    assert report.left_out == ("ec2.private_dns (Tower would evaluate it)",)
    [host] = world.tower.hosts.values()
    assert "private_dns" not in host.variables["ec2"]  # type: ignore[operator]


@pytest.mark.parametrize("name", ["localhost", "i-0123456789abcdef0", "..", "__ansible_vault"])
@pytest.mark.parametrize("tagged", [True, False])
def test_no_host_gets_into_an_inventory_group_that_would_do_harm(world: World, name: str, tagged: bool) -> None:
    group = "web" if tagged else name
    world.group(group, groups=f"fine {name}" if tagged else "")
    [report] = world.register(world.launching("i-a", group))
    assert isinstance(report.error, BadSettings)
    for words in (repr(group), repr(name), "rollcall:groups"):
        assert words in str(report.error)
    assert not world.tower.groups
    assert not world.tower.hosts


def test_a_group_whose_name_is_of_no_use_in_tower_may_name_other_inventory_groups(world: World) -> None:
    world.group("localhost", groups="web")
    [report] = world.register(world.launching("i-a", "localhost"))
    assert report.error is None
    [host] = world.tower.hosts.values()
    assert world.tower.groups_of(host.id) == {"web"}
    assert host.marker is not None
    assert host.marker["group"] == "localhost"


def test_an_auto_scaling_groups_name_may_hold_whatever_does_no_harm(world: World) -> None:
    name = 'it\'s "web" & $db, *!#\\'
    world.group(name)
    [report] = world.register(world.launching("i-a", name))
    assert report.error is None
    [host] = world.tower.hosts.values()
    assert world.tower.groups_of(host.id) == {name}


def test_a_tag_that_the_installation_does_not_follow_is_reported_with_the_parameter_and_keeps_no_instance(
    world: World,
) -> None:
    world.group("web", retire_job_template="retire")
    world.settings = replace(world.settings, retire_jobs=False)
    [report] = world.register(world.launching("i-a"))
    assert report.error is None
    assert warning(report).startswith("group 'web': tag rollcall:retire-job-template is not followed")
    assert "RetireJobs=true" in warning(report)
    world.settings = replace(world.settings, retire_jobs=True)
    [report] = world.register(world.launching("i-b"))
    assert warning(report) == ""


# Hosts that another name was given to


def rename(world: World, instance_id: str, name: str) -> None:
    """An inventory source gives an instance's host another name; its variables and its field stay."""
    [host] = [each for each in world.tower.hosts.values() if each.name == instance_id]
    world.tower.hosts[host.id] = replace(host, name=name)


@pytest.mark.parametrize("requeued", [False, True])
def test_an_instance_whose_host_was_renamed_gets_no_second_one(world: World, requeued: bool) -> None:
    action = world.launching("i-a")
    world.register(action)
    rename(world, "i-a", "web-01")
    world.queues.sent.clear()
    world.clock.advance(2700)
    reports = world.register(replace(action, token=None, message_id="m2") if requeued else action)
    error = only_error(reports)
    assert isinstance(error, HostRenamed)
    assert error.scope == Scope.INSTANCE
    assert str(error).startswith("its host in inventory 'prod' was renamed to 'web-01'")
    assert world.tower.names_in(world.inventory) == {"web-01"}
    assert world.tower.calls["launch"] == 1
    assert not world.queues.sent


def test_a_renamed_host_of_one_instance_holds_no_other(world: World) -> None:
    world.host_of("i-a", "10.0.0.7", name="web-01")
    reports = world.register(world.launching("i-a"), world.launching("i-b"))
    assert (list(errors(reports)), list(outcomes(reports))) == (["i-a"], ["i-b"])


def test_a_resting_host_that_was_renamed_gets_no_second_one_beside_it(world: World) -> None:
    world.host_of("i-a", "10.0.0.7", name="web-01")
    disable_hosts(world.tower, {"i-a"}, ACCOUNT, REGION)
    assert isinstance(only_error(world.register(world.launching("i-a"))), HostRenamed)
    assert world.tower.names_in(world.inventory) == {"web-01"}


def test_a_host_that_has_its_name_again_is_the_instances(world: World) -> None:
    [host] = [world.host_of("i-a", "10.0.0.7", name="web-01")]
    action = world.launching("i-a")
    world.register(action)
    world.tower.hosts[host.id] = replace(host, name="i-a")
    assert list(outcomes(world.register(action))) == ["i-a"]
    assert list(world.tower.hosts) == [host.id]


@pytest.mark.parametrize("other", ["another inventory's", "a stranger's", "beside one of its name"])
def test_a_host_of_another_name_that_is_not_its_only_one_is_no_reason(world: World, other: str) -> None:
    inventory = world.tower.add_inventory("other") if other == "another inventory's" else None
    if other == "a stranger's":
        world.tower.add_host(world.inventory, "web-01", instance_id="i-a")
    else:
        world.host_of("i-a", "10.0.0.7", name="web-01", inventory=inventory)
    if other == "beside one of its name":
        world.host_of("i-a", "10.0.0.7")
    assert list(outcomes(world.register(world.launching("i-a")))) == ["i-a"]
