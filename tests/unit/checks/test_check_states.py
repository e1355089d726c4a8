"""A check that starts something and comes back for it: what it keeps goes from round to round in the gate's message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from rollcall.checks import registry
from rollcall.checks.protocol import Fail, Inconclusive, Kind, Pass
from rollcall.domain.actions import Result
from rollcall.domain.jobs import Outcome
from rollcall.domain.message_format import write_gate_message
from rollcall.domain.messages import GateMessage
from unit.world import World, alerts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollcall.checks.protocol import Answer, Context, Subject

TIMEOUT = 600.0


@dataclass
class Oven:
    """Starts one run for each instance, and knows what came of it."""

    started: list[str] = field(default_factory=list)
    ended: dict[str, Answer] = field(default_factory=dict)
    is_away: bool = False


@dataclass(frozen=True)
class Bake:
    """A toy: `bake:MINUTES`. Its run is started in the first round, and known by its id in those after it."""

    oven: Oven
    minutes: str

    def __str__(self) -> str:
        return f"bake:{self.minutes}"

    def examine(self, subjects: Sequence[Subject], context: Context) -> Mapping[str, Answer]:
        return {each.instance_id: self._answer(each) for each in subjects}

    def _answer(self, subject: Subject) -> Answer:
        if self.oven.is_away:
            return Inconclusive("the oven does not answer", subject.state)
        if not subject.state:
            self.oven.started.append(subject.instance_id)
            return Fail("it is in the oven", f"run-{subject.instance_id}")
        return self.oven.ended.get(subject.state, Fail("it is in the oven", subject.state))


@pytest.fixture
def oven(monkeypatch: pytest.MonkeyPatch) -> Oven:
    made = Oven()
    kind = Kind("bake", "bake:MINUTES", r"bake:(\d+)", lambda minutes: Bake(made, minutes))
    monkeypatch.setattr(registry, "NAMES", (*registry.NAMES, "bake"))
    known = registry.kind_named
    monkeypatch.setattr(registry, "kind_named", lambda name: kind if name == "bake" else known(name))
    return made


@pytest.fixture
def provisioned(world: World, oven: Oven) -> GateMessage:
    """Two instances whose job went well, of a group that asks for the toy."""
    world.group("web", gate="job bake:5", timeout=str(int(TIMEOUT)))
    message = world.waiting("i-a", "i-b")
    world.tower.end_job(message.job_id or 0, {"i-a": Outcome.OK, "i-b": Outcome.OK})
    return message


def states(message: GateMessage) -> dict[str, dict[str, str]]:
    return {each.action.instance_id: dict(each.check_states) for each in message.waiting}


def test_a_run_is_started_once_and_found_again_by_what_the_message_says(
    world: World, oven: Oven, provisioned: GateMessage
) -> None:
    [(message, _)] = world.evaluate_one(provisioned).next
    assert states(message) == {"i-a": {"bake:5": "run-i-a"}, "i-b": {"bake:5": "run-i-b"}}
    [(message, _)] = world.evaluate_one(message).next
    assert oven.started == ["i-a", "i-b"]
    oven.ended = {"run-i-a": Pass(), "run-i-b": Fail("it is burnt", "run-i-b")}
    [(message, _)] = world.evaluate_one(message).next
    assert {each.instance_id: result for each, result in world.fleet.completed.items()} == {"i-a": Result.CONTINUE}
    assert states(message) == {"i-b": {"bake:5": "run-i-b"}}
    world.clock.advance(TIMEOUT)
    world.evaluate_one(message)
    assert [result for each, result in world.fleet.completed.items() if each.instance_id == "i-b"] == [Result.ABANDON]


def test_what_a_check_keeps_lasts_through_rounds_that_do_not_come_to_it(
    world: World, oven: Oven, provisioned: GateMessage
) -> None:
    [(message, _)] = world.evaluate_one(provisioned).next
    world.tower.add_job(world.template, world.inventory, "i-a", "i-b")  # somebody ran it once more
    [(running, _)] = world.evaluate_one(message).next
    assert states(running) == states(message)


def test_what_a_check_keeps_ends_with_another_job(world: World, oven: Oven, provisioned: GateMessage) -> None:
    [(message, _)] = world.evaluate_one(provisioned).next
    job = world.tower.add_job(world.template, world.inventory, "i-a", "i-b")  # somebody ran it once more
    world.tower.end_job(job.id, {"i-a": Outcome.CUT_SHORT, "i-b": Outcome.CUT_SHORT})
    world.clock.advance(300)
    [(message, _)] = world.evaluate_one(message).next
    assert world.tower.calls["launch"] == 1
    assert states(message) == {"i-a": {}, "i-b": {}}


def test_what_could_not_be_found_out_is_no_evidence_however_long_it_lasts(
    world: World, oven: Oven, provisioned: GateMessage
) -> None:
    oven.is_away = True
    [(message, _)] = world.evaluate_one(provisioned).next
    assert states(message) == {"i-a": {}, "i-b": {}}
    world.clock.advance(2 * TIMEOUT)
    result = world.evaluate_one(message)
    assert not world.fleet.completed
    assert "the oven does not answer" in alerts(result)[0].reason


def test_a_message_of_which_no_check_keeps_anything_is_what_it_always_was(
    world: World, oven: Oven, provisioned: GateMessage
) -> None:
    oven.is_away = True
    [(message, _)] = world.evaluate_one(provisioned).next
    [member, _] = json.loads(write_gate_message(message))["waiting"]
    assert "check_states" not in member


def test_a_state_that_no_message_can_carry_is_a_mistake_of_the_check(
    world: World, oven: Oven, provisioned: GateMessage
) -> None:
    [(message, _)] = world.evaluate_one(provisioned).next
    oven.ended = {"run-i-a": Pass("two words")}
    assert "cannot be carried" in str(world.evaluate_one(message).error)
