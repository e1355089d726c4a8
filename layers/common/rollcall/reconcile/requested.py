"""What a run of reconcile came to about each instance that was requested. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .result import InstanceResult
from .snapshot import groups_of
from .steps import Requeue

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .result import NodesOutcome, RunOutcome, Taken
    from .snapshot import Snapshot
    from .steps import Plan, Step


@dataclass(frozen=True)
class _Said:
    """By instance id, in words: what was done about it, and what is left to do."""

    done: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    left: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def results_of_requested(
    instances: Collection[str], snapshot: Snapshot, unread: Sequence[str], outcome: RunOutcome, *, dry_run: bool
) -> dict[str, InstanceResult]:
    """By id, whether anything is left to do about each, and why; by the outcome of the whole run.

    unread: names of the inventories that could not be read.
    """
    said = _Said()
    _say_steps(said, outcome, dry_run=dry_run)
    _say_nodes(said, outcome.nodes)
    for finding in outcome.plan.findings:
        if finding.instance_id:
            said.left[finding.instance_id].append(f"{finding.kind} {finding.subject}: {finding.reason}")
    groups = groups_of(snapshot)
    return {each: _result(each, groups[each], snapshot, unread, outcome, said) for each in sorted(instances)}


def _say_steps(said: _Said, outcome: RunOutcome, *, dry_run: bool) -> None:
    taken = {(fix.action, fix.inventory, fix.instance_id): fix for fix in outcome.fixes}
    for planned, action, step in _planned(outcome.plan):
        if fix := taken.get((action, step.inventory, step.instance_id)):
            job = "" if fix.job is None else f" by job {fix.job}"
            said.done[step.instance_id].append(f"{fix.step}{job}: {step.reason}")
        elif isinstance(step, Requeue) and not dry_run and _waits_for_others(step, outcome):
            said.done[step.instance_id].append("it waits for no hook of ours")
        else:
            said.left[step.instance_id].append(f"to {planned}: {step.reason}")
    for own in outcome.stopped.values():
        for removal in own:
            words = f"the removal limit stops its removal, unless forced: {removal.reason}"
            said.left[removal.instance_id].append(words)


def _planned(plan: Plan) -> Iterator[tuple[str, Taken, Step]]:
    """Every step, with what is to be done and what then was done."""
    yield from (("remove", "removed", each) for each in plan.removals)
    yield from (("fix", "fixed", each) for each in plan.changes)
    yield from (("add", "added", each) for each in plan.additions)
    yield from (("requeue", "requeued", each) for each in plan.requeues)


def _waits_for_others(requeue: Requeue, outcome: RunOutcome) -> bool:
    """Whether Auto Scaling was read, and knows no open action of ours."""
    failed = any(requeue.instance_id in what for what in outcome.errors)
    return not (outcome.left or failed)


def _say_nodes(said: _Said, nodes: NodesOutcome) -> None:
    for removal in nodes.plan.removals:
        if removal in nodes.removed:
            said.done[removal.instance_id].append(f"removed from Chef as {removal.node}: {removal.reason}")
        else:
            said.left[removal.instance_id].append(f"to remove node {removal.node} from Chef: {removal.reason}")
    for removal in nodes.stopped:
        words = f"the removal limit stops the removal of node {removal.node}, unless forced: {removal.reason}"
        said.left[removal.instance_id].append(words)


def _result(
    instance_id: str,
    groups: Collection[str],
    snapshot: Snapshot,
    unread: Sequence[str],
    outcome: RunOutcome,
    said: _Said,
) -> InstanceResult:
    """groups: that the instance is of. What could not be read counts before everything else."""
    if unread:
        return InstanceResult(False, f"inventory {unread[0]!r}, which could not be read, may hold its host")
    if unreadable := sorted(snapshot.unreadable.intersection(groups)):
        error = outcome.errors.get(f"group {unreadable[0]}")
        return InstanceResult(False, str(error or f"not everything about group {unreadable[0]!r} could be read"))
    if instance_id in said.left:
        return InstanceResult(False, "; ".join(said.left[instance_id]))
    if instance_id in said.done:
        return InstanceResult(True, "; ".join(said.done[instance_id]))
    return InstanceResult(True, f"nothing to do: {_state(instance_id, snapshot)}")


def _state(instance_id: str, snapshot: Snapshot) -> str:
    membership, instance = snapshot.memberships.get(instance_id), snapshot.instances.get(instance_id)
    if membership:
        return f"it is {membership.state} in group {membership.group!r}"
    if instance:
        return f"EC2 says that it is {instance.state}, and no group of ours has it"
    return "no group of ours has it, and no host is for it"
