"""How long to wait for what. Pure; every number has its reason here.

[625]: the number of a recorded exchange, see tests/contract/recordings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .actions import LifecycleAction
    from .groups import Group

CLOCKS_APART = 60.0  # seconds by which the clocks of AWS, of the functions and of Tower may differ
FIRST_RETRY = 15.0  # seconds; doubles
VISIBILITY = 120.0  # seconds, the queues' in template.yaml: when a message comes again that could not be put off
RETRY_MAX = 240.0  # seconds; so that an alarm on five minutes sees every try
HEARTBEAT_TIMEOUT_MIN = 30  # seconds, Auto Scaling's minimum; assumed where a hook's own is not known
HOOK_LIFE_MAX = 172_800.0  # seconds; Auto Scaling ends every wait after that (PutLifecycleHook, GlobalTimeout), or
HOOK_LIFE_HEARTBEATS = 100  # after so many heartbeat timeouts, whichever comes first
RETIRE_POLL_MAX = 30.0  # seconds; its instance may die while the job runs, and its address go to another one
RETIRE_SHARE = 2  # a retire job may take this fraction of its hook's life; the rest is for removing the hosts
CHEF_PATIENCE_MAX = 3000.0  # seconds; below the 3600 after which a message goes to the dead-letter queue
PERMANENT_FAILURE_LIFE = 3600.0  # seconds in which an operator may fix what was wrong
UNSEEN_LIFE = 120.0  # seconds in which AWS may come to know an instance whose launch it announced
UNANSWERED_LIFE = 120.0  # seconds; then the hold is another hook's, or reconcile queues the action again
UNANSWERED_RETRY = 15.0  # seconds between tries of a call to a hook whose action AWS does not find, yet shows as held
SETTLING_TIME = 120.0  # seconds from a message in which EC2 may come to agree that its instance is terminated
OTHER_LAUNCH_TIME = 120.0  # seconds in which a host's maker may still launch its job; above register's own timeout
NO_TIME_RETRY = 1.0  # seconds until a message comes again for which an invocation had no time left: another one has it
PENDING_TOO_LONG = 600.0  # seconds after which an alert says that a job does not start
JOB_FORGOTTEN = 900.0  # seconds beyond a group's timeout after which the gate follows an ended job no more
EVENTS_TOO_LONG = 600.0  # seconds from a job's end; Tower processes its events within a minute [625], or never
RETIRE_EVENTS_TOO_LONG = 120.0  # seconds, likewise; shorter, for whatever it showed its host is removed, and soon
KEPT_RETRY = 10.0  # seconds until Chef is tried again, once; a third of the shortest heartbeat timeout there is
HEARTBEAT_SHARE = 3  # nothing waits longer than this fraction of the shortest heartbeat timeout
FIRST_POLL = 2.0  # seconds
POLL_GROWTH = 1.5
POLL_MAX = 30.0  # seconds
BEYOND_EXTREMES = 0.01  # by which a usual job may be shorter or longer than the recent ones
AROUND_MEDIAN = 0.03  # likewise than the one in their middle
AGREEING = 0.1  # by which jobs may differ from the one in their middle, and show when the end is to be expected
END_POLLS = 8  # while the end of a usual job may come
END_POLL_MAX = 5.0  # seconds; no usual job's result should be found later than that
SPARSE_POLLS = 5  # likewise where usual jobs differ much
LATE_POLL = 3.0  # seconds
LATE_SHARE = 2  # a job so late is polled again after this fraction of it
FIRST_RELAUNCH = 20.0  # seconds; a machine boots in 20 to 120
RELAUNCH_MAX = 120.0  # seconds
FIRST_HELD_RELAUNCH = 60.0  # seconds; an operator has to fix the playbook
HELD_RELAUNCH_MAX = 900.0  # seconds
CHECK_INTERVAL = 5.0  # seconds between evaluations of a check that does not pass yet
DUE_FOR = 1.5  # intervals between two runs, for these are never quite the same
HOLD_INTERVAL = 60.0  # seconds between rounds of an instance that waits for an operator
WATCH_SHARE = 10  # what has been watched for long is evaluated again after this fraction of it
WATCH_INTERVAL_MAX = 30.0  # seconds; what load balancers themselves usually take from one health check to the next


def retry_delay(receives: int) -> float:
    """Seconds until a message that failed is tried again, by how often it was received."""
    return _doubled(FIRST_RETRY, receives, RETRY_MAX)


def relaunch_delay(attempts: int) -> float:
    """Seconds from the end of a job that proved nothing to the next one, by the jobs so far."""
    return _doubled(FIRST_RELAUNCH, attempts, RELAUNCH_MAX)


def held_relaunch_delay(attempts: int) -> float:
    """Seconds from the end of a job to the next one while its playbook is suspected, by the jobs so far."""
    return _doubled(FIRST_HELD_RELAUNCH, attempts, HELD_RELAUNCH_MAX)


def _doubled(first: float, times: int, most: float) -> float:
    # Beyond 2^32 every delay has long reached its maximum; a float would overflow at 2^1024.
    return min(first * 2.0 ** min(times - 1, 32), most)


def poll_delay(elapsed: float, usual: Sequence[float], polls: int) -> float:
    """Seconds until a running job is polled again.

    elapsed: since it started (0 if it has not); usual: what the template's recent jobs took, the shortest first; polls:
    so far. Long while nothing can have happened, then short, then growing: a job late already may be much later.
    """
    if not usual:
        return min(FIRST_POLL * POLL_GROWTH ** min(polls, 16), POLL_MAX)
    median = usual[len(usual) // 2]
    agreeing = [each for each in usual if abs(each - median) <= AGREEING * median]
    steady = len(agreeing) * 2 > len(usual)
    expected = agreeing if steady else usual
    first = min(expected[0] * (1 - BEYOND_EXTREMES), median * (1 - AROUND_MEDIAN))
    last = max(expected[-1] * (1 + BEYOND_EXTREMES), median * (1 + AROUND_MEDIAN))
    ended = [each for each in usual if each > elapsed]
    if elapsed < first:
        return max(FIRST_POLL, min(first, *ended) - elapsed)
    if elapsed >= last:
        return min(max(LATE_POLL, (elapsed - last) / LATE_SHARE), POLL_MAX)
    if steady:
        return max(FIRST_POLL, min((last - first) / END_POLLS, END_POLL_MAX))
    # They differ too much for that: a poll when each of them had ended, and a few between.
    return max(FIRST_POLL, min(min(ended, default=elapsed + LATE_POLL) - elapsed, (last - first) / SPARSE_POLLS))


def events_delay(age: float) -> float:
    """Seconds until a job that ended age seconds ago is polled again, for its events are still being processed."""
    return min(max(FIRST_POLL, age / 4), POLL_MAX)


def watch_delay(elapsed: float, left: float) -> float:
    """Seconds to the next evaluation of instances that were watched for so many seconds; left: to the last one."""
    return max(0.0, min(max(CHECK_INTERVAL, elapsed / WATCH_SHARE), WATCH_INTERVAL_MAX, left))


def is_retry_due(age: float, first: float, every: float | None) -> bool:
    """Whether what has waited in vain for age seconds is to be tried again in this run of reconcile.

    every: seconds from one scheduled run to the next. They try first as soon as the age is beyond first (seconds), and
    then each time that it has doubled: a try may start a chain of messages of its own, and what an operator holds
    waits for two days. None for a run by hand, which tries whatever is beyond first.
    """
    if age <= first or every is None:
        return age > first
    passed = first * 2.0 ** (math.ceil(math.log2(age / first)) - 1)  # the last of first, 2 first, 4 first … below age
    return age - passed <= DUE_FOR * every


def patience_with_chef(groups: Mapping[str, Group], action: LifecycleAction) -> float:
    """Seconds, since its message came, after which a termination goes on though its node is still in Chef.

    As many as its hook's heartbeat timeout, for after so long without a heartbeat its group wants no wait. A host may
    not stay, for its address goes to other machines; a node does no harm until it is removed. At most so many that the
    message is still there then.
    """
    timeouts = groups[action.group].heartbeat_timeouts if action.group in groups else {}
    return min(float(timeouts.get(action.hook or "", HEARTBEAT_TIMEOUT_MIN)), CHEF_PATIENCE_MAX)


def longest_wait(groups: Mapping[str, Group], actions: Iterable[LifecycleAction]) -> float:
    """Seconds that none of these actions may be left without a heartbeat: a third of their shortest timeout.

    An action whose hook is not known is taken to have the shortest timeout there is.
    """
    timeouts = [
        groups[action.group].heartbeat_timeouts.get(action.hook, HEARTBEAT_TIMEOUT_MIN)
        if action.group in groups
        else HEARTBEAT_TIMEOUT_MIN
        for action in actions
        if action.hook
    ]
    return float(min(timeouts) // HEARTBEAT_SHARE) if timeouts else RETRY_MAX


def hook_life(group: Group, action: LifecycleAction) -> float:
    """Seconds after which Auto Scaling ends an action's wait, whatever heartbeats its hook gets."""
    timeout = group.heartbeat_timeouts.get(action.hook or "", HEARTBEAT_TIMEOUT_MIN)
    return min(HOOK_LIFE_MAX, float(HOOK_LIFE_HEARTBEATS * timeout))
