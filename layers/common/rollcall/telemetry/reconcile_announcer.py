"""What a run of reconcile did and found: logs, metrics and events."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from rollcall.domain.errors import RollcallError, Transient

from .announcer import NAMED_MAX, Announcer
from .event_details import error_name
from .reconcile_details import chef_removal_limit_words, problem_event, removal_limit_words, run_events, step_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollcall.bake.starting import BakesOutcome
    from rollcall.cycle.starting import CyclesOutcome
    from rollcall.domain.inventories import Inventory
    from rollcall.reconcile.result import NodesOutcome, RunOutcome
    from rollcall.reconcile.steps import DriftFinding, DriftKind
    from rollcall.workflow.starting import StartOutcome


class RunAnnouncer(Announcer):
    """Logs, counts and publishes for reconcile."""

    def announce_fixes(self, outcome: RunOutcome) -> None:
        """Announce the steps that a run of reconcile has taken, whatever becomes of the run."""
        for fix in outcome.fixes:
            about = {"inventory": fix.inventory.name, "group": fix.group, "instance_id": fix.instance_id}
            self.logger.info(f"{fix.step}: {fix.reason}", extra=about | {"step": fix.step, "job": fix.job})
            self.metrics.count("DriftFixed", group=fix.group)
        if outcome.nodes.removed:
            self.metrics.count("DriftFixed", len(outcome.nodes.removed))
        self._events += step_events(outcome)

    def announce_run(self, outcome: RunOutcome, every: float | None) -> None:
        """Announce what a run of reconcile found that needs an operator, and its numbers.

        every: seconds from one scheduled run to the next, None for a run by hand.
        """
        self._findings(outcome.plan.findings)
        for inventory, stopped in outcome.stopped.items():
            hosts = [removal.host.name for removal in stopped]
            words = removal_limit_words(stopped, outcome.by_inventory[inventory].managed, inventory.name)
            self.logger.error(words, extra=_listed(inventory, hosts) | {"alert": True})
        self._nodes(outcome.nodes)
        for what, error in outcome.errors.items():
            self._problem(what, error)
        for inventory, summary in outcome.by_inventory.items():
            self.logger.info("reconciled", extra={"inventory": inventory.name, **asdict(summary)})
        plan = outcome.plan
        found = [*plan.removals, *plan.changes, *plan.additions, *plan.requeues, *chain(*outcome.stopped.values())]
        nodes = outcome.nodes
        found_in_chef = [*nodes.plan.removals, *nodes.stopped]
        self.metrics.count("DriftFound", len(found) + len(found_in_chef))
        self.metrics.count("DriftFixed", 0)  # what was fixed is counted already
        self.metrics.count("BreakerTripped", len(outcome.stopped) + bool(nodes.stopped))
        self.metrics.count("ReconcileTroubles", len(outcome.errors))
        self.metrics.count("ReconcileRuns")
        self._events += run_events(outcome, every)

    def run_failed(self, error: Exception, every: float | None) -> None:
        """Publish that a run of reconcile ends in an error, which Lambda logs and counts."""
        self.metrics.count("ReconcileRuns")
        self._events.append(problem_event("the run", error, every))

    def announce_cycles(self, outcome: CyclesOutcome, every: float | None) -> None:
        """Announce the cycles that a run of reconcile started or had settled, and what it could not do about others."""
        self._due("cycle", outcome)
        for name in outcome.settled:
            self.logger.warning(
                "the cycle was stopped, and left something behind: it is settled", extra={"cycle": name}
            )
        self._due_problems(outcome.errors, every)

    def announce_bakes(self, outcome: BakesOutcome, every: float | None) -> None:
        """Announce the bakes that a run of reconcile started or had settled, and what it could not do about others."""
        self._due("bake", outcome)
        for name in outcome.settled:
            words = "the bake was stopped: what it left, if anything, is removed"  # the bake function's log says what
            self.logger.info(words, extra={"bake": name})
        for instance_id in outcome.swept:
            words = "the instance of a bake whose time is over is removed"
            self.logger.warning(words, extra={"instance_id": instance_id})
        for group in outcome.retired:
            self.logger.info("images and versions beyond those that are kept are removed", extra={"group": group})
        self._due_problems(outcome.errors, every)

    def _due(self, noun: str, outcome: StartOutcome[Any]) -> None:
        for due in outcome.started:
            self.logger.info(f"{noun} started: {due.why}", extra={"group": due.group, noun: due.name})
        for due in outcome.waiting:
            words = f"a {noun} waits until nothing else is at work on the group: {due.why}"
            self.logger.info(words, extra={"group": due.group, noun: due.name})

    def _due_problems(self, errors: Mapping[str, RollcallError], every: float | None) -> None:
        for what, error in errors.items():
            self._problem(what, error)
            self._events.append(problem_event(what, error, every))
        self.metrics.count("ReconcileTroubles", len(errors))

    def cycles_failed(self, error: Exception, every: float | None) -> None:
        """Announce that cycles could not be read: the run itself went well."""
        self._due_failed("cycles", error, every)

    def bakes_failed(self, error: Exception, every: float | None) -> None:
        """Announce that bakes could not be read: the run itself went well."""
        self._due_failed("bakes", error, every)

    def _due_failed(self, what: str, error: Exception, every: float | None) -> None:
        log = self.logger.warning if isinstance(error, Transient) else self.logger.error
        unexpected = None if isinstance(error, RollcallError) else error
        log(
            f"{what} that are due: {error!r}" if unexpected else f"{what} that are due: {error}",
            extra={"error": error_name(error)},
            exc_info=unexpected,
        )
        self.metrics.count("ReconcileTroubles")
        self._events.append(problem_event(what, error, every))

    def _problem(self, what: str, error: RollcallError) -> None:
        log = self.logger.warning if isinstance(error, Transient) else self.logger.error
        log(f"{what}: {error}", extra={"error": error_name(error)})

    def _nodes(self, nodes: NodesOutcome) -> None:
        for removal in nodes.removed:
            about = {"node": removal.node, "instance_id": removal.instance_id}
            self.logger.info(f"removed from Chef: {removal.reason}", extra=about)
        if nodes.stopped:
            self.logger.error(
                chef_removal_limit_words(len(nodes.stopped), nodes.plan.ours),
                extra={"nodes": [removal.node for removal in nodes.stopped[:NAMED_MAX]], "alert": True},
            )
        if nodes.plan.ours:
            self.logger.info("reconciled Chef", extra={"ours": nodes.plan.ours, "removed": len(nodes.removed)})

    def _findings(self, findings: Iterable[DriftFinding]) -> None:
        """One line for those of a kind in an inventory: they are logged again in every run, until an operator acts."""
        alike: defaultdict[tuple[DriftKind, Inventory], list[DriftFinding]] = defaultdict(list)
        for finding in findings:
            alike[finding.kind, finding.inventory].append(finding)
        for (kind, inventory), own in alike.items():
            extra = _listed(inventory, [finding.subject for finding in own])
            self.logger.warning(f"{kind}: {own[0].subject}: {own[0].reason}", extra=extra)


def _listed(inventory: Inventory, hosts: Sequence[str]) -> dict[str, object]:
    return {"inventory": inventory.name, "count": len(hosts), "hosts": list(hosts[:NAMED_MAX])}
