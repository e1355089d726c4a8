"""Terminating instances leave Chef too: node and client, after Tower, and only what is certainly theirs."""

from __future__ import annotations

import json
from copy import replace
from pathlib import Path
from typing import Any

import pytest

from rollcall.chef.removal import NamedNode, remove_node, with_facts_of_hosts
from rollcall.domain.actions import LifecycleAction, Result
from rollcall.domain.errors import (
    BadSettings,
    ChefDenied,
    ChefUnavailable,
    RollcallError,
    Throttled,
    TowerDenied,
    TowerUnavailable,
)
from rollcall.domain.groups import AddressKind
from rollcall.domain.instances import Instance
from rollcall.domain.membership import Membership
from rollcall.domain.message_format import Record, read_action, read_records, write_action
from rollcall.domain.timing import PERMANENT_FAILURE_LIFE, RETRY_MAX
from unit.fakes import ACCOUNT, REGION, FakeChef
from unit.world import TERMINATE_HOOK, World, alerted, token_of, warning

HEARTBEAT_TIMEOUT = 600
SAMPLES = Path(__file__).parents[3] / "events"
DNS, OTHER_DNS = "ip-10-0-0-7.ec2.internal", "ip-10-0-0-8.ec2.internal"
AWAY = ChefUnavailable("the Chef server is away")


@pytest.fixture
def chef(world: World) -> FakeChef:
    """A Chef server, and the group "web" whose nodes are named after their instances."""
    world.chef = FakeChef()
    web(world, "@instance_id@")
    return world.chef


def web(world: World, pattern: str, inventory: str = "prod") -> None:
    """The group "web" with this pattern."""
    world.group("web", chef=pattern, inventory=inventory)
    group = world.fleet.known_groups["web"]
    world.fleet.known_groups["web"] = replace(group, heartbeat_timeouts={TERMINATE_HOOK: HEARTBEAT_TIMEOUT})


def going(world: World, instance_id: str, **changes: Any) -> LifecycleAction:
    """A termination that came just now, of an instance that still runs."""
    world.fleet.known_instances[instance_id] = world.instance(instance_id)
    return replace(world.terminating(instance_id), received_at=world.clock.now, **changes)


def terminated(world: World, instance_id: str) -> LifecycleAction:
    """A termination that nothing waits for, of an instance of which EC2 returns no addresses any more."""
    action = replace(going(world, instance_id), hook=None, token=None)
    blank: Instance = world.instance(instance_id, state="terminated", addresses=dict.fromkeys(AddressKind, ""))
    world.fleet.known_instances[instance_id] = blank
    return action


def host(world: World, instance_id: str, **facts: str) -> None:
    """The instance's host, which holds these facts."""
    world.host_of(instance_id, "10.0.0.7", variables={"ec2": facts})


# What goes


