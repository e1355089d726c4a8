"""What the gate decides about an instance."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Decision(StrEnum):
    """What becomes of a waiting instance now."""

    READY = "ready"
    ABANDON = "abandon"
    HOLD = "hold"
    LEAVE = "leave"
    RELAUNCH = "relaunch"
    WAIT = "wait"


class Verdict(NamedTuple):
    """A decision about one instance and its reason.

    delay: seconds until it is worth looking again (WAIT, HOLD). alert: whether somebody should be told.
    """

    decision: Decision
    reason: str
    delay: float = 0
    alert: bool = False
