"""Values that are cached for a while."""

from __future__ import annotations

import pytest

from rollcall.domain.cache import ExpiringCache
from unit.fakes import Clock


def test_a_value_is_loaded_again_once_it_is_too_old() -> None:
    clock = Clock()
    cache: ExpiringCache[str, float] = ExpiringCache(60, clock)
    first = cache.get("a", clock)
    clock.advance(59)
    assert cache.get("a", clock) == first
    clock.advance(1)
    assert cache.get("a", clock) == clock.now


def test_an_error_is_not_cached() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(60)

    def fail() -> int:
        raise KeyError

    with pytest.raises(KeyError):
        cache.get("a", fail)
    assert cache.get("a", lambda: 7) == 7


def test_none_is_not_cached() -> None:
    cache: ExpiringCache[str, int | None] = ExpiringCache(60)
    assert cache.get("a", lambda: None) is None
    assert cache.get("a", lambda: 7) == 7


def test_several_values_are_loaded_together_and_only_those_missing() -> None:
    clock = Clock()
    cache: ExpiringCache[str, str] = ExpiringCache(60, clock)
    asked: list[list[str]] = []

    def load(keys: list[str]) -> dict[str, str]:
        asked.append(keys)
        return {key: key.upper() for key in keys if key != "missing"}

    assert cache.get_all({"a", "b"}, load) == {"a": "A", "b": "B"}
    assert cache.get_all({"b", "c", "missing"}, load) == {"b": "B", "c": "C"}
    clock.advance(60)
    assert cache.get_all(["a"], load) == {"a": "A"}
    assert asked == [["a", "b"], ["c", "missing"], ["a"]]
