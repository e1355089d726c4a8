"""A cache whose values expire, for what warm invocations may share for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping


class ExpiringCache[K: Hashable, V]:
    """Values that are loaded again once they are older than ttl seconds."""

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K, load: Callable[[], V]) -> V:
        """The value of one key, loaded if missing or too old. What load raises is not cached, nor is None."""
        entry = self._entries.get(key)
        if entry and self._clock() < entry[0]:
            return entry[1]
        value = load()
        if value is not None:
            self._entries[key] = (self._clock() + self._ttl, value)
        return value

    def get_all(self, keys: Collection[K], load: Callable[[list[K]], Mapping[K, V]]) -> dict[K, V]:
        """The values of several keys, loaded together where missing or too old; without those load leaves out."""
        now = self._clock()
        fresh = {key: entry[1] for key in keys if (entry := self._entries.get(key)) and now < entry[0]}
        wanted = sorted(set(keys) - fresh.keys(), key=str)
        if wanted:
            loaded = load(wanted)
            expiry = self._clock() + self._ttl
            self._entries.update({key: (expiry, value) for key, value in loaded.items()})
            fresh.update(loaded)
        return fresh
