"""The state of an execution as JSON: what is written is read again, and what another version wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import pytest

from rollcall.workflow.state_json import listed, named, or_none, state_from_json, state_to_json, texts


class Weather(StrEnum):
    FINE = "fine"


class Place(NamedTuple):
    name: str
    weather: Weather | None = None
    height: int | None = 7


NOWHERE = Place("")


@dataclass(frozen=True)
class State:
    group: str
    at: Place = NOWHERE
    places: tuple[Place, ...] = ()
    lines: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    weather: Weather | None = None


READERS = {"at": named(Place), "places": listed(Place), "lines": texts, "weather": or_none(Weather)}
FULL = State("web", Place("hill", None, 3), (Place("a"), Place("b")), ("x", "y"), {"t": 1}, Weather.FINE)


def test_a_state_is_read_as_it_was_written() -> None:
    written = state_to_json(FULL)
    assert written["places"][0] == {"name": "a", "weather": None, "height": 7}
    assert written["lines"] == ["x", "y"]
    assert state_from_json(State, json.loads(json.dumps(written)), READERS) == FULL


def test_what_another_version_wrote_is_left_out_or_has_its_default() -> None:
    raw = {"group": "web", "unheard_of": 1, "places": [{"weather": None, "unheard_of": 2}], "weather": None}
    assert state_from_json(State, raw, READERS) == State("web", places=(Place(None),))  # type: ignore[arg-type]


def test_before_the_first_step_the_group_is_the_requests() -> None:
    assert state_from_json(State, {"request": {"group": "web"}}, READERS) == State("web")


def test_a_state_without_a_group_is_none() -> None:
    with pytest.raises(KeyError):
        state_from_json(State, {}, READERS)
