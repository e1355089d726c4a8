"""Durations and moments in words. Times in epoch seconds, shown in UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds between ticks
DAY = 86400


def duration(seconds: float) -> str:
    """A length of time, in the largest unit of which there are two: "119 s", "2 minutes", "46.9 hours"."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{max(0, math.floor(seconds))} s"


def moment(epoch_seconds: float) -> str:
    """A time, to the minute."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def clock(epoch_seconds: float) -> str:
    """A time of day, to the second."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%H:%M:%S UTC")


def shortly(seconds: float) -> str:
    """A length of time: "1.2 s", "34 s", "2 min 05 s", "1 h 02 min", "3 d 04 h", for where there is little room."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"


def ticks(seconds: float, most: int) -> list[float]:
    """Round moments from 0 on for an axis of this length, at most so many but two."""
    step = next((each for each in STEPS if seconds / each <= most - 1), math.ceil(seconds / DAY / most) * DAY)
    return [number * step for number in range(int(seconds // step) + 1)]


def tick_label(seconds: float, length: float) -> str:
    """A tick's label on an axis of this length: "30 s", or "1:30" where it is longer than two minutes."""
    if length <= 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if length < 7200:
        return f"{minutes}:{rest:02d}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if length < 2 * DAY else f"{hours // 24} d {hours % 24} h"
