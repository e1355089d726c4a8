"""A group leaves Rollcall on the embedded Auto Scaling: in which order, and what becomes of instances that wait."""

from __future__ import annotations

from typing import Any

import pytest

from rollcall.domain.actions import Result
from rollcall.domain.groups import EMERGENCY_TAG
from rollcall_cli.answerer import Answerer
from rollcall_cli.group_changes import Change, DeleteHook, DeleteTags, PutHook, SetTags
from rollcall_cli.offboarding.plan import ForWaiting, removals, way_back
from rollcall_cli.offboarding.run import Answer, Removing
from rollcall_cli.running import NotRun
from rollcall_cli.scaling_group import ScalingGroup
from unit.auto_scaling_world import World

OURS = Answerer("", frozenset())
TAGS = {"rollcall:inventory": "prod", "rollcall:job-template": "provision"}


@pytest.fixture
def world() -> World:
    """A group with both hooks, and a tag that is not Rollcall's."""
    world = World("terminate", "launch")
    group_of(world).set_tags({**TAGS, "team": "blue"})
    return world


def group_of(world: World) -> ScalingGroup:
    return ScalingGroup(world.client, world.name)


def planned(world: World, ours: Answerer = OURS) -> list[Change]:
    state = group_of(world).read()
    return removals(state, state.own_hooks(ours))


class Time:
    """Time that passes in the world while a command sleeps. on_sleep: what happens then, by how often it slept."""

    def __init__(self, world: World, **on_sleep: Any) -> None:
        self._world = world
        self._happens = {int(key.removeprefix("at_")): what for key, what in on_sleep.items()}
        self.slept = 0

    def has_come(self) -> bool:
        """Whether all of it has happened."""
        return not self._happens

    def __call__(self, seconds: float) -> None:
        if what := self._happens.pop(self.slept, None):
            what()
        self._world.tick()
        self.slept += 1
        assert self.slept < 50, "it waits for ever"


def remove(world: World, for_waiting: ForWaiting = ForWaiting.WAIT, seconds: float = 60, **happens: Any) -> Removing:
    time = Time(world, **happens)
    removing = Removing(group_of(world), for_waiting, seconds, lambda words: None, time)
    removing.apply(planned(world))
    assert time.has_come(), "it did not wait so long"
    return removing


def was_lost(world: World) -> bool:
    """Whether an instance went on its way out."""
    return any("Terminating" in state for each in world.states() for state in world.history(each))


def test_the_launch_hook_goes_first_and_the_tags_last(world: World) -> None:
    changes = planned(world)
    assert [type(each) for each in changes] == [DeleteHook, DeleteHook, DeleteTags]
    assert [each.hook.name for each in changes if isinstance(each, DeleteHook)] == ["launch", "terminate"]
    assert changes[-1] == DeleteTags(("rollcall:inventory", "rollcall:job-template"))


def test_a_group_that_nothing_waits_in_is_out_at_once_and_keeps_its_other_tags(world: World) -> None:
    removing = remove(world)
    state = group_of(world).read()
    assert (state.hooks, state.tags, removing.answered) == ((), {"team": "blue"}, [])


def test_an_instance_that_waits_is_waited_for_and_not_lost(world: World) -> None:
    world.scale(1)
    waiting = world.one("Pending:Wait")
    removing = remove(world, at_2=lambda: world.answer("launch", InstanceId=waiting))
    assert world.ids("InService") == [waiting]
    assert removing.answered == []
    assert not was_lost(world)
    assert group_of(world).read().hooks == ()


def test_an_instance_that_has_just_begun_to_launch_is_waited_for_too(world: World) -> None:
    world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=1)
    world.tick(1)
    assert list(world.states().values()) == ["Pending"]
    remove(world, at_1=lambda: world.answer("launch", InstanceId=world.one("Pending:Wait")))
    world.tick(60)
    assert len(world.ids("InService")) == 1
    assert not was_lost(world)


def test_those_that_wait_are_let_in_if_so_chosen(world: World) -> None:
    world.scale(1)
    waiting = world.one("Pending:Wait")
    removing = remove(world, ForWaiting.CONTINUE)
    assert removing.answered == [Answer("launch", waiting, Result.CONTINUE)]
    world.tick(60)
    assert world.ids("InService") == [waiting]


def test_one_that_begins_to_launch_while_others_are_answered_is_not_lost(world: World) -> None:
    world.scale(1)

    def one_more() -> None:
        world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=2)

    removing = remove(world, ForWaiting.CONTINUE, at_0=one_more)
    assert len(removing.answered) == 2
    world.tick(60)
    assert len(world.ids("InService")) == 2
    assert not was_lost(world)