def test_node_and_client_go_before_the_hook_is_completed(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a", "i-b", "i-stays")
    left: list[set[str]] = []
    world.fleet.before_complete = lambda action: left.append(chef.held.keys() | chef.clients)
    actions = [going(world, "i-a"), going(world, "i-b")]
    reports = world.clean_up(*actions)
    assert left == [{"i-stays"}] * 2
    assert world.fleet.completed == dict.fromkeys(actions, Result.CONTINUE)
    assert {report.outcome for report in reports} == {
        f"removed from every inventory, and from Chef as {each}" for each in ("i-a", "i-b")
    }


def test_the_client_goes_first_for_its_key_could_make_the_node_anew(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    world.clean_up(going(world, "i-a"))
    assert chef.deleted == [("client", "i-a"), ("node", "i-a")]


def test_hosts_leave_tower_before_chef_is_asked(world: World, chef: FakeChef) -> None:
    host(world, "i-a")
    left: list[int] = []
    chef.before_call = lambda method: left.append(len(world.tower.hosts))
    world.clean_up(going(world, "i-a"))
    assert set(left) == {0}


@pytest.mark.parametrize("kind", ["node", "client", "both"])
def test_what_is_gone_already_keeps_nothing_back(world: World, chef: FakeChef, kind: str) -> None:
    chef.bootstrap("i-a")
    if kind != "client":
        chef.held.clear()
    if kind != "node":
        chef.clients.clear()
    action = going(world, "i-a")
    [report] = world.clean_up(action)
    assert report.error is None
    assert not chef.held.keys() | chef.clients
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_an_instance_that_is_terminated_already_leaves_chef_too(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    [report] = world.clean_up(terminated(world, "i-a"))
    assert report.error is None
    assert not chef.held.keys() | chef.clients


def test_both_hooks_of_an_instance_wait_for_its_one_node(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    first = going(world, "i-a")
    second = replace(first, hook="rollcall-second", token=token_of("i-2"))
    assert len(world.clean_up(first, second)) == 2
    assert chef.calls["delete_node"] == 1


# Who is asked for


def test_without_the_tag_chef_is_not_asked(world: World, chef: FakeChef) -> None:
    world.group("web")
    chef.bootstrap("i-a")
    [report] = world.clean_up(going(world, "i-a"))
    assert report.outcome == "removed from every inventory"
    assert not chef.calls


def test_a_group_that_lost_its_inventory_is_not_opted_in(world: World, chef: FakeChef) -> None:
    web(world, "@instance_id@", inventory="")
    chef.bootstrap("i-a")
    world.clean_up(going(world, "i-a"))
    assert not chef.calls


def test_without_a_chef_server_aws_is_asked_for_the_group_alone(world: World) -> None:
    web(world, "@instance_id@")
    asked: list[str] = []
    world.fleet.before_call = asked.append
    world.host_of("i-a", "10.0.0.7")
    world.clean_up(going(world, "i-a"))
    assert asked == ["memberships", "groups", "complete"]


@pytest.mark.parametrize("said", [True, False])
def test_what_returns_to_a_warm_pool_keeps_its_key_for_it_comes_back_whatever_its_message_says(
    world: World, chef: FakeChef, said: bool
) -> None:
    chef.bootstrap("i-a")
    action = going(world, "i-a", to_warm_pool=said)
    world.leaves("i-a", "Warmed:Pending:Wait")
    host(world, "i-a")
    world.clean_up(action)
    assert {(each.name, each.id in world.tower.disabled) for each in world.tower.hosts.values()} == {("i-a", True)}
    assert not chef.deleted
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_what_goes_for_good_loses_its_key_though_its_message_says_that_it_returns(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    world.clean_up(going(world, "i-a", to_warm_pool=True))
    assert not chef.held.keys() | chef.clients


def test_whose_root_volume_is_replaced_loses_its_key_with_it(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    action = going(world, "i-a")
    world.leaves("i-a", "ReplacingRootVolume:Wait")
    world.clean_up(action)
    assert not chef.held.keys() | chef.clients
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_a_host_that_tower_keeps_keeps_its_node(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    host(world, "i-a")
    world.tower.denied.add(world.inventory.id)
    [report] = world.clean_up(going(world, "i-a"))
    assert isinstance(report.error, TowerDenied)
    assert not chef.calls


# How nodes are named


def test_nodes_are_named_as_the_tag_says(world: World, chef: FakeChef) -> None:
    web(world, "web-@instance_id@.example.com")
    chef.bootstrap("i-a", "web-i-a.example.com")
    world.clean_up(going(world, "i-a"))
    assert chef.held.keys() == {"i-a"}


def test_the_private_dns_name_of_a_living_instance_is_its_own(world: World, chef: FakeChef) -> None:
    web(world, "@private_dns@")
    chef.bootstrap(DNS)
    world.clean_up(going(world, "i-a"))
    assert not chef.held.keys() | chef.clients


def test_what_ec2_has_forgotten_the_host_tells_and_the_node_confirms(world: World, chef: FakeChef) -> None:
    web(world, "@private_dns@")
    chef.bootstrap(DNS, instance_id="i-a")
    host(world, "i-a", private_dns=DNS)
    [report] = world.clean_up(terminated(world, "i-a"))
    assert report.outcome == f"removed from every inventory, and from Chef as {DNS}"
    assert not chef.held.keys() | chef.clients


@pytest.mark.parametrize("said", ["i-new", ""])
def test_a_node_that_has_a_recycled_name_stays(world: World, chef: FakeChef, said: str) -> None:
    web(world, "@private_dns@")
    chef.bootstrap(DNS, instance_id=said)
    host(world, "i-a", private_dns=DNS)
    [report] = world.clean_up(terminated(world, "i-a"))
    assert report.outcome == "removed from every inventory"
    assert chef.held.keys() == chef.clients == {DNS}


def test_a_client_whose_name_may_be_recycled_stays_when_no_node_tells_whose_it_is(world: World, chef: FakeChef) -> None:
    web(world, "@private_dns@")
    chef.clients.add(DNS)
    host(world, "i-a", private_dns=DNS)
    world.clean_up(terminated(world, "i-a"))
    assert chef.clients == {DNS}


@pytest.mark.parametrize(
    "private_dns", ["", "chef-server", "../clients/chef-validator", "ip-10-0-0-7.ec2.internal OR x"]
)
def test_what_is_no_private_dns_name_is_not_searched(world: World, chef: FakeChef, private_dns: str) -> None:
    web(world, "@private_dns@")
    host(world, "i-a", private_dns=private_dns)
    [report] = world.clean_up(terminated(world, "i-a"))
    assert report.error is None
    assert not chef.calls


def test_of_a_group_that_is_gone_the_host_tells_how_its_nodes_were_named(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a", "web-i-a")
    action = terminated(world, "i-a")
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="web-@instance_id@")})
    world.fleet.known_groups.clear()
    world.clean_up(action)
    assert chef.held.keys() == {"i-a"}


@pytest.mark.parametrize("text", ["chef-server", "@instance_id@ OR name:*", "", 7, None, {"x": 1}])
def test_what_a_person_made_of_the_marker_reaches_no_node(world: World, chef: FakeChef, text: object) -> None:
    chef.bootstrap("i-a", "chef-server")
    action = terminated(world, "i-a")
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef=text)})
    world.fleet.known_groups.clear()
    [report] = world.clean_up(action)
    assert report.error is None
    assert not chef.calls


@pytest.mark.parametrize("changes", [{"account": "999999999999"}, {"instance_id": "i-b"}])
def test_the_host_of_another_instance_is_not_read(world: World, chef: FakeChef, changes: dict[str, str]) -> None:
    chef.bootstrap("i-a")
    action = terminated(world, "i-a")
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="@instance_id@") | changes})
    world.fleet.known_groups.clear()
    world.clean_up(action)
    assert chef.held.keys() == {"i-a"}


