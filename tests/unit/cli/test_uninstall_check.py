"""uninstall-check on the embedded Auto Scaling: which hooks it lists, and what to delete them would abandon."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from rollcall.doctor.observations import Senders
from rollcall_cli.answerer import Answerer
from rollcall_cli.commands import uninstall_check
from unit.auto_scaling_world import World
from unit.cli.commands import run

QUEUE = "arn:aws:sqs:us-east-1:123456789012:launches"
TOPIC, NAMED = "arn:aws:sns:us-east-1:123456789012:own", "arn:aws:sns:us-east-1:123456789012:team-*"
STACK = Answerer("rollcall", frozenset({QUEUE}), Senders(TOPIC, (NAMED,)))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A group with one hook of others, and the stack above."""
    world = World("launch-theirs")
    monkeypatch.setattr(boto3, "client", lambda *_, **__: world.client)
    monkeypatch.setattr(uninstall_check, "connect", lambda region, profile: "us-east-1")
    monkeypatch.setattr(uninstall_check, "answerer_of", lambda stack: ({}, STACK))
    return world


def put(world: World, name: str, transition: str = "LAUNCHING", **settings: Any) -> None:
    world.client.put_lifecycle_hook(
        AutoScalingGroupName=world.name,
        LifecycleHookName=name,
        LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
        **settings,
    )


def listed(*words: str, code: int = 1) -> list[dict[str, Any]]:
    done = run("uninstall-check", "--json", *words)
    assert done.exit_code == code, done.output
    hooks: list[dict[str, Any]] = json.loads(done.stdout)["hooks"]
    return hooks


@pytest.mark.parametrize("target", [QUEUE, TOPIC, NAMED.replace("*", "blue")])
def test_a_hook_that_notifies_a_queue_or_a_named_topic_is_listed_as_offboard_takes_it(
    world: World, target: str
) -> None:
    assert listed(code=0) == []
    put(world, "launch-ours", NotificationTargetARN=target, RoleARN="arn:aws:iam::123456789012:role/notify")
    assert [(each["group"], each["hook"]) for each in listed()] == [(world.name, "launch-ours")]


def test_without_such_hooks_it_says_what_it_looked_for_and_what_it_cannot_find(world: World) -> None:
    done = run("uninstall-check")
    assert (done.exit_code, done.stdout) == (
        0,
        "No group has a hook that begins with rollcall, or one that notifies the stack's queues or a topic that it "
        "names.\nNot found: hooks that notify a topic which the stack does not name.\n",
    )


def test_launches_that_would_be_abandoned_are_counted_those_in_the_warm_pool_included(world: World) -> None:
    put(world, "rollcall-launching")
    put(world, "rollcall-terminating", "TERMINATING")
    assert "or will in a moment: none now." in run("uninstall-check").stdout
    world.scale(1)
    world.put_pool(MinSize=3)
    world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=2)
    world.tick(1)
    assert set(world.states().values()) == {"Pending", "Pending:Wait", "Warmed:Pending:Wait"}
    launching, terminating = listed()
    assert launching == {"group": world.name, "hook": "rollcall-launching", "abandoned": sorted(world.states())}
    assert terminating["abandoned"] == []
    count = len(world.states())
    assert f"or will in a moment: {count} in group {world.name!r}.\n" in run("uninstall-check").stdout


def test_commands_that_are_printed_act_on_the_same_stack_region_and_profile(world: World) -> None:
    put(world, "rollcall-launching")
    done = run("uninstall-check", "--stack", "other", "--region", "eu-west-1", "--profile", "ops")
    same = "--region eu-west-1 --profile ops"
    assert f"  rollcall offboard --stack other {same} {world.name}\n" in done.stdout
    assert f"--lifecycle-hook-name 'rollcall-launching' {same}\n" in done.stdout
    assert "--lifecycle-hook-name 'rollcall-launching'\n" in run("uninstall-check").stdout


def test_by_a_prefix_only_names_count(world: World) -> None:
    put(world, "other", NotificationTargetARN=QUEUE, RoleARN="arn:aws:iam::123456789012:role/notify")
    assert [each["hook"] for each in listed("--prefix", "launch-")] == ["launch-theirs"]
