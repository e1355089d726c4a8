"""Every lifecycle state of the Auto Scaling API has a meaning."""

from __future__ import annotations

import botocore.session
import pytest

from rollcall.aws.fleet import Membership, holds
from rollcall.domain.actions import Transition
from rollcall.domain.lifecycle_states import PHASES, Phase, is_held, phase_of

HELD = {
    "Pending:Wait",
    "Terminating:Wait",
    "ReplacingRootVolume:Wait",
    "Warmed:Pending:Wait",
    "Warmed:Terminating:Wait",
}


def _states() -> list[str]:
    model = botocore.session.get_session().get_service_model("autoscaling")
    return list(model.shape_for("LifecycleState").enum)  # type: ignore[attr-defined]


def test_every_state_of_the_service_model_is_in_the_table_and_no_other() -> None:
    assert set(PHASES) == set(_states())


@pytest.mark.parametrize("state", _states())
def test_an_instance_stands_in_exactly_one_place(state: str) -> None:
    known = Membership("web", state)
    meanings = [known.entering, known.serving, known.resting, known.leaving, known.retained]
    none_of_them = phase_of(state) in (Phase.DETACHED, Phase.UNKNOWN)
    assert sum(meanings) == (0 if none_of_them else 1)


MEANINGS = {
    "entering": {"Pending", "Pending:Wait", "Pending:Proceed"},
    "serving": {"InService", "EnteringStandby", "Standby"},
    "leaving": {
        "Terminating",
        "Terminating:Wait",
        "Terminating:Proceed",
        "Terminated",
        "Warmed:Terminating",
        "Warmed:Terminating:Wait",
        "Warmed:Terminating:Proceed",
        "Warmed:Terminated",
    },
    "retained": {"Terminating:Retained", "Warmed:Pending:Retained", "Warmed:Terminating:Retained"},
    "pooled": {
        "Warmed:Pending",
        "Warmed:Pending:Wait",
        "Warmed:Pending:Proceed",
        "Warmed:Stopped",
        "Warmed:Running",
        "Warmed:Hibernated",
    },
    "resting": {
        "Warmed:Pending",
        "Warmed:Pending:Wait",
        "Warmed:Pending:Proceed",
        "Warmed:Stopped",
        "Warmed:Running",
        "Warmed:Hibernated",
        "ReplacingRootVolume",
        "ReplacingRootVolume:Wait",
        "ReplacingRootVolume:Proceed",
        "RootVolumeReplaced",
    },
}


@pytest.mark.parametrize("meaning", MEANINGS)
def test_each_state_means_what_the_guides_say(meaning: str) -> None:
    assert {state for state in _states() if getattr(Membership("web", state), meaning)} == MEANINGS[meaning]


@pytest.mark.parametrize("state", _states())
def test_hooks_hold_an_instance_in_the_states_that_wait(state: str) -> None:
    assert is_held(state) == Membership("web", state).held == (state in HELD)


HOLDING = {  # of which transition's hooks
    "Pending:Wait": {Transition.LAUNCHING},
    "Terminating:Wait": {Transition.TERMINATING},
    "ReplacingRootVolume:Wait": {Transition.TERMINATING},
    "Warmed:Pending:Wait": {Transition.LAUNCHING, Transition.TERMINATING},  # into the pool, and back
    "Warmed:Terminating:Wait": {Transition.TERMINATING},
}


@pytest.mark.parametrize("state", _states())
def test_a_state_says_of_which_transition_hooks_hold_an_instance(state: str) -> None:
    holding = {each for each in Transition if holds(Membership("web", state), each)}
    assert holding == HOLDING.get(state, set())


def test_nothing_holds_an_instance_that_auto_scaling_does_not_list() -> None:
    assert not any(holds(None, each) for each in Transition)


def test_a_state_of_a_later_api_is_no_evidence_for_anything() -> None:
    known = Membership("web", "Terminating:Somehow")
    assert phase_of(known.state) == Phase.UNKNOWN
    assert not any((known.leaving, known.retained, known.resting, known.serving, known.entering))
