"""Executions that were stopped: in words, and which of them reconcile has settled, where an event is lost. Pure."""

from __future__ import annotations

SETTLE_AFTER = 600.0  # seconds; by then the event about a stopped execution has come, if it ever does
SETTLE_WITHIN = 3600.0  # seconds; a run of reconcile or two come by then
STOPPED = {  # by the status of an execution that ended without a word of its own
    "ABORTED": "its execution was stopped by hand",
    "TIMED_OUT": "its execution ran out of time",
}
RUNS = 3  # of reconcile, where these are further apart than that


def settled_now(now: float, every: float | None) -> tuple[float, float]:
    """Between which moments an execution has to have ended. now: epoch seconds. every: seconds between two runs."""
    return now - max(SETTLE_WITHIN, RUNS * (every or 0.0)), now - SETTLE_AFTER