def marker(instance_id: str, **more: object) -> dict[str, object]:
    return {
        "group": "web",
        "instance_id": instance_id,
        "account": ACCOUNT,
        "region": REGION,
        "vpc": "vpc-1",
        **more,
    }


# Errors


@pytest.mark.parametrize("error", [AWAY, ChefDenied("the user may not")])
@pytest.mark.parametrize("method", ["delete_client", "delete_node"])
def test_while_chef_refuses_the_host_goes_and_the_hook_waits(
    world: World, chef: FakeChef, method: str, error: RollcallError
) -> None:
    chef.bootstrap("i-a")
    host(world, "i-a")
    chef.failing[method] = error
    action = going(world, "i-a")
    [report] = world.clean_up(action)
    assert report.error is error
    assert not world.tower.hosts
    assert not world.fleet.completed
    chef.failing.clear()
    [report] = world.clean_up(action)
    assert report.error is None
    assert not chef.held.keys() | chef.clients
    assert chef.deleted == [("client", "i-a"), ("node", "i-a")]
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_an_error_about_one_node_fails_its_own_instance_only(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a", "i-b")
    chef.kept["i-a"] = ChefDenied("the user may not")
    kept, fine = going(world, "i-a"), going(world, "i-b")
    reports = {report.action: report for report in world.clean_up(kept, fine)}
    assert isinstance(reports[kept].error, ChefDenied)
    assert reports[fine].error is None
    assert world.fleet.completed == {fine: Result.CONTINUE}


def test_a_tag_that_cannot_be_followed_fails_its_own_group_only(world: World, chef: FakeChef) -> None:
    web(world, "nonsense")
    world.group("db", chef="@instance_id@")
    chef.bootstrap("i-a", "i-b")
    wrong, fine = going(world, "i-a"), replace(going(world, "i-b"), group="db")
    reports = {report.action: report for report in world.clean_up(wrong, fine)}
    assert isinstance(reports[wrong].error, BadSettings)
    assert reports[fine].error is None
    assert chef.held.keys() == {"i-a"}


def test_while_aws_cannot_be_asked_the_instance_waits(world: World, chef: FakeChef) -> None:
    host(world, "i-a")
    world.fleet.failing["groups"] = Throttled("slow down")
    [report] = world.clean_up(going(world, "i-a"))
    assert isinstance(report.error, Throttled)
    assert world.tower.hosts
    assert not world.fleet.completed


@pytest.mark.parametrize("error", [AWAY, ChefDenied("the user may not")])
def test_after_the_hooks_own_timeout_the_termination_goes_on_and_an_operator_is_alerted(
    world: World, chef: FakeChef, error: RollcallError
) -> None:
    chef.bootstrap("i-a")
    chef.failing["delete_client"] = error
    action = going(world, "i-a")
    world.clock.advance(HEARTBEAT_TIMEOUT - 1)
    [report] = world.clean_up(action)
    assert report.error is error
    assert not world.fleet.completed
    world.clock.advance(1)
    [report] = world.clean_up(action)
    assert (report.error, report.outcome) == (None, "removed from every inventory, but not from Chef")
    assert str(error) in alerted(report)
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_that_an_instance_is_retained_is_alerted_also_where_its_node_cannot_be_named(
    world: World, chef: FakeChef
) -> None:
    web(world, "nonsense")
    host(world, "i-a")
    action = replace(going(world, "i-a"), hook=None, token=None)
    world.fleet.known_memberships["i-a"] = Membership("web", "Terminating:Retained")
    [report] = world.clean_up(action)
    assert isinstance(report.error, BadSettings)
    assert "terminate-instance-in-auto-scaling-group --instance-id i-a" in alerted(report)
    [report] = world.clean_up(action)
    assert (type(report.error), alerted(report)) == (BadSettings, "")


def test_tower_is_waited_for_however_long_it_takes(world: World, chef: FakeChef) -> None:
    world.tower.unavailable = True
    action = going(world, "i-a")
    world.clock.advance(100 * HEARTBEAT_TIMEOUT)
    [report] = world.clean_up(action)
    assert report.error
    assert not world.fleet.completed


def test_where_nothing_waits_chef_is_tried_until_it_answers(world: World, chef: FakeChef) -> None:
    chef.failing["delete_client"] = AWAY
    action = terminated(world, "i-a")
    world.clock.advance(100 * HEARTBEAT_TIMEOUT)
    [report] = world.clean_up(action)
    assert report.error is AWAY


def test_what_chef_has_done_by_then_is_no_alert(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    action = going(world, "i-a")
    world.clock.advance(100 * HEARTBEAT_TIMEOUT)
    [report] = world.clean_up(action)
    assert not alerted(report)


@pytest.mark.parametrize("timeout", [7200, 172_800])
def test_patience_ends_before_a_message_is_moved_to_the_dead_letter_queue(
    world: World, chef: FakeChef, timeout: int
) -> None:
    group = world.fleet.known_groups["web"]
    world.fleet.known_groups["web"] = replace(group, heartbeat_timeouts={TERMINATE_HOOK: timeout})
    chef.bootstrap("i-a")
    chef.failing["delete_client"] = ChefDenied("the user may not")
    action = going(world, "i-a")
    world.clock.advance(PERMANENT_FAILURE_LIFE - 2 * RETRY_MAX)
    [report] = world.clean_up(action)
    assert alerted(report)
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_a_copy_of_an_action_that_went_on_without_chef_alerts_no_one_again(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    chef.failing["delete_client"] = AWAY
    action = going(world, "i-a")
    world.clock.advance(HEARTBEAT_TIMEOUT)
    assert [alerted(report) != "" for report in (*world.clean_up(action), *world.clean_up(action))] == [True, False]


# What only the host holds


def kept(world: World) -> LifecycleAction:
    """The one action that cleanup has sent to its own queue, as it comes back; it is taken out."""
    [(url, body, delay)] = world.queues.sent
    world.queues.sent.clear()
    assert (url, delay) == (world.settings.terminate_queue_url, 10)
    action = read_action(Record("kept", body, REGION, 1, world.clock.now, "handle"))
    assert action
    return action


def test_of_a_group_that_is_gone_the_pattern_outlives_the_host(world: World, chef: FakeChef) -> None:
    chef.bootstrap("web-i-a")
    action = going(world, "i-a")
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="web-@instance_id@")})
    world.fleet.known_groups.clear()
    chef.failing["delete_client"] = AWAY
    [report] = world.clean_up(action)
    assert (report.error, warning(report)) == (None, str(AWAY))
    assert not world.tower.hosts
    assert not world.fleet.completed
    assert world.fleet.heartbeats["i-a"] == 1
    chef.failing.clear()
    [report] = world.clean_up(kept(world))
    assert report.outcome == "removed from every inventory, and from Chef as web-i-a"
    assert not chef.held.keys() | chef.clients
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_the_private_dns_name_of_a_terminated_instance_outlives_the_host(world: World, chef: FakeChef) -> None:
    web(world, "@private_dns@")
    chef.bootstrap(DNS, instance_id="i-a")
    host(world, "i-a", private_dns=DNS)
    action = terminated(world, "i-a")
    chef.failing["nodes"] = AWAY
    world.clean_up(action)
    assert not world.tower.hosts
    back = kept(world)
    assert back == action
    assert not back.held_by_hook
    chef.failing.clear()
    [report] = world.clean_up(back)
    assert report.outcome == f"removed from every inventory, and from Chef as {DNS}"
    assert not chef.held.keys() | chef.clients


