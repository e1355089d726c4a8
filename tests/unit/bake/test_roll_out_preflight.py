"""The pre-flight of a bake's roll-out: what the cycle function is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollcall.aws.functions import Functions
from rollcall.bake.request import read_request
from rollcall.bake.roll_out_preflight import RollOutPreflight, roll_out_preflight
from rollcall.bake.state import BakeState
from rollcall.bake.versioning import cycle_input, cycle_name
from rollcall.cycle.request import read_request as read_cycle_request
from rollcall.cycle.run import STEPS
from rollcall.cycle.state import CycleState
from rollcall.domain.objections import Objection
from rollcall.workflow.invocation import VERSION_TO_COME, read_invocation
from rollcall.workflow.names import is_of_bake

from .bake_world import CYCLES

STATE = BakeState("web", bake_id="0123456789ab", execution_started=1000.0)
OBJECTION = Objection("pinned", "cycle web-0 has pinned it", "wait for that cycle")


class FakeFunctions(Functions):
    """The cycle function, with what it answers. asked: with what."""

    def __init__(self, **cycle: Any) -> None:
        self.answer = CycleState("web", **cycle).to_json()
        self.asked: list[Mapping[str, Any]] = []

    def ask(self, function: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        assert function == "cycle"
        self.asked.append(event)
        return {"cycle": self.answer, "next": "put_back"}


def asked(functions: FakeFunctions, **request: Any) -> RollOutPreflight:
    return roll_out_preflight(functions, "cycle", CYCLES, STATE, read_request({"group": "web", **request}, None))


def test_objections_and_warnings_are_those_of_the_cycle() -> None:
    functions = FakeFunctions(objections=(OBJECTION,), warnings=("its warm pool is replaced, too",))
    assert asked(functions) == RollOutPreflight((OBJECTION,), ("its warm pool is replaced, too",))


def test_what_is_asked_is_a_dry_run_of_the_very_cycle_that_will_roll_out_but_for_the_version() -> None:
    functions = FakeFunctions()
    asked(functions, pin=True)
    [event] = functions.asked
    invoked = read_invocation(event, STEPS)
    assert (invoked.step, event[VERSION_TO_COME]) == ("preflight", True)
    name = cycle_name(STATE)
    assert event["execution"]["id"] == f"{CYCLES.replace(':stateMachine:', ':execution:')}:{name}"
    assert event["execution"]["name"] == name
    assert is_of_bake(name, "web")
    later = cycle_input(BakeState("web", request={"pin": True}, version="2"))
    assert {**event["request"], "launch_template_version": "2"} == {**later, "dry_run": True}
    assert read_cycle_request(event["request"], None).dry_run
