"""Six hours of a stack that are made up, and agree with each other: what the drawn dashboard shows.

Two groups scale out and in, one of them is cycled, one more follows, and Tower is away for three minutes in between. At
the end the playbook of group canary fails on its instance, which its tag on-failure=hold keeps waiting: that is the one
alert, the one newest line, and the one alarm that is red. All numbers are counted from what happens to each instance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from statistics import quantiles

BEGAN, MINUTES = 13, 360  # the hour at which they begin, and how many minutes are shown
AWAY = (150, 153)  # minutes in which Tower does not answer
STUCK = 355  # the minute in which canary launches the instance that fails
ALERTED = STUCK + 4
DRIFT = 212  # the minute in which reconcile removes a host that no event was about
SCALED = (  # group, minute in which so many are launched, and terminated
    ("web", 70, 230, 24),
    ("api", 72, 236, 12),
    ("batch-eu", 262, 324, 40),
)
CYCLED = ("api", 166, 198, 8)  # a group, minutes in which its cycle begins and ends, and instances: two at a time
BATCH = 2
REPLACED = ("web", 40)  # a group of which one instance is replaced every so many minutes
PLAYBOOK = {"web": 95, "api": 120, "batch-eu": 60, "canary": 95}  # seconds
BALANCED = {"web": 38, "api": 52}  # seconds until a load balancer finds an instance healthy, in groups that have one
RED = ("HealthAlarm", "StuckInstancesAlarm")
NEWEST = ("2026-11-30 18:59:11", "gate", "canary", "i-0a1f6d21c7be93a54", "job 4711 failed on it: task 'start nginx'")
DAYS = 14

type Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Instance:
    """An instance; times in minutes since the beginning, None for what does not come in these hours."""

    group: str
    launched: float
    registered: float
    provisioned: float | None
    ready: float | None
    terminated: float | None
    retired: float | None


@cache
def instances() -> tuple[Instance, ...]:
    """All that are launched or terminated."""
    found = []
    for group, out, back, count in SCALED:
        found += [_instance(group, out, back, place) for place in range(count)]
    group, every = REPLACED
    found += [_instance(group, minute, minute + 2 * every, 0) for minute in range(15, STUCK - 30, every)]
    found += _cycled()
    found.append(Instance("canary", STUCK, STUCK + 0.1, None, None, None, None))
    return tuple(found)


def _cycled() -> Iterator[Instance]:
    """The new instances of a cycle, and the old ones, each terminated when the one in its place serves."""
    group, begins, ends, count = CYCLED
    each = (ends - begins) * BATCH / count
    for place in range(count):
        launched = begins + each * (place // BATCH)
        new = _instance(group, launched, MINUTES + 1, place % BATCH)
        yield new
        yield _instance(group, -MINUTES, launched + each / 2, place % BATCH)


def _instance(group: str, launched: float, terminated: float, place: int) -> Instance:
    """The instance at a place of those launched together: each waits for those before it, and all wait for Tower."""
    registered = _once_tower_answers(launched + (5 + 0.4 * place) / 60)
    provisioned = _once_tower_answers(registered + (PLAYBOOK[group] + 0.8 * place) / 60)
    leaves = terminated < MINUTES
    return Instance(
        group=group,
        launched=launched,
        registered=registered,
        provisioned=provisioned,
        ready=provisioned + 4 / 60,
        terminated=terminated if leaves else None,
        retired=_once_tower_answers(terminated + (3 + 0.3 * place) / 60) if leaves else None,
    )


def _once_tower_answers(minute: float) -> float:
    return AWAY[1] + (minute - AWAY[0]) / 10 if AWAY[0] <= minute < AWAY[1] else minute


def values(metric: str, of: str, stat: str, period: int) -> Values:
    """A metric's values, one for each period (seconds), None where it has none.

    of: whose it is: a group, a function, a queue, a class of errors, a channel, a severity; "" for all.
    """
    if period == DAYS_PERIOD:
        return _daily(metric, of)
    length = period / 60
    made = MADE.get(metric, _nothing)
    return tuple(made(of, stat, at * length, (at + 1) * length) for at in range(int(MINUTES / length)))


DAYS_PERIOD = 86400  # seconds


def _daily(metric: str, of: str) -> Values:
    if metric == "Findings":
        return tuple(1.0 if of == "warning" and 4 <= day < 9 else 0.0 for day in range(DAYS))
    return tuple(21_000 + 1_500 * math.sin(day) for day in range(DAYS))


def _nothing(of: str, stat: str, began: float, ended: float) -> float | None:
    return 0.0


def _counted(moment: Callable[[Instance], float | None]) -> Callable[[str, str, float, float], float | None]:
    """How many instances of a group, or of all, came to this in a period."""

    def count(of: str, stat: str, began: float, ended: float) -> float:
        return float(len(list(_reached(moment, of, began, ended))))

    return count


def _lasted(
    since: Callable[[Instance], float | None], moment: Callable[[Instance], float | None]
) -> Callable[[str, str, float, float], float | None]:
    """How many seconds it took those that came to this in a period."""

    def last(of: str, stat: str, began: float, ended: float) -> float | None:
        took = [
            60 * (reached - first)
            for each, reached in _reached(moment, of, began, ended)
            if (first := since(each)) is not None
        ]
        return percentile(took, stat)

    return last


def _reached(
    moment: Callable[[Instance], float | None], of: str, began: float, ended: float
) -> Iterator[tuple[Instance, float]]:
    for each in instances():
        reached = moment(each)
        if reached is not None and began <= reached < ended and (not of or of == each.group):
            yield each, reached


def percentile(numbers: list[float], stat: str) -> float | None:
    """p50, p95 or p99 of these numbers, or the largest; None of none."""
    if not numbers:
        return None
    if len(numbers) == 1 or not stat.startswith("p"):
        return max(numbers)
    return quantiles(numbers, n=100, method="inclusive")[int(stat[1:]) - 1]


def _waiting(of: str, began: float, ended: float) -> int:
    """How many messages of a queue there are: of launches, of those that wait for a job, of terminations."""
    spans: dict[str, tuple[Callable[[Instance], float | None], Callable[[Instance], float | None]]] = {
        "LaunchQueue": (lambda each: each.launched, lambda each: each.registered),
        "TerminateQueue": (lambda each: each.terminated, lambda each: each.retired),
    }
    if of == "GateQueue":
        return len({(each.group, each.launched) for each in instances() if _waits_for_gate(each, began, ended)})
    if of not in spans:
        return 0
    first, last = spans[of]
    return sum(
        begin < ended and (end is None or end > began)
        for each in instances()
        if (begin := first(each)) is not None
        for end in [last(each)]
    )


def _waits_for_gate(each: Instance, began: float, ended: float) -> bool:
    return each.registered < ended and (each.ready is None or each.ready > began)


def _visible(of: str, stat: str, began: float, ended: float) -> float:
    if of == "AlertQueue":
        return float(began <= ALERTED < ended)
    return float(max(_waiting(of, began, ended) - 10, 0)) if of != "GateQueue" else 0.0


def _in_progress(of: str, stat: str, began: float, ended: float) -> float:
    return float(min(_waiting(of, began, ended), 10)) if of != "GateQueue" else float(_busy("gate", began, ended) > 0)


def _delayed(of: str, stat: str, began: float, ended: float) -> float:
    return float(_waiting(of, began, ended))


def _oldest(of: str, stat: str, began: float, ended: float) -> float:
    """Seconds that the oldest message has waited: as long as Tower is away, else as long as the work takes."""
    if of == "AlertQueue":
        return 2.0 * (began <= ALERTED < ended)
    if not _waiting(of, began, ended):
        return 0.0
    away = 60 * (AWAY[1] - AWAY[0]) if _is_away(began, ended) else 0
    return min(away + 6.0 + _waiting(of, began, ended) / 3, 240.0)


def _is_away(began: float, ended: float) -> bool:
    return began < AWAY[1] and ended > AWAY[0]


def _transient(of: str, stat: str, began: float, ended: float) -> float:
    """Tries that failed, in each minute in which Tower was away, and only for what was to be done then."""
    if of in ("Permanent", "api", "batch-eu", "canary"):
        return 0.0
    return float(sum(began <= minute < ended for minute in range(*AWAY)))


def _failing(of: str, stat: str, began: float, ended: float) -> float:
    failing = [60.0 * (minute + 1 - AWAY[0]) for minute in range(*AWAY) if began <= minute < ended]
    return max(failing, default=0.0) if of == "Transient" else 0.0


def _tower_errors(of: str, stat: str, began: float, ended: float) -> float:
    return _transient("", stat, began, ended) * {"register": 1, "gate": 1, "cleanup": 1, "reconcile": 2}.get(of, 0)


def _alerts(of: str, stat: str, began: float, ended: float) -> float:
    return float(began <= ALERTED < ended)


def _busy(function: str, began: float, ended: float) -> int:
    """How many instances a function works on in a period."""
    moments: dict[str, Callable[[Instance], float | None]] = {
        "register": lambda each: each.registered,
        "gate": lambda each: each.ready or each.registered + 2,
        "cleanup": lambda each: each.retired,
    }
    return len(list(_reached(moments[function], "", began, ended))) if function in moments else 0


def _latency(of: str, stat: str, began: float, ended: float) -> float | None:
    """Milliseconds; more while many instances are worked on, and none where nothing is asked."""
    if of in ("doctor", "alert"):
        return None
    busy = _busy(of, began, ended)
    if of != "reconcile" and not busy:
        return None
    base = {"register": 140, "gate": 95, "cleanup": 120, "reconcile": 210}[of] + 4.0 * busy
    return base * (2.6 if stat == "p95" else 1.0) * (1.5 if _is_away(began, ended) else 1.0)


def _duration(of: str, stat: str, began: float, ended: float) -> float | None:
    """Milliseconds."""
    function = of.removesuffix("Function").lower()
    if function == "reconcile":
        return 3600 + 900 * math.sin(began / 40) + (1800 if began <= DRIFT < ended else 0)
    if function == "alert":
        return 640.0 if began <= ALERTED < ended else None
    if function == "cycle":
        return 820.0 if _is_cycled(began, ended) else None
    busy = _busy(function, began, ended)
    if not busy:
        return None
    return {"register": 1500.0, "gate": 800.0, "cleanup": 700.0}[function] + 90.0 * busy


def _at_once(of: str, stat: str, began: float, ended: float) -> float:
    function = of.removesuffix("Function").lower()
    if function == "reconcile":
        return float(any(began <= minute < ended for minute in range(2, MINUTES, 5)))
    if function == "alert":
        return float(began <= ALERTED < ended)
    if function == "cycle":
        return float(_is_cycled(began, ended))
    busy = _busy(function, began, ended)
    return 2.0 if busy > 8 else float(busy > 0)


def _runs(of: str, stat: str, began: float, ended: float) -> float:
    return float(sum(began <= minute < ended for minute in range(2, MINUTES, 5)))


def _drift(of: str, stat: str, began: float, ended: float) -> float:
    return float(of in ("", "web", "reconcile") and began <= DRIFT < ended)


def _serving(of: str, stat: str, began: float, ended: float) -> float | None:
    """Launch to serving: ready, and then found healthy by the load balancer."""
    took = [
        60 * (reached - each.launched) + BALANCED[each.group]
        for each, reached in _reached(lambda each: each.ready, of, began, ended)
        if each.group in BALANCED
    ]
    return percentile(took, stat)


def _is_cycled(began: float, ended: float) -> bool:
    return began < CYCLED[2] and ended > CYCLED[1]


def _cycles(at: int, number: float = 1.0) -> Callable[[str, str, float, float], float | None]:
    """So many of something when the cycle begins (at 0) or ends (at 1), for all or for the group of the cycle."""

    def cycles(of: str, stat: str, began: float, ended: float) -> float | None:
        there = of in ("", "cycle", CYCLED[0]) and began <= CYCLED[1:][at] < ended
        return number if there else None if stat == "Maximum" else 0.0

    return cycles


MADE: dict[str, Callable[[str, str, float, float], float | None]] = {
    "Registered": _counted(lambda each: each.registered),
    "Ready": _counted(lambda each: each.ready),
    "Retired": _counted(lambda each: each.retired),
    "SecondsToRegistered": _lasted(lambda each: each.launched, lambda each: each.registered),
    "SecondsToProvisioned": _lasted(lambda each: each.launched, lambda each: each.provisioned),
    "SecondsToReady": _lasted(lambda each: each.launched, lambda each: each.ready),
    "SecondsToRetired": _lasted(lambda each: each.terminated, lambda each: each.retired),
    "TimeToServing": _serving,
    "FailedActions": _transient,
    "Retries": _transient,
    "FailingFor": _failing,
    "TowerErrors": _tower_errors,
    "TowerLatency": _latency,
    "Alerts": _alerts,
    "AlertsSent": _alerts,
    "DriftFound": _drift,
    "DriftFixed": _drift,
    "ReconcileRuns": _runs,
    "CyclesStarted": _cycles(0),
    "CyclesSucceeded": _cycles(1),
    "CycleInstancesReplaced": _cycles(1, CYCLED[3]),
    "CycleSeconds": _cycles(1, 60.0 * (CYCLED[2] - CYCLED[1])),
    "Duration": _duration,
    "ConcurrentExecutions": _at_once,
    "ApproximateNumberOfMessagesVisible": _visible,
    "ApproximateNumberOfMessagesNotVisible": _in_progress,
    "ApproximateNumberOfMessagesDelayed": _delayed,
    "ApproximateAgeOfOldestMessage": _oldest,
}
"""How the values of a metric are made; of all others there are none: nothing is abandoned, lost or throttled."""