def test_what_is_kept_already_is_tried_again_in_its_own_message(world: World, chef: FakeChef) -> None:
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="@instance_id@")})
    chef.failing["delete_client"] = AWAY
    world.clean_up(going(world, "i-a"))
    [report] = world.clean_up(kept(world))
    assert report.error is AWAY
    assert not world.queues.sent


def test_what_is_kept_makes_the_patience_with_chef_no_longer(world: World, chef: FakeChef) -> None:
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="@instance_id@")})
    chef.bootstrap("i-a")
    chef.failing["delete_client"] = AWAY
    action = going(world, "i-a")
    world.clock.advance(HEARTBEAT_TIMEOUT)
    world.clean_up(action)
    [report] = world.clean_up(kept(world))
    assert alerted(report)
    assert world.fleet.completed == {action: Result.CONTINUE}


def test_what_hosts_held_of_their_nodes_is_known_though_tower_gave_no_answer_to_their_removal(
    world: World, chef: FakeChef
) -> None:
    chef.bootstrap("web-i-a")
    action = terminated(world, "i-a")
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="web-@instance_id@")})
    world.fleet.known_groups.clear()
    world.tower.failing["delete_hosts"] = TowerUnavailable("no answer")
    world.tower.before_call = lambda method: world.tower.remove_host("i-a") if method == "delete_hosts" else None
    [report] = world.clean_up(action)
    assert warning(report) == "no answer"
    world.tower.failing.clear()
    [report] = world.clean_up(kept(world))
    assert report.outcome == "removed from every inventory, and from Chef as web-i-a"


