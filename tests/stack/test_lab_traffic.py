"""Downtime is measured: requests to a group through a load balancer, while it is scaled, broken and repaired."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from lab.cloud import Cloud, Group, eventually
from lab.traffic.service import DARK, UNREADY, Flapping
from lab.traffic.traffic import Traffic

type MakeGroup = Callable[..., Group]

DRAINING = 2  # seconds that a target drains


@pytest.fixture
def arn(cloud: Cloud, name: str) -> str:
    """A target group of the test's own, whose targets drain for a while."""
    arn = cloud.create_target_group("".join(each for each in name if each.isalnum() or each == "-")[-32:].strip("-"))
    cloud.set_deregistration_delay(arn, DRAINING)
    return arn


def scale(group: Group, size: int) -> set[str]:
    """Let a group have this size, and return its instances once all that is in it is in service."""
    group.scale(size)
    eventually(lambda: len(group.states()) == len(group.in_service()) == size, f"{size} in service")
    return group.in_service()


def await_requests(traffic: Traffic, number: int = 25) -> float:
    """Wait until so many more were asked, and return when that began."""
    began = time.time()
    eventually(lambda: traffic.summary(began).asked >= number, "requests")
    return began


def came_and_went(traffic: Traffic, instance_id: str, since: float) -> bool:
    """Whether a target was unhealthy twice, and healthy again after each time."""
    healthy = [instance_id in each.healthy for each in traffic.samples() if each.time > since]
    turns = [now for before, now in pairwise([True, *healthy]) if now != before]
    return len(turns) >= 4


def states_of(cloud: Cloud, arn: str) -> dict[str, tuple[str, str]]:
    """State and reason of the targets, as DescribeTargetHealth shows them."""
    answer = cloud.aws.client("elbv2").describe_target_health(TargetGroupArn=arn)
    shown = {each["Target"]["Id"]: each["TargetHealth"] for each in answer["TargetHealthDescriptions"]}
    return {instance_id: (each["State"], each.get("Reason", "")) for instance_id, each in shown.items()}


def test_scaling_out_and_in_loses_no_request(make_group: MakeGroup, cloud: Cloud, arn: str) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn]})
    with cloud.traffic(group, arn) as traffic:
        first = scale(group, 3)
        assert traffic.healthy() == first
        assert states_of(cloud, arn) == dict.fromkeys(first, ("healthy", ""))
        began = await_requests(traffic)
        assert set(traffic.summary(began).by_instance) == first
        all_five = scale(group, 5)
        began = await_requests(traffic)
        assert set(traffic.summary(began).by_instance) == all_five
        (left,) = scale(group, 1)
        began = await_requests(traffic)
        assert set(traffic.summary(began).by_instance) == {left}
    summary = traffic.summary()
    assert not summary.failed, str(summary)
    assert summary.asked > 100
    assert max(len(each.healthy) for each in traffic.samples()) == 5


def test_an_instance_drains_before_its_terminate_hook_runs(make_group: MakeGroup, cloud: Cloud, arn: str) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn]}, size=1)
    (instance_id,) = eventually(group.in_service, "in service")
    group.scale(0)
    eventually(
        lambda: states_of(cloud, arn) == {instance_id: ("draining", "Target.DeregistrationInProgress")}, "drains"
    )
    eventually(lambda: not group.states(), "terminated")
    entered = {each.state: each.time for each in group.transitions()}
    (gone,) = [
        each.time for each in cloud.aws.target_events() if each.target_group == arn and each.what == "deregistered"
    ]
    assert gone - 1 < entered["Terminating"] <= entered["Terminating:Wait"] - DRAINING
    assert states_of(cloud, arn) == {}


def test_what_ends_without_draining_is_seen_as_failed_requests(make_group: MakeGroup, cloud: Cloud, arn: str) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn]})
    with cloud.traffic(group, arn) as traffic:
        ended, *others = sorted(scale(group, 3))
        began = await_requests(traffic)
        assert not traffic.summary().failed
        cloud.aws.client("ec2").terminate_instances(InstanceIds=[ended])
        eventually(lambda: traffic.summary(began).failed, "requests fail")
        eventually(lambda: len(group.in_service() - {ended}) == 3, "replaced")
        after = await_requests(traffic)
        assert not traffic.summary(after).failed
        assert set(others) < set(traffic.summary(after).by_instance)
    failed = traffic.summary().failed
    assert {each.instance for each in failed} == {ended}
    assert {each.failure[:3] for each in failed} == {"502"}
    assert traffic.fewest_healthy(began) == 2


def test_a_target_that_flaps_comes_and_goes_and_the_others_answer(
    make_group: MakeGroup, cloud: Cloud, arn: str
) -> None:
    group = make_group(gate="job elb", traffic={"TargetGroupARNs": [arn]})
    with cloud.traffic(group, arn) as traffic:
        flapping, *others = sorted(scale(group, 3))
        began = time.time()
        traffic.set_fault(Flapping(ill_seconds=1.5, well_seconds=1.5, ill=UNREADY), flapping)
        eventually(lambda: came_and_went(traffic, flapping, began), "it came and went twice")
        assert all(set(others) <= each.healthy for each in traffic.samples() if each.time > began)
        traffic.end_fault(flapping)
        eventually(lambda: traffic.healthy() == {flapping, *others}, "all well")
    assert not traffic.summary().failed, str(traffic.summary())
    assert group.in_service() == {flapping, *others}


def test_an_instance_whose_service_never_comes_up_is_kept_from_service(
    make_group: MakeGroup, cloud: Cloud, arn: str
) -> None:
    group = make_group(gate="job elb", timeout="5", traffic={"TargetGroupARNs": [arn]})
    with cloud.traffic(group, arn) as traffic:
        (first,) = scale(group, 1)
        group.scale(2)
        (second,) = eventually(lambda: set(group.states()) - {first}, "launched")
        traffic.set_fault(DARK, second)
        eventually(lambda: second not in group.states(), "abandoned")
        eventually(lambda: len(group.in_service()) == 2, "another one serves")
    assert "InService" not in {each.state for each in group.transitions() if each.instance_id == second}
    assert not traffic.summary().failed, str(traffic.summary())
