"""Tower and EC2 made to agree, whatever was missed: read (reading), plan (drift), apply (applying); then Chef too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rollcall.domain.errors import BadSettings
from rollcall.http.transport import DEADLINE_MARGIN

from .apply import Applying
from .plan import plan, too_many
from .reader import Reading
from .requested import answers
from .result import RunOutcome, Summary
from .steps import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollcall.aws.fleet import Fleet
    from rollcall.aws.queues import Queues
    from rollcall.chef.client import Chef
    from rollcall.domain.messages import RunOptions
    from rollcall.domain.settings import Settings
    from rollcall.tower.client import Tower

    from .snapshot import Snapshot

BATCH_TIME = 20.0  # seconds for a batch begun
TIME_RESERVE = DEADLINE_MARGIN + BATCH_TIME  # seconds before the function's end in which nothing more is begun


class Reconcile:
    """Makes one Region's groups and their inventories agree.

    chef: None where there is none. share: the fraction of an inventory's managed hosts, and of our nodes in Chef, that
    may be removed in one run. seconds_left: of this invocation. outcome: what has come of the run so far.
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
        """One run. dry_run: only plan. force: the breaker stops nothing. Raises what kept it from reading anything."""
        outcome = self.outcome
        reading = Reading(self._settings, self._tower, self._fleet)
        seen = reading.read(options)
        outcome.troubles |= reading.troubles(seen, options)
        managed = _managed(seen)
        outcome.troubles |= _unknown_groups(seen, options)
        outcome.plan = plan(seen, options)
        stopped = {} if force else too_many(outcome.plan.removals, managed, self._share)
        if stopped:  # hosts that stay keep their addresses from others
            outcome.plan = plan(seen, options, frozenset(stopped))
            outcome.stopped = {own[0].inventory: own for own in stopped.values()}
        _count(seen, managed, reading.dump_seconds, outcome)
        if not dry_run:
            applying = Applying(self._settings, self._tower, self._fleet, self._queues, outcome)
            applying.apply(reading.templates, self._in_time)
        if self._chef:
            from .chef_run import ChefReconcile  # only those pay for it in a cold start who use it

            nodes = ChefReconcile(self._chef, self._fleet, outcome, self._in_time)
            nodes.run(seen, options, math.inf if force else self._share, dry_run=dry_run)
        if options.instances is not None:
            outcome.answers = answers(options.instances, seen, reading.unread, outcome, dry_run=dry_run)
        return outcome

    def _in_time(self) -> bool:
        return self._seconds_left() > TIME_RESERVE


def _unknown_groups(seen: Snapshot, options: RunOptions) -> dict[str, BadSettings]:
    """A trouble for each group that the run is asked for and that does not exist: misspelt, it would look all right."""
    marked = {marker.group for marker in seen.owners.values()}
    unknown = (options.forget | (options.groups or frozenset())) - seen.places.keys() - seen.troubled - marked
    return {
        f"group {name}": BadSettings("no group of this name has the tag rollcall:inventory, and no host is of it")
        for name in sorted(unknown)
    }


def _managed(seen: Snapshot) -> dict[int, int]:
    """How many hosts of ours each inventory holds, by its id."""
    return {
        inventory_id: sum(1 for host in dump.hosts if host.id in seen.owners)
        for inventory_id, dump in seen.dumps.items()
    }


def _count(seen: Snapshot, managed: Mapping[int, int], dump_seconds: Mapping[int, float], outcome: RunOutcome) -> None:
    """Counts what was seen into the outcome."""
    for inventory_id, dump in seen.dumps.items():
        hosts, ours = len(dump.hosts), managed[inventory_id]
        summary = Summary(hosts, ours, foreign=hosts - ours, seconds=dump_seconds[inventory_id])
        outcome.by_inventory[dump.inventory] = summary
    for finding in outcome.plan.findings:
        if finding.kind in (Kind.ADDRESS_CONFLICT, Kind.FOREIGN_ADDRESS):
            outcome.by_inventory[finding.inventory].conflicts += 1
