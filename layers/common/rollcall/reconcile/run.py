"""Tower and EC2 made to agree, whatever was missed: read (reader), plan (plan), apply (apply); then Chef too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings, RollcallError
from rollcall.http.transport import DEADLINE_MARGIN

from .apply import Applying
from .plan import plan
from .plan_removals import over_removal_limit
from .reader import Reader
from .requested import results_of_requested
from .result import Applied, RunOutcome, StepError, Summary
from .steps import DriftKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.chef.client import Chef
    from rollcall.domain.messages import RunOptions
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .reader import Reading
    from .snapshot import Snapshot
    from .steps import Plan, Removal

BATCH_TIME = 20.0  # seconds for a batch begun
TIME_RESERVE = DEADLINE_MARGIN + BATCH_TIME  # seconds before the function's end in which nothing more is begun


class Reconcile:
    """Makes one Region's groups and their inventories agree.

    chef: None where there is none. share: the fraction of an inventory's managed hosts, and of our nodes in Chef, that
    may be removed in one run. seconds_left: of this invocation. outcome: what has come of the run so far, also where it
    ends in an error.
    """

    def __init__(
        self,
        settings: Settings,
        tower: Tower,
        fleet: Fleet,
        queues: Queues,
        *,
        chef: Chef | None = None,
        share: float,
        seconds_left: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._tower = tower
        self._fleet = fleet
        self._queues = queues
        self._chef = chef
        self._share = share
        self._seconds_left = seconds_left
        self.outcome = RunOutcome()

    def run(self, options: RunOptions, *, dry_run: bool = False, force: bool = False) -> RunOutcome:
        """One run. dry_run: only plan. force: the removal limit stops nothing.

        Raises what AWS, or Tower about all groups, did not answer: then nothing could be read, and nothing is done.
        """
        share = math.inf if force else self._share
        reading = Reader(self._settings, self._tower, self._fleet).read(options)
        planned, stopped = plan_within_limit(reading.snapshot, options, share)
        self.outcome = initial_outcome(reading, options, planned, stopped)
        if not dry_run:
            applying = Applying(
                self._settings, self._tower, self._fleet, self._queues, reading.templates, self._in_time
            )
            for applied in applying.apply(planned):
                self.outcome.record(applied)
        if self._chef:
            self._reconcile_chef(self._chef, reading.snapshot, options, share, dry_run=dry_run)
        if options.instances is not None:
            self.outcome.instance_results = results_of_requested(
                options.instances, reading.snapshot, reading.unread, self.outcome, dry_run=dry_run
            )
        return self.outcome

    def _reconcile_chef(
        self, chef: Chef, snapshot: Snapshot, options: RunOptions, share: float, *, dry_run: bool
    ) -> None:
        """The same for the nodes in Chef; what cannot be read there is recorded as an error, and the run goes on."""
        from .chef_run import ChefReconcile  # imported where used: it slows a cold start

        nodes = ChefReconcile(chef, self._fleet, self._in_time)
        try:
            self.outcome.nodes = nodes.plan(snapshot, options, share)
        except RollcallError as error:
            self.outcome.record(Applied(errors=(StepError("nodes in Chef", error),)))
            return
        if not dry_run:
            for applied in nodes.apply(self.outcome.nodes.plan.removals):
                self.outcome.record(applied)

    def _in_time(self) -> bool:
        return self._seconds_left() > TIME_RESERVE


def plan_within_limit(snapshot: Snapshot, options: RunOptions, share: float) -> tuple[Plan, dict[int, list[Removal]]]:
    """What to do, and by inventory id the removals that the removal limit stops.

    Hosts that stay keep their addresses from others, so the plan is made once more without them.
    """
    planned = plan(snapshot, options)
    stopped = over_removal_limit(planned.removals, managed_hosts(snapshot), share)
    return (plan(snapshot, options, frozenset(stopped)) if stopped else planned), stopped


def initial_outcome(
    reading: Reading, options: RunOptions, planned: Plan, stopped: Mapping[int, list[Removal]]
) -> RunOutcome:
    """The outcome of a run that has read and planned, and done nothing yet."""
    snapshot, managed = reading.snapshot, managed_hosts(reading.snapshot)
    outcome = RunOutcome(
        plan=planned,
        errors=reading.errors_about(options) | unknown_groups(snapshot, options),
        stopped={own[0].inventory: own for own in stopped.values()},
    )
    for inventory_id, dump in snapshot.dumps.items():
        hosts, ours = len(dump.hosts), managed[inventory_id]
        summary = Summary(hosts, ours, foreign=hosts - ours, seconds=reading.dump_seconds[inventory_id])
        outcome.by_inventory[dump.inventory] = summary
    for finding in planned.findings:
        if finding.kind in (DriftKind.ADDRESS_CONFLICT, DriftKind.FOREIGN_ADDRESS):
            outcome.by_inventory[finding.inventory].conflicts += 1
    return outcome


def unknown_groups(snapshot: Snapshot, options: RunOptions) -> dict[str, RollcallError]:
    """An error for each requested group that does not exist: a misspelt one would otherwise pass unnoticed."""
    marked = {marker.group for marker in snapshot.owners.values()}
    named = options.forget | (options.groups or frozenset())
    return {
        f"group {name}": BadSettings("no group of this name has the tag rollcall:inventory, and no host is of it")
        for name in sorted(named - snapshot.places.keys() - snapshot.unreadable - marked)
    }


def managed_hosts(snapshot: Snapshot) -> dict[int, int]:
    """How many hosts of ours each inventory holds, by its id."""
    return {
        inventory_id: sum(1 for host in dump.hosts if host.id in snapshot.owners)
        for inventory_id, dump in snapshot.dumps.items()
    }
