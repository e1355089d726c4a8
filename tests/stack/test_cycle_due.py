"""Cycles that tags ask for: reconcile starts each once, and tells what it could not start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import Cycle
from lab.tower.embedded import Tower
from rollcall.workflow.names import execution_name

type MakeGroup = Callable[..., Group]


def cycles_of(group: Group) -> list[str]:
    """The names of the group's cycles, the newest first."""
    answer = group.cloud.aws.client("stepfunctions").list_executions(
        stateMachineArn=group.cloud.physical_id("CycleStateMachine")
    )
    prefix = execution_name(group.name, "x").removesuffix("x")
    return [each["name"] for each in answer["executions"] if each["name"].startswith(prefix)]


def cycle_named(group: Group, name: str) -> Cycle:
    machine = group.cloud.physical_id("CycleStateMachine")
    return Cycle(group.cloud, f"{machine.replace(':stateMachine:', ':execution:')}:{name}")


@pytest.mark.story
def test_a_new_version_is_brought_once_to_a_group_that_asks_for_it_and_the_group_stays_on_latest(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_group(cycle="on-new-version", traffic={"DefaultInstanceWarmup": 0})
    group.scale(1)
    [old] = eventually(group.in_service, "an instance serves")
    cloud.reconcile(groups=[group.name])
    assert cycles_of(group) == []  # it runs the latest
    version = group.new_version(InstanceType="t4g.medium")
    cloud.reconcile(groups=[group.name], dry_run=True)
    assert cycles_of(group) == []
    cloud.reconcile(groups=[group.name])
    name = execution_name(group.name, f"v{version}")
    assert cycles_of(group) == [name]
    cloud.reconcile(groups=[group.name])
    assert cycles_of(group) == [name]
    state = cycle_named(group, name).waited()
    assert (state["result"], state["objections"]) == ("succeeded", [])
    [new] = group.in_service()
    assert new != old
    assert group.version_of(new) == version
    cloud.reconcile(groups=[group.name])
    assert cycles_of(group) == [name]
    answer = cloud.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])
    assert answer["AutoScalingGroups"][0]["LaunchTemplate"]["Version"] == "$Latest"


def test_a_schedule_starts_its_cycle_once_on_its_day_and_only_after_the_group_was_made(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    now = datetime.now(UTC)
    before, ahead = (now + timedelta(minutes=each) for each in (-3, 30))
    group = make_group(cycle=f"every=daily-{ahead:%H:%M}")
    cloud.reconcile(groups=[group.name])
    assert cycles_of(group) == []
    group.tag({"cycle": f"every=daily-{before:%H:%M}"})
    cloud.reconcile(groups=[group.name])
    assert cycles_of(group) == []  # it is younger than that


def test_a_tag_that_cannot_be_read_is_told_and_the_run_goes_well(
    make_group: MakeGroup, cloud: Cloud, tower: Tower
) -> None:
    group = make_group(cycle="on-new-versions")
    assert cloud.reconcile(groups=[group.name])["failed"] is False
    lines = [each["message"] for each in cloud.log_lines("reconcile") if group.name in each["message"]]
    assert any("rollcall:cycle" in each and "on-new-versions" in each for each in lines)
    assert cycles_of(group) == []