@pytest.mark.parametrize(
    "odd",
    ["we\ud800b", "\0", "x" * 300_000, ["@instance_id@"], 7, "web @instance_id@"],
    ids=lambda odd: ascii(odd)[:20],
)
def test_whatever_a_person_wrote_into_a_host_a_message_holds_it_and_is_read(world: World, odd: object) -> None:
    variables = {"rollcall": marker("i-a", chef=odd), "ec2": {"private_dns": odd}}
    [informed] = with_facts_of_hosts([going(world, "i-a")], [world.host_of("i-a", "10.0.0.7", variables=variables)])
    read = read_action(Record("m0", write_action(informed), REGION, 1, 0.0, "handle"))
    assert read
    assert (read.node_pattern, read.private_dns) == (informed.node_pattern, informed.private_dns)
    assert read.node_pattern


def test_what_cannot_be_kept_fails(world: World, chef: FakeChef) -> None:
    world.host_of("i-a", "10.0.0.7", variables={"rollcall": marker("i-a", chef="@instance_id@")})
    chef.failing["delete_client"] = AWAY
    world.queues.failing["send"] = Throttled("no more")
    [report] = world.clean_up(going(world, "i-a"))
    assert isinstance(report.error, Throttled)
    assert not world.fleet.completed


# Who lives


@pytest.mark.parametrize("state", ["running", "stopped", "stopping", "pending"])
def test_an_instance_that_lives_keeps_its_node_though_a_message_calls_it_terminated(
    world: World, chef: FakeChef, state: str
) -> None:
    chef.bootstrap("i-a")
    action = terminated(world, "i-a")
    world.fleet.known_instances["i-a"] = world.instance("i-a", state=state)
    [report] = world.clean_up(action)
    assert report.outcome == "removed from every inventory"
    assert chef.held.keys() == chef.clients == {"i-a"}


