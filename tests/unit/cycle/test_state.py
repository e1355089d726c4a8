"""The state of a cycle as Step Functions carries it."""

from __future__ import annotations

import json
from copy import replace

import pytest

from rollcall.cycle.state import (
    LISTED_MAX,
    CycleResult,
    CycleState,
    CycleVerdict,
    ListedInstance,
    Phase,
    TargetDip,
)
from rollcall.domain.objections import Objection
from rollcall.workflow.state_texts import cut

FULL = CycleState(
    group="web",
    request={"group": "web", "batch": "25%"},
    refresh_id="r-1",
    healthy_at_start={"tg": 3},
    phase=Phase.BAKING,
    instances=(ListedInstance("i-1", "in service", 3.0, "2"),),
    verdicts=(CycleVerdict("i-2", "abandon", "Install", 7, 41, "https://tower/41", "its job failed"),),
    dips=(TargetDip(1.0, "tg", 1, 2),),
    objections=(Objection("no hook", "it has none", "make one"),),
    warnings=("careful",),
    result=CycleResult.ROLLED_BACK,
)


def test_a_state_is_read_as_it_was_written() -> None:
    assert CycleState.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_what_another_version_of_rollcall_wrote_is_read() -> None:
    raw = FULL.to_json()
    raw["of_a_later_version"] = 1
    del raw["dips"]
    raw["instances"][0]["of_a_later_version"] = 1
    del raw["instances"][0]["version"]
    expected = replace(FULL, dips=(), instances=(ListedInstance("i-1", "in service", 3.0),))
    assert CycleState.from_json(raw) == expected


def test_before_the_first_step_there_is_only_the_request() -> None:
    assert CycleState.from_json({"request": {"group": "web"}}).group == "web"


def test_a_state_without_a_group_is_none() -> None:
    with pytest.raises(KeyError):
        CycleState.from_json({})


def test_the_fullest_state_is_far_below_what_step_functions_carries() -> None:
    """Quotas of Step Functions: 256 KiB for a state's input or output."""
    long = "x" * 5000
    full = replace(
        FULL,
        instances=tuple(ListedInstance(f"i-{number:017}", "stage", 1.0) for number in range(LISTED_MAX)),
        verdicts=tuple(
            CycleVerdict(f"i-{number:017}", "abandon", cut(long), 7, 41, "https://tower", cut(long))
            for number in range(LISTED_MAX)
        ),
        unverified=tuple(cut(long) for _ in range(LISTED_MAX)),
        warnings=tuple(cut(long) for _ in range(LISTED_MAX)),
        reason=cut(long),
    )
    assert len(json.dumps(full.to_json()).encode()) < 128 * 1024
