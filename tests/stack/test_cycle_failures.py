"""Cycles in which something goes wrong: with the version, with AWS, with events, and with the function itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import (
    WARM_SOON,
    Cycle,
    at_size,
    hosts_of_version,
    new_hosts,
    start_cycle,
)
from lab.ear import Ear
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type Json = dict[str, Any]
type MakeOld = Callable[..., tuple[Group, set[str]]]

LAUNCH = "EC2 Instance-launch Lifecycle Action"
TERMINATION = "EC2 Instance-terminate Lifecycle Action"
TERMINATED = "EC2 Instance Terminate Successful"
REFRESH_EVENTS = [
    f"EC2 Auto Scaling Instance Refresh {what}"
    for what in ("Started", "Succeeded", "Failed", "Cancelled", "Rollback Started", "Rollback Succeeded")
]
LATE = 300  # seconds since its launch, beyond the longest back-off of register
VERIFY_SECONDS = 2
PINNED = "rollcall:cycle-pinned"
READS = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeInstanceRefreshes",
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeLaunchTemplateVersions",
    "logs:FilterLogEvents",
)
KILLED_READS = (1, 3)  # of each of these calls


@pytest.fixture
def make_old(make_group: MakeGroup) -> MakeOld:
    """Makes groups on a version of their template, and their instances in service."""

    def make(size: int, version: str = "1", traffic: Json | None = None, **tags: str) -> tuple[Group, set[str]]:
        group = make_group(traffic={**(traffic or {}), **WARM_SOON}, **tags)
        group.use_version(version)
        return group, at_size(group, size)

    return make


def only(group: Group, instances: set[str]) -> set[str]:
    """These instances, once they are in service and no others are there."""
    eventually(lambda: set(group.states()) == group.in_service() == instances, "no other instance is there")
    return instances


def all_new(group: Group, old: set[str], version: str) -> set[str]:
    """The instances in service, as many as before and of this version, once the old ones are gone."""
    eventually(lambda: not old & set(group.states()), "the old ones are gone")
    new = group.in_service()
    assert (len(new), {group.version_of(each) for each in new}) == (len(old), {version})
    return new


# A version that fails


@pytest.mark.parametrize("pending", ["terminate", "wait"])
def test_a_bad_version_is_rolled_back_whatever_aws_does_with_those_on_their_way(
    make_old: MakeOld, cloud: Cloud, tower: Tower, pending: str
) -> None:
    cloud.aws.rule_refreshes(pending_on_rollback=pending)
    group, old = make_old(1)
    version = group.new_version()
    tower.fail_host(hosts_of_version(group, version))
    state = start_cycle(group, launch_template_version=version).waited()
    assert (state["result"], {each["what"] for each in state["verdicts"]}) == ("rolled back", {"provision"})
    eventually(lambda: len(group.in_service()) == len(group.states()) == 1, "no other instance is there")
    assert {group.version_of(each) for each in group.in_service()} == {"1"}
    assert not [each for each in group.transitions() if each.instance_id in old and each.state == "Terminating"]


def test_a_playbook_that_fails_on_ten_at_once_holds_them_by_the_circuit_breaker_and_is_rolled_back(
    make_old: MakeOld, cloud: Cloud, tower: Tower, name: str
) -> None:
    group, old = make_old(10)
    tower.fail_host(new_hosts(name, old))
    state = start_cycle(group, launch_template_version=group.new_version(), batch=10).waited()
    assert state["result"] == "rolled back"
    assert {each["decision"] for each in state["verdicts"]} == {"hold"}
    assert "it failed on all 10 instances of its group" in state["verdicts"][0]["reason"]
    assert only(group, old)
    assert len({each.instance_id for each in group.transitions()}) == 20, "the group churned"


def test_those_that_a_group_holds_keep_no_refresh_from_being_cancelled_and_keep_their_own_verdict(
    make_old: MakeOld, tower: Tower, name: str
) -> None:
    group, old = make_old(2, on_failure="hold")
    tower.fail_host(new_hosts(name, old))
    state = start_cycle(group, launch_template_version=group.new_version(), batch=2, rollback=False).waited()
    assert (state["result"], {each["decision"] for each in state["verdicts"]}) == ("failed", {"hold"})
    assert [each["Status"] for each in group.refreshes()] == ["Cancelled"]
    held = set(group.states()) - old
    assert {group.states()[each] for each in held} == {"Pending:Wait"}
    tower.heal_hosts()
    tower.run_playbook(name, ",".join(held))
    eventually(lambda: len(group.in_service()) == len(group.states()) == 2, "two serve")


@pytest.mark.parametrize("check", ["http:81/health", "tcp:81"])
def test_a_check_that_fails_everywhere_is_named_and_the_version_rolled_back(make_old: MakeOld, check: str) -> None:
    group, old = make_old(2, timeout="3")
    group.tag({"gate": f"job {check}"})
    state = start_cycle(group, launch_template_version=group.new_version(), batch=2).waited()
    assert state["result"] == "rolled back"
    assert f"check {check} failed on" in state["reason"]
    assert {(each["decision"], each["what"], each["job_url"]) for each in state["verdicts"]} == {
        ("abandon", check, None)
    }
    assert only(group, old)


# What goes wrong in AWS


@pytest.fixture
def alarm(cloud: Cloud, name: str) -> Iterator[str]:
    """An alarm that is OK, by its name."""
    cloud.aws.put_alarm(name, "OK")
    yield name
    cloud.aws.client("cloudwatch").delete_alarms(AlarmNames=[name])


def test_an_alarm_in_mid_flight_rolls_back_and_is_named(make_old: MakeOld, cloud: Cloud, alarm: str) -> None:
    group, old = make_old(2)
    cycle = start_cycle(group, launch_template_version=group.new_version(), batch=1, alarms=[alarm])
    eventually(lambda: group.in_service() - old, "a new one is in service")
    cloud.aws.put_alarm(alarm, "ALARM")
    state = cycle.waited()
    assert (state["result"], state["verdicts"], state["ended_by"]) == ("rolled back", [], "aws")
    assert alarm in state["reason"]
    eventually(lambda: len(group.in_service()) == len(group.states()) == 2, "two serve")
    assert {group.version_of(each) for each in group.in_service()} == {"1"}


def test_calls_that_are_throttled_cost_only_time(make_old: MakeOld, cloud: Cloud) -> None:
    group, old = make_old(2)
    for action in (
        "autoscaling:DescribeInstanceRefreshes",
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:StartInstanceRefresh",
        "ec2:DescribeLaunchTemplateVersions",
        "logs:FilterLogEvents",
    ):
        cloud.aws.throttle(action, every=2)
    version = group.new_version()
    state = start_cycle(group, launch_template_version=version, batch=1).waited()
    assert state["result"] == "succeeded"
    assert len(group.refreshes()) == 1
    assert all_new(group, old, version)


def test_a_step_that_aws_denies_for_a_while_is_tried_again(make_old: MakeOld, cloud: Cloud) -> None:
    group, old = make_old(2)
    version = group.new_version()
    cycle = start_cycle(group, launch_template_version=version, batch=1)
    cycle.reaches("replacing")
    cloud.aws.deny("autoscaling:DescribeInstanceRefreshes")
    eventually(lambda: cycle.failures("Follow") >= 3, "the step fails again and again")
    cloud.aws.deny(None)
    assert cycle.waited()["result"] == "succeeded"
    assert all_new(group, old, version)


def test_lost_events_are_made_up_for_by_reconcile_and_those_about_refreshes_by_nothing(
    make_old: MakeOld, cloud: Cloud
) -> None:
    group, old = make_old(2)
    version = group.new_version()
    cloud.aws.drop_events(LAUNCH, TERMINATION, TERMINATED, *REFRESH_EVENTS)
    cycle = start_cycle(group, launch_template_version=version, batch=1)

    def ended() -> bool:
        waiting = {each for each, state in group.states().items() if state == "Pending:Wait"}
        cloud.aws.age(waiting, LATE)
        cloud.reconcile()
        return cycle.status != "RUNNING"

    eventually(ended, "it ends")
    assert cycle.state["result"] == "succeeded"
    assert all_new(group, old, version)


# The function is killed


def kill_at(cloud: Cloud, after: bool, **calls: tuple[int, ...]) -> None:
    """Kill the cycle function at these calls of Auto Scaling's actions, before each is done or after that."""
    for action, numbers in calls.items():
        cloud.aws.kill(cloud.function_name("CycleFunction"), f"autoscaling:{action}", *numbers, after=after)


