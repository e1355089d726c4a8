"""What the handler of bakes does around a step: settings, the whole state as answer, events, errors."""

from __future__ import annotations

import json
from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.bake.invocation import retire_event
from rollcall.bake.news import BakeEvent, BakeNews
from rollcall.bake.state import BakeState
from rollcall.bake.sweeping import Swept
from rollcall.domain.errors import AwsDenied, BadEvent, BadSettings, TowerUnavailable
from unit.bake_news import EXECUTION, MACHINE, NAME, RETIRED, STATE, bake_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcall.bake.news import BakeAnswer
    from unit.world import World

type Handle = Callable[..., Any]

STOPPED = {"executionArn": EXECUTION, "status": "ABORTED", "input": "{}"}
EVENT = {"step": "version", "bake": STATE.to_json(), "execution": {"id": EXECUTION}}


@pytest.fixture
def bake(function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch) -> Handle:
    """The handler in a stack that bakes."""
    monkeypatch.setenv("BAKE_MACHINE", MACHINE)
    return function("bake")


def step_answered(monkeypatch: pytest.MonkeyPatch, name: str, answer: BakeAnswer) -> list[tuple[Any, ...]]:
    """Let the steps of bakes answer so; with what they were called."""
    called: list[tuple[Any, ...]] = []

    def step(self: object, *arguments: Any) -> BakeAnswer:
        called.append(arguments)
        return answer

    monkeypatch.setattr(f"rollcall.bake.run.BakeRun.{name}", step)
    return called


def test_a_step_answers_with_the_whole_state_and_publishes_what_it_found(
    world: World, bake: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = bake_ended(BakeEvent.BAKED)
    answer = ended._replace(wait=15.2, state=replace(ended.state, cycle="web-bake-1"))
    called = step_answered(monkeypatch, "step", answer)
    answered = bake(EVENT)
    assert called == [("version", EVENT)]
    assert answered == {
        "bake": answer.state.to_json(),
        "next": "roll_out",
        "wait": 16,
        "error": {},
        "cause": answer.state.reason,
        "cycle_name": "web-bake-1",
        "cycle_input": {"group": "web", "launch_template_version": "7"},
    }
    assert json.loads(json.dumps(answered)) == answered
    [(kind, detail)] = world.bus.published
    assert (kind, detail["function"], detail["bake"]) == ("Image Baked", "bake", NAME)


def test_an_execution_that_was_stopped_is_settled(world: World, bake: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    called = step_answered(monkeypatch, "settle", bake_ended(BakeEvent.FAILED))
    bake({"source": "aws.states", "detail": STOPPED})
    assert called == [(STOPPED,)]
    assert [kind for kind, _ in world.bus.published] == ["Image Failed"]


def test_an_error_of_a_step_is_raised_so_that_it_is_tried_again(bake: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TowerUnavailable("away")

    monkeypatch.setattr("rollcall.bake.run.BakeRun.step", fail)
    with pytest.raises(TowerUnavailable):
        bake(EVENT)


def test_a_step_that_is_none_is_refused_with_those_that_there_are(bake: Handle) -> None:
    with pytest.raises(BadEvent, match=r"use preflight, launch, .*put_back"):
        bake(EVENT | {"step": "pin"})


def test_what_reconcile_sends_is_removed_and_published(
    world: World, bake: Handle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[Any] = []

    def retire(_: object, group: str, **options: bool) -> BakeAnswer:
        called.append((group, options))
        return RETIRED._replace(state=replace(RETIRED.state, warnings=("ami-1 could not be disabled",)))

    monkeypatch.setattr("rollcall.bake.run.BakeRun.retire", retire)
    bake({"upkeep": "retire", "group": "web", "dry_run": False, "force": True})
    assert called == [("web", {"dry_run": False, "force": True})]
    assert [kind for kind, _ in world.bus.published] == ["Image Retired"]
    assert "ami-1 could not be disabled" in caplog.messages


def test_what_came_of_a_roll_out_late_is_published_though_old_images_cannot_be_removed(
    world: World, bake: Handle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[tuple[str, float]] = []

    def record_late(_: object, group: str, ended_before: float) -> list[BakeAnswer]:
        called.append((group, ended_before))
        state = BakeState(group, retained=("image ami-1 is tagged late",))
        return [bake_ended(BakeEvent.FAILED)._replace(state=state)]

    def retire(*_: object, **__: object) -> BakeAnswer:
        raise AwsDenied("not allowed")

    monkeypatch.setattr("rollcall.bake.run.BakeRun.record_late", record_late)
    monkeypatch.setattr("rollcall.bake.run.BakeRun.retire", retire)
    with pytest.raises(AwsDenied, match="not allowed"):
        bake(retire_event("web", ended_before=1_800_000_000.5))
    assert called == [("web", 1_800_000_000)]
    assert [kind for kind, _ in world.bus.published] == ["Image Failed"]
    assert "image ami-1 is tagged late" in caplog.messages


def test_images_of_groups_without_tags_are_removed_and_published(
    world: World, bake: Handle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = RETIRED._replace(state=replace(RETIRED.state, group="gone", warnings=("group gone is gone",)), news=())
    known = {7: [RETIRED, gone]}  # by the moment before which bakes have ended whose roll-outs are recorded
    monkeypatch.setattr("rollcall.bake.run.BakeRun.retire_others", lambda self, ended_before: known[ended_before])
    answered = bake({"upkeep": "retire_others", "ended_before": 7})
    assert answered == {"groups": {each.state.group: each.state.to_json() for each in (RETIRED, gone)}}
    assert [kind for kind, _ in world.bus.published] == ["Image Retired"]
    assert "group gone is gone" in caplog.messages


def test_an_instance_that_a_bake_left_is_published_though_another_could_not_be_terminated(
    world: World, bake: Handle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    news = BakeNews(BakeEvent.FAILED, BakeState("web", name=NAME, reason="builder i-a was still there"))
    swept = Swept((news,), ("host i-a was removed",))
    monkeypatch.setattr("rollcall.bake.run.BakeRun.sweep", lambda self: swept)
    assert bake({"upkeep": "sweep"}) == {"swept": ["builder i-a was still there", "host i-a was removed"]}
    monkeypatch.setattr("rollcall.bake.run.BakeRun.sweep", lambda self: swept._replace(error=AwsDenied("not allowed")))
    with pytest.raises(AwsDenied, match="not allowed"):
        bake({"upkeep": "sweep"})
    assert [kind for kind, _ in world.bus.published] == ["Image Failed"] * 2
    assert "host i-a was removed" in caplog.messages


def test_a_stack_that_does_not_bake_says_so(function: Callable[[str], Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAKE_MACHINE", raising=False)
    with pytest.raises(BadSettings, match="Bakes=true"):
        function("bake")(EVENT)