def test_those_that_wait_are_abandoned_if_so_chosen_and_what_comes_instead_waits_for_nothing(world: World) -> None:
    world.scale(1)
    waiting = world.one("Pending:Wait")
    removing = remove(world, ForWaiting.ABANDON)
    assert removing.answered[0] == Answer("launch", waiting, Result.ABANDON)
    world.tick(60)
    (other,) = world.ids("InService")
    assert other != waiting
    assert "Pending:Wait" not in world.history(other)


def test_a_termination_that_waits_is_never_abandoned(world: World) -> None:
    world.scale(1)
    world.answer("launch", InstanceId=world.one("Pending:Wait"))
    world.scale(0)
    leaving = world.one("Terminating:Wait")
    assert remove(world, ForWaiting.ABANDON).answered == [Answer("terminate", leaving, Result.CONTINUE)]


def test_where_the_time_is_over_the_hook_stays_and_it_is_said_what_to_do(world: World) -> None:
    world.scale(1)
    with pytest.raises(
        NotRun, match=r"hook launch holds, or will soon: .*would abandon what it holds.*--waiting.*Done so far: nothing"
    ):
        remove(world, seconds=0)
    assert [hook.name for hook in group_of(world).read().hooks] == ["terminate", "launch"]
    assert world.ids("Pending:Wait")
    assert set(TAGS) <= group_of(world).read().tags.keys(), "without its tag it would wait in vain"


class TestAHookOfOthersHoldsToo:
    """launch-theirs is not answered here; launch-ours is."""

    OURS = Answerer("launch-ours", frozenset())

    @pytest.fixture
    def world(self) -> World:
        world = World("launch-ours", "launch-theirs")
        world.scale(1)
        return world

    def test_what_ours_was_answered_for_is_not_waited_for(self, world: World) -> None:
        waiting = world.one("Pending:Wait")
        removing = Removing(group_of(world), ForWaiting.CONTINUE, 60, lambda words: None, Time(world))
        removing.apply(planned(world, self.OURS))
        assert removing.answered == [Answer("launch-ours", waiting, Result.CONTINUE)]
        assert [hook.name for hook in group_of(world).read().hooks] == ["launch-theirs"]
        world.tick()
        assert world.one("Pending:Wait") == waiting, "theirs holds it"
        world.answer("launch-theirs", InstanceId=waiting)
        assert world.one("InService") == waiting

    def test_what_has_only_begun_to_launch_is_waited_for_until_ours_was_answered(self, world: World) -> None:
        world.client.set_desired_capacity(AutoScalingGroupName=world.name, DesiredCapacity=2)
        world.tick(1)
        assert world.ids("Pending")
        removing = Removing(group_of(world), ForWaiting.CONTINUE, 60, lambda words: None, Time(world))
        removing.apply(planned(world, self.OURS))
        assert {each.instance for each in removing.answered} == set(world.ids("Pending:Wait"))
        assert len(removing.answered) == 2

    def test_a_run_that_waits_says_that_it_may_be_another_hook(self, world: World) -> None:
        removing = Removing(group_of(world), ForWaiting.WAIT, 0, lambda words: None, Time(world))
        with pytest.raises(
            NotRun, match=r"hook launch-ours, or another one \(launch-theirs\), holds, or will soon: i-"
        ):
            removing.apply(planned(world, self.OURS))


@pytest.mark.parametrize("done", range(4))
def test_wherever_it_is_interrupted_a_second_run_goes_on(world: World, done: int) -> None:
    for each in planned(world)[:done]:
        each.apply(group_of(world))
    assert len(planned(world)) == 3 - done
    remove(world)
    state = group_of(world).read()
    assert (state.hooks, state.own_tags()) == ((), {})


def test_the_way_back_makes_it_what_it_was(world: World) -> None:
    state = group_of(world).read()
    back = way_back(state, state.hooks)
    assert [type(each) for each in back] == [SetTags, PutHook, PutHook]
    assert [each.hook.name for each in back if isinstance(each, PutHook)] == ["terminate", "launch"]
    remove(world)
    for each in back:
        each.apply(group_of(world))
    assert group_of(world).read() == state


def test_the_way_back_of_a_group_in_an_emergency_is_as_it_was_before_that(world: World) -> None:
    group = group_of(world)
    before = group.read()
    group.set_tags({EMERGENCY_TAG: "2026-11-21T10:00:00Z launch=600/ABANDON"})
    state = group.read()
    puts = {each.hook.name: each.hook for each in way_back(state, before.hooks) if isinstance(each, PutHook)}
    assert puts["launch"].heartbeat_timeout == 600
    assert way_back(state, before.hooks)[0] == SetTags(TAGS)
