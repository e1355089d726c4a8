"""What a launch action asks for: every state that AWS can show of its instance, held by a hook or not."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING

import pytest

from rollcall.domain.errors import BadSettings, InstanceNotVisible
from rollcall.domain.lifecycle_states import PHASES, Phase
from rollcall.lifecycle.launch_classification import (
    EntersWarmPool,
    Gone,
    NotOptedIn,
    NotPending,
    ToBeRegistered,
    classify,
    read_aws_state,
)

if TYPE_CHECKING:
    from rollcall.domain.actions import LifecycleAction
    from rollcall.lifecycle.launch_classification import Launch
    from unit.world import World

ASKED_FOR = {  # by phase: while a hook holds the instance, and where none does
    Phase.ENTERING: (ToBeRegistered, ToBeRegistered),
    Phase.SERVING: (NotPending, ToBeRegistered),
    Phase.POOLED: (NotPending, NotPending),
    Phase.REIMAGED: (NotPending, NotPending),
    Phase.LEAVING: (Gone, Gone),
    Phase.RETAINED: (Gone, Gone),
    Phase.DETACHED: (NotPending, NotPending),
    Phase.UNKNOWN: (NotPending, NotPending),
}


def launch_of(world: World, action: LifecycleAction) -> Launch:
    """What an action asks for."""
    return classify(action, read_aws_state(world.fleet, [action]), world.settings.hook_prefix)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("state", [*PHASES, "Unheard:Of"])
def test_every_lifecycle_state_asks_for_one_thing(world: World, state: str, held: bool) -> None:
    action = world.launching("i-a", state=state)
    launch = launch_of(world, action if held else replace(action, hook=None, token=None))
    expected = ASKED_FOR[PHASES.get(state, Phase.UNKNOWN)][0 if held else 1]
    if held and state == "Warmed:Pending:Wait":
        expected = EntersWarmPool
    assert isinstance(launch, expected)
    if isinstance(launch, NotPending):
        assert launch.state == state
    if isinstance(launch, Gone):
        assert not launch.unknown


def test_what_is_to_be_registered_has_all_that_is_needed_for_it(world: World) -> None:
    action = world.launching("i-a")
    launch = launch_of(world, action)
    assert isinstance(launch, ToBeRegistered)
    assert (launch.action, launch.group, launch.settings.group) == (action, world.fleet.known_groups["web"], "web")
    assert launch.instance == world.instance("i-a")
    world.fleet.known_instances.clear()
    undescribed = launch_of(world, action)
    assert isinstance(undescribed, ToBeRegistered)
    assert undescribed.instance is None


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_what_ec2_says_is_gone_is_gone_whatever_auto_scaling_lists(world: World, state: str) -> None:
    action = world.launching("i-a")
    world.fleet.known_instances["i-a"] = world.instance("i-a", state=state)
    assert launch_of(world, action) == Gone(action)


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("group_exists", [True, False])
def test_one_that_is_not_listed_is_gone_only_if_its_group_and_ec2_know_nothing_of_it(
    world: World, described: bool, group_exists: bool
) -> None:
    action = world.launching("i-a")
    world.fleet.known_memberships.clear()
    if not described:
        world.fleet.known_instances.clear()
    if not group_exists:
        world.fleet.known_groups.clear()
    if not described and not group_exists:
        assert launch_of(world, action) == Gone(action, unknown=True)
        return
    with pytest.raises(InstanceNotVisible, match="is not listed in group 'web' yet"):
        launch_of(world, action)


def test_one_that_is_listed_in_a_group_that_is_gone_is_asked_for_again(world: World) -> None:
    action = world.launching("i-a")
    world.fleet.known_groups.clear()
    with pytest.raises(InstanceNotVisible, match="group 'web' is gone"):
        launch_of(world, action)


@pytest.mark.parametrize("hook", [None, "someone-elses"])
def test_a_group_that_did_not_opt_in_asks_for_nothing_unless_a_hook_of_ours_waits(
    world: World, hook: str | None
) -> None:
    world.group("web", tags={})
    action = world.launching("i-a")
    assert launch_of(world, replace(action, hook=hook)) == NotOptedIn(replace(action, hook=hook))
    with pytest.raises(BadSettings, match="add the tag, or delete the hook"):
        launch_of(world, action)


def test_a_tag_that_cannot_be_read_holds_only_who_is_not_gone(world: World) -> None:
    world.group("web", timeout="soon")
    with pytest.raises(BadSettings):
        launch_of(world, world.launching("i-a"))
    assert isinstance(launch_of(world, world.launching("i-b", state="Terminated")), Gone)
