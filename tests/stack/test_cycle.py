"""Cycles of groups under load: every instance replaced, and no request lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.cycles import start_cycle
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

DRAINING = 1  # seconds that a target drains


@pytest.fixture
def arn(cloud: Cloud, name: str) -> str:
    """A target group of the test's own, whose targets drain for a while."""
    arn = cloud.create_target_group("".join(each for each in name if each.isalnum() or each == "-")[-32:].strip("-"))
    cloud.set_deregistration_delay(arn, DRAINING)
    return arn


def at_size(group: Group, size: int) -> set[str]:
    """The group's instances once it has this size, and all are in service."""
    group.scale(size)
    eventually(lambda: len(group.states()) == len(group.in_service()) == size, f"{size} in service", 90)
    return group.in_service()


@pytest.mark.story
def test_ten_instances_are_replaced_under_load_and_no_request_is_lost(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, arn: str
) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn], "DefaultInstanceWarmup": 1})
    group.use_version("1")
    with cloud.traffic(group, arn) as traffic:
        old = at_size(group, 10)
        version = group.new_version(InstanceType="t4g.medium")
        cycle = start_cycle(group, launch_template_version=version, batch=4)
        state = cycle.waited()
        assert (state["result"], state["unverified"]) == ("succeeded", [])
        new = group.in_service()
        assert len(new) == 10
        assert not new & old
        assert {group.version_of(each) for each in new} == {version}
        summary = traffic.summary()
        assert summary.asked > 100
        assert summary.failed == ()
    assert state["dips"] == []
    assert state["reason"] == "10 instances were verified"
