"""The scenes of `make demo-bake`: what was promised and did not hold ends them, each with its own sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lab.demo import bake_run, run
from lab.demo.bake_scenes import SCENES, bake_under_load, fail_a_smoke_test, keep_the_last_five
from lab.demo.bake_stage import KEPT, SIZE, BakeStage, ShownBake
from lab.demo.playing import tell_the_story
from lab.demo.stage import SceneFailed
from lab.demo.view import Lines, wrapped
from rollcall.bake.state import BakeState, Phase
from rollcall_cli.baking.executions import BakeExecution
from rollcall_cli.workflows.execution import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.bakes import Bake
    from lab.demo.load import Load

OLD = {f"i-old-{number}" for number in range(SIZE)}
NEW = {f"i-new-{number}" for number in range(SIZE)}
IMAGES = [f"ami-{number:017x}" for number in range(KEPT + 1)]  # the oldest first; the last is the bake's
BAKED = {"result": "succeeded", "reason": "8 verified", "image_id": IMAGES[-1], "version": "7"}
BAKED |= {"builder": "i-builder", "smoke_instance": "i-smoke"}
FAILED = BAKED | {"result": "failed", "reason": "image ami-bad has failed its smoke test", "image_id": "ami-bad"}
PASSED = {"rollcall:smoke": "passed", "rollcall:roll-out": "succeeded"}
VERSIONS = {str(2 + place): image for place, image in enumerate(IMAGES)}


class FakeStage(BakeStage):
    """One on which all comes out; known says otherwise. bad: whether the scene is about a bad image."""

    def __init__(self, *, bad: bool = False, **known: Any) -> None:
        kept = {number: image for number, image in VERSIONS.items() if image != IMAGES[0]}
        self.known: dict[str, Any] = {
            "state": FAILED if bad else BAKED,
            "batch": 2,
            "tags": {"rollcall:smoke": "failed"} if bad else PASSED,
            "serves": [OLD, OLD] if bad else [NEW],
            "versions": ["7"] * SIZE,
            "launched": {"i-builder", "i-smoke"},
            "disabled": IMAGES[:1],
            "available": IMAGES[1:],
            "baked": [kept, kept],
            "listed": [*sorted(kept, reverse=True), "1"],
            "lost": (),
            "steps": [],
            "rolled_out": not bad,
            **known,
        }
        serves, self._baked = iter(self.known["serves"]), iter(self.known["baked"])
        self.shop = cast("Any", SimpleNamespace(name="shop", in_service=lambda: next(serves)))
        self.earlier = IMAGES[:-1]
        self.marks, self.others, self._view = [], {}, Lines()
        self.shut_down: list[str] = []
        faults = SimpleNamespace(fail_checks=lambda status, **tags: None, shut_down=self.shut_down.append)
        aws = SimpleNamespace(images=faults, transitions=list, timeouts=list)
        self.cloud = cast(
            "Any", SimpleNamespace(aws=aws, reconcile=lambda: {"steps": self.known["steps"]}, in_flight=lambda: 0)
        )

    def serving(self) -> set[str]:
        return OLD

    def load(self) -> Load:
        return cast("Load", SimpleNamespace(asked=1000, lost=self.known["lost"]))

    def clear(self) -> None: ...

    def bake(self, on_smoke: Callable[[str], None] | None = None) -> ShownBake:
        if on_smoke:
            on_smoke("i-smoke")
        cycle = SimpleNamespace(state={"batch": self.known["batch"]}) if self.known["rolled_out"] else None
        return cast("ShownBake", SimpleNamespace(state=self.known["state"], cycle=cycle))

    def expect_nothing_left(self) -> None:
        self.expect(not self.known.get("left"), "not within 30 s: builder and smoke instance are gone")

    def launched(self) -> set[str]:
        return set(self.known["launched"])

    def serving_versions(self) -> list[str]:
        return list(self.known["versions"])

    def tags_of(self, image_id: str) -> dict[str, str]:
        assert image_id == self.known["state"]["image_id"]
        return dict(self.known["tags"])

    def image_ids(self, state: str) -> list[str]:
        return list(self.known[state])

    def baked_versions(self) -> dict[str, str]:
        return dict(next(self._baked))

    def last_answer(self) -> tuple[int, list[str]]:
        words = f"The bake of group 'shop' FAILED after 41 s: {self.known['state']['reason']}"
        return int(self.known.get("code", 1)), [words, "warning: nothing else"]

    def incidents(self) -> list[str]:
        return list(self.known.get("incidents", ["The bake of group shop has failed"]))

    def kept(self) -> list[dict[str, Any]]:
        return [
            {
                "number": number,
                "image": VERSIONS.get(number, "ami-0abcdef1234567890"),
                "is_baked": number in VERSIONS,
                "is_present": number == "7",
                "project_revision": "4f2c9d1",
                "roll_out": "succeeded",
            }
            for number in self.known["listed"]
        ]


@pytest.fixture(autouse=True)
def _agreeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tower and EC2 agree; what they are compared by has tests of its own."""
    monkeypatch.setattr("lab.demo.bake_scenes.disagreements", lambda cloud, others: [])


