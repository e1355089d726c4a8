"""Instances that come back: out of a warm pool, with a new root volume. Each stint is provisioned for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from lab.cloud import HOOK_PREFIX, Cloud, Group, eventually
from lab.invariants import disagreements, others_hosts

if TYPE_CHECKING:
    from lab.tower.embedded import HostRecord, Tower

type MakeGroup = Callable[..., Group]

LAUNCH = "EC2 Instance-launch Lifecycle Action"
TERMINATION = "EC2 Instance-terminate Lifecycle Action"
REUSE = {"MaxGroupPreparedCapacity": 1, "InstanceReusePolicy": {"ReuseOnScaleIn": True}}


def the_host(tower: Tower, name: str) -> HostRecord:
    [host] = tower.hosts(name)
    return host


def in_the_pool(group: Group) -> str:
    """The instance that rests in the warm pool."""
    [instance_id] = eventually(group.resting, "an instance rests in the pool")
    return str(instance_id)


def serves(group: Group) -> str:
    """The instance in service."""
    [instance_id] = eventually(group.in_service, "an instance serves")
    return str(instance_id)


def agree(cloud: Cloud) -> None:
    """I4 holds, without any run of reconcile."""
    eventually(lambda: cloud.in_flight() == 0, "nothing is on its way")
    disagreeing = disagreements(cloud, others_hosts(cloud))
    assert not disagreeing, "\n".join(disagreeing)


@pytest.mark.story
def test_an_instance_that_comes_out_of_the_warm_pool_again_is_provisioned_again(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(warm_pool=REUSE)
    instance_id = in_the_pool(group)
    assert tower.hosts(name) == []  # what enters the pool needs no host, and no job

    group.scale(1)
    assert serves(group) == instance_id
    host = the_host(tower, name)
    assert (host.name, host.enabled) == (instance_id, True)

    for rejoin in (2, 3):
        group.scale(0)
        in_the_pool(group)
        resting = the_host(tower, name)
        assert (resting.id, resting.enabled, resting.address) == (host.id, False, host.address)
        agree(cloud)
        group.scale(1)
        assert serves(group) == instance_id
        assert len(tower.jobs(name)) == rejoin
        back = the_host(tower, name)
        assert (back.id, back.enabled) == (host.id, True)
        agree(cloud)


def test_what_terminates_in_the_pool_loses_its_host(make_group: MakeGroup, tower: Tower, name: str) -> None:
    group = make_group(warm_pool=REUSE)
    instance_id = in_the_pool(group)
    group.scale(1)
    serves(group)
    group.scale(0)
    in_the_pool(group)
    assert the_host(tower, name).enabled is False
    group.put_warm_pool(**REUSE | {"MaxGroupPreparedCapacity": 0})
    eventually(lambda: instance_id not in group.states(), "it is gone")
    assert tower.hosts(name) == []


def test_a_job_that_fails_after_a_rejoin_costs_the_instance_its_place_though_a_former_one_was_good(
    make_group: MakeGroup, tower: Tower, name: str
) -> None:
    group = make_group(warm_pool=REUSE)
    instance_id = in_the_pool(group)
    group.scale(1)
    serves(group)
    group.scale(0)
    in_the_pool(group)
    tower.fail_host(lambda host: host.name == instance_id)
    group.scale(1)
    eventually(lambda: instance_id not in group.states(), "it was abandoned")
    assert instance_id not in {host.name for host in tower.hosts(name)}


def test_a_rejoin_leaves_a_host_disabled_that_a_person_had_disabled(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(warm_pool=REUSE, unheard=True)
    instance_id = in_the_pool(group)
    group.scale(1)
    serves(group)
    tower.edit_host(instance_id, name, enabled=False)
    group.scale(0)
    in_the_pool(group)
    group.scale(1)
    eventually(lambda: group.states().get(instance_id) == "Pending:Wait", "it waits")
    said = "is disabled, so that no job runs on it"
    eventually(lambda: any(said in str(line) for line in cloud.log_lines("gate")), "the gate says why it waits")
    assert the_host(tower, name).enabled is False
    tower.edit_host(instance_id, name, enabled=True)
    assert serves(group) == instance_id


@pytest.mark.story
def test_a_new_root_volume_is_provisioned_again_under_the_same_host(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(size=1)
    instance_id = serves(group)
    host = the_host(tower, name)
    tower.set_job_time(2)
    group.replace_root_volume(instance_id)
    eventually(lambda: not the_host(tower, name).enabled, "its host is disabled")
    eventually(lambda: len(tower.jobs(name)) == 2, "it gets another job")
    assert serves(group) == instance_id
    back = the_host(tower, name)
    assert (back.id, back.enabled, back.address) == (host.id, True, host.address)
    agree(cloud)


def test_a_retained_instance_loses_its_host_and_its_owner_hears_of_it_once(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    hooks = {
        f"{HOOK_PREFIX}-launching": "LAUNCHING",
        f"{HOOK_PREFIX}-terminating": "TERMINATING",
        "others": "TERMINATING",
    }
    group = make_group(size=1, hooks=hooks, retain=True, unheard=True)
    instance_id = serves(group)
    cloud.aws.drop_events(TERMINATION)
    group.scale(0)
    eventually(lambda: group.states().get(instance_id) == "Terminating:Wait", "it waits")
    group.answer("others", instance_id, "ABANDON")
    eventually(lambda: group.states().get(instance_id) == "Terminating:Retained", "it is retained")
    cloud.aws.drop_events()
    answer = cloud.reconcile(groups=[group.name])
    assert [(step["step"], step["instance_id"]) for step in answer["steps"]] == [("removed", instance_id)]
    assert tower.hosts(name) == []
    for _ in range(2):
        findings = cloud.reconcile(groups=[group.name])["findings"]
        assert [(each["kind"], each["subject"]) for each in findings] == [("retained", instance_id)]
    group.terminate(instance_id)
    eventually(lambda: group.states().get(instance_id) == "Terminating:Wait", "it waits again")
    group.answer("others", instance_id)
    eventually(lambda: instance_id not in group.states(), "it is gone")


# Events that were lost


def test_the_lost_events_of_a_warm_pool_are_made_up_for(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group(warm_pool=REUSE)
    in_the_pool(group)
    group.scale(1)
    instance_id = serves(group)
    cloud.aws.drop_events(LAUNCH, TERMINATION)
    group.scale(0)
    eventually(lambda: group.states().get(instance_id) == "Warmed:Pending:Wait", "it waits on its way back")
    assert the_host(tower, name).enabled is True
    cloud.reconcile()
    in_the_pool(group)
    assert the_host(tower, name).enabled is False
    group.scale(1)
    eventually(lambda: group.states().get(instance_id) == "Pending:Wait", "it waits on its way out of the pool")
    cloud.aws.age([instance_id], 300)  # beyond the longest back-off of register
    cloud.reconcile()
    eventually(lambda: cloud.in_flight() == 0, "nothing is on its way")
    assert len(tower.jobs(name)) == 1, "its rest has only begun"
    variables = the_host(tower, name).variables
    rest = variables["rollcall"]["resting"]
    rested = {**variables["rollcall"], "resting": {**rest, "since": rest["since"] - 300}}
    tower.edit_host(instance_id, name, {**variables, "rollcall": rested})
    cloud.reconcile()
    cloud.aws.drop_events()
    assert serves(group) == instance_id
    assert len(tower.jobs(name)) == 2
    agree(cloud)


def test_an_instance_that_waits_on_its_way_into_the_pool_is_let_in_though_its_event_was_lost(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    cloud.aws.drop_events(LAUNCH)
    group = make_group(warm_pool=REUSE)
    eventually(lambda: "Warmed:Pending:Wait" in group.states().values(), "it waits")
    cloud.aws.drop_events()
    cloud.reconcile()
    in_the_pool(group)
    assert tower.hosts(name) == []


# Two hooks, and actions that AWS does not find


def test_two_hooks_of_ours_on_one_transition_share_one_job(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    tower.set_job_time(3)
    hooks = {
        f"{HOOK_PREFIX}-first": "LAUNCHING",
        f"{HOOK_PREFIX}-second": "LAUNCHING",
        f"{HOOK_PREFIX}-third": "TERMINATING",
        f"{HOOK_PREFIX}-fourth": "TERMINATING",
    }
    group = make_group(size=2, hooks=hooks)
    eventually(lambda: len(group.in_service()) == 2, "both in service")
    eventually(lambda: cloud.in_flight() == 0, "nothing is on its way")
    assert [job.hosts.keys() for job in tower.jobs(name)] == [group.in_service()]
    group.scale(0)
    eventually(lambda: not group.states(), "both are gone")
    assert tower.hosts(name) == []


def test_a_hook_of_somebody_else_keeps_an_instance_and_costs_nothing(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    hooks = {
        f"{HOOK_PREFIX}-launching": "LAUNCHING",
        "others": "LAUNCHING",
        f"{HOOK_PREFIX}-terminating": "TERMINATING",
    }
    group = make_group(size=1, hooks=hooks)
    eventually(lambda: tower.jobs(name) and tower.jobs(name)[0].finished, "its job ends")
    eventually(lambda: cloud.in_flight() == 0, "ours is answered")
    [(instance_id, state)] = group.states().items()
    assert state == "Pending:Wait"
    group.answer("others", instance_id)
    assert serves(group) == instance_id
    assert len(tower.jobs(name)) == 1


@pytest.mark.parametrize("size", [0, 1])
def test_an_action_that_is_not_found_for_some_seconds_is_answered_when_it_is(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, size: int
) -> None:
    group = make_group(size=1)
    if size == 0:
        serves(group)
    began = time.time()
    cloud.aws.answer_stale(group=group.name, seconds=8)
    group.scale(size)
    if size:
        serves(group)
    else:
        eventually(lambda: not group.states(), "it is gone")
    assert not [each for each in cloud.aws.timeouts() if each.group == group.name]
    assert time.time() - began >= 8
    assert len(tower.jobs(name)) == 1


@pytest.mark.parametrize(
    ("account", "region"), [("210987654321", "us-east-1"), ("123456789012", "eu-west-1")], ids=["account", "region"]
)
def test_a_forwarded_event_of_another_account_or_region_changes_nothing(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str, account: str, region: str
) -> None:
    group = make_group(size=1)
    instance_id = serves(group)
    detail = {
        "LifecycleActionToken": "87654321-4321-4321-4321-210987654321",
        "AutoScalingGroupName": group.name,
        "LifecycleHookName": f"{HOOK_PREFIX}-terminating",
        "EC2InstanceId": instance_id,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
    }
    cloud.aws.forward_event(TERMINATION, detail, account=account, region=region)
    terminated = {"AutoScalingGroupName": group.name, "EC2InstanceId": instance_id}
    cloud.aws.forward_event("EC2 Instance Terminate Successful", terminated, account=account, region=region)
    eventually(lambda: cloud.in_flight() == 0, "nothing is on its way")
    assert [host.name for host in tower.hosts(name)] == [instance_id]
