"""The state of an execution as JSON: what is written is read again, and what another version wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple

import pytest

from rollcall.domain.objections import Objection
from rollcall.workflow.state import Reader, WorkflowState, listed, named, or_none, texts


class Weather(StrEnum):
    FINE = "fine"


class Place(NamedTuple):
    name: str
    weather: Weather | None = None
    height: int | None = 7


NOWHERE = Place("")


@dataclass(frozen=True)
class State(WorkflowState):
    READERS: ClassVar[Mapping[str, Reader]] = {
        **WorkflowState.READERS,
        "at": named(Place),
        "places": listed(Place),
        "lines": texts,
        "weather": or_none(Weather),
    }

    at: Place = NOWHERE
    places: tuple[Place, ...] = ()
    lines: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    weather: Weather | None = None


FULL = State(
    "web",
    objections=(Objection("no hook", "it has none", "make one"),),
    warnings=("careful",),
    at=Place("hill", None, 3),
    places=(Place("a"), Place("b")),
    lines=("x", "y"),
    counts={"t": 1},
    weather=Weather.FINE,
)


def test_a_state_is_read_as_it_was_written() -> None:
    written = FULL.to_json()
    assert written["places"][0] == {"name": "a", "weather": None, "height": 7}
    assert written["lines"] == ["x", "y"]
    assert State.from_json(json.loads(json.dumps(written))) == FULL


def test_what_another_version_wrote_is_left_out_or_has_its_default() -> None:
    raw = {"group": "web", "unheard_of": 1, "places": [{"weather": None, "unheard_of": 2}], "weather": None}
    assert State.from_json(raw) == State("web", places=(Place(None),))  # type: ignore[arg-type]


def test_before_the_first_step_the_group_is_the_requests() -> None:
    assert State.from_json({"request": {"group": "web"}}).group == "web"


def test_a_state_without_a_group_is_none() -> None:
    with pytest.raises(KeyError):
        State.from_json({})