def replace_none(group: Group, old: set[str]) -> None:
    """Let no instance be launched in place of a new one that fails: the third that fails in a row would be held."""
    eventually(lambda: len(set(group.states()) - old) == len(old), "the new ones are launched")
    group.cloud.aws.refuse_launches(group.name, "No third one is launched.")


def put_back(group: Group, version: str) -> bool:
    """Whether a group is on this version, a number or an alias, and no cycle's mark is left."""
    assert group.described()["LaunchTemplate"]["Version"] == version
    return PINNED not in group.tags()


WHEN = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@WHEN
def test_a_function_that_is_killed_at_every_change_makes_one_refresh_and_puts_everything_back(
    make_old: MakeOld, cloud: Cloud, after: bool
) -> None:
    group, old = make_old(2, "$Default")
    version = group.new_version(default=True)
    updates = (1, 2) if after else (1, 3)  # to pin, and to put back
    kill_at(
        cloud,
        after,
        CreateOrUpdateTags=(1,),
        UpdateAutoScalingGroup=updates,
        StartInstanceRefresh=(1,),
        DeleteTags=(1,),
    )
    cycle = start_cycle(group, batch=1, pin=True)
    state = cycle.waited()
    assert [cycle.failures(step) for step in ("Pin", "Start", "PutBack")] == [2, 1, 2], "it was not killed"
    assert (state["result"], state["unverified"]) == ("succeeded", [])
    assert [each["Status"] for each in group.refreshes()] == ["Successful"]
    assert all_new(group, old, version)
    assert put_back(group, "$Default")


