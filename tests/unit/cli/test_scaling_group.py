"""One group as commands read it: which of its instances hooks hold, or will in a moment, those of its pool included."""

from __future__ import annotations

from rollcall.domain.actions import Transition
from rollcall.domain.lifecycle_states import PHASES
from rollcall_cli.scaling_group import GroupState, ScalingGroup
from unit.auto_scaling_world import World

INTO_POOL = {"Warmed:Pending", "Warmed:Pending:Wait"}  # one state, whichever hook leads there
LAUNCHING = {"Pending", "Pending:Wait", *INTO_POOL}
TERMINATING = {
    "Terminating",
    "Terminating:Wait",
    "Warmed:Terminating",
    "Warmed:Terminating:Wait",
    "ReplacingRootVolume",
    "ReplacingRootVolume:Wait",
    *INTO_POOL,
}


def test_of_all_lifecycle_states_those_before_a_hook_and_held_by_it_are_bound_for_it() -> None:
    state = GroupState("web", {}, {each: each for each in (*PHASES, "Unheard:Of")}, (), 0, 0, 0.0)
    assert set(state.bound_for_hooks(Transition.LAUNCHING)) == LAUNCHING
    assert set(state.bound_for_hooks(Transition.TERMINATING)) == TERMINATING
    for transition, bound in ((Transition.LAUNCHING, LAUNCHING), (Transition.TERMINATING, TERMINATING)):
        assert set(state.waiting(transition)) == {each for each in bound if each.endswith(":Wait")}


def test_the_warm_pool_is_read_too() -> None:
    world = World("launch")
    world.put_pool(MinSize=2)
    state = ScalingGroup(world.client, world.name).read()
    assert state.instances == world.states()
    assert set(state.instances.values()) == {"Warmed:Pending:Wait"}
    assert state.bound_for_hooks(Transition.LAUNCHING) == sorted(world.states())
