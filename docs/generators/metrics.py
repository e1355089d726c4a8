"""reference/metrics.md: every metric with the unit and the dimensions that are really emitted."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rollcall.telemetry.metrics import NAMESPACE
from unit.emitted import emitted_metrics, units_of_metrics

from .markdown import code, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator

MEANING = {
    "Registered": "instances by `Instance Registered`",
    "Ready": "instances by `Instance Ready`",
    "Abandoned": "instances by `Instance Abandoned`",
    "Retired": "instances by `Instance Retired`",
    "Evicted": "of the retired: those whose address a new instance has. The group is the evicted instance's",
    "Retries": "actions that failed and are tried again; by group only where a hook of it waits",
    "SecondsToRegistered": "from Auto Scaling's event to `Instance Registered`",
    "SecondsToProvisioned": "from the event to the end of the job that went well; once for each instance",
    "SecondsToReady": "from the event to CONTINUE",
    "SecondsToRetired": "from the event of the termination to the host being gone, or disabled",
    "TimeToServing": "from the launch to the first time that load balancers call it healthy (`rollcall:watch`)",
    "DriftFound": "steps that a run of reconcile found to be needed",
    "DriftFixed": "steps taken; by group where the host says whose it is",
    "BreakerTripped": "inventories that the removal limit protected; 0 in a run where all is well",
    "ReconcileTroubles": "what a run could not read or change; 0 in a run where all is well",
    "ReconcileRuns": "1 for each run that ended, well or in an error that it reported; dry runs do not count",
    "Alerts": "alerts about instances (`alert` in the log)",
    "FailedActions": "failed tries; class is `Transient` or `Permanent`",
    "FailingFor": "for how long the message of a failed try has been failing",
    "TowerLatency": "each request to Tower, with its repetitions and the pauses between them",
    "TowerErrors": "requests to Tower that ended without an answer, or with 429 or 5xx",
    "EventsLost": "events that the bus did not take",
    "AlertsSent": "messages that PagerDuty or Slack (`channel`) took",
    "AlertsLost": "messages that PagerDuty or Slack (`channel`) refused",
    "CyclesStarted": "cycles whose instance refresh has begun",
    "CyclesSucceeded": "cycles by `Cycle Succeeded`",
    "CyclesFailed": "cycles by `Cycle Failed`",
    "CyclesRolledBack": "cycles by `Cycle Rolled Back`, but for those that an operator rolled back",
    "CyclesCancelled": "cycles by `Cycle Cancelled`, and those that an operator rolled back",
    "CycleSeconds": "from the start of a cycle to its end",
    "CycleInstancesReplaced": "new instances at the end of a cycle",
    "CycleTargetDips": "moments in which a cycle left a target group too few healthy targets; 0 where all is well",
    "ImagesBaked": "bakes by `Image Baked`",
    "ImagesFailed": "bakes by `Image Failed`, without those that an operator cancelled or rolled back, and with those "
    "that left instances",
    "ImagesRetired": "images by `Image Retired`",
    "BakeSeconds": "from the start of a bake to its version, or to its failure",
    "Findings": "what doctor's daily run found, by severity",
}
ABOUT = f"""\
Namespace `{NAMESPACE}`, written with the logs (CloudWatch's embedded metric format). *service* is the function
(`register`, `gate`, `cleanup`, `reconcile`, `cycle`, `bake`, `doctor`, `alert`), *group* the Auto Scaling group.
"service; group" means that there are two of it. Instances, jobs and errors are never dimensions. Two stacks in one
account and Region would add to the same metrics, and sound each other's alarms: deploy one.
"""
COST = """\
Every value of the seconds and milliseconds is kept, so percentiles are exact. A metric costs in the hours in which it
is published: [Cost](costs.md).
"""


def write() -> str:
    """The page."""
    return page(
        "Metrics",
        "what the functions emit",
        ABOUT,
        table(["metric", "unit", "dimensions", "meaning"], _rows()),
        COST,
    )


def _rows() -> Iterator[tuple[str, str, str, str]]:
    dimensions: defaultdict[str, list[str]] = defaultdict(list)
    for name, names in sorted(emitted_metrics(), key=lambda each: (each[0], "service" not in each[1], sorted(each[1]))):
        dimensions[name].append(" and ".join(sorted(names)))
    if dimensions.keys() != MEANING.keys():
        odd = dimensions.keys() ^ MEANING.keys()
        raise ValueError(f"docs/generators/metrics.py: metrics that are only emitted, or only in MEANING: {odd}")
    units = units_of_metrics()
    for name, meaning in MEANING.items():
        yield code(name), units[name], "; ".join(dimensions[name]), meaning
