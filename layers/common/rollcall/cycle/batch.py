"""How many instances a cycle replaces at a time, and how far above its desired capacity the group goes for that. Pure.

New instances are launched before old ones are terminated, so a batch is as many as the group may have too many.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

BATCH_FORMS = "a whole number of instances, or a percentage of them from 1 to 100 (25% or 25percent)"
INSTANCES_MAX = 10_000  # more than a group of any account has by its quotas
HEALTHY_MAX = 200  # percent; StartInstanceRefresh takes no more (API reference, MaxHealthyPercentage)
FORM = re.compile(r"(?P<amount>\d{1,5})(?P<percent>%|percent)?", re.ASCII)


class Batch(NamedTuple):
    """Instances, or a percentage of the desired ones."""

    amount: int
    is_percent: bool

    def __str__(self) -> str:
        return f"{self.amount}{'%' if self.is_percent else ''}"


DEFAULT_BATCH = Batch(25, is_percent=True)


def parse_batch(text: str) -> Batch:
    """A batch as input or tag have it: 2, 25% or, as tags hold no percent sign, 25percent. Raises ValueError."""
    match = FORM.fullmatch(text)
    if match:
        batch = Batch(int(match["amount"]), match["percent"] is not None)
        if 1 <= batch.amount <= (100 if batch.is_percent else INSTANCES_MAX):
            return batch
    raise ValueError(f"{text!r} is no batch")


def batch_size(desired: int, batch: Batch) -> int:
    """How many of so many desired instances are replaced at a time: at least one, at most all; 0 of none."""
    wanted = desired * batch.amount // 100 if batch.is_percent else batch.amount
    return min(desired, max(1, wanted))


def maximum_healthy(desired: int, size: int) -> int:
    """The percentage of the desired capacity up to which a batch of this size may be launched before any goes.

    Of no instances a percentage is nothing: what is launched meanwhile is replaced as in a group of one.
    """
    return min(HEALTHY_MAX, 100 + math.ceil(100 * size / desired)) if desired > 0 else HEALTHY_MAX


def batches(instances: int, size: int) -> int:
    """How many batches it takes to replace so many instances."""
    return math.ceil(instances / size) if size else 0