@WHEN
def test_a_function_that_is_killed_as_it_rolls_back_says_why_and_puts_everything_back(
    make_old: MakeOld, cloud: Cloud, tower: Tower, name: str, after: bool
) -> None:
    group, old = make_old(2, "$Default")
    group.new_version(default=True)
    tower.fail_host(new_hosts(name, old))
    kill_at(cloud, after, RollbackInstanceRefresh=(1,), DeleteTags=(1,))
    cycle = start_cycle(group, batch=2, pin=True)
    state = cycle.waited()
    assert [cycle.failures(step) for step in ("Follow", "PutBack")] == [1, 1], "it was not killed"
    assert state["result"] == "rolled back"
    assert "task 'provision' failed on" in state["reason"]
    assert [each["Status"] for each in group.refreshes()] == ["RollbackSuccessful"]
    assert only(group, old)
    assert put_back(group, "1"), "$Default is the bad version"


@WHEN
def test_a_function_that_is_killed_as_it_cancels_says_why_and_has_failed(
    make_old: MakeOld, cloud: Cloud, tower: Tower, name: str, after: bool, ear: Ear
) -> None:
    group, old = make_old(2)
    version = group.new_version()
    tower.fail_host(new_hosts(name, old))
    kill_at(cloud, after, CancelInstanceRefresh=(1,))
    cycle = start_cycle(group, launch_template_version=version, batch=2, rollback=False)
    replace_none(group, old)
    state = cycle.waited()
    assert cycle.failures("Follow") == 1, "it was not killed"
    assert state["result"] == "failed"
    assert "task 'provision' failed on" in state["reason"]
    assert [each["Status"] for each in group.refreshes()] == ["Cancelled"]
    assert only(group, old)
    assert put_back(group, "1")
    assert eventually(lambda: ear.details(group, "Cycle Failed"), "it is published")


