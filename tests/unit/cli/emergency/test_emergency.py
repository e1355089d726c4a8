"""An emergency of a group on the embedded Auto Scaling: begun, interrupted anywhere, ended; and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollcall.doctor.observations import Senders
from rollcall.domain.groups import EMERGENCY_TAG
from rollcall_cli.answerer import Answerer
from rollcall_cli.emergency.letting_in import LettingIn
from rollcall_cli.emergency.plan import ending, missing, not_recorded
from rollcall_cli.emergency.run import began_at, let_in, plan_beginning, restore
from rollcall_cli.group_changes import DeleteTags, PutHook, SetTags
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World

OURS = Answerer("ours", frozenset({"arn:aws:sqs:us-east-1:123456789012:launch"}))
ROLE = "arn:aws:iam::123456789012:role/notify"
METADATA = '{"team": "blue", "n": 1}'


class Interrupted(Exception):
    """Where a run is broken off."""


@pytest.fixture
def world() -> World:
    """A group with two hooks of Rollcall's, one of which notifies its queue by another name, and one of others'."""
    world = World("terminate-by-others", MinSize=0)
    put(world, "by-target", "LAUNCHING", 600, "ABANDON", NotificationTargetARN=min(OURS.queues), RoleARN=ROLE)
    put(world, "ours-terminating", "TERMINATING", 900, "CONTINUE", NotificationMetadata=METADATA)
    return world


def put(world: World, name: str, transition: str, timeout: int, result: str, **fields: str) -> None:
    world.client.put_lifecycle_hook(
        AutoScalingGroupName=world.name,
        LifecycleHookName=name,
        LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
        HeartbeatTimeout=timeout,
        DefaultResult=result,
        **fields,
    )


def described(world: World) -> list[Any]:
    """The hooks as AWS describes them, every field."""
    hooks = world.client.describe_lifecycle_hooks(AutoScalingGroupName=world.name)["LifecycleHooks"]
    return sorted(hooks, key=lambda hook: str(hook["LifecycleHookName"]))


def group_of(world: World) -> ScalingGroup:
    return ScalingGroup(world.client, world.name)


def begin(world: World) -> list[str]:
    """Begin it; what was changed."""
    group = group_of(world)
    state = group.read()
    changes = plan_beginning(state, state.own_hooks(OURS))
    for each in changes:
        each.apply(group)
    return [each.words() for each in changes]


def end(world: World) -> LettingIn:
    letting = LettingIn(group_of(world), OURS)
    restore(letting, group_of(world).read(), lambda words: None)
    return letting


def test_its_hooks_let_in_after_thirty_seconds_and_keep_every_other_field(world: World) -> None:
    before = described(world)
    begin(world)
    opened = {"HeartbeatTimeout": 30, "DefaultResult": "CONTINUE", "GlobalTimeout": 3000}
    by_target, ours, others = before
    assert described(world) == [by_target | opened, ours | opened, others]
    assert EMERGENCY_TAG in group_of(world).read().tags


def test_restored_they_are_byte_for_byte_what_they_were_and_the_tag_is_gone(world: World) -> None:
    before = described(world)
    begin(world)
    assert described(world) != before
    end(world)
    assert described(world) == before
    assert group_of(world).read().own_tags() == {}


def test_the_tag_comes_first_and_goes_last(world: World) -> None:
    group = group_of(world)
    state = group.read()
    kinds = [type(each) for each in plan_beginning(state, state.own_hooks(OURS))]
    assert kinds == [SetTags, PutHook, PutHook]
    begin(world)
    assert [type(each) for each in ending(group.read())] == [PutHook, PutHook, DeleteTags]


@pytest.mark.parametrize("begun", range(4))
@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("ended", range(4))
def test_wherever_it_is_interrupted_a_second_run_or_a_restore_goes_on(
    world: World, begun: int, again: bool, ended: int
) -> None:
    before = described(world)
    group = group_of(world)
    state = group.read()
    for each in plan_beginning(state, state.own_hooks(OURS))[:begun]:
        each.apply(group)
    if again:
        begin(world)
        assert all(hook["HeartbeatTimeout"] == 30 for hook in described(world)[:2])
    for each in ending(group.read())[:ended]:
        each.apply(group)
    end(world)
    assert described(world) == before
    assert group_of(world).read().own_tags() == {}


def test_begun_twice_it_records_what_was_before_the_first_time(world: World) -> None:
    assert len(begin(world)) == 3
    assert begin(world) == []
    put(world, "ours-new", "LAUNCHING", 120, "ABANDON")
    assert len(begin(world)) == 2
    end(world)
    timeouts = {hook["LifecycleHookName"]: hook["HeartbeatTimeout"] for hook in described(world)}
    assert timeouts == {"by-target": 600, "ours-terminating": 900, "ours-new": 120, "terminate-by-others": 300}


def test_what_waits_and_what_arrives_is_let_in_and_what_goes_is_let_go(world: World) -> None:
    world.scale(2)
    waiting = set(world.ids("Pending:Wait"))
    assert len(waiting) == 2
    begin(world)
    letting = LettingIn(group_of(world), OURS)
    arrived: list[int] = []

    def sleep(seconds: float) -> None:
        arrived.append(1)
        if len(arrived) == 1:
            world.scale(3)
        elif len(arrived) == 3:
            world.scale(1)
        elif len(arrived) == 9:
            raise Interrupted
        world.tick()

    with pytest.raises(Interrupted):
        let_in(letting, None, lambda words: None, sleep)
    assert len(letting.launched) == 3
    assert waiting < letting.launched
    assert len(world.ids("InService")) == 1
    assert len(letting.terminated) == 2
    assert letting.still_held == letting.terminated, "the hook of others holds them"


def test_it_goes_on_though_aws_refuses_for_a_while(world: World) -> None:
    world.scale(1)
    begin(world)
    said: list[str] = []
    group = group_of(world)
    read, refusals = group.read, iter([True, True])

    def refusing() -> Any:
        if next(refusals, False):
            raise NotRun("AWS cannot be reached: slow down")
        return read()

    group.read = refusing  # type: ignore[method-assign]
    letting = LettingIn(group, OURS)
    ticks = iter(range(3))

    def sleep(seconds: float) -> None:
        if next(ticks, None) is None:
            raise Interrupted
        world.tick()

    with pytest.raises(Interrupted):
        let_in(letting, None, said.append, sleep)
    assert len(letting.launched) == 1
    assert sum("slow down" in words for words in said) == 1


def test_what_waits_when_it_ends_is_let_in_and_none_is_abandoned(world: World) -> None:
    begin(world)
    world.scale(2)
    assert len(world.ids("Pending:Wait")) == 2
    letting = end(world)
    assert len(letting.launched) == 2
    world.tick(60)
    assert len(world.ids("InService")) == 2
    assert not any("Terminating" in state for each in world.states() for state in world.history(each))


def test_of_a_hook_that_is_gone_nothing_is_put_back_and_it_is_named(world: World) -> None:
    begin(world)
    world.client.delete_lifecycle_hook(AutoScalingGroupName=world.name, LifecycleHookName="by-target")
    state = group_of(world).read()
    assert missing(state) == ["by-target"]
    end(world)
    assert [hook["LifecycleHookName"] for hook in described(world)] == ["ours-terminating", "terminate-by-others"]


def test_of_a_tag_set_by_hand_it_is_named_what_it_does_not_say(world: World) -> None:
    group_of(world).set_tags({EMERGENCY_TAG: "help"})
    state = group_of(world).read()
    assert sorted(not_recorded(state, state.own_hooks(OURS))) == ["by-target", "ours-terminating"]
    assert began_at(state.tags) == 0
    begin(world)
    state = group_of(world).read()
    assert not_recorded(state, state.own_hooks(OURS)) == []


def test_a_group_that_nothing_of_rollcalls_holds_is_left_alone() -> None:
    world = World("launch-by-others")
    with pytest.raises(NotRun, match="no hook that this stack answers"):
        begin(world)
    assert group_of(world).read().own_tags() == {}


def test_a_hook_that_notifies_a_topic_which_the_stack_names_is_rollcalls_too(world: World) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:notifications"
    put(world, "by-topic", "LAUNCHING", 600, "ABANDON", NotificationTargetARN=topic, RoleARN=ROLE)
    state = group_of(world).read()
    named = replace(OURS, senders=Senders("", ("arn:aws:sns:us-east-1:123456789012:*",)))
    assert {hook.name for hook in state.own_hooks(named)} - {hook.name for hook in state.own_hooks(OURS)} == {
        "by-topic"
    }
    assert {hook.name for hook in state.own_hooks(OURS, ["by-topic"])} == {hook.name for hook in state.own_hooks(named)}


def test_a_group_that_is_not_there_is_named() -> None:
    world = World("launch")
    with pytest.raises(NotRun, match="no Auto Scaling group 'wbe'"):
        ScalingGroup(world.client, "wbe").read()
