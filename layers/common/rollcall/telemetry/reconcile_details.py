"""What the event bus is told of a run of reconcile. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rollcall.domain.errors import RollcallError, Scope
from rollcall.domain.event_fields import BREAKER, CONFLICT_FOUND, DRIFT_FIXED
from rollcall.domain.shell_commands import make_command, options
from rollcall.reconcile.answer import drift_fixed

from .event_details import SLACK, PublishedEvent, failure_of, name_of, rounded, short, work_failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollcall.domain.inventories import Inventory
    from rollcall.reconcile.result import RunOutcome
    from rollcall.reconcile.steps import Finding, Removal

BREAKER_TRIPPED = "BreakerTripped"  # in place of an error's name: nothing failed
PERIODS = 2  # runs of reconcile are never quite evenly spaced, and one may be lost
BY_HAND = 3600.0  # seconds; nobody knows when the next run comes, and who called this one has its answer


def run_told_within(every: float | None) -> float:
    """Seconds within which what a run of reconcile found is told again if it lasts. every: its period in seconds."""
    return PERIODS * every + SLACK if every else BY_HAND


def run_of(outcome: RunOutcome, every: float | None) -> Iterator[PublishedEvent]:
    """What came of a run of reconcile, but for the steps that were taken: those are told whatever becomes of it."""
    again_within = run_told_within(every)
    for finding in outcome.plan.findings:
        yield _conflict(finding, again_within)
    for inventory, stopped in outcome.stopped.items():
        managed = outcome.by_inventory[inventory].managed
        yield _breaker(inventory.name, breaker_words(stopped, managed, inventory.name), again_within)
    if nodes := outcome.nodes.stopped:
        yield _breaker("Chef", chef_breaker_words(len(nodes), outcome.nodes.plan.ours), again_within)
    for what, error in outcome.troubles.items():
        yield trouble_of(what, error, every, outcome.troubled_in.get(what))


def trouble_of(what: str, error: Exception, every: float | None, inventory: Inventory | None = None) -> PublishedEvent:
    """Something that a run of reconcile could not do, or the whole run.

    inventory: where that was about one host of many: what Tower has against all of them is told of once.
    """
    cause = name_of(error)
    if isinstance(error, RollcallError) and error.scope != Scope.INSTALLATION:
        cause = f"reconcile: {cause}: inventory {inventory.name}" if inventory else f"reconcile: {what}"
    reason = f"{what}: {str(error) or repr(error)}"
    return failure_of(error, None, again_within=run_told_within(every), reason=reason, cause=cause)


def steps_of(outcome: RunOutcome) -> list[PublishedEvent]:
    """The steps that a run of reconcile has taken."""
    return [PublishedEvent(DRIFT_FIXED, {**step, "reason": short(step["reason"])}) for step in drift_fixed(outcome)]


def breaker_words(stopped: Sequence[Removal], managed: int, inventory: str) -> str:
    """What the breaker of an inventory says, with the remedy: for the groups whose hosts these are, where known."""
    groups = {each.group for each in stopped}
    named = sorted(each for each in groups if each) if None not in groups else []
    return (
        f"the breaker tripped: {len(stopped)} of the {managed} managed hosts of inventory {inventory!r} would go at "
        f"once, so none did: look at the list, and if it is right: {_forced(named)}"
    )


def _forced(groups: Sequence[str]) -> str:
    """What makes a run past the breaker, of these groups or of all, as people and as programs write it."""
    event = {"force": True, **({"groups": list(groups)} if groups else {})}
    return f"{make_command('reconcile', '--force', *options('--group', groups))} (event {json.dumps(event)})"


def chef_breaker_words(stopped: int, ours: int) -> str:
    """What the breaker of our nodes in Chef says, with the remedy."""
    return (
        f"the breaker tripped: {stopped} of our {ours} nodes in Chef would go at once, so none did: look at the list, "
        f"and if it is right: {_forced(())}"
    )


def _conflict(finding: Finding, again_within: float) -> PublishedEvent:
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


def _breaker(name: str, words: str, again_within: float) -> PublishedEvent:
    return work_failed(None, error=BREAKER_TRIPPED, reason=words, cause=BREAKER + name, again_within=again_within)