def test_a_function_that_is_killed_as_it_reads_makes_one_refresh_and_puts_everything_back(
    make_old: MakeOld, cloud: Cloud
) -> None:
    """Each reading call of each step, alone: tests/unit/cycle/test_interrupted.py."""
    group, old = make_old(2, "$Default")
    version = group.new_version(default=True)
    for action in READS:
        cloud.aws.kill(cloud.function_name("CycleFunction"), action, *KILLED_READS)
    cycle = start_cycle(group, batch=1, pin=True)
    state = cycle.waited()
    died = {step: cycle.failures(step) for step in ("Preflight", "Pin", "Start", "Follow", "Verify", "PutBack")}
    assert sum(died.values()) == len(READS) * len(KILLED_READS), died
    assert (state["result"], state["unverified"]) == ("succeeded", [])
    assert [each["Status"] for each in group.refreshes()] == ["Successful"]
    assert all_new(group, old, version)
    assert put_back(group, "$Default")


CHANGES = (
    "CreateOrUpdateTags",
    "UpdateAutoScalingGroup",
    "StartInstanceRefresh",
    "RollbackInstanceRefresh",
    "CancelInstanceRefresh",
    "DeleteTags",
)


@pytest.mark.parametrize(
    ("rollback", "result", "status"), [(True, "rolled back", "RollbackSuccessful"), (False, "failed", "Cancelled")]
)
def test_changes_that_are_made_again_because_their_answers_were_lost_are_made_once(
    make_old: MakeOld, cloud: Cloud, tower: Tower, name: str, rollback: bool, result: str, status: str
) -> None:
    group, old = make_old(2, "$Default")
    group.new_version(default=True)
    tower.fail_host(new_hosts(name, old))
    for action in CHANGES:
        cloud.aws.lose_answers(f"autoscaling:{action}", 1)
    cloud.aws.forget_calls()
    cycle = start_cycle(group, batch=2, pin=True, rollback=rollback)
    replace_none(group, old)
    state = cycle.waited()
    assert (state["result"], [each["Status"] for each in group.refreshes()]) == (result, [status])
    assert "task 'provision' failed on" in state["reason"]
    assert not any(cycle.failures(step) for step in ("Pin", "Start", "Follow", "PutBack")), "the SDK tries again"
    ending = "RollbackInstanceRefresh" if rollback else "CancelInstanceRefresh"
    assert {cloud.aws.calls()[f"autoscaling:{action}"] for action in ("StartInstanceRefresh", ending)} == {2}
    assert only(group, old)
    assert put_back(group, "1")


# Verified, not believed


def failed_though_successful(cycle: Cycle, group: Group) -> list[str]:
    """What was not as it should be after a refresh that AWS calls successful."""
    state = cycle.waited()
    assert [each["Status"] for each in group.refreshes()] == ["Successful"]
    assert (cycle.status, state["result"]) == ("FAILED", "failed")
    assert all(each in state["reason"] for each in state["unverified"])
    return list(state["unverified"])


def test_a_host_of_an_old_instance_that_is_left_anywhere_fails_the_cycle(
    make_old: MakeOld, all_ec2: str, tower: Tower, ear: Ear
) -> None:
    group, old = make_old(2)
    left = min(old)
    tower.add_host(all_ec2, f"ec2-{left}.compute.amazonaws.com", instance_id=left)
    version = group.new_version()
    cycle = start_cycle(group, launch_template_version=version, batch=1, verify_seconds=VERIFY_SECONDS)
    words = f"the host of the old instance {left} is still in inventory '{all_ec2}'"
    assert failed_though_successful(cycle, group) == [words]
    assert all_new(group, old, version)
    (event,) = eventually(lambda: ear.details(group, "Cycle Failed"), "it is published")
    assert words in event["reason"]


def test_a_new_instance_that_is_unhealthy_at_the_end_fails_the_cycle(make_old: MakeOld, cloud: Cloud, arn: str) -> None:
    group, old = make_old(2, traffic={"TargetGroupARNs": [arn]}, gate="job elb")
    version = group.new_version()
    cycle = start_cycle(group, launch_template_version=version, batch=2, verify_seconds=VERIFY_SECONDS)
    ill = min(eventually(lambda: group.in_service() - old, "a new one is in service"))
    cloud.aws.say_of_target(arn, "unhealthy", "Target.FailedHealthChecks", instance_id=ill)
    assert f"{ill} is unhealthy in target group {arn.split('/')[1]}" in failed_though_successful(cycle, group)
    assert ill in all_new(group, old, version)
