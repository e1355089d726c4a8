"""What is published of a run of reconcile. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError, Scope
from rollcall.domain.event_fields import CONFLICT_FOUND, DRIFT_FIXED, REMOVAL_LIMIT
from rollcall.domain.shell_commands import command, options
from rollcall.reconcile.answer import drift_fixed

from .event_details import LATENESS, PublishedEvent, error_name, failure_event, rounded, short, work_failed_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollcall.domain.inventories import Inventory
    from rollcall.reconcile.result import RunOutcome
    from rollcall.reconcile.steps import DriftFinding, Removal

BREAKER_TRIPPED = "BreakerTripped"  # in place of an error's name: nothing failed
PERIODS = 2  # runs of reconcile are never quite evenly spaced, and one may be lost
BY_HAND = 3600.0  # seconds; it is not known when the next run comes, and who called this one has its answer


def run_published_again_within(every: float | None) -> float:
    """Seconds within which what a run found is published again if it lasts. every: the period of runs in seconds."""
    return PERIODS * every + LATENESS if every else BY_HAND


def run_events(outcome: RunOutcome, every: float | None) -> Iterator[PublishedEvent]:
    """What came of a run of reconcile, but for the steps taken: those are published whatever becomes of it."""
    again_within = run_published_again_within(every)
    for finding in outcome.plan.findings:
        yield _conflict(finding, again_within)
    for inventory, stopped in outcome.stopped.items():
        managed = outcome.by_inventory[inventory].managed
        yield _removal_limit_exceeded(
            inventory.name, removal_limit_words(stopped, managed, inventory.name), again_within
        )
    if nodes := outcome.nodes.stopped:
        yield _removal_limit_exceeded(
            "Chef", chef_removal_limit_words(len(nodes), outcome.nodes.plan.ours), again_within
        )
    for what, error in outcome.errors.items():
        yield problem_event(what, error, every, outcome.host_errors_in.get(what))


def problem_event(
    what: str, error: Exception, every: float | None, inventory: Inventory | None = None
) -> PublishedEvent:
    """Something that a run of reconcile could not do, or the whole run.

    inventory: where that was about one host of many: what Tower refuses for all of them is published once.
    """
    cause = error_name(error)
    if isinstance(error, RollcallError) and error.scope != Scope.INSTALLATION:
        cause = f"reconcile: {cause}: inventory {inventory.name}" if inventory else f"reconcile: {what}"
    reason = f"{what}: {str(error) or repr(error)}"
    return failure_event(error, None, again_within=run_published_again_within(every), reason=reason, cause=cause)


def step_events(outcome: RunOutcome) -> list[PublishedEvent]:
    """The steps that a run of reconcile has taken."""
    return [PublishedEvent(DRIFT_FIXED, {**step, "reason": short(step["reason"])}) for step in drift_fixed(outcome)]


def removal_limit_words(stopped: Sequence[Removal], managed: int, inventory: str) -> str:
    """What the removal limit stopped in an inventory, and the remedy: for the groups of these hosts, where known."""
    groups = {each.group for each in stopped}
    named = sorted(each for each in groups if each) if None not in groups else []
    return (
        f"the removal limit was exceeded: {len(stopped)} of the {managed} managed hosts of inventory {inventory!r} "
        f"would go at once, so none was removed: check the list, and if it is right: {_forced(named)}"
    )


def _forced(groups: Sequence[str]) -> str:
    """What makes a run past the removal limit, of these groups or of all: the command, and the event."""
    event = {"force": True, **({"groups": list(groups)} if groups else {})}
    return f"{command('rollcall', 'reconcile', '--force', *options('--group', groups))} (event {json.dumps(event)})"


def chef_removal_limit_words(stopped: int, ours: int) -> str:
    """What the removal limit stopped of our nodes in Chef, and the remedy."""
    return (
        f"the removal limit was exceeded: {stopped} of our {ours} nodes in Chef would go at once, so none was removed: "
        f"check the list, and if it is right: {_forced(())}"
    )


def _conflict(finding: DriftFinding, again_within: float) -> PublishedEvent:
    inventory = finding.inventory
    detail = {
        "kind": finding.kind,
        "inventory": inventory.name,
        "inventory_id": inventory.id,
        "subject": finding.subject,
        "reason": short(finding.reason),
        "cause": f"conflict: {finding.kind}: {inventory.name}/{finding.subject}",
        "again_within": rounded(again_within),
    }
    return PublishedEvent(CONFLICT_FOUND, detail)


def _removal_limit_exceeded(name: str, words: str, again_within: float) -> PublishedEvent:
    return work_failed_event(
        None, error=BREAKER_TRIPPED, reason=words, cause=REMOVAL_LIMIT + name, again_within=again_within
    )
