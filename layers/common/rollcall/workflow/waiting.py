"""How long a workflow waits until it is evaluated again. Pure.

An execution ends at 25,000 events in its history (Step Functions quotas, "Maximum execution history size"). One round,
of a Wait, a Task and a Choice, adds nine: each state is entered and exited, and the Task is scheduled, started and
succeeds. An instance refresh may take 14 days (EC2 Auto Scaling user guide), so the pauses grow with a workflow's age:
there are at most ROUNDS_MAX rounds in that time.
"""

from __future__ import annotations

EVENTS_PER_ROUND = 9
EVENTS_MAX = 20_000
LONGEST = 14 * 86_400.0  # seconds
SOON = 15.0  # seconds, while something can happen
AGE_SHARE = 0.005  # of its age: 15 s for its first 50 minutes
LATE_MAX = 900.0  # seconds
QUIET_MAX = 600.0  # seconds, while AWS waits at a checkpoint or at the end; and no more than
QUIET_FIRST = 60.0  # seconds, or
QUIET_SHARE = 0.1  # of its age: an operator may cancel meanwhile, or roll back


def next_wait(age: float, quiet_for: float = 0.0) -> float:
    """Seconds until the next evaluation. age: seconds since it began.

    quiet_for: seconds for which AWS does nothing yet, as far as that is known; 0 while something can happen.
    """
    busy = min(max(SOON, age * AGE_SHARE), LATE_MAX)
    quiet = min(quiet_for, QUIET_MAX, max(QUIET_FIRST, age * QUIET_SHARE))
    return max(busy, quiet)
