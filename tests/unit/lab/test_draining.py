"""Targets drain before Auto Scaling goes on with their instances, and are what a load balancer finds them to be."""

from __future__ import annotations

from collections.abc import Callable
from copy import replace

import pytest

from lab.aws import ministack as cloud
from lab.aws.control import FoundTarget
from lab.aws.target_groups import DRAINING_TIME, TargetGroups
from lab.clock import StillClock
from unit.auto_scaling_world import SCOPE, World

ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/1"
DELAY = 5  # seconds

type SetDelay = Callable[[float | None], None]


@pytest.fixture
def set_delay(monkeypatch: pytest.MonkeyPatch) -> SetDelay:
    """Sets the deregistration delay of all target groups; None is that there is none."""

    def set_delay(seconds: float | None) -> None:
        monkeypatch.setattr(cloud, "deregistration_delay", lambda _: seconds)

    set_delay(DELAY)
    return set_delay


def balanced() -> tuple[World, str]:
    """A group with a terminate hook and a target group, and its one instance, in service."""
    world = World("terminate")
    with cloud.within(SCOPE):
        group = cloud.group_named(world.name)
        assert group
        group["TargetGroupARNs"] = [ARN]
    world.scale(1)
    return world, world.one("InService")


def seconds_between(world: World, instance_id: str, state: str, next_state: str) -> float:
    entered = {each.state: each.time for each in world.engine.transitions if each.instance_id == instance_id}
    return entered[next_state] - entered[state]


def test_a_terminating_instance_drains_before_its_hook_runs(set_delay: SetDelay) -> None:
    world, instance = balanced()
    world.scale(0)
    assert DELAY <= seconds_between(world, instance, "Terminating", "Terminating:Wait") <= DELAY + 1


@pytest.mark.parametrize("delay", [None, 0, DRAINING_TIME])
def test_nothing_is_waited_for_unless_a_target_group_says_how_long(delay: float | None, set_delay: SetDelay) -> None:
    set_delay(delay)
    world, instance = balanced()
    world.scale(0)
    assert seconds_between(world, instance, "Terminating", "Terminating:Wait") <= 1


def test_an_instance_drains_before_it_is_in_standby_and_before_it_is_detached(set_delay: SetDelay) -> None:
    world, instance = balanced()
    named = {"AutoScalingGroupName": world.name, "InstanceIds": [instance], "ShouldDecrementDesiredCapacity": True}
    world.client.enter_standby(**named)
    world.tick()
    assert seconds_between(world, instance, "EnteringStandby", "Standby") >= DELAY
    world.client.exit_standby(AutoScalingGroupName=world.name, InstanceIds=[instance])
    world.tick()
    world.client.detach_instances(**named)
    world.tick()
    assert seconds_between(world, instance, "Detaching", "Detached") >= DELAY


def test_an_instance_that_never_was_a_target_does_not_drain(set_delay: SetDelay) -> None:
    world = World("launch", "terminate")
    with cloud.within(SCOPE):
        group = cloud.group_named(world.name)
        assert group
        group["TargetGroupARNs"] = [ARN]
    world.scale(1)
    instance = world.one("Pending:Wait")
    world.scale(0)
    assert seconds_between(world, instance, "Terminating", "Terminating:Wait") <= 1


# What a load balancer finds.


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def targets(clock: StillClock, monkeypatch: pytest.MonkeyPatch, set_delay: SetDelay) -> TargetGroups:
    """A target group with one target, registered a while ago."""
    monkeypatch.setattr(cloud, "instance_state", lambda _: "running")
    targets = TargetGroups(clock)
    targets.register(ARN, ["i-a"])
    clock.advance(60)
    return targets


def shown(targets: TargetGroups, instance_id: str = "i-a") -> tuple[str, str]:
    return targets.health(ARN, instance_id)


def found(targets: TargetGroups, state: str, reason: str = "") -> FoundTarget:
    (record,) = [each for each in targets.records() if each.instance_id == "i-a"]
    return FoundTarget("i-a", record.registered, state, reason, "")


def events(targets: TargetGroups) -> list[str]:
    return [each.what for each in targets.events]


def test_a_target_without_a_load_balancer_is_healthy_after_a_moment(targets: TargetGroups) -> None:
    targets.register(ARN, ["i-b"])
    assert shown(targets) == ("healthy", "")
    assert shown(targets, "i-b") == ("initial", "Elb.InitialHealthChecking")


def test_a_target_is_what_its_load_balancer_finds_and_registering_until_then(targets: TargetGroups) -> None:
    targets.balance(ARN, on=True)
    assert shown(targets) == ("initial", "Elb.RegistrationInProgress")
    targets.find(ARN, found(targets, "unhealthy", "Target.Timeout"))
    assert shown(targets) == ("unhealthy", "Target.Timeout")
    targets.find(ARN, found(targets, "healthy"))
    targets.find(ARN, found(targets, "healthy"))
    assert shown(targets) == ("healthy", "")
    assert events(targets) == ["registered", "healthy"]
    targets.find(ARN, found(targets, "unhealthy", "Target.Timeout"))
    targets.balance(ARN, on=False)
    assert shown(targets) == ("healthy", "")


def test_the_word_of_a_test_is_above_what_a_load_balancer_finds(targets: TargetGroups) -> None:
    targets.balance(ARN, on=True)
    targets.find(ARN, found(targets, "healthy"))
    targets.say(ARN, "i-a", "unhealthy", "Target.FailedHealthChecks")
    assert shown(targets) == ("unhealthy", "Target.FailedHealthChecks")


def test_what_was_found_of_a_target_does_not_count_once_it_is_registered_anew(
    targets: TargetGroups, clock: StillClock
) -> None:
    targets.balance(ARN, on=True)
    old = found(targets, "healthy")
    targets.find(ARN, old)
    targets.deregister(ARN, ["i-a"])
    clock.advance(1)
    targets.register(ARN, ["i-a"])
    assert shown(targets) == ("initial", "Elb.RegistrationInProgress")
    targets.find(ARN, old)
    assert shown(targets) == ("initial", "Elb.RegistrationInProgress")


def test_a_target_drains_as_long_as_its_delay_and_is_none_after_that(targets: TargetGroups, clock: StillClock) -> None:
    targets.balance(ARN, on=True)
    healthy = found(targets, "healthy")
    assert targets.deregister(ARN, ["i-a"]) == clock.now + DELAY
    targets.find(ARN, replace(healthy))
    assert shown(targets) == ("draining", "Target.DeregistrationInProgress")
    clock.advance(DELAY + 0.1)
    assert shown(targets) == ("unused", "Target.NotRegistered")
    (record,) = targets.records()
    assert record.drained == record.registered + 60 + DELAY
    clock.advance(3600)
    assert targets.records() == []
