"""A step that ends at any of its calls, of AWS, Tower or Chef, before or after it is made, is repeated without harm.

Each scene is played once undisturbed, which counts the calls. Then it is played again for each of these: the step dies
there, or the call fails, and is taken again with the state that it began with, as its state machine does.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import replace
from dataclasses import dataclass
from inspect import getattr_static, isfunction
from typing import Any

import pytest

from rollcall.aws.gate_log import GateLine
from rollcall.cycle.state import CycleResult, CycleState
from rollcall.domain.errors import AwsUnavailable, ChefUnavailable, TowerUnavailable
from rollcall.domain.jobs import JobStatus, Outcome
from unit.cycle.cycle_world import CycleWorld, member
from unit.cycle.preflights import details
from unit.cycle.test_observer import TAGS, Scene
from unit.fakes import FakeChef
from unit.world import World

type Raised = Callable[[str], BaseException]
type Answer = dict[str, Any]

ROUNDS_MAX = 3  # of a step that answers that it waits, for what could not be read
PASSING = {"polls", "verdicts_read", "unread", "unverified", "phase_since"}  # fields that a round more may change


class KilledError(BaseException):
    """The function ended, and nothing in it could keep that: out of memory, say."""


class Calls:
    """Notes the calls that are made of these, by a name each, and disturbs one of them.

    at: the number of the call that is disturbed, from 1; 0 for none. after: once it was made. raises: what it raises
    instead of an answer, by the name of what is called.
    """

    def __init__(self, called: dict[str, object]) -> None:
        self.made: list[str] = []
        self.at = 0
        self.after = False
        self.raises: Raised = KilledError
        self._within = False
        for name, each in called.items():
            self._watch(name, each)

    def _watch(self, name: str, called: object) -> None:
        for method in dir(called):
            if not method.startswith("_") and isfunction(getattr_static(type(called), method, None)):
                setattr(called, method, self._watched(f"{name}.{method}", getattr(called, method)))

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            if self._within:  # a fake that calls itself
                return call(*given, **named)
            self.made.append(name)
            disturbed = len(self.made) == self.at
            if disturbed and not self.after:
                raise self.raises(name)
            self._within = True
            try:
                answer = call(*given, **named)
            finally:
                self._within = False
            if disturbed:
                raise self.raises(name)
            return answer

        return watched


def unavailable(name: str) -> Exception:
    """What the client of this raises where it gets no answer."""
    kind = name.partition(".")[0]
    return {"tower": TowerUnavailable, "evidence": TowerUnavailable, "chef": ChefUnavailable}.get(kind, AwsUnavailable)(
        f"{name} gets no answer"
    )


@dataclass(frozen=True)
class Play:
    """A scene: the world in which a step is taken, the step, and the state it is taken with."""

    cycle: CycleWorld
    step: str
    state: CycleState
    event: dict[str, Any]

    def taken(self, state: CycleState) -> tuple[Answer, CycleState]:
        """What comes of the step: what the state machine and the outside see; and the state."""
        if self.step == "settle":
            self.cycle.history.output = {"cycle": state.to_json()}
            answer = self.cycle.settle("ABORTED")
        else:
            answer = self.cycle.step(self.step, state, **self.event)
        seen = {name: value for name, value in answer.state.to_json().items() if name not in PASSING}
        news = [(each.kind, each.state.reason) for each in answer.news]
        return {"next": answer.next, "state": seen, "news": news}, answer.state


def world() -> CycleWorld:
    made = World()
    made.group("web", chef="@instance_id@")
    made.chef = FakeChef()
    cycle = CycleWorld(made)
    cycle.group(member("i-1"), member("i-2"))
    return cycle


def begun(cycle: CycleWorld, **own: Any) -> CycleState:
    state = cycle.step("start", cycle.state(**own)).state
    cycle.aws.now(status="InProgress", began=cycle.world.clock.now)
    cycle.aws.changes.clear()
    return state


def pins() -> Play:
    cycle = world()
    cycle.group(member("i-1"), version="$Default")
    return Play(cycle, "pin", cycle.state(pinned_from="$Default"), {})


def starts() -> Play:
    cycle = world()
    cycle.group(member("i-1"), target_groups=("tg",))
    return Play(cycle, "start", cycle.state(), {})


def follows() -> Play:
    cycle = world()
    state = begun(cycle)
    cycle.launched["i-3"] = cycle.world.clock.now
    cycle.group(member("i-1"), member("i-2"), member("i-3", "2", "Pending:Wait"), target_groups=("tg",))
    return Play(cycle, "follow", state, {})


def ends_a_bad_version(*, irreversible: bool = False, rolls_back: bool = True) -> Play:
    cycle = world()
    state = begun(cycle, rolls_back=rolls_back)
    now, tower = cycle.world.clock.now, cycle.world.tower
    for number, each in enumerate(("i-3", "i-4")):
        cycle.launched[each] = now
        job = tower.add_job(cycle.world.template, cycle.world.inventory, each)
        tower.end_job(job.id, {each: Outcome.FAILED})
        tower.runs[job.id].job = replace(tower.runs[job.id].job, status=JobStatus.FAILED)
        cycle.gate_log.lines.append(GateLine(now + number, each, "abandon", (), job.id, "its job failed"))
    cycle.group(
        member("i-1"), member("i-2"), member("i-3", "2", "Terminating:Wait"), member("i-4", "2", "Pending:Wait")
    )
    cycle.aws.irreversible = irreversible
    return Play(cycle, "follow", state, {})


def replaced() -> tuple[CycleWorld, CycleState]:
    cycle = world()
    state = begun(cycle)
    made = cycle.world
    for each in ("i-1", "i-2"):
        cycle.terminated[each] = made.clock.now
    for each in ("i-3", "i-4"):
        cycle.launched[each] = made.clock.now
        made.tower.add_host(made.inventory, each, variables={"rollcall": {"group": "web"}})
        job = made.tower.add_job(made.template, made.inventory, each)
        made.tower.end_job(job.id, {each: Outcome.OK})
    cycle.group(member("i-3", "2"), member("i-4", "2"), version="2")
    cycle.aws.now(status="Successful", percent=100)
    return cycle, state


def follows_to_the_end() -> Play:
    cycle, state = replaced()
    return Play(cycle, "follow", state, {})


def verifies() -> Play:
    cycle, state = replaced()
    verifying = cycle.step("follow", state).state
    return Play(cycle, "verify", verifying, {})


def puts_back_a_pin() -> Play:
    cycle = world()
    cycle.group(member("i-1", "1"), version="$Default")
    state = cycle.state(pinned_from="$Default", refresh_id="r-1", result=CycleResult.ROLLED_BACK)
    cycle.step("pin", state)
    cycle.aws.changes.clear()
    return Play(cycle, "put_back", state, {})


def puts_back_a_group_on_an_alias() -> Play:
    cycle = world()
    state = replace(begun(cycle), result=CycleResult.CANCELLED)
    cycle.group(member("i-1"), member("i-2", "2"), version="$Latest")
    cycle.aws.now(status="Cancelled")
    return Play(cycle, "put_back", state, {})


def puts_back_after_an_error() -> Play:
    cycle = world()
    return Play(cycle, "put_back", begun(cycle), {"error": {"Error": "Runtime.ExitError", "Cause": "out of memory"}})


def settles_one_that_was_stopped() -> Play:
    cycle = world()
    return Play(cycle, "settle", begun(cycle), {})


def settles_what_a_stopped_start_began() -> Play:
    cycle = world()
    starting = cycle.step("start", cycle.state()).state
    cycle.aws.changes.clear()
    return Play(cycle, "settle", replace(starting, refresh_id=""), {})


SCENES: dict[str, Callable[[], Play]] = {
    each.__name__: each
    for each in (
        pins,
        starts,
        follows,
        ends_a_bad_version,
        follows_to_the_end,
        verifies,
        puts_back_a_pin,
        puts_back_a_group_on_an_alias,
        puts_back_after_an_error,
        settles_one_that_was_stopped,
        settles_what_a_stopped_start_began,
    )
} | {
    "cancels_a_bad_version": lambda: ends_a_bad_version(rolls_back=False),
    "cancels_what_aws_does_not_roll_back": lambda: ends_a_bad_version(irreversible=True),
}
TELLS_ONCE = ("aws.cancel", "aws.remove_tag")  # a try that ends after these is not seen to have done them
LEAST = {"pins": 2, "starts": 4, "follows": 5, "verifies": 7, "puts_back_a_pin": 5}  # calls, so that none is missed


def watched(cycle: CycleWorld) -> Calls:
    made = cycle.world
    return Calls(
        {
            "aws": cycle.aws,
            "fleet": made.fleet,
            "targets": made.fleet.targets,
            "gate log": cycle.gate_log,
            "history": cycle.history,
            "tower": made.tower,
            "evidence": made.evidence,
            "chef": made.chef,
        }
    )


def undisturbed(scene: str) -> tuple[Answer, list[str], list[str]]:
    """What comes of a scene, the calls that it makes, and those that changed something."""
    play = SCENES[scene]()
    calls = watched(play.cycle)
    answer, _ = play.taken(play.state)
    return answer, calls.made, play.cycle.aws.changes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_step_that_dies_at_any_call_and_is_repeated_comes_to_the_same_and_does_nothing_twice(
    scene: str, *, after: bool
) -> None:
    expected, made, changes = undisturbed(scene)
    assert len(made) >= LEAST.get(scene, 2), made
    for number, name in enumerate(made, 1):
        play = SCENES[scene]()
        calls = watched(play.cycle)
        calls.at, calls.after = number, after
        with pytest.raises(KilledError):
            play.taken(play.state)
        answer, _ = play.taken(play.state)
        if name in TELLS_ONCE and after:
            answer = answer | {"news": expected["news"]}
            answer["state"]["put_back"] = expected["state"]["put_back"]
        assert answer == expected, f"died at {name}"
        assert play.cycle.aws.changes == changes, f"died at {name}"


@pytest.mark.parametrize("scene", SCENES)
def test_a_step_of_which_any_call_gets_no_answer_comes_to_the_same_once_it_does(scene: str) -> None:
    """One that goes on without what it could not read says so, and comes to it in a later round."""
    expected, made, changes = undisturbed(scene)
    for number, name in enumerate(made, 1):
        play = SCENES[scene]()
        calls = watched(play.cycle)
        calls.at, calls.raises = number, unavailable
        state, answer = play.state, None
        for _ in range(ROUNDS_MAX):
            try:
                answer, state = play.taken(state)
            except (AwsUnavailable, ChefUnavailable):
                assert not name.startswith("tower.") or play.step == "settle", name
                continue
            except TowerUnavailable:
                continue
            if answer["next"] == expected["next"] and answer["state"]["phase"] == expected["state"]["phase"]:
                break
        assert answer is not None
        assert answer["next"] == expected["next"], f"no answer of {name}"
        assert answer["state"] == expected["state"], f"no answer of {name}"
        assert play.cycle.aws.changes == changes, f"no answer of {name}"


# Pre-flight, which changes nothing

DOCTORS = ("reader.topics",)  # of AWS, what doctor may go without: no objection rests on it


def preflight_calls(scene: Scene) -> Calls:
    return Calls({"aws": scene.aws, "around": scene.around, "tower": scene.tower, "reader": scene.reader})


def test_pre_flight_comes_to_the_same_after_it_died_and_is_never_well_without_what_it_could_not_read() -> None:
    asked = {"launch_template_version": "7", "alarms": ["5xx"]}
    scene = Scene(details(tags=TAGS))
    calls = preflight_calls(scene)
    expected = scene.preflight(**asked)
    made = list(calls.made)
    assert expected.objections == ()
    assert len(made) > 10, made
    for number, name in enumerate(made, 1):
        scene = Scene(details(tags=TAGS))
        calls = preflight_calls(scene)
        calls.at = number
        with pytest.raises(KilledError):
            scene.preflight(**asked)
        assert scene.preflight(**asked) == expected, f"died at {name}"
        scene = Scene(details(tags=TAGS))
        calls = preflight_calls(scene)
        calls.at, calls.raises = number, unavailable
        try:
            found = scene.preflight(**asked)
        except (AwsUnavailable, TowerUnavailable):
            found = scene.preflight(**asked)
        else:
            assert name.startswith("tower.") or name in DOCTORS, f"no answer of {name}"
        assert found.objections or found == expected, f"no answer of {name}"