def test_an_instance_that_a_hook_holds_goes_whatever_else_is_said_of_it(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    action = going(world, "i-a")
    world.clean_up(action, replace(action, hook=None, token=None))
    assert not chef.held.keys() | chef.clients


def test_an_instance_in_a_warm_pool_keeps_its_node_though_ec2_does_not_know_it(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a", "i-b")
    actions = [terminated(world, "i-a"), terminated(world, "i-b")]
    world.fleet.known_instances.clear()
    world.leaves("i-a", state="Warmed:Stopped")
    world.fleet.known_memberships.pop("i-b")
    world.clean_up(*actions)
    assert chef.held.keys() == chef.clients == {"i-a"}


@pytest.mark.parametrize("way", ["terminate-successful", "terminate-notification-sqs", "terminate-notification-sns"])
@pytest.mark.parametrize(("state", "kept"), [("Warmed:Stopped", True), ("Warmed:Terminating", False)])
def test_what_auto_scaling_says_to_be_in_a_warm_pool_keeps_its_key_and_what_leaves_it_does_not(
    world: World, chef: FakeChef, way: str, state: str, kept: bool
) -> None:
    chef.bootstrap("i-1234567890abcdef0")
    world.fleet.known_memberships["i-1234567890abcdef0"] = Membership("web", state)
    [raw] = read_records(json.loads((SAMPLES / f"{way}.json").read_text()))
    action = read_action(replace(raw, body=returning(raw.body)))
    assert action
    assert action.to_warm_pool
    world.clean_up(action)
    assert chef.held.keys() == ({"i-1234567890abcdef0"} if kept else set())


def returning(body: str) -> str:
    """The message with the destination that is of an instance that comes back."""
    fields = json.loads(body)
    if "Message" in fields:
        return json.dumps(fields | {"Message": returning(fields["Message"])})
    if "detail" in fields:
        return json.dumps(fields | {"detail": fields["detail"] | {"Destination": "WarmPool"}})
    return json.dumps(fields | {"Destination": "WarmPool"})


def test_a_host_that_cannot_be_disabled_keeps_its_node(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a")
    host(world, "i-a")
    action = going(world, "i-a")
    world.leaves("i-a", "ReplacingRootVolume:Wait")
    world.tower.failing["update_host"] = TowerDenied("no")
    [report] = world.clean_up(action)
    assert isinstance(report.error, TowerDenied)
    assert chef.held.keys() == chef.clients == {"i-a"}


@pytest.mark.parametrize(("state", "kept"), [("Warmed:Pending:Wait", True), ("Warmed:Terminating:Wait", False)])
def test_what_reconcile_queues_again_of_a_warm_pool_keeps_its_key_unless_it_goes(
    world: World, chef: FakeChef, state: str, kept: bool
) -> None:
    chef.bootstrap("i-a")
    world.serving("i-a", "10.0.0.7", state=state)
    world.fleet.waits_for["i-a"] = TERMINATE_HOOK
    world.reconcile()
    [(_, body, _)] = world.queues.sent
    action = read_action(Record("queued", body, REGION, 1, world.clock.now, "handle"))
    assert action
    world.clean_up(action)
    assert chef.held.keys() == ({"i-a"} if kept else set())
    assert list(world.fleet.completed.values()) == [Result.CONTINUE]


def test_a_node_whose_name_was_baked_into_an_image_is_another_instances_by_now(world: World, chef: FakeChef) -> None:
    chef.bootstrap("i-a", instance_id="i-copy")
    [report] = world.clean_up(going(world, "i-a"))
    assert report.outcome == "removed from every inventory"
    assert chef.held.keys() == chef.clients == {"i-a"}


# A single removal


@pytest.mark.parametrize(
    ("certain", "said", "goes"),
    [(True, "", True), (True, "i-a", True), (True, "i-b", False), (False, "i-a", True), (False, "i-b", False)],
)
def test_a_node_whose_name_others_may_have_says_itself_whose_it_is(certain: bool, said: str, goes: bool) -> None:
    chef = FakeChef()
    chef.bootstrap(OTHER_DNS, instance_id=said)
    assert remove_node(chef, NamedNode(OTHER_DNS, "i-a", certain)) == goes
    assert (not chef.held.keys() | chef.clients) == goes
