"""What we tell the world: one structured log line per outcome, and metrics."""

from __future__ import annotations

import time
import warnings
from collections import Counter, defaultdict
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from .errors import Permanent, Transient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .errors import RollcallError
    from .events import Record
    from .model import Inventory, LifecycleAction
    from .outcome import Fix, NodesOutcome, RunOutcome
    from .reports import Report
    from .steps import Finding, Kind
    from .watch import Sight

warnings.filterwarnings("ignore", "No application metrics to publish")  # most invocations have none

NAMESPACE = "Rollcall"
NAMED_MAX = 200  # hosts that one log line names; CloudWatch takes 256 kB
METRICS = {  # by the first word of an outcome
    "registered": "Registered",
    "ready": "Ready",
    "abandoned": "Abandoned",
    "struck": "StruckOff",
    "evicted": "Evicted",
}


class Announcer:
    """Speaks for one function."""

    def __init__(self, function: str) -> None:
        self.logger = Logger(service=function, log_uncaught_exceptions=True)
        self.metrics = Metrics(namespace=NAMESPACE, service=function)

    def outcomes(self, actions: Sequence[LifecycleAction], reports: Sequence[Report]) -> list[RollcallError | None]:
        """Tell what became of each action; the errors of those that failed, in the order of the actions."""
        by_action = {report.action: report for report in reports}
        self.reports([report for report in by_action.values() if not report.error])
        return [by_action[action].error for action in actions]

    def reports(self, reports: Iterable[Report]) -> None:
        """Actions came to an end as far as this function is concerned, or go on in a message of their own."""
        counts: Counter[str] = Counter()
        for report in reports:
            if report.error:
                self._failed(report.error, report.action)
                continue
            extra = _about(report.action)
            if report.left_out:
                extra["tags_left_out"] = list(report.left_out)
            self.logger.info(report.outcome, extra=extra)
            if report.warning:
                self.logger.warning(report.warning, extra=_about(report.action))
            if report.alert:
                self.alert(report.alert, report.action)
            if metric := METRICS.get(report.outcome.split()[0].rstrip(":,")):
                counts[metric] += 1
        for metric, count in counts.items():
            self.metrics.add_metric(metric, MetricUnit.Count, count)

    def failed(self, record: Record, actions: Sequence[LifecycleAction], error: Exception) -> None:
        """A message failed at this try."""
        for action in actions or (None,):
            self._failed(error, action, tries=record.receives, message_id=record.id)
        with single_metric(
            "FailingFor", MetricUnit.Seconds, max(0, time.time() - record.first_received_at), namespace=NAMESPACE
        ) as metric:
            metric.add_dimension("class", _kind(error))

    def _failed(self, error: Exception, action: LifecycleAction | None, **extra: object) -> None:
        log = self.logger.warning if isinstance(error, Transient) else self.logger.error
        log(
            str(error) or repr(error),
            extra={"error": type(error).__name__, **extra, **(_about(action) if action else {})},
            exc_info=None if isinstance(error, (Transient, Permanent)) else error,
        )
        with single_metric("FailedActions", MetricUnit.Count, 1, namespace=NAMESPACE) as metric:
            metric.add_dimension("class", _kind(error))

    def alert(self, reason: str, action: LifecycleAction) -> None:
        """Somebody should look: an action waits for what does not come by itself."""
        self.logger.error(reason, extra=_about(action) | {"alert": True})
        with single_metric("Alerts", MetricUnit.Count, 1, namespace=NAMESPACE) as metric:
            metric.add_dimension("function", str(self.metrics.service))

    def seen(self, sights: Iterable[Sight]) -> None:
        """What load balancers say of instances that were let through the gate; how long each took to its first yes."""
        for sight in sights:
            log = self.logger.info if sight.serving else self.logger.warning
            words = "serving" if sight.serving else "not serving"
            log(f"{words}: {sight.reason}", extra=_about(sight.action) | {"seconds": round(sight.seconds, 1)})
            if sight.serving and sight.first:
                with single_metric("TimeToServing", MetricUnit.Seconds, sight.seconds, namespace=NAMESPACE) as metric:
                    metric.add_dimension("group", sight.action.group)

    def fixed(self, fixes: Iterable[Fix]) -> None:
        """Steps that a run of reconcile has taken, whatever becomes of the run."""
        for fix in fixes:
            about = {"inventory": fix.inventory.name, "instance_id": fix.instance_id}
            self.logger.info(f"{fix.deed}: {fix.reason}", extra=about)

    def reconciled(self, outcome: RunOutcome) -> None:
        """A run of reconcile came to its end: what a person should know, and the numbers."""
        self._findings(outcome.plan.findings)
        for inventory, stopped in outcome.stopped.items():
            hosts = [removal.host.name for removal in stopped]
            self.logger.error(
                f"the breaker tripped: {len(stopped)} of the {outcome.by_inventory[inventory].managed} managed hosts "
                f"of inventory {inventory.name!r} would go at once, so none did: look at the list, and if it is right "
                'run reconcile with {"force": true}',
                extra=_listed(inventory, hosts) | {"alert": True},
            )
        self._nodes(outcome.nodes)
        for what, error in outcome.troubles.items():
            self._trouble(what, error)
        for inventory, summary in outcome.by_inventory.items():
            self.logger.info("reconciled", extra={"inventory": inventory.name, **asdict(summary)})
        plan = outcome.plan
        found = [*plan.removals, *plan.changes, *plan.additions, *plan.requeues, *chain(*outcome.stopped.values())]
        nodes = outcome.nodes
        found_in_chef = [*nodes.plan.removals, *nodes.stopped]
        self.metrics.add_metric("DriftFound", MetricUnit.Count, len(found) + len(found_in_chef))
        self.metrics.add_metric("DriftFixed", MetricUnit.Count, len(outcome.fixes) + len(nodes.removed))
        self.metrics.add_metric("BreakerTripped", MetricUnit.Count, len(outcome.stopped) + bool(nodes.stopped))
        self.metrics.add_metric("ReconcileTroubles", MetricUnit.Count, len(outcome.troubles))

    def no_events(self, what: str, error: RollcallError) -> None:
        """The event bus did not take what a run of reconcile had to tell."""
        self._trouble(what, error)
        self.metrics.add_metric("ReconcileTroubles", MetricUnit.Count, 1)

    def _trouble(self, what: str, error: RollcallError) -> None:
        log = self.logger.warning if isinstance(error, Transient) else self.logger.error
        log(f"{what}: {error}", extra={"error": type(error).__name__})

    def _nodes(self, nodes: NodesOutcome) -> None:
        for removal in nodes.removed:
            about = {"node": removal.node, "instance_id": removal.instance_id}
            self.logger.info(f"removed from Chef: {removal.reason}", extra=about)
        if nodes.stopped:
            self.logger.error(
                f"the breaker tripped: {len(nodes.stopped)} of our {nodes.plan.ours} nodes in Chef would go at once, "
                'so none did: look at the list, and if it is right run reconcile with {"force": true}',
                extra={"nodes": [removal.node for removal in nodes.stopped[:NAMED_MAX]], "alert": True},
            )
        if nodes.plan.ours:
            self.logger.info("reconciled Chef", extra={"ours": nodes.plan.ours, "removed": len(nodes.removed)})

    def _findings(self, findings: Iterable[Finding]) -> None:
        """One line for those of a kind in an inventory: they are told again in every run, until a person acts."""
        alike: defaultdict[tuple[Kind, Inventory], list[Finding]] = defaultdict(list)
        for finding in findings:
            alike[finding.kind, finding.inventory].append(finding)
        for (kind, inventory), own in alike.items():
            extra = _listed(inventory, [finding.subject for finding in own])
            self.logger.warning(f"{kind}: {own[0].subject}: {own[0].reason}", extra=extra)

    def let_go(self, record: Record, actions: Sequence[LifecycleAction]) -> None:
        """A message whose launches nobody waits for any more."""
        for action in actions:
            self.logger.info("finished elsewhere", extra=_about(action) | {"message_id": record.id})

    def set_aside(self, record: Record, actions: Sequence[LifecycleAction], error: Exception) -> None:
        """A message went to the dead-letter queue."""
        for extra in [_about(action) for action in actions] or [{}]:
            self.logger.error(f"set aside in the dead-letter queue: {error}", extra={"message_id": record.id, **extra})

    def not_put_off(self, record: Record, trouble: Exception) -> None:
        """A failed message comes back when its visibility timeout ends, not when it should."""
        self.logger.warning(str(trouble), extra={"message_id": record.id})

    def no_heartbeat(self, action: LifecycleAction, trouble: Exception) -> None:
        """A hook got no sign of life at this try."""
        self.logger.warning(str(trouble), extra=_about(action))


def _listed(inventory: Inventory, hosts: Sequence[str]) -> dict[str, object]:
    return {"inventory": inventory.name, "count": len(hosts), "hosts": list(hosts[:NAMED_MAX])}


def _kind(error: Exception) -> str:
    return "Transient" if isinstance(error, Transient) else "Permanent"


def _about(action: LifecycleAction) -> dict[str, object]:
    return {
        "group": action.group,
        "instance_id": action.instance_id,
        "action": action.transition.name.lower(),
        "hook": action.hook,
    }