def test_a_bake_that_keeps_its_promises_comes_out_and_is_read_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_the_story(FakeStage(), Lines(), [bake_under_load]) == ""
    assert tell_the_story(FakeStage(), Lines(), [keep_the_last_five]) == ""
    bad = FakeStage(bad=True)
    assert tell_the_story(bad, Lines(), [fail_a_smoke_test]) == ""
    assert bad.shut_down == ["i-smoke"]
    said = capsys.readouterr().out
    assert "All 8 are of version 7, 2 at a time. 1,000 requests, none lost." in said
    assert "rollcall bake shop ends with 1:" in said
    assert "The bake of group 'shop' FAILED after 41 s: image ami-bad" in said
    assert "version 1  ami-0abcdef1234567890  not made by a bake" in said
    assert "PagerDuty has an incident open:\n     The bake of group shop has failed\n" in said
    assert wrapped(said, 80) == said


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"state": BAKED | {"result": "rolled back", "reason": "job 3 failed"}}, "the bake rolled back: job 3 failed"),
        ({"tags": PASSED | {"rollcall:smoke": "off"}}, "without a smoke test"),
        ({"tags": {"rollcall:smoke": "passed"}}, "does not say how its roll-out went"),
        ({"serves": [OLD]}, "not every instance of shop is a new one"),
        ({"versions": ["1", *["7"] * (SIZE - 1)]}, "not all of shop is of version 7"),
        ({"batch": 8}, "batches of 8, and was to take those of 2"),
        ({"rolled_out": False}, "batches of None"),
        ({"lost": ("502 (i-a)",)}, "1 requests were lost, the first: 502 (i-a)"),
        ({"launched": {"i-builder", "i-builder-2", "i-smoke"}}, "more was launched than is known"),
        ({"left": True}, "builder and smoke instance are gone"),
    ],
)
def test_a_bake_that_breaks_a_promise_ends_its_scene(known: dict[str, Any], reason: str) -> None:
    with pytest.raises(SceneFailed) as failed:
        bake_under_load(FakeStage(**known))
    assert reason in str(failed.value)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"disabled": []}, f"the oldest image, {IMAGES[0]}, is not the one that is disabled"),
        ({"disabled": IMAGES[1:2]}, f"the oldest image, {IMAGES[0]}, is not the one that is disabled"),
        ({"available": IMAGES}, "not 5 images are kept"),
        ({"baked": [VERSIONS]}, "the versions of bakes are 2, 3, 4, 5, 6, 7"),
        ({"listed": ["7", "6", "5", "4", "3"]}, "it lists the versions 7, 6, 5, 4, 3"),
    ],
)
def test_what_is_kept_and_was_not_to_be_ends_its_scene(known: dict[str, Any], reason: str) -> None:
    with pytest.raises(SceneFailed) as failed:
        keep_the_last_five(FakeStage(**known))
    assert reason in str(failed.value)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"state": FAILED | {"result": "succeeded", "reason": "verified"}}, "the bake succeeded: verified"),
        ({"tags": {}}, "ami-bad is not tagged as failed"),
        ({"baked": [{}, {"8": "ami-bad"}]}, "there is a version with the bad image"),
        ({"serves": [OLD, NEW]}, "the bad image was rolled out"),
        ({"rolled_out": True}, "the bad image was rolled out"),
        ({"left": True}, "builder and smoke instance are gone"),
        ({"lost": ("502 (i-a)",)}, "requests were lost"),
        ({"code": 0}, "rollcall bake ended with 0"),
        ({"incidents": ["one", "another"]}, "2 incidents are open: one; another"),
        ({"steps": [{"step": "removed"}]}, "reconcile found something to do"),
    ],
)
def test_a_bad_image_that_goes_somewhere_ends_its_scene(known: dict[str, Any], reason: str) -> None:
    with pytest.raises(SceneFailed) as failed:
        fail_a_smoke_test(FakeStage(bad=True, **known))
    assert reason in str(failed.value)


class FakeExecutions:
    """A bake that is in one state after the other."""

    def __init__(self, *states: BakeState | None) -> None:
        self._executions = [
            BakeExecution(
                "arn", Status.SUCCEEDED if state and state.ended else Status.RUNNING, {}, 0.0, None, 0.0, state
            )
            for state in states
        ]

    def read_whole(self, arn: str) -> BakeExecution:
        return self._executions.pop(0)


def test_a_bake_is_followed_by_the_lines_of_the_command_and_its_smoke_instance_is_named_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage, named = FakeStage(), list[str]()
    shown = ShownBake.__new__(ShownBake)
    shown.state, shown.cycle, shown._stage, shown._before, shown._on_smoke = {}, None, stage, None, named.append
    shown._bake = cast("Bake", SimpleNamespace(arn="arn"))
    smoke = BakeState("shop", builder="i-builder", phase=Phase.SMOKE, smoke_instance="i-smoke")
    over = BakeState("shop", builder="i-builder", phase=Phase.ENDED, smoke_instance="i-smoke", ended=1.0)
    shown._executions = cast("Any", FakeExecutions(None, BakeState("shop"), smoke, over))
    assert [shown.over([]) for _ in range(4)] == [False, False, False, True]
    lines = [line.partition("UTC: ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["pre-flight", "builder i-builder", "smoke test", "smoke test on i-smoke", "ended"]
    assert named == ["i-smoke"]


def test_both_demos_are_made_of_their_own_scenes_and_logs() -> None:
    bakes, fleet = bake_run._demo(), run._demo()
    assert list(bakes.scenes) == list(SCENES)
    assert bakes.parameters["Bakes"] == "true"
    assert "bake" in bakes.functions
    assert bakes.logs != fleet.logs
