"""The state of a bake as Step Functions carries it."""

from __future__ import annotations

import json
from dataclasses import fields

from rollcall.bake.state import LISTED_MAX, BakeResult, BakeState, BaseImage, Phase
from rollcall.domain.objections import Objection
from rollcall.workflow.state_texts import TEXT_MAX

FULL = BakeState(
    group="web",
    request={"group": "web", "keep": 5},
    bake_id="0123456789ab",
    phase=Phase.IMAGING,
    base_image=BaseImage("ami-1", "al2023", "arm64", "137112412989", "/dev/xvda"),
    host_id=7,
    snapshots=("snap-1",),
    warnings=("careful",),
    objections=(Objection("no job", "it has none", "make one"),),
    plan={"builder": "m7i.large"},
    result=BakeResult.ROLLED_BACK,
)


def test_a_state_is_read_as_it_was_written() -> None:
    assert BakeState.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_before_the_first_step_there_is_only_the_request() -> None:
    state = BakeState.from_json({"request": {"group": "web"}})
    assert (state.group, state.phase, state.result) == ("web", Phase.PREFLIGHT, None)


def test_what_another_version_wrote_is_read_as_far_as_it_is_known() -> None:
    written = {**FULL.to_json(), "weather": "fine"}
    del written["host_id"], written["base_image"]["root_device"]
    assert BakeState.from_json(written).host_id is None
    assert BakeState.from_json(written).base_image.id == "ami-1"


def test_every_field_is_in_the_json() -> None:
    assert FULL.to_json().keys() == {each.name for each in fields(BakeState)}


def test_a_full_state_is_far_below_what_a_state_may_be() -> None:
    lines = tuple("x" * TEXT_MAX for _ in range(LISTED_MAX))
    full = BakeState("web", retained=lines, removed=lines, warnings=lines, reason="x" * TEXT_MAX)
    assert len(json.dumps(full.to_json())) < 200_000


def test_which_results_are_what_was_asked_for() -> None:
    assert {each for each in BakeResult if each.went_well} == {
        BakeResult.SUCCEEDED,
        BakeResult.BAKED,
        BakeResult.NOTHING_NEW,
        BakeResult.DRY_RUN,
    }
