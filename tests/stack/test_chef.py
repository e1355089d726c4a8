"""Instances that are nodes in Chef leave it when they terminate, and keep nobody waiting for long while it is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.chef import ChefServer
from lab.cloud import ACCOUNT, CHEF_SECRET, REGION, TOPIC, Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

TERMINATED = "EC2 Instance Terminate Successful"
PATIENT = 300  # seconds of heartbeat timeout, and so of patience with Chef
BOTH, NEITHER = (True, True), (False, False)


@pytest.fixture
def cloud(full_cloud: Cloud) -> Cloud:
    return full_cloud


@pytest.fixture
def chef(chef_at: tuple[ChefServer, str]) -> Iterator[ChefServer]:
    """The Chef server, which is well and empty once the test is over."""
    server, _ = chef_at
    yield server
    server.away = None
    server.nodes.clear()
    server.clients.clear()
    server.denied.clear()


def bootstrapped(chef: ChefServer, group: Group, size: int) -> set[str]:
    """The instances of a group once so many serve and each is a node of the name that it has in Chef by default."""
    eventually(lambda: len(group.in_service()) == size, f"{size} in service")
    for instance_id in group.in_service():
        chef.bootstrap(instance_id, **reported(instance_id))
    return group.in_service()


def reported(instance_id: str) -> dict[str, Any]:
    """What a node on an instance says of itself after chef-client has run."""
    ec2 = {"instance_id": instance_id, "account_id": ACCOUNT, "region": REGION}
    return {"ec2": ec2, "ohai_time": time.time()}


def waits(group: Group, instance_id: str) -> bool:
    return group.states().get(instance_id) == "Terminating:Wait"


@pytest.mark.story
def test_node_and_client_are_gone_when_the_termination_goes_on(
    make_group: MakeGroup, cloud: Cloud, chef: ChefServer, tower: Tower, name: str
) -> None:
    group = make_group(chef="@instance_id@", size=2)
    before = bootstrapped(chef, group, 2)
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "one is gone")
    (gone,) = before - group.states().keys()
    assert {each: chef.holds(each) for each in before} == {gone: NEITHER, **dict.fromkeys(group.in_service(), BOTH)}
    went_on = [each.time for each in group.transitions() if each.state == "Terminating:Proceed"]
    deletions = [each for each in chef.requests() if each.method == "DELETE" and each.path.endswith(gone)]
    assert [each.status for each in deletions[:2]] == [200, 200]
    assert all(each.ended <= went_on[0] for each in deletions[:2])
    assert {host.name for host in tower.hosts(name)} == group.in_service()


def test_nodes_that_are_named_after_their_private_dns_names_leave_too(
    make_group: MakeGroup, cloud: Cloud, chef: ChefServer
) -> None:
    group = make_group(chef="web-@private_dns@", size=1)
    eventually(group.in_service, "in service")
    (instance,) = cloud.describe(group.in_service()).values()
    node = f"web-{instance['PrivateDnsName']}"
    chef.bootstrap(node, "web-db", instance["PrivateDnsName"])
    group.scale(0)
    eventually(lambda: not group.states(), "it is gone")
    assert (chef.holds(node), chef.holds("web-db"), chef.holds(instance["PrivateDnsName"])) == (NEITHER, BOTH, BOTH)


@pytest.mark.story
def test_of_a_group_without_hooks_a_notification_through_its_topic_is_enough(
    make_group: MakeGroup, cloud: Cloud, chef: ChefServer, tower: Tower, name: str
) -> None:
    cloud.aws.drop_events(TERMINATED)  # so that what comes through SNS is all there is
    group = make_group(hooks=False, chef="@instance_id@")
    group.notify(TOPIC)
    group.scale(2)
    before = bootstrapped(chef, group, 2)
    eventually(lambda: {host.name for host in tower.hosts(name)} == before, "both have hosts")
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "one is gone")
    (gone,) = before - group.states().keys()
    eventually(lambda: chef.holds(gone) == NEITHER, "it is gone from Chef")
    assert {host.name for host in tower.hosts(name)} == group.in_service()
    assert {each: chef.holds(each) for each in group.in_service()} == dict.fromkeys(group.in_service(), BOTH)
    eventually(lambda: said(cloud, gone), "cleanup logs it")
    assert said(cloud, gone) == [(f"removed from every inventory, and from Chef as {gone}", None)]


@pytest.mark.parametrize("kind", ["node", "client"])
def test_what_somebody_deleted_already_keeps_nobody_waiting(make_group: MakeGroup, chef: ChefServer, kind: str) -> None:
    group = make_group(chef="", size=1)
    (instance_id,) = bootstrapped(chef, group, 1)
    if kind == "node":
        chef.nodes.clear()
    else:
        chef.clients.clear()
    group.scale(0)
    eventually(lambda: not group.states(), "it is gone")
    assert chef.holds(instance_id) == NEITHER


def test_a_group_without_the_tag_is_none_of_chefs_business(make_group: MakeGroup, chef: ChefServer) -> None:
    group = make_group(size=1)
    (instance_id,) = bootstrapped(chef, group, 1)
    asked = len(chef.requests())
    group.scale(0)
    eventually(lambda: not group.states(), "it is gone")
    assert len(chef.requests()) == asked
    assert chef.holds(instance_id) == BOTH


@pytest.mark.story
def test_while_chef_is_away_the_host_is_gone_and_the_termination_waits_until_it_is_back(
    make_group: MakeGroup, chef: ChefServer, tower: Tower, name: str
) -> None:
    group = make_group(chef="@instance_id@", size=1, heartbeat_timeout=PATIENT)
    (instance_id,) = bootstrapped(chef, group, 1)
    chef.away = 503
    asked = len(chef.requests())
    group.scale(0)
    eventually(lambda: len(chef.requests()) > asked, "Chef is asked")
    assert tower.hosts(name) == []
    assert waits(group, instance_id)
    chef.away = None
    eventually(lambda: not group.states(), "it is gone")
    assert chef.holds(instance_id) == NEITHER


def test_of_a_group_that_is_gone_the_node_goes_when_chef_is_back(
    make_group: MakeGroup, chef: ChefServer, tower: Tower, name: str
) -> None:
    group = make_group(chef="old-@instance_id@", size=1)
    (instance_id,) = eventually(group.in_service, "in service")
    chef.bootstrap(f"old-{instance_id}", **reported(instance_id))
    chef.away = 503
    asked = len(chef.requests())
    group.delete()
    eventually(lambda: len(chef.requests()) > asked, "Chef is asked")
    assert tower.hosts(name) == []
    chef.away = None
    eventually(lambda: chef.holds(f"old-{instance_id}") == NEITHER, "it is gone from Chef")


def test_an_instance_that_is_retired_keeps_its_host_for_its_job_and_leaves_chef_then(
    make_group: MakeGroup, cloud: Cloud, chef: ChefServer, tower: Tower, name: str
) -> None:
    tower.add_job_template(f"{name}-retire", name)
    group = make_group(chef="@instance_id@", retire_job_template=f"{name}-retire", size=1)
    (instance_id,) = bootstrapped(chef, group, 1)
    group.scale(0)
    eventually(lambda: not group.states(), "it is gone")
    assert chef.holds(instance_id) == NEITHER
    assert tower.hosts(name) == []
    (job,) = tower.jobs(f"{name}-retire")
    assert job.hosts == {instance_id: "ok"}
    messages = [each["message"] for each in cloud.log_lines("gate") if each.get("instance_id") == instance_id]
    assert [each for each in messages if "retired by" in each] == [f"retired: retired by job {job.id}"]


def test_a_key_that_was_rotated_is_found_in_the_secret(
    make_group: MakeGroup, cloud: Cloud, chef_at: tuple[ChefServer, str], chef: ChefServer
) -> None:
    group = make_group(chef="@instance_id@", size=1)
    (instance_id,) = bootstrapped(chef, group, 1)
    chef.rotate_key()
    secret = chef.secret(chef_at[1])
    cloud.aws.client("secretsmanager").put_secret_value(SecretId=CHEF_SECRET, SecretString=secret)
    group.scale(0)
    eventually(lambda: not group.states(), "it is gone")
    assert chef.holds(instance_id) == NEITHER


def test_what_chef_refuses_for_too_long_goes_on_with_an_alert_and_is_left_to_reconcile(
    make_group: MakeGroup, cloud: Cloud, chef: ChefServer, tower: Tower, name: str
) -> None:
    group = make_group(chef="@instance_id@", size=2)
    before = bootstrapped(chef, group, 2)
    chef.denied.add("nodes")
    cloud.aws.drop_events(TERMINATED)  # else it would be tried until Chef lets it
    group.scale(1)
    (leaving,) = eventually(lambda: {each for each in before if waits(group, each)}, "one waits")
    eventually(lambda: len(group.states()) == 1, "it is not waited for any longer")
    assert chef.holds(leaving) == (True, False)
    [alert] = [line for line in cloud.log_lines("cleanup") if line.get("alert") and line["instance_id"] == leaving]
    assert "missing delete permission" in alert["message"]
    assert not any(each.instance_id == leaving for each in cloud.aws.timeouts())
    assert {host.name for host in tower.hosts(name)} == group.in_service()

    refused = cloud.reconcile()
    assert [each["what"] for each in refused["troubles"]] == [f"node {leaving} in Chef"]
    chef.denied.clear()
    planned = by_hand(cloud, "--dry-run")
    assert "Chef: 2 nodes are ours\n" in planned
    assert f"remove from Chef {leaving}: EC2 says that it is terminated" in planned
    assert chef.holds(leaving) == (True, False)
    done = cloud.reconcile()
    assert [(each["step"], each["node"]) for each in done["steps"]] == [("removed from Chef", leaving)]
    assert done["nodes"] == {"ours": 2, "removed": 1}
    assert {each: chef.holds(each) for each in before} == {leaving: NEITHER, **dict.fromkeys(group.in_service(), BOTH)}
    assert cloud.reconcile()["steps"] == []


def said(cloud: Cloud, instance_id: str) -> list[tuple[str, str | None]]:
    """What cleanup's log says of an instance, and of which hook."""
    lines = [each for each in cloud.log_lines("cleanup") if each.get("instance_id") == instance_id]
    return [(line["message"], line.get("hook")) for line in lines]


def by_hand(cloud: Cloud, *options: str) -> str:
    """What make reconcile prints."""
    completed = cloud.rollcall("reconcile", *options)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_only_who_asks_chef_has_its_layer(cloud: Cloud) -> None:
    layers = {function: len(configuration(cloud, function)["Layers"]) for function in ("Register", "Gate")}
    asking = {function: len(configuration(cloud, function)["Layers"]) for function in ("Cleanup", "Reconcile")}
    assert (set(layers.values()), set(asking.values())) == ({1}, {2})


def configuration(cloud: Cloud, function: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.aws.client("lambda").get_function_configuration(
        FunctionName=cloud.function_name(f"{function}Function")
    )
    return found
