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
from rollcall_cli.lifecycle_hooks import LifecycleHook
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World

OURS = Answerer("ours", frozenset({"arn:aws:sqs:us-east-1:123456789012:launch"}))
ROLE = "arn:aws:iam::123456789012:role/notify"
BACK = "rollcall offboard --restore web"
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
    restore(letting, group_of(world).read(), BACK, lambda words: None)
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


@pytest.mark.parametrize("launch_hook_comes", ["first", "last"])
def test_what_arrives_while_the_hooks_are_put_back_is_let_in_too(launch_hook_comes: str) -> None:
    world = World(MinSize=0)
    names = ["ours-launch", "ours-terminate"] if launch_hook_comes == "first" else ["ours-terminate", "ours-launch"]
    for name in names:
        put(world, name, "LAUNCHING" if name == "ours-launch" else "TERMINATING", 600, "ABANDON")
    begin(world)
    group = group_of(world)
    put_back = group.put_hook

    def arriving(hook: LifecycleHook) -> None:
        if hook.launching:
            world.scale(1)
            assert len(world.ids("Pending:Wait")) == 1
        put_back(hook)

    group.put_hook = arriving  # type: ignore[method-assign]
    letting = LettingIn(group, OURS)
    restore(letting, group.read(), BACK, lambda words: None)
    assert len(letting.launched) == 1
    world.tick(60)
    assert len(world.ids("InService")) == 1
    assert not any("Terminating" in state for each in world.states() for state in world.history(each))


@pytest.mark.parametrize("refused", ["read", "put_hook", "delete_tags"])
def test_a_restore_tries_again_while_aws_refuses(world: World, refused: str) -> None:
    before = described(world)
    begin(world)
    world.scale(2)
    group, said = group_of(world), list[str]()
    state = group.read()
    call, refusals = getattr(group, refused), iter([False, True, True] if refused == "put_hook" else [True, True])

    def refusing(*arguments: Any) -> Any:
        if next(refusals, False):
            raise NotRun("AWS asks to slow down")
        return call(*arguments)

    setattr(group, refused, refusing)
    restore(LettingIn(group, OURS), state, BACK, said.append, lambda seconds: world.tick(int(seconds)))
    world.tick(60)
    assert len(world.ids("InService")) == 2
    assert described(world) == before
    assert group.read().own_tags() == {}
    assert sum("slow down" in words for words in said) == 1


def test_a_restore_tries_on_for_as_long_as_what_began_under_the_short_timeout_waits(world: World) -> None:
    begin(world)
    group, waited = group_of(world), list[float]()
    state = group.read()

    def refusing(keys: Any) -> None:
        raise NotRun("AWS asks to slow down")

    group.delete_tags = refusing  # type: ignore[method-assign]
    with pytest.raises(NotRun) as raised:
        restore(LettingIn(group, OURS), state, BACK, lambda words: None, waited.append)
    assert sum(waited) > 30
    assert f"Left to do: delete {EMERGENCY_TAG}" in str(raised.value)
    assert str(raised.value).endswith(f"Go on with: {BACK}")


def test_an_interrupted_restore_says_what_is_left_and_how_to_go_on(world: World) -> None:
    begin(world)
    group, said = group_of(world), list[str]()
    state = group.read()

    def interrupted(hook: LifecycleHook) -> None:
        raise KeyboardInterrupt

    group.put_hook = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        restore(LettingIn(group, OURS), state, BACK, said.append)
    assert all(words in said[-1] for words in ("put hook by-target", "put hook ours-terminating", BACK))


def test_a_second_run_keeps_when_it_began(world: World) -> None:
    begin(world)
    since = began_at(group_of(world).read().tags)
    world.tick(100)
    put(world, "ours-new", "LAUNCHING", 120, "ABANDON")
    assert begin(world)
    assert began_at(group_of(world).read().tags) == since > 0


@pytest.mark.parametrize("value", ["help", "", "a=600/ABANDON"])
def test_of_a_tag_that_does_not_say_since_when_no_later_moment_is_made_up(world: World, value: str) -> None:
    group_of(world).set_tags({EMERGENCY_TAG: value})
    begin(world)
    assert began_at(group_of(world).read().tags) == 0


@pytest.mark.parametrize(("timeout", "result"), [(30, "CONTINUE"), (600, "CONTINUE")])
def test_a_launch_hook_that_was_opened_by_hand_is_not_recorded_as_it_was_before(
    world: World, timeout: int, result: str
) -> None:
    group_of(world).set_tags({EMERGENCY_TAG: "help"})
    put(world, "by-target", "LAUNCHING", timeout, result, NotificationTargetARN=min(OURS.queues), RoleARN=ROLE)
    begin(world)
    state = group_of(world).read()
    assert not_recorded(state, state.own_hooks(OURS)) == ["by-target"]
    end(world)
    assert [hook["HeartbeatTimeout"] for hook in described(world)] == [30, 900, 300]


def test_a_hook_that_always_let_in_is_recorded_where_no_tag_was_set_before(world: World) -> None:
    put(world, "by-target", "LAUNCHING", 30, "CONTINUE", NotificationTargetARN=min(OURS.queues), RoleARN=ROLE)
    before = described(world)
    begin(world)
    state = group_of(world).read()
    assert not_recorded(state, state.own_hooks(OURS)) == []
    end(world)
    assert described(world) == before


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
